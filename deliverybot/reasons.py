"""What waits for a person and what went wrong: the words of `status` and of alerts."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping

from deliverybot import (
    agenda,
    allowances,
    approvals,
    failures,
    installation,
    ledger,
    milestones,
    sources,
)
from deliverybot import campaign as campaigns
from deliverybot import posts as news_of
from deliverybot.ledger import news, records
from deliverybot.mail import frozen

#: States in which a person must do something.
WAITING = frozenset({"held", "human", "unsure"})
#: States in which something went wrong.
TROUBLE = frozenset({"human", "unsure", "refused", "bounced"})
#: Comments that are counted; beyond, only that there are more is said.
MOST_WAITING = 1_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One thing to know; where it neither waits nor is trouble, nobody must do anything."""

    #: Tells it from all others, and stays the same while its words change.
    key: str
    text: str
    #: A person must do something.
    waits: bool = False
    #: Something went wrong.
    trouble: bool = False
    #: It comes and goes in the course of a day, as names to look at do; no letter waits for it,
    #: so `status` counts it not.
    passing: bool = False
    #: Its words where others may read them, too; empty: as `text`, which quotes no signer.
    outside: str = ""

    def __str__(self) -> str:
        return self.text


def of_source(
    campaign: campaigns.Campaign, standing: records.Standing, since: dt.datetime | None
) -> Iterator[Reason]:
    """Say what is wrong with a campaign's source, and which jump of its count waits."""
    if standing.problem:
        yield Reason(
            key="source", text=failures.said(standing, since), trouble=True,
            outside=failures.outside(standing, since),
        )  # fmt: skip
    if standing.jump is not None and standing.jump_since is not None:
        need = [] if standing.jump_readings >= milestones.JUMP_READINGS else ["a second reading"]
        if not standing.jump_accepted:
            need.append(f"`deliverybot milestones accept {campaign.slug}`")
        said = (
            f"the count {milestones.moved(standing.baseline, standing.jump)} from"
            f" {standing.baseline} to {standing.jump} on"
            f" {standing.jump_since:%Y-%m-%d %H:%M} UTC; milestones wait for {' and '.join(need)}"
        )
        yield Reason(key="jump", text=said, waits=not standing.jump_accepted)
    if standing.said is not None and campaign.source.lists and standing.said != standing.held:
        apart = standing.said - standing.held
        said = f"the source counts {standing.said}, the list holds {standing.held}: " + (
            f"{apart} are not on the list" if apart > 0 else f"{-apart} are counted no more"
        )
        yield Reason(key="apart", text=said)


def of_taken(
    campaign: campaigns.Campaign, standing: records.Standing, now: dt.datetime
) -> Iterator[Reason]:
    """Say what a person should look at in what the source has brought so far."""
    for fault in sources.doubts(campaign, standing.cursor, now=now):
        yield Reason(key=f"taken: {fault.what}", text=f"{fault.what} ({fault.hint})")


def of_rows(
    letters: list[records.Delivery], posts: list[records.Post], resting: Iterable[str] = ()
) -> Iterator[Reason]:
    """Say why each letter and post that is stuck is stuck, and what to do.

    `resting` names the outlets that nothing is posted on now.
    """
    left_alone = frozenset(resting)
    for row in letters:
        yield from _of_row(row, "delivery", f"to {row.target}", "deliveries")
    for post in posts:
        if post.outlet in left_alone and post.state in {"approved", "retrying"}:
            said = f"post {post.id} waits until {post.outlet} takes posts again"
            yield Reason(key=f"post {post.id} {post.state}", text=said, outside=said)
        else:
            yield from _of_row(post, "post", f"on {post.outlet}", "posts")


def _of_row(
    row: records.Delivery | records.Post, noun: str, whom: str, command: str
) -> Iterator[Reason]:
    what, look = f"{noun} {row.id} {whom}", f"`deliverybot {command} show {row.id}`"
    if row.state == "held" and row.problem:
        # Mended, it waits for a yes: that is another thing to know.  The problem may quote a name.
        yield Reason(
            key=f"{noun} {row.id} broken", text=f"{what} is held: {row.problem}",
            outside=f"{what} is held, since something must be mended: {look}",
            waits=True, trouble=True,
        )  # fmt: skip
    elif said := _words(row, what, look):
        waits, trouble = row.state in WAITING, row.state in TROUBLE
        outside = said.replace("`… ", f"`deliverybot {command} ")
        # That one of two has said yes is news to the second.
        key = f"{noun} {row.id} {row.state}" + (" half" if approvals.half(row) else "")
        yield Reason(key=key, text=said, outside=outside, waits=waits, trouble=trouble)


def _words(row: records.Delivery | records.Post, what: str, look: str) -> str:
    if row.state == "held":
        half = approvals.half(row)
        second = f" {row.agreed_by} said yes, and a second person must:" if half else ""
        return f"{what} waits:{second} {look}, then `… approve {row.id}`"
    if row.state in TROUBLE:
        act = f"; {look}" if row.state in WAITING else ""
        said = row.why if row.state == "bounced" else row.reply or row.why
        return f"{what} is {row.state}: {said}{act}"
    if row.state == "approved" and isinstance(row, records.Delivery) and row.part > 1:
        return f"{what} goes on with mail {row.part} of {frozen.parts(row)}"
    if row.state in {"retrying", "approved"} and row.reply:
        return f"{what} goes again: {row.reply}"
    if row.state == "cancelled" and "no news any more" in row.why:
        return f"{what} was not posted: {row.why}"
    return ""


