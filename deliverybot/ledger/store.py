"""Connections, transactions and the audit log, the same on both databases.

``Store.write`` opens one transaction in which a change of state and its audit
row are written together; nothing else in the package commits.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import os
import pathlib
import sqlite3
import time
from collections.abc import Collection, Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from deliverybot import errors
from deliverybot.ledger import tables

#: Seconds that a writer waits for another one on SQLite.
BUSY_SECONDS = 30
#: Seconds that a writer on PostgreSQL may say nothing in the middle of a change: a process or a
#: machine that was put to sleep there would keep everybody else waiting.
IDLE_SECONDS = 60
#: Tables with words of signers, or of people about them.
_TEXTS = ("signatures", "deliveries", "posts", "returns", "audit", "arrivals")


class Store:
    """One database and the transactions on it."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        self.sqlite = self._engine.dialect.name == "sqlite"
        self.file = pathlib.Path(self._engine.url.database or "") if self.sqlite else None
        #: The installation's key, under which suppressed addresses are told; empty until known.
        self.secret = b""
        #: As it may be shown: without a password, which may stand behind a "?", too.
        self.shown = self._engine.url.set(query={}).render_as_string(hide_password=True)

    @property
    def engine(self) -> sa.Engine:
        """The SQLAlchemy engine, for migrations."""
        return self._engine

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Open a transaction that only reads, on one state of the database."""
        options = {} if self.sqlite else {"isolation_level": "REPEATABLE READ"}
        with self._guard(), self._engine.connect() as plain:
            connection = plain.execution_options(**options)
            with connection.begin():
                yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Open a transaction that writes; all of it is kept, on disk, or none."""
        with self._guard(), self._engine.connect() as plain:
            connection = plain.execution_options(deliverybot_write=True)
            with connection.begin():
                yield connection

    @contextlib.contextmanager
    def change(self) -> Iterator[sa.Connection]:
        """Open a writing transaction that may append to the audit log.

        On PostgreSQL it locks the head of the log first, so changes of state
        queue up in one order everywhere and cannot deadlock; who falls asleep
        with it loses it.  On SQLite there is one writer anyway.
        """
        with self.write() as connection:
            if not self.sqlite:
                patience = f"{IDLE_SECONDS}s"
                connection.execute(
                    sa.select(
                        tables.meta.c.value,
                        sa.func.set_config("idle_in_transaction_session_timeout", patience, True),  # noqa: FBT003 - for this transaction alone
                    )
                    .where(tables.meta.c.key == "audit_head")
                    .with_for_update()
                )
            yield connection

    def compact(self) -> bool:
        """Write the database anew, so that nothing of what was deleted stays in its files.

        False where somebody reads in it just now, so that the write-ahead log
        could not be emptied.  SQLite overwrites what is deleted, and yet pages
        that were split keep copies of rows.  On PostgreSQL the tables that hold
        people's texts are written anew; they are locked meanwhile.
        """
        with self._guard():
            if not self.sqlite:
                options = {"isolation_level": "AUTOCOMMIT"}
                with self._engine.connect().execution_options(**options) as connection:
                    for table in _TEXTS:
                        connection.exec_driver_sql(f"VACUUM (FULL, ANALYZE) {table}")
                return True
            raw = self._engine.raw_connection()
            try:
                return _rewritten(raw.cursor())
            except sqlite3.Error as error:
                raise _plain(exc.DBAPIError("", None, error), self.shown) from None
            finally:
                raw.close()

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except exc.DBAPIError as error:
            # From None: PostgreSQL's own error quotes whole rows, signers' names among them.
            raise _plain(error, self.shown) from None


def _plain(error: exc.DBAPIError, shown: str) -> errors.LedgerError:
    """Say in plain words what the database objects to."""
    # PostgreSQL's first line says what is wrong; its DETAIL quotes the row.
    diagnosis = getattr(error.orig, "diag", None)
    said = " ".join((getattr(diagnosis, "message_primary", None) or str(error.orig)).split())
    if "disk is full" in said or "No space left" in said:
        return errors.LedgerError(
            f"no room on the disk for the database {shown}: {said}",
            hint="free some space; nothing was lost, and the work goes on where it stopped",
        )
    if "not a database" in said or "malformed" in said:
        return errors.LedgerError(
            f"the database file is damaged: {shown}: {said}",
            hint="restore it from a backup; deliverybot never replaces it by an empty one",
        )
    return errors.LedgerError(
        f"the database {shown} says: {said}",
        hint="see that the server runs, the file can be written and the name is right",
    )


def _engine(url: str) -> sa.Engine:
    try:
        parsed = sa.engine.make_url(url)
    except exc.ArgumentError:
        message = "the database address cannot be understood"
        raise errors.LedgerError(
            message, hint='such as "sqlite:///var/deliverybot.db" or "postgresql://user@host/name"'
        ) from None
    # hide_parameters: an error must not carry signers' names into a log.
    if parsed.get_backend_name() != "sqlite":
        return sa.create_engine(parsed, hide_parameters=True, pool_pre_ping=True)
    if parsed.database:
        _private(pathlib.Path(parsed.database))
    engine = sa.create_engine(
        parsed,
        hide_parameters=True,
        # Last in, first out: the pages that a connection holds are those of its last work.
        pool_use_lifo=True,
        connect_args={"timeout": BUSY_SECONDS},
    )
    sa.event.listen(engine, "connect", _sqlite_connect)
    sa.event.listen(engine, "begin", _sqlite_begin)
    return engine


