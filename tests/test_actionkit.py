"""ActionKit: a server in its shape that runs our query in a real database."""

# ruff: noqa: ANN401 - JSON is anything

from __future__ import annotations

import base64
import contextlib
import copy
import dataclasses
import datetime as dt
import json
import pathlib
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

import build
import examples
import http_server
from deliverybot import access, errors, ledger, screen, signatures, sources
from deliverybot import campaign as campaigns

FIXTURES = pathlib.Path(__file__).parent / "fixtures" / "sources"
KEY = b"k" * 32
START = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
REPORT = "/rest/v1/report/run/sql/"
LIST = "/rest/v1/petitionaction/"
LIST_SHAPE = json.loads((FIXTURES / "actionkit_petitionaction_page.json").read_text())
#: The names of ActionKit's tables and columns, as public queries have them.
TABLES = """
CREATE TABLE core_user (id INTEGER PRIMARY KEY, email, first_name, last_name, city, state, region,
 country, postal);
CREATE TABLE core_action (id INTEGER PRIMARY KEY, created_at, user_id, page_id, status);
CREATE TABLE core_actionfield (id INTEGER PRIMARY KEY, parent_id, name, value);
"""


class Platform:
    """ActionKit with a petition on page 411 and another one on page 412."""

    def __init__(self) -> None:
        self.database = sqlite3.connect(":memory:", check_same_thread=False)
        self.database.executescript(TABLES)
        #: Called before each answer with the number of the request.
        self.before: Callable[[int], object] = lambda _: None
        #: Answers that come in place of the right one, by the number of the request.
        self.instead: dict[int, http_server.Reply] = {}
        self.asked = 0

    def sign(
        self, *numbers: int, page: int = 411, status: str = "complete", **fields: str | list[str]
    ) -> None:
        for number in numbers:
            at = (START + dt.timedelta(minutes=number)).strftime("%Y-%m-%dT%H:%M:%S")
            user = (number, f"p{number}@mail.example", f"Person {number}", "Example", "Leeds", "",
                    "West Yorkshire", "United Kingdom", "LS1 1AA")  # fmt: skip
            marks = ", ".join("?" * len(user))
            self.database.execute(f"INSERT OR REPLACE INTO core_user VALUES ({marks})", user)
            action = (number, at, number, page, status)
            self.database.execute("INSERT INTO core_action VALUES (?, ?, ?, ?, ?)", action)
            for name, given in fields.items():
                for value in [given] if isinstance(given, str) else given:
                    row = (number, name, value)
                    self.database.execute(
                        "INSERT INTO core_actionfield (parent_id, name, value) VALUES (?, ?, ?)",
                        row,
                    )

    def drop(self, table: str, number: int) -> None:
        self.database.execute(f"DELETE FROM {table} WHERE id = ?", (number,))

    def __call__(self, request: http_server.Request) -> http_server.Reply:
        self.asked += 1
        self.before(self.asked)
        if self.asked in self.instead:
            return self.instead[self.asked]
        kind, _, pair = request.headers.get("authorization", "").partition(" ")
        if (kind, base64.b64decode(pair)) != ("Basic", b"deliverybot:s3cret-word"):
            return http_server.json({"error": "Not authorized."}, status=401)
        if request.path == LIST:
            count = self.database.execute(
                "SELECT count(*) FROM core_action WHERE page_id = ?", (int(request.query["page"]),)
            ).fetchone()[0]
            shown = copy.deepcopy(LIST_SHAPE)
            shown["meta"] |= {"limit": int(request.query["_limit"]), "total_count": count}
            return http_server.json(shown)
        assert (request.method, request.path) == ("POST", REPORT)
        assert request.headers["content-type"] == "application/json"
        # MySQL would read this as SQLite does.
        rows = self.database.execute(request.json()["query"]).fetchall()
        return http_server.json([list(row) for row in rows])


