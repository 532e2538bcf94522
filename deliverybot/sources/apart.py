"""The parent's side of `arrow`: a process that may fail in our place."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import selectors
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

from deliverybot import errors, inside, screen
from deliverybot.sources import files

#: What the process may take: bytes of address space, seconds of processor time, seconds without
#: an answer, bytes of one line.
MEMORY, _CPU, _STALL, _LONGEST = 1_000_000_000, 3600, 120, 128 << 20
#: All that it may answer: so many times what the file holds, and something for small ones.
_TIMES, _SOME = 200, 64 << 20
_CHUNK = 1 << 18
_SAID_MAX = 200


def ask(file: files.File, job: Mapping[str, object]) -> Iterator[dict[str, Any]]:
    """Let a process of its own read a Parquet file; give each line that it answers.

    Raises:
        errors.SourceError: The reader is not installed, the file is damaged, or it
            needs more memory, time or room than a good one does.
    """
    if importlib.util.find_spec("pyarrow") is None:
        hint = "pip install 'deliverybot[parquet]', or export the file as CSV"
        what = "the reader of Parquet files is not installed"
        raise errors.SourceError(what, hint=hint, file=file.name)
    child = _start(file)
    try:
        assert child.stdin is not None  # noqa: S101 - for mypy
        with contextlib.suppress(BrokenPipeError):
            given = {**job, "file": file.raw.fileno()}
            child.stdin.write(inside.order(given, cpu=_CPU, memory=MEMORY))
            child.stdin.flush()
        for line in _lines(child, file):
            answer = json.loads(line)
            if "error" in answer:
                raise _refused(answer, file)
            yield answer
        if child.wait():
            raise _ended(child.returncode, file)
    finally:
        _end(child)


def _start(file: files.File) -> subprocess.Popen[bytes]:
    """Start the process: it knows nothing of our environment, and holds this one file."""
    # The other pools set memory aside beforehand, which counts against the limit.
    environment = inside.environment(ARROW_DEFAULT_MEMORY_POOL="system")
    return subprocess.Popen(  # noqa: S603 - our own module, no shell
        inside.command("deliverybot.sources.arrow"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        pass_fds=[file.raw.fileno()],
        start_new_session=True,
    )


def _end(child: subprocess.Popen[bytes]) -> None:
    """Make sure that the process is gone, whatever happened."""
    if child.poll() is None:
        inside.end(child.pid)
    child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def _lines(child: subprocess.Popen[bytes], file: files.File) -> Iterator[bytes]:
    """Give each line of the answer; a process that says nothing for long is given up."""
    assert child.stdout is not None  # noqa: S101 - for mypy
    handle, left = child.stdout.fileno(), _TIMES * file.size + _SOME
    waiting = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(handle, selectors.EVENT_READ)
        while True:
            if not selector.select(_STALL):
                raise _too_much(f"nothing came out of it for {_STALL} seconds", file)
            chunk = os.read(handle, _CHUNK)
            if not chunk:
                return
            left -= len(chunk)
            if left < 0 or len(waiting) > _LONGEST:
                raise _too_much(f"it unpacks to more than {_TIMES} times its size", file)
            *whole, rest = chunk.split(b"\n")
            for line in whole:
                yield bytes(waiting + line)
                waiting.clear()
            waiting += rest


def _refused(answer: Mapping[str, Any], file: files.File) -> errors.SourceError:
    if answer["error"] == "memory":
        return _too_much(f"reading it needs more than {MEMORY // 10**6} MB of memory", file)
    words = screen.without_private(screen.clean(str(answer.get("words", "")), _SAID_MAX))
    return errors.SourceError(
        f"the file is damaged: {words}",
        hint="write it again; what was read before it stays",
        file=file.name,
    )


def _ended(code: int, file: files.File) -> errors.SourceError:
    if code > 0:
        what = f"the process that reads the file could not start, or ended with status {code}"
        hint = "if deliverybot was updated just then, the next reading is right; else see "
        hint += "that its Python can import pyarrow"
        return errors.SourceError(what, hint=hint, file=file.name)
    return errors.SourceError(
        f"the process that reads the file was ended by signal {-code}",
        hint=f"the file is damaged, or it needs more than {MEMORY // 10**6} MB of memory; "
        "write it again, in smaller row groups",
        file=file.name,
    )


def _too_much(what: str, file: files.File) -> errors.SourceError:
    hint = "a file of signatures does not; write it again, in smaller row groups, or as CSV"
    return errors.SourceError(what, hint=hint, file=file.name)
