"""Action Network: a server in its shape, read page by page, cut off, grown, shrunk and hostile."""

# ruff: noqa: ANN401 - JSON is anything

from __future__ import annotations

import contextlib
import copy
import dataclasses
import datetime as dt
import itertools
import json
import pathlib
import random
import re
import sqlite3
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import build
import examples
import http_server
from deliverybot import access, config, errors, ledger, screen, signatures, sources
from deliverybot import campaign as campaigns
from deliverybot.sources import rereading

FIXTURES = pathlib.Path(__file__).parent / "fixtures" / "sources"
KEY = b"k" * 32
TOKEN = "t0ken-of-the-group"
PETITION = "d91b4b2e-ae0e-4cd3-9ed7-d0ec501b0bc3"
START = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
HOME = f"/api/v2/petitions/{PETITION}"


def fixture(name: str) -> Any:
    return json.loads((FIXTURES / f"actionnetwork_{name}.json").read_text())


SHEET, PETITION_SHAPE, PERSON = fixture("signatures_page1"), fixture("petition"), fixture("person")


@dataclasses.dataclass
class Platform:
    """Action Network with one petition."""

    #: Number -> time of signing, in the order of the list.
    signed: dict[int, dt.datetime] = dataclasses.field(default_factory=dict)
    gone: set[int] = dataclasses.field(default_factory=set)
    newest_first: bool = False
    #: Called before each answer with the number of the request.
    before: Callable[[int], object] = lambda _: None
    #: Answers that come in place of the right one, by the number of the request.
    instead: dict[int, http_server.Reply] = dataclasses.field(default_factory=dict)
    asked: int = 0

    def sign(self, *numbers: int, after: dt.timedelta = dt.timedelta()) -> None:
        for number in numbers:
            self.signed[number] = START + dt.timedelta(minutes=number) + after

    def __call__(self, request: http_server.Request) -> http_server.Reply:
        self.asked += 1
        self.before(self.asked)
        if self.asked in self.instead:
            return self.instead[self.asked]
        if request.headers.get("osdi-api-token") != TOKEN:
            return http_server.json({"error": "API Key invalid or not present"}, status=401)
        if request.path == HOME:
            return http_server.json(PETITION_SHAPE | {"total_signatures": len(self.signed)})
        if request.path == f"{HOME}/signatures":
            return http_server.json(self.sheet(request))
        number = int(request.path.rpartition("/")[2][:8], 16)
        if number in self.gone or not request.path.startswith("/api/v2/people/"):
            return http_server.json({"error": "not found"}, status=404)
        return http_server.json(self.person(number))

    def sheet(self, request: http_server.Request) -> Any:
        numbers = sorted(self.signed, key=self.signed.__getitem__, reverse=self.newest_first)
        if found := re.fullmatch(r"created_date gt '(.+)'", request.query.get("filter", "")):
            since = dt.datetime.fromisoformat(found[1])
            numbers = [number for number in numbers if self.signed[number] > since]
        size = min(25, int(request.query["per_page"]))
        page = int(request.query["page"])
        shown = numbers[(page - 1) * size : page * size]
        sheet = copy.deepcopy(SHEET)
        sheet |= {
            "page": page,
            "total_records": len(numbers),
            "total_pages": -(-len(numbers) // size),
        }
        sheet["_links"]["next"]["href"] = re.sub(
            r"\?.*", f"?page={page + 1}", sheet["_links"]["next"]["href"]
        )
        sheet["_embedded"]["osdi:signatures"] = [self.signature(number) for number in shown]
        return sheet

    def signature(self, number: int) -> Any:
        one = copy.deepcopy(SHEET["_embedded"]["osdi:signatures"][0])
        at = self.signed[number].strftime("%Y-%m-%dT%H:%M:%SZ")
        person = f"{number:08x}-1111-4000-8000-000000000000"
        return one | {
            "identifiers": [f"other:{number}", f"action_network:{uuid.UUID(int=number)}"],
            "created_date": at,
            "modified_date": at,
            "comments": None,
            "action_network:person_id": person,
        }

    def person(self, number: int) -> Any:
        one = copy.deepcopy(PERSON)
        one |= {"given_name": f"Person {number}", "family_name": "Example"}
        one["email_addresses"][0]["address"] = f"p{number}@mail.example"
        return one | {"custom_fields": {"show_my_name": "yes" if number % 2 else "no"}}


@dataclasses.dataclass
class Naps:
    """Remembers what it was to wait for, and waits not; a clock that goes by nothing else."""

    taken: list[float] = dataclasses.field(default_factory=list)
    time: float = 0.0

    def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)
        self.time += seconds


