"""A throw-away PostgreSQL cluster for the tests, from the binaries that Debian installs.

It listens on a Unix socket in its own temporary directory and nowhere else, writes nothing
to disk on purpose (``fsync=off``), and dies with the process that started it.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator

import psycopg
import pytest
import sqlalchemy

SUPERUSER = "deliverybot"
START_SECONDS = 30.0

#: Durability is what a test never needs: a crash of the machine loses the cluster anyway.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "50",
    "listen_addresses": "",
}


@pytest.fixture(params=["sqlite", "postgresql"])
def each_url(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> str:
    """Of an empty database of each kind; a module about both writes ``url = postgres.each_url``."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    return str(request.getfixturevalue("postgres_database"))


class Cluster:
    """A server that can be stopped and started again."""

    def __init__(self, home: pathlib.Path) -> None:
        self._home = home
        self._running = contextlib.ExitStack()
        #: Of its empty database ``postgres``.
        self.url = sqlalchemy.URL.create(
            "postgresql+psycopg", SUPERUSER, database="postgres", query={"host": str(home)}
        ).render_as_string(hide_password=False)

    def start(self) -> None:
        process = self._running.enter_context(_server(_binaries(), self._home))
        _wait_until_ready(sqlalchemy.make_url(self.url), process, self._home)

    def stop(self) -> None:
        """End it at once, as a restart does: whoever is connected is cut off."""
        self._running.close()


@contextlib.contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Run a cluster of its own."""
    home = pathlib.Path(tempfile.mkdtemp(prefix="deliverybot-pg-"))
    try:
        # PostgreSQL refuses to run as root, so root runs it as the user that Debian made for it.
        if os.geteuid() == 0:
            os.chown(home, pwd.getpwnam("postgres").pw_uid, -1)
        _initdb(_binaries(), home)
        cluster = Cluster(home)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def running_postgres() -> Iterator[str]:
    """Run a cluster; yields the SQLAlchemy URL of its empty database ``postgres``."""
    with running_cluster() as cluster:
        yield cluster.url


def copied(url: str) -> str:
    """Copy a database within its cluster; the copy's own URL."""
    made, name = sqlalchemy.make_url(url), f"t{uuid.uuid4().hex}"
    with _connect(made.set(database="postgres")) as connection:
        command = psycopg.sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        names = (psycopg.sql.Identifier(one) for one in (name, made.database or ""))
        connection.execute(command.format(*names))
    return made.set(database=name).render_as_string(hide_password=False)


def fresh_database(url: str) -> str:
    """Create an empty database in the cluster at ``url``; its own URL."""
    name = f"t{uuid.uuid4().hex}"
    made = sqlalchemy.make_url(url)
    with _connect(made) as connection:
        connection.execute(
            psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name))
        )
    return made.set(database=name).render_as_string(hide_password=False)


def _binaries() -> pathlib.Path:
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_major_version)
    if not found:
        raise FileNotFoundError("no PostgreSQL server is installed: `make setup` installs it")
    return found[-1].parent


def _major_version(initdb: pathlib.Path) -> float:
    return float(initdb.parent.parent.name)


def _as_ourselves_or_postgres(*options: str) -> list[str]:
    user = ["--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    return ["setpriv", *options, *user, "--"]


def _initdb(binaries: pathlib.Path, home: pathlib.Path) -> None:
    command = [
        *_as_ourselves_or_postgres(),
        str(binaries / "initdb"),
        f"--pgdata={home / 'data'}",
        f"--username={SUPERUSER}",
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--no-sync",
    ]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"initdb failed:\n{done.stdout}{done.stderr}")


@contextlib.contextmanager
def _server(binaries: pathlib.Path, home: pathlib.Path) -> Iterator[subprocess.Popen[bytes]]:
    settings = SETTINGS | {"unix_socket_directories": str(home)}
    with (
        (home / "log").open("wb") as log,
        subprocess.Popen(
            [
                # SIGQUIT is PostgreSQL's immediate stop; the kernel sends it if pytest is killed.
                *_as_ourselves_or_postgres("--pdeathsig=QUIT"),
                str(binaries / "postgres"),
                "-D",
                str(home / "data"),
                *(f"--{name}={value}" for name, value in settings.items()),
            ],
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C in the terminal is for pytest, which stops us in turn
        ) as process,
    ):
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)  # what was committed is kept
            process.wait(START_SECONDS)


def _wait_until_ready(
    url: sqlalchemy.URL, process: subprocess.Popen[bytes], home: pathlib.Path
) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            _connect(url).close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(
                    f"PostgreSQL did not start:\n{(home / 'log').read_text()}"
                ) from None
            time.sleep(0.05)
        else:
            return


def _connect(url: sqlalchemy.URL) -> psycopg.Connection:
    return psycopg.connect(
        host=str(url.query["host"]), user=url.username, dbname=url.database, autocommit=True
    )
