"""Deliveries: mail each approved letter, in the target's hours, exactly once.

The crash protocol (DESIGN section 6) is the order of the writes::

    sending        committed before the relay is spoken to     a crash: not sent, goes back
    handing_over   committed before the final dot              a crash: unsure
    sent           committed after a clean positive answer
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
import functools
import hashlib
import logging
import random
from collections.abc import Callable, Iterator, Mapping

from deliverybot import campaign as campaigns
from deliverybot import config, errors, hours, ledger, mail, model
from deliverybot.ledger import queue, records
from deliverybot.mail import frozen, message

log = logging.getLogger(__name__)

#: Minutes between tries; the last one repeats until GIVE_UP.
BACKOFF = (5, 15, 45, 120, 240)
GIVE_UP = dt.timedelta(days=5)
#: Each wait is longer or shorter by up to this share, so that letters spread.
JITTER = 0.2
#: A relay that asks for patience is obeyed within these bounds.
PATIENCE = (dt.timedelta(minutes=1), dt.timedelta(hours=4))
#: After a fault of the relay, nothing is tried for so long.
RELAY_PAUSE = dt.timedelta(minutes=5)
#: Seconds a lease lasts beyond the time-outs that it covers.
LEASE_MARGIN = 60


@dataclasses.dataclass(slots=True, kw_only=True)
class Pause:
    """The relay is left alone until a time, after it failed as a whole."""

    until: dt.datetime | None = None


def _everything() -> Callable[[records.Delivery], bool]:
    return lambda _: True


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What sending needs besides the ledger."""

    settings: config.Settings
    campaigns: Mapping[str, campaigns.Campaign]
    #: Names this process in claims and in the audit log.
    owner: str
    clock: Callable[[], dt.datetime]
    pause: Pause = dataclasses.field(default_factory=Pause)
    #: Gives, for one look at the queue, the test whether a letter is still what would be
    #: made now: the same signers may be named, the address is the same.
    look: Callable[[], Callable[[records.Delivery], bool]] = _everything


async def send_one(book: ledger.Ledger, courier: mail.Transport, desk: Desk) -> bool:
    """Send the approved delivery that has waited longest and may go now.

    1. Claim it: commit `sending` under a new fencing number.
    2. Hand it to the relay, which commits `handing_over` before the dot.
    3. Write down what the relay said.

    A crash between 1 and the dot leaves `sending`, and the next start puts it
    back; a crash between the dot and 3 leaves `handing_over`, which becomes
    `unsure` and is never sent again by the machine.  Return True if there may
    be more.
    """
    claimed = _claim(book, desk)
    if claimed is None:
        return False
    row, claim = claimed
    try:
        date = row.first_try or desk.clock()
        letter = frozen.letter(row, desk.settings.state, date)
        raw = await asyncio.to_thread(message.build, letter)
    except errors.OutgoingError as error:
        reply = model.Reply(outcome=model.Outcome.HUMAN, phase="build", text=str(error))
        _settle(book, desk, row, claim, reply)
        return True
    if len(raw) > desk.settings.mail.max_message_bytes:
        text = f"the message has {len(raw)} bytes, more than max_message allows"
        reply = model.Reply(outcome=model.Outcome.HUMAN, phase="build", text=text)
        _settle(book, desk, row, claim, reply)
        return True
    reply = await _hand_over(book, courier, desk, row, claim, raw)
    _settle(book, desk, row, claim, reply, hashlib.sha256(raw).hexdigest())
    if relay_failed(reply):
        desk.pause.until = desk.clock() + RELAY_PAUSE
        return False
    return True


async def _hand_over(
    book: ledger.Ledger,
    courier: mail.Transport,
    desk: Desk,
    row: records.Delivery,
    claim: queue.Claim,
    raw: bytes,
) -> model.Reply:
    """Hand the bytes to the relay; a cancel is settled before it goes on."""
    over = False

    def handing_over() -> None:
        nonlocal over
        lease = dt.timedelta(seconds=desk.settings.mail.timeouts.done + LEASE_MARGIN)
        sha256 = hashlib.sha256(raw).hexdigest()
        book.deliveries.hand_over(
            claim, lease=lease, who=desk.owner, sha256=sha256, now=desk.clock(),
            by=desk.settings.mail.transport,
        )  # fmt: skip
        over = True

    try:
        return await courier.hand_over(
            raw, sender=row.from_address, recipient=row.email, on_handing_over=handing_over
        )
    except asyncio.CancelledError:
        outcome = model.Outcome.UNSURE if over else model.Outcome.LATER
        reply = model.Reply(outcome=outcome, phase="stop", text="deliverybot was stopped")
        _settle(book, desk, row, claim, reply)
        raise
    except errors.LostClaim:
        text = "another worker took it over; nothing was handed over"
        return model.Reply(outcome=model.Outcome.LATER, phase="stop", text=text)


