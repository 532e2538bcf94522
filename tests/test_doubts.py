"""What may be there already: no second copy on a guess, however a try, a restart or a person ends.

What the network says of its own posts is written down here answer by answer; all else is real.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import pathlib
import sqlite3
from collections.abc import Callable, Iterator

import pytest
import requests
from click import testing

import build
import http_server
from deliverybot import (
    asking,
    cli,
    errors,
    installation,
    ledger,
    model,
    outlets,
    publishing,
    recovering,
)
from deliverybot import campaign as campaigns
from deliverybot.ledger import records
from deliverybot.outlets import wire, x
from test_publishing import UNKNOWN, House, Said, made, only

HARMLESS = outlets.Evidence(there=None, harmless=True)
ABSENT = outlets.Evidence(there=False)
THERE = outlets.Evidence(there=True, url="https://x.example/1")


@pytest.fixture
def house(tmp_path: pathlib.Path) -> Iterator[House]:
    """One post on one account of X is approved."""
    for one in made(tmp_path):
        only(one, "second-x", "news")
        yield one


def row(house: House) -> records.Post:
    return house.row("first-x")


async def publish(house: House) -> str:
    return (await house.publish())["first-x"]


async def lost(house: House, monkeypatch: pytest.MonkeyPatch, *said: outlets.Evidence) -> Said:
    """Have the post taken and its answer lost; then the network says this when asked."""
    asked = Said(monkeypatch, *said)
    house.fake.plan = ["post_then_drop"]
    await house.publish()
    return asked


def command(house: House, *arguments: str) -> None:
    file = house.plan.file.parent.parent / "config.toml"
    run = testing.CliRunner().invoke(cli.cli, ["-c", str(file), "--no-input", *arguments])
    assert run.exit_code == 0, run.output


# --- the second try ----------------------------------------------------------------------------


@pytest.mark.parametrize("first", [HARMLESS, ABSENT], ids=["harmless", "absent"])
async def test_a_second_try_that_nobody_can_vouch_for_is_not_made(
    house: House, monkeypatch: pytest.MonkeyPatch, first: outlets.Evidence
) -> None:
    """The key may be forgotten by now, and the own posts cannot be read."""
    await lost(house, monkeypatch, first)
    assert row(house).state == "retrying"
    house.clock.forward(hours=2)
    assert await publish(house) == "unsure"
    assert len(house.fake.requests) == 1


@pytest.mark.parametrize("second", [HARMLESS, ABSENT], ids=["harmless", "absent"])
async def test_a_clean_no_to_the_second_try_says_nothing_of_the_first(
    house: House, monkeypatch: pytest.MonkeyPatch, second: outlets.Evidence
) -> None:
    await lost(house, monkeypatch, HARMLESS, second)
    house.fake.plan = ["limited"]
    house.clock.forward(minutes=2)
    assert await publish(house) == "retrying"
    assert row(house).handed_at is not None
    house.clock.forward(hours=2)
    assert await publish(house) == "unsure"
    assert len(house.fake.requests) == 2


async def test_a_person_who_says_again_is_believed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lost(house, monkeypatch)
    house.fake.posts.clear()  # it was not there after all
    command(house, "posts", "resolve", str(row(house).id), "--again")
    house.fake.plan = ["limited"]
    assert await publish(house) == "retrying"
    house.clock.forward(hours=1)
    assert await publish(house) == "posted"
    assert len(house.fake.requests) == 3


async def test_a_persons_again_covers_no_doubt_that_comes_after(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lost(house, monkeypatch)
    command(house, "posts", "resolve", str(row(house).id), "--again")
    house.fake.plan = ["drop"]
    assert await publish(house) == "unsure"
    house.clock.forward(hours=3)
    await recovering.recover(house.book, house.desk(), alone=True)
    assert await publish(house) == "unsure"
    assert len(house.fake.requests) == 2


async def test_a_yes_to_the_text_says_nothing_of_a_try(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever holds and approves a post does not say that it is not there."""
    await lost(house, monkeypatch, HARMLESS)
    command(house, "posts", "hold", str(row(house).id))
    command(house, "posts", "approve", str(row(house).id))
    house.clock.forward(minutes=2)
    assert await publish(house) == "unsure"
    assert len(house.fake.requests) == 1


