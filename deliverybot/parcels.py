"""Parcels: a letter as the several mails that carry it where one cannot hold it."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence
from typing import Any

from deliverybot import paper, render

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
