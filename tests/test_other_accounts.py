"""An outlet that becomes another account while a post of it is in doubt."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import pathlib
import sqlite3
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from click import testing

import build
import x_fake
from deliverybot import campaign as campaigns
from deliverybot import cli, config, daemon, ledger, outlets, rests
from deliverybot.ledger import records


@dataclasses.dataclass
class House:
    """One post on one account of X, and another account beside it."""

    folder: pathlib.Path
    first: x_fake.Fake
    other: x_fake.Fake
    plan: campaigns.Campaign
    book: ledger.Ledger
    clock: build.Clock
    options: config.Settings

    async def once(self) -> records.Post:
        """Do what `run --once` does a while later; the post."""
        self.clock.forward(minutes=20)
        await daemon.once(build.works(self.book, [self.plan], self.options, self.clock))
        return self.book.posts.select()[0]

    def move(self, fake: x_fake.Fake) -> None:
        self.options = x_fake.settings(self.folder, fake.url)

    def note(self, options: config.Settings) -> None:
        """Note which account the outlet is for a bot with these settings."""
        rests.note_account(self.book, outlets.open_outlet("loud", options), self.clock.now)

    def account(self) -> str:
        """What the ledger holds of the outlet's account."""
        file = sa.make_url(self.options.database_url).database or ""
        with contextlib.closing(sqlite3.connect(file)) as plain:
            found = plain.execute("SELECT value FROM meta WHERE key = 'accounts'").fetchone()
        return found[0] if found else ""

    def count(self) -> tuple[int, int]:
        return len(self.first.posts), len(self.other.posts)

    def command(self, *arguments: str) -> str:
        file = self.folder / "config.toml"
        run = testing.CliRunner().invoke(cli.cli, ["-c", str(file), "--no-input", *arguments])
        assert run.exit_code == 0, run.output
        return run.output


@pytest.fixture
def house(tmp_path: pathlib.Path) -> Iterator[House]:
    with x_fake.running() as first, x_fake.running() as other, contextlib.ExitStack() as stack:
        options = x_fake.settings(tmp_path, first.url)
        plan = build.campaign(
            tmp_path, posts=("loud",), post='approval = "none"', plan="at = [10]",
            delivery='first_reading = "deliver"\nstale_after = "48h"',
        )  # fmt: skip
        build.csv(tmp_path, 10)
        book = stack.enter_context(contextlib.closing(ledger.open_ledger(options.database_url)))
        # Commands have the machine's clock, which is to be behind this one by no hour of the tests.
        clock = build.Clock(dt.datetime.now(dt.UTC) - dt.timedelta(hours=12))
        first.now = other.now = clock.now
        first.plan, first.lag = ["post_then_drop"], None
        yield House(
            folder=tmp_path, first=first, other=other, plan=plan, book=book, clock=clock,
            options=options,
        )  # fmt: skip


async def test_what_another_account_has_not_may_be_on_the_first(house: House) -> None:
    assert (await house.once()).state == "unsure"
    assert "another one" not in house.command("posts", "show", "1")
    house.move(house.other)
    for _ in range(4):
        assert (await house.once()).state == "unsure"
    assert house.count() == (1, 0)
    assert "loud is another one by now" in house.command("posts", "show", "1")
    house.command("posts", "resolve", "1", "--again")
    house.other.plan = ["drop"]
    # What is in doubt since then is in doubt on the other account alone.
    assert (await house.once()).state == "retrying"
    assert (await house.once()).state == "posted"
    assert house.count() == (1, 1)


async def test_the_same_account_is_believed_whatever_else_changes(house: House) -> None:
    house.first.plan = ["drop"]
    assert (await house.once()).state == "unsure"
    file = house.folder / "config.toml"
    file.write_text(file.read_text().replace('"x"\n', '"x"\nprice = 0.5\ntimeout = 9\n'))
    environ = {f"DELIVERYBOT_OUTLETS__LOUD__{key}".upper(): one for key, one in x_fake.KEYS.items()}
    house.options = config.load(file, environ=environ)
    house.first.lag = dt.timedelta()
    assert (await house.once()).state == "retrying"
    assert (await house.once()).state == "posted"
    assert house.count() == (1, 0)


async def test_a_kill_on_the_other_account_does_not_make_it_the_others(house: House) -> None:
    """Claimed there, and killed before it was looked for."""
    house.first.lag = dt.timedelta(days=1)
    assert (await house.once()).state == "retrying"
    house.move(house.other)
    now, outlet = house.clock.forward(minutes=20), outlets.open_outlet("loud", house.options)
    rests.note_account(house.book, outlet, now)
    row = house.book.posts.get(1)
    assert house.book.posts.claim(row, owner="dead", lease=build.LEASE, now=now)
    assert (await house.once()).state == "unsure"
    assert (await house.once()).state == "unsure"
    assert house.count() == (1, 0)


async def test_a_clock_that_was_ahead_makes_the_post_no_younger(house: House) -> None:
    house.clock.forward(hours=2)
    assert (await house.once()).state == "unsure"
    house.clock.forward(hours=-2)
    house.move(house.other)
    for _ in range(4):
        assert (await house.once()).state == "unsure"
    assert house.count() == (1, 0)


class _Between(build.Clock):
    """A clock at which another bot notes its own account, just before this one claims."""

    noted = False

    def __init__(self, house: House, other: config.Settings) -> None:
        super().__init__(house.clock.now)
        self.house, self.other = house, other

    def __call__(self) -> dt.datetime:
        if not self.noted and self.house.account():
            self.noted = True
            self.house.note(self.other)
        return self.now


async def test_a_bot_with_another_account_beside_this_one(house: House) -> None:
    first = house.options
    house.move(house.other)
    clock = _Between(house, house.options)
    await daemon.once(build.works(house.book, [house.plan], first, clock))
    assert (clock.noted, house.book.posts.get(1).state) == (True, "unsure")
    for _ in range(4):
        assert (await house.once()).state == "unsure"
    assert house.count() == (1, 0)


def test_two_bots_that_note_one_account_at_once_are_no_change(house: House) -> None:
    """The slower one has found nothing, and finds the other's note once it may write."""
    with contextlib.closing(ledger.open_ledger(house.options.database_url)) as book:

        def quicker(_: sa.Connection) -> None:
            if not house.account():
                house.note(house.options)

        outlet = outlets.open_outlet("loud", house.options)
        sa.event.listen(book._db.engine, "commit", quicker)
        rests.note_account(book, outlet, house.clock.now)
    assert house.account().endswith(', ""]}')
