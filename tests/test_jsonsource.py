"""JSON at a web address: counts and lists of every shape, against a real server on loopback."""

# ruff: noqa: ANN401 - JSON is anything

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import build
import examples
import http_server
from deliverybot import campaign as campaigns
from deliverybot import errors, ledger, signatures, sources
from deliverybot.sources import paging, sealed

FIXTURES = pathlib.Path(__file__).parent / "fixtures" / "sources"
NOW = build.NOW
KEY = b"k" * 32
MEANS = sources.Means(sleep=lambda _: None)


def fixture(name: str) -> Any:
    return json.loads((FIXTURES / name).read_text())


def plan(folder: pathlib.Path, url: str, *lines: str, **more: Any) -> campaigns.Campaign:
    """A campaign with one source of this kind; `lines` are further settings of it."""
    section = ["[source]", 'kind = "http-json"', f"url = {json.dumps(url)}", 'every = "5m"', *lines]
    listed = any(line.startswith(("signers", 'preset = "change-org-v1"')) for line in lines)
    delivery = 'first_reading = "deliver"' + ("" if listed else '\nsigners = "none"')
    return build.campaign(folder, source="\n".join(section), **{"delivery": delivery, **more})


async def read(book: ledger.Ledger, one: campaigns.Campaign) -> signatures.Reading:
    return await signatures.read(book, one, key=KEY, now=NOW, means=MEANS)


def probe(one: campaigns.Campaign, state: str = "") -> sources.Count | None:
    return sources.probe(one, state=state, secret=KEY, now=NOW, means=MEANS)


def batches(
    one: campaigns.Campaign, cursor: str | None = None, batch: int = 10_000
) -> list[sources.Batch]:
    return list(sources.read(one, cursor=cursor, secret=KEY, now=NOW, batch=batch, means=MEANS))


def on_list(book: ledger.Ledger) -> list[str]:
    return [line.name for line in book.signatures.lines("faces", 10**9)]


# --- a platform -----------------------------------------------------------------------------------


def person(n: int) -> dict[str, Any]:
    """The n-th signer, as the platform has it."""
    day, minute = divmod(n, 1440)
    time = f"2026-10-{day % 28 + 1:02}T{minute // 60:02}:{minute % 60:02}:{n % 60:02}Z"
    return {"uuid": f"u-{n}", "who": {"full": f"Person {n}"}, "town": f"Town {n % 7}", "at": time}


def people(first: int, last: int) -> list[str]:
    return [f"Person {n}" for n in range(first, last + 1)]


COLUMNS = 'columns = { id = "uuid", name = "who.full", city = "town", signed_at = "at" }'
LIST = ('signers = "data"', COLUMNS)


