from __future__ import annotations

import datetime as dt
import zoneinfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deliverybot import hours

OFFICE = "Mon-Fri 09:00-17:00"
ALWAYS = "Mon-Sun 00:00-24:00"
TOKYO = "Asia/Tokyo"
ANGELES = "America/Los_Angeles"
BERLIN = "Europe/Berlin"
HOWE = "Australia/Lord_Howe"
APIA = "Pacific/Apia"


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


# Written by hand from a calendar and the published clock changes, never from the code's answers.
MOMENTS = st.integers(946684800, 2208988800).map(lambda n: dt.datetime.fromtimestamp(n, dt.UTC))
CASES = [
    # each row is now in UTC, the office, its zone, its holidays and when it opens in UTC
    ("2026-05-31 23:00", OFFICE, TOKYO, "", "2026-06-01 00:00"),  # Monday 08:00
    ("2026-06-01 03:00", OFFICE, TOKYO, "", "2026-06-01 03:00"),  # Monday noon
    ("2026-06-01 00:00", OFFICE, TOKYO, "", "2026-06-01 00:00"),  # Monday 09:00 sharp
    ("2026-06-05 08:01", OFFICE, TOKYO, "", "2026-06-08 00:00"),  # Friday 17:01
    ("2026-06-05 08:00", OFFICE, TOKYO, "", "2026-06-08 00:00"),  # Friday 17:00 sharp is closed
    ("2026-06-05 07:59:59", OFFICE, TOKYO, "", "2026-06-05 07:59:59"),
    ("2026-05-01 09:00", OFFICE, TOKYO, "JP", "2026-05-07 00:00"),  # Golden Week
    ("2026-06-06 00:01", OFFICE, ANGELES, "", "2026-06-08 16:00"),  # Friday 17:01
    ("2026-03-07 01:01", OFFICE, ANGELES, "", "2026-03-09 16:00"),  # clocks go on in between
    ("2026-10-31 00:01", OFFICE, ANGELES, "", "2026-11-02 17:00"),  # clocks go back in between
    ("2026-11-26 18:00", OFFICE, ANGELES, "US", "2026-11-27 17:00"),  # Thanksgiving
    ("2026-11-26 18:00", OFFICE, ANGELES, "", "2026-11-26 18:00"),  # not kept
    ("2026-01-17 02:00", OFFICE, ANGELES, "US", "2026-01-20 17:00"),  # a holiday Monday
    ("2026-07-03 17:00", OFFICE, ANGELES, "US", "2026-07-06 16:00"),  # kept on the Friday before
    ("2026-11-01 09:30", ALWAYS, ANGELES, "", "2026-11-01 09:30"),  # 01:30 for the second time
    ("2028-02-29 07:00", OFFICE, BERLIN, "", "2028-02-29 08:00"),  # leap day, a Tuesday
    ("2028-02-28 17:00", OFFICE, BERLIN, "", "2028-02-29 08:00"),
    ("2026-03-28 12:00", OFFICE, BERLIN, "", "2026-03-30 07:00"),  # clocks go on in between
    ("2026-10-24 12:00", OFFICE, BERLIN, "", "2026-10-26 08:00"),  # clocks go back in between
    ("2026-04-02 16:00", OFFICE, BERLIN, "DE", "2026-04-07 07:00"),  # Good Friday to Easter Monday
    ("2026-12-31 18:00", OFFICE, BERLIN, "DE", "2027-01-04 08:00"),  # over New Year
    ("2026-03-29 00:00", "Sun 02:30-05:00", BERLIN, "", "2026-03-29 01:00"),  # opens in the gap
    ("2026-03-29 00:00", "Sun 02:15-02:45", BERLIN, "", "2026-04-05 00:15"),  # lies in the gap
    ("2026-10-25 00:00", "Sun 02:30-04:00", BERLIN, "", "2026-10-25 00:30"),  # the first 02:30
    ("2026-10-25 01:10", "Sun 02:30-04:00", BERLIN, "", "2026-10-25 01:10"),  # 02:10 again: open
    ("2026-10-03 12:00", "Sun 02:15-06:00", HOWE, "", "2026-10-03 15:30"),  # a gap of 30 minutes
    ("2026-04-04 12:00", "Sun 01:45-05:00", HOWE, "", "2026-04-04 14:45"),  # the first 01:45
    ("2026-04-03 06:30", OFFICE, HOWE, "", "2026-04-05 22:30"),  # +11:00 before, +10:30 after
    ("2026-06-05 04:01", OFFICE, APIA, "", "2026-06-07 20:00"),  # Friday 17:01 at +13:00
    ("2011-12-30 04:00", OFFICE, APIA, "", "2012-01-01 19:00"),  # the Friday that never was
    ("2011-12-30 12:00", ALWAYS, APIA, "", "2011-12-30 12:00"),
    ("2010-11-07 02:45", ALWAYS, "America/St_Johns", "", "2010-11-07 02:45"),  # back over midnight
    ("2026-06-01 03:30", "Mon-Fri 09:00-12:00 13:00-17:00", TOKYO, "", "2026-06-01 04:00"),
    ("2026-06-05 05:30", "Mon-Thu 09:00-17:00, Fri 09:00-14:00", TOKYO, "", "2026-06-08 00:00"),
    ("2026-06-03 11:00", "Wed 10:00-11:00", "UTC", "", "2026-06-10 10:00"),
    ("2026-06-01 11:00", "Sat-Sun 10:00-12:00", "UTC", "", "2026-06-06 10:00"),
    ("2026-06-06 12:00", "Sat-Mon 10:00-12:00", "UTC", "", "2026-06-07 10:00"),  # over the week end
    ("2026-06-01 11:00", "Tue, Thu 09:00-10:00", "UTC", "", "2026-06-02 09:00"),
]


