"""Files that appear on disk whole or not at all, and are never overwritten."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import tempfile
from collections.abc import Iterable, Iterator

from deliverybot import errors

#: Ends the passing name of a file that is not whole yet; `letters.sweep` clears those away.
PART = ".part"


@contextlib.contextmanager
def part(folder: pathlib.Path) -> Iterator[tuple[int, pathlib.Path]]:
    """Make a hidden file that only we may read, open for `write`; it is gone afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", suffix=PART, dir=folder)
    try:
        yield handle, pathlib.Path(name)
    finally:
        pathlib.Path(name).unlink(missing_ok=True)


def sha256(path: pathlib.Path) -> str:
    """Return a file's SHA-256, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write(handle: int, content: bytes) -> None:
    """Write all of a file, have it on disk, and close it."""
    pour(handle, (content,))


def pour(handle: int, chunks: Iterable[bytes]) -> None:
    """Write a file chunk by chunk, have it on disk, and close it."""
    with os.fdopen(handle, "wb") as file:
        file.writelines(chunks)
        file.flush()
        os.fsync(file.fileno())


def name(part_: pathlib.Path, path: pathlib.Path) -> None:
    """Give a written file its own name, on disk; raises FileExistsError where that is taken."""
    os.link(part_, path)
    keep(path.parent)


def keep(folder: pathlib.Path) -> None:
    """Have a folder's names on disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def put(path: pathlib.Path, content: bytes) -> None:
    """Write a file whole; raises FileExistsError, and changes nothing, where it is there."""
    with part(path.parent) as (handle, draft):
        write(handle, content)
        name(draft, path)


def check(folder: pathlib.Path, what: str) -> list[errors.Fault]:
    """Try whether a folder can be written; `what` names what goes there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        wrong = f"{what} cannot be written to {folder}: {error.strerror}"
        hint = "make the folder writable, or set another state_dir"
        return [errors.Fault(level="fault", what=wrong, hint=hint)]
    return [errors.Fault(level="ok", what=f"{what} go to the folder {folder}")]
