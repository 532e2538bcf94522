"""Which deliveries may go now, when the others may, and why not yet."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import functools
import itertools
import zoneinfo
from collections.abc import Callable, Iterator, Mapping

from deliverybot import approvals, config, gathering, hours, ledger, recipients, relay_health
from deliverybot import campaign as campaigns
from deliverybot.ledger import pacing, records
from deliverybot.mail import dkim, identity

#: Rows read at a time: the first that may go is mostly among the first.
_PAGE = 50
#: A letter that takes longer from its claim to its final dot must not end in a closed office.
SLOT = dt.timedelta(minutes=10)


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
    #: As whom letters are signed for their readers.
    sealer: identity.Identity | None = None
    #: Called when a letter's last byte is about to leave and the ledger says so, on disk;
    #: raises NotMarked where it may not leave.
    leaving: Callable[[], None] = lambda: None
    #: Gives, for one look at the queue, the test whether a letter is still what would be
    #: made now: the same signers may be named, the address is the same.
    look: Callable[[], Callable[[records.Delivery], bool]] = _everything
    #: Rows that a worker of this process looks at just now: the others look at the next ones.
    in_hand: set[int] = dataclasses.field(default_factory=set)


class Waits(enum.StrEnum):
    """What a delivery waits for; beside each, what ends the waiting."""

    RENDERING = "rendering"  #: `run` makes the letter
    MENDING = "mending"  #: a person mends what the problem names
    APPROVAL = "approval"  #: a person approves
    PERSON = "person"  #: a person settles what became of it
    TARGET = "target"  #: a person puts the campaign or its target back
    TENURE = "tenure"  #: the first day in office, or a person names who follows
    SUPPRESSION = "suppression"  #: a person lifts it
    UNDO = "undo"  #: the time passes in which an approval may be taken back
    RETRY = "retry"  #: the time of the next try
    DIGEST = "digest"  #: the letters to one mailbox go in one mail
    BUDGET = "budget"  #: time passes since the last mails to the address
    RATE = "rate"  #: time passes since the last letters of all
    PAUSE = "pause"  #: the relay is tried again
    HOURS = "hours"  #: the office opens


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """When a delivery goes, and why not now."""

    #: None where it is gone, or no machine will send it as things stand.
    at: dt.datetime | None = None
    #: None where it waits for nothing: it may go now, or it is gone.
    waits_for: Waits | None = None
    #: The same in words.
    why: str = ""
    #: The target's own clock.
    timezone: str = "UTC"

    def __str__(self) -> str:
        """``goes on Fri 2026-11-27 09:00 Asia/Tokyo (00:00 UTC): outside office hours``."""
        said = "" if self.at is None else f"goes on {_local(self.at, self.timezone)}"
        return ": ".join(part for part in (said, self.why) if part)


def _local(at: dt.datetime, timezone: str) -> str:
    """Write a time on the target's clock and in UTC."""
    local = at.astimezone(zoneinfo.ZoneInfo(timezone))
    at = at.astimezone(dt.UTC)
    if local.utcoffset() == dt.timedelta(0):
        return f"{at:%a %Y-%m-%d %H:%M} UTC"
    day = "" if local.date() == at.date() else f"{at:%a %Y-%m-%d} "
    return f"{local:%a %Y-%m-%d %H:%M} {timezone} ({day}{at:%H:%M} UTC)"


#: States that nothing moves on but a person.
_SETTLED_BY_A_PERSON = frozenset({"human", "unsure"})


