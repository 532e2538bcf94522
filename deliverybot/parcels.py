"""Parcels: a letter as the several mails that carry it where one cannot hold it."""

from __future__ import annotations

import dataclasses
import hashlib
import html
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from deliverybot import config, errors, material, paper, render, volumes
from deliverybot.mail import encoded

#: Subject, text and HTML of one mail.
Words = tuple[str, str, str]


def files(done: paper.Printed, state: pathlib.Path) -> str:
    """Return what each mail carries, as the column `files` has it.

    Empty where the list is in one volume or none: that can go in no smaller mails.
    """
    if not done.parts or (len(done.parts) == 1 and _undivided(done.parts[0].told)):
        return ""
    return json.dumps([[entry(one, state)] for one in done.parts])


def entry(piece: paper.Piece, state: pathlib.Path) -> dict[str, Any]:
    """Return one file as the ledger has it."""
    return {
        "path": str(piece.path.relative_to(state)),
        "sha256": piece.sha256,
        "bytes": piece.size,
        "pages": piece.pages,
        "volumes": piece.told.volumes,
        "signers": piece.told.signers,
    }


async def listed(case: material.Case, facts: render.Facts, desk: paper.Desk) -> str:
    """Make the list that a letter's link leads to, as the column `linked` has it.

    It names no target, so all letters of a milestone share one file.
    """
    settings, milestone = desk.settings, case.milestone
    folder = settings.letters / case.campaign.letter
    count = volumes.count(milestone.upto, settings.pdf.volume)
    whole = render.Part(part=1, parts=1, volumes=(1, count), signers=(1, milestone.upto))
    known = dataclasses.replace(facts, volumes=count, signers=None)
    page = render.listing(folder, known, whole)
    render.require(page.faults)
    path = _list_path(case, page, settings)
    for row in desk.book.deliveries.select(campaign=case.campaign.slug):
        if row.linked and json.loads(row.linked)["path"] == str(path):
            try:
                encoded.sha256(settings.state / path, json.loads(row.linked)["sha256"])
            except errors.OutgoingError:
                break
            return row.linked
    render.require(material.preflight(desk.book, case))
    piece = await paper.signers(
        page, known, material.listing(desk.book, case), folder=folder,
        out=settings.state / path, desk=desk,
    )  # fmt: skip
    return json.dumps(entry(piece, settings.state))


def _list_path(case: material.Case, page: render.Page, settings: config.Settings) -> pathlib.Path:
    """Name a list below state_dir, by what it is made from."""
    said = (
        page.before,
        settings.pdf.model_dump_json(include={"paper", "volume"}),
        case.campaign.signers.model_dump_json(exclude={"keep"}),
        f"{case.milestone.id} {case.milestone.version} {case.milestone.upto} {case.revision}",
        case.files,
    )
    stamp = hashlib.sha256("\0".join(said).encode()).hexdigest()[:12]
    key = case.milestone.key.removeprefix("on:").replace(":", "")
    name = f"{key}-v{case.milestone.version}-list-{stamp}.pdf"
    return pathlib.Path("letters") / case.campaign.slug / name


def unsaid(case: material.Case, page: render.Page, words_: Sequence[Words]) -> list[errors.Fault]:
    """Say that neither the letter nor its mail tells where the list is; nothing where one does."""
    url = case.signers_url
    if html.escape(url) in page.before + page.after or url in words_[0][1]:
        return []
    what = "neither the letter nor its mail says where the list of signers is"
    hint = "print {{ signers_url }} in mail.txt, or leave the signers to the built-in letter.html"
    return [errors.Fault(level="fault", what=what, hint=hint)]


def columns(words_: Sequence[Words]) -> dict[str, str]:
    """Return the words of the mails as the ledger has them."""
    (subject, text, html), *later = words_
    more = json.dumps(later) if later else ""
    return {"subject": subject, "text": text, "html": html, "words": more}


def words(folder: pathlib.Path, facts: render.Facts, files_: str) -> list[Words]:
    """Return the words of each mail; raise LetterError with what must be mended."""
    mails = json.loads(files_) if files_ else [[]]
    count = len(mails)
    first = render.mail(folder, facts, parts=count)
    render.require(first.faults)
    subject = render.subject(first.subject, 1, count, facts.language)
    found = [(subject, first.text, first.html)]
    for number, (file,) in enumerate(mails[1:], 2):
        which = render.Part(
            part=number, parts=count, volumes=tuple(file["volumes"]),
            signers=tuple(file["signers"]),
        )  # fmt: skip
        subject = render.subject(first.subject, number, count, facts.language)
        mail = render.part(folder, facts, which, subject)
        render.require(mail.faults)
        found.append((mail.subject, mail.text, mail.html))
    return found


def _undivided(told: render.Part) -> bool:
    return told.volumes[0] == told.volumes[1]
