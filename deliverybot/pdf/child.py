"""Child processes that do one job within limits, and die with their parent.

The parent calls `run`; the child calls `inside.confined` first of all.  The job
is a line on standard input, perhaps with more lines behind it; the child
answers with lines of JSON, the last of which is its report.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import pathlib
import signal
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar, cast

from deliverybot import errors, inside

#: What a child may know of our environment: where fonts are, and no secret.
_ENVIRONMENT = "HOME XDG_CACHE_HOME XDG_DATA_HOME FONTCONFIG_FILE FONTCONFIG_PATH".split()
#: How a person, a service manager or a kernel short of memory ends a process.
_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
_OUT_OF_MEMORY = (signal.SIGSEGV, signal.SIGABRT, signal.SIGTRAP, signal.SIGBUS)
#: How much of a child's last words is worth showing.
_LAST_WORDS = 300
#: Bytes handed to a child at a time, and of its longest line.
_CHUNK, _LONGEST = 64_000, 10_000_000
#: How often work is begun whose process is ended from outside.
TRIES = 3

_T = TypeVar("_T")
log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one job may cost; ``[pdf]`` in config.toml."""

    #: Seconds of processor time.
    cpu: int = 900
    #: Bytes of address space.
    memory: int = 4_000_000_000
    #: Seconds on the wall clock.
    time: int = 1800


async def run(
    module: str,
    job: Mapping[str, object],
    *,
    what: str,
    limits: Limits,
    work: pathlib.Path,
    more: Iterable[bytes] = (),
    hear: Callable[[dict[str, Any]], None] = lambda _: None,
) -> dict[str, Any]:
    """Let a child do a job; return its report.

    Paths in the job may be `pathlib.Path`.  `what` names the work in errors;
    `more` follows the job on the child's standard input; `hear` is called with
    each line of JSON before the last.
    Raises LetterError where a limit is hit or the child ends without a report,
    ChildEnded where it was ended from outside.
    """
    child = await asyncio.create_subprocess_exec(
        *inside.command(module), env=inside.environment(*_ENVIRONMENT), cwd=work,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, start_new_session=True, limit=_LONGEST,
    )  # fmt: skip
    try:
        order = inside.order(job, cpu=limits.cpu, memory=limits.memory)
        async with asyncio.timeout(limits.time):
            report, words = await _talk(child, order, more, hear)
    except TimeoutError:
        raise _limit(what, "time", _seconds(limits.time), "time") from None
    finally:
        if child.returncode is None:
            inside.end(child.pid)
            await child.wait()
    if child.returncode == -signal.SIGXCPU:
        raise _limit(what, "processor time", _seconds(limits.cpu), "cpu")
    if child.returncode or report is None:
        raise _broken(what, child.returncode or 0, words, limits)
    return report


async def again(work: Callable[[], Awaitable[_T]]) -> _T:
    """Do a piece of work; do it again, `TRIES` times in all, if its child is ended from outside.

    One that hits its own limits would hit them again.
    """
    for _ in range(TRIES - 1):
        try:
            return await work()
        except errors.ChildEnded as error:
            log.warning("%s\nit is done again", error)
    return await work()


async def _talk(
    child: asyncio.subprocess.Process,
    order: bytes,
    more: Iterable[bytes],
    hear: Callable[[dict[str, Any]], None],
) -> tuple[dict[str, Any] | None, str]:
    """Hand the job over and listen to the end; return the last line and the last words."""
    pipes = (child.stdin, child.stdout, child.stderr)
    entry, answers, complaints = cast("tuple[Any, Any, Any]", pipes)
    tasks = (
        asyncio.ensure_future(_feed(entry, order, more)),
        asyncio.ensure_future(_listen(answers, hear)),
        asyncio.ensure_future(complaints.read()),
    )
    _, listening, ending = tasks
    try:
        # Where `more` or `hear` fails, the child waits for what never comes: nobody waits for it.
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            if task.done():
                task.result()
        await child.wait()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return listening.result(), ending.result().decode(errors="replace")


async def _listen(
    answers: asyncio.StreamReader, hear: Callable[[dict[str, Any]], None]
) -> dict[str, Any] | None:
    """Hand each answer on but the last, which is returned; None where there is none."""
    last = None
    async for line in answers:
        if last is not None:
            hear(last)
        last = json.loads(line)
    return last


async def _feed(pipe: asyncio.StreamWriter, order: bytes, more: Iterable[bytes]) -> None:
    """Write what the child reads; one that has ended already says why by itself."""
    with contextlib.suppress(ConnectionError):
        pipe.write(order)
        waiting = 0
        for line in more:
            pipe.write(line)
            waiting += len(line)
            if waiting > _CHUNK:
                await pipe.drain()
                waiting = 0
        await pipe.drain()
    pipe.close()


def _seconds(number: int) -> str:
    return "1 second" if number == 1 else f"{number:,} seconds"


def _limit(what: str, kind: str, much: str, key: str) -> errors.LetterError:
    fault = errors.Fault(
        level="fault",
        what=f"{what} took more than {much} of {kind}",
        hint=f"raise {key} under [pdf] in config.toml, or make the letter simpler",
    )
    return errors.LetterError([fault])


def _broken(what: str, code: int, words: str, limits: Limits) -> errors.LetterError:
    """Explain a child that ended without a report."""
    if "allocate" in words or "MemoryError" in words:
        return _limit(what, "memory", f"{limits.memory:,} bytes", "memory")
    if -code in _OUT_OF_MEMORY:
        # C libraries end like this when they are given no memory; a crash looks the same.
        fault = errors.Fault(
            level="fault",
            what=f"{what} ended by signal {-code}, as it does when it needs more"
            f" than {limits.memory:,} bytes of memory",
            hint="raise memory under [pdf] in config.toml, or make the letter simpler",
        )
        return errors.LetterError([fault])
    how = f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
    last = words.strip()[-_LAST_WORDS:]
    fault = errors.Fault(
        level="fault",
        what=f"{what}: its process {how}: {last or 'it said nothing'}",
        hint="if the machine is short of memory, free some or lower memory under [pdf]",
    )
    kind = errors.ChildEnded if -code in _FROM_OUTSIDE else errors.LetterError
    return kind([fault])
