"""The two axes of a figure: round steps for a count, and dates that a calendar has."""

from __future__ import annotations

import bisect
import datetime as dt
from collections.abc import Sequence

from deliverybot import model

#: Steps on one axis; where there are more, nobody reads them.
_MOST = 5
#: Days, or months, from one marked date to the next.
_DAYS = (1, 2, 7, 14)
_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120, 240)
_YEAR = 12


class Plot:
    """Days and their counts, placed as shares of a figure's width and height."""

    def __init__(self, days: Sequence[model.Day], high: int) -> None:
        """Take two days or more, in their order, and the highest number to show."""
        self.days = days
        self.high = high
        #: Round numbers from 0 up.
        self.steps = list(range(0, high + 1, _step(high)))
        #: The dates that are marked, and which parts of them are written.
        self.dates, self.parts = _dates(days[0].day, days[-1].day)

    def along(self, day: dt.date) -> float:
        """How far along a day is: 0 for the first, 1 for the last."""
        first, last = self.days[0].day, self.days[-1].day
        return (day - first).days / (last - first).days

    def down(self, count: int) -> float:
        """How far down a count is: 0 for the highest, 1 for none."""
        return 1 - count / self.high

    def on(self, day: dt.date) -> int:
        """How many had signed by the end of a day."""
        at = bisect.bisect_right(self.days, day, key=lambda each: each.day)
        return self.days[at - 1].signatures if at else 0


def _step(high: int) -> int:
    """Return 1, 2 or 5 with noughts, so that few steps reach the highest number."""
    nought = 1
    while high > 5 * nought * _MOST:
        nought *= 10
    return next(digit * nought for digit in (1, 2, 5) if high <= digit * nought * _MOST)


def _dates(first: dt.date, last: dt.date) -> tuple[list[dt.date], str]:
    """Return the dates to mark between two days, and which parts of them to write."""
    found: list[dt.date] = []
    for days in _DAYS:
        found = [first + dt.timedelta(days=n) for n in range(0, (last - first).days + 1, days)]
        if len(found) <= _MOST + 1:
            return found, "MMMd"
    for months in _MONTHS:
        found = _firsts(first, last, months)
        if len(found) <= _MOST + 1:
            return found, "yMMM" if months % _YEAR else "y"
    return found, "y"


def _firsts(first: dt.date, last: dt.date, months: int) -> list[dt.date]:
    """Return the first of January and of every so many months after it, between two days."""
    begin = first.year * _YEAR // months * months
    numbers = range(begin, last.year * _YEAR + last.month, months)
    found = (dt.date(number // _YEAR, number % _YEAR + 1, 1) for number in numbers)
    return [day for day in found if day >= first]
