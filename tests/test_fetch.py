"""The one door to HTTP, against a real server on loopback."""

# ruff: noqa: ANN401 - a section has many fields

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import gzip
import io
import pathlib
import socket
import ssl
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import build
import deliverybot
import hostile_source
import http_server
import smtp_server
from deliverybot import access, errors, hands, origins
from deliverybot.sources import fetch, hosts, kinds, wire


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
    pause: Callable[[], None] = lambda: None,
    **section: Any,
) -> fetch.Door:
    means = kinds.Means(
        sleep=naps or Naps(),
        access=accounts or {},
        public_url="https://campaigns.example",
        pause=pause,
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


def test_a_host_that_says_nothing_is_asked_again_and_then_left(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "SILENCE", 0.05)
    with (
        http_server.running({"/": http_server.raw(lambda line: line.hang())}) as server,
        door(tmp_path) as one,
    ):
        with pytest.raises(errors.SourceError, match="the other side said nothing for"):
            one.get(server.url())
        server.wait_for(3)  # we may have gone before the server reads what we asked
    assert len(server.requests) == 3


@pytest.mark.parametrize("stops", [False, True], ids=["deadline", "stop"])
def test_a_name_service_that_hangs_is_not_waited_for(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, stops: bool
) -> None:
    """Its call cannot be ended, so it hangs in a thread that nobody waits for."""
    asked, over = threading.Event(), threading.Event()

    def hang(*_: object, **__: object) -> list[Any]:
        asked.set()
        over.wait(60)
        return []

    def pause() -> None:
        if stops and asked.is_set():
            raise hands.Stopped

    monkeypatch.setattr("socket.getaddrinfo", hang)
    with (
        door(tmp_path, deadline="10m" if stops else "1s", pause=pause) as one,
        pytest.raises(hands.Stopped if stops else errors.SourceError),
    ):
        one.get("http://one.example.org/")
    over.set()


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


# --- other hosts, and names that lie --------------------------------------------------------------


class Names:
    """A name service of the test's own: name -> numbers; each look-up takes the next."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.known: dict[str, list[str]] = {}
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, **_: object) -> list[Any]:
        self.asked.append(host)
        numbers = self.known.get(host, [])
        if not numbers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        number = numbers.pop(0) if len(numbers) > 1 else numbers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, self.port))]


@pytest.fixture
def trusted(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's context whose certificate is trusted for two names."""
    folder = tmp_path / "tls"
    folder.mkdir()
    server, _ = smtp_server.certificate(folder, "DNS:one.example.org", "DNS:two.example.org")
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "chain.pem"))
    return server


@contextlib.contextmanager
def named(
    monkeypatch: pytest.MonkeyPatch,
    answers: http_server.Handler,
    tls: ssl.SSLContext | None = None,
    **known: str,
) -> Iterator[tuple[http_server.Server, Names]]:
    with http_server.running(answers, tls=tls) as server:
        names = Names(server.port)
        names.known = {name.replace("_", "."): numbers.split() for name, numbers in known.items()}
        monkeypatch.setattr("socket.getaddrinfo", names)
        yield server, names