@dataclasses.dataclass
class Reader:
    """Reads one platform into a real ledger."""

    book: ledger.Ledger
    plan: campaigns.Campaign
    server: http_server.Server
    naps: Naps = dataclasses.field(default_factory=Naps)
    now: dt.datetime = build.NOW
    token: str = TOKEN

    @property
    def means(self) -> sources.Means:
        account = access.Access(host="127.0.0.1", token=self.token)  # type: ignore[arg-type]
        return sources.Means(
            access={"action-network": account}, sleep=self.naps, clock=lambda: self.naps.time
        )

    async def read(self) -> signatures.Reading:
        return await signatures.read(self.book, self.plan, key=KEY, now=self.now, means=self.means)

    def batches(self, cursor: str | None, most: int = 10_000) -> Iterator[sources.Batch]:
        return sources.read(
            self.plan, cursor=cursor, secret=KEY, now=self.now, batch=most, means=self.means
        )

    @property
    def standing(self) -> Any:
        return self.book.signatures.standing("faces")

    def names(self) -> list[str]:
        return [one.name for one in self.book.signatures.lines("faces", 10_000) if one.name]


@contextlib.contextmanager
def reading(folder: pathlib.Path, platform: Platform, **changes: str) -> Iterator[Reader]:
    """Run a platform and have an empty ledger; `changes` replaces lines of the page's example."""
    with (
        http_server.running(platform) as server,
        contextlib.closing(ledger.open_ledger(f"sqlite:///{folder / 'ledger.db'}")) as book,
    ):
        yield Reader(book, plan(folder, server, **changes), server)


def plan(folder: pathlib.Path, server: http_server.Server, **changes: str) -> campaigns.Campaign:
    text = examples.blocks("actionnetwork.md")[0]
    lines = {"people": "people = false", "url": f'url = "{server.url("/api/v2")}"', **changes}
    for name, line in lines.items():
        text = re.sub(rf"^{name} = .*\n", "", text, flags=re.MULTILINE) + f"{line}\n"
    return examples.campaign(folder, text)


def numbers(first: int, last: int) -> Sequence[int]:
    return range(first, last + 1)


# --- the number ---------------------------------------------------------------------------------


async def test_the_number_is_the_platforms_own(tmp_path: pathlib.Path) -> None:
    platform = Platform()
    platform.sign(*numbers(1, 3))
    with reading(tmp_path, platform) as one:
        taken = await one.read()
        assert (taken.new, taken.problem, taken.skipped) == (3, "", ())
        assert (one.standing.signatures, one.standing.listed, one.standing.said) == (3, 0, 3)
        asked = one.server.asked(HOME)[0]
        assert asked.headers["osdi-api-token"] == TOKEN
        # The petition, and one page that is the last, and the empty one behind it.
        assert len(one.server.requests) == 3


@pytest.mark.parametrize("said", [True, -1, 1.5, "1,000", None, "many"])
async def test_a_number_that_is_none_is_a_failed_reading(
    tmp_path: pathlib.Path, said: object
) -> None:
    platform = Platform()
    platform.sign(1, 2)
    with reading(tmp_path, platform) as one:
        await one.read()
        platform.instead[platform.asked + 1] = http_server.json({"total_signatures": said})
        failed = await one.read()
        assert "number of signatures" in failed.problem
        assert one.standing.signatures == 2


# --- many pages, cut off, going on --------------------------------------------------------------


