"""Looking at other processes from outside."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import time
from collections.abc import Collection

from crash import bots

#: Seconds that a child works between two looks: too few for all of the volumes.
STEP = 0.01


def children(pid: int, module: str = "deliverybot.pdf.") -> list[int]:
    """Return the children that run one of these modules."""
    found: list[int] = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = folder.joinpath("stat").read_text().rpartition(")")[2].split()[1]
            words = folder.joinpath("cmdline").read_bytes().split(b"\0")
            if int(parent) == pid and any(word.startswith(module.encode()) for word in words):
                found.append(int(folder.name))
    return found


def child_of(pid: int, module: str, besides: Collection[int] = ()) -> int:
    """Wait for a child that runs this module, and is none of some others; its process id."""
    found: list[int] = []

    def seen() -> bool:
        found[:] = [one for one in children(pid, module) if one not in besides]
        return bool(found)

    bots.until(seen)
    return found[0]


def maps_of(pid: int) -> str:
    """Return what a process has in memory; nothing when it is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return ""


def is_alive(pid: int) -> bool:
    """Tell whether a process still works; one that only waits to be reaped does not."""
    return state_of(pid) not in {"Z", "X"}


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended."""
    return not is_alive(pid)


def state_of(pid: int) -> str:
    """Return the letter that stands for a process's state; X for one that is gone."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "X"
    return stat.rpartition(")")[2].split()[0]


def halt(pid: int) -> bool:
    """Stop a process where it is; False if it has ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        bots.until(lambda: state_of(pid) in {"T", "Z", "X"})
    return state_of(pid) == "T"


def kill(pid: int) -> bool:
    """Kill a process and wait for its end; False if it had ended before."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        bots.until(lambda: is_gone(pid))
        return True
    return False


def go_on(pid: int) -> None:
    """Let a process that was stopped work for a moment."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
    time.sleep(STEP)
