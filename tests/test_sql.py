"""Signatures in real databases: SQLite and PostgreSQL, paged, cut, resumed, hostile."""

# ruff: noqa: ANN401 - helpers hand on any field

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import pathlib
import re
import shutil
import tracemalloc
import uuid
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any

import pydantic
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

import build
from deliverybot import access as accounts
from deliverybot import campaign as campaigns
from deliverybot import errors, hands, ledger, plugins, screen, signatures, sources
from deliverybot.origins import statements
from deliverybot.sources import database, keyset, kinds, plain

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "sources" / "sql.md"
FIXTURES = pathlib.Path(__file__).parent / "fixtures" / "sources"
KEY = b"k" * 32
TABLE = """\
CREATE TABLE signatures (
  id BIGINT PRIMARY KEY, petition_id INT, state TEXT, name TEXT, city TEXT, region TEXT,
  country TEXT, postcode TEXT, comment TEXT, signed_at {time}, public BOOLEAN, email TEXT
)"""
QUERY = """\
SELECT id, name, city, country, email, signed_at, public FROM signatures
 WHERE petition_id = :petition AND id > :cursor ORDER BY id LIMIT :limit"""


@dataclasses.dataclass
class Table:
    """A table of signatures in a database of somebody's own."""

    folder: pathlib.Path
    #: As the campaign's file says it.
    url: str
    engine: sa.Engine

    def run(self, text: str, rows: Iterable[dict[str, Any]] | None = None) -> None:
        with self.engine.begin() as connection:
            connection.execute(sa.text(text), list(rows) if rows is not None else None)

    def sign(self, *numbers: int, petition: int = 7) -> None:
        """Let people sign, by the numbers that become their ids."""
        rows = [
            {"id": n, "name": f"Person {n}", "email": f"p{n}@mail.example", "petition": petition}
            for n in numbers
        ]
        self.run(
            "INSERT INTO signatures (id, petition_id, state, name, city, email, public) "
            "VALUES (:id, :petition, 'validated', :name, 'Leeds', :email, TRUE)",
            rows,
        )

    def plan(
        self, query: str = QUERY, parameters: str = "{ petition = 7 }", more: str = ""
    ) -> campaigns.Campaign:
        source = (
            f'[source]\nkind = "sql"\nurl = {json.dumps(self.url)}\nevery = "5m"\n'
            f"query = {json.dumps(query)}\nparameters = {parameters}\n{more}\n"
        )
        return build.campaign(self.folder, source=source)


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "schedules").mkdir()
    return tmp_path


@pytest.fixture
def lite(folder: pathlib.Path) -> Iterator[Table]:
    engine = sa.create_engine(f"sqlite:///{folder / 'schedules' / 'signatures.db'}")
    table = Table(folder, "sqlite:///signatures.db", engine)
    table.run(TABLE.format(time="TEXT"))
    yield table
    engine.dispose()


@pytest.fixture
def postgres_table(folder: pathlib.Path, postgres_database: str) -> Iterator[Table]:
    engine = sa.create_engine(postgres_database)
    table = Table(folder, postgres_database.replace("+psycopg", ""), engine)
    table.run(TABLE.format(time="TIMESTAMPTZ"))
    yield table
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def table(request: pytest.FixtureRequest) -> Table:
    name = "lite" if request.param == "sqlite" else "postgres_table"
    found: Table = request.getfixturevalue(name)
    return found


def read(
    campaign: campaigns.Campaign, cursor: str | None = None, *, batch: int = 10, **means: Any
) -> list[sources.Batch]:
    return list(
        sources.read(
            campaign, cursor=cursor, secret=KEY, now=build.NOW, batch=batch,
            means=sources.Means(**means),
        )
    )  # fmt: skip


def names(batches: Iterable[sources.Batch]) -> list[str]:
    return [signer.name for batch in batches for signer in batch.signers]


def told(batches: Iterable[sources.Batch]) -> list[str]:
    return [fault.what for batch in batches for fault in batch.skipped]


def people(*numbers: int) -> list[str]:
    return [f"Person {n}" for n in numbers]


def refused(campaign: campaigns.Campaign, cursor: str | None = None) -> errors.SourceError:
    with pytest.raises(errors.SourceError) as caught:
        read(campaign, cursor)
    return caught.value


# --- reading ------------------------------------------------------------------------------------


def test_pages_and_only_what_is_new(table: Table) -> None:
    table.sign(*range(1, 26))
    table.sign(100, 101, petition=8)
    first = read(table.plan())
    assert [len(batch.signers) for batch in first] == [10, 10, 5]
    assert names(first) == people(*range(1, 26))
    assert read(table.plan(), first[-1].cursor) == []
    table.sign(26, 27)
    second = read(table.plan(), first[-1].cursor)
    assert names(second) == people(26, 27)
    assert read(table.plan(), second[-1].cursor) == []


