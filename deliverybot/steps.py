"""All that is due, done step by step: what the clock calls.

Each step looks at the ledger, does what it finds and leaves the rest to the
next call; so any of them may be cut off, or called too often.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
import logging
import socket
import uuid
from collections.abc import Callable, Mapping

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
    outlets,
    paper,
    posts,
    publishing,
    recipients,
    recovering,
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

#: In these states nothing has left for certain, so what has changed may be made anew.
_MAKEABLE = ("due", "held", "approved", "retrying")
#: Sources that are read at the same time.
READERS = 32


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
        self.means = dataclasses.replace(signatures.means(settings, book, clock), pause=self._pause)
        self._key = signatures.recognition_key(settings.state, book)
        self._domain = settings.sender.address.rpartition("@")[2]
        self._gate = installation.gate(book, settings.state, clock)
        self._desk = self._mailing()
        self._paper = paper.Desk(book=book, settings=settings, clock=clock, reporter=reporter)
        self._transport = mail.transport(settings)
        self._news = self._posting()
        #: Letters that could not be rendered, by row and inputs: tried once a start.
        self._failed: set[tuple[int, str]] = set()
        #: Posts that were written, by row and inputs.
        self._written: set[tuple[int, str]] = set()
        self._clearing = clearing.Clearing(self._paper, lambda: self.stopping)
        #: Mails that came back and were looked at for somebody who is erased.
        self._looked: set[int] = set()
        self._readers = asyncio.Semaphore(READERS)

    def _mailing(self) -> agenda.Desk:
        return agenda.Desk(
            settings=self.settings,
            campaigns=self.campaigns,
            owner=self.owner,
            clock=self.clock,
            look=self._look,
            leaving=self._gate.leaving,
            signers=dkim.load(self.settings),
            sealer=identity.load(self.settings),
        )

    def _posting(self) -> publishing.Desk:
        clock = self.clock
        return publishing.Desk(
            settings=self.settings,
            campaigns=self.campaigns,
            owner=self.owner,
            clock=clock,
            outlets=outlets.Pool(self.settings, clock=lambda: clock().timestamp()),
            leaving=self._gate.leaving,
            stopping=lambda: self.stopping,
        )

    async def start(self) -> None:
        """Clear up after those who were killed; `recover` asks the networks, which may hang."""
        if self.book.single_process:
            letters.sweep(self.settings.state)
            volumes.sweep(self.book, self.settings.state)
            self.book.news.sweep()
        letters.tidy(self.book, self.settings)
        forwards.recover(self.book, self.settings, self.clock(), alone=self.book.single_process)
        self._settle_letters()
        erasure.finish(self.book, self.settings, self.clock())

    async def recover(self) -> None:
        """Settle what dead workers left in hand: letters first, since networks may hang."""
        self._settle_letters()
        forwards.recover(self.book, self.settings, self.clock(), alone=False)
        await self.recover_posts()

    async def recover_posts(self) -> None:
        """Settle what dead workers left of posts, and look for doubtful ones again."""
        alone = self.book.single_process
        for post in await recovering.recover(self.book, self._news, alone=alone):
            log.warning("post %d on %s is unsure; see `posts show`", post.id, post.outlet)

    def _settle_letters(self) -> None:
        for row in deliveries.recover(self.book, self._desk, alone=self.book.single_process):
            log.warning("delivery %d to %s is unsure; see `deliveries show`", row.id, row.target)

    async def poll(self, slug: str, *, anyway: bool = False) -> dt.datetime | None:
        """Read one campaign's source, and compare the count with its plan.

        A source that failed is left alone until its next try is due, unless
        `anyway`.  Return when that is; None where nothing is wrong.
        """
        before = self.book.signatures.standing(slug)
        if before.not_before is not None and before.not_before > self.clock() and not anyway:
            return before.not_before
        return self.compare(slug, await self.read(slug))

    def compare(self, slug: str, after: records.Standing) -> dt.datetime | None:
        """Compare the count of a reading with the plan, unless it failed: then as `poll`."""
        if after.problem:
            return after.not_before
        if news := milestones.said(self.cross(self.campaigns[slug])):
            log.info("%s: %s", slug, news)
        return None

    async def read(self, slug: str) -> records.Standing:
        """Read one campaign's source; trouble is said when it is news, and when it is over."""
        before = self.book.signatures.standing(slug)
        async with self._readers:
            reading = await signatures.read(
                self.book, self.campaigns[slug], key=self._key, now=self.clock(),
                means=self.means, progress=lambda batch: self._progress(slug, batch),
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
        await self._clearing.step(self._present())
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
        troubles += await self._write_all()
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

    async def _write_all(self) -> list[Exception]:
        """Write every post; return the trouble that some of them had."""
        troubles: list[Exception] = []
        pending = self.book.posts.select(states=_MAKEABLE)
        if not pending:
            return troubles
        present = self._present()
        for post in pending:
            if self.stopping:
                break
            try:
                await self._write(post, present)
            except Exception as error:  # noqa: BLE001 - it holds up no other; raised by `freeze`
                troubles.append(error)
        return troubles

    async def _write(self, post: records.Post, present: letters.Present) -> None:
        campaign = self.campaigns.get(post.campaign)
        if campaign is None or post.handed_at is not None:
            return
        case = present.case(post.campaign, campaign.targets[0].id, post.milestone_id)
        if case is None:
            return
        inputs = posts.fingerprint(post, campaign, present.inputs(case))
        # What could not be written is tried once a start: a font may be there by now.
        if inputs == post.inputs and (not post.problem or (post.id, inputs) in self._written):
            return
        self._written.add((post.id, inputs))
        facts = material.facts(self.book, case, self.settings)
        await posts.write_one(
            self.book, post, campaign, facts, inputs,
            settings=self.settings, ask=case.milestone.ask, now=self.clock(),
        )  # fmt: skip

    async def expire(self) -> None:
        """Erase the signers of campaigns that say how long after their close."""
        await self._clearing.expire(self.campaigns)

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
        with contextlib.suppress(errors.LedgerError):  # the next start asks the networks
            publishing.settle_owed(self.book, self._news)
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
