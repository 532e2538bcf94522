"""Where everything stands: what `status` prints, worked out from the ledger."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from deliverybot import (
    agenda,
    allowances,
    approvals,
    config,
    failures,
    installation,
    ledger,
    milestones,
    relay_health,
)
from deliverybot import campaign as campaigns
from deliverybot import posts as news_of
from deliverybot.ledger import news, records
from deliverybot.mail import frozen

#: States in which a person must do something.
WAITING = frozenset({"held", "human", "unsure"})
#: States in which something went wrong.
TROUBLE = frozenset({"human", "unsure", "refused", "bounced"})
#: The forecast looks back so far.
LOOK_BACK = dt.timedelta(days=7)
#: Comments that are counted; beyond, only that there are more is said.
MOST_WAITING = 1_000
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
    #: What waits or is wrong, in words.
    reasons: tuple[str, ...]

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
    #: What was not, or not surely, forwarded, in words.
    not_forwarded: tuple[str, ...] = ()
    #: Outlets that nothing is posted on now.
    resting: tuple[news.Rest, ...] = ()
    #: Why nothing is sent or posted until a person says so; empty where that is not so.
    doubt: str = ""

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
    relay = relay_health.of(book, settings.mail)
    outlook = agenda.Outlook(book, settings, known, now)
    forbidden = book.suppressions.look()
    found = []
    back = book.returns.counts()
    waiting = trouble = 0
    for campaign in known.values():
        standing = book.signatures.standing(campaign.slug)
        letters = book.deliveries.select(campaign=campaign.slug)
        posts = book.posts.select(campaign=campaign.slug)
        rows: list[records.Delivery | records.Post] = [*letters, *posts]
        jump = standing.jump is not None and not standing.jump_accepted
        waiting += sum(row.state in WAITING for row in rows) + jump
        trouble += sum(row.state in TROUBLE or _broken(row) for row in rows)
        trouble += bool(standing.problem)
        since = book.signatures.failing_since(campaign.slug) if standing.problem else None
        reasons = [*_source_reasons(campaign, standing, since), *_row_reasons(letters, posts)]
        reasons += [*_flag_reasons(standing), *_comment_reasons(book, campaign)]
        reasons += _term_reasons(campaign, standing, now)
        reasons += _forbidden_reasons(campaign, forbidden)
        reasons += _waiting_reasons(letters, outlook)
        reasons += _post_reasons(posts, campaign, known, now)
        one = _standing(book, campaign, standing, letters, posts, reasons, now)
        returns = back.get(campaign.slug, {})
        found.append(dataclasses.replace(one, returns=returns, failing_since=since))
    lost = tuple(_not_forwarded(book))
    mailbox = book.returns.mailbox(settings.inbox.name) if settings.inbox else None
    trouble += relay.paused + len(lost) + bool(mailbox and mailbox.problem)
    doubt = installation.of(book, settings.state)
    resting = _resting(book, now)
    trouble += len(resting)
    return Status(
        campaigns=tuple(found), waiting=waiting + bool(doubt), trouble=trouble + bool(doubt),
        mailbox=mailbox, unmatched=back.get("", {}), not_forwarded=lost, relay=relay, doubt=doubt,
        resting=resting,
    )  # fmt: skip


def _resting(book: ledger.Ledger, now: dt.datetime) -> tuple[news.Rest, ...]:
    """Return the outlets that are left alone.

    Whoever looks may not have the secrets that tell whether an account has
    changed, so all of them are named until a post got through.
    """
    rests = book.news.rests().values()
    return tuple(one for one in rests if one.until is None or one.until > now)


def _not_forwarded(book: ledger.Ledger) -> Iterator[str]:
    """Say which copies did not, or not surely, reach the person who is to have them."""
    for row in book.returns.forwards("unsure", "refused"):
        about = f"{row.kind} about delivery {row.delivery_id} to {row.target}"
        may = "may not have been" if row.forward == "unsure" else "could not be"
        yield f"return {row.id}, {about}, {may} forwarded; `deliverybot returns show {row.id}`"


def _standing(
    book: ledger.Ledger,
    campaign: campaigns.Campaign,
    standing: records.Standing,
    letters: list[records.Delivery],
    posts: list[records.Post],
    reasons: list[str],
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
        reasons=tuple(reasons),
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


def _source_reasons(
    campaign: campaigns.Campaign, standing: records.Standing, since: dt.datetime | None
) -> list[str]:
    reasons = [failures.said(standing, since)] if standing.problem else []
    if standing.jump is not None and standing.jump_since is not None:
        need = [] if standing.jump_readings >= milestones.JUMP_READINGS else ["a second reading"]
        if not standing.jump_accepted:
            need.append(f"`deliverybot milestones accept {campaign.slug}`")
        reasons.append(
            f"the count {milestones.moved(standing.baseline, standing.jump)} from"
            f" {standing.baseline} to {standing.jump} on"
            f" {standing.jump_since:%Y-%m-%d %H:%M} UTC; milestones wait for {' and '.join(need)}"
        )
    if standing.said is not None and campaign.source.lists and standing.said != standing.held:
        apart = standing.said - standing.held
        reasons.append(
            f"the source counts {standing.said}, the list holds {standing.held}: "
            + (f"{apart} are not on the list" if apart > 0 else f"{-apart} are counted no more")
        )
    return reasons


def _flag_reasons(standing: records.Standing) -> list[str]:
    """Say that there are names to look at; no letter waits for that."""
    if not standing.flagged or standing.expired_at is not None:
        return []
    said = "signer is" if standing.flagged == 1 else "signers are"
    look = f"`deliverybot signatures flagged {standing.slug}`"
    return [f"{standing.flagged} {said} not named until you have looked: {look}"]


def _term_reasons(
    campaign: campaigns.Campaign, standing: records.Standing, now: dt.datetime
) -> list[str]:
    """Say that a campaign is over, and when its signers are, or were, erased."""
    if standing.expired_at is not None:
        return [f"all its signers were erased on {standing.expired_at:%Y-%m-%d %H:%M} UTC"]
    closed, expires = campaign.closed_at, campaign.expires_at
    over = campaign.is_over(now) and closed is not None
    reasons = [f"it closed on {closed:%Y-%m-%d %H:%M} UTC; its source is not read"] if over else []
    if expires is not None and closed is not None and now >= closed:
        reasons.append(f"all its signers are erased on {expires:%Y-%m-%d %H:%M} UTC")
    return reasons


def _comment_reasons(book: ledger.Ledger, campaign: campaigns.Campaign) -> list[str]:
    """Say that there are comments to decide on; no letter waits for that."""
    if campaign.signers.comments == "none":
        return []
    count = book.comments.waiting(campaign.slug, MOST_WAITING + 1)
    if not count:
        return []
    many = f"more than {MOST_WAITING:,}" if count > MOST_WAITING else f"{count}"
    said = "comment waits" if count == 1 else "comments wait"
    return [f"{many} {said}: `deliverybot signatures comments {campaign.slug}`"]


def _broken(row: records.Delivery | records.Post) -> bool:
    """Tell whether something must be mended; what was given up needs nothing."""
    return row.state == "held" and bool(row.problem)


def _row_reasons(letters: list[records.Delivery], posts: list[records.Post]) -> list[str]:
    """Say why each row that is stuck is stuck, and what to do."""
    named = [("delivery", "deliveries", row, f"to {row.target}") for row in letters]
    named += [("post", "posts", row, f"on {row.outlet}") for row in posts]  # type: ignore[misc]
    reasons = []
    for noun, command, row, whom in named:
        what = f"{noun} {row.id} {whom}"
        if _broken(row):
            reasons.append(f"{what} is held: {row.problem}")
        elif row.state == "held" and approvals.half(row):
            look = f"`deliverybot {command} show {row.id}`"
            second = f"{row.agreed_by} said yes, and a second person must"
            reasons.append(f"{what} waits: {second}: {look}, then `… approve {row.id}`")
        elif row.state == "held":
            look = f"`deliverybot {command} show {row.id}`"
            reasons.append(f"{what} waits: {look}, then `… approve {row.id}`")
        elif row.state in TROUBLE:
            act = f"; `deliverybot {command} show {row.id}`" if row.state in WAITING else ""
            said = row.why if row.state == "bounced" else row.reply or row.why
            reasons.append(f"{what} is {row.state}: {said}{act}")
        elif row.state == "approved" and isinstance(row, records.Delivery) and row.part > 1:
            reasons.append(f"{what} goes on with mail {row.part} of {frozen.parts(row)}")
        elif row.state in {"retrying", "approved"} and row.reply:
            reasons.append(f"{what} goes again: {row.reply}")
        elif row.state == "cancelled" and row.why.startswith("no news"):
            reasons.append(f"{what} was not posted: {row.why}")
    return reasons


def _post_reasons(
    posts: list[records.Post],
    campaign: campaigns.Campaign,
    known: Mapping[str, campaigns.Campaign],
    now: dt.datetime,
) -> Iterator[str]:
    """Say which approved posts cannot go, and which wait for their hours."""
    for row in posts:
        what = f"post {row.id} on {row.outlet}"
        if row.state in {"approved", "retrying"} and not news_of.wanted(row, known):
            yield f"{what} cannot go: the campaign tells nothing there any more"
        elif coming := allowances.prospect(campaign, row, now):
            yield f"{what} {coming}"


def _forbidden_reasons(
    campaign: campaigns.Campaign, forbidden: Callable[[str], records.Suppression | None]
) -> list[str]:
    """Say which targets must not be written to."""
    return [
        f"{target.id} {found}" for target in campaign.targets if (found := forbidden(target.email))
    ]


def _waiting_reasons(letters: list[records.Delivery], outlook: agenda.Outlook) -> list[str]:
    """Say when an approved letter will go, where that is not now."""
    reasons = []
    for row in letters:
        if row.state not in {"approved", "retrying"}:
            continue
        prospect = outlook.of(row)
        what = f"delivery {row.id} to {row.target}"
        if prospect.at is None:
            reasons.append(f"{what} cannot go: {prospect.why}")
        elif prospect.waits_for is not None:
            reasons.append(f"{what} {prospect}")
    return reasons
