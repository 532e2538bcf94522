"""A child process for one job, from both sides: how it is started, told, confined and ended.

The parents are `pdf.child`, `sources.apart` and `alerts.messenger`, each with
its own deadline and its own way to hear the answers.  Quick to import, for the
child's sake.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import pathlib
import resource
import signal
import sys
from collections.abc import Mapping
from typing import Any

_PR_SET_PDEATHSIG = 1


def command(module: str) -> list[str]:
    """Return the words that start a child: nothing of its job, as anybody may read them."""
    return [sys.executable, "-P", "-m", module]


def environment(*names: str, **more: str) -> dict[str, str]:
    """Return all that a child gets of an environment: what is named of ours, and `more`."""
    kept = {name: os.environ[name] for name in ("PATH", *names) if name in os.environ}
    ours = str(pathlib.Path(__file__).parents[1])
    return {**kept, "LC_ALL": "C.UTF-8", "PYTHONPATH": ours, **more}


def order(job: Mapping[str, object], *, cpu: int, memory: int) -> bytes:
    """Write a job and its limits as `confined` reads them; a path becomes absolute."""
    limited = {**job, "cpu": cpu, "memory": memory, "parent": os.getpid()}
    return json.dumps(limited, default=lambda path: str(path.absolute())).encode() + b"\n"


def end(pid: int) -> None:
    """End a child and all that it has started: it is alone in its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def confined() -> dict[str, Any]:
    """Read the job, and limit this process as it says.

    It dies with its parent, even by ``kill -9``, and leaves no core file.
    """
    job: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != job["parent"]:
        sys.exit(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (job["cpu"], job["cpu"] + 5))
    resource.setrlimit(resource.RLIMIT_AS, (job["memory"], job["memory"]))
    return job


def tell(line: Mapping[str, object]) -> None:
    """Write one line of JSON to the parent."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def used() -> dict[str, float]:
    """Return what this process has cost: seconds of processor time, bytes of memory."""
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": round(spent.ru_utime + spent.ru_stime, 3),
        "peak_memory": spent.ru_maxrss * 1024,
    }