async def test_a_thousand_signatures_and_then_what_is_new(tmp_path: pathlib.Path) -> None:
    platform = Platform()
    platform.sign(*numbers(1, 1100))
    with reading(tmp_path, platform) as one:
        taken = await one.read()
        assert (taken.new, taken.problem) == (1100, "")
        assert set(one.naps.taken) <= {0.0, 0.25}
        assert one.naps.taken.count(0.25) == len(one.server.asked(f"{HOME}/signatures")) - 1
        before = len(one.server.requests)
        platform.sign(*numbers(1101, 1103))
        again = await one.read()
        assert (again.new, again.duplicates, again.again) == (3, 0, 0)
        assert len(one.server.requests) - before == 3
        before, cursor = len(one.server.requests), one.standing.cursor
        assert (await one.read()).new == 0
        assert one.standing.cursor == cursor
        assert len(one.server.requests) - before == 3


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("cut", [3, 17, 30, 44])
async def test_a_sweep_that_is_cut_off_goes_on(
    tmp_path: pathlib.Path, cut: int, *, newest_first: bool
) -> None:
    """Signatures come while it is cut off, and while it goes on."""
    platform = Platform(newest_first=newest_first)
    platform.sign(*numbers(1, 1050))
    broken = http_server.sends(b'HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"_emb')
    platform.instead = dict.fromkeys(range(cut, cut + 3), broken)
    with reading(tmp_path, platform) as one:
        failed = await one.read()
        assert failed.problem
        assert failed.new == max(0, (cut - 2) * 25)
        platform.sign(*numbers(1051, 1090))
        fresh = iter(numbers(1091, 1100))
        platform.before = lambda n: platform.sign(next(fresh, 1100)) if n % 2 else None
        await one.read()
        await one.read()
        platform.before = lambda _: None
        platform.sign(*fresh)
        assert (await one.read()).problem == ""
        standing = one.standing
        assert (standing.signatures, standing.last_number) == (1100, 1100)


@pytest.mark.parametrize("newest_first", [False, True])
async def test_signatures_that_go_hide_nobody(
    tmp_path: pathlib.Path, *, newest_first: bool
) -> None:
    """Who is deleted moves those behind to an earlier page, which was read already."""
    platform = Platform(newest_first=newest_first)
    platform.sign(*numbers(1, 1000))
    goes = {10: [1, 2, 3, 1000, 999], 20: list(numbers(4, 60)), 30: list(numbers(990, 995))}
    platform.before = lambda n: [platform.signed.pop(x, None) for x in goes.get(n, ())]
    with reading(tmp_path, platform) as one:
        taken = await one.read()
        assert taken.problem == ""
    assert {mark(number) for number in platform.signed} <= marks(tmp_path)


def mark(number: int) -> bytes:
    return screen.key(KEY, "faces", "id", f"action_network:{uuid.UUID(int=number)}")


async def test_signatures_that_went_while_it_was_cut_off(tmp_path: pathlib.Path) -> None:
    """As many came meanwhile, so the total tells nothing."""
    platform = Platform()
    platform.sign(*numbers(1, 1000))
    platform.instead = dict.fromkeys(range(20, 23), http_server.Answer(status=503))
    with reading(tmp_path, platform) as one:
        assert "answers 503" in (await one.read()).problem
        for number in numbers(1, 90):
            del platform.signed[number]
        platform.sign(*numbers(1001, 1090))
        assert (await one.read()).problem == ""
    assert {mark(number) for number in platform.signed} <= marks(tmp_path)


def marks(folder: pathlib.Path) -> set[bytes]:
    """What tells the signers on the list."""
    with contextlib.closing(sqlite3.connect(folder / "ledger.db")) as connection:
        return {bytes(row[0]) for row in connection.execute("SELECT key_id FROM signatures")}


@settings(max_examples=20)
@given(data=st.data())
def test_whoever_is_there_in_the_end_was_given(data: st.DataObject) -> None:
    """Before each answer some come or some go, and now and then the process dies."""
    platform = Platform(newest_first=data.draw(st.booleans()))
    platform.sign(*numbers(1, data.draw(st.integers(0, 300))))
    steps = data.draw(st.lists(st.integers(-60, 60), max_size=25))
    deaths = data.draw(st.sets(st.integers(1, 30)))
    dice = random.Random(data.draw(st.integers(0, 99)))

    fresh = itertools.count(1000)

    def move(n: int) -> None:
        step = steps[n - 1] if n <= len(steps) else 0
        platform.sign(*itertools.islice(fresh, max(0, step)))
        for number in dice.sample(
            sorted(platform.signed), min(max(0, -step), len(platform.signed))
        ):
            del platform.signed[number]

    platform.before = move
    given_, cursor = set[bytes | None](), None
    with tempfile.TemporaryDirectory() as name, http_server.running(platform) as server:
        one = Reader(None, plan(pathlib.Path(name), server), server)  # type: ignore[arg-type]
        while True:
            before = platform.asked
            for batch in one.batches(cursor, 25):
                cursor = batch.cursor
                given_ |= {signer.key_id for signer in batch.signers}
                if platform.asked in deaths:
                    break
            if before >= len(steps) and before not in deaths and platform.asked not in deaths:
                break
    assert {mark(number) for number in platform.signed} <= given_


