"""What may be there already: no second copy on a guess, however a try, a restart or a person ends.

What the network says of its own posts is written down here answer by answer; all else is real.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator

import pytest
from click import testing

import build
from deliverybot import campaign as campaigns
from deliverybot import cli, outlets, publishing
from deliverybot.ledger import records
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
    await publishing.recover(house.book, house.desk(), alone=True)
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
        await publishing.recover(house.book, house.desk(), alone=True)
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
