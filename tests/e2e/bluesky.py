"""The outlet `bluesky` against the real server: ``make test-e2e``, no part of ``make test``.

tests/bluesky_server.py stands in for it otherwise; what that claims of the real
one is shown here.
"""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
import multiprocessing
import os
import pathlib
import random
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

import bluesky_server
import build
from deliverybot import config, model, networks, outlets
from deliverybot.outlets import bluesky, bluesky_record

HERE = pathlib.Path(__file__).parent
MODULES = HERE.parent.parent / ".venv" / "pds" / "node_modules"
NOW = build.NOW
DONE, LATER, REFUSED = model.Outcome.DONE, model.Outcome.LATER, model.Outcome.REFUSED
#: Posts of which each is put by processes that are killed; E2E_POSTS raises it for a long run.
POSTS = int(os.environ.get("E2E_POSTS", "100"))


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the real server; gives its address."""
    command = ["node", str(HERE / "pds.cjs"), str(tmp_path_factory.mktemp("pds"))]
    environ = {**os.environ, "NODE_PATH": str(MODULES)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
    ) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.kill()


def ask(api: str, method: str, *, token: str = "", **told: object) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(
        f"{api}/xrpc/{method}", json.dumps(told).encode(), headers, method="POST"
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        content: dict[str, Any] = json.loads(answer.read())
        return content


def get(api: str, method: str, **query: str) -> dict[str, Any]:
    address = f"{api}/xrpc/{method}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(address, timeout=60) as answer:
        content: dict[str, Any] = json.loads(answer.read())
        return content


_names = iter(f"campaign{number}" for number in range(100))


@pytest.fixture
def section(api: str) -> dict[str, Any]:
    """An account of its own, with an app password, as it stands in config.toml."""
    name = next(_names)
    made = ask(
        api, "com.atproto.server.createAccount",
        handle=f"{name}.test", email=f"{name}@mail.test", password=f"own-{name}",
    )  # fmt: skip
    password = ask(
        api, "com.atproto.server.createAppPassword", token=made["accessJwt"], name="deliverybot"
    )["password"]
    return {
        "kind": "bluesky", "api": api, "handle": f"{name}.test", "app_password": password
    }  # fmt: skip


def account(section: dict[str, Any]) -> bluesky.Bluesky:
    settings = config.Settings(
        sender=config.Sender(name="Example", address="letters@campaigns.example"),
        outlets={"sky": networks.BlueskyOutlet.model_validate(section)},
    )
    outlet = outlets.open_outlet("sky", settings)
    assert isinstance(outlet, bluesky.Bluesky)
    return outlet


def draft(number: int, text: str = "", **more: Any) -> outlets.Draft:  # noqa: ANN401 - its fields
    return outlets.Draft(
        key=f"faces.m{number}.v1.sky", campaign="faces", crossed_at=NOW,
        text=text or f"{number} people ask: stop. https://campaigns.example/p/faces #stop",
        **more,
    )  # fmt: skip


def picture(size: int = 0, number: int = 0) -> bytes:
    """A card; filled up to a size, where one is given."""
    made = io.BytesIO()
    Image.new("RGB", (1200, 675), (number % 256, 70, 100)).save(made, "PNG")
    return made.getvalue().ljust(size, b"\0")


def records(section: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    query = {"repo": section["handle"], "collection": bluesky_record.COLLECTION, "limit": "100"}
    while True:
        page = get(section["api"], "com.atproto.repo.listRecords", **query)
        found += page["records"]
        if not page.get("cursor"):
            return found
        query["cursor"] = page["cursor"]


def commits(section: dict[str, Any]) -> str:
    """The revision of the account's records; it changes with each that is written."""
    did = get(section["api"], "com.atproto.identity.resolveHandle", handle=section["handle"])["did"]
    return str(get(section["api"], "com.atproto.sync.getLatestCommit", did=did)["rev"])


async def test_a_post_is_there_once(section: dict[str, Any]) -> None:
    outlet, post = account(section), draft(1, image=picture(), alt="1,000 of 10,000")
    assert (await outlet.find(post)).there is False
    reply = await outlet.publish(post)
    assert reply.outcome is DONE, reply
    revision = commits(section)
    again = await account(section).publish(post)
    assert (again.outcome, again.url, commits(section)) == (DONE, reply.url, revision)
    assert await outlet.find(post) == outlets.Evidence(there=True, url=reply.url)
    (there,) = records(section)
    assert there["uri"].rpartition("/")[2] == reply.url.rpartition("/")[2]
    assert there["value"] == bluesky_record.record(post)


async def test_another_post_under_the_name_stays(section: dict[str, Any]) -> None:
    outlet, post = account(section), draft(2)
    assert (await outlet.publish(draft(2, "Something else"))).done
    reply = await outlet.publish(post)
    assert (reply.outcome, reply.account) == (REFUSED, False)
    assert "another post stands under the name" in reply.text
    (there,) = records(section)
    assert there["value"]["text"] == "Something else"


