"""What a campaign allows its posts on an outlet: money, links, hours, a yes once and for all.

Money is counted in millionths of a dollar, as the ledger keeps it.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import zoneinfo
from collections.abc import Iterable, Sequence

from deliverybot import agenda, errors, hours, ledger, render, rules
from deliverybot import campaign as campaigns
from deliverybot.ledger import records


def rule_of(campaign: campaigns.Campaign, outlet: str) -> rules.PostRules | None:
    """Return what a campaign says of posts on an outlet; None where it tells nothing there."""
    return next((rule for rule in campaign.posts if rule.outlet == outlet), None)


def by_rule(book: ledger.Ledger, row: records.Post, rule: rules.PostRules, *, ask: bool) -> bool:
    """Tell whether the campaign lets a post go without asking a person."""
    if ask or rule.approval == "each":
        return False
    return rule.approval == "none" or book.posts.person_approved(
        row.campaign, row.outlet, before=row.milestone_id
    )


# --- hours --------------------------------------------------------------------------------------


def opens(campaign: campaigns.Campaign, outlet: str, now: dt.datetime) -> dt.datetime:
    """Return when a post may go, `now` or later: the hours on the campaign's clock."""
    rule = rule_of(campaign, outlet)
    if rule is None or rule.open is None:
        return now
    return hours.next_open(now, rule.open, campaign.timezone, "")


def prospect(
    campaign: campaigns.Campaign | None, row: records.Post, now: dt.datetime
) -> agenda.Prospect | None:
    """Return when a post goes that waits for its hours; None where it does not."""
    if campaign is None or row.state not in {"approved", "retrying"}:
        return None
    at = max(now, row.next_try or now)
    open_at = opens(campaign, row.outlet, at)
    if open_at <= at:
        return None
    local = at.astimezone(zoneinfo.ZoneInfo(campaign.timezone))
    why = f"outside of its hours (it is {local:%A %H:%M} in {campaign.timezone})"
    return agenda.Prospect(
        at=open_at, waits_for=agenda.Waits.HOURS, why=why, timezone=campaign.timezone
    )


# --- links --------------------------------------------------------------------------------------


def sayable(rule: rules.PostRules, facts: render.Facts) -> render.Facts:
    """Return what a post may say: without the address where the rule wants no link."""
    return facts if rule.link else dataclasses.replace(facts, url="")


def linked(
    campaign: campaigns.Campaign, rule: rules.PostRules, links: Sequence[str]
) -> list[errors.Fault]:
    """Name the first of a text's `links` where it is to have none."""
    found = [] if rule.link else links
    if not found:
        return []
    what = f"{found[0]!r} is a link on {rule.outlet}, where this campaign wants none"
    hint = "take it out, or write link = true in its section [[posts]]"
    file = f"letters/{campaign.letter}/{rule.template}"
    return [errors.Fault(level="fault", what=what, hint=hint, file=file)]


# --- money --------------------------------------------------------------------------------------


def money(amount: int) -> str:
    """Write an amount: ``$0.20``, ``$0.015``."""
    dollars, rest = divmod(amount, 1_000_000)
    cents = f"{rest:06}".rstrip("0").ljust(2, "0")
    return f"${dollars:,}.{cents}"


def too_dear(
    book: ledger.Ledger, row: records.Post, rule: rules.PostRules, cost: int
) -> list[errors.Fault]:
    """Say that a post would cost more than is left of what the campaign may spend there."""
    if rule.most_spent is None or not cost:
        return []
    spent = book.posts.spent(row.campaign, row.outlet, besides=row.id)
    if spent + cost <= rule.most_spent:
        return []
    what = f"{money(spent)} of {money(rule.most_spent)} are spent on {row.outlet}, and this post"
    what += f" costs {money(cost)}"
    hint = f'raise it in the campaign: spend = "{money(spent + cost)[1:].replace(",", "")}" or more'
    return [errors.Fault(level="fault", what=what, hint=hint)]


def never(campaign: campaigns.Campaign, rule: rules.PostRules, cost: int) -> list[errors.Fault]:
    """Say that what a campaign may spend is too little for any post, or that none costs a thing."""
    if rule.most_spent is not None and not cost:
        what = f"'spend' does nothing here: a post on {rule.outlet} costs nothing"
        idle = campaigns.at_spend(campaign, rule, what, "take the line out")
        return [dataclasses.replace(idle, level="warning")]
    if rule.most_spent is None or cost <= rule.most_spent:
        return []
    what = f"a post on {rule.outlet} costs {money(cost)}, and {money(rule.most_spent)} is all that"
    what += " this campaign may spend there"
    hint = f'raise it: spend = "{money(cost)[1:].replace(",", "")}" pays for one post'
    return [campaigns.at_spend(campaign, rule, what, hint)]


def spent(rows: Iterable[records.Post]) -> dict[str, int]:
    """Add up what posts have cost by outlet; what may be there counts, free ones are left out."""
    sums = dict[str, int]()
    for row in rows:
        if row.cost and (row.handed_at is not None or row.state == "posted"):
            sums[row.outlet] = sums.get(row.outlet, 0) + row.cost
    return sums
