"""A stop takes seconds, whatever the networks do: four that answer no call, and four that hang."""

from __future__ import annotations

import contextlib
import pathlib
import signal
import socket
from collections.abc import Iterator
from concurrent import futures

import pytest
import requests

import http_server
import x_fake
from crash import bots, posting
from deliverybot.outlets import wire

#: Seconds that a test waits for a stop: fewer than a network has for one request.
STOP = 60
#: Posts, each of an outlet of its own.
OUTLETS = 4
#: Calls of ours that fill a port's queue; and a state in /proc/net/tcp.
FILLERS, SYN_SENT = 3, "02"


@pytest.fixture(scope="module")
def drafted(driver: bots.Driver, tmp_path_factory: pytest.TempPathFactory) -> bots.World:
    """Posts for accounts on X; some are approved, none is out."""
    folder = tmp_path_factory.mktemp("stops") / "world"
    world = posting.make(driver, folder, "x", x_fake.KEYS)
    for row in world.posts()[:OUTLETS]:
        assert not driver.start(world, "posts", "approve", str(row.id)).wait()
    return world


@contextlib.contextmanager
def silent() -> Iterator[tuple[str, socket.socket]]:
    """Give the address of a port at which nobody answers a call."""
    with http_server.deaf(FILLERS) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}", server


def calls(url: str) -> int:
    """Count the calls to a port that wait to be answered, our own left out."""
    port = f":{int(url.rpartition(':')[2]):04X}"
    lines = pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    waiting = sum(one[2].endswith(port) and one[3] == SYN_SENT for one in fields)
    return waiting - (FILLERS - 1)  # the first of ours fills the queue


def test_a_stop_while_no_network_answers_the_call(
    drafted: bots.World, tmp_path: pathlib.Path
) -> None:
    world = drafted.copy(tmp_path / "world")
    with silent() as (url, _):
        posting.point_at(world, url)
        with bots.bot(world, "run") as process:
            bots.until(lambda: calls(url) >= OUTLETS)
            process.send_signal(signal.SIGTERM)
            assert process.wait(STOP) == 0
    states = world.post_states()
    assert states["unsure"] + states["retrying"] == OUTLETS


def test_a_stop_while_the_first_look_hangs(
    driver: bots.Driver, drafted: bots.World, tmp_path: pathlib.Path
) -> None:
    """Killed while posting, and started again while the networks hang."""
    world, killed = drafted.copy(tmp_path / "world"), drafted.copy(tmp_path / "killed")
    with x_fake.running() as fake:
        posting.point_at(killed, fake.url)
        siege = posting.Siege(driver=driver, world=killed, network=fake, name="X: a start hangs")
        assert siege.run(killer=bots.Killer(1, take=True))
    assert siege.doubted
    with silent() as (url, _):
        config = (world.folder / "config.toml").read_text()
        killed.write("config.toml", config)
        posting.point_at(killed, url)
        with bots.bot(killed, "run") as process:
            bots.until(lambda: calls(url) >= 1)
            process.send_signal(signal.SIGTERM)
            assert process.wait(STOP) == 0


def test_a_call_that_is_answered_after_the_stop_posts_nothing() -> None:
    with silent() as (url, server):
        door = wire.Door(url, posting.TIMEOUT)
        request = requests.Request("POST", f"{url}/post", data=b"news").prepare()
        with futures.ThreadPoolExecutor(1) as pool:
            sending = pool.submit(door.send, request)
            bots.until(lambda: calls(url) == 1)
            door.cut()
            server.settimeout(0.1)
            answered = []
            while not sending.done():
                with contextlib.suppress(TimeoutError):
                    answered.append(server.accept()[0])
            assert isinstance(sending.exception(), wire.NoAnswer)
        assert not door.sent
        assert [heard(one) for one in answered] == [b""] * len(answered)


def heard(one: socket.socket) -> bytes:
    """Return what has come in on a connection by now, and end it."""
    with one:
        one.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            return one.recv(1000)
    return b""