class Outlook:
    """When each delivery goes; what they share is read once, so take one for each look."""

    def __init__(
        self,
        book: ledger.Ledger,
        settings: config.Settings,
        known: recipients.Known,
        now: dt.datetime,
    ) -> None:
        """Read who must not be written to, and how the relay is."""
        self._known = known
        self._now = now
        self._relay = relay_health.of(book, settings.mail)
        self._forbidden = book.suppressions.look()
        self._rate = functools.cache(
            lambda domain: book.pacing.frees(pace(settings, now), domain, now)
        )
        self._together = gathering.gather(book, settings, known, now, undone=True).waiting
        self._carrier = functools.cache(book.deliveries.get)
        self._room = functools.cache(lambda box: recipients.room(book, known, box, now))

    def of(self, row: records.Delivery) -> Prospect:
        """Return when a delivery goes and why not now: what `status` and `deliveries` tell."""
        if row.state in _SETTLED_BY_A_PERSON:
            why = f"`deliverybot deliveries resolve {row.id}` settles it"
            return Prospect(waits_for=Waits.PERSON, why=why)
        if row.state == "merged" and row.merged_into is not None:
            return self._carried(row, row.merged_into)
        if row.state not in {"due", "held", "approved", "retrying"}:
            return Prospect()
        return self._barred(row) or self._asked(row) or self._timed(row)

    def _carried(self, row: records.Delivery, carrier_id: int) -> Prospect:
        """Return when the mail goes in which a delivery goes."""
        carrier = self.of(self._carrier(carrier_id))
        why = f"delivery {row.id} goes in the mail of delivery {carrier_id}"
        why += f": {carrier.why}" if carrier.why else ""
        return dataclasses.replace(carrier, why=why, waits_for=carrier.waits_for or Waits.DIGEST)

    def _barred(self, row: records.Delivery) -> Prospect | None:
        """Return what forbids a delivery as things stand; None where nothing does."""
        if found := self._forbidden(row.email):
            return Prospect(waits_for=Waits.SUPPRESSION, why=f"{row.target} {found}")
        target = recipients.target_of(row, self._known)
        if target is None:
            why = when(row, self._known.get(row.campaign), self._now)[1]
            return Prospect(waits_for=Waits.TARGET, why=why)
        if ended := recipients.ended(self._known[row.campaign], target, self._now):
            return Prospect(waits_for=Waits.TENURE, why=ended)
        return None

    def _asked(self, row: records.Delivery) -> Prospect | None:
        """Return what a person, or the bot itself, must do first; None once all is said."""
        if row.state == "due":
            return Prospect(waits_for=Waits.RENDERING, why="it is not made yet")
        if row.state == "held" and row.problem:
            return Prospect(waits_for=Waits.MENDING, why=row.problem)
        if row.state == "held":
            first = f"{row.agreed_by} said yes, and a second person must: "
            half = first if approvals.half(row) else ""
            why = f"{half}`deliverybot deliveries approve {row.id}`, once you have looked at it"
            return Prospect(waits_for=Waits.APPROVAL, why=why)
        return None

    def _timed(self, row: records.Delivery) -> Prospect:
        """Return when a letter goes that waits for nothing but time."""
        target = recipients.target_of(row, self._known)
        if target is None:
            return Prospect()
        at, word, why = max(
            self._limits(row, target), key=lambda limit: limit[0], default=(self._now, None, "")
        )
        if row.id in self._together and word is not Waits.DIGEST:
            why = f"{why}, then it goes in one mail with other letters to this address"
        opens = hours.next_open(at, target.office, target.timezone, target.holidays)
        if opens > at:
            closed = hours.why_closed(at, target.office, target.timezone, target.holidays)
            why = f"{why}, then {closed}" if why else closed
            word = word or Waits.HOURS
        if opens > self._now and (late := self._too_late(row, target, opens)):
            return late
        return Prospect(at=opens, waits_for=word, why=why, timezone=target.timezone)

    def _too_late(
        self, row: records.Delivery, target: campaigns.Target, opens: dt.datetime
    ) -> Prospect | None:
        """Return what ends before a letter may go: its approval, or the target's tenure."""
        campaign = self._known[row.campaign]
        end, first = approvals.expires(row, campaign), _local(opens, target.timezone)
        if end is not None and end <= opens:
            why = f"it may go on {first}, and its approval ends before, on"
            why += f" {_local(end, target.timezone)}; approve it again after that"
            return Prospect(waits_for=Waits.APPROVAL, why=why, timezone=target.timezone)
        if ended := recipients.ended(campaign, target, opens):
            why = f"it may go on {first}, and {ended}"
            return Prospect(waits_for=Waits.TENURE, why=why, timezone=target.timezone)
        return None

    def _limits(
        self, row: records.Delivery, target: campaigns.Target
    ) -> Iterator[tuple[dt.datetime, Waits | None, str]]:
        """Yield each time before which a letter cannot go, and why."""
        at, why = when(row, self._known[row.campaign], self._now, office=False)
        if at is not None and at > self._now:
            fresh = _fresh(row)
            word = Waits.UNDO if fresh else Waits.RETRY
            yield at, Waits.TENURE if at == recipients.begins(target) else word, why
        room = self._room(recipients.mailbox(row.email))
        if room.mails == 0 and row.part == 1:
            until = _local(room.free, target.timezone)
            why = f"the budget of {row.email}, {room.budget}, is used up until {until}"
            yield room.free, Waits.BUDGET, why
        if row.id in self._together:
            yield self._now, Waits.DIGEST, "goes in one mail with other letters to this address"
        if self._relay.paused and self._relay.until is not None:
            yield max(self._relay.until, self._now), Waits.PAUSE, self._relay.said()
        if rate := self._rate(pacing.domain(row.email)):
            yield rate[0], Waits.RATE, rate[1]


def when(
    row: records.Delivery,
    campaign: campaigns.Campaign | None,
    now: dt.datetime,
    *,
    office: bool = True,
) -> tuple[dt.datetime | None, str]:
    """Return when a delivery may go, and why not now; (now, "") when it may.

    None means that no machine will send it as things stand.  Without `office`
    it is when it may go to an office that never closes.
    """
    if campaign is None:
        return None, f"there is no campaign {row.campaign} any more"
    target = recipients.target_of(row, {row.campaign: campaign})
    if target is None:
        return None, f"the campaign has no target {row.target} any more"
    at, why = now, ""
    if row.next_try is not None and row.next_try > now:
        at, why = row.next_try, "waits before the next try"
        if _fresh(row):
            why = f"until then `deliverybot deliveries hold {row.id}` takes the approval back"
    begins = recipients.begins(target)
    if begins is not None and begins > at:
        at, why = begins, f"{target.name} is in office from {target.since} on"
    if not office:
        return at, why
    opens = hours.next_open(at, target.office, target.timezone, target.holidays)
    if opens > at:
        why = hours.why_closed(at, target.office, target.timezone, target.holidays)
    return opens, why


def _fresh(row: records.Delivery) -> bool:
    """Tell whether a letter waits for the end of the time in which its approval can be undone."""
    return row.state == "approved" and row.first_try is None and not row.reply


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
    together = gathering.gather(book, desk.settings, desk.campaigns, now).waiting
    page = book.deliveries.ready(now, most=_PAGE)
    while page:
        for row in page:
            target = find(row)
            if target is None or row.id in together or crowd.why_not(row.email):
                continue
            if is_current(row):
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
        begins = recipients.begins(target)
        return target if begins is None or begins <= now else None

    return find


def overslept(row: records.Delivery, desk: Desk, claimed: dt.datetime | None) -> bool:
    """Tell whether a letter was claimed so long ago that its office has closed since.

    A minute more than the office is open is nobody's trouble; a process that
    slept for hours would write at night.
    """
    now = desk.clock()
    target = recipients.target_of(row, desk.campaigns)
    if claimed is None or target is None or now - claimed <= SLOT:
        return False
    return hours.next_open(now, target.office, target.timezone, target.holidays) > now


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
