"""The fonts at hand: which face has a glyph for which character.

Fontconfig says what is installed.  The choice follows fixed ranks and names,
never Fontconfig's own taste, so that the same fonts give the same pages on
every machine.
"""

from __future__ import annotations

import bisect
import dataclasses
import functools
import pathlib
import re
import subprocess

from fontTools import unicodedata

from deliverybot import errors

#: Where emoji stand; some of their signs have a plain form in other fonts, which is not meant.
EMOJI = 0x1F000
#: Han is drawn in the way of the language: ISO 639-1 (and region) to the family's last word.
_HAN = {"ja": "JP", "ko": "KR", "zh-tw": "TC", "zh-hant": "TC", "zh-hk": "HK"}
_LISTING = (
    "%{file}\t%{index}\t%{family[0]}\t%{fontversion}\t%{fontformat}\t%{outline}%{color}"
    "\t%{charset}\n"
)
#: What fontconfig says of an outline font, and of one of coloured pictures; no other is drawn here.
_OUTLINES, _PICTURES = {"TrueFalse", "True"}, "FalseTrue"
_EMOJI_FAMILY = "Noto Color Emoji"
#: Regular upright faces of one design; fontconfig's weight 80 is CSS's 400.
_WANTED = ":weight=80:slant=0:width=100:variable=False"
#: What is an emoji only by the sign behind it: a key around a digit, the selector of the form.
_EMOJI_BY_SIGN = re.compile("[#*0-9]\ufe0f?\u20e3|[^#*0-9]\ufe0f")
#: Joiners and variation selectors: they print nothing and belong to the letter before.
_JOINERS = frozenset("\u200c\u200d").union(
    *(map(chr, codes) for codes in (
        range(0x180B, 0x1810), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0)
    ))
)  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """One face in one file."""

    family: str
    file: pathlib.Path
    #: Place in a collection of faces (.ttc).
    index: int
    #: The font's own version, as fontconfig prints it.
    version: int
    #: Whether it has TrueType outlines and the Latin letters.
    truetype: bool
    #: First and last code point of each covered range, in turn, ascending.
    ranges: tuple[int, ...] = dataclasses.field(repr=False, compare=False)

    def covers(self, code: int) -> bool:
        """Tell whether the face has a glyph of its own for a code point."""
        at = bisect.bisect_right(self.ranges, code)
        return at % 2 == 1 or (at > 0 and self.ranges[at - 1] == code)


class Typecase:
    """All faces, in the order in which they are asked for a character."""

    def __init__(self, faces: list[Face], language: str = "en") -> None:
        """Set the faces in order; Han is drawn as `language` (BCP 47) draws it."""
        han = _HAN.get(language.lower(), _HAN.get(language[:2].lower(), "SC"))
        self._ranked = {
            region: sorted(faces, key=lambda face: _rank(face, region))
            for region in ("SC", "TC", "HK", "JP", "KR")
        }
        self._home = han
        self._families = {face.family: face for face in reversed(self._ranked[han])}
        self._known: dict[tuple[str, str], Face | None] = {}
        self.emoji = next((face for face in faces if _is_emoji(face)), None)
        #: The face of all that it has: with TrueType outlines, so that a byte can name a glyph.
        self.main = next((face for face in self._ranked[han] if face.truetype), None) or _none()

    def face(self, char: str, region: str = "") -> Face | None:
        """Return the face that draws a character; None where no font here has it."""
        key = (char, region or self._home)
        if key not in self._known:
            code = ord(char)
            asked = [*self._made_for(code), *self._ranked[key[1]]]
            self._known[key] = next((face for face in asked if face.covers(code)), None)
        return self._known[key]

    def _made_for(self, code: int) -> list[Face]:
        """Return the faces of a character's own script; others have some of its letters, too."""
        if code >= EMOJI and self.emoji:
            return [self.emoji]
        script = unicodedata.script_name(unicodedata.script(chr(code)), "").replace("_", " ")
        families = (f"Noto Sans {script}", f"Noto Serif {script}")
        return [self._families[family] for family in families if family in self._families]

    def faces(self, word: str) -> list[Face | None]:
        """Return the face of each character of a word; marks and joiners stay with their base."""
        region = _region(word)
        found: list[Face | None] = []
        for char in word:
            before = found[-1] if found else None
            stays = char in _JOINERS or (before is not self.emoji and _stays(char, before))
            found.append(before if before and stays else self.face(char, region))
        for sign in _EMOJI_BY_SIGN.finditer(word) if self.emoji else ():
            if self.emoji and self.emoji.covers(ord(sign[0][0])):
                found[sign.start() : sign.end()] = [self.emoji] * len(sign[0])
        return found

    def missing(self, text: str) -> set[str]:
        """Return the characters that no font here can draw."""
        return {char for char in set(text) if self.face(char) is None and char not in _JOINERS}


def at_hand(language: str = "en") -> Typecase:
    """Ask fontconfig for the faces of this machine.

    Raises LetterError where there are none.
    """
    try:
        done = subprocess.run(  # noqa: S603 - no shell, fixed words
            ["fc-list", _WANTED, "--format", _LISTING],  # noqa: S607 - found as a person's would be
            check=True, capture_output=True, text=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError) as error:
        raise _no_fonts() from error
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    faces = [
        Face(
            file=pathlib.Path(file), index=int(index), family=family,
            version=int(version or 0), ranges=_ranges(charset),
            truetype=kind == "TrueType" and charset.startswith("20-7e"),
        )
        for file, index, family, version, kind, drawn, charset in lines
        if drawn in _OUTLINES or (family == _EMOJI_FAMILY and drawn == _PICTURES)
    ]  # fmt: skip
    return Typecase(faces, language)


def _none() -> Face:
    raise _no_fonts()


def _no_fonts() -> errors.LetterError:
    what = "no font for a list of names was found here: fc-list names none"
    hint = "install fontconfig and fonts-noto-core"
    return errors.LetterError([errors.Fault(level="fault", what=what, hint=hint)])


@functools.cache
def _ranges(charset: str) -> tuple[int, ...]:
    """Read fontconfig's "20-7e a0 ac-ff" into flat first and last code points."""
    bounds: list[int] = []
    for part in charset.split():
        first, _, last = part.partition("-")
        bounds += [int(first, 16), int(last or first, 16)]
    return tuple(bounds)


def _rank(face: Face, region: str) -> tuple[int, str, str, int]:
    family = face.family
    if family == "Noto Sans":
        rank = 0
    elif family == f"Noto Sans CJK {region}":
        rank = 1
    elif family.startswith("Noto Sans ") and not {"CJK", "Mono", "Display"} & set(family.split()):
        rank = 2
    elif family in {"DejaVu Sans", "Noto Sans CJK SC"}:
        rank = 3
    elif _is_emoji(face):
        rank = 4
    else:
        rank = 5 if family.startswith("Noto") else 6
    return rank, family, face.file.name, face.index


def _is_emoji(face: Face) -> bool:
    return face.family == _EMOJI_FAMILY


def _stays(char: str, face: Face | None) -> bool:
    """Tell whether a mark, a blank or a stop is better drawn by the face before it."""
    return face is not None and unicodedata.category(char)[0] in "MZP" and face.covers(ord(char))


def _region(word: str) -> str:
    """Return how Han is drawn beside Japanese or Korean letters; "" where nothing tells."""
    for char in word:
        if "\u3041" <= char <= "\u30ff":
            return "JP"
        if "\uac00" <= char <= "\ud7a3":
            return "KR"
    return ""