def _private(file: pathlib.Path) -> None:
    """Make a database file that only its owner can read; SQLite gives its others the same mode."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(OSError):  # SQLite says better what is wrong
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _sqlite_connect(connection: object, record: object) -> None:
    """Prepare a fresh connection; FULL, since a lost intent is a second mail."""
    del record
    connection.isolation_level = None  # type: ignore[attr-defined]
    cursor = connection.cursor()  # type: ignore[attr-defined]
    _write_ahead(cursor)
    for pragma in (
        "synchronous=FULL",
        "foreign_keys=ON",
        "secure_delete=ON",
        # 64 MiB: a million signatures touch pages everywhere, and a sixth of the CPU is saved.
        "cache_size=-65536",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _write_ahead(cursor: sqlite3.Cursor) -> None:
    """Switch to write-ahead logging; SQLite does not wait by itself while another one does."""
    for patience in reversed(range(BUSY_SECONDS * 10)):
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or not patience:
                raise
            time.sleep(0.1)
        else:
            return


def _rewritten(cursor: Any) -> bool:  # noqa: ANN401 - a driver's own cursor
    """Rewrite an SQLite database and empty its log; False where a reader keeps the log."""
    cursor.execute("VACUUM")
    cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    busy = bool(cursor.fetchone()[0])
    cursor.close()
    return not busy


def _sqlite_begin(connection: sa.Connection) -> None:
    """Take the write lock at once: a later upgrade could fail half-way."""
    writing = connection.get_execution_options().get("deliverybot_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def entry(connection: sa.Connection, key: str) -> str:
    """Return what `meta` holds under a key; empty when it holds nothing."""
    table = tables.meta
    return str(connection.scalar(sa.select(table.c.value).where(table.c.key == key)) or "")


def swap(connection: sa.Connection, key: str, old: str, new: str) -> bool:
    """Write `new` under a key of `meta` if `old` is still there; False if somebody was faster."""
    if entry(connection, key) != old:
        return False
    table = tables.meta
    connection.execute(sa.delete(table).where(table.c.key == key))
    if new:
        connection.execute(sa.insert(table), {"key": key, "value": new})
    return True


def work(table: sa.Table) -> sa.Select[Any]:
    """Ask for deliveries or posts, with the campaign and the milestone of each."""
    campaigns, milestones = tables.campaigns, tables.milestones
    slug, key = campaigns.c.slug.label("campaign"), milestones.c.key.label("milestone")
    joined = table.join(campaigns, table.c.campaign_id == campaigns.c.id)
    joined = joined.join(milestones, table.c.milestone_id == milestones.c.id)
    return sa.select(table, slug, key, milestones.c.crossed_at).select_from(joined)


def record(  # noqa: PLR0913 - the columns of one audit row
    connection: sa.Connection,
    *,
    at: dt.datetime,
    who: str,
    thing: str,
    ref: str | int,
    campaign: str,
    old: str,
    new: str,
    why: str,
) -> None:
    """Append one row to the audit log, chained to the row before it."""
    table = tables.audit
    last = connection.execute(
        sa.select(table.c.seq, table.c.hash).order_by(table.c.seq.desc()).limit(1)
    ).first()
    row = {
        "seq": last.seq + 1 if last else 1,
        "at": at,
        "who": who,
        "thing": thing,
        "ref": str(ref),
        "campaign": campaign,
        "old": old,
        "new": new,
        "why": why,
    }
    row["hash"] = chain(last.hash if last else "", row)
    connection.execute(sa.insert(table), row)
    head = {"value": f"{row['seq']} {row['hash']}"}
    connection.execute(sa.update(tables.meta).where(tables.meta.c.key == "audit_head"), head)


#: Stands in the log where words were that named somebody who is erased.
REDACTED = "[erased]"


def redact(tx: sa.Connection, rows: Collection[int], *, who: str, now: dt.datetime) -> None:
    """Take the words out of rows of the audit log, and write into it that this was done.

    Their hashes stay, so the chain holds; `Audit.verify` lets such a row pass
    where a later one says that it was redacted.
    """
    table = tables.audit
    for seq in rows:
        tx.execute(sa.update(table).where(table.c.seq == seq).values(why=REDACTED))
        record(
            tx, at=now, who=who, thing="audit", ref=seq, campaign="", old="", new="redacted",
            why="it named somebody who is erased",
        )  # fmt: skip


def chain(previous: str, row: dict[str, object]) -> str:
    """Hash one audit row together with the hash before it, as hex SHA-256."""
    at = row["at"].astimezone(dt.UTC)  # type: ignore[attr-defined]
    plain = {name: row[name] for name in ("seq", "who", "thing", "ref", "campaign", "old", "new")}
    plain |= {"why": row["why"], "at": at.strftime(tables.FORMAT)}
    text = json.dumps(plain, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(f"{previous}\n{text}".encode()).hexdigest()