def test_the_fixture_holds_both_queries(table: Table) -> None:
    table.sign(*range(1, 13))
    shutil.copy(FIXTURES / "sql_source.sql", table.folder / "schedules")
    source = (
        f'[source]\nkind = "sql"\nurl = {json.dumps(table.url)}\nevery = "5m"\n'
        'query_file = "sql_source.sql"\nparameters = { petition = 7 }\n'
    )
    campaign = build.campaign(table.folder, source=source)
    assert sources.probe(campaign, state="", secret=KEY, now=build.NOW) == sources.Count(12)
    (signer, *_) = [signer for batch in read(campaign) for signer in batch.signers]
    assert (signer.name, signer.city, signer.public) == ("Person 1", "Leeds", True)
    assert signer.key_id == screen.key(KEY, "faces", "id", "1")


def test_a_count_alone_and_a_count_elsewhere(table: Table) -> None:
    table.sign(1, 2, 3)
    source = (
        '[source]\nkind = "csv"\npath = "faces.csv"\nevery = "5m"\n'
        f'[count]\nkind = "sql"\nurl = {json.dumps(table.url)}\n'
        'count_query = "SELECT count(*) FROM signatures"\n'
    )
    campaign = build.campaign(table.folder, source=source)
    assert sources.probe(campaign, state="", secret=KEY, now=build.NOW) == sources.Count(3)


@pytest.mark.parametrize(
    "asked", ["1.5", "-1", "'1.2k'", "NULL", "1, 2", "1 UNION SELECT 2", "1 WHERE 1 = 0"]
)
def test_what_is_no_certain_count(table: Table, asked: str) -> None:
    campaign = table.plan(more=f"count_query = {json.dumps(f'SELECT {asked}')}")
    with pytest.raises(errors.SourceError):
        sources.probe(campaign, state="", secret=KEY, now=build.NOW)


def test_a_count_that_is_a_sum(postgres_table: Table) -> None:
    """PostgreSQL sums whole numbers to a NUMERIC."""
    query = "SELECT sum(n) FROM (VALUES (3::bigint), (4)) AS numbers(n)"
    campaign = postgres_table.plan(more=f"count_query = {json.dumps(query)}")
    assert sources.probe(campaign, state="", secret=KEY, now=build.NOW) == sources.Count(7)