# --- what is past ------------------------------------------------------------------------------


def outrun(house: House) -> None:
    """Cross a larger milestone."""
    file = house.plan.file
    file.write_text(file.read_text().replace("at = [100]", "at = [100, 200]"))
    house.plan = campaigns.load(file)
    build.grow(house.book, house.plan, 200, now=house.clock())


def outdate(house: House) -> None:
    house.clock.forward(hours=25)


@pytest.mark.parametrize(
    ("end", "gone"), [(outrun, "superseded"), (outdate, "cancelled")], ids=["outrun", "stale"]
)
@pytest.mark.parametrize(
    ("said", "state"), [(THERE, "posted"), (ABSENT, ""), (HARMLESS, "unsure"), (UNKNOWN, "unsure")],
    ids=["there", "absent", "harmless", "unknown"],
)  # fmt: skip
async def test_old_news_that_may_be_there_is_looked_for_and_not_posted(
    house: House,
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[House], None],
    gone: str,
    said: outlets.Evidence,
    state: str,
) -> None:
    await lost(house, monkeypatch, HARMLESS, said)
    first = row(house)
    end(house)
    assert house.book.posts.get(first.id).state == "retrying"
    house.clock.forward(minutes=2)
    await publish(house)
    found = house.book.posts.get(first.id)
    assert found.state == (state or gone)
    assert found.url == said.url
    assert len(house.fake.requests) == 1
    assert house.book.audit.verify()[1] is None