def test_a_name_that_leads_inside_is_not_asked(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(_: http_server.Request) -> http_server.Answer:
        return http_server.json([1])

    with named(monkeypatch, answer, one_example_org="127.0.0.1") as (server, _):
        with (
            door(tmp_path) as one,
            pytest.raises(errors.SourceError, match="its name leads to a private address"),
        ):
            one.get("http://one.example.org/")
        assert server.connections == 0
        with door(tmp_path, private=True) as one:
            assert one.get("http://one.example.org/") is not None


def test_a_name_that_changes_its_mind_is_caught_where_it_is_connected_to(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is checked is the number that is connected to, at each connection anew."""

    def answer(_: http_server.Request) -> http_server.Reply:
        return http_server.sends(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n[1]")

    monkeypatch.setattr(hosts, "is_global", lambda number: number == "127.0.0.1")
    numbers = "127.0.0.1 127.0.0.2"
    with (
        named(monkeypatch, answer, one_example_org=numbers) as (server, names),
        door(tmp_path) as one,
    ):
        assert one.get("http://one.example.org/") is not None
        with pytest.raises(errors.SourceError, match="private address"):
            one.get("http://one.example.org/")
        assert (server.connections, len(names.asked)) == (1, 2)


def test_a_redirect_into_the_network_that_one_host_is_named_of(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, trusted: ssl.SSLContext
) -> None:
    """`private = true` is for the campaign's own host, not for what it leads to."""
    answer = http_server.redirect("https://two.example.org/")
    known = {"one_example_org": "127.0.0.1", "two_example_org": "127.0.0.1"}
    with (
        named(monkeypatch, lambda _: answer, trusted, **known) as (server, _),
        door(tmp_path, private=True) as one,
        pytest.raises(errors.SourceError, match="leads to a private address"),
    ):
        one.get("https://one.example.org/")
    assert len(server.requests) == 1


def test_what_is_for_one_host_does_not_follow_to_another_nor_back(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, trusted: ssl.SSLContext
) -> None:
    monkeypatch.setattr(hosts, "is_global", lambda _: True)

    def answer(request: http_server.Request) -> http_server.Answer:
        if request.path == "/count":
            return http_server.redirect("https://two.example.org/away")
        if request.path == "/away":
            return http_server.redirect("https://one.example.org/back")
        return http_server.json([1])

    accounts = {"ours": access.Access(host="one.example.org", token="t0ken")}  # type: ignore[arg-type]
    known = {"one_example_org": "127.0.0.1", "two_example_org": "127.0.0.1"}
    with (
        named(monkeypatch, answer, trusted, **known) as (server, _),
        door(tmp_path, accounts=accounts, access="ours", headers={"X-Group": "7"}) as one,
    ):
        found = one.get("https://one.example.org/count", headers={"X-Own": "1"})
        assert found is not None
        assert found.url == "https://one.example.org/back"
        told = [
            {"authorization", "x-group", "x-own"} & request.headers.keys()
            for request in server.requests
        ]
        assert told == [{"authorization", "x-group", "x-own"}, set(), set()]
        assert [one.headers["host"] for one in server.requests] == [
            "one.example.org",
            "two.example.org",
            "one.example.org",
        ]


def test_a_certificate_of_somebody_else_ends_it(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, trusted: ssl.SSLContext
) -> None:
    def answer(_: http_server.Request) -> http_server.Answer:
        return http_server.json([1])

    known = {"one_example_org": "127.0.0.1", "three_example_org": "127.0.0.1"}
    with named(monkeypatch, answer, trusted, **known) as (server, _):
        with door(tmp_path, private=True) as one:
            assert one.get("https://one.example.org/") is not None
        with (
            door(tmp_path, private=True) as one,
            pytest.raises(errors.SourceError, match="certificate is not to be trusted"),
        ):
            one.get("https://three.example.org/")
        monkeypatch.delenv("SSL_CERT_FILE")
        with (
            door(tmp_path, private=True) as one,
            pytest.raises(errors.SourceError, match="certificate is not to be trusted"),
        ):
            one.get("https://one.example.org/")
        assert len(server.requests) == 1
        assert server.connections == 3, "it is not tried again"


def test_a_secure_line_that_is_cut_is_a_cut_answer(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, trusted: ssl.SSLContext
) -> None:
    cut = http_server.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n[1")
    with (
        named(monkeypatch, lambda _: cut, trusted, one_example_org="127.0.0.1"),
        door(tmp_path, private=True) as one,
        pytest.raises(errors.SourceError, match=r"broke|cut off"),
    ):
        one.get("https://one.example.org/")


def test_an_account_is_not_sent_in_the_clear(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = {"ours": access.Access(host="one.example.org", token="t0ken")}  # type: ignore[arg-type]
    with (
        door(tmp_path, accounts=accounts, access="ours", private=True) as one,
        pytest.raises(errors.SourceError, match="not sent over plain http"),
    ):
        one.get("http://one.example.org/")


def test_a_secret_that_cannot_be_sent_is_not_shown(tmp_path: pathlib.Path) -> None:
    accounts = {"ours": access.Access(host="127.0.0.1", token="t0k\nen")}  # type: ignore[arg-type]
    with (
        http_server.running(lambda _: http_server.json([1])) as server,
        door(tmp_path, accounts=accounts, access="ours") as one,
        pytest.raises(errors.SourceError, match="a header or a secret has a character") as caught,
    ):
        one.get(server.url())
    assert "t0k" not in repr(caught.value) + caught.value.hint


def test_no_proxy_is_asked(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    with http_server.running(lambda _: http_server.json([1])) as server, door(tmp_path) as one:
        assert one.get(server.url()) is not None


# --- connections that are used again -------------------------------------------------------------


def test_what_stands_behind_an_answer_is_no_answer_to_the_next_request(
    tmp_path: pathlib.Path,
) -> None:
    two = b"".join(
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[%d]" % number for number in (1, 2)
    )

    def play(wire: http_server.Wire) -> None:
        wire.send(two)
        wire.hang()

    answers = http_server.in_turn(http_server.raw(play), http_server.json([3]))
    with http_server.running(answers) as server, door(tmp_path) as one:
        found = [one.get(server.url()), one.get(server.url())]
        assert [answer and answer.json() for answer in found] == [[1], [3]]
        assert server.connections == 2


def test_a_connection_that_was_closed_meanwhile_is_replaced(tmp_path: pathlib.Path) -> None:
    naps = Naps()
    keeps = http_server.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]")
    with http_server.running(lambda _: keeps) as server, door(tmp_path, naps=naps) as one:
        for _ in range(3):
            answer = one.get(server.url())
            assert answer is not None
        assert (server.connections, naps.taken) == (3, [])


def test_what_is_sent_is_sent_once_unless_it_only_asks(tmp_path: pathlib.Path) -> None:
    with http_server.running(lambda _: http_server.Answer(status=503)) as server:
        for again, times in ((False, 1), (True, 4)):
            with door(tmp_path) as one, pytest.raises(errors.SourceError, match="503"):
                one.post(server.url("/graphql"), b"{}", again=again)
            assert len(server.requests) == times
    assert {request.body for request in server.requests} == {b"{}"}


# --- sizes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("trick", ["packs 50 MB into 50 kB", "sends without end", "is large"])
def test_memory_stays_below_twice_the_cap(tmp_path: pathlib.Path, trick: str) -> None:
    cap = 4_000_000
    known = {one.does: one.reply for one in hostile_source.BEHAVIOURS}
    large = http_server.Answer(body=b" " * (cap - 10) + b"[1]")
    with (
        http_server.running({"/": known.get(trick, large)}) as server,
        door(tmp_path, most="4 MB") as one,
    ):
        tracemalloc.start()
        try:
            if trick == "is large":
                assert one.get(server.url()) is not None
            else:
                with pytest.raises(errors.SourceError, match="larger than"):
                    one.get(server.url())
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 2 * cap
