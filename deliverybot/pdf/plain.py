"""Plain text in one byte a letter: most names need no more.

Four of five names are Latin.  Their letters get one byte each, in a code page
of our own that the font carries as its cmap, so such a line needs neither
shaping nor escapes: 14 bytes a name in the finished file against 25.
"""

from __future__ import annotations

import codecs
from typing import Any

from deliverybot.pdf import fonts, shaping

#: A blank as wide as a digit, and the blank between number and name.
PAD, GAP = 0x01, 0x02
#: Bytes that would end or escape a PDF string, or are read as another line end.
_UNFIT = frozenset(b"\x00\n\r()\\")
_BYTES = 256
_LETTERS = (
    "".join(map(chr, range(0x20, 0x7F)))
    + "".join(map(chr, range(0xC0, 0x100))).replace("×", "").replace("÷", "")
    + "’–ĄąĆćĘęŁłŃńŚśŹźŻżČčĎďĚěŇňŘřŠšŤťŮůŽžĽľĐđŐőŰűĞğİıŞşĂăȘșȚțĀāĒēĪīŪūĢģĶķĻļŅņĖėĮįŲųĊċĠġĦħŒœŸŴŵŶŷ"
)


def _code_page() -> dict[int, str]:
    """Give each letter its own byte where it can keep it, and a free one where not."""
    page = {ord(char): char for char in _LETTERS if ord(char) < _BYTES and ord(char) not in _UNFIT}
    free = iter(byte for byte in range(3, _BYTES) if byte not in _UNFIT and byte not in page)
    left = [char for char in _LETTERS if char not in page.values()]
    page |= dict(zip(free, left, strict=False))
    return page


#: Byte to letter; PAD and GAP are no letters, so no name can hold them.
CODE_PAGE = _code_page()
#: Byte to code points of which the font shows the first that it has.
SHOWN = CODE_PAGE | {PAD: "\u2007 ", GAP: "\u2002 "}


class Plain:
    """The code page, as far as one face covers it."""

    def __init__(self, face: fonts.Face) -> None:
        """Leave out what the face has no glyph for."""
        table = ["\ufffe"] * _BYTES
        for byte, char in CODE_PAGE.items():
            if face.covers(ord(char)):
                table[byte] = char
        self._map = codecs.charmap_build("".join(table))

    def encode(self, text: str) -> bytes | None:
        """Return the text's bytes; None where it needs more than this code page."""
        try:
            return codecs.charmap_encode(text, "strict", self._map)[0]
        except UnicodeEncodeError:
            return None

    def widths(self, shaper: shaping.Shaper) -> list[float]:
        """Return the width of each byte, in thousandths of the type."""
        font, scale, _ = shaper.open(shaper.case.main)
        return [
            font.get_glyph_h_advance(glyph(byte, font)) * scale if byte in SHOWN else 0.0
            for byte in range(_BYTES)
        ]


def glyph(byte: int, font: Any) -> int:  # noqa: ANN401 - uharfbuzz has no types
    """Return the glyph that a byte shows in a font of HarfBuzz; 0 where it has none."""
    found = (font.get_nominal_glyph(ord(char)) for char in SHOWN[byte])
    return next((ident for ident in found if ident), 0)
