"""How long another machine asks to be left alone: Retry-After, and networks' own fields for it."""

from __future__ import annotations

import contextlib
import datetime as dt
import email.utils
from collections.abc import Mapping

#: Seconds that are waited at least and at most, whatever is asked: a time that is over may be
#: that of another clock, and nobody means a year.
LEAST, MOST = 1.0, 86_400.0
#: Digits of a number that somebody means.
_DIGITS_MAX = 25


def seconds(headers: Mapping[str, str], now: float, reset: str = "") -> float | None:
    """Return the seconds to wait, from LEAST to MOST; None where an answer says nothing readable.

    `headers` have names in small letters, `now` is in seconds since 1970.
    Retry-After has seconds or an HTTP date (RFC 9110, 10.2.3); `reset` names a
    network's own field, which has a time: in seconds since 1970 (X, Bluesky) or
    by ISO 8601 (Mastodon).  Where both are there, the longer wait counts.
    """
    asked = headers.get("retry-after", "").strip()
    found = [_number(asked), _until(date(asked), now), _until(_time(headers.get(reset, "")), now)]
    waits = [wait for wait in found if wait is not None]
    return min(max(*waits, LEAST), MOST) if waits else None


def date(text: str) -> dt.datetime | None:
    """Return the time of an HTTP date, in any of its three forms; None for whatever is none."""
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        found = email.utils.parsedate_to_datetime(text)
        return found if found.tzinfo else found.replace(tzinfo=dt.UTC)
    return None


def _number(text: str) -> float | None:
    fits = text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX
    return float(text) if fits else None


def _time(text: str) -> float | None:
    """Return a time in seconds since 1970."""
    if (number := _number(text.strip())) is not None:
        return number
    with contextlib.suppress(ValueError, OverflowError):
        found = dt.datetime.fromisoformat(text.strip())
        return found.timestamp() if found.tzinfo else None
    return None


def _until(at: dt.datetime | float | None, now: float) -> float | None:
    at = at.timestamp() if isinstance(at, dt.datetime) else at
    return None if at is None else at - now
