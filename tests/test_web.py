"""The web server over real HTTP: ranges, refusals, clients that stall, what is noted."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
import email
import email.policy
import hashlib
import http.client
import logging
import pathlib
import random
import socket
import time
from collections.abc import Iterator

import pytest

import build
import web_server
from deliverybot import errors, ledger, links, listening, web
from deliverybot.ledger import records
from deliverybot.web import server

TOKEN = "Xq3_-" + "a" * 17


@dataclasses.dataclass
class Site:
    """A server in a thread, with one link to a file of random bytes."""

    book: ledger.Ledger
    clock: build.Clock
    content: bytes
    file: pathlib.Path
    host: str = ""
    port: int = 0

    @property
    def link(self) -> records.Link:
        return self.book.links.select()[0]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    def ask(
        self, path: str = f"/signers/{TOKEN}", method: str = "GET", **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(
                method, path, headers={k.replace("_", "-"): headers[k] for k in headers}
            )
            answer = connection.getresponse()
            return answer, answer.read()

    def visits(self, count: int) -> list[records.Visit]:
        """The visits, once there are so many: each is noted after its answer."""
        late = time.monotonic() + 30
        while len(found := self.book.links.visits(self.link.id)) < count:
            assert time.monotonic() < late
            time.sleep(0.01)
        return found

    def slow(self, request: bytes) -> socket.socket:
        """Send a request, or a piece of one, and read nothing."""
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.connect((self.host, self.port))
        plain.sendall(request)
        plain.settimeout(30)
        return plain


GET = f"GET /signers/{TOKEN} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


@contextlib.contextmanager
def running(site: Site, state: pathlib.Path, **settings: object) -> Iterator[None]:
    """Serve in a thread until the block ends."""
    wanted = listening.Web.model_validate({"listen": "127.0.0.1:0"} | settings)
    app = web.app(site.book, state, site.clock)
    with web_server.running(app, wanted) as (site.host, site.port):
        yield


def filled(folder: pathlib.Path, size: int) -> Site:
    options = build.settings(folder)
    book = ledger.open_ledger(options.database_url)
    build.grow(book, build.campaign(folder), 100)
    (row,) = book.deliveries.select()
    content = random.Random(3).randbytes(size)
    options.state.mkdir(exist_ok=True)
    file = options.state / "list.pdf"
    file.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    made = ledger.Made(token_sha256=links.mark(TOKEN), path="list.pdf", sha256=sha256)
    build.put(book, "delivery", row.id, linked="{}")
    with book._db.change() as tx:
        book.links.making(row.id, made, build.NOW)(tx)
    book.links.leaves(row.id, build.NOW + dt.timedelta(days=90))
    return Site(book=book, clock=build.Clock(), content=content, file=file)


@pytest.fixture
def site(tmp_path: pathlib.Path) -> Iterator[Site]:
    made = filled(tmp_path, 300_001)
    with contextlib.closing(made.book), running(made, tmp_path / "var"):
        yield made


def test_a_click_gets_the_whole_list(site: Site) -> None:
    answer, body = site.ask(User_Agent="Mozilla/5.0 \x07(office)")
    assert (answer.status, body) == (200, site.content)
    head = {name.lower(): value for name, value in answer.getheaders()}
    assert head["content-type"] == "application/pdf"
    assert head["content-disposition"] == 'attachment; filename="faces-signers.pdf"'
    assert head["etag"] == f'"{site.sha256}"'
    assert head["accept-ranges"] == "bytes"
    assert head["cache-control"] == "private, no-store"
    assert head["x-robots-tag"].startswith("noindex")
    assert head["referrer-policy"] == "no-referrer"
    assert head["x-content-type-options"] == "nosniff"
    assert head["content-security-policy"].startswith("default-src 'none'")
    assert not {"set-cookie", "server"} & head.keys()
    (visit,) = site.visits(1)
    assert dataclasses.asdict(visit) == {
        "at": build.NOW, "status": 200, "first": 0, "bytes": 300_001,
        "agent": "Mozilla/5.0 (office)",
    }  # fmt: skip


def test_head_says_how_large_it_is_and_sends_nothing(site: Site) -> None:
    answer, body = site.ask(method="HEAD")
    assert (answer.status, answer.getheader("content-length"), body) == (200, "300001", b"")
    assert [(visit.status, visit.bytes) for visit in site.visits(1)] == [(200, 0)]


def test_ranges_put_together_again_are_the_file(site: Site) -> None:
    whole = b""
    for start in range(0, len(site.content), 70_000):
        answer, body = site.ask(Range=f"bytes={start}-{start + 69_999}")
        assert answer.status == 206
        last = min(start + 69_999, 300_000)
        assert answer.getheader("content-range") == f"bytes {start}-{last}/300001"
        whole += body
    assert hashlib.sha256(whole).hexdigest() == site.sha256
    # Each is written down when its answer is out, the next request may be quicker.
    assert sorted((v.status, v.first, v.bytes) for v in site.visits(5)) == [
        *((206, start, 70_000) for start in range(0, 280_000, 70_000)),
        (206, 280_000, 20_001),
    ]


@pytest.mark.parametrize(
    ("wanted", "status", "start", "end"),
    [
        ("bytes=-5", 206, 299_996, 300_001),
        ("bytes=300000-", 206, 300_000, 300_001),
        ("bytes=5-9999999", 206, 5, 300_001),
        ("bytes=300001-", 416, 0, 0),
    ],
)
def test_odd_ranges(site: Site, wanted: str, status: int, start: int, end: int) -> None:
    answer, body = site.ask(Range=wanted)
    assert answer.status == status
    if status == 206:
        assert body == site.content[start:end]
    else:
        assert answer.getheader("content-range") == "bytes */300001"


def test_several_ranges_come_in_one_answer(site: Site) -> None:
    answer, body = site.ask(Range="bytes=0-9,100-199,-3")
    assert answer.status == 206
    head = f"Content-Type: {answer.getheader('content-type')}\r\n\r\n".encode()
    parts = list(email.message_from_bytes(head + body, policy=email.policy.HTTP).iter_parts())
    assert [part["content-range"] for part in parts] == [
        "bytes 0-9/300001", "bytes 100-199/300001", "bytes 299998-300000/300001",
    ]  # fmt: skip
    for piece in (site.content[:10], site.content[100:200], site.content[-3:]):
        assert piece in body


def test_a_range_of_another_file_gets_the_whole(site: Site) -> None:
    same, body = site.ask(Range="bytes=0-9", If_Range=f'"{site.sha256}"')
    assert (same.status, body) == (206, site.content[:10])
    other, body = site.ask(Range="bytes=0-9", If_Range='"another"')
    assert (other.status, body) == (200, site.content)


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/signers", "/signers/", "/signers/a/b"),
        *(f"/signers/{TOKEN[:-1]}", f"/signers/{TOKEN}x", f"/signers/{TOKEN}/"),
    ],
)
def test_whatever_is_no_address_of_ours_is_not_there(site: Site, path: str) -> None:
    answer, body = site.ask(path)
    assert answer.status == 404
    assert b"There is nothing here" in body
    assert answer.getheader("cache-control") == "private, no-store"
    assert site.book.links.visits(site.link.id) == []


def test_nothing_can_be_written(site: Site) -> None:
    for method in ("POST", "PUT", "DELETE"):
        answer, _ = site.ask(method=method)
        assert answer.status == 405


def test_an_expired_link_is_gone_and_can_be_opened_again(site: Site) -> None:
    site.clock.forward(days=90, seconds=-1)
    assert site.ask()[0].status == 200
    site.visits(1)  # noted before the next one
    site.clock.forward(seconds=1)
    answer, body = site.ask()
    assert (answer.status, b"not open any more" in body) == (410, True)
    site.visits(2)
    assert site.link.state(site.clock()) == "expired"
    now = site.clock()
    site.book.links.extend(
        site.link.id, now + dt.timedelta(days=7), who="mira", why="asked for", now=now
    )
    assert site.ask()[0].status == 200
    with pytest.raises(errors.WrongState, match="works until"):
        site.book.links.extend(site.link.id, now, who="mira", why="", now=now)
    assert build.audit(site.book, "link", site.link.id) == [("open", "extended")]
    assert [visit.status for visit in site.visits(3)] == [200, 410, 200]


def test_a_withdrawn_link_is_gone_for_good(site: Site) -> None:
    now = site.clock()
    site.book.links.withdraw(site.link.id, who="mira", why="a signer asked", now=now)
    assert site.ask()[0].status == 410
    assert site.link.withdrawn_by == "mira"
    with pytest.raises(errors.WrongState, match="withdrawn already"):
        site.book.links.withdraw(site.link.id, who="mira", why="", now=now)
    later = now + dt.timedelta(days=200)
    with pytest.raises(errors.WrongState, match="withdrawn already"):
        site.book.links.extend(site.link.id, later, who="mira", why="", now=now)
    assert build.audit(site.book, "link", site.link.id) == [("open", "withdrawn")]


def test_another_file_than_was_frozen_is_not_handed_out(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.file.write_bytes(site.content[:-1] + b"%")
    assert site.ask()[0].status == 503
    site.file.unlink()
    assert site.ask()[0].status == 503
    assert "link 1 cannot be served" in caplog.text
    site.file.write_bytes(site.content)
    assert site.ask()[0].status == 200


def test_no_token_and_no_address_gets_into_the_log_or_the_ledger(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    site.ask()
    site.ask(f"/signers/{TOKEN}x")
    site.slow(b"no HTTP at all\r\n\r\n").close()
    site.visits(1)
    said = caplog.text + "".join(record.getMessage() for record in caplog.records)
    assert TOKEN not in said
    with site.book._db.engine.connect() as plain:
        rows = plain.exec_driver_sql("select * from visits").fetchall()
        links_ = plain.exec_driver_sql("select * from links").fetchall()
    assert "127.0.0.1" not in repr(rows)
    assert TOKEN not in repr(links_)


# --- clients that hold it up ---------------------------------------------------------------------


def gone(client: socket.socket) -> bool:
    """Read what there is; tell whether the connection was cut."""
    with contextlib.closing(client):
        try:
            while client.recv(65536):
                pass
        except ConnectionError:
            return True
        return True


def test_a_client_that_takes_nothing_is_cut_and_holds_nobody_up(tmp_path: pathlib.Path) -> None:
    site = filled(tmp_path, 30_000_000)
    with contextlib.closing(site.book), running(site, tmp_path / "var", patience=6.0):
        stalled = [site.slow(GET) for _ in range(5)]
        answer, body = site.ask()
        assert (answer.status, hashlib.sha256(body).hexdigest()) == (200, site.sha256)
        cut = [visit for visit in site.visits(6) if visit.bytes < 30_000_000]
        assert len(cut) == 5
        assert all(gone(client) for client in stalled)


def test_half_a_request_is_cut(tmp_path: pathlib.Path) -> None:
    site = filled(tmp_path, 1000)
    with contextlib.closing(site.book), running(site, tmp_path / "var", patience=2.0):
        pieces = (b"", b"GET /signers/", b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n")
        assert all(gone(client) for client in [site.slow(piece) for piece in pieces])
        assert site.ask()[0].status == 200


def test_one_more_than_the_most_connections_is_hung_up_on(tmp_path: pathlib.Path) -> None:
    site = filled(tmp_path, 1000)
    with contextlib.closing(site.book), running(site, tmp_path / "var", connections=3):
        held = [site.slow(b"GET ") for _ in range(3)]
        assert gone(site.slow(b""))
        held.pop().close()
        late = time.monotonic() + 30
        while True:
            try:
                assert site.ask()[0].status == 200
                break
            except (ConnectionError, http.client.HTTPException):
                assert time.monotonic() < late
        for client in held:
            client.close()


def test_a_stop_waits_for_nobody_longer_than_seconds(tmp_path: pathlib.Path) -> None:
    site = filled(tmp_path, 30_000_000)
    with contextlib.closing(site.book):
        with running(site, tmp_path / "var", patience=600):
            client = site.slow(GET)
            idle = site.slow(b"GET ")
            assert client.recv(100).startswith(b"HTTP/1.1 200")
        # `web_server` has waited less than a minute.
        assert gone(client)
        assert gone(idle)
        assert [visit.status for visit in site.visits(1)] == [200]


def test_a_port_in_use_is_told_before_anything_is_done(tmp_path: pathlib.Path) -> None:
    site = filled(tmp_path, 1000)
    with contextlib.closing(site.book), socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        with (
            pytest.raises(errors.ConfigError, match="nobody can be answered there"),
            running_here(site, tmp_path / "var", place),
        ):
            pass


@contextlib.contextmanager
def running_here(site: Site, state: pathlib.Path, listen: str) -> Iterator[None]:
    async def serve() -> None:
        wanted = listening.Web.model_validate({"listen": listen})
        async with server.serving(web.app(site.book, state, site.clock), wanted):
            pass

    asyncio.run(serve())
    yield