async def test_old_news_in_doubt_ends_once_the_network_knows(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = await lost(house, monkeypatch, HARMLESS, HARMLESS)
    outdate(house)
    assert await publish(house) == "unsure"
    asked.answers = [ABSENT, ABSENT]
    for _ in range(4):
        house.clock.forward(minutes=30)
        await recovering.recover(house.book, house.desk(), alone=True)
        await publish(house)
    assert row(house).state == "cancelled"
    assert len(house.fake.requests) == 1


@pytest.mark.parametrize(("end", "state"), [(outrun, "superseded"), (outdate, "posted")])
async def test_a_persons_again_posts_old_news_but_not_after_newer(
    house: House, monkeypatch: pytest.MonkeyPatch, end: Callable[[House], None], state: str
) -> None:
    await lost(house, monkeypatch)
    house.fake.posts.clear()
    first = row(house)
    end(house)
    command(house, "posts", "resolve", str(first.id), "--again")
    await publish(house)
    assert house.book.posts.get(first.id).state == state
    assert len(house.fake.requests) == (2 if state == "posted" else 1)


# --- a ledger that cannot be written, a stop, an outlet that fails --------------------------------


@contextlib.contextmanager
def no_room(house: House) -> Iterator[None]:
    """Let the database refuse to write down what became of a post, as a full disk does."""
    file = house.options.state / "deliverybot.db"
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute(
            "CREATE TRIGGER no_room BEFORE UPDATE ON posts WHEN OLD.state = 'sending'"
            " BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        )
        yield
        database.execute("DROP TRIGGER no_room")


async def test_an_answer_that_the_ledger_cannot_take_is_kept(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The network takes the post and cannot be asked for it: what it said must not be lost."""
    asked, desk = Said(monkeypatch), house.desk()
    with no_room(house):
        for _ in range(2):
            with pytest.raises(errors.LedgerError, match="no room on the disk"):
                await publishing.all_ready(house.book, desk)
            await recovering.recover(house.book, desk, alone=True)
        house.clock.forward(hours=1)
        await recovering.recover(house.book, desk, alone=True)
        assert row(house).state == "sending"
    assert sum("cannot be written down yet" in line for line in caplog.messages) == 1
    await publishing.all_ready(house.book, desk)
    assert row(house).state == "posted"
    assert row(house).url == "https://x.com/i/web/status/1801"
    assert (asked.asked, len(house.fake.requests)) == (0, 1)


async def stopped(house: House, hanging: asyncio.Event) -> None:
    """Publish until the network is asked for the post, and stop there."""
    task = asyncio.create_task(house.publish())
    await hanging.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Callable[[], asyncio.Event]:
    """Let the network be asked and never answer; gives an event that is set by then."""

    def hang() -> asyncio.Event:
        asked = asyncio.Event()

        async def find(_: object, post: outlets.Draft) -> outlets.Evidence:
            asked.set()
            await asyncio.Event().wait()
            raise LookupError(post.key)

        monkeypatch.setattr("deliverybot.outlets.x.X.find", find)
        return asked

    return hang


async def test_a_stop_before_anything_is_out_leaves_no_doubt(
    house: House, hanging: Callable[[], asyncio.Event]
) -> None:
    house.fake.plan = ["limited"]
    assert await publish(house) == "retrying"
    house.clock.forward(hours=1)
    await stopped(house, hanging())
    assert row(house).state == "retrying"
    assert row(house).handed_at is None


async def test_a_stop_while_a_lost_answer_is_looked_for_is_unsure_at_once(
    house: House, hanging: Callable[[], asyncio.Event]
) -> None:
    house.fake.plan = ["drop"]
    await stopped(house, hanging())
    assert row(house).state == "unsure"


async def test_an_outlet_that_fails_leaves_the_post_unsure(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Said(monkeypatch)

    async def broken(_: object, post: outlets.Draft) -> None:
        raise LookupError(post.key)

    monkeypatch.setattr("deliverybot.outlets.x.X.publish", broken)
    assert await publish(house) == "unsure"
    assert "the outlet failed: LookupError at test_doubts.py" in row(house).reply
    assert asked.asked == 1


# --- one that hangs, a machine that was off ------------------------------------------------------


async def test_what_becomes_ready_while_one_hangs_is_posted(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "LOOK", 0.02)
    over, real = asyncio.Event(), x.X.publish

    async def publish_late(self: x.X, post: outlets.Draft) -> model.Reply:
        if self.name == "first-x":
            await over.wait()
        return await real(self, post)

    monkeypatch.setattr(x.X, "publish", publish_late)
    for house in made(tmp_path):
        only(house, "news")
        held = house.row("second-x")
        house.book.posts.move(held, "held", who="mira", why="", now=house.clock())
        task = asyncio.create_task(house.publish())
        while house.states()["first-x"] != "sending":  # noqa: ASYNC110 - the ledger's word
            await asyncio.sleep(0.01)
        house.book.posts.approve(house.row("second-x"), who="mira", now=house.clock())
        while house.states()["second-x"] != "posted":  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
        assert house.states()["first-x"] == "sending"
        over.set()
        assert (await task)["first-x"] == "posted"


async def test_a_machine_that_was_off_for_hours_looks_more_than_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while posting; at the next boot the network is not there yet."""
    asked = Said(monkeypatch, UNKNOWN, UNKNOWN, THERE)
    lease = publishing.LEASE
    assert house.book.posts.claim(row(house), owner="dead", lease=lease, now=house.clock())
    house.clock.forward(hours=3)
    await recovering.recover(house.book, house.desk(), alone=True)
    assert row(house).state == "unsure"
    for minutes in (1, 2):
        house.clock.forward(minutes=minutes)
        await recovering.recover(house.book, house.desk(), alone=True)
    assert row(house).state == "posted"
    assert asked.asked == 3


async def test_who_slept_past_the_lease_posts_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another bot took the post over meanwhile, and posted it."""
    house.fake.plan = ["limited"]
    assert await publish(house) == "retrying"
    house.clock.forward(hours=1)
    other, looks = dataclasses.replace(house.desk(), owner="w2"), 0

    async def find(_: object, post: outlets.Draft) -> outlets.Evidence:
        nonlocal looks
        looks += 1
        if looks == 1:
            house.clock.forward(hours=1)
            await recovering.recover(house.book, other, alone=False)
            house.clock.forward(hours=1)
            await publishing.all_ready(house.book, other)
        return dataclasses.replace(ABSENT, url=post.key[:0])

    monkeypatch.setattr(x.X, "find", find)
    assert await publish(house) == "posted"
    assert house.fake.asked("/2/tweets") == 2


def test_a_claim_covers_every_wait() -> None:
    """A look, the post with all that belongs to it, and a look after it."""
    assert publishing.LEASE.total_seconds() > asking.ATTEMPT + 2 * asking.LOOK


@pytest.mark.parametrize("timeout", [20, 3000], ids=["as usual", "longer than a claim"])
def test_a_door_that_was_asleep_sends_nothing(timeout: float) -> None:
    """However long one request may take: the claim is over by then."""
    with http_server.running(lambda _: http_server.text("ok")) as running:
        now = [0.0]
        door = wire.Door(running.url(""), timeout, clock=lambda: now[0])
        request = requests.Request("POST", "https://any.invalid/post", data=b"news").prepare()
        assert door.send(request).status_code == 200
        now[0] = publishing.LEASE.total_seconds()
        with pytest.raises(wire.NoAnswer):
            door.send(request)
        assert (door.sent, door.trouble) == (False, "asleep for too long")
        assert len(running.requests) == 1


async def test_what_may_be_there_and_is_too_dear_can_be_approved_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is never written anew, so a problem would stay for good."""
    await lost(house, monkeypatch, HARMLESS, THERE)
    file, plain = house.plan.file, house.plan.file.read_text()
    line = 'outlet = "first-x"\n'
    file.write_text(plain.replace(line, f'{line}spend = "0.001"\n'))
    house.plan = campaigns.load(file)
    house.clock.forward(minutes=2)
    assert await publish(house) == "held"
    file.write_text(plain)
    house.plan = campaigns.load(file)
    house.book.posts.approve(row(house), who="mira", now=house.clock())
    assert await publish(house) == "posted"


# --- a ledger from a backup ----------------------------------------------------------------------


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("before", [False, True], ids=["never tried", "refused before"])
async def test_after_a_restored_backup_a_new_start_looks_first(
    house: House, *, there: bool, before: bool
) -> None:
    """The post went out after the backup was made; the ledger does not know, its network does."""
    if before:
        house.fake.plan = ["too_large"]
        assert await publish(house) == "refused"
        house.book.posts.move(row(house), "held", who="mira", why="", now=house.clock())
        house.book.posts.approve(row(house), who="mira", now=house.clock())
        assert (row(house).attempts, row(house).first_try) == (1, None)
    backup = house.options.state / "backup.db"
    with (
        contextlib.closing(sqlite3.connect(house.options.state / "deliverybot.db")) as now,
        contextlib.closing(sqlite3.connect(backup)) as then,
    ):
        now.backup(then)
    if there:
        assert await publish(house) == "posted"
    house.clock.forward(hours=2)
    with contextlib.closing(ledger.open_ledger(f"sqlite:///{backup}")) as book:
        restored = dataclasses.replace(house, book=book)
        place = installation.Place(book=book, state=house.options.state, host="")
        installation.confirm(place, who="mira", now=house.clock())
        assert await publish(restored) == "posted"
        assert row(restored).url == "https://x.com/i/web/status/1801"
    assert (len(house.fake.posts), house.fake.asked("/2/tweets")) == (1, 1 + before)
