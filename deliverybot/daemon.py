"""The clock: APScheduler jobs that call the stations' steps, and a clean stop.

The scheduler keeps nothing: its jobs are made anew at each start from the
campaign files, and what is to be done stands in the ledger.  Its triggers run
in UTC, because its local cron skips a day in spring.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
import logging
import signal
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from apscheduler.schedulers import asyncio as aps
from apscheduler.triggers import cron, interval

from deliverybot import (
    agenda,
    approvals,
    clearing,
    config,
    deliveries,
    digests,
    dispatch,
    erasure,
    errors,
    failures,
    forwards,
    hands,
    inbox,
    installation,
    ledger,
    letters,
    mail,
    material,
    milestones,
    model,
    origins,
    outlets,
    paper,
    posts,
    publishing,
    recipients,
    relay_health,
    returns,
    signatures,
    sources,
    volumes,
)
from deliverybot import campaign as campaigns
from deliverybot.ledger import milestones as verbs
from deliverybot.ledger import records
from deliverybot.mail import dkim, identity

log = logging.getLogger(__name__)

#: Seconds between two looks at what is due.
TICK = 2
#: Seconds between two looks for work whose worker is gone.
RECOVER = 60
#: In these states nothing has left for certain, so what has changed may be made anew.
_MAKEABLE = ("due", "held", "approved", "retrying")
#: Sources that are read at the same time.
READERS = 32


#: What runs in the daemon's loop while it runs.
Beside = contextlib.AbstractAsyncContextManager[object]


class Works:
    """All that is due, done step by step; one for each process."""

    def __init__(
        self,
        book: ledger.Ledger,
        settings: config.Settings,
        known: Mapping[str, campaigns.Campaign],
        *,
        clock: Callable[[], dt.datetime],
        reporter: model.Reporter,
    ) -> None:
        self.book = book
        self.settings = settings
        self.campaigns = known
        self.clock = clock
        #: Set by `run` on SIGTERM: what is in hand is ended, nothing new is begun.
        self.stopping = False
        #: Campaigns whose last reading failed.
        self.unread: set[str] = set()
        self.owner = f"{socket.gethostname()}:{uuid.uuid4().hex[:12]}"
        self._reporter = reporter
        self._means = dataclasses.replace(
            signatures.means(settings, book, clock), pause=self._pause
        )
        self._key = signatures.recognition_key(settings.state, book)
        self._domain = settings.sender.address.rpartition("@")[2]
        self._gate = installation.gate(book, settings.state, clock)
        self._desk = agenda.Desk(
            settings=settings,
            campaigns=known,
            owner=self.owner,
            clock=clock,
            look=self._look,
            leaving=self._gate.leaving,
            signers=dkim.load(settings),
            sealer=identity.load(settings),
        )
        self._paper = paper.Desk(book=book, settings=settings, clock=clock, reporter=reporter)
        self._transport = mail.transport(settings)
        self._news = publishing.Desk(
            settings=settings,
            campaigns=known,
            owner=self.owner,
            clock=clock,
            outlets=outlets.Pool(settings, clock=lambda: clock().timestamp()),
            leaving=self._gate.leaving,
            stopping=lambda: self.stopping,
        )
        #: Letters that could not be rendered, by row and inputs: tried once a start.
        self._failed: set[tuple[int, str]] = set()
        #: The same of lists behind links; and mails that came back and were looked at.
        self._unlisted: set[str] = set()
        self._looked: set[int] = set()
        self._readers = asyncio.Semaphore(READERS)

    async def start(self) -> None:
        """Clear up after those who were killed."""
        if self.book.single_process:
            letters.sweep(self.settings.state)
            volumes.sweep(self.book, self.settings.state)
        letters.tidy(self.book, self.settings)
        forwards.recover(self.book, self.settings, self.clock(), alone=self.book.single_process)
        await self.recover()
        erasure.finish(self.book, self.settings, self.clock())

    async def recover(self) -> None:
        """Settle what dead workers left in hand."""
        alone = self.book.single_process
        for row in deliveries.recover(self.book, self._desk, alone=alone):
            log.warning("delivery %d to %s is unsure; see `deliveries show`", row.id, row.target)
        for post in await publishing.recover(self.book, self._news, alone=alone):
            log.warning("post %d on %s is unsure; see `posts show`", post.id, post.outlet)
        forwards.recover(self.book, self.settings, self.clock(), alone=False)

    async def poll(self, slug: str, *, anyway: bool = False) -> dt.datetime | None:
        """Read one campaign's source, and compare the count with its plan.

        A source that failed is left alone until its next try is due, unless
        `anyway`.  Return when that is; None where nothing is wrong.
        """
        before = self.book.signatures.standing(slug)
        if before.not_before is not None and before.not_before > self.clock() and not anyway:
            return before.not_before
        async with self._readers:
            after = await self._read(slug, before)
        if after.problem:
            return after.not_before
        if news := milestones.said(self.cross(self.campaigns[slug])):
            log.info("%s: %s", slug, news)
        return None

    async def _read(self, slug: str, before: records.Standing) -> records.Standing:
        """Read one campaign's source; trouble is said when it is news, and when it is over."""
        reading = await signatures.read(
            self.book, self.campaigns[slug], key=self._key, now=self.clock(), means=self._means,
            progress=lambda batch: self._progress(slug, batch),
        )  # fmt: skip
        for fault in reading.skipped:
            log.warning("%s: %s", slug, fault)
        self.unread.discard(slug)
        if reading.problem:
            self.unread.add(slug)
            if failures.is_news(before, reading.standing):
                log.error("%s: the signatures could not be read: %s", slug, reading.problem)
        elif before.failures:
            log.info("%s: the signatures can be read again", slug)
        return reading.standing

    def _progress(self, slug: str, batch: sources.Batch) -> None:
        """Tell of a batch that was taken; end the reading here when we are to stop."""
        self._reporter.reading(slug, batch.position, batch.size)
        self._pause()

    def _pause(self) -> None:
        """End what is read in a thread when we are to stop."""
        if self.stopping:
            raise hands.Stopped

    def cross(self, campaign: campaigns.Campaign) -> verbs.Decision:
        """Compare the count of the last reading with the plan."""
        return milestones.advance(self.book, campaign, domain=self._domain, now=self.clock())

    async def freeze(self) -> None:
        """Render every letter and write every post that is due, or made from other things now."""
        await clearing.clear(self._paper, self._present(), self._unlisted)
        for campaign in self.campaigns.values():
            milestones.advance_dates(self.book, campaign, domain=self._domain, now=self.clock())
        troubles: list[Exception] = []
        digests.part(self.book, self._desk, self._present())
        stopped = recipients.stop(self.book, self.campaigns, self.clock())
        # The rows first: each one's milestone is then at least as new as the row.
        rows = self.book.deliveries.select(states=_MAKEABLE)
        present = self._present()
        for row in rows:
            case = present.due(row)
            if case is None or row.id in stopped or row.alone:
                continue
            if (row.id, present.fingerprint(case)) in self._failed:
                continue
            if self.stopping:
                return
            try:
                await self._make(row, case, present.fingerprint(case))
            except Exception as error:  # noqa: BLE001 - it holds up no other; raised below
                troubles.append(error)
            present = self._present()  # making a letter takes its time
        try:
            digests.form(self.book, self._desk, self._present())
        except errors.DeliverybotError as error:  # a template of the mail; posts go on
            troubles.append(error)
        pending = self.book.posts.select(states=_MAKEABLE)
        present = self._present()
        for post in pending:
            self._write(post, present)
        if troubles:
            raise troubles[0]

    async def _make(self, row: records.Delivery, case: material.Case, inputs: str) -> None:
        self._reporter.rendering(row.campaign, row.target)
        await letters.freeze_one(row, case, self._paper)
        letters.forget(self.book, row.pdf, self.settings)
        letters.forget_list(self.book, row, self.settings)
        if self.book.deliveries.get(row.id).problem:
            self._failed.add((row.id, inputs))

    def _present(self) -> letters.Present:
        return letters.Present(self.book, self.settings, self.campaigns)

    def _look(self) -> Callable[[records.Delivery], bool]:
        """Give the test whether a letter is what would be made now, for one look at the queue."""
        present = self._present()
        return lambda row: digests.is_current(self.book, present, row)

    def _write(self, post: records.Post, present: letters.Present) -> None:
        campaign = self.campaigns.get(post.campaign)
        if campaign is None or post.handed_at is not None:
            return
        case = present.case(post.campaign, campaign.targets[0].id, post.milestone_id)
        if case is None:
            return
        inputs = posts.fingerprint(post, campaign, present.inputs(case))
        if inputs == post.inputs:
            return
        facts = material.facts(self.book, case, self.settings)
        posts.write_one(
            self.book, post, campaign, facts, inputs,
            settings=self.settings, ask=case.milestone.ask, now=self.clock(),
        )  # fmt: skip

    async def send(self) -> None:
        """Send all that is ready, with as many workers as the settings allow connections."""
        if self._gate.shut():
            return
        approvals.expire(self.book, self.campaigns, self.clock())
        if await dispatch.all_ready(
            self.book, self._transport, self._desk, stopping=lambda: self.stopping
        ):
            letters.tidy(self.book, self.settings)

    async def rest(self) -> None:
        """Take leave of the relay and the networks; what comes next connects again."""
        await self._transport.close()
        await self._news.outlets.close()

    async def collect(self) -> None:
        """Take in what came back, and forward what a person should see."""
        if self.settings.inbox is None:
            return
        box = inbox.open_mailbox(self.settings.inbox, self.settings.root)
        while not self.stopping and await returns.collect(
            self.book, self.settings, box, self.clock
        ):
            pass
        erasure.drop_returned(self.book, self.settings, self._looked)
        if not self._gate.shut():
            await forwards.forward(self.book, self._transport, self._desk)

    async def publish(self) -> None:
        """Publish every approved post; news that is stale by now is dropped."""
        if self._gate.shut():
            return
        await publishing.all_ready(self.book, self._news)


