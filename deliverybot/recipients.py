"""Recipients: who holds the office, whether it may be written to, and how often.

All of it is over all campaigns: an address is one mailbox whatever campaign
names it, in whatever case, with or without a plus tag.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import datetime as dt
import functools
import logging
import zoneinfo
from collections.abc import Callable, Iterable, Iterator, Mapping

from deliverybot import campaign as campaigns
from deliverybot import errors, faults, hours, ledger, model, places, screen
from deliverybot.ledger import queue, records

log = logging.getLogger(__name__)

#: Days before the end of a tenure from which `check` warns.
WARNED = dt.timedelta(days=30)
#: Nothing of these has left for certain, so they can be stopped.
_STOPPABLE = ("due", "held", "approved", "retrying")

Known = Mapping[str, campaigns.Campaign]


@functools.lru_cache(maxsize=100_000)
def mailbox(address: str) -> str:
    """Return what tells whether two addresses are one mailbox."""
    return screen.normalise_email(address) or address.casefold()


def target_of(row: records.Delivery, known: Known) -> campaigns.Target | None:
    """Return whom a delivery is for; None if no campaign names them any more."""
    campaign = known.get(row.campaign)
    if campaign is None:
        return None
    return next((target for target in campaign.targets if target.id == row.target), None)


# --- tenure ------------------------------------------------------------------------------------


def today(target: campaigns.Target, now: dt.datetime) -> dt.date:
    """Return the day that it is at a target's."""
    return now.astimezone(zoneinfo.ZoneInfo(target.timezone)).date()


def begins(target: campaigns.Target) -> dt.datetime | None:
    """Return when a target's tenure begins; None where nothing is said of that."""
    if target.since is None:
        return None
    midnight = dt.datetime.combine(target.since, dt.time())
    return hours.to_utc(midnight, zoneinfo.ZoneInfo(target.timezone))


def ended(campaign: campaigns.Campaign, target: campaigns.Target, now: dt.datetime) -> str:
    """Say that a target's tenure has ended, where that is written and what to do; or nothing."""
    if target.until is None or today(target, now) <= target.until:
        return ""
    return str(_tenure(campaign, target, "fault", f"was in office until {target.until}"))


def _tenure(
    campaign: campaigns.Campaign, target: campaigns.Target, level: str, what: str
) -> errors.Fault:
    hint = "write who holds the office now (name, email, salutation), and take 'until' out"
    if level == "fault":
        hint += "; a letter to the predecessor is held until then"
    place = _place(campaign, target, "until")
    return dataclasses.replace(place, level=level, what=f"{target.name} {what}", hint=hint)


def _place(campaign: campaigns.Campaign, target: campaigns.Target, key: str) -> errors.Fault:
    """Return a fault at the place of a target's key, still without words."""
    text = ""
    with contextlib.suppress(errors.ConfigError):
        text = places.read(campaign.file)
    origin = faults.Origin(file=str(campaign.file), text=text, data={}, model=campaigns.Campaign)
    return origin.fault(("targets", campaign.targets.index(target), key), "")


# --- what must not be written -------------------------------------------------------------------


def stop(book: ledger.Ledger, known: Known, now: dt.datetime) -> set[int]:
    """Suppress or hold every letter that must not go; return those that must not be made.

    A person's word, such as a new name in the campaign, lets a held one be made again.
    """
    forbidden = book.suppressions.look()
    stopped = set()
    for row in book.deliveries.select(states=_STOPPABLE):
        target = target_of(row, known)
        if target is None or row.part > 1:
            continue
        # Of a letter that was tried, the address stays; of others the campaign's counts.
        address = row.email if row.handed_at else target.email
        if found := forbidden(address):
            stopped.add(row.id)
            _move(book, row, model.Delivery.SUPPRESSED, str(found), {}, now)
        elif problem := ended(known[row.campaign], target, now):
            stopped.add(row.id)
            hold(book, row, problem, now)
    return stopped


def hold(book: ledger.Ledger, row: records.Delivery, problem: str, now: dt.datetime) -> None:
    """Hold a letter to somebody who is not in office any more, once."""
    if row.state == model.Delivery.HELD and row.problem == problem:
        return
    values = {**queue.UNAPPROVED, "problem": problem}
    why = "the target's tenure has ended"
    _move(book, row, model.Delivery.HELD, why, values, now)