async def test_a_reading_that_is_cut_goes_on_where_it_was(
    postgres_table: Table, book: ledger.Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends our connection between two pages, twice."""
    table = postgres_table
    table.sign(*range(1, 36))
    campaign = table.plan()
    real = sources.read
    monkeypatch.setattr(sources, "read", lambda *a, **k: real(*a, **k, batch=10))
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = :name"

    def cut(batch: sources.Batch) -> None:
        with table.engine.begin() as connection:
            connection.execute(sa.text(end), {"name": "deliverybot"})

    async def once(progress: Callable[[sources.Batch], None] | None = None) -> signatures.Reading:
        return await signatures.read(
            book, campaign, key=KEY, now=build.NOW, progress=progress
        )  # fmt: skip

    for so_far in (10, 20):
        reading = await once(cut)
        assert (reading.new, reading.again) == (10, 0)
        assert "the connection to the database was lost" in reading.problem
        assert "Person" not in reading.problem
        assert book.signatures.standing("faces").signatures == so_far
    last = await once()
    assert (last.new, last.duplicates, last.problem) == (15, 0, "")
    listed = [line.name for line in book.signatures.lines("faces", 99)]
    assert listed == people(*range(1, 36))


def test_rows_that_become_visible_late_are_found(postgres_table: Table) -> None:
    """An identity value is given out at once and seen when its transaction ends."""
    table = postgres_table
    insert = "INSERT INTO signatures (id, petition_id, name) VALUES (:id, 7, :name)"
    with table.engine.connect() as slow:
        slow.execute(sa.text(insert), {"id": 15, "name": "Person 15"})
        table.sign(*range(1, 15), *range(16, 31))
        first = read(table.plan())
        assert names(first) == people(*range(1, 15), *range(16, 31))
        slow.commit()
    second = read(table.plan(), first[-1].cursor)
    assert names(second) == people(15)
    assert read(table.plan(), second[-1].cursor) == []
    # Without looking back it would be lost: this is what the overlap is for.
    assert names(read(table.plan(more='overlap = "0 keys"'), first[-1].cursor)) == []


def test_late_rows_by_time(postgres_table: Table) -> None:
    table = postgres_table
    at = dt.datetime(2026, 11, 22, 12, 0, tzinfo=dt.UTC)
    insert = "INSERT INTO signatures (id, petition_id, name, signed_at) VALUES (:id, 7, :name, :at)"

    def sign(n: int, minute: float) -> None:
        row = {"id": n, "name": f"Person {n}", "at": at + dt.timedelta(minutes=minute)}
        table.run(insert, [row])

    query = QUERY.replace("id > :cursor ORDER BY id", "signed_at > :cursor ORDER BY signed_at")
    campaign = table.plan(query, more='key = "signed_at"\nstart = "2000-01-01"')
    for n in range(20):
        sign(n, n)
    first = read(campaign)
    assert names(first) == people(*range(20))
    sign(20, 11.5)
    sign(21, 5.5)  # older than ten minutes before the last one
    second = read(campaign, first[-1].cursor)
    assert names(second) == people(20)
    assert read(campaign, second[-1].cursor) == []
    more = 'key = "signed_at"\nstart = "2000-01-01"\noverlap = "30m"'
    assert "Person 21" in names(read(table.plan(query, more=more), second[-1].cursor))


def test_another_table_in_its_place_is_read_from_its_start(table: Table) -> None:
    table.sign(*range(500, 520))
    first = read(table.plan())
    table.run("DELETE FROM signatures")
    table.sign(1, 2, 3)
    second = read(table.plan(), first[-1].cursor)
    assert names(second) == people(1, 2, 3)
    assert any("none of the rows that were read last" in what for what in told(second))
    assert read(table.plan(), second[-1].cursor) == []


def test_an_emptied_table_is_said_once(table: Table) -> None:
    table.sign(1, 2, 3)
    first = read(table.plan())
    table.run("DELETE FROM signatures")
    second = read(table.plan(), first[-1].cursor)
    assert names(second) == []
    assert len(told(second)) == 1
    assert read(table.plan(), second[-1].cursor) == []


def test_one_row_that_was_taken_away_changes_nothing(table: Table) -> None:
    table.sign(*range(1, 6))
    first = read(table.plan())
    table.run("DELETE FROM signatures WHERE id = 5")
    assert read(table.plan(), first[-1].cursor) == []


def test_another_query_is_read_from_its_start(lite: Table) -> None:
    lite.sign(1, 2)
    lite.sign(3, petition=8)
    first = read(lite.plan())
    again = read(lite.plan(parameters="{ petition = 8 }"), first[-1].cursor)
    assert names(again) == people(3)
    assert "was read from its start" in told(again)[0]
    spaced = QUERY.replace("\n", "  \n -- a remark\n")
    assert read(lite.plan(spaced), first[-1].cursor) == []


def test_a_reading_ends_between_two_pages_when_it_is_to(lite: Table) -> None:
    lite.sign(*range(1, 26))
    asked = list[int]()

    def pause() -> None:
        asked.append(1)
        if len(asked) > 2:
            raise hands.Stopped

    batches = sources.read(
        lite.plan(), cursor=None, secret=KEY, now=build.NOW, batch=10,
        means=sources.Means(pause=pause),
    )  # fmt: skip
    assert names([next(batches), next(batches)]) == people(*range(1, 21))
    with pytest.raises(hands.Stopped):
        next(batches)


@pytest.mark.parametrize("cursor", ["", "{}", "[]", "nonsense", '{"version":1,"kind":"sql"}'])
def test_a_cursor_that_is_none_starts_again(lite: Table, cursor: str) -> None:
    lite.sign(1, 2)
    assert names(read(lite.plan(), cursor)) == people(1, 2)


def test_a_hundred_thousand_rows_in_little_memory(table: Table) -> None:
    table.run(
        "INSERT INTO signatures (id, petition_id, name) "
        "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 100000) "
        "SELECT id, 7, 'Person ' || id FROM n"
    )
    campaign = table.plan()
    errand = kinds.Errand(
        campaign=campaign, section=campaign.source, secret=KEY, now=build.NOW, most=2000
    )

    def peak(upto: int) -> int:
        tracemalloc.start()
        rows = 0
        for page in plugins.find(plugins.SOURCES, "sql")(errand).pages(None):
            rows += len(page.rows)
            if rows >= upto:
                break
        assert rows == upto
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    few = peak(10_000)
    assert peak(100_000) < few * 1.3


def test_long_rows_make_short_pages(table: Table) -> None:
    table.sign(*range(1, 41))
    table.run("UPDATE signatures SET comment = :text", [{"text": "x" * 1_000_000}])
    query = QUERY.replace("public FROM", "public, comment FROM")
    batches = read(table.plan(query), batch=10_000)
    assert names(batches) == people(*range(1, 41))
    assert max(len(batch.signers) for batch in batches) < 38
    table.run("UPDATE signatures SET comment = :text WHERE id = 1", [{"text": "x" * 1_100_000}])
    batches = read(table.plan(query), batch=10_000)
    assert names(batches) == people(*range(2, 41))
    assert "it is longer than 1 MiB" in told(batches)[0]


# --- values -------------------------------------------------------------------------------------


def test_values_of_every_kind(postgres_table: Table) -> None:
    query = """
        SELECT id, name, city, signed_at, public, to_target FROM (VALUES
          (1::numeric, 'Ada', 'Leeds'::text, '2026-11-22 00:50:00+01'::timestamptz, true, 1),
          (2, 'Bo', NULL, 'infinity', NULL, 0),
          (3, E'Cy\\u202eevil', '', '0044-03-15 00:00:00 BC', false, NULL)
        ) AS t(id, name, city, signed_at, public, to_target)
        WHERE id > :cursor ORDER BY id LIMIT :limit"""
    (batch,) = read(postgres_table.plan(query, "{}"))
    ada, bo, cy = batch.signers
    assert ada.signed_at == dt.datetime(2026, 11, 21, 23, 50, tzinfo=dt.UTC)
    assert (ada.public, ada.to_target, ada.city) == (True, True, "Leeds")
    assert (bo.public, bo.to_target, bo.signed_at, bo.city) == (False, False, None, "")
    assert (cy.name, cy.public, cy.to_target, cy.signed_at) == ("Cyevil", False, False, None)
    assert "a time of signing cannot be read" in told([batch])[0]


def test_uuids_bytes_dates_and_naive_times(postgres_table: Table) -> None:
    old, new = (uuid.UUID(int=(n << 80) | (7 << 76) | (2 << 62)) for n in (1, 2))
    query = f"""
        SELECT id, name, signed_at, country FROM (VALUES
          ('{old}'::uuid, 'Ada'::bytea, '2026-11-22 00:50'::timestamp, 'GB'::char(4)),
          ('{new}', 'Bo', '2026-11-23', 'IE')
        ) AS t(id, name, signed_at, country)
        WHERE id > :cursor ORDER BY id LIMIT :limit"""
    campaign = postgres_table.plan(query, "{}", f'start = "{uuid.UUID(int=0)}"')
    first = read(campaign, batch=1)
    ada, bo = (signer for batch in first for signer in batch.signers)
    assert (ada.name, bo.name, bo.country) == ("Ada", "Bo", "IE")
    # The campaign's clock is UTC.
    assert ada.signed_at == dt.datetime(2026, 11, 22, 0, 50, tzinfo=dt.UTC)
    assert ada.key_id == screen.key(KEY, "faces", "id", str(old))
    assert read(campaign, first[-1].cursor) == []


@pytest.mark.parametrize(
    ("given_value", "wanted"),
    [
        (None, None),
        (True, True),
        (7, 7),
        ("text", "text"),
        (Decimal("12.50"), "12.50"),
        (Decimal("Infinity"), "Infinity"),
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (dt.date(2026, 11, 22), "2026-11-22"),
        (dt.datetime(2026, 11, 22, 1, 2), "2026-11-22T01:02:00"),  # noqa: DTZ001
        (dt.datetime(2026, 11, 22, 1, 2, tzinfo=dt.UTC), "2026-11-22T01:02:00+00:00"),
        (b"\x01", "1"),
        (b"\x00", "0"),
        ("Zoë".encode(), "Zoë"),
        (memoryview(b"\xff\x00"), "ff00"),
        (bytearray(b"yes"), "yes"),
        ([1, 2], [1, 2]),
    ],
)
def test_plain_values(given_value: object, wanted: object) -> None:
    assert plain.value(given_value) == wanted


HOSTILE = [
    "Robert'); DROP TABLE signatures;--",
    "{{ 7 * 7 }}",
    '=HYPERLINK("http://x")',
    "a\u202eb\u200b\x1b[31m",
    "%(cursor)s :cursor ? $1 %s",
    "x" * 5000,
    "é" * 300,
    "\u0627\u0644\u0639\u0631\u0628\u064a\u0629",
]


def test_hostile_names_are_rows_as_others_are(table: Table) -> None:
    rows = [{"id": n, "name": name} for n, name in enumerate(HOSTILE, 1)]
    table.run("INSERT INTO signatures (id, petition_id, name) VALUES (:id, 7, :name)", rows)
    batches = read(table.plan())
    assert names(batches) == [screen.clean(name) for name in HOSTILE]


def test_text_that_is_not_utf8(lite: Table) -> None:
    lite.run(
        "INSERT INTO signatures (id, petition_id, name) VALUES (1, 7, CAST(x'52656EE9' AS TEXT))"
    )
    lite.sign(2)
    assert names(read(lite.plan())) == ["Ren\ufffd", "Person 2"]


def test_columns_without_an_id_go_by_the_key(lite: Table) -> None:
    lite.sign(1, 2)
    query = "SELECT id AS nr, name FROM signatures WHERE id > :cursor ORDER BY nr LIMIT :limit"
    (batch,) = read(lite.plan(query, "{}", 'key = "NR"'))
    assert [one.key_id for one in batch.signers] == [
        screen.key(KEY, "faces", "id", n) for n in ("1", "2")
    ]


def test_columns_are_mapped_and_rows_left_out_as_the_campaign_says(lite: Table) -> None:
    lite.sign(*range(1, 5))
    lite.run("UPDATE signatures SET state = 'spam' WHERE id = 2")
    query = QUERY.replace("SELECT", "SELECT state, name AS full_name, ")
    more = 'columns = { name = "full_name" }\nonly = { state = ["validated"] }'
    assert names(read(lite.plan(query, more=more))) == people(1, 3, 4)


def test_nothing_private_leaves(table: Table) -> None:
    table.sign(1, 2)
    table.run("INSERT INTO signatures (id, petition_id, email) VALUES (3, 7, 'odd@@secret')")
    batches = read(table.plan())
    assert "mail.example" not in repr(batches)
    assert "secret" not in repr(batches)


# --- the order of the rows -----------------------------------------------------------------------


def ordered(
    table: Table, order: str, where: str = "id > :cursor", more: str = ""
) -> campaigns.Campaign:
    query = f"SELECT id, name FROM signatures WHERE {where} ORDER BY {order} LIMIT :limit"
    return table.plan(query, "{}", more)


@pytest.mark.parametrize(
    ("order", "where"),
    [
        ("id", "id >= :cursor"),
        ("id", "id > :cursor - 3"),
        ("id", ":cursor = :cursor"),
    ],
)
def test_rows_in_no_order_are_refused(table: Table, order: str, where: str) -> None:
    table.sign(*range(25))
    cursor = keyset.dump(keyset.Mark(about="", last=None))
    error = refused(ordered(table, order, where), cursor)
    assert "do not come in the order of 'id'" in str(error)
    assert "ORDER BY id LIMIT :limit" in error.hint


def test_a_key_twice_is_refused(lite: Table) -> None:
    lite.sign(1, 2, 3)
    lite.run("UPDATE signatures SET petition_id = 2")
    query = (
        "SELECT petition_id AS nr, name FROM signatures WHERE petition_id > :cursor "
        "ORDER BY nr LIMIT :limit"
    )
    assert "each once: 2 after 2" in str(refused(lite.plan(query, "{}", 'key = "nr"')))


def test_texts_as_keys(table: Table) -> None:
    """Their order is the database's own affair; that each comes once is ours."""
    rows = [{"id": n, "name": f"Person {n}", "state": key} for n, key in enumerate("bAcZ", 1)]
    table.run("INSERT INTO signatures (id, name, state) VALUES (:id, :name, :state)", rows)
    query = "SELECT state, name FROM signatures WHERE {} ORDER BY state LIMIT :limit"
    good = table.plan(query.format("state > :cursor"), "{}", 'key = "state"\nstart = ""')
    batches = read(good, batch=2)
    assert sorted(names(batches)) == people(1, 2, 3, 4)
    assert read(good, batches[-1].cursor) == []
    bad = table.plan(query.format("state >= :cursor"), "{}", 'key = "state"\nstart = ""')
    with pytest.raises(errors.SourceError, match="each once"):
        read(bad, batch=2)


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("NULL", "are empty"),
        ("1.5", "are empty, or neither"),
        ("'ada@mail.example'", "more than an identifier"),
        (f"'{uuid.UUID(int=(4 << 76) | (2 << 62))}'", "in no order of time"),
    ],
)
def test_what_cannot_be_a_key(table: Table, key: str, why: str) -> None:
    query = f"SELECT {key} AS id, 'Ada' AS name WHERE 0 <= :cursor ORDER BY 1 LIMIT :limit"
    error = refused(table.plan(query, "{}"))
    assert why in str(error)
    assert "ada@" not in str(error)


