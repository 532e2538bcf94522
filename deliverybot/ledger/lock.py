"""One daemon on one SQLite file: a lock that the system frees at any death."""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import os
import pathlib
import socket
from collections.abc import Iterator

from deliverybot import errors


@contextlib.contextmanager
def only_one(database: pathlib.Path, now: dt.datetime) -> Iterator[None]:
    """Hold the lock beside a database file while the block runs.

    Raises LedgerLocked, naming the holder, when another process has it.  The
    file stays; only the lock on it counts, and SIGKILL frees it too.
    """
    database = database.resolve()  # a second name of the file is no second file
    file = database.with_name(database.name + ".lock")
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
            message = f"another deliverybot works on {database}: {holder or 'unknown'}"
            raise errors.LedgerLocked(
                message, hint="stop that one first, or give this one a database of its own"
            ) from None
        os.ftruncate(descriptor, 0)
        since = now.strftime("%Y-%m-%d %H:%M:%S UTC")
        os.pwrite(
            descriptor, f"process {os.getpid()} on {socket.gethostname()} since {since}".encode(), 0
        )
        yield
    finally:
        os.close(descriptor)
