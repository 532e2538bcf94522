"""The clock: APScheduler jobs that call the stations' steps, and a clean stop.

The scheduler keeps nothing: its jobs are made anew at each start from the
campaign files, and what is to be done stands in the ledger.  Its triggers run
in UTC, because its local cron skips a day in spring.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import functools
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

from apscheduler.schedulers import asyncio as aps
from apscheduler.triggers import cron, interval

from deliverybot import (
    alerts,
    hands,
    origins,
    relay_health,
    steps,
)

log = logging.getLogger(__name__)

#: Seconds between two looks at what is due.
TICK = 2
#: Seconds between two looks for work whose worker is gone.
RECOVER = 60
#: Seconds between two looks for what an operator is to be told.
ALERT = 30
DAY = 86_400


#: What runs in the daemon's loop while it runs.
Beside = contextlib.AbstractAsyncContextManager[object]


async def once(works: steps.Works) -> None:
    """Do all that is due now, then stop."""
    with works.book.only_daemon(works.clock()):
        try:
            await _once(works)
        except asyncio.CancelledError:
            # The thread that reads a source is not cancelled with its task: it looks here.
            works.stopping = True
            raise
        finally:
            await works.rest()


async def _once(works: steps.Works) -> None:
    try:
        await _all_due(works)
    except Exception:
        await _tell(works)
        raise
    await _tell(works)


async def _tell(works: steps.Works) -> None:
    """Tell an operator what waits or went wrong, last, as it may take a minute."""
    if works.settings.alerts is not None:
        await alerts.tell(_desk(works, once=True))


def _desk(works: steps.Works, *, once: bool) -> alerts.Desk:
    return alerts.Desk(
        book=works.book, settings=works.settings, campaigns=works.campaigns, clock=works.clock,
        once=once,
    )  # fmt: skip


async def _all_due(works: steps.Works) -> None:
    await works.start()
    # First, for it may settle what is unsure, or stop what was to go to a dead address.
    await works.collect()
    # A source that is asked by hand is asked anyway: somebody may have mended it.
    reads = await asyncio.gather(*map(works.read, works.campaigns), return_exceptions=True)
    # In the order of the files, whichever source was read first: rows get the same numbers.
    for slug, read in zip(works.campaigns, reads, strict=True):
        if isinstance(read, BaseException):
            raise read
        works.compare(slug, read)
    await works.expire()
    await works.freeze()
    # Both to their end: trouble with a post must not cut off a letter after its dot.
    for trouble in await asyncio.gather(works.send(), _publish(works), return_exceptions=True):
        if trouble is not None:
            raise trouble


async def _publish(works: steps.Works) -> None:
    """Post, once it is known what became of what a dead worker was at."""
    await works.recover_posts()
    await works.publish()


async def run(works: steps.Works, beside: Sequence[Beside] = ()) -> None:
    """Run until SIGTERM or SIGINT; then end what is in hand, within seconds.

    What runs `beside`, such as a web server, is ended last but in the same
    seconds.
    """
    with works.book.only_daemon(works.clock()):
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await works.start()
        # Whoever starts it by hand may have mended the relay; `--once` may be started by a clock.
        relay_health.probe_now(works.book, works.settings.mail, works.clock())
        async with contextlib.AsyncExitStack() as stack:
            for one in beside:
                await stack.enter_async_context(one)
            await stack.enter_async_context(_scheduler(works))
            log.info("running; campaigns: %s", ", ".join(works.campaigns) or "none")
            await stop.wait()
            log.info("stopping")
            works.stopping = True
        await works.rest()


@contextlib.asynccontextmanager
async def _scheduler(works: steps.Works) -> AsyncIterator[None]:
    scheduler = aps.AsyncIOScheduler(
        timezone=dt.UTC,
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
    )
    jobs = hands.Hands()
    now = works.clock()
    for slug, campaign in works.campaigns.items():
        scheduler.add_job(
            jobs.guard,
            _trigger(campaign.source),
            id=slug,
            args=(f"reading {slug}", lambda slug=slug: _poll(works, scheduler, slug)),
            next_run_time=now,
        )
    for what, job, every in _jobs(works):
        trigger = interval.IntervalTrigger(seconds=every, timezone=dt.UTC)
        scheduler.add_job(jobs.guard, trigger, args=(what, job), next_run_time=now)
    scheduler.start()
    try:
        yield
    finally:
        # In this order: the scheduler's own shutdown cancels what is in hand at once.
        scheduler.pause()
        await jobs.drain()
        scheduler.shutdown(wait=False)


def _jobs(works: steps.Works) -> Iterator[tuple[str, Callable[[], Awaitable[None]], int]]:
    """Yield what is done again and again: its name, the step, seconds between two calls.

    A job each: mail waits neither for posts nor for a long letter being rendered.
    """
    yield "rendering", works.freeze, TICK
    yield "mailing", works.send, TICK
    yield "posting", works.publish, TICK
    yield "recovering", works.recover, RECOVER
    if any(campaign.signers.keep for campaign in works.campaigns.values()):
        yield "erasing old signers", works.expire, DAY
    if works.settings.alerts is not None and works.settings.alerts.addresses:
        desk = _desk(works, once=False)
        yield "telling of alerts", functools.partial(alerts.tell, desk), ALERT
    if works.settings.inbox is not None:
        yield "reading the mailbox", works.collect, works.settings.inbox.every_seconds


async def _poll(works: steps.Works, scheduler: aps.AsyncIOScheduler, slug: str) -> None:
    """Read a source; one that fails is read again when its next try is due, sooner or later."""
    later = await works.poll(slug)
    if later is not None and not works.stopping:
        # Not at once: this very job is still running, and a second one would be passed over.
        soon = works.clock() + dt.timedelta(seconds=1)
        scheduler.modify_job(slug, next_run_time=max(later, soon))


def _trigger(source: origins.Section) -> cron.CronTrigger | interval.IntervalTrigger:
    if source.cron is not None:
        return cron.CronTrigger.from_crontab(source.cron, timezone=dt.UTC)
    return interval.IntervalTrigger(seconds=source.every_seconds, timezone=dt.UTC)
