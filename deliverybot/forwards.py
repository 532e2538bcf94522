"""Forwards: send a person here a copy of each answer, bounce and complaint, once.

The crash protocol is that of the letters: `handing_over` is committed before
the final dot, and what is cut off behind it is never sent again by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging

from deliverybot import agenda, config, errors, ledger, mail, model
from deliverybot.ledger import records
from deliverybot.mail import built, mailbox, passed, returned

log = logging.getLogger(__name__)

#: A copy that the relay does not take for so long is given up; the mail itself is kept.
GIVE_UP = dt.timedelta(days=5)
#: Seconds beyond the relay's own time that a worker has for its answer.
MARGIN = 60
#: Of `max_message`, what a mail may have to be attached: it may grow by a third on its way.
SHARE = 0.7


async def forward(book: ledger.Ledger, courier: mail.Transport, desk: agenda.Desk) -> None:
    """Send all copies that are due; those that the relay puts off stay due."""
    for row in book.returns.forwards("due") if desk.settings.forward_to else []:
        reply = await forward_one(book, courier, desk, row)
        if reply.outcome is not model.Outcome.DONE and mail.about_relay(reply):
            return


async def forward_one(
    book: ledger.Ledger, courier: mail.Transport, desk: agenda.Desk, row: records.Return
) -> model.Reply:
    """Send one copy.

    1. Hand it to the relay, which commits `handing_over` before the dot.
    2. Write down what the relay said.

    A crash before the dot leaves `due`; one behind it leaves `handing_over`,
    which becomes `unsure`.  Two workers may build the same copy, and one of
    them alone comes to the dot.
    """
    settings, over = desk.settings, False

    def handing_over() -> None:
        nonlocal over
        book.returns.hand_over(row, who=desk.owner, now=desk.clock())
        over = True

    def settle(reply: model.Reply) -> model.Reply:
        now = desk.clock()
        new = _state(row, reply, now)
        book.returns.settle(row, reply, new, over=over, who=desk.owner, now=now)
        level = logging.INFO if new == "sent" else logging.WARNING
        log.log(level, "copy of return %d: %s (%s)", row.id, new, reply)
        return reply

    try:
        made = await asyncio.to_thread(_copy, desk, row)
        reply = await courier.hand_over(
            made,
            sender=settings.sender.address,
            recipient=settings.forward_to,
            token=f"return.{row.sha256[:20]}",
            on_handing_over=handing_over,
        )
        return settle(reply)
    except asyncio.CancelledError:
        outcome = model.Outcome.UNSURE if over else model.Outcome.LATER
        settle(model.Reply(outcome=outcome, phase="stop", text="deliverybot was stopped"))
        raise
    except (errors.OutgoingError, OSError) as error:
        return settle(model.Reply(outcome=model.Outcome.HUMAN, phase="build", text=str(error)))
    except errors.LostClaim:
        text = "another worker forwards it"
        return model.Reply(outcome=model.Outcome.LATER, phase="stop", text=text)


def recover(
    book: ledger.Ledger, settings: config.Settings, now: dt.datetime, *, alone: bool
) -> None:
    """Settle what a dead worker left behind; `alone` says that no other one can be at work."""
    waits = dt.timedelta(seconds=settings.mail.timeouts.done + MARGIN)
    for row in book.returns.forwards("handing_over"):
        if not alone and row.forwarded_at is not None and row.forwarded_at + waits > now:
            continue
        there = mail.evidence(settings, passed.message_id(row.sha256, settings.sender.address))
        new, outcome = _EVIDENCE[there]
        text = "stopped after the final dot, before the answer"
        reply = model.Reply(outcome=outcome, phase="crash", text=text)
        book.returns.settle(row, reply, new, over=True, who="deliverybot", now=now)


_EVIDENCE = {
    True: ("sent", model.Outcome.DONE),
    False: ("due", model.Outcome.LATER),
    None: ("unsure", model.Outcome.UNSURE),
}


def _state(row: records.Return, reply: model.Reply, now: dt.datetime) -> str:
    """Return where a reply leaves the copy."""
    if reply.outcome is model.Outcome.DONE:
        return "sent"
    if reply.outcome is model.Outcome.UNSURE:
        return "unsure"
    put_off = reply.outcome is model.Outcome.LATER or mail.about_relay(reply)
    return "due" if put_off and now - row.at < GIVE_UP else "refused"


# --- its words -----------------------------------------------------------------------------------


def _copy(desk: agenda.Desk, row: records.Return) -> built.Built:
    settings = desk.settings
    file = settings.state / row.path
    # Somebody in it may have been erased since.
    raw = file.read_bytes() if file.exists() else b""
    fits = 0 < len(raw) <= settings.mail.max_message_bytes * SHARE
    copy = passed.Copy(
        from_name=settings.sender.name,
        from_address=settings.sender.address,
        to_address=settings.forward_to,
        reply_to=_answerer(raw) if row.kind == model.Return.ANSWER else "",
        subject=f"{_TITLES[model.Return(row.kind)]}: {row.subject or '(no subject)'}"[:200],
        text="\n".join(_lines(row, _where(row, raw, attached=fits))) + "\n",
        raw=raw if fits else b"",
        sha256=row.sha256,
        date=row.at.replace(microsecond=0),
    )
    return passed.build(copy, desk.signers)


def _answerer(raw: bytes) -> str:
    """Return whom an answer goes to; nobody where that is no address that mail can go to."""
    read = returned.read(raw)
    for address in (read.reply_to, read.sender):
        with contextlib.suppress(errors.OutgoingError):
            if address.isascii():
                return mailbox.address(address)
    return ""


_TITLES = {
    model.Return.ANSWER: "Answer",
    model.Return.BOUNCE: "Not delivered",
    model.Return.COMPLAINT: "Complaint",
}
_MEANINGS = {
    model.Return.ANSWER: "Somebody answered the letter. An answer to this mail goes to them.",
    model.Return.BOUNCE: "The letter was not delivered.",
    model.Return.COMPLAINT: "The letter was reported as unwanted; no more goes to that address.",
}


_UNTOLD = (
    "Somebody who got a letter wrote. The mail does not say which letter it is about,"
    " so none is marked as answered."
)


def _where(row: records.Return, raw: bytes, *, attached: bool) -> str:
    """Say where the mail itself is."""
    if attached:
        return "The mail as it came is attached."
    if not raw:
        return "The mail as it came is removed: a signer in the letter with it is erased."
    return f"The mail as it came is too large to be attached; it lies in state_dir/{row.path}."


def _lines(row: records.Return, where: str) -> list[str]:
    known = [f"Campaign: {row.campaign}", f"Target: {row.target}"]
    return [
        _MEANINGS[model.Return(row.kind)] if row.delivery_id else _UNTOLD,
        "",
        *(known if row.delivery_id else []),
        f"From: {row.sender}",
        f"Subject: {row.subject}",
        *([f"Status: {row.status}"] if row.status else []),
        "",
        row.said,
        "",
        where,
        f"deliverybot returns show {row.id}",
    ]
