"""Returns: take in each mail that comes back, once, with all that it means for a letter.

What a mail is about is told by the address it came to (VERP), the envelope's
id, or a Message-ID; never by a subject or a sender.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
import hashlib
import logging
import re
from collections.abc import Callable, Iterator

from deliverybot import config, disk, errors, inbox, ledger, model, outcomes, screen
from deliverybot.ledger import records
from deliverybot.ledger import returns as verbs
from deliverybot.mail import returned, verp

log = logging.getLogger(__name__)

#: Of the row that a mail is about, another move may come between its reading and its writing.
TRIES = 5
#: What the campaigner is sent a copy of.
FORWARDED = frozenset({model.Return.ANSWER, model.Return.BOUNCE, model.Return.COMPLAINT})
#: Copies a day of what somebody is said to have written who names no letter: a sender can be
#: forged by anybody, and each copy uses up what the relay takes of us.
UNTOLD_A_DAY = 20
#: A letter in one of these may have arrived without anybody knowing.
_DOUBTED = frozenset({"unsure", "handing_over"})
#: So may one in these, where an earlier try was cut off at its end.
_DOUBTED_BEFORE = model.EVIDENCE_MOVES | {"human"}
#: Ids of PostgreSQL's integers end here; a mail may name any number.
_MOST_IDENT = 2**31 - 1
#: The Message-ID of a further mail of one letter: that of the first, with a number.
_PART = re.compile(r"(<.+\.[0-9a-f]{16})\.([0-9]{1,5})(@.+)")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What a mail is about."""

    row: records.Delivery
    #: Which of the letter's mails, from 1.
    part: int
    #: What told: verp, envelope-id, message-id or references.
    how: str


async def collect(
    book: ledger.Ledger,
    settings: config.Settings,
    box: inbox.Mailbox,
    clock: Callable[[], dt.datetime],
) -> bool:
    """Take in the next mails of the mailbox; True if there may be more.

    What hinders is written down, and said in the log when it is new.
    """
    try:
        found = await inbox.fetch(box, book.returns.mailbox(box.name).cursor)
        for arrived in found:
            await take(book, settings, arrived, box.name, clock())
    except (inbox.Failed, errors.WrongState, OSError) as error:
        if book.returns.failed(box.name, str(error)):
            log.error("%s", error)  # noqa: TRY400 - where in the code it arose helps nobody
        return False
    if not found:
        book.returns.read(box.name, now=clock())
    return bool(found)


async def take(
    book: ledger.Ledger,
    settings: config.Settings,
    arrived: inbox.Arrived,
    mailbox: str,
    now: dt.datetime,
) -> records.Delivery | None:
    """Take in one mail; return the delivery that it has moved, if any.

    1. Keep the mail as it came in a file named by its hash.
    2. Write down the mail, all that it changes, and how far the mailbox is read, in one
       transaction.

    After a crash between them the next reading finds the file there and goes on.
    """
    # In a thread: a hostile mail is a second's work, and letters must not wait for that.
    sha256, path = await asyncio.to_thread(_keep, settings, arrived.raw)
    mail = await asyncio.to_thread(returned.read, arrived.raw)
    found = match(book, mail)
    arrival = verbs.Arrival(
        sha256=sha256,
        kind=mail.kind,
        delivery_id=found.row.id if found else None,
        matched=found.how if found else "",
        at=now,
        sender=mail.sender,
        subject=mail.subject,
        status=mail.status,
        said=f"{mail.said}{arrived.note}",
        path=path,
        forward="due" if settings.forward_to and _is_news(book, found, mail, now) else "",
    )
    place = verbs.Place(mailbox=mailbox, cursor=arrived.cursor)
    for _ in range(TRIES):
        meaning = _meaning(book, found, mail, now) if found else verbs.Meaning()
        with contextlib.suppress(errors.WrongState):
            new = book.returns.take(arrival, meaning, place, now=now)
            return _told(meaning, mail) if new else None
    message = f"delivery {found.row.id if found else 0} keeps changing"
    raise errors.WrongState(message, hint="the mail is taken in with the next reading")


def _told(meaning: verbs.Meaning, mail: returned.Returned) -> records.Delivery | None:
    """Say in the log what came back."""
    for change in meaning.changes:
        row = change.row
        new = change.moves[-1].new if change.moves else row.state
        log.info("delivery %d to %s: %s, now %s", row.id, row.target, mail.kind, new)
    return next((change.row for change in meaning.changes if change.moves), None)


def _keep(settings: config.Settings, raw: bytes) -> tuple[str, str]:
    """Have the mail on disk; return its hash and its path below state_dir."""
    sha256 = hashlib.sha256(raw).hexdigest()
    path = settings.state / "inbox" / sha256[:2] / f"{sha256}.eml"
    with contextlib.suppress(FileExistsError):
        disk.put(path, raw)
    return sha256, str(path.relative_to(settings.state))


def _is_news(
    book: ledger.Ledger, found: Match | None, mail: returned.Returned, now: dt.datetime
) -> bool:
    """Tell whether a person should see it.

    Some programs answer without saying what: such a mail of somebody who got a
    letter marks none, but is not kept from us either.
    """
    if mail.own or mail.kind not in FORWARDED:
        return False
    if found is not None:
        return True
    if mail.kind is not model.Return.ANSWER or not book.returns.wrote_to(mail.sender):
        return False
    return book.returns.untold(mail.sender, now - dt.timedelta(days=1)) < UNTOLD_A_DAY


