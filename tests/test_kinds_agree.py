"""The same signers as CSV, JSON lines, Parquet and a table are the same signers."""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import json
import os
import pathlib
import sqlite3
import tempfile
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet as pq

import build
from deliverybot import model, sources

FIELDS = ("id", "name", "email", "city", "country", "comment", "signed_at", "public")
Row = dict[str, Any]

#: All that UTF-8 can write, what is common and what is odd in equal parts.
TEXTS = st.one_of(
    st.text("abcÄß' ,;\"\t-", max_size=20),
    st.text(st.characters(codec="utf-8"), max_size=20),
    st.sampled_from(["=1+1", 'O\'Neil, "Bo"', "a@mail.example", "NULL", "0", "Zoë", "李雷"]),
)
TIMES = st.datetimes(
    dt.datetime(2000, 1, 1), dt.datetime(2030, 1, 1), timezones=st.just(dt.UTC)  # noqa: DTZ001
)  # fmt: skip
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "name": TEXTS,
            "email": st.just("") | st.from_regex(r"[a-z]{1,8}@mail\.example", fullmatch=True),
            "city": TEXTS,
            "country": TEXTS,
            "comment": TEXTS,
            "signed_at": st.none() | TIMES,
            "public": st.booleans(),
        }
    ),
    min_size=1,
    max_size=12,
)  # fmt: skip


def plain(row: Row) -> list[object]:
    """A row as a file of text has it."""
    texts = row | {"signed_at": row["signed_at"].isoformat() if row["signed_at"] else ""}
    return [texts[field] for field in FIELDS]


def write_csv(file: pathlib.Path, rows: list[Row]) -> None:
    with file.open("w", encoding="utf-8", newline="") as opened:
        # Quoted, so that a lone comma or quote in a name is nobody's guess.
        writer = csv.writer(opened, quoting=csv.QUOTE_ALL)
        writer.writerows([FIELDS, *map(plain, rows)])


def write_jsonl(file: pathlib.Path, rows: list[Row]) -> None:
    lines = [json.dumps(dict(zip(FIELDS, plain(row), strict=True))) for row in rows]
    file.write_text("".join(f"{line}\n" for line in lines))


def write_parquet(file: pathlib.Path, rows: list[Row]) -> None:
    kinds = {
        "id": pa.int64(),
        "signed_at": pa.timestamp("us", tz="UTC"),
        "public": pa.bool_(),
    }
    schema = pa.schema([(field, kinds.get(field, pa.string())) for field in FIELDS])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), file, row_group_size=5)


def write_sql(file: pathlib.Path, rows: list[Row]) -> None:
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute(f"CREATE TABLE signers ({', '.join(FIELDS)})")
        marks = ", ".join("?" * len(FIELDS))
        database.executemany(f"INSERT INTO signers VALUES ({marks})", map(plain, rows))
        database.commit()


QUERY = f"SELECT {', '.join(FIELDS)} FROM signers WHERE id > :cursor ORDER BY id LIMIT :limit"
KINDS = {
    "csv": (write_csv, 'path = "signers.csv"'),
    "jsonl": (write_jsonl, 'path = "signers.jsonl"'),
    "parquet": (write_parquet, 'path = "signers.parquet"'),
    "sql": (write_sql, f'url = "sqlite:///signers.sql"\nquery = "{QUERY}"'),
}


def read(folder: pathlib.Path, kind: str) -> tuple[model.Signer, ...]:
    source = f'[source]\nkind = "{kind}"\nevery = "5m"\n{KINDS[kind][1]}\n'
    campaign = build.campaign(folder, source=source)
    batches = sources.read(campaign, cursor=None, secret=b"k" * 32, now=build.NOW, batch=5)
    return tuple(signer for batch in batches for signer in batch.signers)


@settings(max_examples=10)
@given(rows=ROWS)
def test_the_kinds_agree(rows: list[Row]) -> None:
    numbered = [{"id": number, **row} for number, row in enumerate(rows, 1)]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "schedules").mkdir()
        for kind, (write, _) in KINDS.items():
            file = folder / "schedules" / f"signers.{kind}"
            write(file, numbered)
            os.utime(file, (0, 0))
        found = {kind: read(folder, kind) for kind in KINDS}
    assert len(found["sql"]) == len(rows)
    for kind in KINDS:
        assert found[kind] == found["sql"], kind
