"""The one door to HTTP, against a real server on loopback."""

# ruff: noqa: ANN401 - a section has many fields

from __future__ import annotations

import dataclasses
import datetime as dt
import gzip
import io
import pathlib
from typing import Any

import pytest

import build
import deliverybot
import http_server
from deliverybot import access, errors, origins
from deliverybot.sources import fetch, kinds


@dataclasses.dataclass
class Naps:
    """Remembers what it was to wait for, and waits not."""

    taken: list[float] = dataclasses.field(default_factory=list)

    def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


def door(
    folder: pathlib.Path,
    *,
    naps: Naps | None = None,
    accounts: dict[str, access.Access] | None = None,
    secret: bytes = b"k" * 32,
    door: dict[str, Any] | None = None,
    **section: Any,
) -> fetch.Door:
    means = kinds.Means(
        sleep=naps or Naps(), access=accounts or {}, public_url="https://campaigns.example"
    )
    errand = kinds.Errand(
        campaign=build.campaign(folder),
        section=origins.Fetched(**section),
        secret=secret,
        now=build.NOW,
        means=means,
    )
    return fetch.Door(errand, **(door or {}))


# --- what is asked ------------------------------------------------------------------------------


def test_an_answer_is_read_and_the_asker_says_who_it_is(tmp_path: pathlib.Path) -> None:
    with (
        http_server.running({"/count.json": http_server.json({"count": 12})}) as server,
        door(tmp_path, headers={"Accept": "application/json"}) as one,
    ):
        answer = one.get(server.url("/count.json?key=secret"))
        assert answer is not None
        assert answer.json() == {"count": 12}
        assert answer.url == server.url("/count.json?…")
        asked = server.requests[0]
        assert asked.query == {"key": "secret"}
        assert asked.headers["user-agent"] == (
            f"deliverybot/{deliverybot.__version__} (+https://campaigns.example)"
        )
        assert asked.headers["accept"] == "application/json"
        assert "authorization" not in asked.headers
        assert "cookie" not in asked.headers


def test_one_connection_serves_all_that_a_door_asks(tmp_path: pathlib.Path) -> None:
    with http_server.running(lambda _: http_server.json([1])) as server, door(tmp_path) as one:
        for number in range(5):
            answer = one.get(server.url(f"/{number}"))
            assert answer is not None
        assert one.post(server.url("/graphql"), b"{}").json() == [1]
        assert len(server.requests) == 6
        assert server.connections == 1


def test_a_packed_answer_is_unpacked(tmp_path: pathlib.Path) -> None:
    body = gzip.compress(b"[1, ") + gzip.compress(b"2]")
    packed = http_server.Answer(body=body, headers={"Content-Encoding": "gzip"})
    with http_server.running({"/": packed}) as server, door(tmp_path) as one:
        answer = one.get(server.url())
        assert answer is not None
        assert answer.json() == [1, 2]
        assert server.requests[0].headers["accept-encoding"] == "gzip"


def test_a_download_goes_into_a_file(tmp_path: pathlib.Path) -> None:
    with (
        http_server.running({"/": http_server.text("a,b\n", "text/csv")}) as server,
        door(tmp_path) as one,
    ):
        into = io.BytesIO(b"old")
        into.seek(3)
        answer = one.download(server.url(), into)
        assert answer is not None
        assert (answer.kind, answer.raw, into.getvalue()) == ("text/csv", b"", b"olda,b\n")


# --- conditional requests -----------------------------------------------------------------------


def _counted(request: http_server.Request) -> http_server.Answer:
    if request.headers.get("if-none-match") == '"7"':
        return http_server.Answer(status=304)
    return http_server.json({"count": 7}, headers={"ETag": '"7"'})


def test_what_has_not_changed_is_not_sent_again(tmp_path: pathlib.Path) -> None:
    with http_server.running(_counted) as server, door(tmp_path) as one:
        first = one.get(server.url())
        assert first is not None
        assert one.get(server.url(), state=first.state) is None
        assert "127.0.0.1" not in first.state
        # Another address, another section, and a state that is none: another question.
        assert one.get(server.url("/other"), state=first.state) is not None
        assert one.get(server.url(), state="[]") is not None
        assert one.get(server.url(), state="no JSON") is not None
        with door(tmp_path, headers={"Accept": "text/html"}) as two:
            assert two.get(server.url(), state=first.state) is not None
        with door(tmp_path, deadline="2m") as three:
            assert three.get(server.url(), state=first.state) is None


