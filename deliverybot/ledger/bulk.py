"""Many signatures at once, as each database does it fastest.

SQLAlchemy's own insert of a dict for each row, and its IN of thousands of
values, cost several times what the databases themselves do.  So the rows come
here as tuples, and go to the driver as they are.  Keys go as bytearrays and
permissions as numbers: for bytes and booleans Python's sqlite3 asks its
adapters, each time, which takes longer than the rest of the binding.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

#: Keys in one question to SQLite; more of them are no faster, and it takes 999 at least.
_ASKED = 500
_POSTGRES = """
SELECT asked.key, found.number FROM unnest(%s::bytea[]) AS asked (key) CROSS JOIN LATERAL (
  SELECT number FROM signatures WHERE campaign_id = %s AND {column} = asked.key LIMIT 1
) AS found"""
_SQLITE = """
WITH asked (key) AS (VALUES {marks})
SELECT asked.key, found.number FROM asked CROSS JOIN signatures AS found
  ON found.campaign_id = ? AND found.{column} = asked.key"""


def numbers(
    tx: sa.Connection, campaign_id: int, column: str, keys: Sequence[bytes]
) -> dict[bytes | None, int]:
    """Return the numbers of the signatures whose `column` holds one of these keys.

    Both queries make the database look up key by key: to find thousands of
    keys with IN, a planner without statistics reads the whole table.
    """
    if not keys:
        return {}
    if tx.dialect.name != "sqlite":
        # Written by hand: psycopg looks at each key of a list with a regular expression.
        asked = "{" + ",".join([rf'"\\x{key.hex()}"' for key in keys]) + "}"
        query = _POSTGRES.format(column=column)
        found = tx.exec_driver_sql(query, (asked, campaign_id))
        return {bytes(key): number for key, number in found}
    known: dict[bytes | None, int] = {}
    for start in range(0, len(keys), _ASKED):
        part = map(bytearray, keys[start : start + _ASKED])
        question = _question(column, len(keys[start : start + _ASKED]))
        known.update(tuple(row) for row in tx.exec_driver_sql(question, (*part, campaign_id)))
    return known


@functools.lru_cache(maxsize=8)
def _question(column: str, count: int) -> str:
    return _SQLITE.format(column=column, marks=", ".join(["(?)"] * count))


def insert(tx: sa.Connection, table: sa.Table, columns: Sequence[str], rows: Sequence[Any]) -> None:
    """Insert tuples of what these columns hold; times as `tables.text` writes them."""
    into = f"{table.name} ({', '.join(columns)})"
    if tx.dialect.name == "sqlite":
        marks = ", ".join("?" * len(columns))
        tx.exec_driver_sql(f"INSERT INTO {into} VALUES ({marks})", rows)  # noqa: S608 - our own names
        return
    cursor: Any = tx.connection.cursor()
    try:
        with cursor, cursor.copy(f"COPY {into} FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    except tx.dialect.loaded_dbapi.Error as error:
        # As SQLAlchemy would raise it; from None, since it quotes the row.
        refused = isinstance(error, tx.dialect.loaded_dbapi.IntegrityError)
        kind = exc.IntegrityError if refused else exc.DBAPIError
        raise kind(f"COPY {into}", None, error, hide_parameters=True) from None
