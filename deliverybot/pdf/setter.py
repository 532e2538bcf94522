"""Signers set as lines, in three columns, on pages; one volume at a time.

Widths are in thousandths of the type's size.  A signer's first line begins with
the operator ``'`` (next line, then show) and a string that starts with the
number, so that the numbers of a page can be counted; nothing else is drawn so.
"""

from __future__ import annotations

import bisect
import dataclasses
import functools
import itertools
import re
from collections.abc import Iterable, Iterator

from deliverybot.pdf import fonts, operators, plain, shaping, volume

#: Points: from line to line, the margins, between columns.
LEADING = 8.6
MARGIN, TOP, BOTTOM, GUTTER = 42.5, 64.0, 50.0, 14.0
COLUMNS = 3
#: Signs of our own between numbers and fields, and where something is cut.
SIGNS = "–-…, "
#: Lines of one signer; 255 wide letters need a dozen, and only a joke needs more than this.
MOST_LINES = 40
#: Words with the blank behind them; letters of scripts without blanks each by itself.
_ALONE = "\u3041-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_TOKENS = re.compile(f"[{_ALONE}]|[^\\s{_ALONE}]+ ?| ")
_WORDS = re.compile(r"\S+ ?| ")
#: Different glyphs in one emoji font, whose codes are bytes.
_MOST_CODES = 250


@dataclasses.dataclass(slots=True, eq=False)
class Used:
    """One font resource, and the glyphs that it has drawn so far."""

    name: bytes
    #: As in `volume.Font`.
    kind: str
    face: fonts.Face
    #: Glyph id to what it says and its width.
    glyphs: dict[int, tuple[str, float]] = dataclasses.field(default_factory=dict)