# --- what it is about ----------------------------------------------------------------------------


def match(book: ledger.Ledger, mail: returned.Returned) -> Match | None:
    """Return what a mail is about; None where nothing tells, or what tells was made up."""
    if mail.own:
        return None
    for how, texts in (("verp", mail.recipients), ("envelope-id", mail.envelope_ids)):
        for token in map(verp.parse if how == "verp" else verp.read, texts):
            if token is not None and (found := _fitting(book, token, how)):
                return found
    # Our own letter, back by a list or a blind copy, answers nothing.
    if mail.message_id and _named(book, mail.message_id, ""):
        return None
    for how, ids in (("message-id", mail.about), ("references", mail.references)):
        for message_id in ids:
            if found := _named(book, message_id, how):
                return found
    return None


def _fitting(book: ledger.Ledger, token: verp.Token, how: str) -> Match | None:
    """Return the delivery of a token whose hash is that of its Message-ID."""
    part = max(token.part, 1)
    if token.ident > _MOST_IDENT:
        return None
    for row in book.deliveries.select(ids=[token.ident]):
        if token.fits(row.message_id):
            return Match(row=row, part=part, how=how)
    return None


def _named(book: ledger.Ledger, message_id: str, how: str) -> Match | None:
    part, first = 1, message_id
    if further := _PART.fullmatch(message_id):
        part, first = int(further[2]), further[1] + further[3]
    for row in book.returns.named({message_id, first}):
        return Match(row=row, part=part if row.message_id == first else 1, how=how)
    return None


# --- what it means -------------------------------------------------------------------------------


def _meaning(
    book: ledger.Ledger, found: Match, mail: returned.Returned, now: dt.datetime
) -> verbs.Meaning:
    changes = [_change(row, found, mail, now) for row in _rows(book, found)]
    return verbs.Meaning(changes=tuple(changes), stop=_stop(found.row, mail))


def _rows(book: ledger.Ledger, found: Match) -> Iterator[records.Delivery]:
    """Yield the delivery as it is now, and those whose letters went with its mail."""
    yield book.deliveries.get(found.row.id)
    yield from book.returns.merged(found.row.id)


def _change(
    row: records.Delivery, found: Match, mail: returned.Returned, now: dt.datetime
) -> verbs.Change:
    why = _words(mail)
    moves = []
    state = row.state
    if _settles(row, found):
        state, values = outcomes.taken(row, row.handed_at or now)
        # So that no worker can settle it otherwise, or send a second copy.
        values |= {"fence": row.fence + 1, "next_try": None, "lease_until": None, "owner": ""}
        moves.append(verbs.Move(new=state, why=f"it has left: {why}", values=values))
    if mail.kind is model.Return.BOUNCE and state == "sent":
        moves.append(verbs.Move(new="bounced", why=why))
    if mail.kind is model.Return.ANSWER and state in {"sent", "bounced"}:
        moves.append(verbs.Move(new="answered", why=why))
    return verbs.Change(row=row, moves=tuple(moves), note=why)


def _settles(row: records.Delivery, found: Match) -> bool:
    """Tell whether a mail about this letter shows what nobody knew: that it has left."""
    if row.id == found.row.id and row.part != found.part:
        return False  # of several mails, it is about one that is known to have left
    doubted = row.state in _DOUBTED_BEFORE and row.handed_at is not None
    return row.state in _DOUBTED or doubted


def _words(mail: returned.Returned) -> str:
    """Return what came back in one line, for people."""
    if mail.kind is model.Return.BOUNCE:
        return f"bounce ({'hard' if mail.hard else 'soft'}): {_said(mail)}"
    if mail.kind is model.Return.ANSWER:
        return f"answer from {mail.sender or 'somebody'}"
    return f"{mail.kind}: {_said(mail)}"


def _said(mail: returned.Returned) -> str:
    known = mail.said.startswith(mail.status) or f" {mail.status} " in mail.said
    return mail.said if known else f"{mail.status} {mail.said}"


def _stop(row: records.Delivery, mail: returned.Returned) -> verbs.Stop | None:
    """Say that an address is dead or has complained, so that no letter goes there any more."""
    reason = ""
    if row.handed_at is None and row.part == 1:
        return None  # none of it was ever out, so the notice is forged
    if mail.kind is model.Return.COMPLAINT:
        reason = model.Suppression.COMPLAINED
    elif mail.hard and _same(row.email, mail.failed):
        reason = model.Suppression.BOUNCED
    if not reason:
        return None
    # The ledger's list of those who must not be written to has no address in the clear.
    shown = screen.masked(row.email)
    evidence = re.sub(re.escape(row.email), lambda _: shown, _words(mail), flags=re.IGNORECASE)
    return verbs.Stop(address=row.email, reason=reason, evidence=evidence)


def _same(address: str, others: tuple[str, ...]) -> bool:
    """Tell whether a notice is about the address that we wrote to, not one behind it."""
    normal = screen.normalise_email(address)
    return any(screen.normalise_email(other) == normal for other in others)