@dataclasses.dataclass
class Reader:
    """Reads one platform into a real ledger."""

    book: ledger.Ledger
    plan: campaigns.Campaign
    server: http_server.Server
    naps: list[float] = dataclasses.field(default_factory=list)
    #: A clock that goes by the naps alone, and by what a test adds.
    time: float = 0.0
    password: str = "s3cret-word"

    @property
    def means(self) -> sources.Means:
        account = access.Access(
            host="127.0.0.1",
            username="deliverybot",
            password=self.password,  # type: ignore[arg-type]
        )
        return sources.Means(
            access={"actionkit": account},
            sleep=self.naps.append,
            clock=lambda: self.time + sum(self.naps),
        )

    async def read(self) -> signatures.Reading:
        return await signatures.read(self.book, self.plan, key=KEY, now=build.NOW, means=self.means)

    @property
    def standing(self) -> Any:
        return self.book.signatures.standing("faces")

    def names(self) -> list[str]:
        return [one.name for one in self.book.signatures.lines("faces", 10_000) if one.name]

    def queries(self) -> list[str]:
        return [request.json()["query"] for request in self.server.asked(REPORT)]


@contextlib.contextmanager
def reading(folder: pathlib.Path, platform: Platform, **changes: str) -> Iterator[Reader]:
    """Run a platform and have an empty ledger; `changes` replaces lines of the page's example."""
    with (
        http_server.running(platform) as server,
        contextlib.closing(ledger.open_ledger(f"sqlite:///{folder / 'ledger.db'}")) as book,
    ):
        text = examples.blocks("actionkit.md")[0]
        lines = {"columns": "", "url": f'url = "{server.url("")}"', **changes}
        for name, line in lines.items():
            text = re.sub(rf"^{name} = .*\n", "", text, flags=re.MULTILINE) + f"{line}\n"
        yield Reader(book, examples.campaign(folder, text), server)


def numbers(first: int, last: int) -> Sequence[int]:
    return range(first, last + 1)


async def test_signers_as_a_report_gives_them(tmp_path: pathlib.Path) -> None:
    platform = Platform()
    report = json.loads((FIXTURES / "actionkit_report_sql.json").read_text())
    for number, first, last, city, state, country, postal, comment, at in report:
        platform.sign(number, comment=comment, utm="mail")
        changed = (first, last, city, state, country, postal, number)
        platform.database.execute(
            "UPDATE core_user SET first_name = ?, last_name = ?, city = ?, state = ?, region = '', "
            "country = ?, postal = ? WHERE id = ?",
            changed,
        )
        platform.database.execute("UPDATE core_action SET created_at = ?", (at,))
    with reading(tmp_path, platform) as one:
        assert (await one.read()).new == 2
        assert one.names() == ["Ada Example", "Bo Sample"]
        (batch,) = sources.read(one.plan, cursor=None, secret=KEY, now=build.NOW, means=one.means)
    ada, bo = batch.signers
    assert ada.key_id == screen.key(KEY, "faces", "id", "actionkit:9001")
    assert ada.key_email == screen.key(KEY, "faces", "email", "p9001@mail.example")
    assert (ada.city, ada.country, ada.postcode) == ("Leeds", "United Kingdom", "LS1 1AA")
    assert (ada.comment, bo.comment) == ("Please stop.", "")
    assert bo.signed_at == dt.datetime(2026, 11, 22, 0, 51, tzinfo=dt.UTC)


async def test_the_number_is_of_this_page_alone(tmp_path: pathlib.Path) -> None:
    platform = Platform()
    platform.sign(*numbers(1, 4))
    platform.sign(*numbers(5, 9), page=412)
    platform.sign(10, status="incomplete")
    with reading(tmp_path, platform) as one:
        taken = await one.read()
        assert (taken.new, one.standing.said) == (4, 5)
        assert one.names() == [f"Person {n} Example" for n in numbers(1, 4)]
        assert one.server.asked(LIST)[0].query == {"page": "411", "_limit": "1"}


async def test_thousands_of_signers_and_then_what_is_new(tmp_path: pathlib.Path) -> None:
    platform = Platform()
    platform.sign(*numbers(1, 1200), comment="x", source="web")
    with reading(tmp_path, platform) as one:
        taken = await one.read()
        assert (taken.new, taken.problem, taken.skipped) == (1200, "", ())
        assert len(one.queries()) == 3
        platform.sign(*numbers(1201, 1203))
        before = len(one.server.requests)
        again = await one.read()
        assert (again.new, again.again) == (3, 0)
        assert len(one.server.requests) - before == 2
        cursor = one.standing.cursor
        assert (await one.read()).new == 0
        assert one.standing.cursor == cursor
        assert one.names() == [f"Person {n} Example" for n in numbers(1, 1203)]
        # What stands in a query besides our own words: integers.
        assert {re.sub(r"id > \d+", "id > N", query) for query in one.queries()} == {
            re.sub(r"id > \d+", "id > N", one.queries()[0])
        }


