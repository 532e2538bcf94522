"""A child process's own side: its job, its limits, its answers; quick to import.

The parents are `pdf.child`, `sources.apart` and `alerts.messenger`.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Mapping
from typing import Any

_PR_SET_PDEATHSIG = 1


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
