"""Office hours on the target's own clock, with its public holidays.

Rules are said in wall-clock time and answered in UTC instants.  A wall-clock
time that a clock change leaves out means the first instant after the gap; one
that happens twice means the first time.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import re
import zoneinfo

import holidays as public_holidays

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WHOLE_DAY = 24 * 60
#: A year of holidays and closed days, and a good month to spare.
_SEARCHED_DAYS = 400

_SPAN = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)\s*[-\u2013]\s*([01]?\d|2[0-4]):([0-5]\d)")
_GROUP = re.compile(
    r"(?P<first>[A-Za-z]+)(?:\s*[-\u2013]\s*(?P<last>[A-Za-z]+))?"
    rf"(?P<spans>(?:\s+{_SPAN.pattern})*)"
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """When an office is open, from Monday to Sunday."""

    #: For each weekday the spans (from, to) in minutes since midnight, in order, apart.
    days: tuple[tuple[tuple[int, int], ...], ...]

    @classmethod
    def parse(cls, text: str) -> Hours:
        """Read ``Mon-Thu 09:00-12:00 13:00-17:00, Fri 09:00-14:00``.

        Days without a time share the time of the next: ``Mon, Wed 09:00-12:00``.
        Raise ValueError with a sentence for the person who wrote it.
        """
        week: list[list[tuple[int, int]]] = [[] for _ in _DAYS]
        waiting: list[int] = []
        for part in text.split(","):
            found = _GROUP.fullmatch(part.strip())
            if not found:
                raise ValueError(f"{part.strip()!r} is not a day and its hours")
            waiting += _weekdays(found["first"], found["last"])
            spans = [_span(span) for span in _SPAN.finditer(found["spans"])]
            if spans:
                for day in waiting:
                    week[day] += spans
                waiting = []
        if waiting:
            raise ValueError(f"{text!r} ends with a day that has no hours")
        return cls(days=tuple(_merged(spans) for spans in week))


def _weekdays(first: str, last: str | None) -> list[int]:
    names = [day.lower() for day in _DAYS]
    for name in filter(None, (first, last)):
        if name.lower() not in names:
            raise ValueError(f"{name!r} is not a day; days are {', '.join(_DAYS)}")
    start = names.index(first.lower())
    end = names.index(last.lower()) if last else start
    return [(start + n) % 7 for n in range((end - start) % 7 + 1)]


def _span(found: re.Match[str]) -> tuple[int, int]:
    start, end = (int(found[at]) * 60 + int(found[at + 1]) for at in (1, 3))
    if end <= start:
        night = f"{found[1]}:{found[2]}-24:00 00:00-{found[3]}:{found[4]}"
        raise ValueError(f"{found[0]!r} ends before it begins; a night is written {night}")
    if end > _WHOLE_DAY:
        raise ValueError(f"{found[0]!r} ends after 24:00")
    return start, end


def _merged(spans: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)


def next_open(now_utc: dt.datetime, hours: Hours, timezone: str, holidays: str) -> dt.datetime:
    """Return the first instant, `now_utc` or later, when the office is open; in UTC.

    `holidays` is what `holiday_codes` takes, or empty.  Raise ValueError if it stays closed
    for 400 days, or if `now_utc` bears no time zone.
    """
    if now_utc.tzinfo is None:
        raise ValueError("a time without a time zone says nothing")
    zone = zoneinfo.ZoneInfo(timezone)
    now = now_utc.astimezone(dt.UTC)
    today = now.astimezone(zone).date()
    for n in range(_SEARCHED_DAYS + 1):
        day = today + dt.timedelta(days=n)
        if holiday(day, holidays):
            continue
        for start, end in hours.days[day.weekday()]:
            opens, closes = _instant(day, start, zone), _instant(day, end, zone)
            if opens < closes and now < closes:
                return max(now, opens)
    raise ValueError(f"the office is not open within {_SEARCHED_DAYS} days")


def why_closed(now_utc: dt.datetime, hours: Hours, timezone: str, holidays: str) -> str:
    """Return why the office is closed now, for people; empty while it is open."""
    if next_open(now_utc, hours, timezone, holidays) == now_utc:
        return ""
    local = now_utc.astimezone(zoneinfo.ZoneInfo(timezone))
    if name := holiday(local.date(), holidays):
        return f"public holiday: {name}"
    return f"outside office hours (it is {local:%A %H:%M} in {timezone})"


def knows_country(code: str) -> bool:
    """Tell whether the public holidays of a country are known."""
    return code in public_holidays.list_supported_countries(include_aliases=False)


def parts_of_country(code: str) -> list[str]:
    """Return the codes of a country's parts whose own public holidays are known."""
    return public_holidays.list_supported_countries(include_aliases=False).get(code, [])


def _meant(country: str, part: str) -> str:
    """Offer the code of a country that was written in another way, such as UK or usa."""
    code = country.upper()
    if code not in public_holidays.list_supported_countries():
        return ""
    return f": write '{public_holidays.country_holidays(code).country}{part.upper()}'"


def holiday_codes(text: str) -> list[str]:
    """Read ``US-CA`` or ``DE-BY, AT``: countries, or parts of them, whose holidays are kept.

    Raise ValueError with a sentence for the person who wrote it.
    """
    codes = [part.strip() for part in text.split(",")] if text.strip() else []
    for code in codes:
        country, dash, part = code.partition("-")
        if not knows_country(country):
            raise ValueError(
                f"no public holidays are known for {code!r}{_meant(country, dash + part)}"
            )
        known = parts_of_country(country)
        if dash and part not in known:
            there = f"known are {', '.join(known)}" if known else f"write {country!r} alone"
            raise ValueError(f"{country} has no part {part!r} with holidays of its own; {there}")
    return codes


def holiday(day: dt.date, holidays: str) -> str:
    """Return the name of the public holiday that `day` is, in English where known; or empty."""
    names = (_year(code, day.year).get(day, "") for code in _codes(holidays))
    return next(filter(None, names), "")


_codes = functools.lru_cache(maxsize=256)(holiday_codes)


@functools.lru_cache(maxsize=256)
def _year(code: str, year: int) -> dict[dt.date, str]:
    country, _, part = code.partition("-")
    spoken = public_holidays.list_localized_countries(include_aliases=False).get(country, [])
    language = next((name for name in ("en_US", "en_GB") if name in spoken), None)
    return dict(
        public_holidays.country_holidays(
            country, subdiv=part or None, years=year, language=language
        )
    )


def _instant(day: dt.date, minutes: int, zone: zoneinfo.ZoneInfo) -> dt.datetime:
    wall = dt.datetime.combine(day, dt.time()) + dt.timedelta(minutes=minutes)
    return to_utc(wall, zone)


def to_utc(wall: dt.datetime, zone: zoneinfo.ZoneInfo) -> dt.datetime:
    """Return the UTC instant of a wall-clock time that bears no zone of its own."""
    moment = wall.replace(tzinfo=zone, fold=0).astimezone(dt.UTC)
    if moment.astimezone(zone).replace(tzinfo=None, fold=0) == wall:
        return moment
    # The clock jumped over this time: look for the jump between the two readings of it.
    early = wall.replace(tzinfo=zone, fold=1).astimezone(dt.UTC)
    before = early.astimezone(zone).utcoffset()
    low, high = int(early.timestamp()), int(moment.timestamp())
    while high - low > 1:
        middle = (low + high) // 2
        if dt.datetime.fromtimestamp(middle, zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return dt.datetime.fromtimestamp(high, dt.UTC)
