"""Deliveries: mail each approved letter, in the target's hours, exactly once.

The crash protocol (DESIGN section 6) is the order of the writes::

    sending        committed before the relay is spoken to     a crash: not sent, goes back
    handing_over   committed before the final dot              a crash: unsure
    sent           committed after a clean positive answer; `approved` with the
                   next part, where the letter goes in several mails
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
import logging

from deliverybot import (
    agenda,
    approvals,
    config,
    errors,
    ledger,
    mail,
    model,
    outcomes,
    recipients,
    relay_health,
)
from deliverybot.ledger import queue, records
from deliverybot.mail import built, frozen, line, message, verp

log = logging.getLogger(__name__)

#: Seconds a lease lasts beyond the time-outs that it covers.
LEASE_MARGIN = 60


async def send_one(book: ledger.Ledger, courier: mail.Transport, desk: agenda.Desk) -> bool:
    """Send the approved delivery that has waited longest and may go now.

    Of a letter in several mails it sends one; the row then waits for the next.

    1. Claim it: commit `sending` under a new fencing number.
    2. Hand it to the relay, which commits `handing_over` before the dot.
    3. Write down what the relay said.

    A crash between 1 and the dot leaves `sending`, and the next start puts it
    back; a crash between the dot and 3 leaves `handing_over`, which becomes
    `unsure` and is never sent again by the machine.  Return True if there may
    be more.
    """
    claimed = await _claim(book, desk)
    if claimed is None:
        return False
    row, claim = claimed
    made = await _built(row, desk)
    if isinstance(made, model.Reply):
        _settle(book, desk, row, claim, made)
        return True
    reply = await _hand_over(book, courier, desk, row, claim, made)
    _settle(book, desk, row, claim, reply, made.sha256)
    return True


async def _built(row: records.Delivery, desk: agenda.Desk) -> built.Built | model.Reply:
    """Return the mail that goes next, or why there is none."""
    human = model.Outcome.HUMAN
    if desk.sealer is not None and (lapsed := desk.sealer.lapsed(desk.clock())):
        # As with a relay that refuses our account: no letter can leave and none is charged,
        # a person is told once, and one letter at a time tries whether it is mended.
        return model.Reply(outcome=human, phase=mail.CERTIFICATE, text=lapsed)
    date = row.first_try or desk.clock()
    if desk.sealer is not None and (predated := desk.sealer.predated(date)):
        # A retry after the certificate was renewed: readers look at the time of a signature.
        return model.Reply(outcome=human, phase="build", text=predated)
    try:
        letter = frozen.letter(row, desk.settings.state, date)
        # Not in the thread: what is busy in Python there holds up every other connection.
        texts = message.prove(letter, sealed=desk.sealer is not None)
        made = await asyncio.to_thread(message.finish, letter, texts, desk.signers, desk.sealer)
    except (errors.OutgoingError, OSError) as error:
        # A full disk gets better by itself, a letter that cannot be built does not.
        outcome = model.Outcome.LATER if isinstance(error, OSError) else human
        return model.Reply(outcome=outcome, phase="build", text=str(error))
    most = desk.settings.mail.max_message_bytes
    if made.size > most:
        text = f"the message has {made.size} bytes, more than max_message allows"
        return model.Reply(outcome=human, phase="build", text=text, room=most)
    return made


async def _hand_over(
    book: ledger.Ledger,
    courier: mail.Transport,
    desk: agenda.Desk,
    row: records.Delivery,
    claim: queue.Claim,
    made: built.Built,
) -> model.Reply:
    """Hand the bytes to the relay; a cancel is settled before it goes on."""
    over = False

    def handing_over() -> None:
        nonlocal over
        lease = dt.timedelta(seconds=desk.settings.mail.timeouts.done + LEASE_MARGIN)
        if agenda.overslept(row, desk, claim.at):
            raise errors.LostClaim("the office has closed since")
        if row.linked:
            days = desk.campaigns[row.campaign].delivery.link_days
            book.links.leaves(row.id, desk.clock() + dt.timedelta(days=days))
        book.deliveries.hand_over(
            claim, lease=lease, who=desk.owner, sha256=made.sha256, now=desk.clock(),
            by=desk.settings.mail.transport,
        )  # fmt: skip
        desk.leaving()
        over = True

    try:
        return await courier.hand_over(
            made, sender=_envelope_sender(row, desk.settings.mail), recipient=row.email,
            token=verp.token(row.id, row.part, row.message_id), on_handing_over=handing_over,
        )  # fmt: skip
    except asyncio.CancelledError:
        outcome = model.Outcome.UNSURE if over else model.Outcome.LATER
        reply = model.Reply(outcome=outcome, phase="stop", text="deliverybot was stopped")
        _settle(book, desk, row, claim, reply)
        raise
    except errors.LostClaim as error:
        text = f"nothing was handed over: {error}"
        return model.Reply(outcome=model.Outcome.LATER, phase="stop", text=text)
    except errors.NotMarked as error:
        return model.Reply(outcome=model.Outcome.LATER, phase="mark", text=str(error))


def _envelope_sender(row: records.Delivery, settings: config.Mail) -> str:
    """Return where a bounce goes: to an address of this mail's own, if there is a place for it."""
    if not settings.bounces:
        return row.from_address
    return verp.sender(settings.bounces, row.id, row.part, row.message_id)


