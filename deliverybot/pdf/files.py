"""Files that a child process makes: on disk, and whole, or not there at all."""

from __future__ import annotations

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

from deliverybot import disk


@contextlib.contextmanager
def whole(path: pathlib.Path, draft: pathlib.Path | None = None) -> Iterator[BinaryIO]:
    """Open a file that takes its name, and the place of an older one, once it is on disk.

    Till then it is in the folder `draft`, on the same disk, or else beside its place.
    """
    where = draft or path.parent
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=disk.PART, dir=where)
    part = pathlib.Path(name)
    try:
        os.close(handle)
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        disk.keep(path.parent)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def tidy(path: pathlib.Path) -> Iterator[None]:
    """Remove what a child that was killed left half written beside `path`."""
    try:
        yield
    finally:
        for part in path.parent.glob(f".{path.name}.*{disk.PART}"):
            part.unlink(missing_ok=True)
