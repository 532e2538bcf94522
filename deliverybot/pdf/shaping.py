"""Words as glyphs: direction by the Unicode rules, shapes by HarfBuzz.

A word is shaped once for each volume and kept; names and towns recur.  Widths
are in thousandths of the font size throughout, as PDF counts them.
"""

from __future__ import annotations

import dataclasses
import itertools
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

import uharfbuzz as hb

from deliverybot.pdf import fonts

_RIGHT_TO_LEFT = frozenset({"R", "AL"})
#: Letters, and digits, which keep their order inside right-to-left text.
_LEFT_TO_RIGHT = frozenset({"L", "EN", "AN"})
#: Joiners and direction characters; python-bidi would leave them out of what it returns.
_INVISIBLE = frozenset({"BN", "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


@dataclasses.dataclass(frozen=True, slots=True)
class Glyph:
    """One glyph in its place."""

    id: int
    #: What it says; empty where another glyph of its cluster says it.
    text: str
    #: Its own width, and how far it moves the next one.
    width: float
    advance: float
    #: How far from its place it is drawn.
    right: float
    up: float


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """Glyphs of one face, from left to right."""

    face: fonts.Face
    glyphs: tuple[Glyph, ...]
    width: float
    #: The text, where the glyphs do not say it one by one; empty where they do.
    actual: str = ""

    @classmethod
    def of(cls, face: fonts.Face, glyphs: Sequence[Glyph], actual: str = "") -> Run:
        """Add up the width."""
        return cls(face, tuple(glyphs), sum(glyph.advance for glyph in glyphs), actual)


class Shaper:
    """Shapes words with the faces of one typecase; holds each font open."""

    def __init__(self, case: fonts.Typecase) -> None:
        """Open no font before it is needed."""
        self.case = case
        self._fonts: dict[fonts.Face, tuple[Any, float, dict[int, float]]] = {}

    def runs(self, text: str) -> list[Run]:
        """Shape one field of a line, isolated: its own first strong letter says its direction."""
        found: list[Run] = []
        for piece, rtl in _directed(text):
            runs = [self._shape(face, part, rtl=rtl) for face, part in self._by_face(piece)]
            found += reversed(runs) if rtl else runs
        return found

    def _by_face(self, text: str) -> Iterator[tuple[fonts.Face, str]]:
        """Part a text where the face changes; what no face has is left to the main one's box."""
        faces = [face or self.case.main for face in self.case.faces(text)]
        at = 0
        for face, group in itertools.groupby(faces):
            length = len(list(group))
            yield face, text[at : at + length]
            at += length

    def open(self, face: fonts.Face) -> tuple[Any, float, dict[int, float]]:
        """Return HarfBuzz's font, thousandths of the size a unit, and the widths met so far."""
        if face not in self._fonts:
            opened = hb.Face(hb.Blob.from_file_path(str(face.file)), face.index)
            self._fonts[face] = (hb.Font(opened), 1000 / opened.upem, {})
        return self._fonts[face]

    def _shape(self, face: fonts.Face, text: str, *, rtl: bool) -> Run:
        font, scale, widths = self.open(face)
        buffer = hb.Buffer()
        buffer.add_str(text)
        buffer.guess_segment_properties()
        buffer.direction = "rtl" if rtl else "ltr"
        buffer.cluster_level = hb.BufferClusterLevel.MONOTONE_CHARACTERS
        hb.shape(font, buffer)
        infos, places = buffer.glyph_infos, buffer.glyph_positions
        said = _said(text, [(info.codepoint, info.cluster) for info in infos], font, rtl=rtl)
        glyphs = []
        for info, place, words in zip(infos, places, said, strict=True):
            ident = info.codepoint
            if ident not in widths:
                widths[ident] = font.get_glyph_h_advance(ident) * scale
            glyphs.append(
                Glyph(
                    ident, words, widths[ident], place.x_advance * scale,
                    place.x_offset * scale, place.y_offset * scale,
                )
            )  # fmt: skip
        if rtl:
            blank = font.get_nominal_glyph(0x20) or 0
            wide = font.get_glyph_h_advance(blank) * scale
            glyphs = [part for glyph in glyphs for part in _apart(glyph, blank, wide)]
        elif face is self.case.emoji:
            glyphs = [part for glyph in glyphs for part in _in_letters(glyph)]
        # A mark in its own place is read as a line of its own, a silent glyph as anything.
        odd = any(not g.text or not g.width or g.up or g.right for g in glyphs)
        is_said = face is self.case.emoji or ("".join(said) == text and not odd)
        actual = "" if rtl or is_said else text
        return Run.of(face, glyphs, actual)


def _apart(glyph: Glyph, blank: int, wide: float) -> Iterator[Glyph]:
    """Part a ligature that is read from right to left: blanks of no advance say its later letters.

    Readers turn such text around letter by letter, and a glyph's letters with it.
    """
    for letter in reversed(glyph.text[1:]):
        yield Glyph(blank, letter, wide, 0.0, 0.0, 0.0)
    yield dataclasses.replace(glyph, text=glyph.text[:1]) if glyph.text[1:] else glyph


def _in_letters(glyph: Glyph) -> Iterator[Glyph]:
    """Let an emoji say its first letter, and glyphs that draw nothing the others.

    Readers of Type 3 fonts know one letter a glyph.  Such a glyph has no id in
    the font; it is the letter's code point, negative.
    """
    yield dataclasses.replace(glyph, text=glyph.text[:1]) if glyph.text[1:] else glyph
    for letter in glyph.text[1:]:
        yield Glyph(-ord(letter), letter, 0.0, 0.0, 0.0, 0.0)


def _said(text: str, glyphs: list[tuple[int, int]], font: Any, *, rtl: bool) -> list[str]:  # noqa: ANN401 - uharfbuzz has no types
    """Return what each glyph says of the text, in the order of the glyphs.

    A cluster of one glyph says all of its letters.  Of several glyphs each
    says the letter that it is by itself; from right to left, where readers
    know no ActualText, the first letter's glyph says them all.
    """
    starts = sorted({cluster for _, cluster in glyphs})
    ends = dict(zip(starts, [*starts[1:], len(text)], strict=True))
    said: list[str] = []
    for cluster, group in itertools.groupby(glyphs, key=lambda glyph: glyph[1]):
        ids = [ident for ident, _ in group]
        letters = text[cluster : ends[cluster]]
        if len(ids) == 1:
            said.append(letters)
        elif rtl:
            said += [*[""] * (len(ids) - 1), letters]
        else:
            plain = {font.get_nominal_glyph(ord(letter)): letter for letter in reversed(letters)}
            said += [plain.get(ident, "") for ident in ids]
    return said


def one_way(text: str) -> str | None:
    """Return "ltr" or "rtl" where all of a text runs so; None where it is mixed."""
    kinds = {unicodedata.bidirectional(char) for char in text}
    if not kinds & _RIGHT_TO_LEFT:
        return "ltr"
    return None if kinds & _LEFT_TO_RIGHT else "rtl"


def _directed(text: str) -> list[tuple[str, bool]]:
    """Part a text into pieces of one direction, in the order in which they are drawn."""
    if way := one_way(text):
        return [(text, way == "rtl")]
    from bidi import algorithm as bidi  # noqa: PLC0415 - few names run both ways

    storage: dict[str, Any] = bidi.get_empty_storage()
    storage["base_level"] = bidi.get_base_level(text)
    storage["base_dir"] = ("L", "R")[storage["base_level"]]
    bidi.get_embedding_levels(text, storage)
    for char in storage["chars"]:
        if char["type"] in _INVISIBLE:
            char["type"] = "NSM"  # goes with the letter before it (UAX 9, 5.2)
    bidi.explicit_embed_and_overrides(storage)
    bidi.resolve_weak_types(storage)
    bidi.resolve_neutral_types(storage, debug=False)
    bidi.resolve_implicit_levels(storage, debug=False)
    levels = [char["level"] for char in storage["chars"]]
    pieces = []
    at = 0
    for level, group in itertools.groupby(levels):
        length = len(list(group))
        pieces.append((level, text[at : at + length]))
        at += length
    return [(piece, level % 2 == 1) for level, piece in _in_visual_order(pieces)]


def _in_visual_order(pieces: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Reverse what is at each level or above it, from the highest down (UAX 9, L2)."""
    for least in range(max(level for level, _ in pieces), 0, -1):
        ordered: list[tuple[int, str]] = []
        for high, group in itertools.groupby(pieces, key=lambda piece: piece[0] >= least):
            members = list(group)
            ordered += members[::-1] if high else members
        pieces = ordered
    return pieces