@pytest.mark.parametrize(
    "text",
    [
        "x" * 300,
        "世" * 300,
        "👩‍👩‍👧" * 166,
        "👩‍👩‍👧 世界#stop é https://campaigns.example/p/x。#停止",
    ],
    ids=["letters", "ideographs", "emoji", "facets"],
)
async def test_what_fits_is_taken(section: dict[str, Any], text: str) -> None:
    reply = await account(section).publish(draft(3, text))
    assert reply.outcome is DONE, reply


@pytest.mark.parametrize("text", ["x" * 301, "👩‍👩‍👧" * 167])
async def test_one_more_is_not(
    section: dict[str, Any], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our own limits are the server's."""
    monkeypatch.setattr(bluesky_record, "unfit", lambda _: "")
    reply = await account(section).publish(draft(4, text))
    assert (reply.outcome, reply.code, reply.account) == (REFUSED, 400, False)


@pytest.mark.parametrize(
    ("size", "taken"), [(1_000_000, True), (2_000_001, False), (6 * 2**20, False)]
)
async def test_a_large_picture(
    section: dict[str, Any], size: int, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This version takes 1,000,000 bytes, newer ones 2,000,000; it hangs up on 6 MiB."""
    monkeypatch.setattr(bluesky_record, "unfit", lambda _: "")
    reply = await account(section).publish(draft(5, image=picture(size), alt="a card"))
    assert (reply.outcome is DONE) == taken, reply
    assert len(records(section)) == taken


async def test_what_the_small_server_says_is_what_this_one_says(section: dict[str, Any]) -> None:
    """A name that is no TID is refused, and a put without ``swapRecord`` overwrites."""
    signed = ask(
        section["api"], "com.atproto.server.createSession",
        identifier=section["handle"], password=section["app_password"],
    )  # fmt: skip
    put = {
        "repo": signed["did"], "collection": bluesky_record.COLLECTION,
        "record": bluesky_record.record(draft(7)),
    }  # fmt: skip
    name, token = bluesky_record.name(draft(7)), signed["accessJwt"]
    with pytest.raises(urllib.error.HTTPError) as raised:
        ask(section["api"], bluesky_server.PUT, token=token, rkey="milestone-7", **put)
    raised.value.close()
    assert raised.value.code == 400
    ask(section["api"], bluesky_server.PUT, token=token, rkey=name, **put)
    put["record"] = bluesky_record.record(draft(7, "Something else"))
    ask(section["api"], bluesky_server.PUT, token=token, rkey=name, **put)
    assert [one["value"]["text"] for one in records(section)] == ["Something else"]


async def test_sessions(section: dict[str, Any]) -> None:
    """A token that is not taken is renewed; what cannot be renewed is opened anew."""
    outlet = account(section)
    assert (await outlet.publish(draft(8))).done
    assert outlet._session is not None
    outlet._session = dataclasses.replace(outlet._session, access="a.b.c")
    assert (await outlet.publish(draft(9))).done
    outlet._session = dataclasses.replace(outlet._session, access="a.b.c", refresh="d.e.f")
    assert (await outlet.publish(draft(10))).done
    assert len(records(section)) == 3


async def test_a_wrong_password_and_too_many_sessions(section: dict[str, Any]) -> None:
    wrong = account({**section, "app_password": "wrong"})
    reply = await wrong.publish(draft(11))
    assert (reply.outcome, reply.code, reply.account) == (REFUSED, 401, True)
    for _ in range(40):
        reply = await wrong.publish(draft(11))
        if reply.code == 429:
            break
    assert (reply.outcome, reply.code, reply.account) == (LATER, 429, True)
    assert 0 < (reply.retry_after or 0) <= 300


def put_all(section: dict[str, Any], numbers: list[int], done: Any) -> None:  # noqa: ANN401 - a queue
    """Be a process that posts; tells each number once the network has said yes."""
    outlet = account(section)
    for number in numbers:
        post = draft(number, image=picture(number=number), alt=f"card {number}")
        if asyncio.run(outlet.publish(post)).done:
            done.put(number)


@pytest.mark.timeout(900)
def test_kills_at_random(section: dict[str, Any]) -> None:
    """Each post is there once, however many processes died over it."""
    chance, kills = random.Random(1), 0
    context = multiprocessing.get_context("fork")
    left = list(range(1000, 1000 + POSTS))
    while left:
        done = context.SimpleQueue()
        child = context.Process(target=put_all, args=(section, left, done))
        child.start()
        # By what it has done, since the server opens 30 sessions in five minutes.
        upto, finished = chance.randint(2, 8), set[int]()
        while child.is_alive() and len(finished) < upto:
            while not done.empty():
                finished.add(done.get())
            time.sleep(0.005)
        time.sleep(chance.uniform(0.0, 0.1))
        child.kill()
        child.join()
        kills += child.exitcode == -signal.SIGKILL
        left = [number for number in left if number not in finished]
    assert kills
    assert sorted(one["value"]["text"] for one in records(section)) == sorted(
        draft(number).text for number in range(1000, 1000 + POSTS)
    )