@pytest.mark.parametrize("cut", [2, 3, 4])
async def test_a_reading_that_is_cut_off_goes_on(tmp_path: pathlib.Path, cut: int) -> None:
    """Signers come and go while it is cut off, and while it goes on."""
    platform = Platform()
    platform.sign(*numbers(1, 1200))
    broken = http_server.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n[[1, ")
    platform.instead = dict.fromkeys(range(cut, cut + 3), broken)
    with reading(tmp_path, platform) as one:
        failed = await one.read()
        assert (failed.new, bool(failed.problem)) == ((cut - 2) * 500, True)
        for number in (3, 600, 1199):
            platform.drop("core_action", number)
        platform.sign(*numbers(1201, 1250))
        fresh = iter(numbers(1251, 1260))
        platform.before = lambda _: platform.sign(next(fresh))
        await one.read()
        platform.before = lambda _: None
        platform.sign(*fresh)
        assert (await one.read()).problem == ""
        left = {f"Person {n} Example" for n in numbers(1, 1260)}
        read_before = {f"Person {n} Example" for n in (3, 600, 1199) if n <= (cut - 2) * 500}
        gone = {f"Person {n} Example" for n in (3, 600, 1199)} - read_before
        assert sorted(one.names()) == sorted(left - gone)


async def test_an_action_that_shows_late_is_found(tmp_path: pathlib.Path) -> None:
    """Two that are written at once may show in the other order than that of their numbers."""
    platform = Platform()
    platform.sign(*numbers(1, 94), *numbers(96, 100))
    with reading(tmp_path, platform) as one:
        await one.read()
        platform.sign(95)
        again = await one.read()
        assert (again.new, again.again) == (1, 0)


async def test_a_user_who_is_gone_counts_without_a_name(tmp_path: pathlib.Path) -> None:
    platform = Platform()
    platform.sign(*numbers(1, 3))
    platform.drop("core_user", 2)
    with reading(tmp_path, platform) as one:
        taken = await one.read()
        assert (taken.new, taken.skipped) == (3, ())
        assert one.names() == ["Person 1 Example", "Person 3 Example"]


async def test_somebody_who_acts_twice_counts_once(tmp_path: pathlib.Path) -> None:
    platform = Platform()
    platform.sign(1, 2)
    platform.database.execute("UPDATE core_action SET user_id = 1")
    with reading(tmp_path, platform) as one:
        taken = await one.read()
        assert (taken.new, taken.duplicates) == (1, 1)


async def test_consent_is_a_field_of_the_action(tmp_path: pathlib.Path) -> None:
    platform = Platform()
    platform.sign(1, show_my_name="yes")
    platform.sign(2, show_my_name="no")
    platform.sign(3)
    platform.sign(4, show_my_name=["yes", "no"])
    columns = examples.blocks("actionkit.md")[0].splitlines()[-1]
    assert columns.startswith("columns")
    with reading(tmp_path, platform, columns=columns) as one:
        taken = await one.read()
        assert one.names() == ["Person 1 Example"]
        assert ["counts as no" in fault.what for fault in taken.skipped] == [True]


async def test_an_error_of_the_host_is_asked_again(tmp_path: pathlib.Path) -> None:
    platform = Platform()
    platform.sign(*numbers(1, 3))
    platform.instead = dict.fromkeys((2, 3), http_server.Answer(status=500))
    with reading(tmp_path, platform) as one:
        assert (await one.read()).new == 3
        assert len(one.queries()) == 3
        assert sum(one.naps) > 1


async def test_a_password_that_is_not_taken(tmp_path: pathlib.Path) -> None:
    with reading(tmp_path, Platform()) as one:
        one.password = "wr0ng-word"
        problem = (await one.read()).problem
        assert "answers 401" in problem
        assert "DELIVERYBOT_ACCESS__ACTIONKIT__PASSWORD" in problem
        assert "wr0ng" not in problem


async def test_asked_too_often(tmp_path: pathlib.Path) -> None:
    platform = Platform()
    platform.sign(*numbers(1, 3))
    platform.instead[2] = http_server.Answer(status=429, headers={"Retry-After": "120"})
    with reading(tmp_path, platform) as one:
        assert "asked too often" in (await one.read()).problem
        assert one.standing.not_before == build.NOW + dt.timedelta(seconds=120)


ROW = [5, "2026-11-22T00:50:00", "Ada", "Example", "", "", "", "", "", "", None, None]


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ({"error": "no"}, "no list of lists"),
        ([{"id": 1}], "no list of lists"),
        ([ROW[:-1]], "no list of lists"),
        ([[True, *ROW[1:]]], "no list of lists"),
        ([["5", *ROW[1:]]], "no list of lists"),
        ([[-1, *ROW[1:]]], "in the order"),
        ([ROW, [4, *ROW[1:]]], "in the order"),
        ([ROW, [6, *ROW[1:]], ROW], "in the order"),
        ([[n, *ROW[1:]] for n in range(1, 502)], "in the order"),
    ],
)
async def test_what_is_no_report_is_a_failed_reading(
    tmp_path: pathlib.Path, answer: object, what: str
) -> None:
    platform = Platform()
    platform.sign(*numbers(1, 3))
    platform.instead[2] = http_server.json(answer)
    with reading(tmp_path, platform) as one:
        failed = await one.read()
        assert (failed.new, what in failed.problem) == (0, True)
        assert (await one.read()).new == 3