async def test_a_signature_that_shows_late_is_found(tmp_path: pathlib.Path) -> None:
    platform = Platform()
    platform.sign(*numbers(1, 100))
    late = platform.signed.pop(95)
    with reading(tmp_path, platform) as one:
        await one.read()
        platform.signed[95] = late
        assert (await one.read()).new == 1


async def test_a_time_to_come_hides_nobody(tmp_path: pathlib.Path) -> None:
    platform = Platform()
    platform.sign(1, 2)
    platform.signed[3] = dt.datetime(2099, 1, 1, tzinfo=dt.UTC)
    with reading(tmp_path, platform) as one:
        await one.read()
        platform.signed[4] = build.NOW + dt.timedelta(minutes=5)
        one.now += dt.timedelta(minutes=10)
        assert (await one.read()).new == 1


async def test_a_reading_stops_in_time_and_the_next_goes_on(
    tmp_path: pathlib.Path,
) -> None:
    platform = Platform()
    platform.sign(*numbers(1, 500))
    with reading(tmp_path, platform) as one:
        # Ten minutes are the deadline, and each answer takes more than one.
        platform.before = lambda _: one.naps(65)
        first = await one.read()
        assert (first.new, first.problem) == (225, "")
        assert "page 10" in first.skipped[0].what
        # Four pages again, and some beyond.
        assert (await one.read()).new == 125
        platform.before = lambda _: None
        assert (await one.read()).new == 150


async def test_a_reading_that_gets_nowhere_fails(tmp_path: pathlib.Path) -> None:
    platform = Platform()
    platform.sign(*numbers(1, 500))
    with reading(tmp_path, platform) as one:
        platform.before = lambda _: one.naps(65)
        await one.read()
        cursor = one.standing.cursor
        platform.before = lambda _: one.naps(200)
        assert "ended after 10m" in (await one.read()).problem
        assert one.standing.cursor == cursor


async def test_another_petition_is_read_from_its_start(tmp_path: pathlib.Path) -> None:
    platform = Platform()
    platform.sign(*numbers(1, 30))
    with reading(tmp_path, platform) as one:
        await one.read()
        cursor = one.standing.cursor
        other = cursor.replace(PETITION, "00000000-0000-4000-8000-000000000000")
        batches = list(
            sources.read(one.plan, cursor=other, secret=KEY, now=build.NOW, means=one.means)
        )
        assert sum(batch.rows for batch in batches) == 30


# --- people -------------------------------------------------------------------------------------

PEOPLE = {"people": "people = true"}


async def test_people_are_asked_for_once(tmp_path: pathlib.Path) -> None:
    platform = Platform()
    platform.sign(*numbers(1, 30))
    with reading(tmp_path, platform, **PEOPLE) as one:
        taken = await one.read()
        assert (taken.new, taken.problem, taken.skipped) == (30, "", ())
        assert one.names() == [f"Person {n} Example" for n in numbers(1, 30)]
        line = next(iter(one.book.signatures.lines("faces", 1)))
        assert (line.city, line.country) == ("Leeds", "GB")
        platform.sign(31)
        before = len(one.server.requests)
        assert (await one.read()).new == 1
        assert len(one.server.requests) - before == 4


async def test_consent_may_be_a_field_of_their_own(tmp_path: pathlib.Path) -> None:
    platform = Platform()
    platform.sign(*numbers(1, 4))
    columns = {"columns": 'columns = { to_target = "show_my_name" }'}
    with reading(tmp_path, platform, **PEOPLE, **columns) as one:
        await one.read()
        assert one.names() == ["Person 1 Example", "Person 3 Example"]


async def test_somebody_deleted_counts_without_a_name(tmp_path: pathlib.Path) -> None:
    platform = Platform(gone={2})
    platform.sign(*numbers(1, 3))
    with reading(tmp_path, platform, **PEOPLE) as one:
        taken = await one.read()
        assert (taken.new, taken.problem) == (3, "")
        assert one.names() == ["Person 1 Example", "Person 3 Example"]


@pytest.mark.parametrize(
    "answer", [[], {"email_addresses": ["x"]}, {"given_name": ["a"]}, {"postal_addresses": 3}]
)
async def test_a_person_of_another_form_stops_nobody(
    tmp_path: pathlib.Path, answer: object
) -> None:
    platform = Platform()
    platform.sign(*numbers(1, 3))
    platform.instead[3] = http_server.json(answer)
    with reading(tmp_path, platform, **PEOPLE) as one:
        taken = await one.read()
        assert (taken.problem, len(taken.skipped)) == ("", 1)
        assert one.names() == ["Person 2 Example", "Person 3 Example"]


