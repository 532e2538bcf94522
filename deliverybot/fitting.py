"""Whether posts fit their networks, with the largest figure that is to come.

A text that fits with 900 signatures may not with 1,000,000; that is said by
`check` and `preview`, before the day comes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator

from deliverybot import (
    allowances,
    asking,
    cards,
    config,
    errors,
    milestones,
    model,
    outlets,
    posts,
    render,
)
from deliverybot import campaign as campaigns


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How long a post is, as its network counts."""

    outlet: str
    #: The template, as a person would name it.
    template: str
    #: The figure that it is counted for, and the length then.
    figure: int
    length: int
    limit: int
    #: What the network charges for it, in millionths of a dollar.
    cost: int

    def __str__(self) -> str:
        """``counts 131 of 280 with 1,000,000 signatures``."""
        return f"counts {self.length:,} of {self.limit:,} with {self.figure:,} signatures"

    def fault(self) -> errors.Fault | None:
        """Say that it does not fit; None where it does."""
        if self.length <= self.limit:
            return None
        what = f"the post on {self.outlet} {self}"
        hint = f"shorten the template by {self.length - self.limit:,}"
        return errors.Fault(level="fault", what=what, hint=hint, file=self.template)


def faults(
    campaign: campaigns.Campaign, facts: render.Facts, count: int, settings: config.Settings
) -> list[errors.Fault]:
    """Name what keeps posts from going, once the largest figure is there.

    What is wrong with a template whatever the figure is left to `render.check`.
    """
    found = list[errors.Fault]()
    folder = settings.letters / campaign.letter
    for rule, outlet in _outlets(campaign, settings):
        text = _text(campaign, rule, facts, count, settings)
        wrong = [fault for fault in text.faults if fault.level == "fault"]
        if wrong:
            known = render.check(folder, (rule.template,))
            found += [fault for fault in wrong if fault not in known]
            continue
        try:
            counted = asking.measure(outlet, posts.unwritten(campaign, text.text))
        except errors.OutgoingError as error:
            found.append(errors.Fault(level="fault", what=str(error), hint=error.hint))
            continue
        wrong = allowances.linked(campaign, rule, counted.links)
        one = _fit(campaign, rule, counted, count)
        fault = one and one.fault()
        wrong += [fault] if fault else []
        found += [_placed(each, folder, rule.template) for each in wrong]
        found += allowances.never(campaign, rule, counted.cost)
    # Outlets with one template have one fault.
    return list(dict.fromkeys(found))


def _placed(fault: errors.Fault, folder: pathlib.Path, name: str) -> errors.Fault:
    """Put a fault at the words of a post: without a file of their own it is their title's."""
    if (folder / name).is_file():
        return dataclasses.replace(fault, file=str(folder / name))
    hint = f"change the campaign's title, or write your own {name}"
    return dataclasses.replace(fault, file=str(folder), hint=hint)


async def cards_of(
    campaign: campaigns.Campaign, facts: render.Facts, count: int, settings: config.Settings
) -> list[errors.Fault]:
    """Paint each card that a campaign wants, for the largest figure, and name what is wrong."""
    found = list[errors.Fault]()
    for theme in dict.fromkeys(rule.card_theme for rule in campaign.posts if rule.card):
        card = await cards.make(campaign, theme, _foreseen(campaign, facts, count), settings)
        found += card.faults
    return list(dict.fromkeys(found))


def fit(
    campaign: campaigns.Campaign,
    rule: campaigns.PostRules,
    facts: render.Facts,
    count: int,
    settings: config.Settings,
) -> Fit | None:
    """Return how one post fits; None where its outlet has no limit or cannot be asked."""
    text = _text(campaign, rule, facts, count, settings)
    outlet = next((one for told, one in _outlets(campaign, settings) if told is rule), None)
    if outlet is None:
        return None
    try:
        counted = asking.measure(outlet, posts.unwritten(campaign, text.text))
    except errors.OutgoingError:
        return None
    return _fit(campaign, rule, counted, count)


def _outlets(
    campaign: campaigns.Campaign, settings: config.Settings
) -> Iterator[tuple[campaigns.PostRules, outlets.Outlet]]:
    for rule in campaign.posts:
        # One that is not there, or cannot be loaded, is named elsewhere.
        with contextlib.suppress(errors.DeliverybotError):
            yield rule, outlets.open_outlet(rule.outlet, settings)


def _text(
    campaign: campaigns.Campaign,
    rule: campaigns.PostRules,
    facts: render.Facts,
    count: int,
    settings: config.Settings,
) -> render.Text:
    """Write a post as if the largest figure to come were reached."""
    told = _foreseen(campaign, allowances.sayable(rule, facts), count)
    return render.post(settings.letters / campaign.letter, rule.template, told)


def _foreseen(campaign: campaigns.Campaign, facts: render.Facts, count: int) -> render.Facts:
    figure = milestones.largest(campaign, count)
    figures = model.Figures(
        milestone=figure, signatures=figure, listed=figure, as_of=facts.figures.as_of
    )
    return dataclasses.replace(facts, figures=figures)


def _fit(
    campaign: campaigns.Campaign,
    rule: campaigns.PostRules,
    counted: asking.Measured,
    count: int,
) -> Fit | None:
    if counted.limit is None:
        return None
    return Fit(
        outlet=rule.outlet,
        template=f"letters/{campaign.letter}/{rule.template}",
        figure=milestones.largest(campaign, count),
        length=counted.length,
        limit=counted.limit,
        cost=counted.cost,
    )
