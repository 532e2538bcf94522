"""``kill -9`` around posts on X, with pictures: each is there exactly once where X shows it.

X keeps no key of ours: the account's timeline tells, and X itself refuses an equal text.  So
`unsure` is exactly what a killed bot had begun to post while nobody can read that timeline.
"""

from __future__ import annotations

import datetime as dt
import pathlib
import random
import signal
import threading
from collections.abc import Iterator

import pytest

import x_fake
from crash import bots, posting

#: A picture, its words and the post.
REQUESTS = 3
UPLOAD, WORDS, POST = "POST /2/media/upload", "POST /2/media/metadata", "POST /2/tweets"
ME, OWN = "GET /2/users/me", f"GET /2/users/{x_fake.USER}/tweets"
BRINGING = tuple(
    posting.Point(wanted=wanted, take=take)
    for wanted in (UPLOAD, WORDS, POST)
    for take in (False, True)
)
LOOKING = (posting.Point(wanted=ME, first=True), posting.Point(wanted=OWN, first=True))
#: What else befalls posts: X is asked for patience, is down, or hangs up.
PLANS = ("take", "take", "take", "limited", "html_503", "drop")


@pytest.fixture(scope="session")
def drafted(driver: bots.Driver, tmp_path_factory: pytest.TempPathFactory) -> bots.World:
    folder = tmp_path_factory.mktemp("x") / "world"
    return posting.make(driver, folder, "x", x_fake.KEYS)


@pytest.fixture
def siege(
    driver: bots.Driver, drafted: bots.World, tmp_path: pathlib.Path
) -> Iterator[posting.Siege]:
    """Give a world to kill the bot in, and an X of its own."""
    world = drafted.copy(tmp_path / "world")
    with x_fake.running() as fake:
        posting.point_at(world, fake.url)
        yield posting.Siege(driver=driver, world=world, network=fake, name="X", clock=fake.set)


def finish(siege: posting.Siege) -> None:
    """See that each post is there once, with its picture, at the address that the ledger has."""
    siege.finish()
    fake, rows = of(siege), siege.world.posts()
    shown = [
        fake.words[url["media_key"].removeprefix("3_")]
        for post in fake.timeline
        for url in post["entities"]["urls"]
        if "media_key" in url
    ]
    assert sorted(shown) == sorted(row.alt for row in rows)
    assert {row.url.rpartition("/")[2] for row in rows} == {post["id"] for post in fake.timeline}


def of(siege: posting.Siege) -> x_fake.Fake:
    assert isinstance(siege.network, x_fake.Fake)
    return siege.network


@pytest.mark.parametrize("seed", posting.SEEDS)
def test_kills_at_random(seed: int, siege: posting.Siege) -> None:
    """X also limits, fails and hangs up; it is never asked for a post that it shows."""
    chance = random.Random(seed)
    siege.name = "X: at random"
    of(siege).plan = [chance.choice(PLANS) for _ in range(2 * posting.POSTS)]
    siege.at_random(chance, requests=REQUESTS, pause=posting.SOON)
    of(siege).plan.clear()
    finish(siege)
    assert not of(siege).duplicates


def test_a_kill_at_each_point(siege: posting.Siege) -> None:
    siege.name = "X: at each point"
    points = (*BRINGING, *LOOKING[1:], *posting.AT_HOME)
    siege.in_turn(random.Random(2), points, pause=posting.SOON)
    finish(siege)
    assert not of(siege).duplicates


def test_a_timeline_that_lags_makes_no_second_post(siege: posting.Siege) -> None:
    """What is there but not shown goes again; X refuses it as equal, and shows it in the end."""
    fake = of(siege)
    siege.name = "X: the timeline lags by an hour"
    fake.lag = dt.timedelta(hours=1)
    siege.in_turn(random.Random(3), [BRINGING[-1]] * 4, pause=posting.SOON)
    finish(siege)
    assert fake.duplicates


@pytest.mark.parametrize(
    "points",
    [BRINGING, (*posting.AT_HOME[:-1], *LOOKING, posting.AT_HOME[-1])],
    ids=["while it is brought", "at home"],
)
def test_where_nobody_may_read_only_what_was_begun_is_unsure(
    points: tuple[posting.Point, ...], siege: posting.Siege
) -> None:
    """Nothing of it goes again by itself; all the rest is there once."""
    fake = of(siege)
    siege.name = "X: no timeline"
    fake.lag = None
    siege.in_turn(random.Random(4), points, pause=posting.SOON)
    siege.approve()
    for _ in range(3):
        siege.run()
        siege.late += 7200.0
    found = siege.tell()
    assert (found.twice, found.lost, found.waiting) == (0, 0, 0)
    assert {row.id for row in siege.world.posts() if row.state == "unsure"} == siege.doubted
    assert not fake.duplicates
    assert siege.world.audit_is_whole()


def test_what_is_unsure_is_settled_once_the_timeline_can_be_read(siege: posting.Siege) -> None:
    fake = of(siege)
    siege.name = "X: the timeline comes back"
    fake.lag = None
    siege.in_turn(random.Random(5), [BRINGING[-1], BRINGING[-2]], pause=posting.SOON)
    siege.run()
    unsure = {row.id for row in siege.world.posts() if row.state == "unsure"}
    assert unsure == siege.doubted
    fake.lag = dt.timedelta()
    siege.late += posting.LATE
    finish(siege)


def test_a_stop_while_x_has_the_request_leaves_a_named_doubt(siege: posting.Siege) -> None:
    siege.name = "X: stopped before the answer"
    siege.approve()
    fake, asked, over = of(siege), threading.Event(), threading.Event()

    def hang(thing: str) -> bool:
        asked.set()
        return over.wait(300) and bool(thing)

    fake.lag, fake.on_ask = None, hang
    try:
        with bots.bot(siege.world, "run") as process:
            assert asked.wait(300)
            process.send_signal(signal.SIGTERM)
            assert process.wait(100) == 0  # long before X's time is over
        assert siege.world.post_states() == {"unsure": posting.POSTS}
    finally:
        over.set()
    fake.lag = dt.timedelta()
    finish(siege)
