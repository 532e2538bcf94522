"""Letters: render each due letter, and freeze what a person will approve.

What a letter was made from is hashed (`inputs`).  While it has not been tried
yet, a changed template, target or signer makes it anew, and it is held again.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import hashlib
import logging
import pathlib
import shutil
import zoneinfo
from collections.abc import Iterator, Mapping

from deliverybot import campaign as campaigns
from deliverybot import config, disk, errors, ledger, model, paper, render, screen, volumes
from deliverybot.ledger import records
from deliverybot.mail import frozen, message

log = logging.getLogger(__name__)


#: Letters of an unforeseen error that are kept.
LONGEST_PROBLEM = 1000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One letter to be: whose, for which milestone, to whom."""

    campaign: campaigns.Campaign
    milestone: records.Milestone
    target: campaigns.Target
    #: `list_revision` of the campaign: which signers may be named now.
    revision: int
    #: Hash of the letter's folder and the theme, as hex.
    files: str


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
        self._revision = functools.cache(lambda slug: book.signatures.standing(slug).list_revision)
        self._files = functools.cache(lambda name: render.fingerprint(settings.letters / name))
        self._targets: dict[str, dict[str, campaigns.Target]] = {}
        self._inputs: dict[tuple[int, str], str] = {}

    def due(self, row: records.Delivery) -> Case | None:
        """Return what a letter is to be made from; None where it is made of just that.

        None, too, where its campaign or target is gone, and where it may have
        arrived: a second copy must be the same.
        """
        case = self.case(row.campaign, row.target, row.milestone_id)
        if case is None or row.handed_at is not None:
            return None
        made = self.fingerprint(case) == row.inputs and not row.problem
        return None if made else case

    def case(self, slug: str, target_id: str, milestone_id: int) -> Case | None:
        """Return what a letter is made from; None if there is no such campaign or target now."""
        campaign = self._known.get(slug)
        if campaign is None:
            return None
        if slug not in self._targets:
            self._targets[slug] = {target.id: target for target in campaign.targets}
        target = self._targets[slug].get(target_id)
        if target is None:
            return None
        return Case(
            campaign=campaign,
            milestone=self._milestones[milestone_id],
            target=target,
            revision=self._revision(slug),
            files=self._files(campaign.letter),
        )

    def inputs(self, case: Case) -> str:
        """Hash all that a letter's PDF is made from, as hex; a joint letter is hashed once."""
        together = case.campaign.delivery.addressees == "all"
        key = (case.milestone.id, "" if together else case.target.id)
        if key not in self._inputs:
            self._inputs[key] = letter_inputs(case, self._settings)
        return self._inputs[key]

    def fingerprint(self, case: Case) -> str:
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


async def freeze_one(row: records.Delivery, case: Case, desk: paper.Desk) -> None:
    """Render one letter with its mail, and hold it for approval.

    1. Write the PDF under state_dir, whole or not at all.
    2. Write its hash and the words of the mail into the ledger.

    A crash between 1 and 2 leaves a file that the next run writes again with
    the same bytes.  What cannot be rendered is held with the reasons.
    """
    book, settings, clock = desk.book, desk.settings, desk.clock
    values: dict[str, object] = {
        "inputs": _fingerprint(letter_inputs(case, settings), case),
        "problem": "",
        "digest": "",
        "email": case.target.email,
        "to_name": case.target.name,
        "from_name": settings.sender.name,
        "from_address": settings.sender.address,
        "reply_to": settings.sender.reply_to,
        "language": case.campaign.language,
    }
    try:
        values |= await _foreseen(case, desk)
    except errors.LetterError as error:
        why = "the letter cannot be rendered as it stands"
        values |= {"problem": str(error)}
        _freeze(book, row, values, approve=False, why=why, now=clock())
        log.warning("delivery %d to %s is held:\n%s", row.id, row.target, error)
        return
    now = clock()
    draft = dataclasses.replace(row, **values)  # type: ignore[arg-type]
    try:
        if not draft.problem:
            values["digest"] = message.digest(frozen.letter(draft, settings.state, now))
            message.build(frozen.letter(draft, settings.state, now))
    except errors.OutgoingError as error:
        values |= {"problem": str(error), "digest": ""}
    if row.state != model.Delivery.DUE and values["digest"] == row.digest and not row.problem:
        book.deliveries.note_inputs(row, str(values["inputs"]))
        return
    why = "rendered; waits for approval"
    if row.state != model.Delivery.DUE:
        why = "what it is made from has changed; waits for approval"
    # Held without a problem, somebody holds it: no rule takes that back.
    by_hand = row.state == model.Delivery.HELD and not row.problem
    approve = approved_by_rule(book, case) and not by_hand
    _freeze(book, row, values, approve=approve, why=why, now=now)
    pages = "1 page" if values["pages"] == 1 else f"{values['pages']} pages"
    log.info("delivery %d to %s is rendered: %s", row.id, row.target, pages)