async def test_cut_off_among_people(tmp_path: pathlib.Path) -> None:
    platform = Platform()
    platform.sign(*numbers(1, 60))
    platform.instead = dict.fromkeys(range(40, 43), http_server.Answer(status=500))
    with reading(tmp_path, platform, **PEOPLE) as one:
        failed = await one.read()
        assert (failed.new, "answers 500" in failed.problem) == (25, True)
        assert (await one.read()).new == 35
        assert one.names() == [f"Person {n} Example" for n in numbers(1, 60)]
        # Nobody of the first page was asked for a second time.
        asked = [request.path for request in one.server.requests if "/people/" in request.path]
        assert asked.count(f"/api/v2/people/{1:08x}-1111-4000-8000-000000000000") == 1


async def test_who_was_imported_from_a_report_is_recognised(tmp_path: pathlib.Path) -> None:
    platform = Platform()
    platform.sign(*numbers(1, 3))
    report = tmp_path / "report.csv"
    report.write_text(
        "uuid,first_name,last_name,email,can2_user_city\n"
        "x-2,Person 2,Example,p2@mail.example,Leeds\n"
    )
    with reading(tmp_path, platform, **PEOPLE) as one:
        given_ = signatures.Import(file=report)
        await signatures.read(one.book, one.plan, key=KEY, now=build.NOW, given=given_)
        assert next(iter(one.book.signatures.lines("faces", 1))).city == "Leeds"
        taken = await one.read()
        assert (taken.new, taken.duplicates, one.standing.last_number) == (2, 1, 3)


# --- an account that is refused, a host that is busy or false -------------------------------------


async def test_a_key_that_is_not_taken(tmp_path: pathlib.Path) -> None:
    platform = Platform()
    with reading(tmp_path, platform) as one:
        one.token = "wr0ng"
        problem = (await one.read()).problem
        assert "answers 401" in problem
        assert "DELIVERYBOT_ACCESS__ACTION_NETWORK__TOKEN" in problem
        assert "wr0ng" not in problem
        (fault,) = sources.look(one.plan, now=build.NOW, means=one.means)
        assert fault.level == "fault"
        assert "DELIVERYBOT_ACCESS__ACTION_NETWORK__TOKEN" in fault.hint


async def test_asked_too_often(tmp_path: pathlib.Path) -> None:
    platform = Platform()
    platform.sign(*numbers(1, 200))
    busy = http_server.Answer(status=429, headers={"Retry-After": "3"})
    platform.instead[5] = busy
    with reading(tmp_path, platform) as one:
        assert (await one.read()).new == 200
        # Four pauses between pages before it, and more than that for the answer.
        assert sum(one.naps.taken) >= 3 + 8 * 0.25
        platform.sign(*numbers(201, 210))
        long = http_server.Answer(status=429, headers={"Retry-After": "900"})
        platform.instead[platform.asked + 2] = long
        failed = await one.read()
        assert "asked too often" in failed.problem
        assert one.standing.not_before == build.NOW + dt.timedelta(seconds=900)
        assert (await one.read()).new == 10


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ([], "another form"),
        ({"_embedded": {}}, "no list of signatures"),
        ({"_embedded": {"osdi:signatures": {}}}, "no list of signatures"),
        ({"_embedded": {"osdi:signatures": []}, "total_records": True}, "number of signatures"),
        (
            {
                "_embedded": {"osdi:signatures": [1]},
                "_links": {"next": {"href": "https://elsewhere.example/?page=1"}},
            },
            "leads to page '1'",
        ),
    ],
)
async def test_what_is_no_page_is_a_failed_reading(
    tmp_path: pathlib.Path, answer: object, what: str
) -> None:
    platform = Platform()
    platform.sign(*numbers(1, 60))
    platform.instead[3] = http_server.json(answer)
    with reading(tmp_path, platform) as one:
        failed = await one.read()
        assert what in failed.problem
        assert failed.new == 25
        assert (await one.read()).new == 35


async def test_a_signature_without_an_id_is_told(tmp_path: pathlib.Path) -> None:
    platform = Platform()
    platform.sign(1, 2)
    sheet = copy.deepcopy(SHEET)
    del sheet["_links"]["next"]
    sheet["_embedded"]["osdi:signatures"] += [None, {"identifiers": ["other:1"]}, {}]
    platform.instead[2] = http_server.json(sheet)
    with reading(tmp_path, platform) as one:
        taken = await one.read()
        assert taken.new == 3
        assert ["no id" in fault.what for fault in taken.skipped] == [True, True, True]


