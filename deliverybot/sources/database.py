"""The one door to databases that hold signatures: opened for reading, and nothing else.

Each query is a transaction of its own, which only reads and has a time limit,
as far as the database knows these.  What a driver says may hold a row or a
password; only words that are about names and syntax are passed on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import re
import sqlite3
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import exc

from deliverybot import access as accounts
from deliverybot import errors, screen
from deliverybot.origins import statements

#: Seconds until a database must have taken a connection, and that SQLite waits for a writer.
_CONNECT, _BUSY = 10, 30
#: Rows that are fetched at a time: a row may be large, and a driver holds all that it fetches.
_FETCHED = 100
#: Steps of SQLite between two looks at the clock; a few milliseconds.
_STEPS = 100_000
#: The drivers that are taken where the address names none.
_DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
#: The package that holds a driver's module, where it is called otherwise.
_PACKAGES = {"MySQLdb": "mysqlclient", "pymysql": "PyMySQL", "cx_Oracle": "cx-Oracle"}
#: PostgreSQL's numbers of text, date, timestamp and timestamptz.
_TEXT, _DATE, _STAMP, _ZONED = 25, 1082, 1114, 1184
_TIMES = {
    _DATE: date.fromisoformat,
    _STAMP: datetime.fromisoformat,
    _ZONED: datetime.fromisoformat,
}
#: Errors whose words are about names, syntax, rights and servers, never about rows: classes of
#: SQLSTATE (42: names and syntax, 28: login, 53 and 57: server), MySQL's numbers, SQLite's words.
_STATES = ("42", "28", "3D", "53", "57", "0A", "25")
_NUMBERS = {1044, 1045, 1049, 1054, 1064, 1142, 1143, 1146, 1205, 1305, 1792, 1969, 3024}
_SQLITE = re.compile(
    r"no such |near |database is locked|attempt to write|interrupted|unable to open|"
    r"file is not a database|database disk image|disk I/O|ambiguous column|incomplete input|"
    r"unrecognized token|wrong number of arguments|not authorized"
)
#: The class of SQLSTATE of values that do not fit.
_DATA = "22"
_SAID_MAX = 300


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a database is and how it is asked."""

    url: sa.URL = dataclasses.field(repr=False)
    #: As a person may read it: without user, password and options.
    name: str
    #: Seconds that one query may take.
    seconds: int


class Answer(NamedTuple):
    """What a query gives: its columns, and its rows as they come."""

    header: tuple[str, ...]
    rows: Iterator[Sequence[object]]


def place(url: str, campaign: pathlib.Path, account: accounts.Access | None, seconds: int) -> Place:
    """Return where a database is; the file of SQLite is relative to the campaign's own.

    Raises:
        errors.SourceError: The account is for another host, or nobody knows the kind of database.
    """
    try:
        made = sa.make_url(url)
    except (exc.ArgumentError, ValueError):
        hint = "special signs in it are written as %40 for @, %2F for / and so on"
        what = "the address of the database cannot be understood"
        raise errors.SourceError(what, hint=hint, file=str(campaign)) from None
    if made.get_backend_name() == "sqlite":
        file = campaign.parent / (made.database or "")
        return Place(url=made.set(database=str(file)), name=str(file), seconds=seconds)
    made = made.set(drivername=_DRIVERS.get(made.drivername, made.drivername))
    name = sa.URL.create(
        made.get_backend_name(), host=made.host, port=made.port, database=made.database
    )
    found = Place(url=made, name=name.render_as_string(), seconds=seconds)
    if account is None:
        return found
    if (account.host or "").lower() != (made.host or "").lower():
        what = "the account is for another host than that of the database"
        hint = f"host = {made.host or ''!r} in its section [access.NAME] of config.toml"
        raise errors.SourceError(what, hint=hint, file=found.name)
    password = account.password.get_secret_value()
    user = account.username or made.username
    return dataclasses.replace(found, url=made.set(username=user, password=password or None))