@pytest.mark.parametrize("meta", [{}, {"total_count": True}, {"total_count": "many"}, None])
async def test_a_number_that_is_none_is_a_failed_reading(
    tmp_path: pathlib.Path, meta: object
) -> None:
    platform = Platform()
    platform.sign(1, 2)
    with reading(tmp_path, platform) as one:
        await one.read()
        platform.instead[platform.asked + 1] = http_server.json({"meta": meta})
        assert (await one.read()).problem
        assert one.standing.signatures == 2


async def test_a_reading_stops_in_time_and_the_next_goes_on(
    tmp_path: pathlib.Path,
) -> None:
    platform = Platform()
    platform.sign(*numbers(1, 1200))
    with reading(tmp_path, platform) as one:
        # Ten minutes are the deadline, and each answer takes nearly all of it.
        platform.before = lambda _: one.naps.append(560)
        first = await one.read()
        assert (first.new, first.problem) == (500, "")
        assert "goes on there" in first.skipped[0].hint
        assert (await one.read()).new == 500
        assert (await one.read()).new == 200


async def test_a_cursor_holds_numbers_only(tmp_path: pathlib.Path) -> None:
    platform = Platform()
    platform.sign(1)
    with reading(tmp_path, platform) as one:
        await one.read()
        cursor = json.loads(one.standing.cursor)
        # Another page is another list; what is no number gets into no query.
        for changed in ({"of": "elsewhere"}, {"after": "0 OR 1=1"}):
            batches = list(
                sources.read(
                    one.plan, cursor=json.dumps(cursor | changed), secret=KEY, now=build.NOW,
                    means=one.means,
                )
            )  # fmt: skip
            assert sum(batch.rows for batch in batches) == 1
        assert not [query for query in one.queries() if "1=1" in query]


async def test_the_number_alone(tmp_path: pathlib.Path) -> None:
    """As the second example has it: the signers come from a file, the number from here."""
    platform = Platform()
    platform.sign(*numbers(1, 9))
    with reading(tmp_path, platform) as one:
        text = examples.blocks("actionkit.md")[2]
        changes = {"https://act.example.org": one.server.url("")}
        one.plan = examples.campaign(tmp_path, text, changes=changes)
        (tmp_path / "signers.csv").write_text("name,email\nAda,ada@mail.example\n")
        await one.read()
        assert (one.standing.signatures, one.standing.listed) == (9, 1)
        assert not one.queries()


def test_check_asks_for_the_number_and_for_a_signer(tmp_path: pathlib.Path) -> None:
    platform = Platform()
    platform.sign(*numbers(1, 7))
    with reading(tmp_path, platform) as one:
        found = sources.look(one.plan, now=build.NOW, means=one.means)
        assert [(fault.level, fault.what) for fault in found] == [
            ("ok", "ActionKit answers: 7 signatures"),
            ("ok", "its reports answer: a signer was found"),
        ]
        assert "LIMIT 1)" in one.queries()[0]


@pytest.mark.parametrize("page", ["0", "-1", '"411"', "1.5", "true"])
def test_a_page_that_is_no_number(tmp_path: pathlib.Path, page: str) -> None:
    with (
        pytest.raises(errors.ConfigError, match="page"),
        reading(tmp_path, Platform(), page=f"page = {page}"),
    ):
        pass
