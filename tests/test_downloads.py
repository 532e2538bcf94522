"""CSV and JSON lines at a web address, against a real server on loopback."""

from __future__ import annotations

import contextlib
import email.utils
import gzip
import io
import json
import pathlib
import stat
from collections.abc import Callable, Iterator

import pyarrow as pa
import pytest
from pyarrow import parquet as pq

import build
import http_server
from deliverybot import campaign as campaigns
from deliverybot import errors, ledger, signatures, sources

HEAD = "Id,Name,Town,Country,Email\n"
KEY = b"k" * 32


def rows(first: int, last: int) -> str:
    lines = [
        f"{n},Person {n},Town {n},Nowhere,person{n}@mail.example" for n in range(first, last + 1)
    ]
    return "".join(line + "\n" for line in lines)


class Shelf:
    """A file on a server, with validators as honest servers have them."""

    def __init__(self) -> None:
        self.text = HEAD
        self.kind = "text/csv"
        self.modified: float | None = build.NOW.timestamp() - 3600
        #: Bytes after which the answer stops.
        self.cut: int | None = None
        self.sent: list[int] = []

    def __call__(self, request: http_server.Request) -> http_server.Reply:
        body = self.text.encode()
        headers = {"Content-Type": self.kind, "ETag": f'"{hash(self.text)}"'}
        if self.modified is not None:
            headers["Last-Modified"] = email.utils.formatdate(self.modified, usegmt=True)
        if request.headers.get("if-none-match") == headers["ETag"]:
            self.sent.append(304)
            return http_server.Answer(status=304, headers=headers)
        self.sent.append(200)
        if self.cut is not None:
            head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            start = f"HTTP/1.1 200 OK\r\n{head}Content-Length: {len(body)}\r\n\r\n"
            return http_server.sends(start.encode() + body[: self.cut])
        return http_server.Answer(body=body, headers=headers)


class Place:
    def __init__(self, folder: pathlib.Path, server: http_server.Server, shelf: Shelf) -> None:
        self.folder = folder
        self.server = server
        self.shelf = shelf
        self.settings = build.settings(folder)
        self.book = ledger.open_ledger(self.settings.database_url)
        self.plan = self.campaign()

    def campaign(self, kind: str = "csv", more: str = "", place: str = "") -> campaigns.Campaign:
        columns = 'name = "Name", city = "Town", country = "Country", email = "Email", id = "Id"'
        where = place or f'url = "{self.server.url("/signers?key=s3cret")}"'
        lines = ["[source]", f'kind = "{kind}"', where, 'every = "5m"', more]
        source = "\n".join([*lines, f"columns = {{ {columns} }}"])
        self.plan = build.campaign(self.folder, source=source)
        return self.plan

    async def read(
        self, progress: Callable[[sources.Batch], None] | None = None
    ) -> signatures.Reading:
        means = sources.Means(state=self.folder / "var" / "sources", sleep=lambda _: None)
        return await signatures.read(
            self.book, self.plan, key=KEY, now=build.NOW, means=means, progress=progress
        )

    def names(self) -> list[str]:
        return [line.name for line in self.book.signatures.lines("faces", 10**6)]


@pytest.fixture
def place(tmp_path: pathlib.Path) -> Iterator[Place]:
    shelf = Shelf()
    with http_server.running(shelf) as server:
        one = Place(tmp_path, server, shelf)
        with contextlib.closing(one.book):
            yield one


async def test_a_file_that_grows_is_fetched_only_when_it_has(place: Place) -> None:
    place.shelf.text += rows(1, 5)
    first = await place.read()
    assert (first.new, first.problem) == (5, "")
    assert (await place.read()).new == 0
    place.shelf.text += rows(6, 8)
    second = await place.read()
    assert (second.new, second.again, second.skipped) == (3, 0, ()), "read on from its mark"
    assert (await place.read()).new == 0
    assert place.shelf.sent == [200, 304, 200, 304]
    assert place.names() == [f"Person {n}" for n in range(1, 9)]


