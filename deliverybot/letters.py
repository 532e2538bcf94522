"""Letters: render each due letter, and freeze what a person will approve.

What a letter was made from is hashed (`inputs`).  While it has not been tried
yet, a changed template, target or signer makes it anew, and it is held again.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import functools
import hashlib
import json
import logging
import pathlib
import shutil
from collections.abc import Mapping

from deliverybot import campaign as campaigns
from deliverybot import (
    config,
    disk,
    errors,
    ledger,
    links,
    mail,
    material,
    model,
    paper,
    parcels,
    render,
    volumes,
)
from deliverybot.ledger import records
from deliverybot.mail import encoded, frozen, message

log = logging.getLogger(__name__)


#: Letters of an unforeseen error that are kept.
LONGEST_PROBLEM = 1000
#: In these states a letter may yet be sent; in the others its encoded PDF is not kept.
_GOING = ("held", "approved", "sending", "handing_over", "retrying", "unsure")


class Present:
    """What letters are made from right now; each thing is read once, so take one for each look."""

    def __init__(
        self,
        book: ledger.Ledger,
        settings: config.Settings,
        known: Mapping[str, campaigns.Campaign],
    ) -> None:
        """Read the milestones; the rest when it is asked for."""
        self._settings = settings
        self._known = known
        self._milestones = {milestone.id: milestone for milestone in book.milestones.all()}
        self._standing = functools.cache(book.signatures.standing)
        self._listed = functools.cache(book.signatures.listed)
        self._key = functools.cache(lambda: links.key(settings.state, book))
        self._files = functools.cache(lambda name: render.fingerprint(settings.letters / name))
        self._targets: dict[str, dict[str, campaigns.Target]] = {}
        self._inputs: dict[tuple[int, str], str] = {}

    def due(self, row: records.Delivery) -> material.Case | None:
        """Return what a letter is to be made from; None where it is made of just that.

        None, too, where its campaign or target is gone, and where it may have
        arrived: a second copy must be the same, unless somebody in it is erased.
        """
        case = self.case(row.campaign, row.target, row.milestone_id)
        if case is not None and row.erased_at is not None:
            return case
        if case is None or row.handed_at is not None or row.part > 1:
            return None
        made = self.fingerprint(case) == row.inputs and not row.problem
        return None if made else case

    def case(self, slug: str, target_id: str, milestone_id: int) -> material.Case | None:
        """Return what a letter is made from; None if there is no such campaign or target now."""
        campaign = self._known.get(slug)
        if campaign is None:
            return None
        if slug not in self._targets:
            self._targets[slug] = {target.id: target for target in campaign.targets}
        target = self._targets[slug].get(target_id)
        if target is None:
            return None
        milestone = self._milestones[milestone_id]
        return material.Case(
            campaign=campaign,
            milestone=milestone,
            target=target,
            revision=material.revision(campaign, self._standing(slug)),
            files=self._files(campaign.letter),
            signers_url=self._address(campaign, milestone, target_id),
        )

    def _address(
        self, campaign: campaigns.Campaign, milestone: records.Milestone, target: str
    ) -> str:
        """Return where a target finds the list; empty where the letter needs no such place."""
        if campaign.delivery.signers != "link":
            return ""
        if not self._listed(campaign.slug, milestone.upto):
            return ""
        token = links.token(self._key(), campaign.slug, milestone.key, milestone.version, target)
        return links.address(self._settings.public_url, token)

    def inputs(self, case: material.Case) -> str:
        """Hash all that a letter's PDF is made from, as hex; a joint letter is hashed once."""
        together = case.campaign.delivery.addressees == "all"
        key = (case.milestone.id, "" if together else case.target.id)
        if key not in self._inputs:
            self._inputs[key] = material.inputs(case, self._settings)
        return self._inputs[key]

    def fingerprint(self, case: material.Case) -> str:
        """Hash all that a delivery is made from, as hex."""
        return _fingerprint(self.inputs(case), case)


def sweep(state_dir: pathlib.Path) -> None:
    """Remove what a killed process left half made, names of signers in it.

    Only for a process that knows itself alone on this ledger.
    """
    for folder in ("letters", "outbox", volumes.FOLDER):
        for draft in (state_dir / folder).rglob(".*"):
            if draft.name.startswith(".page-"):
                shutil.rmtree(draft, ignore_errors=True)
            elif draft.name.endswith(disk.PART):
                draft.unlink(missing_ok=True)