def test_a_query_that_gives_more_than_asked(table: Table) -> None:
    table.sign(*range(1, 40))
    query = (
        "SELECT id, name FROM signatures WHERE id > :cursor AND 1 <= :limit ORDER BY id LIMIT 30"
    )
    assert "more rows than :limit" in str(refused(table.plan(query, "{}")))


# --- the campaign's file -------------------------------------------------------------------------


def faults(folder: pathlib.Path, lines: str) -> list[errors.Fault]:
    with pytest.raises(errors.ConfigError) as caught:
        build.campaign(folder, source=f'[source]\nkind = "sql"\nevery = "5m"\n{lines}\n')
    return caught.value.faults


URL = 'url = "sqlite:///s.db"\n'
LIMITED = "SELECT id, name FROM s WHERE id > :cursor ORDER BY id LIMIT :limit"


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("postgresql://reader:s3cr3t@db.example/petitions", "holds a password"),
        ("postgresql://reader:s3/cr@3t@db.example/petitions", "holds a password"),
        ("postgresql://db.example/petitions?password=s3cr3t", "holds a password"),
        ("mysql+pymysql://db.example/p?user=a&passwd=s3cr3t", "holds a password"),
        ("mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BPWD%3Ds3cr3t", "holds a password"),
        ("db.example/s3cr3t", "no address of a database"),
        ("sqlite://", "names no SQLite file"),
        ("sqlite:///:memory:", "names no SQLite file"),
        ("sqlite:///x.db?mode=rwc", "names no SQLite file"),
    ],
)
def test_an_address_that_is_none_or_holds_a_password(
    folder: pathlib.Path, url: str, what: str
) -> None:
    (fault,) = faults(folder, f'url = "{url}"\nquery = "{LIMITED}"')
    assert what in fault.what
    assert fault.file is not None
    assert fault.file.endswith("faces.toml")
    assert "s3" not in str(fault)
    line = (folder / "schedules" / "faces.toml").read_text().splitlines()[(fault.line or 0) - 1]
    assert line.startswith("url")


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ('query = "DELETE FROM s WHERE id > :cursor OR :limit"', "must be a SELECT"),
        ('query = "SELECT id FROM s"', "neither :cursor nor :limit"),
        ('query = "SELECT id FROM s WHERE id > :cursor ORDER BY id"', "does not use :limit"),
        ('query = "SELECT id FROM s ORDER BY id LIMIT :limit"', "does not use :cursor"),
        ('query = "SELECT id FROM s WHERE id > :cursor LIMIT :limit"', "no ORDER BY"),
        (f'query = "{LIMITED}"\nkey = "nr"', "not ordered by its key 'nr'"),
        (
            'query = "SELECT id FROM s WHERE id > :cursor ORDER BY name LIMIT :limit"',
            "its key 'id'",
        ),
        ('query = "SELECT id FROM s WHERE id > :cursor ORDER BY id DESC LIMIT :limit"', "its key"),
        (f'query = "{LIMITED} OFFSET 5"', "uses OFFSET"),
        (f'query = "{LIMITED}; SELECT 1"', "one query is to stand here"),
        ('query = "-- :cursor :limit"', "one query is to stand here"),
        (f'query = "{LIMITED}"\nquery_file = "x.sql"', "cannot both be meant"),
        ("", "needs a query"),
        (f'count_query = "{LIMITED}"', "has no :cursor"),
        ('count_query = "SELECT count(*) FROM s WHERE p = :petition"', ":petition has no value"),
        (f'query = "{LIMITED}"\nparameters = {{ petiton = 7 }}', "no query uses"),
        (f'query = "{LIMITED}"\nparameters = {{ limit = 7 }}', "cannot be the name"),
        (f'query = "{LIMITED}"\nparameters = {{ p = [7] }}', "neither a number nor a text"),
        (f'query = "{LIMITED}"\noverlap = "a lot"', "is no overlap"),
        (f'query = "{LIMITED}"\nkey = ""', "key"),
    ],
)
def test_a_section_that_cannot_be_meant(folder: pathlib.Path, lines: str, what: str) -> None:
    assert any(what in fault.what for fault in faults(folder, URL + lines))


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("SELECT count(*) FROM s", 1, "no query for signers"),
        (f"-- signers\n\n{LIMITED};\n\n{LIMITED}", 5, "two queries for signers"),
        (f"{LIMITED};\nSELECT 1;\nSELECT 2", 3, "two queries for their number"),
        (f"/* what\n follows */\n{LIMITED.replace('id >', ':x >')}", 3, ":x has no value"),
    ],
)
def test_a_file_of_queries_that_cannot_be_meant(
    lite: Table, text: str, line: int, what: str
) -> None:
    (lite.folder / "schedules" / "q.sql").write_text(text)
    source = f'[source]\nkind = "sql"\nevery = "5m"\n{URL}query_file = "q.sql"\n'
    error = refused(build.campaign(lite.folder, source=source))
    assert what in str(error)
    assert (error.file or "").endswith("q.sql")
    assert error.line in {line, None}


