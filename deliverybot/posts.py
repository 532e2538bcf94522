"""Posts: what is told of a milestone on each outlet, frozen before anybody hears of it.

How they get onto the networks is in `publishing`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
from collections.abc import Mapping

from deliverybot import (
    allowances,
    asking,
    cards,
    config,
    errors,
    ledger,
    model,
    outlets,
    render,
)
from deliverybot import campaign as campaigns
from deliverybot.ledger import records


async def write_one(  # noqa: PLR0913 - one post and all that decides on it
    book: ledger.Ledger,
    row: records.Post,
    campaign: campaigns.Campaign,
    facts: render.Facts,
    inputs: str,
    *,
    settings: config.Settings,
    ask: bool,
    now: dt.datetime,
) -> None:
    """Freeze one post, its text and its card; hold it for a person where one is asked for.

    1. Paint the card, and keep the picture.
    2. Write text, alt text and the picture's hash into the row, all at once.

    A crash between 1 and 2 leaves a picture that no post has; the next run
    paints the same one.  `inputs` is the `fingerprint` of what it is made from.
    Raises errors.ChildEnded where the painter is ended again and again.
    """
    rule = allowances.rule_of(campaign, row.outlet)
    if rule is None:
        return
    values = await _frozen(book, row, campaign, rule, facts, inputs, settings)
    # Not by its cost: a price is no part of what is approved.
    names = ("digest", "problem", "language")
    if row.state != model.Post.DUE and all(getattr(row, name) == values[name] for name in names):
        book.posts.note(row, inputs=inputs, cost=values["cost"])
        return
    problem = values["problem"]
    # Held without a problem, somebody holds it: no rule takes that back.
    by_hand = row.state == model.Post.HELD and not row.problem
    approve = not by_hand and allowances.by_rule(book, row, rule, ask=ask)
    why = "cannot be posted as it stands" if problem else "written; waits for approval"
    with contextlib.suppress(errors.WrongState):  # somebody has moved it just now
        book.posts.freeze(row, values, approve=approve, why=why, now=now)


async def _frozen(
    book: ledger.Ledger,
    row: records.Post,
    campaign: campaigns.Campaign,
    rule: campaigns.PostRules,
    facts: render.Facts,
    inputs: str,
    settings: config.Settings,
) -> dict[str, object]:
    """Return what is frozen of a post, or the problem that keeps it from being posted."""
    text = render.post(
        settings.letters / campaign.letter, rule.template, allowances.sayable(rule, facts)
    )
    faults, cost = list(text.faults), 0
    if not any(fault.level == "fault" for fault in faults):
        cost, wrong = _counted(book, row, campaign, rule, text.text, settings)
        faults += wrong
    card = cards.Card(faults=[])
    if rule.card:
        card = await cards.make(campaign, rule.card_theme, facts, settings)
        faults += card.faults
    image = book.news.keep(card.png) if card.png else ""
    # The same fault may be in the text and on the card.
    stops = [str(fault) for fault in faults if fault.level == "fault"]
    return {
        "text": text.text,
        "image": image,
        "alt": card.alt,
        "language": campaign.language,
        "cost": cost,
        "inputs": inputs,
        "digest": digest(row.outlet, text.text, image, card.alt),
        "problem": "\n".join(dict.fromkeys(stops)),
    }


def fingerprint(row: records.Post, campaign: campaigns.Campaign, letter_inputs: str) -> str:
    """Hash all that a post's text is made from, as hex: what the letter is, and the rule."""
    parts = (letter_inputs, row.outlet, repr(allowances.rule_of(campaign, row.outlet)))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def digest(outlet: str, text: str, image: str = "", alt: str = "") -> str:
    """Return what a person approves of a post, as hex; `image` is its picture's SHA-256."""
    parts = (outlet, text, image, alt) if image else (outlet, text)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def digest_of(row: records.Post) -> str:
    """Return the digest of a post as it stands in the ledger."""
    return digest(row.outlet, row.text, row.image, row.alt)


def drop_stale(
    book: ledger.Ledger, known: Mapping[str, campaigns.Campaign], now: dt.datetime
) -> None:
    """Cancel posts whose milestone is no news any more (`stale_after`)."""
    rows = [
        row
        for row in book.posts.select(states=("due", "held", "approved", "retrying"))
        if row.handed_at is None  # else it may be there: the next try tells
    ]
    for row in rows:
        if why := stale(row, known.get(row.campaign), now):
            with contextlib.suppress(errors.WrongState):  # somebody has moved it just now
                book.posts.move(row, "cancelled", who="deliverybot", why=why, now=now)


def stale(row: records.Post, campaign: campaigns.Campaign | None, now: dt.datetime) -> str:
    """Return why a post is no news any more; empty where it is, or its campaign is gone."""
    if campaign is None:
        return ""
    old = now - row.crossed_at > dt.timedelta(seconds=campaign.delivery.stale_seconds)
    return f"no news any more: crossed more than {campaign.delivery.stale_after} ago" if old else ""


def wanted(row: records.Post, known: Mapping[str, campaigns.Campaign]) -> bool:
    """Tell whether the post's campaign is there and still tells its news on this outlet."""
    campaign = known.get(row.campaign)
    return campaign is not None and allowances.rule_of(campaign, row.outlet) is not None


def draft(book: ledger.Ledger, row: records.Post) -> outlets.Draft:
    """Return a post as it is frozen in the ledger."""
    return outlets.Draft(
        key=row.key,
        text=row.text,
        campaign=row.campaign,
        image=book.news.picture(row.image) if row.image else b"",
        alt=row.alt,
        language=row.language,
        crossed_at=row.crossed_at,
        first_try=row.first_try,
    )


def unwritten(campaign: campaigns.Campaign, text: str, *, key: str = "") -> outlets.Draft:
    """Return a post that is not frozen yet, for its outlet to measure."""
    return outlets.Draft(key=key, text=text, campaign=campaign.slug, language=campaign.language)


def _counted(
    book: ledger.Ledger,
    row: records.Post,
    campaign: campaigns.Campaign,
    rule: campaigns.PostRules,
    text: str,
    settings: config.Settings,
) -> tuple[int, list[errors.Fault]]:
    """Return what a post costs, and what keeps it from its network."""
    try:
        outlet = outlets.open_outlet(row.outlet, settings)
        found = asking.measure(outlet, unwritten(campaign, text, key=row.key))
    except errors.DeliverybotError as error:
        return 0, [errors.Fault(level="fault", what=str(error), hint=error.hint)]
    faults = _length(found)
    faults += allowances.linked(campaign, rule, found.links)
    faults += allowances.too_dear(book, row, rule, found.cost)
    return found.cost, faults


def _length(found: asking.Measured) -> list[errors.Fault]:
    if found.limit is None or found.length <= found.limit:
        return []
    what = f"the post has {found.length} characters as the network counts, {found.limit} fit"
    return [errors.Fault(level="fault", what=what, hint="shorten the post's template")]