async def freeze_one(row: records.Delivery, case: material.Case, desk: paper.Desk) -> None:
    """Render one letter with its mail, and hold it for approval.

    1. Write the PDF under state_dir, whole or not at all.
    2. Write its hash and the words of the mail into the ledger.

    A crash between 1 and 2 leaves a file that the next run writes again with
    the same bytes.  What cannot be rendered is held with the reasons.
    """
    book, settings, clock = desk.book, desk.settings, desk.clock
    values = _addressed(case, settings) | {"part": row.part}
    if row.room:
        desk = dataclasses.replace(desk, most=row.room)
    if row.part > 1:
        desk = dataclasses.replace(desk, shares=frozen.shares(row))
    try:
        values |= await _foreseen(case, desk)
    except errors.LetterError as error:
        why = "the letter cannot be rendered as it stands"
        values |= {"problem": str(error)}
        _freeze(desk, row, values, approve=False, why=why)
        # The reasons may quote a signer's name, and nobody can take it out of a log again.
        log.warning("delivery %d to %s is held; `status` says why", row.id, row.target)
        return
    now = clock()
    draft = dataclasses.replace(row, **values)  # type: ignore[arg-type]
    try:
        if not draft.problem:
            values["digest"] = await asyncio.to_thread(_proved, draft, settings, now)
    except errors.OutgoingError as error:
        values |= {"problem": str(error), "digest": ""}
    if row.state != model.Delivery.DUE and values["digest"] == row.digest and not row.problem:
        book.deliveries.note(row, inputs=str(values["inputs"]))
        return
    why = "rendered; waits for approval"
    if row.state != model.Delivery.DUE:
        why = "what it is made from has changed; waits for approval"
    # Held without a problem, somebody holds it: no rule takes that back.
    by_hand = row.state == model.Delivery.HELD and not row.problem
    # What may have arrived, or has begun to, is another letter now: no rule sends that.
    begun = row.handed_at is not None or row.part > 1
    approve = approved_by_rule(book, case) and not by_hand and not begun
    if not values["problem"]:
        values["erased_at"] = None
    _freeze(desk, row, values, approve=approve, why=why, url=case.signers_url)
    pages = "1 page" if values["pages"] == 1 else f"{values['pages']} pages"
    log.info("delivery %d to %s is rendered: %s", row.id, row.target, pages)


def _addressed(case: material.Case, settings: config.Settings) -> dict[str, object]:
    """Return the columns of a letter that nobody has rendered yet."""
    return {
        "inputs": _fingerprint(material.inputs(case, settings), case),
        "problem": "",
        "digest": "",
        "email": case.target.email,
        "to_name": case.target.name,
        "from_name": settings.sender.name,
        "from_address": settings.sender.address,
        "reply_to": settings.sender.reply_to,
        "language": case.campaign.language,
    }


def _proved(row: records.Delivery, settings: config.Settings, now: dt.datetime) -> str:
    """Return the digest to approve, of mails that read as they were meant and may be sent."""
    if reason := mail.made_up(settings.mail, row.email):
        raise errors.OutgoingError(reason)
    for letter in frozen.every(row, settings.state, now):
        message.prove(letter)
    return frozen.digest(row, settings.state, now)


def _freeze(
    desk: paper.Desk,
    row: records.Delivery,
    values: dict[str, object],
    *,
    approve: bool,
    why: str,
    url: str = "",
) -> None:
    """Write it down, unless somebody has moved the row while it was rendered."""
    book, now = desk.book, desk.clock()
    try:
        file = json.loads(str(values.get("linked") or "{}"))
        link = ledger.Made(
            token_sha256=links.mark(url), path=file.get("path", ""), sha256=file.get("sha256", "")
        )
        also = book.links.making(row.id, link, now)
        book.deliveries.freeze(row, values, approve=approve, why=why, now=now, also=also)
    except errors.WrongState as error:
        log.info("%s; the next run looks at it again", error)
        # Nobody has these files now, and whoever moved it may have erased somebody in them.
        forget(book, str(values.get("pdf", "")), desk.settings)
        made = dataclasses.replace(row, linked=str(values.get("linked", "")))
        forget_list(book, made, desk.settings)


async def _foreseen(case: material.Case, desk: paper.Desk) -> dict[str, object]:
    """Render; what nobody foresaw is a fault of this letter and holds up no other."""
    try:
        return await _render(case, desk)
    except (errors.DeliverybotError, OSError):
        raise
    except Exception as error:
        log.exception("the letter to %s cannot be rendered", case.target.id)
        what = f"the letter met a fault in deliverybot: {type(error).__name__}: {error}"
        fault = errors.Fault(level="fault", what=what[:LONGEST_PROBLEM])
        raise errors.LetterError([fault]) from error


