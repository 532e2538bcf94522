"""When an office opens next: a table worked out by hand.

Each row was written from a calendar, the published clock changes and the
holiday laws, before the code was asked.  `now` and `opens` are UTC; the
comment gives the target's own clock and why.
"""

from __future__ import annotations

import datetime as dt

import pytest

from deliverybot import hours

NINE = "Mon-Fri 09:00-17:00"
ALWAYS = "Mon-Sun 00:00-24:00"
NIGHT = "Mon-Fri 22:00-24:00, Tue-Sat 00:00-06:00"
TOKYO = "Asia/Tokyo"  # +9, no summer time
ANGELES = "America/Los_Angeles"  # -8; -7 from 8 March to 1 November 2026, 02:00
YORK = "America/New_York"  # -5; -4 on the same days
BERLIN = "Europe/Berlin"  # +1; +2 from 29 March to 25 October 2026, 01:00 UTC
LONDON = "Europe/London"  # 0; +1 on the same days
HOWE = "Australia/Lord_Howe"  # +11; +10:30 from 5 April to 4 October 2026, 02:00
APIA = "Pacific/Apia"  # +13 all year since 2021
KATHMANDU = "Asia/Kathmandu"  # +5:45
CHATHAM = "Pacific/Chatham"  # +13:45; +12:45 from 5 April to 27 September 2026
JERUSALEM = "Asia/Jerusalem"  # +2; +3 from 27 March to 25 October 2026
CASABLANCA = "Africa/Casablanca"  # +1; 0 in Ramadan, 15 February to 22 March 2026
SANTIAGO = "America/Santiago"  # -4; -3 from 8 September 2019, 00:00

