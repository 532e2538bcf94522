"""From a value of a database or of a typed file to one that JSON could hold."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from typing import NoReturn

#: MySQL's BIT(1), which stands for yes and no there.
_BITS = {b"\0": "0", b"\1": "1"}


def value(given: object) -> object:
    """Return a text, number, boolean or None for a value; what has parts of its own stays.

    A time without a zone stays without one: it is read in the campaign's.
    Bytes are text where they are UTF-8 that can be printed, else hexadecimal,
    as platforms write identifiers.
    """
    if given is None or isinstance(given, str | bool | int | float):
        return given
    if isinstance(given, bytes | bytearray | memoryview):
        return _text(bytes(given))
    if isinstance(given, dt.datetime | dt.date | dt.time):
        return given.isoformat()
    if isinstance(given, decimal.Decimal | uuid.UUID):
        return str(given)
    return given


def text(given: object) -> str:
    """Return a value's text, as `value` reads it."""
    return str(value(given))


def no_number(word: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python reads as JSON and JSON does not know."""
    raise ValueError(word)


def _text(raw: bytes) -> str:
    if raw in _BITS:
        return _BITS[raw]
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return raw.hex()
    return text if all(char.isprintable() or char in "\t\r\n" for char in text) else raw.hex()
