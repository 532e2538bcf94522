"""The one reader of counts: what stands there is certainly a number, or the reading failed."""

from __future__ import annotations

import re
import unicodedata
from typing import NoReturn

from deliverybot import errors, screen

#: More than anybody collects; the integers of PostgreSQL end soon after.
MOST = 2_000_000_000

#: Commas, points and strokes that part thousands, and the blanks: U+066C is the Arabic comma.
_MARKS = ",.'’٬，．"  # noqa: RUF001 - look-alikes are what stands on pages
_BLANKS = "".join(chr(n) for n in range(0x3001) if unicodedata.category(chr(n)) == "Zs")
_INDIAN = ",，"  # noqa: RUF001
#: The longest text in which a number is looked for.
_LONG = 40
_SHOWN = 60

_GROUPED = re.compile(
    r"\d+"
    rf"|[1-9]\d{{0,2}}([{re.escape(_MARKS + _BLANKS)}])\d{{3}}(?:\1\d{{3}})*"
    rf"|[1-9]\d?([{_INDIAN}])(?:\d\d\2)+\d{{3}}",
    re.ASCII,
)


def whole(value: object, where: str) -> int:
    """Return the count that a value of JSON or of a database is.

    A whole number from 0 to `MOST`, or a text of such a number's plain digits.
    `where` is the address or the file, for the error.

    Raises:
        errors.SourceError: It is anything else: true, 1.0, -1, "1,000", nothing.
    """
    if isinstance(value, str):
        return written(value, where) if re.fullmatch("[0-9]+", value) else _refuse(value, where)
    if isinstance(value, bool) or not isinstance(value, int):
        _refuse(value, where)
    return value if 0 <= value <= MOST else _refuse(value, where)


def written(text: str, where: str) -> int:
    """Return the count that a text is, as pages write it.

    Plain digits of one script, or thousands parted by one and the same comma,
    point, stroke or blank: "24845", "24,845", "24.845", "24 845", "24'845";
    the Indian way, too: "1,00,000".  Blanks and direction marks around it do
    not matter.  `where` is the address or the file, for the error.

    Raises:
        errors.SourceError: It is anything else, or not this alone: "1.2", "1.2k",
            "2,5 million", "-5", "1 of 500", "1,234.5", nothing.
    """
    plain = _plain(text) if len(text) <= _LONG else None
    if plain is None or not _GROUPED.fullmatch(plain):
        _refuse(text, where)
    number = int(re.sub("[^0-9]", "", plain))
    return number if number <= MOST else _refuse(number, where)


def _plain(text: str) -> str | None:
    """Return a text with its digits as 0 to 9; None where they are of two scripts."""
    begin, end = 0, len(text)
    while begin < end and _is_margin(text[begin]):
        begin += 1
    while begin < end and _is_margin(text[end - 1]):
        end -= 1
    digits, zeros = [], set()
    for char in text[begin:end]:
        value = unicodedata.decimal(char, None)
        if value is not None:
            zeros.add(ord(char) - value)
        digits.append(char if value is None else str(value))
    return "".join(digits) if len(zeros) == 1 else None


def _is_margin(char: str) -> bool:
    return char.isspace() or unicodedata.category(char) == "Cf"


def _refuse(value: object, where: str) -> NoReturn:
    what = f"the number of signatures is {_said(value)}; that is no certain count"
    hint = (
        "the last good number stays; see whether the right place is named: "
        f"a whole number from 0 to {MOST} is expected there"
    )
    raise errors.SourceError(what, hint=hint, file=where)


def _said(value: object) -> str:
    """Say what stood there; nobody's address or phone number."""
    if value is None or isinstance(value, bool):
        return {None: "missing (null)", True: "true", False: "false"}[value]
    if isinstance(value, str):
        shown = screen.clean(value, 1000)
        if not re.fullmatch("[0-9]+", shown):
            shown = screen.without_private(shown)
        return repr(screen.clean(shown, _SHOWN)) if shown else "an empty text"
    if isinstance(value, int):
        # Writing out a number of a million digits takes a second, and Python refuses it.
        sign = "more than " if value > MOST else "less than -" if value < -MOST else ""
        return f"{sign}{MOST}" if sign else str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    return f"a value of the type {type(value).__name__}"
