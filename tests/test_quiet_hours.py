"""Hours of posts on the days on which a campaign's clock changes, and while a queue is worked off.

Each post must go in the hours on the campaign's own wall clock, and none may be lost.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import pathlib
import zoneinfo
from collections.abc import Iterator

import pytest

import build
import x_fake
from deliverybot import campaign as campaigns
from deliverybot import config, ledger, outlets, publishing

#: A zone, the UTC day on which its clock changes, and what it does.
CHANGES = [
    pytest.param("Europe/Berlin", "2027-03-28", id="Berlin: 02:00 is 03:00"),
    pytest.param("Europe/Berlin", "2027-10-31", id="Berlin: 03:00 is 02:00"),
    pytest.param("Europe/London", "2027-03-28", id="London: 01:00 is 02:00"),
    pytest.param("America/New_York", "2027-11-07", id="New York: 02:00 is 01:00"),
    pytest.param("America/Havana", "2027-03-14", id="Havana: midnight is 01:00"),
    pytest.param("America/Havana", "2027-11-07", id="Havana: 01:00 is midnight"),
    pytest.param("Australia/Lord_Howe", "2027-10-02", id="Lord Howe: half an hour is left out"),
    pytest.param("Australia/Lord_Howe", "2027-04-03", id="Lord Howe: half an hour comes twice"),
]
#: Hours of each day: (from, to) in minutes since midnight.
HOURS = [(0, 30), (90, 150), (120, 180), (150, 210), (480, 1320)]
STEP = dt.timedelta(minutes=15)


@contextlib.contextmanager
def desk(
    folder: pathlib.Path, plan: campaigns.Campaign, options: config.Settings, clock: build.Clock
) -> Iterator[tuple[ledger.Ledger, publishing.Desk]]:
    """Give a ledger with approved posts, and what posts them."""
    folder.joinpath("var").mkdir(exist_ok=True)
    with contextlib.closing(ledger.open_ledger(options.database_url)) as book:
        build.grow(book, plan, 100, now=clock())
        works = build.works(book, [plan], options, clock)
        for row in book.posts.select():
            build.at_once(works._write(row, works._present()))
        yield (
            book,
            publishing.Desk(
                settings=options, campaigns={plan.slug: plan}, owner="w1", clock=clock,
                outlets=outlets.Pool(options, clock=lambda: clock().timestamp()),
            ),
        )  # fmt: skip


def minutes(at: dt.datetime, zone: str) -> int:
    """Return the minutes since midnight that a wall clock shows."""
    local = at.astimezone(zoneinfo.ZoneInfo(zone))
    return 60 * local.hour + local.minute


@pytest.mark.parametrize(("zone", "day"), CHANGES)
@pytest.mark.parametrize("span", HOURS, ids=lambda span: f"{span[0]}-{span[1]}")
async def test_a_post_goes_in_its_hours_when_the_clock_changes(
    zone: str, day: str, span: tuple[int, int], tmp_path: pathlib.Path
) -> None:
    options = build.settings(tmp_path)
    said = "-".join(f"{at // 60:02}:{at % 60:02}" for at in span)
    plan = build.campaign(
        tmp_path, post=f'approval = "none"\nhours = "Mon-Sun {said}"',
        # A day may leave these hours out as a whole.
        delivery='first_reading = "deliver"\nstale_after = "48h"',
    )  # fmt: skip
    file = plan.file
    file.write_text(f'timezone = "{zone}"\n{file.read_text()}')
    plan = campaigns.load(file)
    midnight = dt.datetime.fromisoformat(day).replace(tzinfo=zoneinfo.ZoneInfo(zone))
    clock = build.Clock(midnight.astimezone(dt.UTC) - dt.timedelta(minutes=90))
    with desk(tmp_path, plan, options, clock) as (book, this):
        for _ in range(48 * 4):
            clock.now += STEP
            await publishing.all_ready(book, this)
            (row,) = book.posts.select()
            if row.state == "posted":
                break
        assert row.state == "posted"
        assert row.posted_at is not None
        assert span[0] <= minutes(row.posted_at, zone) < span[1]


async def test_what_stands_in_a_queue_until_the_hours_are_over_waits(
    tmp_path: pathlib.Path,
) -> None:
    """One account, three posts, and a network that takes twenty minutes for each."""
    clock = build.Clock()  # 15:00
    with x_fake.running() as fake:
        options = x_fake.settings(tmp_path, fake.url)
        known = {}
        for n in range(3):
            rule = f'approval = "none"\nhours = "Mon-Sun 08:00-15:30"\ntemplate = "{n}.txt"'
            (tmp_path / "letters" / "faces" / f"{n}.txt").write_text(f"News {n}\n")
            plan = build.campaign(tmp_path, f"news{n}", posts=("loud",), post=rule)
            known[plan.slug] = plan
        fake.set(clock())

        def slow(thing: str) -> bool:
            if thing == "POST /2/tweets":
                clock.forward(minutes=20)
                fake.set(clock())
            return True

        fake.on_ask = slow
        with contextlib.closing(ledger.open_ledger(options.database_url)) as book:
            for plan in known.values():
                build.grow(book, plan, 100)
            works = build.works(book, list(known.values()), options, clock)
            for row in book.posts.select():
                build.at_once(works._write(row, works._present()))
            this = publishing.Desk(
                settings=options, campaigns=known, owner="w1", clock=clock,
                outlets=outlets.Pool(options, clock=lambda: clock().timestamp()),
            )  # fmt: skip
            await publishing.all_ready(book, this)
            rows = book.posts.select()
            assert [row.state for row in rows] == ["posted", "posted", "approved"]
            assert rows[2].attempts == 0
            clock.forward(hours=17)
            await publishing.all_ready(book, this)
            assert book.posts.select()[2].state == "posted"
            assert len(fake.posts) == 3