def test_unchanged_without_a_question_is_no_answer(tmp_path: pathlib.Path) -> None:
    with (
        http_server.running({"/": http_server.Answer(status=304)}) as server,
        door(tmp_path) as one,
        pytest.raises(errors.SourceError, match="nothing has changed, though nobody asked"),
    ):
        one.get(server.url())


# --- trying again -------------------------------------------------------------------------------


def test_a_short_trouble_is_waited_out(tmp_path: pathlib.Path) -> None:
    naps = Naps()
    answers = http_server.in_turn(
        http_server.Answer(status=503), http_server.sends(b"HTTP/1.1 2"), http_server.json([1])
    )
    with http_server.running(answers) as server, door(tmp_path, naps=naps) as one:
        answer = one.get(server.url())
        assert answer is not None
        assert len(server.requests) == 3
        assert 0.5 + 1.5 <= sum(naps.taken) <= 1.5 + 4.5 + 0.5


def test_how_long_to_wait_is_handed_on(tmp_path: pathlib.Path) -> None:
    later = build.NOW + dt.timedelta(seconds=90)
    date = later.strftime("%a, %d %b %Y %H:%M:%S GMT")
    for value, seconds in (("120", 120.0), (date, 90.0), ("soon", None)):
        busy = http_server.Answer(status=429, headers={"Retry-After": value})
        with (
            http_server.running({"/": busy}) as server,
            door(tmp_path) as one,
            pytest.raises(errors.SourceError, match="asked too often") as caught,
        ):
            one.get(server.url())
        assert caught.value.retry_after == seconds
        assert len(server.requests) == (3 if seconds is None else 1)


# --- secrets ------------------------------------------------------------------------------------


def test_an_account_is_for_its_own_host_alone(tmp_path: pathlib.Path) -> None:
    accounts = {"ours": access.Access(host="127.0.0.1", token="t0ken")}  # type: ignore[arg-type]
    with http_server.running(lambda _: http_server.json([1])) as server:
        with door(tmp_path, accounts=accounts, access="ours") as one:
            one.get(server.url())
        header = {"token_header": "OSDI-API-Token"}
        with door(tmp_path, accounts=accounts, access="ours", door=header) as one:
            one.get(server.url())
        assert server.requests[0].headers["authorization"] == "Bearer t0ken"
        assert server.requests[1].headers["osdi-api-token"] == "t0ken"
        with (
            door(tmp_path, accounts=accounts, access="ours") as one,
            pytest.raises(errors.SourceError, match="is an account at"),
        ):
            one.get(server.url(host="localhost"))
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("account", "hint"),
    [
        (None, '[access.NAME] with host = "127.0.0.1"'),
        ({}, "DELIVERYBOT_ACCESS__OUR_GROUP__TOKEN"),
        ({"token": "t0ken"}, "the token of [access.our-group] is not taken"),
        ({"username": "reader"}, "the password of [access.our-group] is missing"),
        ({"username": "reader", "password": "s3cret"}, "DELIVERYBOT_ACCESS__OUR_GROUP__PASSWORD"),
    ],
)
def test_who_is_not_let_in_learns_which_secret_to_mend(
    tmp_path: pathlib.Path, account: dict[str, Any] | None, hint: str
) -> None:
    accounts: dict[str, access.Access] = {}
    section: dict[str, Any] = {}
    if account is not None:
        accounts = {"our-group": access.Access(host="127.0.0.1", **account)}
        section = {"access": "our-group"}
    with (
        http_server.running({"/": http_server.Answer(status=401)}) as server,
        door(tmp_path, accounts=accounts, **section) as one,
        pytest.raises(errors.SourceError, match="answers 401") as caught,
    ):
        one.get(server.url())
    assert caught.value.status == 401
    assert hint in caught.value.hint
    assert "t0ken" not in caught.value.hint
    assert "s3cret" not in caught.value.hint