def _freeze(
    book: ledger.Ledger,
    row: records.Delivery,
    values: dict[str, object],
    *,
    approve: bool,
    why: str,
    now: dt.datetime,
) -> None:
    """Write it down, unless somebody has moved the row while it was rendered."""
    try:
        book.deliveries.freeze(row, values, approve=approve, why=why, now=now)
    except errors.WrongState as error:
        log.info("%s; the next run looks at it again", error)


async def _foreseen(case: Case, desk: paper.Desk) -> dict[str, object]:
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


async def _render(case: Case, desk: paper.Desk) -> dict[str, object]:
    """Return the words of the mail and the printed PDF, as columns."""
    folder = desk.settings.letters / case.campaign.letter
    known = facts(desk.book, case, desk.settings)
    words = render.mail(folder, known)
    page = render.letter(folder, known)
    render.require([*page.faults, *words.faults])
    path = pdf_path(case, page, desk.settings)
    columns = _printed_before(desk.book, path, desk.settings)
    if columns is None:
        render.require(preflight(desk.book, case))
        out = desk.settings.state / path
        done = await paper.letter(
            page, known, listing(desk.book, case), folder=folder, out=out, desk=desk
        )
        columns = {
            "pdf_sha256": done.sha256,
            "pages": done.pages,
            "problem": _too_large(done, desk),
        }
    return columns | {
        "subject": words.subject,
        "text": words.text,
        "html": words.html,
        "pdf": str(path),
    }


def _too_large(done: paper.Printed, desk: paper.Desk) -> str:
    """Say that a PDF does not fit into a mail; empty where it does."""
    if done.size <= desk.room:
        return ""
    fault = errors.Fault(
        level="fault",
        what=f"the PDF has {done.size:,} bytes, and a mail may hold {desk.room:,} of it"
        + "".join(f"\n    part: {part.name}" for part in done.parts),
        hint="raise max_message under [mail] if your relay and the target's take more",
    )
    return str(fault)


def preflight(book: ledger.Ledger, case: Case) -> list[errors.Fault]:
    """Name each character of the list that no font here can draw."""
    if case.campaign.delivery.signers != "attach":
        return []
    return volumes.preflight(
        book, case.campaign.slug, language=case.campaign.language,
        lines=listing(book, case).lines, upto=case.milestone.upto,
    )  # fmt: skip


def listing(book: ledger.Ledger, case: Case) -> paper.Listing:
    """Return how the list of a letter is read and set."""
    signers = case.campaign.signers
    return paper.Listing(
        slug=case.campaign.slug, lines=functools.partial(_list, book, case),
        order=signers.order, csv=signers.csv,
    )  # fmt: skip


def forget(book: ledger.Ledger, pdf: str, settings: config.Settings) -> None:
    """Remove a PDF that no delivery has any more: it may name who asked not to be named."""
    if pdf and not book.deliveries.select(pdf=pdf):
        path = settings.state / pdf
        for file in (path, *paper.parts_of(path)):
            file.unlink(missing_ok=True)


def _printed_before(
    book: ledger.Ledger, path: pathlib.Path, settings: config.Settings
) -> dict[str, object] | None:
    """Return what another target's letter of the same bytes has in the ledger."""
    for row in book.deliveries.select(pdf=str(path)):
        if row.pdf_sha256 and not row.problem:
            try:
                with (settings.state / path).open("rb") as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError:
                return None
            if found == row.pdf_sha256:
                return {"pdf_sha256": found, "pages": row.pages}
    return None


def pdf_path(case: Case, page: render.Page, settings: config.Settings) -> pathlib.Path:
    """Name a letter's PDF below state_dir, by what it is made from and what it says.

    A letter that names all targets is one file for all of them, unless its
    template says something else to each.
    """
    whom = "all" if case.campaign.delivery.addressees == "all" else case.target.id
    key = case.milestone.key.removeprefix("on:").replace(":", "")
    said = "\0".join((letter_inputs(case, settings), page.before, page.after))
    stamp = hashlib.sha256(said.encode()).hexdigest()[:12]
    name = f"{key}-v{case.milestone.version}-{whom}-{stamp}.pdf"
    return pathlib.Path("letters") / case.campaign.slug / name