async def once(works: Works) -> None:
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


async def _once(works: Works) -> None:
    await works.start()
    # First, for it may settle what is unsure, or stop what was to go to a dead address.
    await works.collect()
    # A source that is asked by hand is asked anyway: somebody may have mended it.
    polls = [works.poll(slug, anyway=True) for slug in works.campaigns]
    for trouble in await asyncio.gather(*polls, return_exceptions=True):
        if isinstance(trouble, BaseException):
            raise trouble
    await works.freeze()
    # Both to their end: trouble with a post must not cut off a letter after its dot.
    for trouble in await asyncio.gather(works.send(), works.publish(), return_exceptions=True):
        if trouble is not None:
            raise trouble


async def run(works: Works, beside: Sequence[Beside] = ()) -> None:
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
async def _scheduler(works: Works) -> AsyncIterator[None]:
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
    # A job each: mail waits neither for posts nor for a long letter being rendered.
    for what, job, seconds in (
        ("rendering", works.freeze, TICK),
        ("mailing", works.send, TICK),
        ("posting", works.publish, TICK),
        ("recovering", works.recover, RECOVER),
    ):
        every = interval.IntervalTrigger(seconds=seconds, timezone=dt.UTC)
        scheduler.add_job(jobs.guard, every, args=(what, job), next_run_time=now)
    if works.settings.inbox is not None:
        every = interval.IntervalTrigger(
            seconds=works.settings.inbox.every_seconds, timezone=dt.UTC
        )
        what = "reading the mailbox"
        scheduler.add_job(jobs.guard, every, args=(what, works.collect), next_run_time=now)
    scheduler.start()
    try:
        yield
    finally:
        # In this order: the scheduler's own shutdown cancels what is in hand at once.
        scheduler.pause()
        await jobs.drain()
        scheduler.shutdown(wait=False)


async def _poll(works: Works, scheduler: aps.AsyncIOScheduler, slug: str) -> None:
    """Read a source; one that fails is read again when its next try is due, sooner or later."""
    later = await works.poll(slug)
    if later is not None and not works.stopping:
        scheduler.modify_job(slug, next_run_time=later)


def _trigger(source: origins.Section) -> cron.CronTrigger | interval.IntervalTrigger:
    if source.cron is not None:
        return cron.CronTrigger.from_crontab(source.cron, timezone=dt.UTC)
    return interval.IntervalTrigger(seconds=source.every_seconds, timezone=dt.UTC)