def recover(book: ledger.Ledger, desk: agenda.Desk, *, alone: bool) -> list[records.Delivery]:
    """Settle what a dead worker left behind; return the rows that are now unsure.

    `alone` says that no other process works on this ledger.
    """
    unsure = []
    for row in book.deliveries.orphans(desk.clock(), alone=alone, owner=desk.owner):
        claim = queue.Claim(id=row.id, fence=row.fence, seen=row.state)
        if row.state == model.Delivery.SENDING:
            text = "stopped before the final dot: not sent"
            reply = model.Reply(outcome=model.Outcome.LATER, phase="crash", text=text)
            # Its worker may live after all and be at the dot by now: then it goes on.
            _finish(book, desk, claim, reply, "approved", {})
            continue
        there = mail.evidence(desk.settings, frozen.message_id(row))
        if there is False and not row.why.endswith(" by folder"):
            there = None  # it was handed to a relay, whatever config.toml says today
        state, outcome_, text = _EVIDENCE[there]
        reply = model.Reply(outcome=outcome_, phase="crash", text=text)
        values: dict[str, object] = {}
        if there:
            state, values = outcomes.taken(row, row.handed_at or desk.clock())
        if _finish(book, desk, claim, reply, state, values) and state == "unsure":
            unsure.append(row)
    return unsure


#: What it means that the message is there, is not there, or cannot be known to be.
_EVIDENCE = {
    True: ("sent", model.Outcome.DONE, "stopped after handing over; the message is there"),
    False: ("retrying", model.Outcome.LATER, "stopped while handing over; nothing arrived"),
    None: ("unsure", model.Outcome.UNSURE, "stopped after the final dot, before the answer"),
}


async def _claim(
    book: ledger.Ledger, desk: agenda.Desk
) -> tuple[records.Delivery, queue.Claim] | None:
    """Claim the first delivery that may go now, holding back what has changed."""
    now = desk.clock()
    pace = agenda.pace(desk.settings, now)
    crowd, may = None, False
    for row, target in agenda.waiting(book, desk, now):
        if row.id in desk.in_hand or (crowd is not None and crowd.why_not(row.email)):
            continue
        if approvals.expired(row, desk.campaigns.get(row.campaign), now):
            continue  # the next look holds it
        if ended := recipients.ended(desk.campaigns[row.campaign], target, now):
            recipients.hold(book, row, ended, now)
            continue
        desk.in_hand.add(row.id)
        try:
            changed = await asyncio.to_thread(_changed, row, desk)
        finally:
            desk.in_hand.discard(row.id)
        if changed:
            _hold(book, row, changed, now)
            continue
        if not (may := may or relay_health.probe(book, desk.settings.mail, now)):
            return None
        claim = book.deliveries.claim(
            row, owner=desk.owner, lease=_lease(desk.settings.mail), now=now,
            quotas=recipients.quotas(desk.campaigns, row.email, now), pace=pace,
        )  # fmt: skip
        if claim is not None:
            return dataclasses.replace(row, first_try=row.first_try or now), claim
        # Somebody else may have been faster: look again before the next one.
        crowd = book.pacing.crowd(pace)
        if crowd.is_full:
            break
    if may:
        relay_health.probe_now(book, desk.settings.mail, now)  # none of these was the probe
    return None


def _hold(book: ledger.Ledger, row: records.Delivery, why: str, now: dt.datetime) -> None:
    """Take the approval back, unless somebody has moved the row just now."""
    values = {**queue.UNAPPROVED, "problem": why}
    with contextlib.suppress(errors.WrongState):
        book.deliveries.move(row, "held", who="deliverybot", why=why, now=now, values=values)


def _lease(settings: config.Mail) -> dt.timedelta:
    """Cover every wait before the dot: connecting, seven commands, a slow body."""
    waits = settings.timeouts
    total = waits.connect + 7 * waits.command + line.BODY * waits.stall
    return dt.timedelta(seconds=total + LEASE_MARGIN)


def _changed(row: records.Delivery, desk: agenda.Desk) -> str:
    """Say why a letter may not leave as it was approved; empty when it may."""
    if reason := mail.made_up(desk.settings.mail, row.email):
        return reason
    try:
        now = frozen.digest(row, desk.settings.state, desk.clock())
    except errors.OutgoingError as error:
        return str(error)
    return "" if now == row.approved_digest else "the letter is not the one that was approved"


def _settle(
    book: ledger.Ledger,
    desk: agenda.Desk,
    row: records.Delivery,
    claim: queue.Claim,
    reply: model.Reply,
    sha256: str = "",
) -> None:
    """Turn a reply into the delivery's next state."""
    reply = outcomes.explained(row, reply)
    state, values = outcomes.outcome(row, reply, desk.clock(), desk.settings.mail)
    _finish(book, desk, claim, reply, state, values, sha256)
    before, after = relay_health.note(book, desk.settings.mail, reply, desk.clock())
    level = logging.INFO if reply.done else logging.WARNING
    if before.paused and after.paused:
        level = logging.DEBUG  # a probe in vain: the pause was told of when it began
    log.log(level, "delivery %d to %s: %s (%s)", row.id, row.target, state, reply)
    if after.paused and not before.paused:
        log.error("%s", after.said())
    if before.paused and not after.paused:
        log.warning("mailing goes on; it was paused since %s UTC", f"{before.since:%Y-%m-%d %H:%M}")


def _finish(
    book: ledger.Ledger,
    desk: agenda.Desk,
    claim: queue.Claim,
    reply: model.Reply,
    state: str,
    values: dict[str, object],
    sha256: str = "",
) -> bool:
    """Write the answer down, unless another worker's word counts by now."""
    try:
        book.deliveries.settle(
            claim, reply, state, who=desk.owner, now=desk.clock(), values=values, sha256=sha256
        )
    except errors.LostClaim:
        log.warning("delivery %d was taken over by another worker; its word counts", claim.id)
        return False
    return True
