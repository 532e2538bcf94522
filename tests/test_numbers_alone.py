"""Campaigns whose source gives a number and no names: every command reads well for them."""

from __future__ import annotations

import json
import pathlib
import re

import pytest
from click import testing

import build
import http_server
from deliverybot import cli

PETITION = {
    "data": {"attributes": {"action": "Stop it", "state": "open", "signature_count": 10012}}
}


class Desk:
    """The command in one working folder, within this process."""

    def __init__(self, place: pathlib.Path) -> None:
        self.place = place

    def __call__(self, *words: str, code: int = 0) -> str:
        given = ["-c", str(self.place / "config.toml"), *words]
        done = testing.CliRunner().invoke(cli.cli, given, catch_exceptions=False)
        assert done.exit_code == code, done.output
        return done.output


@pytest.fixture
def desk(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(tmp_path)
    build.settings(tmp_path)
    return Desk(tmp_path)


def petition(count: int) -> http_server.Handler:
    """A site that says a number, on the petition's page and beside it."""

    def answer(request: http_server.Request) -> http_server.Reply:
        if request.path.endswith("count.json"):
            return http_server.json({"signature_count": count})
        return http_server.json(PETITION)

    return answer


def plan(desk: Desk, server: http_server.Server, delivery: str = 'signers = "none"') -> None:
    url = server.url("/petitions/7")
    build.campaign(
        desk.place, plan="at = [5000, 10000, 12000]", goal=20000, posts=(), delivery=delivery,
        source=f'[source]\nkind = "epetitions"\nurl = "{url}"\nevery = "5m"',
    )  # fmt: skip


def plainly(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_the_letter_tells_the_number_and_names_nobody(desk: Desk) -> None:
    with http_server.running(petition(10012)) as server:
        plan(desk, server)
        said = plainly(desk("preview", "faces"))
        assert "10,012 signatures as of" in said
        assert "Signed by" not in said
        assert "named" not in said
        mail = desk("preview", "faces", "--as", "mail")
        assert "10012 people ask you to stop" in mail


def test_what_a_run_and_status_say(desk: Desk) -> None:
    with http_server.running(petition(10012)) as server:
        plan(desk, server)
        assert "nobody: the source gives a number and no names" in desk("status")
        ran = desk("run", "--once")
        assert "faces: 10012 signatures; deliveries: 1 held" in ran
        assert "named" not in ran
        status = desk("status")
        assert "10012 of 20000 as of" in status
        assert "may be named" not in status
        shown = json.loads(desk("status", "--json"))["campaigns"][0]
        assert (shown["signatures"], shown["listed"], shown["next"]["at"]) == (10012, 0, 12000)
        assert "are not on the list" not in status


def test_a_preview_asks_nobody_once_there_was_a_reading(desk: Desk) -> None:
    with http_server.running(petition(10012)) as server:
        plan(desk, server)
        desk("run", "--once")
        asked = len(server.requests)
        assert "10,012 signatures" in plainly(desk("preview", "faces"))
        assert len(server.requests) == asked


def test_a_rehearsal_asks_nobody(desk: Desk) -> None:
    with http_server.running(petition(10012)) as server:
        plan(desk, server)
        first = desk("rehearse", "-o", str(desk.place / "one"))
        assert "nothing is due" in first
        assert not server.requests
        desk("run", "--once")
        asked = len(server.requests)
        again = desk("rehearse", "-o", str(desk.place / "two"))
        assert "a rehearsal asks nobody over the network" in again
        assert re.search(r"signatures +10012\n", again)
        assert len(server.requests) == asked


def test_check_asks_unless_it_is_offline(desk: Desk) -> None:
    with http_server.running(petition(10012)) as server:
        plan(desk, server)
        assert "was not asked" in desk("check", "--offline")
        assert not server.requests
        assert "'Stop it': 10012 signatures, 'open'" in desk("check")
        assert len(server.requests) == 1
    fault = re.search(r"^fault: (.*)$", desk("check", code=2), re.MULTILINE)
    assert fault is not None
    assert re.match(r"http://127\.0\.0\.1:\d+/petitions/7\.json: there is no", fault[1])


def test_a_fall_is_told_and_waits(desk: Desk) -> None:
    with http_server.running(petition(10012)) as server:
        plan(desk, server)
        desk("run", "--once")
        server.answers = petition(500)
        for need in ("a second reading and `deliverybot", "`deliverybot"):
            fallen = " ".join(desk("run", "--once").split())
            assert "fell from 10012 to 500" in fallen
            assert f"milestones wait for {need} milestones accept faces`" in fallen
            assert "deliveries: 1 held" in fallen
        assert desk("milestones", "accept", "faces").startswith("500 signatures accepted")
        assert "deliveries: 1 cancelled" in desk("run", "--once")


def test_names_are_asked_for_where_there_are_none(desk: Desk) -> None:
    with http_server.running(petition(1)) as server, pytest.raises(Exception, match="not who"):
        plan(desk, server, delivery="")