class Connection:
    """An open connection."""

    def __init__(self, connection: sa.Connection, where: Place, clock: list[float]) -> None:
        self._connection = connection
        self._where = where
        self._clock = clock

    @property
    def kind(self) -> str:
        """What database it is, with its version, for people."""
        dialect = self._connection.dialect
        version = ".".join(map(str, dialect.server_version_info or ()))
        names = {"postgresql": "PostgreSQL", "sqlite": "SQLite", "mysql": "MySQL"}
        name = "MariaDB" if getattr(dialect, "is_mariadb", False) else names.get(dialect.name)
        return f"{name or dialect.name} {version}".strip()

    @property
    def guarded(self) -> bool:
        """Whether the database itself keeps us from writing."""
        return self._connection.dialect.name in {"sqlite", "postgresql", "mysql", "mariadb"}

    @contextlib.contextmanager
    def ask(self, query: statements.Statement, values: Mapping[str, object]) -> Iterator[Answer]:
        """Ask one query, in a transaction that only reads.

        Raises:
            errors.SourceError: The database refuses, takes too long, or goes away.
        """
        given: Any
        text, given = query.written(self._connection.dialect.paramstyle, values)
        self._clock[0] = time.monotonic() + self._where.seconds
        with _guard(self._where):
            self._limit()
            result = self._connection.exec_driver_sql(
                text, given, execution_options={"stream_results": True, "max_row_buffer": _FETCHED}
            )
            header = tuple(result.keys())
        try:
            yield Answer(header, self._rows(result))
        finally:
            with contextlib.suppress(Exception):
                result.close()
            with contextlib.suppress(Exception):
                self._connection.rollback()

    def _limit(self) -> None:
        """Tell a server how long a query may take; for a session, or for this transaction."""
        name, seconds = self._connection.dialect.name, self._where.seconds
        if name == "postgresql":
            for setting in (f"statement_timeout = {seconds * 1000}", "datestyle = ISO"):
                self._connection.exec_driver_sql(f"SET LOCAL {setting}")
        elif name in {"mysql", "mariadb"}:
            limit = f"max_statement_time = {seconds}"
            if not getattr(self._connection.dialect, "is_mariadb", False):
                limit = f"max_execution_time = {seconds * 1000}"
            self._connection.exec_driver_sql(f"SET SESSION {limit}")
            self._connection.exec_driver_sql("SET SESSION TRANSACTION READ ONLY")
            self._connection.rollback()

    def _rows(self, result: sa.CursorResult[Any]) -> Iterator[Sequence[object]]:
        description = result.cursor.description if result.cursor is not None else ()
        postgres = self._connection.dialect.name == "postgresql"
        numbers: list[Any] = [column[1] for column in description]
        reads = [_TIMES.get(number) if postgres else None for number in numbers]
        timed = any(reads)
        while True:
            with _guard(self._where):
                rows = result.fetchmany(_FETCHED)
            if not rows:
                return
            for row in rows:
                yield _timed(row, reads) if timed else tuple(row)


def _timed(
    row: Sequence[object], reads: Sequence[Callable[[str], object] | None]
) -> Sequence[object]:
    """Read PostgreSQL's times; one that Python has no place for stays a text."""
    cells = list(row)
    for place, read in enumerate(reads):
        cell = cells[place]
        if read is not None and isinstance(cell, str):
            with contextlib.suppress(ValueError):
                cells[place] = read(cell)
    return cells


@contextlib.contextmanager
def connect(where: Place) -> Iterator[Connection]:
    """Open a connection that cannot write, where the database knows such a thing.

    Raises:
        errors.SourceError: The database does not answer, or its driver is not installed.
    """
    clock = [time.monotonic() + where.seconds]
    engine = _engine(where, clock)
    try:
        with _guard(where, connecting=True):
            connection = engine.connect()
        with contextlib.closing(connection):
            yield Connection(connection, where, clock)
    finally:
        engine.dispose()


def _engine(where: Place, clock: list[float]) -> sa.Engine:
    url, options = where.url, dict[str, Any]()
    backend = url.get_backend_name()
    if backend == "sqlite":
        options["creator"] = lambda: _sqlite(where, clock)
    driver = url.drivername.partition("+")[2]
    if driver == "psycopg":
        # A pooler between us and the server knows no prepared statements.
        options["connect_args"] = _unless_said(
            url, connect_timeout=_CONNECT, application_name="deliverybot", keepalives_idle=30,
            keepalives_interval=10, keepalives_count=3, tcp_user_timeout=60_000,
        ) | {"prepare_threshold": None}  # fmt: skip
    elif driver in {"pymysql", "mysqldb"}:
        patience = where.seconds + _CONNECT
        options["connect_args"] = _unless_said(url, connect_timeout=_CONNECT, read_timeout=patience)
    if backend == "postgresql":
        options["execution_options"] = {"postgresql_readonly": True}
    try:
        engine = sa.create_engine(url, hide_parameters=True, poolclass=sa.NullPool, **options)
    except exc.NoSuchModuleError:
        hint = "see docs/sources/sql.md for those that are known to work"
        raise errors.SourceError(
            f"nobody here knows the kind of database {url.drivername!r}", hint=hint, file=where.name
        ) from None
    except ImportError as error:
        raise _no_driver(error, url, where) from None
    if engine.dialect.is_async:
        hint = f"leave out +{driver} in the address, or name another driver"
        raise errors.SourceError("this driver is for other programs", hint=hint, file=where.name)
    if driver == "psycopg":
        sa.event.listen(engine, "connect", _times_as_texts)
    return engine