class Setter:
    """Sets the signers of one volume."""

    def __init__(
        self,
        shaper: shaping.Shaper,
        letters: plain.Plain,
        form: volume.Form,
        number: int,
        upto: int,
    ) -> None:
        """Begin volume `number`, from 1, in its form; it ends with the signer numbered `upto`."""
        self._shaper = shaper
        self._plain = letters
        self._form = form
        self._number = number
        self._upto = upto
        self._page_number = 0
        width, self._height = volume.PAPERS[form.paper]
        #: Points from one column to the next, and thousandths of a column and of the page.
        self._step = (width - 2 * MARGIN + GUTTER) / COLUMNS
        self._room = (self._step - GUTTER) / operators.TYPE * 1000
        self._whole = (width - 2 * MARGIN) / operators.TYPE * 1000
        self._lines = int((self._height - TOP - BOTTOM) / LEADING)
        self._digits = len(str(number * form.size))
        self._widths = letters.widths(shaper)
        self._room -= self._digits * self._widths[ord("0")] + self._widths[plain.GAP]
        self._empty = b"(" + b"\x01" * self._digits + b"\x02"
        self._field = functools.cache(self._set_field)
        self._word = functools.cache(self._set_runs)
        self._levels: dict[fonts.Face, list[Used]] = {}
        #: The emoji font that has room, and the font and code of each emoji.
        self._emoji: Used | None = None
        self._homes: dict[tuple[int, str], tuple[Used, bytes]] = {}
        #: The font resources, in the order of their first use.
        self.fonts = [Used(operators.PLAIN, "plain", shaper.case.main)]

    # -- pages

    def pages(self, signers: Iterable[tuple[int, list[str]]]) -> Iterator[tuple[int, bytes]]:
        """Yield (signers, content stream) of each page, filled column by column.

        A signer is a number and what is shown, nothing for a name withheld.
        """
        columns: list[list[bytes]] = [[]]
        numbers: list[int] = []
        for number, fields in signers:
            lines = self.line(number, fields or [self._form.withheld])
            if len(lines) > MOST_LINES:
                lines[MOST_LINES - 1 :] = [self._empty + b")'" + operators.drawn(self._field("…"))]
            if len(columns[-1]) + len(lines) > self._lines:
                if len(columns) == COLUMNS:
                    yield len(numbers), self._page(columns, numbers)
                    columns, numbers = [], []
                columns.append([])
            columns[-1] += lines
            numbers.append(number)
        if numbers:
            yield len(numbers), self._page(columns, numbers)

    def _page(self, columns: list[list[bytes]], numbers: list[int]) -> bytes:
        self._page_number += 1
        top = self._height - TOP
        first, last = numbers[0], numbers[-1]
        if self._form.order != "number":
            # A sorted page holds numbers from anywhere: say those of its volume.
            first, last = (self._number - 1) * self._form.size + 1, self._upto
        span = self._field(volume.span(first, last, self._form.group))
        foot = self._field(f"{self._number}-{self._page_number}")
        title = self._title(self._whole - operators.width(span) - 2000)
        out = [b"BT /F0 %g Tf %g TL 0.4 g\n" % (operators.TYPE, LEADING)]
        for pieces, y in ((span, top + 2 * LEADING), (foot, BOTTOM - 2.5 * LEADING)):
            left = (self._whole - operators.width(pieces)) * operators.TYPE / 1000
            out.append(_at(MARGIN + left, y) + operators.drawn(pieces) + b"\n")
        out.append(_at(MARGIN, top + 2 * LEADING) + operators.drawn(title) + b" 0 g\n")
        for at, lines in enumerate(columns):
            out.append(_at(MARGIN + at * self._step, top) + b"\n".join(lines) + b"\n")
        out.append(b"ET\n")
        return b"".join(out)

    def _title(self, room: float) -> list[operators.Piece]:
        """Set the campaign's title, cut where it is too long for the page."""
        text = self._form.title
        while operators.width(pieces := self._field(text)) > room:
            text = text[: -max(2, len(text) // 20)].rstrip() + "…"
        return pieces

    # -- lines

    def line(self, number: int, fields: list[str]) -> list[bytes]:
        """Set one signer; on more than one line where the column is too narrow."""
        head = b"(" + str(number).encode().rjust(self._digits, b"\x01") + b"\x02"
        data = self._plain.encode(", ".join(fields))
        if data is None:
            lines = self._shaped(fields)
            return [head + b")'" + lines[0], *(self._empty + b")'" + line for line in lines[1:])]
        if sum(map(self._widths.__getitem__, data)) <= self._room:
            return [head + data + b")'"]
        first, *more = self._broken_plain(data)
        return [head + first + b")'", *(self._empty + line + b")'" for line in more)]

    def _broken_plain(self, data: bytes) -> Iterator[bytes]:
        """Break plain text between words, or inside one that is longer than a line."""
        ends = list(itertools.accumulate(map(self._widths.__getitem__, data)))
        start, left = 0, 0.0
        while ends[-1] - left > self._room:
            fits = bisect.bisect_right(ends, left + self._room)
            blank = data.rfind(b" ", start + 1, fits + 1)
            yield data[start : blank if blank > 0 else fits]
            start = blank + 1 if blank > 0 else fits
            left = ends[start - 1]
        yield data[start:]

    def _shaped(self, fields: list[str]) -> list[bytes]:
        pieces = self._together(fields)
        if operators.width(pieces) <= self._room:
            return [operators.drawn(pieces)]
        return [operators.drawn(self._together(parts)) for parts in self._broken(fields)]

    def _together(self, fields: Iterable[str]) -> list[operators.Piece]:
        """Set fields side by side, each keeping its direction to itself."""
        pieces: list[operators.Piece] = []
        for field in fields:
            pieces += self._field(", ") if pieces else []
            pieces += self._field(field)
        return pieces

    def _broken(self, fields: list[str]) -> Iterator[list[str]]:
        """Break a signer into the parts of fields that stand on each line."""
        line: list[str] = []
        used = 0.0
        for field in fields:
            line.append("")
            used += operators.width(self._field(", "))
            for token in self._fitting(field):
                width = operators.width(self._field(token.rstrip()))
                if any(line) and used + width > self._room:
                    yield line  # an empty part at its end leaves a comma there
                    line, used = [""], 0.0
                line[-1] += token
                used += operators.width(self._field(token))
        yield line

    def _fitting(self, text: str) -> Iterator[str]:
        """Yield the words of a text, those in pieces that are longer than a line."""
        for token in _TOKENS.findall(text):
            rest = token
            while (length := self._length(rest)) > self._room and len(rest) > 1:
                # A few looks around what fits of letters of middling width, and none is kept.
                middling = int(len(rest) * self._room / length)
                ends = range(1, min(len(rest), 2 * middling + 2))
                at = bisect.bisect_right(ends, self._room, key=lambda end: self._length(rest[:end]))
                fits = ends[max(at, 1) - 1]
                yield rest[:fits]
                rest = rest[fits:]
            yield rest

    def _length(self, word: str) -> float:
        """Return how wide a word is, without setting it."""
        data = self._plain.encode(word)
        if data is not None:
            return sum(map(self._widths.__getitem__, data))
        return sum(run.width for run in self._shaper.runs(word))

    # -- fields and runs

    def _set_field(self, text: str) -> list[operators.Piece]:
        data = self._plain.encode(text)
        if data is not None:
            width = sum(map(self._widths.__getitem__, data))
            return [(operators.PLAIN, b"(%s)Tj" % data, width)]
        way = shaping.one_way(text)
        if way is None:
            return self._set_runs(text)
        words = [self._word(word) for word in _WORDS.findall(text)]
        return [piece for word in (words[::-1] if way == "rtl" else words) for piece in word]

    def _set_runs(self, text: str) -> list[operators.Piece]:
        pieces: list[operators.Piece] = []
        for run in self._shaper.runs(text):
            if run.face is self._shaper.case.emoji:
                pieces += self._set_emoji(run)
            else:
                parts = [run] if run.actual else _agreeing(run)
                pieces += map(self._set_run, parts)
        return pieces

    def _set_run(self, run: shaping.Run) -> operators.Piece:
        font = self._font(run)
        drawn = operators.run(run.glyphs, [glyph.id.to_bytes(2, "big") for glyph in run.glyphs])
        return font.name, operators.said(run.actual, drawn) if run.actual else drawn, run.width

    def _set_emoji(self, run: shaping.Run) -> Iterator[operators.Piece]:
        """Set a run in parts of one font; each emoji keeps the font that had room for it first."""
        homes = [self._home(run.face, glyph) for glyph in run.glyphs]
        start = 0
        for font, group in itertools.groupby(homes, key=lambda home: home[0]):
            codes = [code for _, code in group]
            part = shaping.Run.of(run.face, run.glyphs[start : start + len(codes)])
            start += len(codes)
            yield font.name, operators.run(part.glyphs, codes), part.width

    def _home(self, face: fonts.Face, glyph: shaping.Glyph) -> tuple[Used, bytes]:
        """Return the font of an emoji and its code there."""
        key = (glyph.id, glyph.text)
        if key not in self._homes:
            font = self._emoji
            if font is None or len(font.glyphs) == _MOST_CODES or glyph.id in font.glyphs:
                font = self._emoji = self._new("emoji", face)
            font.glyphs[glyph.id] = (glyph.text, glyph.width)
            self._homes[key] = (font, bytes([len(font.glyphs)]))
        return self._homes[key]

    def _font(self, run: shaping.Run) -> Used:
        """Return a font resource in which each of these glyphs says just this text."""
        levels = self._levels.setdefault(run.face, [])
        said = {glyph.id: (glyph.text, glyph.width) for glyph in run.glyphs}
        for font in levels:
            if all(font.glyphs.get(glyph, words) == words for glyph, words in said.items()):
                break
        else:
            font = self._new("glyphs", run.face)
            levels.append(font)
        font.glyphs |= said
        return font

    def _new(self, kind: str, face: fonts.Face) -> Used:
        font = Used(b"F%d" % len(self.fonts), kind, face)
        self.fonts.append(font)
        return font


def _agreeing(run: shaping.Run) -> Iterator[shaping.Run]:
    """Part a run where a glyph says another text than it did before."""
    said: dict[int, str] = {}
    start = 0
    for at, glyph in enumerate(run.glyphs):
        if said.setdefault(glyph.id, glyph.text) != glyph.text:
            yield shaping.Run.of(run.face, run.glyphs[start:at])
            said, start = {glyph.id: glyph.text}, at
    yield shaping.Run.of(run.face, run.glyphs[start:])


def _at(x: float, y: float) -> bytes:
    """Go to a place on the page, in points from its lower left corner."""
    return b"1 0 0 1 %.2f %.2f Tm\n" % (x, y)