@pytest.mark.parametrize(
    "order", ["id", "s.id", '"id"', "`s`.`ID`", "[id]", "id ASC", "id NULLS LAST", "id, name", "1"]
)
def test_orders_by_the_key(order: str) -> None:
    text = f"SELECT id FROM (SELECT * FROM s ORDER BY name) WHERE id > :cursor ORDER BY {order}"
    for end in (" LIMIT :limit", "\nFETCH FIRST :limit ROWS ONLY"):
        assert statements.split(text + end)[0].problems((), "id") == []


def test_remarks_quotes_and_casts_hold_no_parameters() -> None:
    text = (
        "-- :a ; '\nSELECT ':b;', \":c\", `:d`, $x$:e;$x$, x::text, '10:30', '100%' /* :f; */\n"
        " WHERE a > :cursor AND b = :cursor ORDER BY 1 LIMIT :limit; ; "
    )
    (found,) = statements.split(text)
    assert found.names == {"cursor", "limit"}
    assert found.line == 2
    values = {"cursor": 5, "limit": 10}
    written, given_values = found.written("pyformat", values)
    assert "b = %(cursor)s" in written
    assert "'100%%'" in written
    assert "x::text" in written
    assert given_values == values
    written, given_values = found.written("qmark", values)
    assert (written.count("?"), given_values) == (3, (5, 5, 10))
    assert "'100%'" in written
    written, _ = found.written("numeric_dollar", values)
    assert "$1" in written


