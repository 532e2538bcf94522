"""Clearing: what the daemon does after somebody was erased."""

from __future__ import annotations

import asyncio
import json
import logging

from deliverybot import erasure, errors, letters, material, paper, parcels
from deliverybot.ledger import records

log = logging.getLogger(__name__)

#: In these the list behind a letter's link is made together with the letter.
_MADE_WITH_IT = frozenset({"due", "held", "approved", "retrying"})
_WHY = "its list named somebody who is erased, and it cannot be made anew"


async def clear(desk: paper.Desk, present: letters.Present, failed: set[str]) -> None:
    """Do what is left of erasures, and make the lists anew that lie behind links.

    `failed` has the lists that could not be made: each is tried once a start.
    """
    await asyncio.to_thread(erasure.finish, desk.book, desk.settings, desk.clock())
    for link in desk.book.links.emptied():
        row = desk.book.deliveries.get(link.delivery_id)
        gone = link.state(desk.clock()) in {"withdrawn", "expired"}
        if gone or row.state in _MADE_WITH_IT:
            continue
        case = present.case(row.campaign, row.target, row.milestone_id)
        if case is None or not case.signers_url:
            desk.book.links.withdraw(link.id, who="deliverybot", why=_WHY, now=desk.clock())
        elif f"{link.id} {present.inputs(case)}" not in failed:
            await _renew(desk, link, case, failed, present.inputs(case))


async def _renew(
    desk: paper.Desk, link: records.Link, case: material.Case, failed: set[str], inputs: str
) -> None:
    try:
        known = material.facts(desk.book, case, desk.settings)
        file = json.loads(await parcels.listed(case, known, desk))
    except errors.LetterError as error:
        failed.add(f"{link.id} {inputs}")
        faults = len(error.faults)
        log.warning("the list behind link %d cannot be made anew, faults: %d", link.id, faults)
        return
    desk.book.links.renew(link.id, file["path"], file["sha256"], now=desk.clock())
    log.info("the list behind link %d is made anew without who was erased", link.id)
