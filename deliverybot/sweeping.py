"""The garbage collector, kept away from where it finds nothing."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """Let nothing be collected while rows are made, for a tenth of a second or so.

    A page is twenty thousand tuples in no circle.  They all live, and the
    collector would look at them again and again: a sixth of the time.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()