@pytest.mark.parametrize(("now", "office", "zone", "country", "opens"), CASES)
def test_next_open(now: str, office: str, zone: str, country: str, opens: str) -> None:
    found = hours.next_open(utc(now), hours.Hours.parse(office), zone, country)
    assert found == utc(opens)
    assert found.tzinfo is dt.UTC
    closed = hours.why_closed(utc(now), hours.Hours.parse(office), zone, country)
    assert bool(closed) == (now != opens)


@settings(max_examples=200)
@given(
    MOMENTS,
    st.sampled_from([TOKYO, ANGELES, BERLIN, HOWE, APIA, "America/St_Johns", "Africa/Cairo"]),
    st.sampled_from([OFFICE, "Sun 01:30-02:30", "Fri-Sat 23:00-24:00, Mon 00:00-00:30"]),
)
def test_the_answer_is_open_and_nothing_before_it_is(
    now: dt.datetime, zone: str, text: str
) -> None:
    office = hours.Hours.parse(text)
    opens = hours.next_open(now, office, zone, "")
    assert opens >= now
    assert hours.next_open(opens, office, zone, "") == opens
    between = now + (opens - now) / 2
    assert hours.next_open(between, office, zone, "") == opens


@given(MOMENTS)
def test_always_is_always(now: dt.datetime) -> None:
    for zone in (TOKYO, BERLIN, HOWE, APIA, "America/St_Johns", "America/Havana"):
        assert hours.next_open(now, hours.Hours.parse(ALWAYS), zone, "") == now


def test_a_time_of_another_zone_is_understood_and_one_without_is_refused() -> None:
    noon = dt.datetime(2026, 6, 1, 12, tzinfo=zoneinfo.ZoneInfo(TOKYO))
    office = hours.Hours.parse(OFFICE)
    assert hours.next_open(noon, office, TOKYO, "") == utc("2026-06-01 03:00")
    with pytest.raises(ValueError, match="time zone"):
        hours.next_open(noon.replace(tzinfo=None), office, TOKYO, "")


