"""The press: HTML to PDF in a child process that can neither reach out nor run on.

The child (``deliverybot.pdf.plate``) holds WeasyPrint.  It gets one job on its
standard input, limits itself, reads only the letter's folder and the theme,
and writes one report.  It dies with its parent, even by ``kill -9``.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import sys
import tempfile
from typing import Any

from deliverybot import errors

#: What the child may know of our environment: where fonts are, and no secret.
_ENVIRONMENT = ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "FONTCONFIG_FILE", "FONTCONFIG_PATH")
_OUT_OF_MEMORY = (signal.SIGSEGV, signal.SIGABRT, signal.SIGTRAP, signal.SIGBUS)
#: How much of the child's last words is worth showing.
_LAST_WORDS = 300


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one rendering may cost; ``[pdf]`` in config.toml."""

    #: Seconds of processor time.
    cpu: int = 900
    #: Bytes of address space.
    memory: int = 4_000_000_000
    #: Seconds on the wall clock.
    time: int = 1800


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pressed:
    """A PDF that lies on disk, whole."""

    pages: int
    #: SHA-256 of the file, in hexadecimal.
    sha256: str
    #: Bytes.
    size: int
    #: Missing glyphs and files, style that was not understood.
    faults: list[errors.Fault]
    #: Seconds of processor time.
    seconds: float
    #: Bytes of memory at the highest.
    peak_memory: int


async def press(
    html: pathlib.Path | str,
    *,
    folder: pathlib.Path | None,
    theme: pathlib.Path,
    out: pathlib.Path,
    limits: Limits,
) -> Pressed:
    """Turn a page of HTML, as a file or as text, into the PDF ``out``.

    ``out`` appears whole or not at all; it is there even when ``faults`` says
    that it must not be sent, so that a person can look.

    Raises errors.LetterError when a limit is hit or nothing can be rendered.
    """
    with tempfile.TemporaryDirectory(prefix="deliverybot-press-") as work:
        job = _job(html, folder, theme, out, limits, pathlib.Path(work))
        report = await _run(job, limits, pathlib.Path(work))
    faults = [errors.Fault(**fault) for fault in report.pop("faults")]
    if "pages" not in report:
        raise errors.LetterError(faults)
    return Pressed(faults=faults, **report)


def _job(
    html: pathlib.Path | str,
    folder: pathlib.Path | None,
    theme: pathlib.Path,
    out: pathlib.Path,
    limits: Limits,
    work: pathlib.Path,
) -> dict[str, object]:
    """Write down the job as the child reads it."""
    if isinstance(html, str):
        page = work / "letter.html"
        page.write_text(html, encoding="utf-8")
        html = page
    return {
        "html": str(html.absolute()),
        "folder": str(folder.absolute()) if folder else None,
        "theme": str(theme.absolute()),
        "out": str(out.absolute()),
        "cpu": limits.cpu,
        "memory": limits.memory,
        "parent": os.getpid(),
    }


async def _run(job: dict[str, object], limits: Limits, work: pathlib.Path) -> dict[str, Any]:
    """Run the child over one job and return its report."""
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    environment["LC_ALL"] = "C.UTF-8"
    environment["PYTHONPATH"] = str(pathlib.Path(__file__).parents[2])
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "deliverybot.pdf.plate",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
        cwd=work,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(limits.time):
            said, words = await child.communicate(json.dumps(job).encode())
    except TimeoutError:
        raise _limit("time", f"{limits.time} seconds", "time") from None
    finally:
        await _end(child)
        _clear(job, child.pid)
    if child.returncode == -signal.SIGXCPU:
        raise _limit("processor time", f"{limits.cpu} seconds", "cpu")
    if child.returncode or not said:
        raise _broken(child.returncode or 0, words.decode(errors="replace"), limits)
    report: dict[str, Any] = json.loads(said)
    return report


async def _end(child: asyncio.subprocess.Process) -> None:
    """Make sure that the child is gone, whatever happened; it is alone in its session."""
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        await child.wait()


def _clear(job: dict[str, object], pid: int) -> None:
    """Remove what a child that was killed left half written."""
    unfinished(pathlib.Path(str(job["out"])), pid).unlink(missing_ok=True)


def unfinished(out: pathlib.Path, pid: int) -> pathlib.Path:
    """Name the file that the child of this number writes before it is whole."""
    return out.with_name(f".{out.name}.{pid}.part")


def _limit(what: str, much: str, key: str) -> errors.LetterError:
    fault = errors.Fault(
        level="fault",
        what=f"rendering the letter took more than {much} of {what}",
        hint=f"raise {key} under [pdf] in config.toml, or make the letter simpler",
    )
    return errors.LetterError([fault])


def _broken(code: int, words: str, limits: Limits) -> errors.LetterError:
    """Explain a child that ended without a report."""
    if "allocate" in words or "MemoryError" in words:
        return _limit("memory", f"{limits.memory:,} bytes", "memory")
    if -code in _OUT_OF_MEMORY:
        # C libraries end like this when they are given no memory; a crash looks the same.
        fault = errors.Fault(
            level="fault",
            what=f"rendering the letter ended by signal {-code}, as it does when it needs more"
            f" than {limits.memory:,} bytes of memory",
            hint="raise memory under [pdf] in config.toml, or make the letter simpler",
        )
        return errors.LetterError([fault])
    how = f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
    last = words.strip()[-_LAST_WORDS:]
    fault = errors.Fault(
        level="fault",
        what=f"the process that renders letters {how}: {last or 'it said nothing'}",
        hint="if the machine is short of memory, free some or lower memory under [pdf]",
    )
    return errors.LetterError([fault])
