"""What a campaign allows its posts on an outlet: money.

Money is counted in millionths of a dollar, as the ledger keeps it.
"""

from __future__ import annotations

from collections.abc import Iterable

from deliverybot import errors, ledger, rules
from deliverybot.ledger import records


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


def spent(rows: Iterable[records.Post]) -> dict[str, int]:
    """Add up what posts have cost by outlet; what may be there counts, free ones are left out."""
    sums = dict[str, int]()
    for row in rows:
        if row.cost and (row.handed_at is not None or row.state == "posted"):
            sums[row.outlet] = sums.get(row.outlet, 0) + row.cost
    return sums
