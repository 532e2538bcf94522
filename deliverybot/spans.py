"""Long spans of time in a person's words, such as "6 months": counted on the calendar."""

from __future__ import annotations

import calendar
import datetime as dt
import re
import zoneinfo
from typing import Annotated

import pydantic

from deliverybot import faults, hours

_UNITS = {"day": (1, 0), "week": (7, 0), "month": (0, 1), "year": (0, 12)}
#: Nobody has a reason to keep names for longer, and dates have an end.
_MOST_DAYS, _MOST_MONTHS = 3660, 120
_HINT = 'a number and a unit: "30 days", "8 weeks", "6 months" or "1 year"'


def parse(text: str) -> tuple[int, int]:
    """Return (days, months) of "30 days", "8 weeks", "6 months" or "1 year"; one of them is 0."""
    found = re.fullmatch(r"([1-9][0-9]{0,3})\s+(day|week|month|year)s?", text.strip().lower())
    if not found:
        raise faults.wrong(f"{text!r} is no span of time", _HINT)
    days, months = (int(found[1]) * each for each in _UNITS[found[2]])
    if days > _MOST_DAYS or months > _MOST_MONTHS:
        raise faults.wrong(f"{text!r} is longer than ten years", _HINT)
    return days, months


def after(start: dt.datetime, text: str, timezone: str) -> dt.datetime:
    """Return the UTC time a span after an aware time, on the calendar and clock of a zone.

    A month after the 31st is the last day of a shorter month.
    """
    days, months = parse(text)
    zone = zoneinfo.ZoneInfo(timezone)
    wall = start.astimezone(zone).replace(tzinfo=None) + dt.timedelta(days=days)
    year, month = divmod(wall.year * 12 + wall.month - 1 + months, 12)
    day = min(wall.day, calendar.monthrange(year, month + 1)[1])
    return hours.to_utc(wall.replace(year=year, month=month + 1, day=day, fold=0), zone)


def _checked(text: str) -> str:
    parse(text)
    return text


#: Beyond these nobody means what is written, and a time zone leads out of the calendar.
_YEARS = range(2000, 2101)


def _end(value: object) -> object:
    if not isinstance(value, dt.date) or value.year not in _YEARS:
        hint = "such as 2027-06-30, or 2027-06-30T18:00:00"
        raise faults.wrong("a close is a day or a time of our century, without quotes", hint)
    return value


Span = Annotated[str, pydantic.AfterValidator(_checked)]
#: A day, or a time with an offset or without.
End = Annotated[dt.datetime | dt.date, pydantic.BeforeValidator(_end)]