async def test_a_total_that_goes_up_and_down_holds_nobody_up(tmp_path: pathlib.Path) -> None:
    platform = Platform()
    platform.sign(*numbers(1, 300))

    def flap(request: http_server.Request) -> http_server.Reply:
        found = platform(request)
        if request.path.endswith("/signatures") and isinstance(found, http_server.Answer):
            sheet = json.loads(found.body)
            sheet["total_records"] = 300 - platform.asked % 2
            return http_server.json(sheet)
        return found

    with reading(tmp_path, platform) as one:
        one.server.answers = flap
        assert (await one.read()).new == 300


async def test_nothing_private_is_kept(tmp_path: pathlib.Path) -> None:
    platform = Platform()
    platform.sign(*numbers(1, 30))
    with reading(tmp_path, platform, **PEOPLE) as one:
        await one.read()
        one.book.close()
    disk = on_disk(tmp_path)
    assert b"Person 3 " in disk
    ids = (str(uuid.UUID(int=3)).encode(), b"-1111-4000-")
    assert not [private for private in (b"mail.example", TOKEN.encode(), *ids) if private in disk]


def on_disk(folder: pathlib.Path) -> bytes:
    """All bytes of the ledger."""
    return b"".join(file.read_bytes() for file in folder.glob("ledger.db*"))


def test_check_says_how_many_and_that_nobody_has_a_name(tmp_path: pathlib.Path) -> None:
    platform = Platform()
    platform.sign(*numbers(1, 7))
    with reading(tmp_path, platform) as one:
        found = sources.look(one.plan, now=build.NOW, means=one.means)
    assert [(fault.level, "7" in fault.what) for fault in found] == [
        ("ok", True),
        ("warning", False),
    ]


@pytest.mark.parametrize("petition", ["acme", "https://actionnetwork.org/petitions/acme", ""])
def test_a_petition_that_is_no_id(tmp_path: pathlib.Path, petition: str) -> None:
    with (
        pytest.raises(errors.ConfigError, match="no petition's id"),
        reading(tmp_path, Platform(), petition=f'petition = "{petition}"'),
    ):
        pass


# --- what was given lately ----------------------------------------------------------------------

MOMENTS = st.integers(0, 5000).map(lambda seconds: START + dt.timedelta(seconds=seconds))


@settings(max_examples=50)
@given(given_=st.lists(st.tuples(st.integers(0, 300), MOMENTS | st.none()), max_size=300))
def test_the_last_minutes_are_known_again(
    given_: list[tuple[int, dt.datetime | None]],
) -> None:
    recent = rereading.Recent(KEY, seconds=600, now=build.NOW)
    for number, at in given_:
        recent.add(str(number), at)
    top, known = recent.kept()
    again = rereading.Recent(KEY, seconds=600, now=build.NOW, top=top, known=known)
    assert again.since == recent.since
    latest = dict(given_)
    for number, at in latest.items():
        if at and again.since and at >= again.since:
            assert again.knows(str(number))
    assert all(again.knows(str(number)) for number, _ in given_[-100:])
    assert not again.knows("never")


def test_what_is_known_does_not_grow() -> None:
    recent = rereading.Recent(KEY, seconds=600, now=build.NOW)
    for number in range(20_000):
        recent.add(str(number), START)
    assert len(recent.kept()[1]) <= rereading.MOST + rereading.LAST


# --- what the pages show ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "name", "variable"),
    [
        ("actionnetwork.md", "action-network", "DELIVERYBOT_ACCESS__ACTION_NETWORK__TOKEN"),
        ("actionkit.md", "actionkit", "DELIVERYBOT_ACCESS__ACTIONKIT__PASSWORD"),
    ],
)
def test_the_account_of_a_page_is_that_of_its_example(
    tmp_path: pathlib.Path, page: str, name: str, variable: str
) -> None:
    source, account, *_ = examples.blocks(page)
    plan_ = examples.campaign(tmp_path, source)
    file = tmp_path / "config.toml"
    file.write_text(build.CONFIG.format(mail="", pdf="") + account)
    assert variable in account
    loaded = config.load(file, environ={variable: "s3cret"})
    found = loaded.access[name]
    assert getattr(plan_.source, "access", "") == name
    assert "s3cret" in (found.token.get_secret_value(), found.password.get_secret_value())
    assert found.host == str(getattr(plan_.source, "url", "")).split("/")[2]
