"""Files that grow at their end: where we stand in one, and its lines.

A `Mark` says how far a file was read and proves that what was read is still
there unchanged, so that a second reading costs only what is new.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import IO, BinaryIO, NamedTuple, Self

from deliverybot import errors

#: Longest line and longest record, in bytes; more is no signature but an accident or an attack.
LIMIT = 1 << 20
#: Bytes at the start of the file and before the mark that prove the file unchanged.
PROOF = 4096
#: Seconds that a file must have rested before its last line counts without a line end.
REST = 60

#: Why a row is left out, in words that fit after "this row was left out: ".
TOO_LONG = "it is longer than 1 MiB"
LATE = "it goes on with a row that was taken as it stood a minute after it was written"

_VERSION = 1


class Row(NamedTuple):
    """One row of a file, or the reason why it cannot be taken."""

    #: Offset in bytes and number of the line right after this row.
    end: int
    end_line: int
    #: Line that the row begins in, from 1.
    line: int
    #: The row's texts in the order of `columns.FIELDS`; None if the row cannot be taken.
    values: tuple[str, ...] | None
    #: Why not, in a few words that fit after "this row was left out: ".
    problem: str = ""

    @classmethod
    def of(cls, number: int, values: tuple[str, ...] | str) -> Self:
        """Return a row of what has no bytes and lines, only numbers; a text is its problem."""
        if isinstance(values, str):
            return cls(number, number, number, None, values)
        return cls(number, number, number, values)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How far a file was read, and how it is written."""

    kind: str
    #: Bytes and lines taken; the next row begins right here.
    offset: int
    line: int
    #: Rows seen so far, good and bad; the position of a row that has no other key.
    rows: int
    #: As Python names it; "ascii" as long as nothing tells one encoding from another.
    encoding: str
    delimiter: str = ""
    #: The heading of a CSV; for JSON lines the consent fields met so far.
    header: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file that is open for reading."""

    #: As a person would name it.
    name: str
    raw: IO[bytes]
    size: int
    #: Tells whether nobody seems to be writing, so that an unfinished last line counts.
    settled: Callable[[], bool]

    def at(self, offset: int, count: int) -> bytes:
        """Return up to `count` bytes from `offset`; the reading place stays where it is."""
        return os.pread(self.raw.fileno(), count, offset)

    def cut_before(self, mark: Mark) -> bool:
        """Tell whether the last row taken had no line end when it was taken."""
        newline = newline_of(mark.encoding)
        before = self.at(max(0, mark.offset - len(newline)), len(newline))
        return mark.rows > 0 and before != newline


@contextlib.contextmanager
def open_file(path: pathlib.Path, *, now: datetime | None, pipes: bool = False) -> Iterator[File]:
    """Open a file; without `now` its last line counts as it stands.

    A pipe or a device is read to its end only with `pipes`, where a person
    who waits has named it: one may never open, and one never ends.

    Raises:
        errors.SourceError: The file is missing, no file or not readable.
    """
    name = str(path)
    try:
        mode = path.stat().st_mode
        if not (pipes or stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            hint = "`deliverybot signatures import` takes what comes from a pipe"
            raise errors.SourceError("it is no plain file", file=name, hint=hint)
        raw = path.open("rb", buffering=1 << 18)
    except FileNotFoundError:
        hint = "check `path` under [source]; it is relative to the campaign's own file"
        raise errors.SourceError("there is no such file", file=name, hint=hint) from None
    except OSError as error:
        reason = f"the file cannot be read: {error.strerror}"
        hint = "it must be a plain file that the account of deliverybot may read"
        raise errors.SourceError(reason, file=name, hint=hint) from None
    with raw:
        status = os.fstat(raw.fileno())
        if not stat.S_ISREG(status.st_mode):
            with open_stream(raw, name=name) as spooled:
                yield spooled
            return

        def settled() -> bool:
            written = os.fstat(raw.fileno()).st_mtime
            return now is None or now.timestamp() - written >= REST

        yield File(name=name, raw=raw, size=status.st_size, settled=settled)


@contextlib.contextmanager
def open_stream(stream: BinaryIO, *, name: str) -> Iterator[File]:
    """Copy a stream into a nameless temporary file and open that.

    The encoding can be told only from the whole, and a pipe is read once.
    """
    with tempfile.TemporaryFile(buffering=1 << 18) as raw:
        shutil.copyfileobj(stream, raw, 1 << 18)
        raw.flush()
        size = raw.tell()
        raw.seek(0)
        yield File(name=name, raw=raw, size=size, settled=lambda: True)


def dump(mark: Mark, file: File, secret: bytes) -> str:
    """Write a mark as JSON, with the proof that the file is unchanged so far."""
    head, tail = _proof(file, mark.offset, secret)
    fields = dataclasses.asdict(mark) | {"head": head, "tail": tail, "version": _VERSION}
    return json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def load(text: str, file: File, secret: bytes) -> Mark | None:
    """Read a mark back; None if the file is no longer what it was, or the text is no mark."""
    try:
        fields = json.loads(text)
        head, tail, version = fields.pop("head"), fields.pop("tail"), fields.pop("version")
        mark = Mark(**fields | {"header": tuple(fields["header"])})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    if version != _VERSION or mark.offset > file.size:
        return None
    return mark if (head, tail) == _proof(file, mark.offset, secret) else None


def _proof(file: File, offset: int, secret: bytes) -> tuple[str, str]:
    # Keyed, since a mark is stored and the bytes behind it hold addresses.
    start = max(0, offset - PROOF)
    parts = file.at(0, min(PROOF, offset)), file.at(start, offset - start)
    key = hashlib.blake2b(secret).digest()
    head, tail = (hashlib.blake2b(p, key=key, digest_size=16).hexdigest() for p in parts)
    return head, tail


def newline_of(encoding: str) -> bytes:
    """Return the bytes that end a line."""
    return "\n".encode(encoding)


def lines(file: File, mark: Mark) -> Iterator[tuple[int, bytes | None]]:
    """Give each line after the mark: its size in bytes and itself with its line end.

    A line over `LIMIT` comes as None: it is passed over without being held.
    A last line without an end comes only if the file has settled.
    """
    newline = newline_of(mark.encoding)
    raw = file.raw
    raw.seek(mark.offset)
    take = raw.readline if len(newline) == 1 else _wide_reader(raw, newline)
    while line := take(LIMIT + 1):
        size = len(line)
        ended = line.endswith(newline)
        while not ended and len(line) > LIMIT and (more := take(LIMIT + 1)):
            size += len(more)
            ended = more.endswith(newline)
            if ended or len(more) <= LIMIT:
                break
        if not ended and not file.settled():
            return
        yield size, line if size <= LIMIT else None


def _wide_reader(raw: IO[bytes], newline: bytes) -> Callable[[int], bytes]:
    """Return a readline for encodings whose line end is two or four bytes."""
    width = len(newline)

    def take(limit: int) -> bytes:
        line = b""
        while len(line) < limit and (piece := raw.readline(limit)):
            line += piece
            line += raw.read(-len(line) % width)
            if line.endswith(newline):
                break
        return line

    return take