@given(st.text(alphabet="ab:'\"`-/*;$% \n(", max_size=40))
def test_cutting_queries_loses_nothing(text: str) -> None:
    for one in statements.split(text):
        written, _ = one.written("qmark", dict.fromkeys(one.names, 0))
        assert written.strip()
        assert one.line <= text.count("\n") + 1


EXAMPLES = re.findall(r"```toml\n(\[source\].*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) == 2


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_the_page_load(folder: pathlib.Path, example: str) -> None:
    section = build.campaign(folder, source=example).source
    assert section.kind == "sql"
    assert section.lists


# --- the connection ------------------------------------------------------------------------------


def test_nothing_can_be_written(table: Table) -> None:
    table.sign(1)
    where = database.place(table.url, table.folder / "schedules" / "faces.toml", None, 60)
    change = statements.split("DELETE FROM signatures")[0]
    with database.connect(where) as connection:
        for _ in range(2):
            with pytest.raises(errors.SourceError), connection.ask(change, {}) as answer:
                list(answer.rows)
    assert names(read(table.plan())) == people(1)


def test_a_query_that_hides_a_change_is_stopped(postgres_table: Table) -> None:
    postgres_table.sign(1)
    query = (
        "WITH gone AS (DELETE FROM signatures RETURNING id, name) "
        "SELECT id, name FROM gone WHERE id > :cursor ORDER BY id LIMIT :limit"
    )
    error = refused(postgres_table.plan(query, "{}"))
    assert "data-modifying" in str(error)
    assert names(read(postgres_table.plan())) == people(1)


SLOW = {
    "sqlite": "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) "
    "SELECT max(id) AS id, 'x' AS name FROM n WHERE id > :cursor ORDER BY id LIMIT :limit",
    "postgresql": "SELECT 1 AS id, 'x' AS name FROM pg_sleep(60) WHERE 0 <= :cursor "
    "ORDER BY 1 LIMIT :limit",
}


def test_a_query_without_end_is_stopped(table: Table) -> None:
    kind = table.engine.dialect.name
    error = refused(table.plan(SLOW[kind], "{}", 'timeout = "1s"'))
    assert "took longer than `timeout`, 1 s" in str(error)
    assert "index" in error.hint


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("SELECT id, name FROM signature WHERE", "signature"),
        ("SELECT id, nam FROM signatures WHERE", "nam"),
        ("SELECT id, name FORM signatures WHERE", "syntax error"),
    ],
)
def test_the_database_says_what_is_wrong_with_a_query(table: Table, query: str, what: str) -> None:
    error = refused(table.plan(f"{query} id > :cursor ORDER BY id LIMIT :limit", "{}"))
    assert what in str(error)
    assert "by hand" in error.hint


