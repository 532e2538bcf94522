"""The two figures that a letter may show: how the signatures grew, and where the signers live.

Lines and bars are SVG, so they print sharp at any size.  All words and numbers
stand around them as text of the page: WeasyPrint sets text inside an SVG letter
by letter, which tears Arabic and Hindi apart, and text of the page can be
searched, copied and read aloud.  A place and a caption go through the vault
like any other value.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
from collections.abc import Iterable, Sequence

from deliverybot import model
from deliverybot.render import axes, vault, words
from deliverybot.render import facts as said

#: Figures of one letter; each is some kilobytes of drawing, and a loop may ask for many.
MOST_FIGURES = 10
#: Letters of a caption, and of the few words at a line or a bar.
LONGEST_CAPTION = 300
LONGEST_WORDS = 60
#: What places() may go by.
KINDS = ("country", "region")
#: Places with a bar of their own.
MOST_BARS = 10
#: People of whom a place is told; fewer could be recognised, so they join the rest.
FEWEST = 5
#: The line starts with the first signature but this share: one wrong date must not stretch it.
_BEGIN = 1 / 500
#: The drawing's own units.
_WIDE, _HIGH = 1000, 330
_TICK = 8
#: What stays free above the highest value, for the words at a line there.
_TOP = 30
#: Share of the time over which the words at the goal stand above its line; where the count is
#: higher by then, it would run through them, and they stand below the line at the other end.
_LEFT = 0.4
#: Share of its room that the longest bar takes; its number stands behind it.
_LONGEST_BAR = 80
#: Ems that a letter takes, roughly: a figure or Latin letter, a Chinese or Japanese one.
_EM, _WIDE_EM = 0.57, 1.05
_NARROWEST, _WIDEST = 4.0, 15.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Bar:
    """One place on paper, or with an empty name the rest."""

    name: str
    count: int


class Figures:
    """The figures as a template asks for them."""

    def __init__(self, facts: said.Facts, kept: vault.Vault) -> None:
        """Draw from these facts; words are kept in this vault."""
        self._facts = facts
        self._kept = kept
        self._drawn = 0

    def growth(self, caption: str, goal: str = "") -> vault.Piece:
        """Draw the signatures over time; with a word for the goal, a line at it.

        Nothing is printed where all signatures are of one day.
        """
        self._begin(caption=(caption, LONGEST_CAPTION), goal=(goal, LONGEST_WORDS))
        days = _days(self._facts)
        if len(days) < 2:  # noqa: PLR2004 - a line has two ends
            return vault.Piece(html="")
        aim = self._facts.goal if goal else None
        plot = axes.Plot(days, max(days[-1].signatures, aim or 0))
        inside = self._drawing(plot, caption, goal, aim) + self._scales(plot)
        inside += self._beside("last", plot.down(days[-1].signatures), days[-1].signatures)
        if aim:
            early = plot.on(days[0].day + _LEFT * (days[-1].day - days[0].day))
            where = "goal under" if early > aim else "goal"
            inside += self._beside(where, plot.down(aim), aim, goal)
        left, right = self._room(plot.steps[-1]), self._room(days[-1].signatures)
        chart = f'<div class="chart" style="margin:0 {right} 0 {left}">\n{inside}</div>\n'
        return self._figure("growth", caption, chart)

    def places(self, caption: str, rest: str, by: str = "country") -> vault.Piece:
        """Draw a bar for each of the largest places, and one for all other signers.

        Nothing is printed where no place has `FEWEST` signers.
        """
        self._begin(caption=(caption, LONGEST_CAPTION), rest=(rest, LONGEST_WORDS))
        if by not in KINDS:
            message = f"places() goes by {' or '.join(KINDS)}, not by {by!r}"
            raise ValueError(message)
        bars = _bars(self._facts.places(by), self._facts.figures.signatures)
        if not bars:
            return vault.Piece(html="")
        total = sum(bar.count for bar in bars)
        longest = max(bar.count for bar in bars)
        rows = "".join(self._row(bar, rest, longest, total) for bar in bars)
        names = max(_ems(bar.name or rest) for bar in bars)
        room = min(max(names, _NARROWEST), _WIDEST)
        table = f'<table>\n<colgroup><col style="width:{room:.1f}em"><col></colgroup>\n{rows}'
        return self._figure("places", caption, f"{table}</table>\n")

    def _begin(self, **given: tuple[object, int]) -> None:
        """Refuse words that are none or too long, and a letter full of figures."""
        for name, (text, most) in given.items():
            if not isinstance(text, str) or len(text) > most:
                message = f"the figure's {name!r} is a few words, {most} letters at most"
                raise ValueError(message)
        self._drawn += 1
        if self._drawn > MOST_FIGURES:
            message = f"a letter shows {MOST_FIGURES} figures at most"
            raise ValueError(message)

    def _figure(self, kind: str, caption: str, inside: str) -> vault.Piece:
        head = f"<figcaption>{self._text(caption)}</figcaption>\n" if caption else ""
        return vault.Piece(html=f'<figure class="{kind}">\n{head}{inside}</figure>\n')

    def _text(self, text: str) -> str:
        return self._kept.put(text)

    def _number(self, value: int) -> str:
        return self._text(words.number(value, self._facts.language))

    # --- growth

    def _drawing(self, plot: axes.Plot, caption: str, goal: str, aim: int | None) -> str:
        """Draw grid, goal and line, and tell them in words for who cannot see them."""
        line = " ".join(_point(plot, day) for day in _with_quiet_days(plot.days))
        parts = [f"<title>{self._text(self._told(plot, caption, goal, aim))}</title>"]
        parts += [_across(plot.down(step), "#ccc", 1) for step in plot.steps[1:]]
        parts.append(f'<polygon fill="#eee" points="0,{_HIGH} {line} {_WIDE},{_HIGH}"/>')
        parts += [_tick(plot.along(day)) for day in plot.dates]
        parts.append(_across(1, "#555", 2))
        if aim:
            parts.append(_across(plot.down(aim), "#111", 2, dashes="10 8"))
        parts.append(
            f'<polyline fill="none" stroke="#111" stroke-width="4" stroke-linejoin="round"'
            f' points="{line}"/>'
        )
        box = f'role="img" viewBox="0 0 {_WIDE} {_HIGH + _TICK}"'
        return f"<svg {box}>\n" + "\n".join(parts) + "\n</svg>\n"

    def _told(self, plot: axes.Plot, caption: str, goal: str, aim: int | None) -> str:
        """Say what the drawing shows: the count on the first day, at each date, on the last."""
        language = self._facts.language
        days = {plot.days[0].day, *plot.dates, plot.days[-1].day}
        said_ = [
            f"{words.day(day, language)}: {words.number(plot.on(day), language)}"
            for day in sorted(days)
        ]
        if aim:
            said_.append(f"{goal} {words.number(aim, language)}")
        return ": ".join(part for part in (caption, "; ".join(said_)) if part)

    def _scales(self, plot: axes.Plot) -> str:
        """Write what the steps upwards and the dates along are."""
        counts = [self._beside("count", plot.down(step), step) for step in plot.steps]
        dates = [
            f'<span class="when" style="left:{plot.along(day):.2%}">'
            f"{self._text(words.tick(day, self._facts.language, plot.parts))}</span>\n"
            for day in plot.dates
        ]
        return "".join(counts + dates)

    def _beside(self, kind: str, down: float, count: int, word: str = "") -> str:
        """Write a number, and perhaps a word before it, at its height."""
        top = float(_y(down)) / (_HIGH + _TICK)
        told = f"{self._text(word)} {self._number(count)}" if word else self._number(count)
        return f'<span class="{kind}" style="top:{top:.2%}">{told}</span>\n'

    def _room(self, count: int) -> str:
        """Say how much room a number takes beside the drawing."""
        return f"{len(words.number(count, self._facts.language)) * _EM + 1:.1f}em"

    # --- places

    def _row(self, bar: _Bar, rest: str, longest: int, total: int) -> str:
        share = self._text(words.percent(bar.count / total, self._facts.language))
        wide = f"{bar.count / longest * _LONGEST_BAR:.2f}%"
        fill = "#555" if bar.name else "#bbb"
        drawn = (
            f'<span class="bar" style="width:{wide}">'
            f'<svg role="img" viewBox="0 0 10 10" preserveAspectRatio="none">'
            f'<title>{share}</title><rect fill="{fill}" width="10" height="10"/></svg></span>'
        )
        # First strong isolate and its end: a name keeps its own direction.
        name = f"\u2068{self._text(bar.name or rest)}\u2069"
        return f'<tr><th scope="row">{name}</th><td>{drawn} {self._number(bar.count)}</td></tr>\n'


def _days(facts: said.Facts) -> list[model.Day]:
    """Return the days to draw, the last with the number that stands in the letter."""
    count, last = facts.figures.signatures, said.as_of(facts)
    until: dict[dt.date, int] = {}
    for day in facts.days():
        # A day in UTC may be tomorrow where the target is, and somebody restored since the
        # crossing is not in the letter's number.
        until[min(day.day, last)] = min(day.signatures, count)
    if until:
        until[max(until)] = count
    return [
        model.Day(day=day, signatures=number)
        for day, number in sorted(until.items())
        if number and number >= count * _BEGIN
    ]


def _with_quiet_days(days: Sequence[model.Day]) -> Iterable[model.Day]:
    """Add the day before each, where nobody signed on it: the line stays level until then."""
    yield days[0]
    for before, day in itertools.pairwise(days):
        eve = day.day - dt.timedelta(days=1)
        if eve > before.day:
            yield model.Day(day=eve, signatures=before.signatures)
        yield day


def _bars(places: Sequence[model.Place], total: int) -> list[_Bar]:
    """Choose what is shown of each place: nothing that tells who somebody is.

    Whoever may not be named is told of only among `FEWEST` or more of them.  The
    list of names is in the same letter: a place with one signer more than names
    would tell where that one lives.
    """
    spelled: dict[str, str] = {}
    named: dict[str, int] = {}
    unnamed: dict[str, int] = {}
    for place in places:
        name = vault.one_line(place.name).strip()
        key = name.casefold()
        spelled.setdefault(key, name)
        named[key] = named.get(key, 0) + place.named
        unnamed[key] = unnamed.get(key, 0) + place.unnamed
    bars = []
    for key, name in spelled.items():
        others = unnamed[key] if unnamed[key] >= FEWEST else 0
        if name and named[key] + others >= FEWEST:
            bars.append(_Bar(name=_cut(name), count=named[key] + others))
    bars = sorted(bars, key=lambda bar: (-bar.count, bar.name))[:MOST_BARS]
    rest = total - sum(bar.count for bar in bars)
    return [*bars, _Bar(name="", count=rest)] if bars and rest > 0 else bars


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST_WORDS else f"{name[: LONGEST_WORDS - 1].rstrip()}…"


def _ems(text: str) -> float:
    """Guess how wide a text is set, in ems; a name that needs more is broken over lines."""
    return 1 + sum(_WIDE_EM if letter > "\u2e80" else _EM for letter in text)


def _y(down: float) -> str:
    return f"{_TOP + down * (_HIGH - _TOP):.1f}"


def _point(plot: axes.Plot, day: model.Day) -> str:
    return f"{plot.along(day.day) * _WIDE:.1f},{_y(plot.down(day.signatures))}"


def _across(down: float, stroke: str, width: int, *, dashes: str = "") -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<line x1="0" x2="{_WIDE}" y1="{_y(down)}" y2="{_y(down)}"'
        f' stroke="{stroke}" stroke-width="{width}"{dashed}/>'
    )


def _tick(along: float) -> str:
    x = f"{along * _WIDE:.1f}"
    end = _HIGH + _TICK
    return f'<line x1="{x}" x2="{x}" y1="{_HIGH}" y2="{end}" stroke="#555" stroke-width="2"/>'