def recover(book: ledger.Ledger, desk: Desk, *, alone: bool) -> list[records.Delivery]:
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
        there = mail.evidence(desk.settings, row.message_id)
        if there is False and not row.why.endswith(" by folder"):
            there = None  # it was handed to a relay, whatever config.toml says today
        state, outcome_, text = _EVIDENCE[there]
        reply = model.Reply(outcome=outcome_, phase="crash", text=text)
        values: dict[str, object] = {"sent_at": row.handed_at} if state == "sent" else {}
        if _finish(book, desk, claim, reply, state, values) and state == "unsure":
            unsure.append(row)
    return unsure


#: What it means that the message is there, is not there, or cannot be known to be.
_EVIDENCE = {
    True: ("sent", model.Outcome.DONE, "stopped after handing over; the message is there"),
    False: ("retrying", model.Outcome.LATER, "stopped while handing over; nothing arrived"),
    None: ("unsure", model.Outcome.UNSURE, "stopped after the final dot, before the answer"),
}


def when(
    row: records.Delivery, campaign: campaigns.Campaign | None, now: dt.datetime
) -> tuple[dt.datetime | None, str]:
    """Return when a delivery may go, and why not now; (now, "") when it may.

    None means that no machine will send it as things stand.
    """
    if campaign is None:
        return None, f"there is no campaign {row.campaign} any more"
    target = _target(row, campaign)
    if target is None:
        return None, f"the campaign has no target {row.target} any more"
    at, why = now, ""
    if row.next_try is not None and row.next_try > now:
        at, why = row.next_try, "waits before the next try"
    opens = hours.next_open(at, target.office, target.timezone, target.holidays)
    if opens > at:
        why = hours.why_closed(at, target.office, target.timezone, target.holidays)
    return opens, why


def _claim(book: ledger.Ledger, desk: Desk) -> tuple[records.Delivery, queue.Claim] | None:
    """Claim the first delivery that may go now, holding back what has changed."""
    now = desk.clock()
    if rate_used(book, desk.settings, now):
        return None
    for row, target in _ready(book, desk, now):
        if changed := _changed(row, desk):
            _hold(book, row, changed, now)
            continue
        claim = book.deliveries.claim(
            row, owner=desk.owner, lease=_lease(desk.settings.mail), now=now,
            quota=_quota(target, now),
        )  # fmt: skip
        if claim is not None:
            return dataclasses.replace(row, first_try=row.first_try or now), claim
    return None


def ready(book: ledger.Ledger, desk: Desk) -> int:
    """Count the deliveries that may go now."""
    return sum(1 for _ in _ready(book, desk, desk.clock()))


def _ready(
    book: ledger.Ledger, desk: Desk, now: dt.datetime
) -> Iterator[tuple[records.Delivery, campaigns.Target]]:
    """Yield what waits for nothing but us, longest waiting first."""
    if desk.pause.until is not None and now < desk.pause.until:
        return
    is_current = desk.look()
    find = _opening(desk, now)
    for row in book.deliveries.ready(now):
        target = find(row)
        if target is not None and is_current(row):
            yield row, target


def _opening(desk: Desk, now: dt.datetime) -> Callable[[records.Delivery], campaigns.Target | None]:
    """Give the search for a row's target, None while its office is closed; each clock read once."""
    targets = {
        (slug, target.id): target
        for slug, campaign in desk.campaigns.items()
        for target in campaign.targets
    }

    @functools.cache
    def is_open(office: str, timezone: str, holidays: str) -> bool:
        return hours.next_open(now, hours.Hours.parse(office), timezone, holidays) == now

    def find(row: records.Delivery) -> campaigns.Target | None:
        target = targets.get((row.campaign, row.target))
        if target is None or not is_open(target.hours, target.timezone, target.holidays):
            return None
        return target

    return find