def test_words_of_the_database_about_a_row_are_not_passed_on(postgres_table: Table) -> None:
    postgres_table.sign(1)
    query = (
        "SELECT id, name::int AS name FROM signatures WHERE id > :cursor ORDER BY id LIMIT :limit"
    )
    error = refused(postgres_table.plan(query, "{}"))
    assert "InvalidTextRepresentation 22P02" in str(error)
    assert "Person" not in str(error)


def test_words_of_mysql_about_names_alone_are_passed_on() -> None:
    """Its drivers raise a number and words; none is at hand here."""
    where = database.place("mysql://db.example/p", pathlib.Path("faces.toml"), None, 60)
    known = RuntimeError(1054, "Unknown column 'nam' in 'SELECT'")
    other = RuntimeError(1062, "Duplicate entry 'ada@mail.example' for key 'email'")
    said = [str(database._told(error, where, connecting=False)) for error in (known, other)]
    assert said[0].endswith("the database says: Unknown column 'nam' in 'SELECT'")
    assert said[1].endswith("the database says: RuntimeError 1062")


@pytest.mark.parametrize("content", [None, b"", b"no database at all, but long enough" * 200])
def test_a_file_that_is_no_database(folder: pathlib.Path, content: bytes | None) -> None:
    file = folder / "schedules" / "signatures.db"
    if content is not None:
        file.write_bytes(content)
    campaign = Table(folder, "sqlite:///signatures.db", sa.create_engine("sqlite://")).plan()
    error = refused(campaign)
    assert error.file == str(file)
    wanted = {None: "no such file", b"": "no such table"}.get(content, "damaged")
    assert wanted in str(error)
    assert file.exists() == (content is not None)


