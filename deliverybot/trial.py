"""Test letters: the letter as it would be now, to an address of one's own, marked as a test.

None of it is a delivery: no row knows of it, its Message-ID is of another form
than any row's, and no target's address is taken.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import html
import pathlib
import re
import secrets
import tempfile
from collections.abc import Iterable

from deliverybot import campaign as campaigns
from deliverybot import errors, ledger, mail, material, model, paper, parcels, render, screen
from deliverybot.mail import dkim, frozen, identity, mailbox, message

#: Stands before the subject.
MARK = "[TEST] "
#: Postfix as it comes sends name%other.example@its-own.example on to name@other.example.
_ROUTES = frozenset("%!")
_STYLE = "border: 2pt solid #b00; color: #b00; padding: 4pt; font-weight: bold"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One test mail as it was handed over."""

    message_id: str
    subject: str
    size: int
    outcome: str
    reply: str


def require_own(
    book: ledger.Ledger, known: Iterable[campaigns.Campaign], desk: paper.Desk, to: str
) -> None:
    """Raise UsageError where a test must not go: to a target, or to nobody over a real relay.

    A target of any campaign counts, and whoever a letter was ever made for;
    capitals and plus tags make no difference.
    """
    try:
        local = mailbox.address(to).rpartition("@")[0]
    except errors.OutgoingError as error:
        raise errors.UsageError(str(error), hint=error.hint) from error
    if _ROUTES & set(local):
        message_ = f"{to} may be read as a way to another address"
        raise errors.UsageError(message_, hint="give an address without % and !")
    wanted = screen.normalise_email(to)
    if wanted is None:
        raise errors.UsageError(f"{to!r} is not a mail address", hint="such as you@your-domain")
    taken = {target.email for one in known for target in one.targets} | book.addressed()
    if any(screen.normalise_email(address) == wanted for address in taken):
        message_ = f"{to} is the address of a target: a test must not reach one"
        raise errors.UsageError(message_, hint="give an address of your own")
    if book.suppressions.of(to) is not None:
        message_ = f"{to} asked not to be written to"
        raise errors.UsageError(message_, hint="give an address of your own")
    if reason := mail.made_up(desk.settings.mail, to):
        raise errors.UsageError(reason, hint="give an address of your own")


async def send(
    book: ledger.Ledger, case: material.Case, desk: paper.Desk, *, to: str, who: str
) -> list[Mail]:
    """Render a letter, mark it, and hand its mails over, the next only after a clean yes.

    `book` is the true ledger, which gets two rows of its log for each mail:

    1. Just before the last byte of the mail leaves.
    2. With what the relay said.

    A crash between leaves the first row alone: the test may have arrived.
    """
    signers, sealer = dkim.load(desk.settings), identity.load(desk.settings)
    if sealer is not None and (lapsed := sealer.lapsed(desk.clock())):
        raise errors.OutgoingError(lapsed, hint="`deliverybot check` says more")
    transport = mail.transport(desk.settings)
    sent: list[Mail] = []
    with tempfile.TemporaryDirectory(prefix="deliverybot-test-") as name:
        place = pathlib.Path(name)
        row = await _made(case, place, desk, to)
        try:
            for letter in frozen.every(row, place, desk.clock()):
                made = await asyncio.to_thread(message.build, letter, signers, sealer)
                note = _Note(book, case.campaign.slug, to, who, desk)
                reply = await transport.hand_over(
                    made, sender=row.from_address, recipient=to, token="test",  # noqa: S106
                    on_handing_over=note.leaving,
                )  # fmt: skip
                note.over(reply)
                sent.append(
                    Mail(
                        message_id=letter.message_id, subject=letter.subject, size=made.size,
                        outcome=reply.outcome.value, reply=str(reply),
                    )
                )  # fmt: skip
                if reply.outcome is not model.Outcome.DONE:
                    break
        finally:
            await transport.close()
    return sent


@dataclasses.dataclass(frozen=True, slots=True)
class _Note:
    """The rows of one test mail in the log; its address is nobody's business there."""

    book: ledger.Ledger
    slug: str
    to: str
    who: str
    desk: paper.Desk

    def leaving(self) -> None:
        self._write("", "leaving", "about to be handed over")

    def over(self, reply: model.Reply) -> None:
        self._write("leaving", reply.outcome.value, str(reply))

    def _write(self, old: str, new: str, why: str) -> None:
        self.book.audit.note(
            thing="test", ref=self.slug, campaign=self.slug, old=old, new=new, who=self.who,
            why=f"test to {screen.masked(self.to)}: {why}", now=self.desk.clock(),
        )  # fmt: skip


async def _made(
    case: material.Case, place: pathlib.Path, desk: paper.Desk, to: str
) -> frozen.Draft:
    """Render the letter into a folder, every page and mail of it marked as a test."""
    campaign, settings = case.campaign, desk.settings
    folder = settings.letters / campaign.letter
    facts = material.facts(desk.book, case, settings)
    page = render.letter(folder, facts)
    render.require([*page.faults, *material.preflight(desk.book, case)])
    words = f"This is a test. It was not sent to {case.target.name}."
    page = dataclasses.replace(page, before=_marked(page.before, words))
    pdf = place / f"test-{campaign.slug}.pdf"
    listing = material.listing(desk.book, case)
    done = await paper.letter(page, facts, listing, folder=folder, out=pdf, desk=desk)
    files = parcels.files(done, place)
    mails = [
        (f"{MARK}{subject}", f"*** {words} ***\n\n{text}", _marked(markup, words))
        for subject, text, markup in parcels.words(folder, facts, files)
    ]
    columns = parcels.columns(mails)
    return frozen.Draft(
        campaign=f"test-{campaign.slug}",
        from_name=settings.sender.name,
        from_address=settings.sender.address,
        to_name="",
        email=to,
        reply_to=settings.sender.reply_to,
        pdf=pdf.name,
        pdf_sha256=done.sha256,
        message_id=_message_id(campaign.slug, settings.sender.address, desk.clock()),
        language=campaign.language,
        files=files,
        subject=columns["subject"],
        text=columns["text"],
        html=columns["html"],
        words=columns["words"],
    )


def _marked(markup: str, words: str) -> str:
    """Return a page of HTML with a line at its top."""
    line = f'<p dir="ltr" lang="en" style="{_STYLE}">{html.escape(words)}</p>'
    found = re.search(r"<body\b[^>]*>", markup, re.IGNORECASE)
    at = found.end() if found else 0
    return f"{markup[:at]}{line}{markup[at:]}"


def _message_id(slug: str, sender: str, now: dt.datetime) -> str:
    """Return a Message-ID that no delivery can have: those have a version in the third place."""
    domain = mailbox.domain(sender.rpartition("@")[2])
    return f"<test.{slug[:16].strip('-')}.t{now:%Y%m%d%H%M%S}.{secrets.token_hex(8)}@{domain}>"
