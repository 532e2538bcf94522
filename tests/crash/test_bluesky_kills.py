"""``kill -9`` around posts on Bluesky, with pictures: each is there exactly once, none in doubt."""

from __future__ import annotations

import contextlib
import pathlib
import random
from collections import Counter
from collections.abc import Iterator

import pytest

import bluesky_server
import http_server
from crash import bots, posting

#: Each post takes two requests at least: for a session, and for what it looks for or brings.
REQUESTS = 2


@pytest.fixture(scope="session")
def clouded(driver: bots.Driver, tmp_path_factory: pytest.TempPathFactory) -> bots.World:
    return posting.make(
        driver, tmp_path_factory.mktemp("clouded") / "world", "bluesky",
        secrets={"app_password": bluesky_server.PASSWORD},
        more=f'handle = "{bluesky_server.HANDLE}"\n',
    )  # fmt: skip


@contextlib.contextmanager
def besieged(
    driver: bots.Driver, clouded: bots.World, folder: pathlib.Path, name: str
) -> Iterator[posting.Siege]:
    """Give a world to kill the bot in; in the end each post must be there exactly once."""
    world, pds = clouded.copy(folder / "world"), bluesky_server.Pds()
    with http_server.running(pds) as server:
        posting.point_at(world, server.url(""))
        siege = posting.Siege(driver=driver, world=world, network=pds, name=f"Bluesky: {name}")
        yield siege
        siege.finish()
    assert set(Counter(pds.commits).values()) == {1}
    assert {row.url.rpartition("/")[2] for row in world.posts()} == set(pds.records)
    assert all(one["embed"]["images"][0]["alt"] for one in pds.records.values())


@pytest.mark.parametrize("seed", posting.SEEDS)
def test_kills_at_random(
    seed: int, driver: bots.Driver, clouded: bots.World, tmp_path: pathlib.Path
) -> None:
    with besieged(driver, clouded, tmp_path, "at random") as siege:
        siege.at_random(random.Random(seed), requests=REQUESTS, pause=posting.SOON)


def test_a_kill_at_each_point(
    driver: bots.Driver, clouded: bots.World, tmp_path: pathlib.Path
) -> None:
    at_server = [
        posting.Point(wanted=wanted, take=take)
        for wanted in (bluesky_server.UPLOAD, bluesky_server.PUT)
        for take in (True, False)
    ]
    with besieged(driver, clouded, tmp_path, "at each point") as siege:
        siege.in_turn(random.Random(1), [*posting.AT_HOME, *at_server], pause=posting.SOON)
