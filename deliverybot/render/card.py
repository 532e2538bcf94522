"""Milestone cards: the page behind a post's picture, and its words for who cannot see it."""

from __future__ import annotations

import dataclasses
import html
import pathlib
import re

from deliverybot import errors
from deliverybot.render import facts as said
from deliverybot.render import lint, page, shelf, templates, vault, words

#: CSS pixels of a card, which are those of its picture.
WIDTH, HEIGHT = 1200, 675
#: Characters of an alt text; X takes no more, and who listens to it would not wait longer.
LONGEST_ALT = 1000
#: The page and the words.
NAMES = ("card.html", "card.txt")
#: What a card may print besides.
VARIABLES = templates.VARIABLES | templates.CARD

_BLANK_LINES = re.compile(r"\s*\n\s*")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A card that is to be painted."""

    faults: list[errors.Fault]
    #: For the press; empty where there are faults.
    html: str = ""
    alt: str = ""


def card(folder: pathlib.Path | None, facts: said.Facts, theme: str) -> Card:
    """Render ``card.html`` and ``card.txt``; no target's own address gets into them.

    `theme` is "light" or "dark".
    """
    facts = dataclasses.replace(facts, signers_url="", signers_until=None)
    files = shelf.Shelf(folder=folder)
    faults = [*check(files), *said.faults(facts)]
    if any(fault.level == "fault" for fault in faults):
        return Card(faults=faults)
    known = said.values(facts) | _values(facts, theme)
    try:
        kept = vault.Vault()
        filler = templates.Templates(files, facts.language)
        text = kept.expand(filler.fill("card.html", known, kept))
        sources = [source for source in [files.readable("card.html")] if source]
        faults += lint.markup(text, sources, files, kept.holds, kept.plain)
        written = vault.Vault()
        alt = written.plain(filler.fill("card.txt", known | {"bar": ""}, written)).strip()
    except errors.LetterError as error:
        return Card(faults=[*faults, *error.faults])
    alt = _BLANK_LINES.sub("\n", alt)
    faults += _alt_faults(alt, files)
    return Card(faults=faults, html=_with_head(kept.markup(text), files, facts), alt=alt)


def check(files: shelf.Shelf) -> list[errors.Fault]:
    """Name what is wrong with a card's own files, without any facts."""
    checker = templates.Templates(files)
    faults = []
    for name in NAMES:
        faults += checker.faults(name, VARIABLES - ({"bar"} if name == "card.txt" else set()))
        if source := files.readable(name):
            lines = checker.data(source)
            faults += lint.placeholders(source, lines, signed=False)
            if name == "card.html":
                faults += _blank(source) + lint.page(lint.with_blanks(lines), source, files)
    return faults + lint.style(files, "card.css")


def _blank(source: shelf.Source) -> list[errors.Fault]:
    """Refuse a file that would be painted as an empty picture."""
    if source.text.strip():
        return []
    hint = "delete it, and the card is the built-in one; or write the page"
    return [errors.Fault(level="fault", what="the file is empty", hint=hint, file=source.shown)]


def _values(facts: said.Facts, theme: str) -> dict[str, object]:
    """Return what only a card may print; there is no percentage without a goal."""
    goal, count = facts.goal, facts.figures.signatures
    # Rounded down: a goal that is nearly reached is not reached.
    share = count * 100 // goal if goal else None
    signatures, aim = words.labels(facts.language)
    return {
        "bar": vault.Piece(html="" if share is None else _bar(min(share, 100))),
        "percent": None if share is None else words.percent(share / 100, facts.language),
        "reached": share is not None and count >= (goal or 0),
        "card_theme": theme,
        "signatures_word": signatures,
        "goal_word": aim,
        "title_direction": words.way(facts.title, facts.language),
        "sender_direction": words.way(facts.sender_name, facts.language),
    }


def _bar(share: int) -> str:
    full = " full" if share == 100 else ""  # noqa: PLR2004 - percent
    return f'<div class="bar{full}"><div class="share" style="width: {share}%"></div></div>'


def _alt_faults(alt: str, files: shelf.Shelf) -> list[errors.Fault]:
    source = files.readable("card.txt")
    shown = source.shown if source else None
    if not alt:
        hint = "say in card.txt what the card shows, for those who cannot see it"
        return [errors.Fault(level="fault", what="the alt text is empty", hint=hint, file=shown)]
    if len(alt) <= LONGEST_ALT:
        return []
    what = f"the card's alt text has {len(alt):,} characters; {LONGEST_ALT:,} are the most"
    own = bool(files.inside("card.txt"))
    hint = "shorten card.txt" if own else "shorten the campaign's title, or write your own card.txt"
    return [errors.Fault(level="fault", what=what, hint=hint, file=shown)]


def _with_head(text: str, files: shelf.Shelf, facts: said.Facts) -> str:
    """Put what every card needs into its head: its size and the style sheets."""
    head = (
        f"<title>{html.escape(vault.one_line(facts.title))}</title>\n"
        f'<link rel="stylesheet" href="{page.THEME_URL}card.css">\n'
    )
    if files.inside("card.css"):
        head += f'<link rel="stylesheet" href="{page.LETTER_URL}card.css">\n'
    head += f"<style>@page {{ size: {WIDTH}px {HEIGHT}px }}</style>\n"
    return page.with_head(text, head)