async def test_another_sign_of_the_same_file_is_kept(place: Place) -> None:
    """A server that was moved may have other validators for the same bytes."""
    place.shelf.text += rows(1, 5)
    place.shelf.modified = None
    await place.read()
    place.server.answers = http_server.in_turn(
        http_server.Answer(
            body=place.shelf.text.encode(), headers={"Content-Type": "text/csv", "ETag": '"new"'}
        ),
        http_server.Answer(status=304),
    )
    assert (await place.read()).new == 0
    assert (await place.read()).problem == "", "the 304 was asked for"
    assert place.server.requests[-1].headers["if-none-match"] == '"new"'


async def test_nothing_of_the_file_stays_on_this_machine(place: Place) -> None:
    place.shelf.text += rows(1, 5)
    seen: list[list[pathlib.Path]] = []
    modes: list[int] = []

    def look(batch: sources.Batch) -> None:
        folder = place.folder / "var" / "sources"
        seen.append(list(folder.rglob("*")))
        for handle in pathlib.Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):
                if "/var/sources/" in str(handle.readlink()):
                    modes.append(stat.S_IMODE(handle.stat().st_mode))

    await place.read(look)
    assert seen == [[]], "not even while it is read"
    assert set(modes) == {0o600}
    cursor = place.book.signatures.standing("faces").cursor or ""
    assert "mail.example" not in cursor
    assert "s3cret" not in cursor


async def test_a_reading_that_was_cut_between_two_pages_goes_on(place: Place) -> None:
    """The validators are kept with the last page only: before, 304 would hide the rest."""
    place.shelf.text += rows(1, 10_500)

    class Killed(Exception):
        pass

    def kill(batch: sources.Batch) -> None:
        raise Killed

    with pytest.raises(Killed):
        await place.read(kill)
    assert len(place.names()) == 10_000
    second = await place.read()
    assert (second.new, second.again) == (500, 0)
    assert place.names() == [f"Person {n}" for n in range(1, 10_501)]
    await place.read()
    assert place.shelf.sent == [200, 200, 304]


async def test_a_download_that_was_cut_off_takes_nothing(place: Place) -> None:
    place.shelf.text += rows(1, 5)
    await place.read()
    place.shelf.text += rows(6, 500)
    place.shelf.cut = 2_000
    failed = await place.read()
    assert "the answer was cut off" in failed.problem
    assert failed.standing.signatures == 5
    place.shelf.cut = None
    assert (await place.read()).new == 495


async def test_a_line_that_is_still_being_written_waits(place: Place) -> None:
    place.shelf.text += rows(1, 2) + "3,Per"
    place.shelf.modified = build.NOW.timestamp() - 5
    assert (await place.read()).new == 2
    assert (await place.read()).new == 0
    place.shelf.text = HEAD + rows(1, 3).removesuffix("\n")
    place.shelf.modified = build.NOW.timestamp() - 3600
    assert (await place.read()).new == 1
    assert place.names()[-1] == "Person 3"
    await place.read()
    assert place.shelf.sent == [200, 200, 200, 304]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("<!DOCTYPE html><title>Log in</title>", "text/html; charset=utf-8"),
        ("\ufeff\n <html><body>Please log in</body></html>", "text/csv"),
        ("<p>Moved</p>", "text/html"),
    ],
)
async def test_a_page_to_log_in_at_is_no_list(place: Place, text: str, kind: str) -> None:
    place.shelf.text += rows(1, 5)
    await place.read()
    place.shelf.text, place.shelf.kind = text, kind
    failed = await place.read()
    assert "the answer is a web page, not a list of signatures" in failed.problem
    assert "/signers?…" in failed.problem
    assert "s3cret" not in failed.problem
    assert failed.standing.signatures == 5