# fmt: off
TABLE = [
    # Tokyo: the day has begun there while it is still yesterday in UTC
    ("2026-06-07 23:59", NINE, TOKYO, "", "2026-06-08 00:00"),  # Mon 08:59, a minute early
    ("2026-06-08 00:00", NINE, TOKYO, "", "2026-06-08 00:00"),  # Mon 09:00 sharp is open
    ("2026-06-12 07:59:59", NINE, TOKYO, "", "2026-06-12 07:59:59"),  # Fri 16:59:59 may go
    ("2026-06-12 08:01", NINE, TOKYO, "", "2026-06-15 00:00"),  # Fri 17:01 waits for Mon 09:00
    ("2026-06-12 15:00", NINE, TOKYO, "", "2026-06-15 00:00"),  # Sat 00:00 there, Fri in UTC
    ("2026-09-18 08:01", NINE, TOKYO, "JP", "2026-09-24 00:00"),  # Mon, Wed holidays: Tue too
    ("2026-09-18 08:01", NINE, TOKYO, "", "2026-09-21 00:00"),  # the same, holidays not kept
    ("2025-12-31 15:30", NINE, TOKYO, "JP", "2026-01-02 00:00"),  # Thu 1 Jan 00:30: Fri 2 is none
    ("2026-02-10 09:00", NINE, TOKYO, "JP", "2026-02-12 00:00"),  # Tue 18:00; Wed is Foundation
    # Los Angeles: behind UTC, so its Friday evening is UTC's Saturday
    ("2026-01-10 00:59", NINE, ANGELES, "", "2026-01-10 00:59"),  # Fri 16:59
    ("2026-01-10 01:00", NINE, ANGELES, "", "2026-01-12 17:00"),  # Fri 17:00 sharp is closed
    ("2026-01-10 01:01", NINE, ANGELES, "", "2026-01-12 17:00"),  # Fri 17:01
    ("2026-01-16 17:00", NINE, ANGELES, "US", "2026-01-16 17:00"),  # Fri 09:00 sharp
    ("2026-01-17 01:01", NINE, ANGELES, "US", "2026-01-20 17:00"),  # Fri 17:01; Mon is King's day
    ("2026-07-03 16:00", NINE, ANGELES, "US", "2026-07-06 16:00"),  # 4 July is a Sat: Fri is kept
    ("2026-12-25 18:00", NINE, ANGELES, "US", "2026-12-28 17:00"),  # Christmas, a Friday
    # America's clocks go on: Sun 8 March 2026, 02:00 is 03:00, at 10:00 UTC
    ("2026-03-07 01:01", NINE, ANGELES, "", "2026-03-09 16:00"),  # Fri 17:01 PST; Mon 09:00 PDT
    ("2026-03-08 09:59", ALWAYS, ANGELES, "", "2026-03-08 09:59"),  # Sun 01:59, the last minute
    ("2026-03-08 10:00", ALWAYS, ANGELES, "", "2026-03-08 10:00"),  # Sun 03:00, the next one
    ("2026-03-08 09:00", "Sun 02:30-06:00", ANGELES, "", "2026-03-08 10:00"),  # 02:30 is not there
    ("2026-03-08 09:00", "Sun 02:00-03:00", ANGELES, "", "2026-03-15 09:00"),  # all of it is not
    ("2026-03-08 06:00", "Sun 03:00-04:00", YORK, "", "2026-03-08 07:00"),  # 01:00 EST, one hour
    # America's clocks go back: Sun 1 November 2026, 02:00 is 01:00, at 09:00 UTC in the west
    ("2026-10-31 00:01", NINE, ANGELES, "", "2026-11-02 17:00"),  # Fri 17:01 PDT; Mon 09:00 PST
    ("2026-11-01 08:00", "Sun 01:30-05:00", ANGELES, "", "2026-11-01 08:30"),  # 01:00, once
    ("2026-11-01 09:10", "Sun 01:30-05:00", ANGELES, "", "2026-11-01 09:10"),  # 01:10 again: open
    ("2026-11-01 09:45", "Sun 01:00-01:30", ANGELES, "", "2026-11-08 09:00"),  # 01:45 again
    ("2026-11-01 05:59", ALWAYS, YORK, "", "2026-11-01 05:59"),  # 01:59 EDT
    ("2026-11-01 06:59", ALWAYS, YORK, "", "2026-11-01 06:59"),  # 01:59 EST, an hour later
    # Europe's clocks go on: Sun 29 March 2026, 02:00 is 03:00, at 01:00 UTC
    ("2026-03-27 16:01", NINE, BERLIN, "", "2026-03-30 07:00"),  # Fri 17:01 CET; Mon 09:00 CEST
    ("2026-03-29 00:30", "Sun 02:30-03:30", BERLIN, "", "2026-03-29 01:00"),  # from 03:00 on
    ("2026-03-29 01:30", "Sun 02:30-03:30", BERLIN, "", "2026-04-05 00:30"),  # 03:30 sharp: over
    ("2026-03-29 00:59:59", ALWAYS, LONDON, "", "2026-03-29 00:59:59"),  # 00:59:59, then 02:00
    ("2026-03-30 07:59", NINE, LONDON, "", "2026-03-30 08:00"),  # Mon 08:59 BST
    # Europe's clocks go back: Sun 25 October 2026, 03:00 is 02:00, at 01:00 UTC
    ("2026-10-23 15:01", NINE, BERLIN, "", "2026-10-26 08:00"),  # Fri 17:01 CEST; Mon 09:00 CET
    ("2026-10-25 00:10", "Sun 02:00-02:30", BERLIN, "", "2026-10-25 00:10"),  # 02:10, once
    ("2026-10-25 00:40", "Sun 02:00-02:30", BERLIN, "", "2026-11-01 01:00"),  # 02:40: over
    ("2026-10-26 08:59", NINE, LONDON, "", "2026-10-26 09:00"),  # Mon 08:59 GMT
    # Lord Howe: half an hour, at 15:30 UTC on 3 October and at 15:00 UTC on 4 April
    ("2026-10-03 15:00", "Sun 02:15-05:00", HOWE, "", "2026-10-03 15:30"),  # 02:15 is not there
    ("2026-10-02 06:31", NINE, HOWE, "", "2026-10-04 22:00"),  # Fri 17:01 +10:30; Mon 09:00 +11
    ("2026-10-02 06:31", NINE, HOWE, "AU-NSW", "2026-10-05 22:00"),  # Mon is Labour Day there
    ("2026-04-02 06:01", NINE, HOWE, "AU-NSW", "2026-04-06 22:30"),  # Thu 17:01; Easter; Tue
    ("2026-04-04 15:10", "Sun 01:30-05:00", HOWE, "", "2026-04-04 15:10"),  # 01:40 again: open
    # Apia: the first to see the day, +13
    ("2026-06-12 04:01", NINE, APIA, "", "2026-06-14 20:00"),  # Fri 17:01; Mon 09:00 is Sun in UTC
    ("2026-06-14 19:59:59", NINE, APIA, "", "2026-06-14 20:00"),  # Mon 08:59:59
    ("2011-12-30 03:01", NINE, APIA, "", "2012-01-01 19:00"),  # Thu 17:01 -10; no Fri; Mon +14
    # Kathmandu and Chatham: quarters of an hour
    ("2026-06-08 03:14", NINE, KATHMANDU, "", "2026-06-08 03:15"),  # Mon 08:59
    ("2026-06-12 11:16", "Sun-Thu 10:00-17:00", KATHMANDU, "", "2026-06-14 04:15"),  # Fri 17:01
    ("2026-06-11 20:14", NINE, CHATHAM, "", "2026-06-11 20:15"),  # Fri 08:59, Thu in UTC
    ("2026-04-03 03:16", NINE, CHATHAM, "", "2026-04-05 20:15"),  # Fri 17:01 +13:45; Mon +12:45
    # weeks that begin on Sunday, and the clock of Ramadan
    ("2026-06-11 13:01", "Sun-Thu 08:00-16:00", JERUSALEM, "", "2026-06-14 05:00"),  # Thu 16:01
    ("2026-10-22 13:01", "Sun-Thu 08:00-16:00", JERUSALEM, "", "2026-10-25 06:00"),  # Sun is +2
    ("2026-02-13 16:01", NINE, CASABLANCA, "", "2026-02-16 09:00"),  # Fri 17:01 +1; Mon 09:00 +0
    ("2026-03-20 17:01", NINE, CASABLANCA, "", "2026-03-23 08:00"),  # Fri 17:01 +0; Mon 09:00 +1
    # clocks that go on at midnight: Sunday 8 September 2019 begins at 01:00
    ("2019-09-08 03:59", ALWAYS, SANTIAGO, "", "2019-09-08 03:59"),  # Sat 23:59
    ("2019-09-08 03:30", "Sun 00:00-09:00", SANTIAGO, "", "2019-09-08 04:00"),  # Sat 23:30
    # leap days
    ("2028-02-28 16:01", NINE, BERLIN, "", "2028-02-29 08:00"),  # Mon 17:01; Tue is the 29th
    ("2032-02-27 16:01", NINE, BERLIN, "", "2032-03-01 08:00"),  # Fri; the 29th is a Sunday
    ("2028-02-29 16:30", "Tue 09:00-17:00", BERLIN, "", "2028-03-07 08:00"),  # Tue 17:30
    # the year's end
    ("2026-12-31 16:01", NINE, BERLIN, "DE", "2027-01-04 08:00"),  # Thu 17:01; Fri is New Year
    ("2026-12-31 22:59", ALWAYS, BERLIN, "", "2026-12-31 22:59"),  # Thu 23:59
    ("2026-12-31 23:00", ALWAYS, BERLIN, "DE", "2027-01-01 23:00"),  # New Year, then Sat 00:00
    ("2026-12-24 17:01", NINE, LONDON, "GB-ENG", "2026-12-29 09:00"),  # Fri, Sat, so Mon 28 too
    # offices at night, parted at midnight
    ("2026-06-05 20:30", NIGHT, BERLIN, "", "2026-06-05 20:30"),  # Fri 22:30
    ("2026-06-05 22:00", NIGHT, BERLIN, "", "2026-06-05 22:00"),  # Sat 00:00: no gap at midnight
    ("2026-06-06 04:00", NIGHT, BERLIN, "", "2026-06-08 20:00"),  # Sat 06:00: over until Mon 22:00
    ("2026-03-28 05:01", NIGHT, BERLIN, "", "2026-03-30 20:00"),  # Sat 06:01 CET; Mon 22:00 CEST
    # holidays of parts of a country
    ("2026-01-05 16:01", NINE, BERLIN, "DE-BY", "2026-01-07 08:00"),  # Epiphany is kept in Bavaria
    ("2026-01-05 16:01", NINE, BERLIN, "DE-BE", "2026-01-06 08:00"),  # and not in Berlin
    ("2026-11-17 16:01", NINE, BERLIN, "DE-SN", "2026-11-19 08:00"),  # Saxony's day of prayer, Wed
    ("2026-11-17 16:01", NINE, BERLIN, "DE", "2026-11-18 08:00"),  # not Germany's
    ("2026-03-31 00:01", NINE, ANGELES, "US-CA", "2026-04-01 16:00"),  # 31 March: Chavez, a Tue
    ("2026-03-31 00:01", NINE, ANGELES, "US", "2026-03-31 16:00"),  # no federal holiday
    ("2026-11-26 01:01", NINE, ANGELES, "US-CA", "2026-11-30 17:00"),  # Wed 17:01; Thu, Fri kept
    ("2026-04-02 16:01", NINE, LONDON, "GB-ENG", "2026-04-07 08:00"),  # Thu 17:01; Easter Monday
    ("2026-04-02 16:01", NINE, LONDON, "GB-SCT", "2026-04-06 08:00"),  # no holiday in Scotland
    ("2026-11-27 17:01", NINE, LONDON, "GB-SCT", "2026-12-01 09:00"),  # Mon is Saint Andrew's
    ("2026-06-23 21:01", NINE, "America/Toronto", "CA-QC", "2026-06-25 13:00"),  # 24 June, Quebec
    ("2026-05-22 16:01", NINE, LONDON, "GB-ENG, FR", "2026-05-26 08:00"),  # Mon: both keep it
    ("2026-07-13 15:01", NINE, BERLIN, "DE, FR", "2026-07-15 07:00"),  # 14 July is France's
]
# fmt: on


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def test_the_table_has_its_sixty_cases() -> None:
    assert len(TABLE) >= 60
    assert len({row[:4] for row in TABLE}) == len(TABLE)


