"""Milestone cards: the picture of a post and its alt text, made from the same facts."""

from __future__ import annotations

import dataclasses

from deliverybot import campaign as campaigns
from deliverybot import config, errors, render
from deliverybot.pdf import child, press


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A card; where a fault keeps it from being made, there is no picture."""

    faults: list[errors.Fault]
    png: bytes = b""
    #: What it shows, for who cannot see it.
    alt: str = ""


async def make(
    campaign: campaigns.Campaign, theme: str, facts: render.Facts, settings: config.Settings
) -> Card:
    """Paint a card, 1200 x 675: the same facts and files give the same bytes.

    `theme` is "light" or "dark".  Raises errors.ChildEnded where its process is
    ended from outside again and again.
    """
    folder = settings.letters / campaign.letter
    page = render.card(folder, facts, theme)
    if _stops(page.faults):
        return Card(faults=page.faults)
    pdf = settings.pdf
    limits = child.Limits(cpu=pdf.cpu, memory=pdf.memory_bytes, time=pdf.time)
    try:
        painted = await child.again(
            lambda: press.paint(page.html, folder=folder, theme=render.THEME, limits=limits)
        )
    except errors.ChildEnded:
        raise
    except errors.LetterError as error:
        return Card(faults=[*page.faults, *error.faults])
    faults = [*page.faults, *painted.faults]
    return Card(faults=faults) if _stops(faults) else Card(
        faults=faults, png=painted.png, alt=page.alt
    )  # fmt: skip


def _stops(faults: list[errors.Fault]) -> bool:
    return any(fault.level == "fault" for fault in faults)
