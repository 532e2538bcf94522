"""The jobs that the clock has in hand: none of them ends another, and a stop waits for them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

from deliverybot import errors

_T = TypeVar("_T")
log = logging.getLogger(__name__)

#: Seconds that work in hand may take to end by itself after SIGTERM.
GRACE = 4


class Stopped(Exception):
    """A reading was ended between two batches; the next start goes on there."""


async def apart(what: str, job: Callable[[], _T]) -> _T:
    """Run a job in a thread of its own and return what it returns.

    It shares no pool, so one that hangs makes no other wait, nor the end of
    the process: that does not wait for such a thread.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def tell(act: Callable[[], None]) -> None:
        # The loop may have ended, or whoever waited may have gone.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(lambda: None if done.done() else act())

    def work() -> None:
        try:
            result = job()
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            trouble = error
            tell(lambda: done.set_exception(trouble))
        else:
            tell(lambda: done.set_result(result))

    threading.Thread(target=work, daemon=True, name=what).start()
    return await done


class Hands:
    """The jobs in hand, so that a stop can wait for them and then end them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        #: The last trouble of each job, so that a lasting one is said once.
        self._said: dict[str, str] = {}

    async def guard(self, what: str, job: Callable[[], Awaitable[None]]) -> None:
        """Run one job as a task of its own; an error is logged, never fatal."""
        task = asyncio.ensure_future(job())
        self._tasks.add(task)
        trouble = ""
        try:
            await task
        except (asyncio.CancelledError, Stopped):
            log.warning("%s was stopped", what)
        except Exception as error:  # noqa: BLE001 - the clock goes on, whatever a job meets
            trouble = repr(error)
            if trouble != self._said.get(what):
                _complain(what, error)
        finally:
            self._tasks.discard(task)
        self._said[what] = trouble

    async def drain(self) -> None:
        """Give what is in hand a few seconds, then cancel it."""
        tasks = set(self._tasks)
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=GRACE)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


def _complain(what: str, error: Exception) -> None:
    """Say in the log what ended a job: in plain words, or where in the code."""
    if isinstance(error, errors.DeliverybotError):
        hint = f" (hint: {error.hint})" if error.hint else ""
        log.error("%s: %s%s", what, error, hint)
    else:
        log.error("%s failed", what, exc_info=error)
