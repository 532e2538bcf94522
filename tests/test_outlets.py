"""Outlets: what is posted, and what every answer of a network comes to."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

import build
import http_server
import x_fake
from deliverybot import config, errors, model, outlets
from deliverybot.outlets import wire

LATER, REFUSED, DONE, UNSURE = (
    model.Outcome.LATER,
    model.Outcome.REFUSED,
    model.Outcome.DONE,
    model.Outcome.UNSURE,
)


def settings(folder: Path, **x: object) -> config.Settings:
    sections: dict[str, object] = {"files": {"kind": "folder"}}
    if x:
        sections["x-main"] = {"kind": "x", **x_fake.KEYS, **x}
    sender = {"name": "Example Campaigns", "address": "letters@campaigns.example"}
    return config.Settings.model_validate(
        {"sender": sender, "outlets": sections, "state_dir": str(folder)}
    )


def content(file: Path) -> str:
    return file.read_text("utf-8")


def texts(folder: Path) -> list[Path]:
    return list(folder.rglob("*.txt"))


def listing(folder: Path) -> list[Path]:
    return list((folder / "outbox" / "posts").iterdir())


def draft(text: str = "1,000 people have signed", key: str = "face.m1000.x-main") -> outlets.Draft:
    return outlets.Draft(key=key, text=text, campaign="face")


def test_an_unknown_outlet_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError, match="nowhere"):
        outlets.open_outlet("nowhere", settings(tmp_path))


def test_a_folder_outlet_loads_no_network_library() -> None:
    code = "import deliverybot.outlets.folder, sys; print('tweepy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# --- folder -------------------------------------------------------------------------------------


async def test_a_post_is_one_file_once(tmp_path: Path) -> None:
    outlet = outlets.open_outlet("files", settings(tmp_path))
    post = draft("Zoë signed 🎉\n")
    assert await outlet.find(post) == outlets.Evidence(there=False)
    first = await outlet.publish(post)
    again = await outlet.publish(post)
    other = await outlet.publish(draft("another text"))
    assert (first.outcome, again, other.outcome) == (DONE, first, REFUSED)
    files = sorted(listing(tmp_path))
    assert [file.name for file in files] == ["face.m1000.x-main.txt"]
    assert content(files[0]) == "Zoë signed 🎉\n"
    assert first.url == files[0].as_uri()
    assert await outlet.find(post) == outlets.Evidence(there=True, url=first.url)
    # What somebody else has left under the key is not the post: a second try would end it.
    assert await outlet.find(draft("another text")) == outlets.Evidence(there=False)


async def test_a_pipe_in_the_way_is_no_post(tmp_path: Path) -> None:
    folder = tmp_path / "outbox" / "posts"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "face.m1000.x-main.txt")
    outlet = outlets.open_outlet("files", settings(tmp_path))
    assert await outlet.find(draft()) == outlets.Evidence(there=False)
    reply = await outlet.publish(draft())
    assert reply.outcome is REFUSED
    assert "is no file" in reply.text


@pytest.mark.parametrize("key", ["", ".", "..", "../up", "a/b", ".hidden", "a\nb", "ä", "x" * 201])
async def test_a_key_never_leaves_the_folder(tmp_path: Path, key: str) -> None:
    outlet = outlets.open_outlet("files", settings(tmp_path))
    reply = await outlet.publish(draft(key=key))
    assert reply.outcome is REFUSED
    assert await outlet.find(draft(key=key)) == outlets.Evidence(there=False)
    assert texts(tmp_path) == []


async def test_a_folder_that_cannot_be_is_for_later(tmp_path: Path) -> None:
    (tmp_path / "outbox").write_text("in the way")
    outlet = outlets.open_outlet("files", settings(tmp_path))
    assert (await outlet.publish(draft())).outcome is LATER
    assert [fault.level for fault in await outlet.check()] == ["fault"]


# --- x ------------------------------------------------------------------------------------------


@pytest.fixture
def fake() -> Iterator[x_fake.Fake]:
    with x_fake.running() as running:
        yield running


def x_outlet(fake: x_fake.Fake, folder: Path, **more: object) -> outlets.Outlet:
    values = {"api": fake.url, **more}
    return outlets.open_outlet("x-main", settings(folder, **values), clock=lambda: 1_000_000.0)


async def test_a_post_on_x(fake: x_fake.Fake, tmp_path: Path) -> None:
    outlet = x_outlet(fake, tmp_path)
    reply = await outlet.publish(draft("Zoë & 1,000 others: https://example.org/p/face 🎉"))
    assert (reply.outcome, reply.code) == (DONE, 201)
    assert reply.url == "https://x.com/i/web/status/1801"
    assert fake.posts == ["Zoë & 1,000 others: https://example.org/p/face 🎉"]
    assert await outlet.find(draft()) == outlets.Evidence(there=None)


async def test_a_base_address_may_have_a_path(fake: x_fake.Fake, tmp_path: Path) -> None:
    outlet = x_outlet(fake, tmp_path, api=fake.url + "/gate/")
    assert (await outlet.publish(draft())).outcome is DONE
    assert fake.requests[0]["path"] == "/gate/2/tweets"


@pytest.mark.parametrize(
    ("plan", "outcome", "code", "said", "made"),
    [
        ("forbidden", REFUSED, 403, "suspended", 0),
        ("invalid", REFUSED, 400, "text is", 0),
        ("limited", LATER, 429, "Too Many", 0),
        ("odd_limit", LATER, 429, "Too Many", 0),
        ("html_503", UNSURE, 503, "Service Unavailable", 0),
        ("html_200", UNSURE, 200, "names no post", 0),
        ("no_id", UNSURE, 201, "names no post", 0),
        ("deep", UNSURE, 201, "names no post", 0),
        ("huge", UNSURE, 0, "too long", 0),
        ("redirect", UNSURE, 307, "Redirect", 0),
        ("drop", UNSURE, 0, "", 0),
        ("post_then_drop", UNSURE, 0, "", 1),
        ("cut_in_answer", UNSURE, 0, "cut short", 0),
        ("cut_in_refusal", UNSURE, 0, "cut short", 0),
    ],
)
async def test_every_answer_has_its_outcome(
    fake: x_fake.Fake,
    tmp_path: Path,
    plan: str,
    outcome: model.Outcome,
    code: int,
    said: str,
    made: int,
) -> None:
    fake.plan = [plan]
    reply = await x_outlet(fake, tmp_path).publish(draft())
    assert (reply.outcome, reply.code, reply.phase) == (outcome, code, "post")
    assert said in reply.text
    assert reply.url == ""
    assert len(fake.posts) == made
    assert len(fake.requests) == 1
    assert not [char for char in reply.text if not char.isprintable()]


async def test_no_token_comes_back_in_a_reply(fake: x_fake.Fake, tmp_path: Path) -> None:
    fake.plan = ["forbidden"]
    reply = await x_outlet(fake, tmp_path).publish(draft())
    assert "***" in reply.text
    assert not [secret for secret in x_fake.KEYS.values() if secret in reply.text]


async def test_an_equal_post_is_unsure(fake: x_fake.Fake, tmp_path: Path) -> None:
    outlet = x_outlet(fake, tmp_path)
    replies = [await outlet.publish(draft()) for _ in range(2)]
    assert [reply.outcome for reply in replies] == [DONE, UNSURE]
    assert "maybe ours" in replies[1].text
    assert len(fake.posts) == 1


async def test_a_limit_says_when(fake: x_fake.Fake, tmp_path: Path) -> None:
    fake.plan = ["limited"]
    reply = await x_outlet(fake, tmp_path).publish(draft())
    assert reply.retry_after == 900


async def test_a_wrong_token_is_refused(fake: x_fake.Fake, tmp_path: Path) -> None:
    reply = await x_outlet(fake, tmp_path, access_token_secret="wrong").publish(draft())
    assert (reply.outcome, reply.code) == (REFUSED, 401)
    assert fake.posts == []


@pytest.mark.parametrize(("plan", "made"), [("post_then_hang", 1), ("drip", 0)])
async def test_no_answer_in_time_is_unsure(
    fake: x_fake.Fake, tmp_path: Path, plan: str, made: int
) -> None:
    fake.plan = [plan]
    reply = await x_outlet(fake, tmp_path, timeout=3.0).publish(draft())
    assert (reply.outcome, reply.text) == (UNSURE, "no answer in time")
    while len(fake.posts) < made:  # noqa: ASYNC110 - another thread's doing, which may come late
        await asyncio.sleep(0.01)
    assert len(fake.posts) == made


async def test_no_server_is_for_later(tmp_path: Path) -> None:
    with http_server.nobody() as port:
        outlet = outlets.open_outlet("x-main", settings(tmp_path, api=f"http://127.0.0.1:{port}"))
        assert (await outlet.publish(draft())).outcome is LATER


async def test_a_server_that_does_not_speak_tls_is_for_later(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"https://127.0.0.1:{listener.getsockname()[1]}"
        outlet = outlets.open_outlet("x-main", settings(tmp_path, api=address))
        task = asyncio.create_task(outlet.publish(draft()))
        connection, _ = await asyncio.to_thread(listener.accept)
        with connection:
            connection.sendall(b"HTTP/1.1 400 speak plainly\r\n\r\n")
            reply = await task
    assert reply.outcome is LATER


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("a" * 280, 280),
        ("日" * 140, 280),
        ("👨‍👩‍👧", 2),
        ("see https://example.org/" + "a" * 200, 27),
        ("e\u0301", 1),
    ],
)
def test_length_is_counted_as_x_does(
    fake: x_fake.Fake, tmp_path: Path, text: str, length: int
) -> None:
    outlet = x_outlet(fake, tmp_path)
    assert outlet.length(text) == length
    assert outlet.limit == 280


@pytest.mark.parametrize("text", ["a" * 281, "日" * 141, "", "with \ufeff in it"])
async def test_a_text_that_x_would_not_take_is_not_sent(
    fake: x_fake.Fake, tmp_path: Path, text: str
) -> None:
    reply = await x_outlet(fake, tmp_path).publish(draft(text))
    assert (reply.outcome, reply.code) == (REFUSED, 0)
    assert fake.requests == []


async def test_a_missing_token_is_named_and_nothing_sent(fake: x_fake.Fake, tmp_path: Path) -> None:
    outlet = x_outlet(fake, tmp_path, access_token="")
    reply = await outlet.publish(draft())
    found = await outlet.check()
    assert (reply.outcome, fake.requests) == (REFUSED, [])
    assert "access_token" in reply.text
    assert [fault.level for fault in found] == ["fault"]
    assert found[0].hint
    assert [fault.level for fault in await x_outlet(fake, tmp_path).check()] == ["ok"]


async def test_no_secret_is_logged(
    fake: x_fake.Fake, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert (await x_outlet(fake, tmp_path).publish(draft())).done
    assert not [secret for secret in x_fake.KEYS.values() if secret in caplog.text]
    assert "oauth_signature" not in caplog.text


def test_a_door_that_was_cut_asks_nothing_more() -> None:
    """A stop may come between two requests of one post."""
    with http_server.running(lambda _: http_server.json({})) as server:
        door = wire.Door(server.url(""), 20.0)
        request = requests.Request("GET", server.url("/one")).prepare()
        assert door.send(request).status_code == 200
        door.cut()
        with pytest.raises(wire.NoAnswer):
            door.send(request)
        assert (door.sent, door.trouble) == (False, "stopped")
        assert len(server.requests) == 1


def test_the_place_of_a_secret_is_one_that_is_read(tmp_path: Path) -> None:
    """File and variable of the hint are found, whatever dash the outlet's name has."""
    hint = outlets.secret_hint("x-main", "consumer_key", "access_token")
    (file,) = re.findall(r"secrets_dir: (\w+),", hint)
    (variable,) = re.findall(r"such as (\w+)", hint)
    build.settings(tmp_path)
    config_file = tmp_path / "config.toml"
    section = '[outlets.x-main]\nkind = "x"\n'
    config_file.write_text(f'secrets_dir = "secrets"\n{config_file.read_text()}{section}')
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / file).write_text("one\n")
    for environ, found in (({}, "one"), ({variable: "two"}, "two")):
        known: Any = config.load(config_file, environ=environ).outlets["x-main"]
        assert known.consumer_key.get_secret_value() == found
    assert "outlets__x_main__access_token" in hint