def _move(
    book: ledger.Ledger,
    row: records.Delivery,
    state: model.Delivery,
    why: str,
    values: Mapping[str, object],
    now: dt.datetime,
) -> None:
    with contextlib.suppress(errors.WrongState):  # somebody has moved it just now
        book.deliveries.move(row, state, who="deliverybot", why=why, now=now, values=values)
        log.warning("delivery %d to %s is %s: %s", row.id, row.target, state, why)


# --- how often ----------------------------------------------------------------------------------


def limits(known: Known, address: str) -> list[tuple[int, int]]:
    """Return the budgets of an address, (mails, seconds), over all campaigns: each must hold."""
    box = mailbox(address)
    found = {
        target.budget_limit
        for campaign in known.values()
        for target in campaign.targets
        if target.budget_limit is not None and mailbox(target.email) == box
    }
    return sorted(found)


def quotas(known: Known, address: str, now: dt.datetime) -> list[queue.Quota]:
    """Return what the budgets of an address allow, as a claim takes them."""
    return [
        queue.Quota(most=most, since=now - dt.timedelta(seconds=seconds))
        for most, seconds in limits(known, address)
    ]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What the budgets of an address leave."""

    #: Mails that may go now; None for any number.
    mails: int | None
    #: When the next one may go, and the budget that says so, such as "1/week"; now and empty.
    free: dt.datetime
    budget: str = ""


def room(book: ledger.Ledger, known: Known, address: str, now: dt.datetime) -> Room:
    """Return how many mails an address may get now, and when the next one may go."""
    found = Room(mails=None, free=now)
    for most, seconds in limits(known, address):
        since = now - dt.timedelta(seconds=seconds)
        handed = book.deliveries.mailed(address, since, now)
        left = max(most - len(handed), 0)
        if found.mails is None or left < found.mails:
            found = dataclasses.replace(found, mails=left)
        if left == 0:
            free = sorted(handed)[-most] + dt.timedelta(seconds=seconds)
            if free > found.free:
                found = dataclasses.replace(found, free=free, budget=_said(known, most, seconds))
    return found


def _said(known: Known, most: int, seconds: int) -> str:
    """Return a budget as somebody wrote it."""
    written = (target for campaign in known.values() for target in campaign.targets)
    return next(str(one.budget) for one in written if one.budget_limit == (most, seconds))


# --- what `check` says ----------------------------------------------------------------------------


def check(
    known: Iterable[campaigns.Campaign],
    forbidden: Callable[[str], records.Suppression | None],
    now: dt.datetime,
) -> list[errors.Fault]:
    """Name targets whose tenure ends, who must not be written to, or who share an address."""
    return [fault for campaign in known for fault in _of(campaign, forbidden, now)]


def _of(
    campaign: campaigns.Campaign,
    forbidden: Callable[[str], records.Suppression | None],
    now: dt.datetime,
) -> Iterator[errors.Fault]:
    for target in campaign.targets:
        day = today(target, now)
        if target.until is not None and day > target.until:
            yield _tenure(campaign, target, "fault", f"was in office until {target.until}")
        elif target.until is not None and day > target.until - WARNED:
            yield _tenure(campaign, target, "warning", f"is in office until {target.until}")
        if found := forbidden(target.email):
            place = _place(campaign, target, "email")
            what = f"{target.id} {found}"
            hint = f"no letter goes there until `deliverybot suppressions lift {found.id}`"
            yield dataclasses.replace(place, level="warning", what=what, hint=hint)
    yield from _shared(campaign)


def _shared(campaign: campaigns.Campaign) -> Iterator[errors.Fault]:
    """Name targets of one campaign with one address: each is sent a letter of its own."""
    boxes = collections.defaultdict[str, list[campaigns.Target]](list)
    for target in campaign.targets:
        boxes[mailbox(target.email)].append(target)
    for sharing in boxes.values():
        if len(sharing) == 1:
            continue
        names = ", ".join(one.id for one in sharing)
        what = f"the targets {names} have one address, which gets {len(sharing)} letters"
        hint = "leave one of them, give each their own address, or set a budget to space them out"
        place = _place(campaign, sharing[1], "email")
        yield dataclasses.replace(place, level="warning", what=what, hint=hint)