async def test_an_answer_without_an_end_is_no_list(place: Place) -> None:
    body = (HEAD + rows(1, 5)).encode()
    place.server.answers = {
        "/signers": http_server.sends(b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\n\r\n" + body)
    }
    failed = await place.read()
    assert "does not say where it ends" in failed.problem
    assert failed.standing.signatures == 0


async def test_a_list_larger_than_the_campaign_allows_is_not_taken(place: Place) -> None:
    place.campaign(more='most = "10 kB"')
    packed = gzip.compress((HEAD + rows(1, 5000)).encode())
    place.server.answers = {
        "/signers": http_server.Answer(body=packed, headers={"Content-Encoding": "gzip"})
    }
    assert "larger than 10,000 bytes" in (await place.read()).problem


async def test_json_lines_come_from_the_web_too(place: Place) -> None:
    place.campaign(kind="jsonl")
    person = {"Id": "1", "Name": "Person 1", "Email": "person1@mail.example"}
    place.shelf.text, place.shelf.kind = json.dumps(person) + "\n", "application/x-ndjson"
    assert (await place.read()).new == 1
    assert (await place.read()).new == 0
    assert place.shelf.sent == [200, 304]


def _parquet(count: int) -> bytes:
    names = {"Id": "p{}", "Name": "Person {}", "Email": "person{}@mail.example"}
    columns = {name: [form.format(n) for n in range(1, count + 1)] for name, form in names.items()}
    into = io.BytesIO()
    pq.write_table(pa.table({**columns, "Town": ["T"] * count, "Country": ["C"] * count}), into)
    return into.getvalue()


async def test_parquet_comes_from_the_web_too(place: Place) -> None:
    place.campaign(kind="parquet")

    def answer(request: http_server.Request) -> http_server.Answer:
        if request.headers.get("if-none-match") == etag:
            return http_server.Answer(status=304)
        return http_server.Answer(body=body, headers={"ETag": etag})

    place.server.answers = answer
    etag, body = '"1"', _parquet(3)
    assert (await place.read()).new == 3
    assert (await place.read()).new == 0
    etag, body = '"2"', _parquet(5)
    assert (await place.read()).new == 2
    assert place.server.requests[1].headers["if-none-match"] == '"1"'


async def test_a_file_that_moves_to_the_web_and_back_goes_on(place: Place) -> None:
    place.campaign(place='path = "faces.csv"')
    file = build.csv(place.folder, 5)
    await place.read()
    place.campaign()
    place.shelf.text = file.read_text() + rows(6, 6)
    moved = await place.read()
    assert (moved.new, moved.again, moved.skipped) == (1, 0, ())
    place.campaign(place='path = "faces.csv"')
    file.write_text(place.shelf.text + rows(7, 7))
    back = await place.read()
    assert (back.new, back.again, back.skipped) == (1, 0, ())


def test_check_says_what_is_found(place: Place) -> None:
    place.shelf.text += rows(1, 5)
    means = sources.Means(sleep=lambda _: None)
    found = sources.look(place.plan, now=build.NOW, means=means)
    assert any("name from 'Name'" in fault.what for fault in found)
    assert {fault.file for fault in found} == {place.server.url("/signers?…")}
    place.server.answers = {}
    (fault,) = sources.look(place.plan, now=build.NOW, means=means)
    assert (fault.level, "it answers 404" in fault.what) == ("fault", True)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('path = "a.csv"\nurl = "https://example.org/a.csv"', "either 'path' or 'url'"),
        ("", "either 'path' or 'url'"),
        ('path = "a.csv"\naccess = "ours"\ndeadline = "5m"', "'access', 'deadline' belongs to"),
        ('url = "ftp://example.org/a.csv"', "no web address"),
    ],
)
def test_a_file_is_at_one_place(place: Place, lines: str, says: str) -> None:
    with pytest.raises(errors.ConfigError, match=says):
        place.campaign(place=lines or "# nothing")