def of_list(
    book: ledger.Ledger, campaign: campaigns.Campaign, standing: records.Standing
) -> Iterator[Reason]:
    """Say that there are names to look at or comments to decide on; no letter waits for that."""
    if standing.flagged and standing.expired_at is None:
        said = "signer is" if standing.flagged == 1 else "signers are"
        look = f"`deliverybot signatures flagged {standing.slug}`"
        said = f"{standing.flagged} {said} not named until you have looked: {look}"
        yield Reason(key="flagged", text=said, passing=True)
    if campaign.signers.comments == "none":
        return
    if count := book.comments.waiting(campaign.slug, MOST_WAITING + 1):
        many = f"more than {MOST_WAITING:,}" if count > MOST_WAITING else f"{count}"
        said = "comment waits" if count == 1 else "comments wait"
        said = f"{many} {said}: `deliverybot signatures comments {campaign.slug}`"
        yield Reason(key="comments", text=said, passing=True)


def of_term(
    campaign: campaigns.Campaign, standing: records.Standing, now: dt.datetime
) -> Iterator[Reason]:
    """Say that a campaign is over, and when its signers are, or were, erased."""
    if standing.expired_at is not None:
        said = f"all its signers were erased on {standing.expired_at:%Y-%m-%d %H:%M} UTC"
        yield Reason(key="expired", text=said)
        return
    closed, expires = campaign.closed_at, campaign.expires_at
    if campaign.is_over(now) and closed is not None:
        said = f"it closed on {closed:%Y-%m-%d %H:%M} UTC; its source is not read"
        yield Reason(key="closed", text=said)
    if expires is not None and closed is not None and now >= closed:
        said = f"all its signers are erased on {expires:%Y-%m-%d %H:%M} UTC"
        yield Reason(key="expires", text=said)


def of_forbidden(
    campaign: campaigns.Campaign, forbidden: Callable[[str], records.Suppression | None]
) -> Iterator[Reason]:
    """Say which targets must not be written to."""
    for target in campaign.targets:
        if found := forbidden(target.email):
            yield Reason(key=f"forbidden {target.id}", text=f"{target.id} {found}")


def of_approved(letters: list[records.Delivery], outlook: agenda.Outlook) -> Iterator[Reason]:
    """Say when an approved letter will go, where that is not now."""
    for row in letters:
        if row.state not in {"approved", "retrying"}:
            continue
        prospect = outlook.of(row)
        what, key = f"delivery {row.id} to {row.target}", f"delivery {row.id} goes"
        if prospect.at is None:
            yield Reason(key=key, text=f"{what} cannot go: {prospect.why}")
        elif prospect.waits_for is not None:
            yield Reason(key=key, text=f"{what} {prospect}")


def of_posts(
    posts: list[records.Post],
    campaign: campaigns.Campaign,
    known: Mapping[str, campaigns.Campaign],
    now: dt.datetime,
) -> Iterator[Reason]:
    """Say which approved posts cannot go, and which wait for their hours."""
    for row in posts:
        what, key = f"post {row.id} on {row.outlet}", f"post {row.id} goes"
        if row.state in {"approved", "retrying"} and not news_of.wanted(row, known):
            said = f"{what} cannot go: the campaign tells nothing there any more"
            yield Reason(key=key, text=said)
        elif coming := allowances.prospect(campaign, row, now):
            yield Reason(key=key, text=f"{what} {coming}")


def not_forwarded(book: ledger.Ledger) -> Iterator[Reason]:
    """Say which copies did not, or not surely, reach the person who is to have them."""
    for row in book.returns.forwards("unsure", "refused"):
        about = f"{row.kind} about delivery {row.delivery_id} to {row.target}"
        may = "may not have been" if row.forward == "unsure" else "could not be"
        said = f"return {row.id}, {about}, {may} forwarded; `deliverybot returns show {row.id}`"
        yield Reason(key=f"return {row.id}", text=said, trouble=True)


def resting(rest: news.Rest) -> Reason:
    """Say since when and why nothing is posted on an outlet."""
    said = f"nothing is posted on {rest.outlet} since {rest.since:%Y-%m-%d %H:%M} UTC: {rest.why}"
    if rest.until is not None:
        said += f"; it is used again at {rest.until:%Y-%m-%d %H:%M} UTC"
        return Reason(key=f"outlet {rest.outlet} waits", text=said, trouble=True, passing=True)
    said += f"; mend that, then `deliverybot posts resume {rest.outlet}`"
    # Other keys that are refused, too, are another thing to know.
    return Reason(key=f"outlet {rest.outlet} {rest.section[:8]}", text=said, trouble=True)


def doubtful(doubt: str) -> Reason:
    """Say why nothing leaves, and what ends that."""
    said = f"nothing is sent or posted: {doubt}\n{installation.CONFIRM}"
    return Reason(key="doubt", text=said, waits=True, trouble=True)
