"""Text as the operators of a PDF content stream (ISO 32000-1, 9.4)."""

from __future__ import annotations

from collections.abc import Sequence

from deliverybot.pdf import shaping

#: Font resource of plain text; every line begins and ends in it.
PLAIN = b"F0"
#: Points.
TYPE = 7.0
#: Thousandths of the type below which a shift is not worth its bytes: 0.01 mm.
_LEAST = 4
#: What would end or change a string; what is no such byte stands for itself.
_ESCAPES = ((b"\\", b"\\\\"), (b"(", b"\\("), (b")", b"\\)"), (b"\r", b"\\r"))

#: Font resource, operators that draw, width in thousandths of the type.
Piece = tuple[bytes, bytes, float]


def width(pieces: Sequence[Piece]) -> float:
    """Return the width of pieces side by side."""
    return sum(piece[2] for piece in pieces)


def drawn(pieces: Sequence[Piece]) -> bytes:
    """Return the operators of pieces side by side, from the plain font back to it."""
    out = []
    current = PLAIN
    for name, operators, _ in pieces:
        if name != current:
            out.append(_font(name))
            current = name
        out.append(operators)
    if current != PLAIN:
        out.append(_font(PLAIN))
    return b"".join(out)


def _font(name: bytes) -> bytes:
    return b"/%s %g Tf" % (name, TYPE)


def run(glyphs: Sequence[shaping.Glyph], codes: Sequence[bytes]) -> bytes:
    """Return the operators that draw glyphs by their codes, each in its place."""
    out: list[bytes] = []
    shown: list[bytes] = []
    shift = rise = 0.0
    for glyph, code in zip(glyphs, codes, strict=True):
        if glyph.up != rise:
            out += [_show(shown), b" %.2f Ts" % (glyph.up * TYPE / 1000)]
            shown, rise = [], glyph.up
        _move(shown, shift - glyph.right)
        _append(shown, code)
        shift = glyph.right + glyph.width - glyph.advance
    _move(shown, shift)
    out.append(_show(shown))
    if rise:
        out.append(b" 0 Ts")
    return b"".join(out)


def _move(shown: list[bytes], by: float) -> None:
    """Go to the left by thousandths of the type."""
    if abs(by) >= _LEAST:
        shown.append(b"%.0f" % by)


def _append(shown: list[bytes], code: bytes) -> None:
    """Add a code to the string at the end of an array."""
    for plain, escaped in _ESCAPES:
        code = code.replace(plain, escaped)
    if shown and shown[-1].endswith(b")"):
        shown[-1] = shown[-1][:-1] + code + b")"
    else:
        shown.append(b"(" + code + b")")


def _show(shown: list[bytes]) -> bytes:
    if not shown:
        return b""
    if len(shown) == 1 and shown[0].endswith(b")"):
        return shown[0] + b"Tj"
    return b"[" + b"".join(shown) + b"]TJ"


def said(text: str, operators: bytes) -> bytes:
    """Say what operators stand for, where their glyphs do not (ActualText, 14.9.4)."""
    words = b"\xfe\xff" + text.encode("utf-16-be")
    return b"/Span<</ActualText<%s>>>BDC %s EMC " % (words.hex().encode(), operators)