def _fingerprint(inputs: str, case: Case) -> str:
    parts = (inputs, case.target.model_dump_json())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def letter_inputs(case: Case, settings: config.Settings) -> str:
    """Hash all that a letter's PDF is made from, as hex.

    Other versions of our libraries make other bytes from the same; a frozen
    letter stays as it is.
    """
    campaign, milestone = case.campaign, case.milestone
    shown = {"title", "ask", "url", "goal", "language", "timezone", "voice", "letter", "signers"}
    parts = (
        case.files,
        campaign.model_dump_json(include=shown),
        campaign.delivery.model_dump_json(include={"signers", "addressees"}),
        repr([_named(target) for target in _addressees(case)]),
        settings.sender.model_dump_json(),
        settings.pdf.model_dump_json(include={"paper", "names_in_letter", "volume"}),
        settings.public_url,
        f"{milestone.id} {milestone.version} {milestone.upto} {case.revision}",
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def facts(book: ledger.Ledger, case: Case, settings: config.Settings) -> render.Facts:
    """Return what the letter, its mail and its posts may say."""
    campaign, milestone = case.campaign, case.milestone
    figures = model.Figures(
        milestone=milestone.threshold,
        signatures=milestone.signatures,
        # Somebody restored since the crossing is on the list, but not in the count.
        listed=min(book.signatures.listed(campaign.slug, milestone.upto), milestone.signatures),
        as_of=milestone.crossed_at,
    )
    attach = campaign.delivery.signers == "attach"
    bound = campaign.signers.csv or milestone.upto > settings.pdf.names_in_letter
    together = campaign.delivery.addressees == "all"
    zone = zoneinfo.ZoneInfo(campaign.timezone if together else case.target.timezone)
    return render.Facts(
        title=campaign.title,
        ask=campaign.ask,
        url=campaign.url,
        goal=campaign.goal,
        language=campaign.language,
        voice=campaign.voice,
        sender_name=settings.sender.name,
        sender_address=settings.sender.address,
        reply_to=settings.sender.reply_to,
        target=_named(case.target),
        targets=tuple(_named(target) for target in _addressees(case)),
        figures=figures,
        signers=_in_order(book, case) if attach and not bound else None,
        volumes=volumes.count(milestone.upto, settings.pdf.volume) if attach and bound else 0,
        upto=milestone.upto,
        fields=campaign.signers.fields,
        paper=settings.pdf.paper,
        date=milestone.crossed_at.astimezone(zone).date(),
        public_url=settings.public_url,
        days=functools.cache(lambda: book.tallies.days(campaign.slug, milestone.upto)),
        places=functools.cache(
            lambda by: book.tallies.places(campaign.slug, milestone.upto, by=by)
        ),
    )


def approved_by_rule(book: ledger.Ledger, case: Case) -> bool:
    """Tell whether the campaign lets this delivery go without asking a person."""
    rule = case.campaign.delivery.approval
    if case.milestone.ask or rule == "each":
        return False
    return rule == "none" or book.deliveries.person_approved(
        case.campaign.slug, case.target.id, before=case.milestone.id
    )


def _list(book: ledger.Ledger, case: Case, first: int, last: int) -> Iterator[model.ListedSigner]:
    """Yield the signers from one number to another, as the campaign shows names."""
    style = case.campaign.signers.name
    fields = case.campaign.signers.fields
    for line in book.signatures.lines(case.campaign.slug, last, first=first, fields=fields):
        if style == "full" or not line.name:
            yield line
        else:
            yield dataclasses.replace(line, name=screen.shown_name(line.name, style))


def _in_order(book: ledger.Ledger, case: Case) -> Iterator[model.ListedSigner]:
    """Yield a list that stands in the letter itself; one to be sorted is short."""
    lines = _list(book, case, 1, case.milestone.upto)
    order = case.campaign.signers.order
    if order == "number":
        return lines
    fields = case.campaign.signers.fields
    return iter(sorted(lines, key=lambda line: screen.sorting(
        [getattr(line, name) for name in fields] if line.name else [], order
    )))  # fmt: skip


def _addressees(case: Case) -> tuple[campaigns.Target, ...]:
    if case.campaign.delivery.addressees == "all":
        return case.campaign.targets
    return (case.target,)


def _named(target: campaigns.Target) -> model.Target:
    return model.Target(
        id=target.id,
        name=target.name,
        email=target.email,
        role=target.role,
        organisation=target.organisation,
        salutation=target.salutation,
    )
