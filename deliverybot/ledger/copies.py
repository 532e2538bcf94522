"""A copy of the ledger in an SQLite file, as of one moment; the ledger itself is not touched."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sqlite3
import urllib.parse

import sqlalchemy as sa
from sqlalchemy import exc

from deliverybot import errors
from deliverybot.ledger import correspondence, migrate, store

#: Rows of PostgreSQL that are in memory at a time.
_ROWS = 2_000
#: Looks at a file that somebody writes meanwhile, before it is read under a lock.
_LOOKS = 3
_HINT = "see that the ledger is there and can be read, and that there is room for its copy"

#: All that a ledger holds; the tables around a letter stand in a module of their own.
_TABLES = correspondence.links.metadata.sorted_tables


def take(url: str, out: pathlib.Path) -> None:
    """Copy the ledger at an SQLAlchemy URL into a new file that only we may read.

    On SQLite the copy has the tables that the original has; on PostgreSQL those
    of this version, which the original must have, too.  Raises LedgerError.
    """
    handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    os.close(handle)
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        _sqlite(pathlib.Path(parsed.database or ""), out)
        return
    source = store.Store(url)
    target = store.Store(f"sqlite:///{out}")
    try:
        _rows(source, target)
    finally:
        source.close()
        target.close()


def _sqlite(file: pathlib.Path, out: pathlib.Path) -> None:
    """Copy a file of SQLite page by page.

    Opening a file in WAL mode leaves files beside it, and the last one to close
    it writes into it.  Where nobody has it open it is read as one that does not
    change, and looked at again afterwards.
    """
    log = file.with_name(file.name + "-wal")
    try:
        for _ in range(_LOOKS):
            if log.exists():
                break
            before = file.stat()
            _pages(file, out, "mode=ro&immutable=1")
            after = file.stat()
            same = (before.st_ino, before.st_size, before.st_mtime_ns) == (
                after.st_ino, after.st_size, after.st_mtime_ns,
            )  # fmt: skip
            if same and not log.exists():
                return
        _pages(file, out, "mode=ro")
    except (sqlite3.Error, OSError) as error:
        raise errors.LedgerError(f"{file} cannot be copied: {error}", hint=_HINT) from error


def _pages(file: pathlib.Path, out: pathlib.Path, how: str) -> None:
    path = urllib.parse.quote(str(file.absolute()))
    with (
        contextlib.closing(sqlite3.connect(f"file:{path}?{how}", uri=True)) as source,
        contextlib.closing(sqlite3.connect(out)) as target,
    ):
        source.backup(target)


def _rows(source: store.Store, target: store.Store) -> None:
    """Copy row by row, on one state of the database and in little memory."""
    migrate.upgrade(target)
    try:
        with source.read() as old, target.write() as new:
            migrate.require(old, source.shown)
            for table in reversed(_TABLES):
                new.execute(sa.delete(table))
            for table in _TABLES:
                found = old.execution_options(yield_per=_ROWS).execute(sa.select(table))
                for part in found.mappings().partitions():
                    new.execute(sa.insert(table), [dict(row) for row in part])
    except exc.SQLAlchemyError as error:
        raise errors.LedgerError(f"{source.shown} cannot be copied", hint=_HINT) from error