def _unless_said(url: sa.URL, **options: object) -> dict[str, object]:
    """Return the options that the address does not say itself."""
    return {name: option for name, option in options.items() if name not in url.query}


def _no_driver(error: ImportError, url: sa.URL, where: Place) -> errors.SourceError:
    module = (error.name or url.drivername).partition(".")[0]
    package = _PACKAGES.get(module, module)
    return errors.SourceError(
        f"the driver for this database is not installed: {package}",
        hint=f"install it beside deliverybot, such as: pip install {package}",
        file=where.name,
    )


def _sqlite(where: Place, clock: list[float]) -> sqlite3.Connection:
    """Open a file that is there, for reading; stop what takes longer than the clock says."""
    file = pathlib.Path(where.name).absolute()
    connection = sqlite3.connect(
        f"file:{urllib.parse.quote(str(file))}?mode=ro", uri=True, timeout=_BUSY
    )
    connection.execute("PRAGMA query_only = ON")
    # One name in another encoding must not keep all others from being read.
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    connection.set_progress_handler(lambda: time.monotonic() > clock[0], _STEPS)
    return connection


def _times_as_texts(connection: Any, record: object) -> None:  # noqa: ANN401 - psycopg's own
    """Let PostgreSQL's times come as it writes them: Python has no "infinity" and no year 0."""
    del record
    adapters = connection.adapters
    for number in _TIMES:
        adapters.register_loader(number, adapters.get_loader(_TEXT, 0))


@contextlib.contextmanager
def _guard(where: Place, *, connecting: bool = False) -> Iterator[None]:
    """Say in our own words what a driver objects to."""
    try:
        yield
    except errors.SourceError:
        raise
    except Exception as error:  # noqa: BLE001 - drivers are many, and raise what they like
        # From None: the driver's own words may quote rows.
        raise _told(error, where, connecting=connecting) from None


def _told(error: Exception, where: Place, *, connecting: bool) -> errors.SourceError:
    own = getattr(error, "orig", None) or error
    words = _words(own, where, connecting=connecting)
    state = str(getattr(own, "sqlstate", None) or getattr(own, "pgcode", None) or "")
    if state == "57014" or "interrupted" in words or _number(own) in {1969, 3024}:
        what = f"the query took longer than `timeout`, {where.seconds} s"
        hint = "an index on the key and on what the query asks for; or raise `timeout`"
    elif "not a database" in words or "disk image" in words:
        what, hint = f"the database file is damaged: {words}", "restore it from a backup"
    elif "unable to open" in words and not pathlib.Path(where.name).is_file():
        what = "there is no such file"
        hint = "a path in `url` is relative to the campaign's own file: sqlite:///signatures.db"
    elif connecting:
        what = f"the database does not let us in: {words}"
        hint = "see that it runs, that the address is right, and user and password in [access.NAME]"
    elif getattr(error, "connection_invalidated", False) or state.startswith(("08", "57P")):
        what = f"the connection to the database was lost: {words}"
        hint = "the next reading goes on where this one stopped"
    else:
        what, hint = f"the database says: {words}", "try the query by hand, as the same user"
        if state.startswith(_DATA):
            hint = "see that `start` and the parameters are of the kind that the query compares"
    return errors.SourceError(what, hint=hint, file=where.name)


def _words(own: BaseException, where: Place, *, connecting: bool) -> str:
    """Return a driver's words if no row can stand in them, else the kind of error alone."""
    diagnosis = getattr(own, "diag", None)
    said = getattr(diagnosis, "message_primary", None) or str(own)
    if _number(own) and len(own.args) > 1:
        said = str(own.args[1])
    state = str(getattr(own, "sqlstate", None) or getattr(own, "pgcode", None) or "")
    safe = state.startswith(_STATES) or _number(own) in _NUMBERS
    safe |= isinstance(own, sqlite3.Error) and _SQLITE.match(said) is not None
    if not (safe or connecting):
        return f"{type(own).__name__} {state or _number(own) or ''}".strip()
    password = where.url.password or ""
    plain = screen.unsaid(" ".join(said.split()), where.url.username or "", password)
    return screen.without_private(plain)[:_SAID_MAX] or type(own).__name__


def _number(own: BaseException) -> int:
    """Return MySQL's number of an error; 0 for others."""
    first = own.args[0] if own.args else 0
    return first if isinstance(first, int) else 0
