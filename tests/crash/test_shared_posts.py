"""Posts on one PostgreSQL: a server that restarts, and two bots of which one is felled.

Each post must be there once in the end, and no answer that a network gave may be lost: where the
ledger cannot take it, it is kept until it can.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import random
import signal
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

import http_server
import mastodon_server
import postgres
import x_fake
from crash import bots, posting, processes

#: The picture and the post, by network.
UPLOAD = {"x": "POST /2/media/upload", "mastodon": "POST /api/v2/media"}
POST = {"x": "POST /2/tweets", "mastodon": "POST /api/v1/statuses"}
SECRETS = {"x": x_fake.KEYS, "mastodon": {"access_token": mastodon_server.TOKEN}}
#: Seconds beyond every lease.
LEASE_OVER = 900.0
LEDGER_ERROR = 1


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with mastodon_server.running() as url:
        yield url


@pytest.fixture(scope="module", params=["x", "mastodon"])
def drafted(
    request: pytest.FixtureRequest,
    driver: bots.Driver,
    postgres_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, bots.World]:
    """Twenty posts on PostgreSQL, all held: for copying."""
    kind = str(request.param)
    folder = tmp_path_factory.mktemp(kind) / "world"
    database = postgres.fresh_database(postgres_url)
    return kind, posting.make(driver, folder, kind, SECRETS[kind], database=database)


@pytest.fixture
def siege(
    drafted: tuple[str, bots.World], driver: bots.Driver, server: str, tmp_path: pathlib.Path
) -> Iterator[tuple[str, posting.Siege]]:
    kind, world = drafted[0], drafted[1].copy(tmp_path / "world")
    with contextlib.ExitStack() as stack:
        network: x_fake.Fake | mastodon_server.Hourly
        if kind == "x":
            network = stack.enter_context(x_fake.running())
            url = network.url
        else:
            network = mastodon_server.Hourly(server)
            url = stack.enter_context(http_server.running(network)).url("")
        posting.point_at(world, url)
        one = posting.Siege(
            driver=driver, world=world, network=network, name=kind, clock=network.set
        )
        network.on_ask = one.ticking(lambda _: True)
        yield kind, one


# --- the database goes away -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "point",
    [
        "post: before the claim",
        "post: while claiming",
        "post: after the claim",
        "post: before the request",
        "post: after the answer",
        "post: while committing",
        "post: after the commit",
    ],
)
def test_connections_that_are_cut(point: str, siege: tuple[str, posting.Siege]) -> None:
    """What was in hand is settled by the very process: no other one may touch it for minutes."""
    kind, one = siege
    one.name = f"{kind}: PostgreSQL cuts it off {point.partition(': ')[2]}"
    one.approve()
    nth = random.Random(point).randint(1, posting.POSTS)
    run = one.driver.start(one.world, point=point, nth=nth, cut=True)
    assert run.status() in {0, LEDGER_ERROR}, one.world.log
    states = one.world.post_states()
    assert set(states) <= {"posted", "approved", "retrying"}
    # What the network has said is known, and what it was not asked for waits.
    assert states["posted"] == len(one.network.texts())
    one.late = posting.SOON
    one.finish()


def test_a_server_that_is_stopped_after_the_post_and_started_again(
    driver: bots.Driver, tmp_path: pathlib.Path
) -> None:
    """The answers wait in the process; nobody is asked whether the posts are there."""
    with postgres.running_cluster() as cluster, x_fake.running() as fake:
        world = posting.make(driver, tmp_path / "world", "x", x_fake.KEYS, database=cluster.url)
        posting.point_at(world, fake.url)
        one = posting.Siege(driver=driver, world=world, network=fake, name="X: restart")
        one.approve()
        once, brought, down = threading.Lock(), list[str](), threading.Event()

        def ask(thing: str) -> bool:
            with once:
                brought.extend([thing] if thing == UPLOAD["x"] else [])
                if len(brought) == posting.POSTS and not down.is_set():
                    cluster.stop()  # all are claimed, none is out
                    down.set()
            return thing != POST["x"] or down.wait(300)

        fake.on_ask = ask
        with bots.bot(world, "run") as process:
            assert down.wait(300)
            bots.until(lambda: len(fake.posts) == posting.POSTS)
            bots.until(lambda: "cannot be written down yet" in world.log)
            assert process.poll() is None
            cluster.start()
            bots.until(lambda: world.post_states() == {"posted": posting.POSTS})
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        assert fake.asked("/2/users/me") == 0
        assert "see that the server runs" in world.log
        one.tell()
        assert Counter(fake.texts()) == Counter(row.text for row in world.posts())
        assert world.audit_is_whole()


# --- two bots -------------------------------------------------------------------------------------


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_two_bots_one_of_which_is_felled(
    blow: signal.Signals, siege: tuple[str, posting.Siege]
) -> None:
    """It has posts in its hands, and whichever looks first has taken the others."""
    kind, one = siege
    one.name = f"{kind}: two bots, one of them {blow.name}"
    asked, lock, felled = list[str](), threading.Lock(), threading.Event()
    fell_at = random.Random(kind + blow.name).randint(5, 12)

    def ask(thing: str) -> bool:
        with lock:
            asked.append(thing)
            waits = len(asked) > fell_at
        return felled.wait(300) if waits else True

    one.network.on_ask = one.ticking(ask)
    with bots.bot(one.world, "run") as first:
        one.approve(posting.POSTS // 2)
        bots.until(lambda: len(asked) > fell_at)
        with bots.bot(one.world, "run") as second:
            bots.until(lambda: one.world.log.count("running; campaigns") == 2)
            one.approve()
            bots.until(lambda: not one.world.post_states()["approved"])
            os.kill(first.pid, blow)
            one.kills += blow == signal.SIGKILL
            felled.set()
            second.send_signal(signal.SIGTERM)
            assert second.wait(60) == 0
        for one.late in (LEASE_OVER, 2 * LEASE_OVER):
            one.run()
        if blow == signal.SIGSTOP:
            processes.go_on(first.pid)
            first.send_signal(signal.SIGTERM)
            assert first.wait(60) == 0
    with one.world.book() as book:
        workers = {row.who for row in book.audit.since() if row.new == "sending"}
    assert len(workers) >= 2
    one.finish()


@pytest.mark.parametrize("table", [UPLOAD, POST], ids=["the picture", "the post"])
def test_a_bot_that_stood_still_for_longer_than_its_lease(
    table: dict[str, str], other: bots.Driver, siege: tuple[str, posting.Siege]
) -> None:
    """It goes on in the middle of its posts, which another one has taken over meanwhile."""
    kind, one = siege
    one.name = f"{kind}: it stood still at {table[kind]}"
    half = posting.POSTS // 2
    one.approve(half)
    asked, lock, over = list[str](), threading.Lock(), threading.Event()

    def ask(thing: str) -> bool:
        if thing == table[kind] and not over.is_set():
            with lock:
                asked.append(thing)
            return over.wait(300)
        return True

    one.network.on_ask = one.ticking(ask)
    with bots.bot(one.world, "run") as first:
        bots.until(lambda: len(asked) == half)
        assert processes.halt(first.pid)
        assert one.world.post_states()["sending"] == half
        over.set()
        for one.late in (LEASE_OVER, 2 * LEASE_OVER):
            assert not other.start(one.world, late=one.late).wait()
        processes.go_on(first.pid)
        bots.until(lambda: "taken over by another worker" in one.world.log)
        first.send_signal(signal.SIGTERM)
        assert first.wait(60) == 0
    one.finish()
