"""Characters that no installed font can draw, said in words a person can act on."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable

from deliverybot import errors

_TAGS = re.compile(r"<[^>]*>")
#: (first, last, script, Debian package with a font for it); the first match counts.
_SCRIPTS = (
    (0x1F000, 0x1FAFF, "emoji", "fonts-noto-color-emoji"),
    (0x2600, 0x27BF, "symbols and emoji", "fonts-noto-color-emoji"),
    (0x1100, 0x11FF, "Korean", "fonts-noto-cjk"),
    (0x3130, 0x318F, "Korean", "fonts-noto-cjk"),
    (0xAC00, 0xD7FF, "Korean", "fonts-noto-cjk"),
    (0x3040, 0x30FF, "Japanese", "fonts-noto-cjk"),
    (0x2E80, 0x9FFF, "Chinese or Japanese", "fonts-noto-cjk"),
    (0xF900, 0xFAFF, "Chinese or Japanese", "fonts-noto-cjk"),
    (0xFF00, 0xFFEF, "Chinese or Japanese", "fonts-noto-cjk"),
    (0x20000, 0x3FFFF, "rare Chinese", "fonts-noto-cjk-extra or fonts-hanazono"),
)
_MOST = 20


def faults(missing: Iterable[int], page: str) -> list[errors.Fault]:
    """Name each character that came out as a box, where it stands and what to install."""
    codes = sorted(missing)
    found = []
    for code in codes[:_MOST]:
        letter = chr(code)
        name = unicodedata.name(letter, "a character without a name")
        script, package = _script(code, name)
        what = f"no font here can draw {letter} (U+{code:04X} {name}, {script})"
        if near := _near(letter, page):
            what += f", as in “{near}”"
        found.append(errors.Fault(level="fault", what=what, hint=f"install {package}"))
    if len(codes) > _MOST:
        what = f"{len(codes) - _MOST} more characters cannot be drawn"
        found.append(errors.Fault(level="fault", what=what, hint="install the fonts named above"))
    return found


def _script(code: int, name: str) -> tuple[str, str]:
    for first, last, script, package in _SCRIPTS:
        if first <= code <= last:
            return script, package
    return name.split(" ", maxsplit=1)[0].capitalize(), "fonts-noto-core"


def _near(letter: str, page: str) -> str:
    """Quote the text around the first place where the letter stands."""
    at = page.find(letter)
    if at < 0:
        return ""
    start = max(page.rfind(">", 0, at) + 1, at - 20)
    end = page.find("<", at)
    quoted = page[start : min(end if end >= 0 else len(page), at + 20)]
    return html.unescape(_TAGS.sub("", quoted)).strip()
