"""Where everything stands: what `status` prints, worked out from the ledger."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Any

from deliverybot import (
    agenda,
    allowances,
    config,
    installation,
    ledger,
    milestones,
    relay_health,
    rests,
)
from deliverybot import campaign as campaigns
from deliverybot import reasons as told
from deliverybot.ledger import news, records

#: The forecast looks back so far.
LOOK_BACK = dt.timedelta(days=7)
#: A forecast further away says nothing.
HORIZON = dt.timedelta(days=3650)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where one campaign stands."""

    slug: str
    title: str
    #: Signatures that count, of them those that may be named, and the rest.
    signatures: int
    listed: int
    hidden: int
    #: What the source itself says, None where it gives signers alone; signers on the list.
    said: int | None
    held: int
    #: Whether the source gives a number and no signers, and nobody is on the list.
    numbers_alone: bool
    #: Signers whom a person must look at before they are named.
    flagged: int
    #: Readings of the source that failed since the last good one.
    failures: int
    #: When the first of them was, and when the source is asked again; None where none failed.
    failing_since: dt.datetime | None
    next_try: dt.datetime | None
    withdrawn: int
    duplicates: int
    goal: int | None
    #: Time of the last reading.
    as_of: dt.datetime | None
    next_at: int | None
    next_expected: dt.datetime | None
    #: Milestones reached: the number, or the date as text; and when.
    reached: tuple[tuple[int | str, dt.datetime], ...]
    deliveries: dict[str, int]
    posts: dict[str, int]
    #: What they have cost, by outlet, in millionths of a dollar.
    spent: dict[str, int]
    #: What came back, by kind.
    returns: dict[str, int]
    #: What waits or is wrong.
    causes: tuple[told.Reason, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        """What waits or is wrong, in words."""
        return tuple(str(one) for one in self.causes)

    def json(self) -> dict[str, Any]:
        """Return the shape that DESIGN section 4 promises."""
        return {
            "slug": self.slug,
            "title": self.title,
            "signatures": self.signatures,
            "listed": self.listed,
            "hidden": self.hidden,
            "said": self.said,
            "held": self.held,
            "flagged": self.flagged,
            "failures": self.failures,
            "failing_since": self.failing_since,
            "next_try": self.next_try,
            "withdrawn": self.withdrawn,
            "duplicates": self.duplicates,
            "goal": self.goal,
            "as_of": self.as_of,
            "next": {"at": self.next_at, "expected": self.next_expected} if self.next_at else None,
            "reached": [{"at": at, "on": on} for at, on in self.reached],
            "deliveries": self.deliveries,
            "posts": self.posts,
            "spent": {outlet: cost / 1_000_000 for outlet, cost in self.spent.items()},
            "returns": self.returns,
            "reasons": list(self.reasons),
        }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Where all campaigns stand."""

    campaigns: tuple[Standing, ...]
    #: Things that wait for a person, and things that went wrong.
    waiting: int
    trouble: int
    #: What is known of the relay.
    relay: relay_health.Health
    #: The mailbox that is read; None where none is.
    mailbox: records.Mailbox | None = None
    #: What came back and tells not of which letter, by kind.
    unmatched: dict[str, int] = dataclasses.field(default_factory=dict)
    #: What was not, or not surely, forwarded.
    lost: tuple[told.Reason, ...] = ()
    #: Outlets that nothing is posted on now.
    resting: tuple[news.Rest, ...] = ()
    #: Why nothing is sent or posted until a person says so; empty where that is not so.
    doubt: str = ""

    @property
    def not_forwarded(self) -> tuple[str, ...]:
        """What was not, or not surely, forwarded, in words."""
        return tuple(str(one) for one in self.lost)

    @property
    def causes(self) -> tuple[told.Reason, ...]:
        """What waits or is wrong for the whole installation, the worst first."""
        found = [told.doubtful(self.doubt)] if self.doubt else []
        if self.relay.paused:
            found.append(told.Reason(key="relay", text=self.relay.said(), trouble=True))
        if self.mailbox is not None and self.mailbox.problem:
            said = f"the mailbox cannot be read: {self.mailbox.problem}"
            found.append(told.Reason(key="mailbox", text=said, trouble=True))
        return (*found, *map(told.resting, self.resting), *self.lost)

    def json(self) -> dict[str, Any]:
        """Return the shape that DESIGN section 4 promises."""
        return {
            "campaigns": [one.json() for one in self.campaigns],
            "waiting": self.waiting,
            "trouble": self.trouble,
            "relay": {
                "since": self.relay.since,
                "why": self.relay.why,
                "failures": self.relay.failures,
                "next_try": self.relay.until,
            }
            if self.relay.paused
            else None,
            "outlets": [
                {"outlet": one.outlet, "since": one.since, "until": one.until, "why": one.why}
                for one in self.resting
            ],
            "mailbox": self.mailbox
            and {"read_at": self.mailbox.read_at, "problem": self.mailbox.problem or None},
            "unmatched": self.unmatched,
            "not_forwarded": list(self.not_forwarded),
            "doubt": self.doubt or None,
        }


def status(
    book: ledger.Ledger,
    known: Mapping[str, campaigns.Campaign],
    settings: config.Settings,
    now: dt.datetime,
) -> Status:
    """Work out where each campaign stands, as of `now`."""
    outlook = agenda.Outlook(book, settings, known, now)
    forbidden = book.suppressions.look()
    found = []
    back = book.returns.counts()
    resting = _resting(book, now)
    for campaign in known.values():
        standing = book.signatures.standing(campaign.slug)
        letters = book.deliveries.select(campaign=campaign.slug)
        posts = book.posts.select(campaign=campaign.slug)
        since = book.signatures.failing_since(campaign.slug) if standing.problem else None
        causes = [
            *told.of_source(campaign, standing, since),
            *told.of_taken(campaign, standing, now),
            *told.of_rows(letters, posts, [rest.outlet for rest in resting]),
            *told.of_list(book, campaign, standing),
            *told.of_term(campaign, standing, now),
            *told.of_forbidden(campaign, forbidden),
            *told.of_approved(letters, outlook),
            *told.of_posts(posts, campaign, known, now),
        ]
        one = _standing(book, campaign, standing, letters, posts, causes, now)
        returns = back.get(campaign.slug, {})
        found.append(dataclasses.replace(one, returns=returns, failing_since=since))
    return _whole(book, settings, found, back.get("", {}), resting)


def _whole(
    book: ledger.Ledger,
    settings: config.Settings,
    found: list[Standing],
    unmatched: dict[str, int],
    resting: tuple[news.Rest, ...],
) -> Status:
    """Add to the campaigns what concerns all of them."""
    relay = relay_health.of(book, settings.mail)
    mailbox = book.returns.mailbox(settings.inbox.name) if settings.inbox else None
    state = Status(
        campaigns=tuple(found), waiting=0, trouble=0, mailbox=mailbox, unmatched=unmatched,
        lost=tuple(told.not_forwarded(book)), relay=relay,
        doubt=installation.of(book, settings.state), resting=resting,
    )  # fmt: skip
    causes = [*state.causes, *(cause for one in found for cause in one.causes)]
    return dataclasses.replace(
        state,
        waiting=sum(cause.waits for cause in causes),
        trouble=sum(cause.trouble for cause in causes),
    )


def _resting(book: ledger.Ledger, now: dt.datetime) -> tuple[news.Rest, ...]:
    """Return the outlets that are left alone.

    Whoever looks may not have the secrets that tell whether an account has
    changed, so all of them are named until a post got through.
    """
    found = book.news.rests().values()
    return tuple(one for one in found if one.until is None or rests.waits(one, now))


def _standing(
    book: ledger.Ledger,
    campaign: campaigns.Campaign,
    standing: records.Standing,
    letters: list[records.Delivery],
    posts: list[records.Post],
    causes: list[told.Reason],
    now: dt.datetime,
) -> Standing:
    recorded = book.milestones.all(campaign.slug)
    coming = milestones.upcoming(campaign, standing.signatures, recorded)
    return Standing(
        slug=campaign.slug,
        title=campaign.title,
        signatures=standing.signatures,
        listed=standing.listed,
        hidden=standing.unnamed,
        said=standing.said,
        held=standing.held,
        numbers_alone=not (campaign.source.lists or standing.last_number),
        flagged=standing.flagged,
        failures=standing.failures,
        failing_since=None,
        next_try=standing.not_before,
        withdrawn=standing.withdrawn,
        duplicates=standing.duplicates,
        goal=campaign.goal,
        as_of=standing.read_at,
        next_at=coming,
        next_expected=_expected(book, standing, coming, now),
        reached=tuple(
            (m.threshold or m.key.removeprefix("on:"), m.crossed_at)
            for m in recorded
            if m.state != "withdrawn"
        ),
        deliveries=dict(collections.Counter(row.state for row in letters)),
        posts=dict(collections.Counter(row.state for row in posts)),
        spent=allowances.spent(posts),
        returns={},
        causes=tuple(causes),
    )


def _expected(
    book: ledger.Ledger, standing: records.Standing, coming: int | None, now: dt.datetime
) -> dt.datetime | None:
    """Draw a straight line through last week's readings."""
    pace = book.signatures.pace(standing.slug, since=now - LOOK_BACK)
    if coming is None or not pace or pace < 0:
        return None
    ahead = (coming - standing.signatures) / pace
    return now + dt.timedelta(seconds=ahead) if ahead < HORIZON.total_seconds() else None
