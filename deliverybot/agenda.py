"""Which deliveries may go now, when the others may, and why not yet."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping

from deliverybot import campaign as campaigns
from deliverybot import config, hours, ledger, relay_health
from deliverybot.ledger import pacing, queue, records
from deliverybot.mail import dkim

#: Rows read at a time: the first that may go is mostly among the first.
_PAGE = 50


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
    #: The keys that mails are signed with.
    signers: tuple[dkim.Signer, ...] = ()
    #: Called when a letter's last byte is about to leave and the ledger says so, on disk;
    #: raises NotMarked where it may not leave.
    leaving: Callable[[], None] = lambda: None
    #: Gives, for one look at the queue, the test whether a letter is still what would be
    #: made now: the same signers may be named, the address is the same.
    look: Callable[[], Callable[[records.Delivery], bool]] = _everything
    #: Rows that a worker of this process looks at just now: the others look at the next ones.
    in_hand: set[int] = dataclasses.field(default_factory=set)


def when(
    row: records.Delivery, campaign: campaigns.Campaign | None, now: dt.datetime
) -> tuple[dt.datetime | None, str]:
    """Return when a delivery may go, and why not now; (now, "") when it may.

    None means that no machine will send it as things stand.
    """
    if campaign is None:
        return None, f"there is no campaign {row.campaign} any more"
    target = target_of(row, campaign)
    if target is None:
        return None, f"the campaign has no target {row.target} any more"
    at, why = now, ""
    if row.next_try is not None and row.next_try > now:
        at, why = row.next_try, "waits before the next try"
        if row.state == "approved" and row.first_try is None:
            why = f"until then `deliverybot deliveries hold {row.id}` takes the approval back"
    opens = hours.next_open(at, target.office, target.timezone, target.holidays)
    if opens > at:
        why = hours.why_closed(at, target.office, target.timezone, target.holidays)
    return opens, why


def ready(book: ledger.Ledger, desk: Desk, most: int | None = None) -> int:
    """Count the deliveries that may go now, `most` at most."""
    return sum(1 for _ in itertools.islice(waiting(book, desk, desk.clock()), most))


def waiting(
    book: ledger.Ledger, desk: Desk, now: dt.datetime
) -> Iterator[tuple[records.Delivery, campaigns.Target]]:
    """Yield what waits for nothing but us, longest waiting first."""
    if not relay_health.of(book, desk.settings.mail).may_try(now):
        return
    crowd = book.pacing.crowd(pace(desk.settings, now))
    if crowd.is_full:
        return
    is_current = desk.look()
    find = _opening(desk, now)
    page = book.deliveries.ready(now, most=_PAGE)
    while page:
        for row in page:
            target = find(row)
            if target is not None and not crowd.why_not(row.email) and is_current(row):
                yield row, target
        page = book.deliveries.ready(now, after=page[-1].id, most=_PAGE)


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


def rate_used(book: ledger.Ledger, settings: config.Settings, now: dt.datetime) -> bool:
    """Tell whether `per_hour` letters have left within the hour or are about to."""
    return book.pacing.crowd(pace(settings, now)).is_full


def pace(settings: config.Settings, now: dt.datetime) -> pacing.Pace:
    """Return how fast letters may leave, all processes together and over restarts."""
    return pacing.Pace(
        per_hour=settings.mail.per_hour,
        per_domain=settings.mail.per_domain,
        per_domain_per_hour=settings.mail.per_domain_per_hour,
        since=now - dt.timedelta(hours=1),
    )


def quota(target: campaigns.Target, now: dt.datetime) -> queue.Quota | None:
    """Return what the budget of a target's address allows; None where it has none."""
    if target.budget_limit is None:
        return None
    most, seconds = target.budget_limit
    return queue.Quota(most=most, since=now - dt.timedelta(seconds=seconds))


def target_of(row: records.Delivery, campaign: campaigns.Campaign) -> campaigns.Target | None:
    """Return whom a delivery is for; None if the campaign does not name them any more."""
    return next((t for t in campaign.targets if t.id == row.target), None)