@pytest.mark.parametrize(("now", "office", "zone", "holidays", "opens"), TABLE)
def test_next_open(now: str, office: str, zone: str, holidays: str, opens: str) -> None:
    open_ = hours.Hours.parse(office)
    assert hours.next_open(utc(now), open_, zone, holidays) == utc(opens)
    assert bool(hours.why_closed(utc(now), open_, zone, holidays)) == (now != opens)


@pytest.mark.parametrize(
    ("text", "codes"),
    [("", []), ("US", ["US"]), ("DE-BY", ["DE-BY"]), ("DE-BY, AT", ["DE-BY", "AT"])],
)
def test_holidays_are_read(text: str, codes: list[str]) -> None:
    assert hours.holiday_codes(text) == codes


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("USA", "no public holidays are known for 'USA': write 'US'"),
        ("UK", "for 'UK': write 'GB'"),
        ("UK-ENG", "for 'UK-ENG': write 'GB-ENG'"),
        ("US-XX", "US has no part 'XX' .* known are AK, AL"),
        ("DE-BY, ZZ", "known for 'ZZ'$"),
        ("DE-", "DE has no part ''"),
        ("DE,", "known for ''"),
        ("us-ca", "known for 'us-ca': write 'US-CA'"),
    ],
)
def test_holidays_that_are_not_known_say_so(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        hours.holiday_codes(text)
