"""Clearing: what the daemon does after somebody was erased."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
from collections.abc import Callable, Mapping

from deliverybot import campaign as campaigns
from deliverybot import erasure, errors, letters, material, paper, parcels
from deliverybot.ledger import records

log = logging.getLogger(__name__)

#: In these the list behind a letter's link is made together with the letter.
_MADE_WITH_IT = frozenset({"due", "held", "approved", "retrying"})
_WHY = "its list named somebody who is erased, and it cannot be made anew"
#: What could not be done is tried again so much later: rewriting a database is work.
_PATIENCE = dt.timedelta(minutes=1)


class Clearing:
    """Does what is left of erasures, and makes the lists anew that lie behind links."""

    def __init__(self, desk: paper.Desk, stopping: Callable[[], bool]) -> None:
        """Begin anew: what failed in an earlier process is tried again."""
        self._desk = desk
        self._stopping = stopping
        #: Lists that could not be made: each is tried once a start.
        self._failed: set[tuple[int, str]] = set()
        self._not_before: dt.datetime | None = None
        #: Rewriting a database twice at a time would help nobody.
        self._one = asyncio.Lock()

    async def step(self, present: letters.Present) -> None:
        """Take one look."""
        desk, now = self._desk, self._desk.clock()
        if self._not_before is None or now >= self._not_before:
            async with self._one:
                left = await asyncio.to_thread(
                    erasure.finish, desk.book, desk.settings, now, stopping=self._stopping
                )
            self._not_before = now + _PATIENCE if left else None
        for link in desk.book.links.emptied():
            row = desk.book.deliveries.get(link.delivery_id)
            gone = link.state(now) in {"withdrawn", "expired"}
            if not gone and row.state not in _MADE_WITH_IT:
                await self._link(link, present.case(row.campaign, row.target, row.milestone_id))

    async def expire(self, known: Mapping[str, campaigns.Campaign]) -> None:
        """Erase the signers of campaigns that have been closed for so long as they are kept."""
        desk = self._desk
        for campaign in known.values():
            due = campaign.expires_at
            if due is None or desk.clock() < due or self._stopping():
                continue
            if desk.book.signatures.standing(campaign.slug).expired_at is None:
                async with self._one:
                    await asyncio.to_thread(
                        erasure.expire, desk.book, desk.settings, campaign.slug,
                        who="deliverybot", now=desk.clock(), stopping=self._stopping,
                    )  # fmt: skip
                log.info("%s: all its signers are erased, so long after its close", campaign.slug)

    async def _link(self, link: records.Link, case: material.Case | None) -> None:
        desk = self._desk
        if case is None or not case.signers_url:
            desk.book.links.withdraw(link.id, who="deliverybot", why=_WHY, now=desk.clock())
            return
        this = (link.id, material.inputs(case, desk.settings))
        if this in self._failed:
            return
        try:
            known = material.facts(desk.book, case, desk.settings)
            file = json.loads(await parcels.listed(case, known, desk))
        except errors.LetterError as error:
            self._failed.add(this)
            faults = len(error.faults)
            log.warning("the list behind link %d cannot be made anew, faults: %d", link.id, faults)
            return
        desk.book.links.renew(link.id, file["path"], file["sha256"], now=desk.clock())
        log.info("the list behind link %d is made anew without who was erased", link.id)
