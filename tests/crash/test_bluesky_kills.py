"""``kill -9`` around posts on Bluesky, with pictures: each is there exactly once, none in doubt."""

from __future__ import annotations

import datetime as dt
import io
import os
import pathlib
import random
from collections import Counter

import pytest
from PIL import Image

import bluesky_server
import http_server
from crash import bots
from deliverybot import posts

OUTLETS = 20
#: Worlds of twenty posts each: CRASH_SKIES raises it for a long run.
SKIES = int(os.environ.get("CRASH_SKIES", "6"))
#: Times that the bot is killed in one world, if it has not posted all before.
KILLS = 8
POST = """
[[posts]]
outlet = "{name}"
template = "{name}.txt"
approval = "each"
"""
#: Each outlet asks twice at least: for a session, and for what it looks for or brings.
METHODS = 2


@pytest.fixture(scope="session")
def clouded(driver: bots.Driver, tmp_path_factory: pytest.TempPathFactory) -> bots.World:
    """Posts with pictures for twenty outlets, approved by a person; none is out.

    All are of one account and one moment, so that only their keys keep their names apart.
    """
    names = [f"sky{n}" for n in range(OUTLETS)]
    world = bots.make(
        tmp_path_factory.mktemp("clouded") / "world",
        targets=1,
        more="".join(POST.format(name=name) for name in names),
    )
    for name in names:
        world.write(f"letters/lens/{name}.txt", f"{{{{ ask }}}} ({name}) {{{{ url }}}} #lens\n")
        world.add("config.toml", SECTION.format(name=name, handle=bluesky_server.HANDLE))
        world.write(f"secrets/outlets__{name}__app_password", bluesky_server.PASSWORD)
    campaign = world.folder / "schedules" / "lens.toml"
    campaign.write_text(campaign.read_text().replace('approval = "none"', 'approval = "each"', 1))
    assert not driver.start(world).wait()
    paint(world)
    numbers = [str(row.id) for row in world.posts()]
    assert not driver.start(world, "posts", "approve", *numbers).wait()
    assert world.post_states() == {"approved": OUTLETS}
    assert all(row.image for row in world.posts())
    return world


SECTION = """
[outlets.{name}]
kind = "bluesky"
handle = "{handle}"
"""


def paint(world: bots.World) -> None:
    """Freeze a picture of its own with each post."""
    with world.book() as book:
        for row in book.posts.select():
            made = io.BytesIO()
            Image.new("RGB", (1200, 675), (row.id, 80, 120)).save(made, "PNG")
            sha256, alt = book.news.keep(made.getvalue()), f"card {row.id}"
            digest = posts.digest(row.outlet, row.text, sha256, alt)
            values = {"image": sha256, "alt": alt, "digest": digest}
            book.posts.freeze(
                row, values, approve=False, why="painted", now=dt.datetime.now(dt.UTC)
            )


def point_at(world: bots.World, url: str) -> None:
    config = world.folder / "config.toml"
    kind = 'kind = "bluesky"'
    config.write_text(config.read_text().replace(kind, f'{kind}\napi = "{url}"'))


def finish(
    driver: bots.Driver, world: bots.World, pds: bluesky_server.Pds, point: str, kills: int
) -> None:
    """Run until all is out, and on; demand one record a post, and nothing in doubt."""
    pds.on_ask = lambda _: True
    for again in range(4):
        assert not driver.start(world, late=7200.0 * (again + 1)).wait()
    rows = world.posts()
    texts, commits = Counter(pds.texts()), Counter(pds.commits)
    bots.tell(
        f"Bluesky: {point}",
        kills,
        bots.Reckoning(
            sent=sum(row.state == "posted" for row in rows),
            unsure=sum(row.state == "unsure" for row in rows),
            twice=sum(texts[row.text] > 1 for row in rows),
            lost=sum(not texts[row.text] for row in rows),
        ),
    )
    assert world.post_states() == {"posted": OUTLETS}
    assert texts == Counter(row.text for row in rows)
    assert set(commits.values()) == {1}
    assert {row.url.rpartition("/")[2] for row in rows} == set(pds.records)
    assert all(one["embed"]["images"][0]["alt"] for one in pds.records.values())
    assert world.audit_is_whole()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("sky", range(SKIES))
def test_kills_at_random_requests(
    sky: int, driver: bots.Driver, clouded: bots.World, tmp_path: pathlib.Path
) -> None:
    """The server kills the bot when some request comes up, and takes it or does not."""
    chance = random.Random(sky)
    world, pds, kills = clouded.copy(tmp_path / "world"), bluesky_server.Pds(), 0
    with http_server.running(pds) as server:
        point_at(world, server.url(""))
        for run in range(KILLS):
            left = OUTLETS - world.post_states()["posted"]
            if not left:
                break
            nth, take = chance.randint(1, METHODS * left), chance.random() < 0.7
            killer = pds.on_ask = bots.Killer(nth, take=take)
            # Later each time: what was cut off is tried again after a pause.
            bot = driver.start(world, late=300.0 * run)
            killer.aim(bot)
            kills += bot.wait()
        assert kills
        finish(driver, world, pds, "at a random request", kills)


@pytest.mark.parametrize(
    "point",
    ["before the claim", "before the request", "while committing", "after the commit"],
)
def test_a_kill_at_home(
    point: str, driver: bots.Driver, clouded: bots.World, tmp_path: pathlib.Path
) -> None:
    world, pds, kills = clouded.copy(tmp_path / "world"), bluesky_server.Pds(), 0
    chance = random.Random(point)
    with http_server.running(pds) as server:
        point_at(world, server.url(""))
        for run in range(3):
            nth = chance.randint(1, OUTLETS // 2)
            kills += driver.start(world, point=f"post: {point}", nth=nth, late=300.0 * run).wait()
        assert kills
        finish(driver, world, pds, point, kills)
