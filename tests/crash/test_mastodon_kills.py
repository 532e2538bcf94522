"""``kill -9`` around posts on Mastodon, with pictures: each is there exactly once.

A key is the same post for an hour, and 50 minutes of it are used; after that the own posts tell.
So `unsure` is only what was cut off more than 50 minutes ago while the server shows no posts.
"""

from __future__ import annotations

import pathlib
import random
from collections.abc import Iterator

import pytest

import http_server
import mastodon_server
from crash import bots, posting

#: A picture, the post, and at a second try who we are and what is there.
REQUESTS = 2
MEDIA, STATUSES, LOOK = "POST /api/v2/media", "POST /api/v1/statuses", "GET /api/v1/accounts"
POINTS = (
    *posting.AT_HOME,
    posting.Point(wanted=MEDIA, take=False),
    posting.Point(wanted=MEDIA),
    posting.Point(wanted=STATUSES, take=False),
    posting.Point(wanted=STATUSES),
    posting.Point(wanted=LOOK, first=True),
)
#: How long the bot is down, as the ids of tests and the summary say it.
HOUR = ("within the hour", "after the hour")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with mastodon_server.running() as url:
        yield url


@pytest.fixture(scope="session")
def drafted(driver: bots.Driver, tmp_path_factory: pytest.TempPathFactory) -> bots.World:
    folder = tmp_path_factory.mktemp("drafted") / "world"
    return posting.make(driver, folder, "mastodon", {"access_token": mastodon_server.TOKEN})


@pytest.fixture
def siege(
    driver: bots.Driver, drafted: bots.World, server: str, tmp_path: pathlib.Path
) -> Iterator[posting.Siege]:
    """Give a world to kill the bot in, and a server of its own."""
    world, hourly = drafted.copy(tmp_path / "world"), mastodon_server.Hourly(server)
    with http_server.running(hourly) as running:
        posting.point_at(world, running.url(""))
        yield posting.Siege(
            driver=driver, world=world, network=hourly, name="Mastodon", clock=hourly.set
        )


def finish(siege: posting.Siege) -> None:
    """See that each post is there once, with its picture, at the address that the ledger has."""
    siege.finish()
    there, rows = of(siege).posts(), siege.world.posts()
    pictures = [[one["description"] for one in post["media_attachments"]] for post in there]
    assert sorted(pictures) == sorted([row.alt] for row in rows)
    assert {post["url"] for post in there} == {row.url for row in rows}


def of(siege: posting.Siege) -> mastodon_server.Hourly:
    assert isinstance(siege.network, mastodon_server.Hourly)
    return siege.network


@pytest.mark.parametrize("seed", posting.SEEDS)
def test_kills_at_random(seed: int, siege: posting.Siege) -> None:
    """Every other seed starts the bot again only when its keys have been forgotten."""
    late = bool(seed % 2)
    siege.name = f"Mastodon: at random, {HOUR[late]}"
    pause = posting.LATE if late else posting.SOON
    siege.at_random(random.Random(seed), requests=REQUESTS, pause=pause)
    finish(siege)


@pytest.mark.parametrize("late", [False, True], ids=HOUR)
def test_a_kill_at_each_point(late: bool, siege: posting.Siege) -> None:
    siege.name = f"Mastodon: at each point, {HOUR[late]}"
    pause = posting.LATE if late else posting.SOON
    siege.in_turn(random.Random(late), POINTS, pause=pause)
    finish(siege)


def cut_off(siege: posting.Siege) -> None:
    """Kill it while posts are under way, on a server that shows none."""
    of(siege).shows = False
    siege.approve()
    assert siege.run(killer=bots.Killer(5, take=True, wanted=STATUSES))
    assert siege.doubted


def test_within_the_hour_the_key_alone_is_enough(siege: posting.Siege) -> None:
    siege.name = "Mastodon: nothing shown, within the hour"
    cut_off(siege)
    for _ in range(2):
        siege.late += posting.SOON
        siege.run()
    assert siege.world.post_states() == {"posted": posting.POSTS}
    finish(siege)


@pytest.mark.parametrize(
    "pauses", [(posting.LATE,), (posting.SOON, posting.LATE)], ids=["late", "soon, then late"]
)
def test_after_the_hour_what_is_not_shown_is_unsure(
    pauses: tuple[float, ...], siege: posting.Siege
) -> None:
    """Exactly what was under way is; once the server shows it, all is settled."""
    siege.name = "Mastodon: nothing shown, after the hour"
    cut_off(siege)
    for pause in pauses:
        siege.late += pause
        siege.run()
    found = siege.tell()
    assert {row.id for row in siege.world.posts() if row.state == "unsure"} == siege.doubted
    assert (found.twice, found.lost, found.waiting) == (0, 0, 0)
    of(siege).shows = True
    siege.late += 7200.0
    siege.name = "Mastodon: shown again, after the hour"
    finish(siege)