def test_a_server_that_is_not_there(folder: pathlib.Path) -> None:
    table = Table(
        folder, "postgresql://reader@127.0.0.1:1/petitions", sa.create_engine("sqlite://")
    )
    error = refused(table.plan())
    assert "does not let us in" in str(error)
    assert error.file == "postgresql://127.0.0.1:1/petitions"


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("mysql://db.example/p", "not installed: PyMySQL"),
        ("mysql+mysqldb://db.example/p", "not installed: mysqlclient"),
        ("oracle+oracledb://db.example/p", "not installed: oracledb"),
        ("nosuch://db.example/p", "kind of database 'nosuch'"),
        ("sqlite+aiosqlite:///x.db", "not"),
    ],
)
def test_a_driver_that_is_not_there(folder: pathlib.Path, url: str, what: str) -> None:
    error = refused(Table(folder, url, sa.create_engine("sqlite://")).plan())
    assert what in str(error)
    assert error.hint


def account(**more: Any) -> dict[str, accounts.Access]:
    known: dict[str, Any] = {"host": "db.example", "username": "reader"}
    known["password"] = pydantic.SecretStr("s3cr3t")
    return {"petitions": accounts.Access(**(known | more))}


def test_the_account_is_for_the_host_that_it_names(folder: pathlib.Path) -> None:
    file = folder / "schedules" / "faces.toml"
    url = "postgresql://db.example/petitions"
    where = database.place(url, file, account()["petitions"], 60)
    assert (where.url.username, where.url.password) == ("reader", "s3cr3t")
    assert "s3cr3t" not in repr(where)
    assert where.name == url
    with pytest.raises(errors.SourceError, match="for another host"):
        database.place(url, file, account(host="other.example")["petitions"], 60)


def test_an_account_that_is_not_there(lite: Table) -> None:
    campaign = lite.plan(more='access = "petition"')
    with pytest.raises(errors.SourceError, match="has no account 'petition'") as caught:
        read(campaign, access=account())
    assert "did you mean 'petitions'?" in caught.value.hint


def test_a_wrong_password_is_not_said(postgres_table: Table) -> None:
    """The cluster trusts everybody, so it is a user that it does not know."""
    made = sa.make_url(postgres_table.url)
    table = dataclasses.replace(postgres_table, url=made.render_as_string())
    campaign = table.plan(more='access = "petitions"')
    access = account(host="", username="nobody")
    with pytest.raises(errors.SourceError, match="nobody") as caught:
        read(campaign, access=access)
    assert "s3cr3t" not in str(caught.value)


# --- check ---------------------------------------------------------------------------------------


def test_a_look_takes_nothing_and_says_what_is_there(table: Table) -> None:
    table.sign(*range(1, 4))
    campaign = table.plan(more='count_query = "SELECT count(*) FROM signatures"')
    said = [(fault.level, fault.what) for fault in sources.look(campaign, now=build.NOW)]
    assert said[0][1].startswith("the database answers: ")
    assert ("ok", "it counts 3 signatures") in said
    assert any("name from 'name'" in what for _, what in said)
    assert {level for level, _ in said} == {"ok"}


def test_a_look_at_what_is_wrong(table: Table) -> None:
    query = "SELECT id, city AS town FROM signatures WHERE id > :cursor ORDER BY id LIMIT :limit"
    (fault,) = [
        fault
        for fault in sources.look(table.plan(query, "{}"), now=build.NOW)
        if fault.level == "fault"
    ]
    assert fault.what == "no column holds the signers' names"


def test_a_key_that_the_query_does_not_give(table: Table) -> None:
    query = "SELECT name FROM signatures WHERE id > :cursor ORDER BY id LIMIT :limit"
    assert "there is no column 'id'" in str(refused(table.plan(query, "{}")))