@dataclasses.dataclass
class Platform:
    """A list of signers, given page by page."""

    size: int = 10
    newest: bool = False
    #: How it is asked for pages: link, number, offset, after, graphql.
    way: str = "number"
    signers: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    #: Called before each answer with the number of requests so far.
    before: Callable[[int], None] = lambda _: None
    #: Answers in place of a page, by the number of the request from 1.
    instead: dict[int, http_server.Reply] = dataclasses.field(default_factory=dict)
    requests: int = 0

    def grow(self, count: int) -> None:
        first = len(self.signers) + 1
        self.signers += [person(n) for n in range(first, first + count)]

    def __call__(self, request: http_server.Request) -> http_server.Reply:
        self.requests += 1
        self.before(self.requests)
        if self.requests in self.instead:
            return self.instead[self.requests]
        asked = request.query
        if self.way == "graphql":
            after = request.json()["variables"].get("after", 0)
            begin = int(after)
        elif self.way == "offset":
            begin = int(asked["offset"])
        elif self.way in {"after", "link"}:
            begin = int(asked.get("after", 0))
        else:
            begin = (int(asked["page"]) - 1) * self.size
        rows = self.signers[::-1] if self.newest else self.signers
        page = rows[begin : begin + self.size]
        end = begin + len(page)
        more = end < len(rows)
        body: dict[str, Any] = {"data": page, "meta": {"total": len(rows)}}
        if self.way == "link":
            body["links"] = {"next": f"?after={end}" if more else None}
        else:
            body["meta"] |= {"after": end if more else None, "pages": -(-len(rows) // self.size)}
        return http_server.json(body)


WAYS = {
    "link": ('next = "links.next"',),
    "number": ('page = "page"',),
    "offset": ('offset = "offset"',),
    "after": ('next = "meta.after"', 'cursor = "after"'),
    "graphql": (
        'next = "meta.after"',
        'cursor = "variables.after"',
        'post = { query = "query", variables = { id = "7" } }',
    ),
}
EVERY_WAY = pytest.mark.parametrize("way", WAYS)
EITHER_ORDER = pytest.mark.parametrize("order", ["oldest", "newest"])


@contextlib.contextmanager
def running(platform: Platform) -> Iterator[http_server.Server]:
    with http_server.running(platform) as server:
        yield server


def listing(
    folder: pathlib.Path, server: http_server.Server, platform: Platform, *lines: str
) -> campaigns.Campaign:
    order = f'order = "{"newest" if platform.newest else "oldest"}"'
    return plan(folder, server.url("/list"), *LIST, order, *WAYS[platform.way], *lines)


# --- counts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "lines", "count"),
    [
        ("changeorg_page_data.json", ('preset = "change-org"',), 24845),
        ("changeorg_v1_signatures_legacy.json", ('count = "signature_count"',), 6),
        ("epetitions_count.json", ('count = "signature_count"',), 10012),
        ("epetitions_petition.json", ('count = "data.attributes.signature_count"',), 10012),
        (
            "decidim_initiative.json",
            ('count = "data.initiative.sum([onlineVotes, offlineVotes])"',),
            852,
        ),
    ],
)
def test_a_number_in_every_shape(
    tmp_path: pathlib.Path, name: str, lines: tuple[str, ...], count: int
) -> None:
    with http_server.running({"/p.json": http_server.json(fixture(name))}) as server:
        one = plan(tmp_path, server.url("/p.json"), *lines)
        assert probe(one) == (count, "")
        assert server.requests[0].headers["accept"] == "application/json"


@pytest.mark.parametrize(
    ("preset", "content", "count"),
    [
        ("unique-count", {"unique_count": 7, "count": 9}, 7),
        ("unique-count", {"unique_count": "7"}, 7),
        ("change-org", {"total_signature_count": 31}, 31),
        ("change-org", {"signatureCount": {"total": 0, "displayed": 5}}, 0),
    ],
)
def test_presets_of_numbers(tmp_path: pathlib.Path, preset: str, content: Any, count: int) -> None:
    with http_server.running({"/p": http_server.json(content)}) as server:
        assert probe(plan(tmp_path, server.url("/p"), f'preset = "{preset}"')) == (count, "")


def test_what_a_person_writes_goes_before_the_preset(tmp_path: pathlib.Path) -> None:
    with http_server.running({"/p": http_server.json({"n": 5, "unique_count": 6})}) as server:
        one = plan(tmp_path, server.url("/p"), 'preset = "unique-count"', 'count = "n"')
        assert probe(one) == (5, "")


def test_a_number_that_has_not_changed_is_not_sent_again(tmp_path: pathlib.Path) -> None:
    def answer(request: http_server.Request) -> http_server.Reply:
        if request.headers.get("if-none-match") == '"a"':
            return http_server.Answer(status=304)
        return http_server.json({"n": 5}, headers={"ETag": '"a"'})

    with http_server.running(answer) as server:
        one = plan(tmp_path, server.url("/p"), 'count = "n"')
        first = probe(one)
        assert first is not None
        assert first.signatures == 5
        assert probe(one, first.state) is None


def test_a_query_is_posted(tmp_path: pathlib.Path) -> None:
    with http_server.running(lambda _: http_server.json({"data": {"n": 3}})) as server:
        one = plan(
            tmp_path, server.url("/api"), 'count = "data.n"', "[source.post]",
            'query = "query($id: ID!) { n }"', "variables = { id = 7, tags = [1, 2] }",
        )  # fmt: skip
        assert probe(one) == (3, "")
        asked = server.requests[0]
        assert (asked.method, asked.headers["content-type"]) == ("POST", "application/json")
        assert asked.json() == {
            "query": "query($id: ID!) { n }",
            "variables": {"id": 7, "tags": [1, 2]},
        }


NO_COUNTS = [
    {"n": 1.5},
    {"n": -1},
    {"n": True},
    {"n": "1.2k"},
    {"n": "24,845"},
    {"n": None},
    {"n": [5]},
    {"n": {"of": 5}},
    {"n": 2_000_000_001},
    {"other": 5},
    [],
    5,
    "5",
    None,
]


@pytest.mark.parametrize("content", NO_COUNTS, ids=repr)
def test_what_is_no_certain_number_is_a_failed_reading(
    tmp_path: pathlib.Path, content: Any
) -> None:
    with http_server.running({"/p": http_server.json(content)}) as server:
        with pytest.raises(errors.SourceError) as caught:
            probe(plan(tmp_path, server.url("/p"), 'count = "n"'))
        assert server.url("/p") in str(caught.value)


async def test_a_failed_reading_keeps_the_last_good_number(
    tmp_path: pathlib.Path, book: ledger.Ledger
) -> None:
    bad = [http_server.json(content) for content in NO_COUNTS]
    page = http_server.text("<html>Log in</html>")
    turns = http_server.in_turn(
        http_server.json({"n": 120}), *bad, page, http_server.json({"n": 130})
    )
    with http_server.running(turns) as server:
        one = plan(tmp_path, server.url("/p"), 'count = "n"')
        assert (await read(book, one)).standing.signatures == 120
        assert build.advance(book, one).cross is not None
        for _ in range(len(NO_COUNTS) + 1):
            failed = await read(book, one)
            assert failed.problem
            assert failed.standing.signatures == 120
            assert build.advance(book, one).withdraw == ()
        good = await read(book, one)
        assert (good.problem, good.standing.signatures) == ("", 130)


def test_a_missing_path_is_told_by_the_keys_that_are_there(tmp_path: pathlib.Path) -> None:
    content = {
        "petition": {"signatures": {"total": 5}, "title": "a secret title"},
        "ada@example.org": "private",
    }
    with (
        http_server.running({"/p": http_server.json(content)}) as server,
        pytest.raises(errors.SourceError) as caught,
    ):
        probe(plan(tmp_path, server.url("/p"), 'count = "petition.total"'))
    assert "`count`: 'petition.total' finds nothing" in str(caught.value)
    assert "'petition', 'petition.signatures', 'petition.title'" in caught.value.hint
    assert "secret" not in caught.value.hint
    assert "ada@" not in caught.value.hint


def test_an_error_of_graphql_is_no_answer(tmp_path: pathlib.Path) -> None:
    said = {"data": {"n": 3}, "errors": [{"message": "no field for ada@example.org"}]}
    with http_server.running({"/p": http_server.json(said)}) as server:
        one = plan(tmp_path, server.url("/p"), 'count = "data.n"', 'post = { query = "{ n }" }')
        with pytest.raises(errors.SourceError, match="no field for") as caught:
            probe(one)
        assert "ada@" not in str(caught.value)


# --- lists ----------------------------------------------------------------------------------------


@EVERY_WAY
@EITHER_ORDER
async def test_a_list_is_read_page_by_page_and_read_on(
    tmp_path: pathlib.Path, book: ledger.Ledger, way: str, order: str
) -> None:
    platform = Platform(way=way, newest=order == "newest")
    platform.grow(47)
    with running(platform) as server:
        one = listing(tmp_path, server, platform)
        first = await read(book, one)
        assert (first.problem, first.new, first.again, first.skipped) == ("", 47, 0, ())
        assert on_list(book) == people(1, 47)
        for more in (1, 2, 0, 25, 3):
            platform.grow(more)
            again = await read(book, one)
            assert (again.problem, again.new, again.skipped) == ("", more, ())
        assert on_list(book) == people(1, 78)


@EVERY_WAY
@EITHER_ORDER
async def test_the_first_signers_come_one_by_one(
    tmp_path: pathlib.Path, book: ledger.Ledger, way: str, order: str
) -> None:
    platform = Platform(way=way, newest=order == "newest", size=3)
    with running(platform) as server:
        one = listing(tmp_path, server, platform)
        for count in range(8):
            reading = await read(book, one)
            assert (reading.problem, reading.standing.signatures) == ("", count)
            platform.grow(1)
        assert on_list(book) == people(1, 7)


@EVERY_WAY
@EITHER_ORDER
@pytest.mark.parametrize("cut", [1, 3])
async def test_a_reading_that_is_cut_off_loses_nobody(
    tmp_path: pathlib.Path, book: ledger.Ledger, way: str, order: str, cut: int
) -> None:
    """The line is cut at one page after the other, and new signers come meanwhile."""
    platform = Platform(way=way, newest=order == "newest")
    platform.grow(47)
    with running(platform) as server:
        one = listing(tmp_path, server, platform)
        half = b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"data": [{"uuid": "u-1"'
        # The door asks three times.
        platform.instead = dict.fromkeys(range(cut, cut + 3), http_server.sends(half))
        failed = await read(book, one)
        assert "500" in failed.problem or "cut" in failed.problem or "end" in failed.problem
        platform.grow(4)
        good = await read(book, one)
        assert (good.problem, good.standing.signatures) == ("", 51)
        assert on_list(book) == people(1, 51)


@EVERY_WAY
@EITHER_ORDER
@pytest.mark.parametrize("batch", [1, 7])
def test_a_crash_between_two_batches_loses_nobody(
    tmp_path: pathlib.Path, way: str, order: str, batch: int
) -> None:
    """Each batch is the last one that was stored; what comes then completes the list."""
    platform = Platform(way=way, newest=order == "newest")
    platform.grow(33)
    with running(platform) as server:
        one = listing(tmp_path, server, platform)
        for stored in range(1, 5):
            given = sources.read(one, cursor=None, secret=KEY, now=NOW, batch=batch, means=MEANS)
            before = [next(given, None) for _ in range(stored)]
            kept = [one for one in before if one is not None]
            rest = batches(one, kept[-1].cursor, batch)
            names = [s.name for part in [*kept, *rest] for s in part.signers]
            # With the newest on top some come again, and are known by their ids.
            assert list(dict.fromkeys(names)) == people(1, 33)
            assert order == "newest" or len(names) == 33


@EVERY_WAY
@EITHER_ORDER
@pytest.mark.parametrize("burst", [5, 13])
async def test_signers_who_come_while_it_is_read(
    tmp_path: pathlib.Path, book: ledger.Ledger, way: str, order: str, burst: int
) -> None:
    """Before each of the first pages so many come, on top or at the end."""
    platform = Platform(way=way, newest=order == "newest", size=5)
    platform.grow(23)
    platform.before = lambda n: platform.grow(burst) if n in {2, 3, 4} else None
    with running(platform) as server:
        one = listing(tmp_path, server, platform)
        first = await read(book, one)
        assert first.problem == ""
        second = await read(book, one)
        assert second.problem == ""
        assert sorted(on_list(book)) == sorted(people(1, 23 + 3 * burst))
        assert (first.again, second.again) == (0, 0)
        if order == "oldest":
            assert on_list(book) == people(1, 23 + 3 * burst)


@EITHER_ORDER
async def test_signers_who_are_taken_off_the_list(
    tmp_path: pathlib.Path, book: ledger.Ledger, order: str
) -> None:
    """Everybody behind them moves up; nobody who signs then is missed."""
    platform = Platform(way="number", newest=order == "newest", size=5)
    platform.grow(23)
    with running(platform) as server:
        one = listing(tmp_path, server, platform)
        await read(book, one)
        gone = [person(n)["uuid"] for n in (1, 2, 8, 21, 22, 23)]
        platform.signers += [person(n) for n in (24, 25, 26, 27)]
        platform.signers = [s for s in platform.signers if s["uuid"] not in gone]
        reading = await read(book, one)
        assert (reading.problem, reading.new, reading.skipped) == ("", 4, ())
        assert on_list(book) == people(1, 27)


async def test_a_list_of_which_the_end_is_gone_is_read_from_its_start(
    tmp_path: pathlib.Path, book: ledger.Ledger
) -> None:
    platform = Platform(way="number", size=5)
    platform.grow(42)
    with running(platform) as server:
        one = listing(tmp_path, server, platform)
        await read(book, one)
        platform.signers = [person(n) for n in (1, 2, 3, 50)]
        reading = await read(book, one)
        assert (reading.problem, reading.new, reading.again) == ("", 1, 3)
        assert "it was read from its start" in str(reading.skipped[0])


@EITHER_ORDER
async def test_other_settings_read_the_list_from_its_start(
    tmp_path: pathlib.Path, book: ledger.Ledger, order: str
) -> None:
    platform = Platform(way="number", newest=order == "newest")
    platform.grow(15)
    with running(platform) as server:
        await read(book, listing(tmp_path, server, platform))
        platform.way = "offset"
        reading = await read(book, listing(tmp_path, server, platform))
        assert (reading.problem, reading.new, reading.again) == ("", 0, 15)
        assert "settings" in str(reading.skipped[0])
        assert (await read(book, listing(tmp_path, server, platform))).skipped == ()


async def test_a_known_signer_on_top_does_not_end_the_reading(
    tmp_path: pathlib.Path, book: ledger.Ledger
) -> None:
    """Who corrects a signature may come to the top again."""
    platform = Platform(newest=True)
    platform.grow(20)
    with running(platform) as server:
        one = listing(tmp_path, server, platform)
        await read(book, one)
        platform.grow(5)
        platform.signers += [platform.signers.pop(18), platform.signers.pop(17)]
        reading = await read(book, one)
        assert (reading.problem, reading.new) == ("", 5)
        assert on_list(book) == people(1, 25)


async def test_names_alone_are_known_by_their_place(
    tmp_path: pathlib.Path, book: ledger.Ledger
) -> None:
    """Two of one name are two, and a list that grows at its end is read on."""
    names = ["Ada", "Dee", "Dee", "Bo", "Dee"]

    def answer(request: http_server.Request) -> http_server.Reply:
        begin = int(request.query["page"]) * 2 - 2
        return http_server.json({"data": [{"name": name} for name in names[begin : begin + 2]]})

    with http_server.running(answer) as server:
        lines = ('signers = "data"', 'order = "oldest"', 'page = "page"')
        one = plan(tmp_path, server.url("/list"), *lines)
        assert (await read(book, one)).new == 5
        names += ["Dee", "Ada", "Cy"]
        again = await read(book, one)
        assert (again.problem, again.new, again.skipped) == ("", 3, ())
        assert on_list(book) == names


# --- manners --------------------------------------------------------------------------------------


@EVERY_WAY
async def test_what_is_known_is_not_asked_for_again(
    tmp_path: pathlib.Path, book: ledger.Ledger, way: str
) -> None:
    platform = Platform(way=way)
    platform.grow(95)
    with running(platform) as server:
        one = listing(tmp_path, server, platform)
        await read(book, one)
        before = platform.requests
        # One more to see that nobody came between the first page and the second.
        assert before <= 12
        await read(book, one)
        # The last page may have grown; where nobody says that it is the last, so may the list.
        assert platform.requests - before == (1 if way in {"link", "after", "graphql"} else 2)


async def test_new_signers_on_top_cost_one_page(
    tmp_path: pathlib.Path, book: ledger.Ledger
) -> None:
    platform = Platform(newest=True)
    platform.grow(95)
    with running(platform) as server:
        one = listing(tmp_path, server, platform)
        await read(book, one)
        before = platform.requests
        platform.grow(4)
        assert (await read(book, one)).new == 4
        assert platform.requests == before + 1


async def test_pages_that_are_counted_are_not_asked_for_in_vain(
    tmp_path: pathlib.Path, book: ledger.Ledger
) -> None:
    platform = Platform()
    platform.grow(30)
    with running(platform) as server:
        one = listing(tmp_path, server, platform, 'pages = "meta.pages"')
        assert (await read(book, one)).new == 30
        assert [r.query["page"] for r in server.requests] == ["1", "2", "3"]
        platform.grow(1)
        assert (await read(book, one)).new == 1
        assert [r.query["page"] for r in server.requests[3:]] == ["3", "4"]


@EITHER_ORDER
async def test_a_list_that_has_not_changed_is_not_sent_again(
    tmp_path: pathlib.Path, book: ledger.Ledger, order: str
) -> None:
    inner = Platform(way="link", newest=order == "newest")
    inner.grow(25)
    sent = []

    def answer(request: http_server.Request) -> http_server.Reply:
        tag = f'"{len(inner.signers)}-{request.query.get("after", 0)}"'
        if request.headers.get("if-none-match") == tag:
            sent.append(304)
            return http_server.Answer(status=304)
        sent.append(200)
        reply = inner(request)
        assert isinstance(reply, http_server.Answer)
        return dataclasses.replace(reply, headers={**reply.headers, "ETag": tag})

    with http_server.running(answer) as server:
        one = listing(tmp_path, server, inner)
        assert (await read(book, one)).new == 25
        sent.clear()
        reading = await read(book, one)
        assert (reading.problem, reading.new, sent) == ("", 0, [304])
        inner.grow(2)
        assert (await read(book, one)).new == 2
        assert on_list(book) == people(1, 27)


@pytest.mark.parametrize("status", [400, 404])
async def test_a_page_behind_the_last_may_be_refused(
    tmp_path: pathlib.Path, book: ledger.Ledger, status: int
) -> None:
    platform = Platform()
    platform.grow(20)

    def answer(request: http_server.Request) -> http_server.Reply:
        refused = request.query["page"] == "3"
        return http_server.Answer(status=status) if refused else platform(request)

    with http_server.running(answer) as server:
        one = listing(tmp_path, server, platform)
        reading = await read(book, one)
        assert (reading.problem, reading.new) == ("", 20)
        assert (await read(book, one)).problem == ""


async def test_the_first_page_may_not_be_refused(
    tmp_path: pathlib.Path, book: ledger.Ledger
) -> None:
    with http_server.running({}) as server:
        one = listing(tmp_path, server, Platform())
        assert "404" in (await read(book, one)).problem


# --- hostile lists --------------------------------------------------------------------------------


def hostile(folder: pathlib.Path, answer: Any, *lines: str) -> str:
    """The error of a list that answers so."""
    with http_server.running(answer) as server:
        one = plan(folder, server.url("/list"), *LIST, *lines)
        with pytest.raises(errors.SourceError) as caught:
            batches(one)
        assert len(server.requests) < 20
        return str(caught.value)


@EITHER_ORDER
def test_a_page_that_repeats(tmp_path: pathlib.Path, order: str) -> None:
    """A site that gives its last page for every number behind it."""
    page = {"data": [person(n) for n in range(5)]}
    said = hostile(tmp_path, lambda _: http_server.json(page), f'order = "{order}"', 'page = "p"')
    assert "again" in said or "nobody new" in said


@EITHER_ORDER
def test_pages_in_a_circle(tmp_path: pathlib.Path, order: str) -> None:
    numbers = iter(range(1000))

    def answer(request: http_server.Request) -> http_server.Reply:
        n = int(request.query.get("n", 0))
        rows = [person(next(numbers))]
        return http_server.json({"data": rows, "next": f"/list?n={(n + 1) % 3}"})

    lines = (f'order = "{order}"', 'next = "next"')
    assert "circle" in hostile(tmp_path, answer, *lines)


@pytest.mark.parametrize(
    "target",
    [
        "https://other.example/list",
        "http://127.0.0.1:1/list",
        "//other.example/list",
        "file:///etc/passwd",
        "http://ada:secret@127.0.0.1/list",
        "http://[::1]/list",
    ],
)
def test_a_next_page_elsewhere(tmp_path: pathlib.Path, target: str) -> None:
    page = {"data": [person(1)], "next": target}
    lines = ('order = "oldest"', 'next = "next"')
    said = hostile(tmp_path, lambda _: http_server.json(page), *lines)
    assert "not asked" in said
    assert "secret" not in said


@pytest.mark.parametrize("value", [True, 5, ["x"], {"a": 1}, "x" * 5000])
def test_a_next_page_that_is_no_address(tmp_path: pathlib.Path, value: Any) -> None:
    page = {"data": [person(1)], "next": value}
    assert "next" in hostile(
        tmp_path, lambda _: http_server.json(page), 'order = "oldest"', 'next = "next"'
    )


@pytest.mark.parametrize("value", [1.5, ["x"], {"a": 1}, "x" * 5000])
def test_a_cursor_that_is_none(tmp_path: pathlib.Path, value: Any) -> None:
    page = {"data": [person(1)], "next": value}
    lines = ('order = "oldest"', 'next = "next"', 'cursor = "after"')
    assert "next" in hostile(tmp_path, lambda _: http_server.json(page), *lines)


@pytest.mark.parametrize("content", [{}, {"data": None}, {"data": 5}, {"data": {"a": 1}}, [], 1])
def test_a_list_that_is_none(tmp_path: pathlib.Path, content: Any) -> None:
    said = hostile(tmp_path, lambda _: http_server.json(content), 'order = "oldest"')
    assert "`signers`: 'data'" in said


def test_newest_on_top_and_nothing_tells_signers_apart(tmp_path: pathlib.Path) -> None:
    page = {"data": [{"name": "Ada"}, {"name": "Bo"}]}
    with http_server.running(lambda _: http_server.json(page)) as server:
        one = plan(tmp_path, server.url("/list"), 'signers = "data"', 'order = "newest"')
        with pytest.raises(errors.SourceError, match="nothing tells one from another") as caught:
            batches(one)
    assert "'name'" in caught.value.hint
    assert "Ada" not in caught.value.hint


def test_rows_that_are_none_are_left_out_and_told(tmp_path: pathlib.Path) -> None:
    rows = [person(1), 5, None, "Ada", {"uuid": "x", "who": {"full": {"a": 1}}}, person(2)]
    with http_server.running(lambda _: http_server.json({"data": rows})) as server:
        one = plan(tmp_path, server.url("/list"), *LIST, 'order = "oldest"')
        (batch,) = batches(one)
    assert [s.name for s in batch.signers] == ["Person 1", "Person 2"]
    assert batch.rows == 6
    assert len(batch.skipped) == 4
    assert "Ada" not in str(batch.skipped)


async def test_a_list_that_fails_behind_its_first_pages_keeps_what_came_before(
    tmp_path: pathlib.Path, book: ledger.Ledger
) -> None:
    platform = Platform(way="link")
    platform.grow(30)
    platform.instead = {3: http_server.json({"data": "gone"})}
    with running(platform) as server:
        one = listing(tmp_path, server, platform)
        failed = await read(book, one)
        assert "no list" in failed.problem
        assert failed.new == 20
        assert (await read(book, one)).new == 10
        assert on_list(book) == people(1, 30)


# --- what is in a row -----------------------------------------------------------------------------


def test_columns_are_expressions(tmp_path: pathlib.Path) -> None:
    rows = [
        {
            "Full Name": "Ada Example",
            "address": {"lines": ["1 Street", "Leeds"]},
            "Country": "UK",
            "consent": {"share": "yes"},
            "email": "ada@example.org",
            "secret": "dropped",
        }
    ]
    columns = (
        """columns = { name = '"Full Name"', city = "address.lines[1]", """
        """to_target = "consent.share" }"""
    )
    with http_server.running(lambda _: http_server.json(rows)) as server:
        one = plan(tmp_path, server.url("/list"), 'signers = "@"', 'order = "oldest"', columns)
        (batch,) = batches(one)
    (ada,) = batch.signers
    assert (ada.name, ada.city, ada.country, ada.to_target) == ("Ada Example", "Leeds", "UK", True)
    assert ada.key_email is not None
    assert "ada@" not in repr(batch)
    assert "dropped" not in repr(batch)


def test_an_expression_that_fails_for_some_leaves_a_blank_and_is_told_once(
    tmp_path: pathlib.Path,
) -> None:
    rows = [{"id": n, "a": "Ada" if n < 2 else None, "b": "Bo"} for n in range(4)]
    columns = """columns = { name = "join(' ', [a, b])" }"""
    with http_server.running(lambda _: http_server.json(rows)) as server:
        one = plan(tmp_path, server.url("/list"), 'signers = "@"', 'order = "oldest"', columns)
        (batch,) = batches(one)
    assert [s.name for s in batch.signers] == ["Ada Bo", "Ada Bo", "", ""]
    assert len(batch.skipped) == 1
    assert "join()" in batch.skipped[0].what


def test_only_is_an_expression(tmp_path: pathlib.Path) -> None:
    rows = [
        {"id": n, "name": f"P{n}", "state": {"is": s}} for n, s in enumerate(["new", "OK", "no"])
    ]
    only = """only = { "state.is" = ["ok", "new"] }"""
    with http_server.running(lambda _: http_server.json(rows)) as server:
        one = plan(tmp_path, server.url("/list"), 'signers = "@"', 'order = "oldest"', only)
        (batch,) = batches(one)
    assert [s.name for s in batch.signers] == ["P0", "P1"]


async def test_the_old_interface_of_change_org(tmp_path: pathlib.Path, book: ledger.Ledger) -> None:
    """The fixture's shape, in three pages of two."""
    known = fixture("changeorg_v1_signatures_legacy.json")
    everybody = [
        {**known["signatures"][0], "name": f"Ada {n}", "signed_on": f"2026-11-22T00:5{n}:00Z"}
        for n in range(6)
    ]

    def answer(request: http_server.Request) -> http_server.Reply:
        page = int(request.query.get("page", 1))
        more = f"{server.url('/v1')}?page={page + 1}&page_size=2&sort=time_asc"
        rows = everybody[page * 2 - 2 : page * 2]
        content = {**known, "signatures": rows, "next_page_endpoint": more if page < 3 else None}
        return http_server.json(content)

    with http_server.running(answer) as server:
        one = plan(
            tmp_path, server.url("/v1?page_size=2&sort=time_asc"), 'preset = "change-org-v1"'
        )
        reading = await read(book, one)
        assert (reading.problem, reading.new, reading.standing.said) == ("", 6, 6)
        assert on_list(book) == [f"Ada {n}" for n in range(6)]
        row = next(book.signatures.lines("faces", 1))
        assert (row.city, row.country) == ("Leeds", "United Kingdom")
        assert (await read(book, one)).new == 0


async def test_fields_of_consent_are_known_in_the_next_reading(
    tmp_path: pathlib.Path, book: ledger.Ledger
) -> None:
    """Whoever leaves such a field out was asked, and did not say yes."""
    platform = Platform(way="link", size=2)
    platform.grow(2)
    platform.signers[0]["to_target"] = "yes"
    with running(platform) as server:
        one = listing(tmp_path, server, platform)
        await read(book, one)
        platform.grow(2)
        await read(book, one)
        assert on_list(book) == ["Person 1", "", "", ""]


# --- the cursor and the memory --------------------------------------------------------------------


def test_a_cursor_holds_nothing_that_can_be_read(tmp_path: pathlib.Path) -> None:
    page = {"data": [person(1)], "next": "/list?after=ada@example.org&key=hush"}
    turns = http_server.in_turn(
        http_server.json(page), http_server.json({"data": [person(2)], "next": None})
    )
    with http_server.running(turns) as server:
        one = plan(tmp_path, server.url("/list"), *LIST, 'order = "oldest"', 'next = "next"')
        (batch,) = batches(one)
    assert sealed.open_(batch.cursor, KEY)
    for part in ("ada", "hush", "list", "Person"):
        assert part not in batch.cursor
    assert sealed.open_(batch.cursor, b"another" * 5) is None
    assert sealed.open_("nonsense", KEY) is None


@EITHER_ORDER
def test_a_long_list_is_never_in_memory_at_once(tmp_path: pathlib.Path, order: str) -> None:
    """Six megabytes of signers, and never half of them."""
    platform = Platform(way="number", newest=order == "newest", size=50)

    def page(request: http_server.Request) -> http_server.Reply:
        begin = (int(request.query["page"]) - 1) * 50
        places = range(begin, min(begin + 50, 1_500))
        numbers = [1_500 - n if platform.newest else n + 1 for n in places]
        return http_server.json({"data": [person(n) | {"town": "x" * 4000} for n in numbers]})

    with http_server.running(page) as server:
        one = listing(tmp_path, server, platform)
        tracemalloc.start()
        count = sum(
            len(batch.signers)
            for batch in sources.read(one, cursor=None, secret=KEY, now=NOW, batch=50, means=MEANS)
        )
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert count == 1_500
    assert peak < 3_000_000


# --- what check says ------------------------------------------------------------------------------


def look(one: campaigns.Campaign) -> list[errors.Fault]:
    return sources.look(one, now=NOW, means=MEANS)


def test_check_says_what_is_found_and_what_is_dropped(tmp_path: pathlib.Path) -> None:
    platform = Platform(way="number")
    platform.grow(25)
    with running(platform) as server:
        found = look(listing(tmp_path, server, platform, 'count = "meta.total"'))
        assert {fault.level for fault in found} == {"ok"}
        said = "\n".join(fault.what for fault in found)
        assert "25 signatures" in said
        assert "the first page lists 10 signers" in said
        assert "name from 'who.full'" in said
        assert "Person" not in said
        assert len(server.requests) == 1


def test_check_tries_expressions_on_real_signers_only(tmp_path: pathlib.Path) -> None:
    """What joins two keys finds nothing where both are missing, and here none is."""
    entry = {"id": "u1", "first": "Ada", "last name": "Example", "shoe": 41, "at": "2026-11-02"}
    columns = """columns = { id = "id", name = "join(' ', [first, \\"last name\\"])", """
    with http_server.running(lambda _: http_server.json([entry, entry | {"id": "u2"}])) as server:
        one = plan(
            tmp_path, server.url("/list"), 'signers = "@"', 'order = "oldest"',
            columns + 'signed_at = "at" }',
        )  # fmt: skip
        found = look(one)
        assert {fault.level for fault in found} == {"ok"}, found
        (dropped,) = [fault.what for fault in found if "dropped" in fault.what]
        assert dropped.endswith("never stored: 'shoe'")


@EITHER_ORDER
def test_check_warns_of_an_order_that_the_times_contradict(
    tmp_path: pathlib.Path, order: str
) -> None:
    platform = Platform(newest=order == "newest")
    platform.grow(12)
    with running(platform) as server:
        right = look(listing(tmp_path, server, platform))
        platform.newest = not platform.newest
        one = listing(tmp_path, server, platform)
        platform.newest = not platform.newest
        assert "run against" not in str(right)
        assert [f.level for f in look(one) if "run against" in f.what] == ["warning"]


def test_check_says_what_is_wrong_with_the_columns(tmp_path: pathlib.Path) -> None:
    platform = Platform(way="number")
    platform.grow(3)
    with running(platform) as server:
        one = plan(
            tmp_path, server.url("/list"), 'signers = "data"', 'order = "oldest"', 'page = "page"',
            'columns = { name = "who.name", city = "town" }', 'only = { state = ["ok"] }',
        )  # fmt: skip
        found = {fault.level: fault for fault in look(one)}
        assert found["fault"].what == "no field holds the signers' names"
        assert "who.full" in found["fault"].hint


@pytest.mark.parametrize(
    ("content", "what"),
    [({"data": []}, "no signer on the list yet"), ({"rows": []}, "finds nothing")],
)
def test_check_of_lists_without_signers(tmp_path: pathlib.Path, content: Any, what: str) -> None:
    with http_server.running(lambda _: http_server.json(content)) as server:
        one = plan(tmp_path, server.url("/list"), *LIST, 'order = "oldest"')
        assert what in "".join(fault.what for fault in look(one))


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "line", "what", "hint"),
    [
        (('count = "a b"',), 10, "'a b' is no JMESPath expression", "'\"a b\"'"),
        (('count = "a."',), 10, "something is missing", ""),
        (('count = "nosuch(a)"',), 10, "no function nosuch()", ""),
        ((), 6, "neither 'count' nor 'signers'", "count ="),
        (('signers = "a"',), 6, "'order' is missing", 'order = "oldest"'),
        (('count = "a"', 'page = "p"'), 6, "'page' is about a list", ""),
        (
            ('signers = "a"', 'order = "oldest"', 'page = "p"', 'next = "n"'),
            6, "'next' and 'page' cannot both", "",
        ),
        (('signers = "a"', 'order = "oldest"', 'cursor = "c"'), 6, "'cursor' is given", "next"),
        (('signers = "a"', 'order = "oldest"', 'pages = "c"'), 6, "'pages' is given", "page"),
        (
            ('signers = "a"', 'order = "oldest"', 'next = "n"', "post = { q = 1 }"),
            6, "'next' needs 'cursor'", "cursor",
        ),
        (
            ('signers = "a"', 'order = "oldest"', "[source.columns]", 'city = "x"', 'name = "a b"'),
            14, "'a b' is no JMESPath", "'\"a b\"'",
        ),
        (
            ('signers = "a"', 'order = "oldest"', "[source.only]", '"x y" = ["1"]'),
            13, "'x y' is no JMESPath", "",
        ),
        (
            ('signers = "a"', 'order = "oldest"', 'page = "q.n"', 'post = { q = "x" }'),
            6, "no place for 'q.n'", "section",
        ),
        (('signers = "a"', 'order = "oldest"', 'page = "a b"'), 12, "no name of a parameter", ""),
        (('count = "a"', "post = { on = 2026-01-01 }"), 11, "JSON has not", "texts"),
        (('preset = "change"',), 10, "'preset' must be", "'change-org'?"),
        (('count = "a"', 'cuont = "b"'), 11, "unknown key 'cuont'", "'count'"),
    ],
)  # fmt: skip
def test_a_fault_in_the_settings_has_its_line(
    tmp_path: pathlib.Path, lines: tuple[str, ...], line: int, what: str, hint: str
) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        plan(tmp_path, "https://p.example/x", *lines)
    found = caught.value.faults
    assert any(what in f.what and hint in f.hint and f.line == line for f in found), found


@pytest.mark.parametrize("name", ["api_key", "apiKey", "key", "access_token", "password", "auth"])
def test_a_secret_in_the_address_is_refused(tmp_path: pathlib.Path, name: str) -> None:
    with pytest.raises(errors.ConfigError, match="seems to be a secret") as caught:
        plan(tmp_path, f"https://p.example/x?{name}=hush", 'count = "n"')
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("name", ["page_token", "author", "keyword", "monkey"])
def test_what_only_sounds_like_a_secret_is_none(tmp_path: pathlib.Path, name: str) -> None:
    assert plan(tmp_path, f"https://p.example/x?{name}=1", 'count = "n"').source.counts


@pytest.mark.parametrize("number", range(len(examples.blocks("http-json.md"))))
def test_each_example_of_the_page_loads(tmp_path: pathlib.Path, number: int) -> None:
    one = examples.campaign(tmp_path, examples.blocks("http-json.md")[number])
    section = one.count or one.source
    assert section.kind == "http-json"
    assert section.counts or section.lists


async def test_the_page_reads_a_list_as_it_says(
    tmp_path: pathlib.Path, book: ledger.Ledger
) -> None:
    """The example with a list, against an answer of the shape that it names."""
    rows = [
        {
            "uuid": f"u{n}",
            "first": "Ada",
            "last": f"Example {n}",
            "address": {"town": "Leeds"},
            "created_at": f"2026-11-22T00:50:0{n}Z",
            "consents": {"show_name": n != 1},
        }
        for n in range(4)
    ]

    def answer(request: http_server.Request) -> http_server.Reply:
        assert request.query["per_page"] == "100"
        page = int(request.query.get("page", 1))
        more = f"{request.path}?per_page=100&page={page + 1}" if page < 2 else None
        part = rows[page * 2 - 2 : page * 2]
        content = {"meta": {"total": 4}, "data": part, "links": {"next": more}}
        return http_server.json(content)

    with http_server.running(answer) as server:
        text = next(b for b in examples.blocks("http-json.md") if "links.next" in b)
        changes = {"https://petitions.example.org": server.url("")}
        one = examples.campaign(tmp_path, text, changes=changes)
        reading = await read(book, one)
        assert (reading.problem, reading.new, reading.standing.said) == ("", 4, 4)
        assert on_list(book) == ["Ada Example 0", "", "Ada Example 2", "Ada Example 3"]


async def test_the_page_asks_graphql_as_it_says(
    tmp_path: pathlib.Path, book: ledger.Ledger
) -> None:
    def answer(request: http_server.Request) -> http_server.Reply:
        asked = request.json()["variables"]
        assert asked["id"] == "12"
        begin = int(asked.get("after") or 9)
        nodes = [{"id": n, "displayName": f"Ada {n}"} for n in range(begin, begin - 3, -1)]
        end = str(begin - 3) if begin > 3 else None
        signed = {"nodes": nodes, "pageInfo": {"endCursor": end}}
        return http_server.json({"data": {"petition": {"signatures": signed}}})

    with http_server.running(answer) as server:
        text = next(b for b in examples.blocks("http-json.md") if "graphql" in b)
        changes = {"https://petitions.example.org": server.url("")}
        reading = await read(book, examples.campaign(tmp_path, text, changes=changes))
        assert (reading.problem, reading.new) == ("", 9)
        assert on_list(book) == [f"Ada {n}" for n in range(1, 10)]


def test_marks_tell_certain_signers_from_others() -> None:
    assert paging.is_certain("+ab")
    assert not paging.is_certain("-ab")
    assert not paging.is_certain("")