def _hold(book: ledger.Ledger, row: records.Delivery, why: str, now: dt.datetime) -> None:
    """Take the approval back, unless somebody has moved the row just now."""
    values = {"approved_digest": "", "approved_by": "", "problem": why}
    with contextlib.suppress(errors.WrongState):
        book.deliveries.move(row, "held", who="deliverybot", why=why, now=now, values=values)


def _lease(settings: config.Mail) -> dt.timedelta:
    """Cover every wait before the dot: connecting, seven commands, a slow body."""
    waits = settings.timeouts
    return dt.timedelta(seconds=waits.connect + 7 * waits.command + 10 * waits.stall + LEASE_MARGIN)


def rate_used(book: ledger.Ledger, settings: config.Settings, now: dt.datetime) -> bool:
    """Tell whether `per_hour` letters have left within the hour, over restarts too.

    Letters on their way to the relay count: several connections share the rate.
    """
    handed = book.deliveries.handed_since(now - dt.timedelta(hours=1))
    on_the_way = book.deliveries.select(states=("sending",))
    return len(handed) + len(on_the_way) >= settings.mail.per_hour


def _quota(target: campaigns.Target, now: dt.datetime) -> queue.Quota | None:
    if target.budget_limit is None:
        return None
    most, seconds = target.budget_limit
    return queue.Quota(most=most, since=now - dt.timedelta(seconds=seconds))


def _target(row: records.Delivery, campaign: campaigns.Campaign) -> campaigns.Target | None:
    return next((t for t in campaign.targets if t.id == row.target), None)


def _changed(row: records.Delivery, desk: Desk) -> str:
    """Say what differs from what was approved; empty when nothing does."""
    try:
        now = message.digest(frozen.letter(row, desk.settings.state, desk.clock()))
    except errors.OutgoingError as error:
        return str(error)
    return "" if now == row.approved_digest else "the letter is not the one that was approved"


def relay_failed(reply: model.Reply) -> bool:
    """Tell whether the relay as a whole, not this letter, was the trouble."""
    return reply.outcome is not model.Outcome.DONE and mail.about_relay(reply)


def outcome(
    row: records.Delivery, reply: model.Reply, now: dt.datetime
) -> tuple[str, dict[str, object]]:
    """Return the state that a reply leads to, and the columns that go with it."""
    if reply.outcome is model.Outcome.DONE:
        return "sent", {"sent_at": now}
    if reply.outcome is not model.Outcome.UNSURE and reply.phase == "stop":
        return "approved", {}
    if reply.outcome is not model.Outcome.UNSURE and relay_failed(reply):
        return "approved", {"next_try": now + RELAY_PAUSE}
    if reply.outcome is model.Outcome.LATER and now - (row.first_try or now) < GIVE_UP:
        return "retrying", {"next_try": now + wait(row.attempts, reply.retry_after)}
    return _DEAD_ENDS[reply.outcome], {}


#: Where it ends without a yes; LATER for too long is a person's matter.
_DEAD_ENDS = {
    model.Outcome.LATER: "human",
    model.Outcome.HUMAN: "human",
    model.Outcome.REFUSED: "refused",
    model.Outcome.UNSURE: "unsure",
}


def wait(attempts: int, asked: float | None) -> dt.timedelta:
    """Return how long to wait after so many earlier tries."""
    if asked is not None:
        return min(max(dt.timedelta(seconds=asked), PATIENCE[0]), PATIENCE[1])
    step = BACKOFF[min(attempts, len(BACKOFF) - 1)]
    spread = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spreads load, hides nothing
    return dt.timedelta(minutes=step * spread)


def _settle(
    book: ledger.Ledger,
    desk: Desk,
    row: records.Delivery,
    claim: queue.Claim,
    reply: model.Reply,
    sha256: str = "",
) -> None:
    """Turn a reply into the delivery's next state."""
    state, values = outcome(row, reply, desk.clock())
    _finish(book, desk, claim, reply, state, values, sha256)
    level = logging.INFO if state == "sent" else logging.WARNING
    log.log(level, "delivery %d to %s: %s (%s)", row.id, row.target, state, reply)


def _finish(
    book: ledger.Ledger,
    desk: Desk,
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