async def _render(case: material.Case, desk: paper.Desk) -> dict[str, object]:
    """Return the words of the mail and the printed PDF, as columns."""
    folder = desk.settings.letters / case.campaign.letter
    known = material.facts(desk.book, case, desk.settings)
    words = render.mail(folder, known)
    page = render.letter(folder, known)
    render.require([*page.faults, *words.faults])
    path = pdf_path(case, page, desk)
    try:
        columns = await _printed(case, desk, known, page, path)
        mails = parcels.words(folder, known, str(columns["files"]))
        linked = ""
        if case.signers_url:
            render.require(parcels.unsaid(case, page, mails))
            linked = await parcels.listed(case, known, desk)
    except errors.LetterError:
        forget(desk.book, str(path), desk.settings)  # nothing would know of it
        raise
    return columns | {"pdf": str(path), "linked": linked, **parcels.columns(mails)}


async def _printed(
    case: material.Case,
    desk: paper.Desk,
    known: render.Facts,
    page: render.Page,
    path: pathlib.Path,
) -> dict[str, object]:
    """Return the columns of the PDF at `path`, made where it is not there."""
    columns = _printed_before(desk.book, path, desk.settings)
    if columns is None:
        render.require(material.preflight(desk.book, case))
        out = desk.settings.state / path
        folder = desk.settings.letters / case.campaign.letter
        done = await paper.letter(
            page, known, material.listing(desk.book, case), folder=folder, out=out, desk=desk
        )
        columns = {
            "pdf_sha256": done.sha256,
            "pages": done.pages,
            "files": parcels.files(done, desk.settings.state),
            "problem": _too_large(done, desk),
        }
    return columns


def _too_large(done: paper.Printed, desk: paper.Desk) -> str:
    """Say that a PDF fits into no mail, whole or in parts; empty where it does."""
    if done.size <= desk.room or len(done.parts) > 1:
        return ""
    what = f"the PDF has {done.size:,} bytes, and a mail may hold {desk.room:,} of it"
    hint = "lower names_in_letter under [pdf], so that the list can be parted"
    if not desk.most:
        hint += "; or raise max_message under [mail] if your relay and the target's take more"
    fault = errors.Fault(level="fault", what=what, hint=hint)
    return str(fault)


def forget(book: ledger.Ledger, pdf: str, settings: config.Settings) -> None:
    """Remove a PDF that no delivery has any more: it may name who asked not to be named."""
    if pdf and not book.deliveries.select(pdf=pdf):
        path = settings.state / pdf
        for file in (path, *paper.parts_of(path)):
            file.unlink(missing_ok=True)
            encoded.forget(file)


def forget_list(book: ledger.Ledger, row: records.Delivery, settings: config.Settings) -> None:
    """Remove the list of a letter that was made anew, where no other letter leads to it."""
    if row.linked and all(
        row.linked != other.linked for other in book.deliveries.select(campaign=row.campaign)
    ):
        (settings.state / json.loads(row.linked)["path"]).unlink(missing_ok=True)


def tidy(book: ledger.Ledger, settings: config.Settings) -> None:
    """Remove the encoded form of every PDF that nothing is about to send."""
    going = book.deliveries.select(states=_GOING)
    needed = {settings.state / path for row in going for path in frozen.attached(row)}
    for pdf in set(encoded.all_below(settings.state / "letters")) - needed:
        encoded.forget(pdf)


def _printed_before(
    book: ledger.Ledger, path: pathlib.Path, settings: config.Settings
) -> dict[str, object] | None:
    """Return what another target's letter of the same bytes has in the ledger."""
    for row in book.deliveries.select(pdf=str(path)):
        if row.pdf_sha256 and not row.problem and frozen.sound(row, settings.state):
            return {"pdf_sha256": row.pdf_sha256, "pages": row.pages, "files": row.files}
    return None


def pdf_path(case: material.Case, page: render.Page, desk: paper.Desk) -> pathlib.Path:
    """Name a letter's PDF below state_dir, by what it is made from and what it says.

    A letter that names all targets is one file for all of them, unless its
    template says something else to each, or its parts are of another size.
    """
    whom = "all" if case.campaign.delivery.addressees == "all" else case.target.id
    key = case.milestone.key.removeprefix("on:").replace(":", "")
    inputs = material.inputs(case, desk.settings)
    said = "\0".join((inputs, page.before, page.after, str(desk.room), *map(str, desk.shares)))
    stamp = hashlib.sha256(said.encode()).hexdigest()[:12]
    name = f"{key}-v{case.milestone.version}-{whom}-{stamp}.pdf"
    return pathlib.Path("letters") / case.campaign.slug / name


def _fingerprint(inputs: str, case: material.Case) -> str:
    parts = (inputs, case.target.model_dump_json())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def approved_by_rule(book: ledger.Ledger, case: material.Case) -> bool:
    """Tell whether the campaign lets this delivery go without asking a person."""
    rule = case.campaign.delivery.approval
    if case.milestone.ask or rule == "each":
        return False
    return rule == "none" or book.deliveries.person_approved(
        case.campaign.slug, case.target.id, before=case.milestone.id
    )