def test_an_office_that_never_opens_is_an_error_not_an_endless_search() -> None:
    never = hours.Hours(days=((),) * 7)
    with pytest.raises(ValueError, match="400 days"):
        hours.next_open(utc("2026-06-01"), never, "UTC", "")


@pytest.mark.parametrize(
    ("now", "zone", "country", "why"),
    [
        (
            "2026-06-06 21:02",
            ANGELES,
            "",
            "outside office hours (it is Saturday 14:02 in America/Los_Angeles)",
        ),
        ("2026-11-26 18:00", ANGELES, "US", "public holiday: Thanksgiving Day"),
        ("2026-05-04 03:00", TOKYO, "JP", "public holiday: Greenery Day"),
        ("2026-06-01 03:00", TOKYO, "JP", ""),
    ],
)
def test_why_closed(now: str, zone: str, country: str, why: str) -> None:
    assert hours.why_closed(utc(now), hours.Hours.parse(OFFICE), zone, country) == why


@pytest.mark.parametrize(
    ("text", "monday", "friday"),
    [
        (OFFICE, ((540, 1020),), ((540, 1020),)),
        ("mon-fri 9:00-17:00", ((540, 1020),), ((540, 1020),)),
        ("Mon – Fri  09:00 – 17:00", ((540, 1020),), ((540, 1020),)),
        ("Mon 09:00-12:00 12:00-13:00", ((540, 780),), ()),
        ("Mon 13:00-17:00 09:00-12:00", ((540, 720), (780, 1020)), ()),
        ("Fri-Mon 00:00-24:00", ((0, 1440),), ((0, 1440),)),
        ("Mon, Fri 10:00-11:00", ((600, 660),), ((600, 660),)),
    ],
)
def test_hours_are_read(
    text: str, monday: tuple[tuple[int, int], ...], friday: tuple[tuple[int, int], ...]
) -> None:
    days = hours.Hours.parse(text).days
    assert (days[0], days[4]) == (monday, friday)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not a day"),
        ("always", "is not a day"),
        ("Mon", "no hours"),
        ("Mon 09:00-10:00, Tue", "no hours"),
        ("Mon-Fry 09:00-17:00", "'Fry' is not a day"),
        ("Montag 09:00-17:00", "'Montag' is not a day"),
        ("Mon 17:00-09:00", "ends before it begins; a night is written 17:00-24:00 00:00-09:00"),
        ("Mon 09:00-09:00", "ends before it begins"),
        ("Mon 09:00-24:30", "ends after 24:00"),
        ("Mon 25:00-26:00", "is not a day and its hours"),
        ("Mon 09:60-10:00", "is not a day and its hours"),
        ("Mon 9-17", "is not a day and its hours"),
        ("09:00-17:00", "is not a day and its hours"),
    ],
)
def test_what_cannot_be_read_says_why(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        hours.Hours.parse(text)


def test_countries() -> None:
    assert hours.knows_country("US")
    assert hours.knows_country("JP")
    assert not hours.knows_country("USA")
    assert not hours.knows_country("us")
    assert not hours.knows_country("XX")
    assert hours.holiday(dt.date(2026, 7, 4), "US")
    assert not hours.holiday(dt.date(2026, 7, 5), "US")
    assert not hours.holiday(dt.date(2026, 7, 4), "")


@pytest.mark.parametrize(
    ("wall", "zone", "moment"),
    [
        ("2026-12-01 09:00", "America/New_York", "2026-12-01 14:00"),
        ("2026-07-01 09:00", "America/New_York", "2026-07-01 13:00"),
        ("2026-03-29 02:30", BERLIN, "2026-03-29 01:00"),
        ("2026-10-25 02:30", BERLIN, "2026-10-25 00:30"),
        ("2011-12-30 12:00", APIA, "2011-12-30 10:00"),
    ],
)
def test_wall_clock_to_utc(wall: str, zone: str, moment: str) -> None:
    local = dt.datetime.fromisoformat(wall)
    assert hours.to_utc(local, zoneinfo.ZoneInfo(zone)) == utc(moment)
