"""Milestones: compare the count with the plan, and record what was crossed.

The decision is a pure function of the count, the plan and what is on record;
the ledger applies it in the transaction in which it was taken.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
from collections.abc import Callable, Sequence

from deliverybot import campaign as campaigns
from deliverybot import ledger, model
from deliverybot.ledger import milestones as verbs
from deliverybot.ledger import records
from deliverybot.mail import message

#: A jump or a fall must also be by at least this many signatures (DESIGN section 6).
JUMP_FLOOR = 1_000
#: A jump or a fall is believed once this many readings agree and a person has said yes.
JUMP_READINGS = 2


def advance(
    book: ledger.Ledger, campaign: campaigns.Campaign, *, domain: str, now: dt.datetime
) -> verbs.Decision:
    """Compare the count of the last reading with the plan and write it down.

    Called once after each reading.  `domain` ends the Message-IDs of the
    letters that a crossing makes due.
    """
    return _apply(book, campaign, decide, domain=domain, now=now)


def advance_dates(
    book: ledger.Ledger, campaign: campaigns.Campaign, *, domain: str, now: dt.datetime
) -> verbs.Decision | None:
    """Cross the dates of the plan that have come, between readings and without them.

    A source that is read seldom, or cannot be read today, must not hold up a
    date.  None when no date is due that is not on record.
    """
    due = {point.key for point in points(campaign, 0, now)}
    if not due or due <= {m.key for m in book.milestones.all(campaign.slug)}:
        return None
    standing = book.signatures.standing(campaign.slug)
    if standing.baseline is None or standing.jump is not None:
        return None
    return _apply(book, campaign, decide_dates, domain=domain, now=now)


def _apply(
    book: ledger.Ledger,
    campaign: campaigns.Campaign,
    rule: Callable[..., verbs.Decision],
    *,
    domain: str,
    now: dt.datetime,
) -> verbs.Decision:
    return book.milestones.advance(
        campaign.slug,
        functools.partial(rule, campaign=campaign, now=now),
        targets=[verbs.Aim(name=t.id, email=t.email) for t in campaign.targets],
        outlets=[verbs.Aim(name=post.outlet) for post in campaign.posts],
        message_id=lambda ident, version, target: message.message_id(
            domain, campaign.slug, ident, version, target, secret=book.secret
        ),
        now=now,
    )


def decide(
    standing: records.Standing,
    recorded: Sequence[records.Milestone],
    *,
    campaign: campaigns.Campaign,
    now: dt.datetime,
) -> verbs.Decision:
    """Work out what a reading means.

    1. A jump that is too good to be true waits, and so does a fall that is too bad
       (DESIGN section 6, Counts).
    2. What is reached and new is crossed; of several, the largest.
    3. What is above the count is withdrawn, if nothing has gone out.
    """
    count = standing.signatures
    waiting = _jump(standing, campaign.delivery.max_jump)
    if waiting is not None:
        return waiting
    reached = points(campaign, count, now)
    known = {m.key for m in recorded if m.state != model.Milestone.WITHDRAWN}
    mark = max(
        (m.threshold for m in recorded if m.threshold is not None and m.key in known), default=0
    )
    new = [point for point in reached if point.key not in known]
    fresh = [point for point in new if point.threshold is None or point.threshold > mark]
    first = standing.baseline is None
    policy = campaign.delivery.first_reading if first else "deliver"
    cross = max(fresh, key=lambda p: p.threshold or 0) if fresh and policy != "skip" else None
    return verbs.Decision(
        baseline=count,
        cross=cross,
        passed=tuple(point for point in new if point is not cross),
        ask=policy == "hold",
        withdraw=tuple(
            m
            for m in recorded
            if m.state == model.Milestone.CROSSED
            and m.threshold is not None
            and m.threshold > count
        ),
        why=f"the count fell to {count}",
    )


def decide_dates(
    standing: records.Standing,
    recorded: Sequence[records.Milestone],
    *,
    campaign: campaigns.Campaign,
    now: dt.datetime,
) -> verbs.Decision:
    """Work out which date has come; counts are left to the next reading.

    While a jump waits, so does a date: the list may hold what nobody believes.
    """
    kept = verbs.Decision(
        jump=standing.jump,
        jump_readings=standing.jump_readings,
        jump_accepted=standing.jump_accepted,
    )
    if standing.baseline is None or standing.jump is not None:
        return kept
    known = {m.key for m in recorded}
    new = [point for point in points(campaign, 0, now) if point.key not in known]
    if not new:
        return kept
    latest = max(new, key=lambda point: point.key)
    passed = tuple(point for point in new if point is not latest)
    return dataclasses.replace(kept, cross=latest, passed=passed)


def points(campaign: campaigns.Campaign, count: int, now: dt.datetime) -> list[verbs.Point]:
    """Return the places of the plan that a count has reached, each number once.

    Of an `every` rule only the largest multiple: the ones below it would be
    passed in the same breath.
    """
    found: dict[str, verbs.Point] = {}
    for rule in campaign.milestones:
        for kind, threshold in _thresholds(rule, campaign.goal, count):
            if 0 < threshold <= count:
                point = verbs.Point(key=str(threshold), kind=kind, threshold=threshold)
                found.setdefault(point.key, point)
        if rule.on is not None:
            due = rule.on_utc(campaign.timezone)
            if due is not None and due <= now:
                key = f"on:{due:%Y-%m-%dT%H:%M:%SZ}"
                found[key] = verbs.Point(key=key, kind="on", threshold=None)
    return sorted(found.values(), key=lambda point: point.threshold or 0)


def upcoming(
    campaign: campaigns.Campaign, count: int, recorded: Sequence[records.Milestone]
) -> int | None:
    """Return the next number of the plan above a count; None when there is none."""
    mark = max((m.threshold or 0 for m in recorded if m.state != "withdrawn"), default=0)
    floor = max(count, mark)
    ahead = [
        threshold
        for rule in campaign.milestones
        for _, threshold in _thresholds(rule, campaign.goal, floor, ahead=True)
        if threshold > floor
    ]
    return min(ahead, default=None)


def largest(campaign: campaigns.Campaign, count: int) -> int:
    """Return the largest figure that is to come: what texts must have room for.

    The largest number of the plan; of an `every` rule and of a date, the goal,
    or ten times the present count.
    """
    found = [count]
    for rule in campaign.milestones:
        if rule.every is None and rule.on is None:
            found += [threshold for _, threshold in _thresholds(rule, campaign.goal, count)]
        elif campaign.goal is not None and campaign.goal > count:
            found.append(campaign.goal)
        else:
            found.append(10 * max(count, rule.every or 1))
    return max(found)


def _thresholds(
    rule: campaigns.Milestone, goal: int | None, count: int, *, ahead: bool = False
) -> list[tuple[str, int]]:
    if rule.at is not None:
        return [("at", threshold) for threshold in rule.at]
    if rule.every is not None:
        return [("every", (count // rule.every + ahead) * rule.every)]
    if rule.percent is not None and goal is not None:
        return [("percent", -(-goal * percent // 100)) for percent in rule.percent]
    return []


def _jump(standing: records.Standing, max_jump: float) -> verbs.Decision | None:
    """Return a waiting decision for a count that multiplied or fell as far, else None."""
    count = standing.signatures
    if standing.baseline is None or not _jumped(standing.baseline, count, max_jump):
        return None
    again = standing.jump is not None and not _jumped(standing.jump, count, max_jump)
    readings = standing.jump_readings + 1 if again else 1
    accepted = standing.jump_accepted and again
    if accepted and readings >= JUMP_READINGS:
        return None
    return verbs.Decision(
        jump=count,
        jump_readings=readings,
        jump_accepted=accepted,
        why=f"the count {moved(standing.baseline, count)} from {standing.baseline} to {count}",
    )


def moved(before: int | None, count: int) -> str:
    """Return the word for what a count did that waits: it jumped or it fell."""
    return "fell" if before is not None and count < before else "jumped"


def _jumped(before: int, count: int, max_jump: float) -> bool:
    """Tell whether one count is so far from another that one of them is likely wrong.

    The same rule in both directions: what fell so far would jump when it comes back.
    """
    low, high = sorted((before, count))
    return high > low * max_jump and high - low >= JUMP_FLOOR


def said(decision: verbs.Decision) -> str:
    """Say what a comparison led to; empty where that is nothing."""
    if decision.jump is not None:
        return f"{decision.why}; waits for a second reading and `milestones accept`"
    if decision.cross is not None:
        return f"milestone {decision.cross.key} is crossed at {decision.baseline} signatures"
    return ""
