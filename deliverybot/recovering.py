"""Posts that a dead worker left in hand, and posts that are unsure: what their networks say."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import datetime as dt
import logging

from deliverybot import doubts, errors, ledger, model, outlets, posts, publishing, rests, settling
from deliverybot.ledger import queue, records

log = logging.getLogger(__name__)

#: Minutes after which a doubtful post is looked for again; then a person does.
LOOKS = (0, 2, 15, 120)


async def recover(book: ledger.Ledger, desk: publishing.Desk, *, alone: bool) -> list[records.Post]:
    """Settle what a dead worker left in `sending`, and look again for what is unsure.

    Each outlet by itself: one that hangs makes no other wait.  Returns the rows
    that are unsure from now on.
    """
    known = {word.row.id for word in desk.owed}
    orphans = book.posts.orphans(desk.clock(), alone=alone, owner=desk.owner)
    rows = [row for row in orphans if row.id not in known]
    rows += book.posts.select(states=("unsure",))
    found = collections.defaultdict[str, list[records.Post]](list)
    for row in rows:
        found[row.outlet].append(row)
    unsure: list[records.Post] = []
    looks = (_recover(book, rows, desk, unsure) for rows in found.values())
    for trouble in await asyncio.gather(*looks, return_exceptions=True):
        if trouble is not None:
            raise trouble
    return unsure


async def _recover(
    book: ledger.Ledger, rows: list[records.Post], desk: publishing.Desk, unsure: list[records.Post]
) -> None:
    """Settle the posts of one outlet; add those that are unsure from now on."""
    for row in rows:
        async with desk.outlets.turn(row.outlet):
            if row.state == "unsure":
                if not await _look_again(book, row, desk):
                    return  # each look would wait as long
            elif await _settle_orphan(book, row, desk):
                unsure.append(row)


async def _settle_orphan(book: ledger.Ledger, row: records.Post, desk: publishing.Desk) -> bool:
    """Settle what a dead worker left; True where it is unsure from now on."""
    claim = queue.Claim(id=row.id, fence=row.fence, seen=row.state)
    reply = model.Reply(outcome=model.Outcome.UNSURE, phase="crash", text="stopped while posting")
    reply = doubts.settled(await _found(book, row, desk), reply)
    word = settling.Word(row=_before(row), claim=claim, reply=reply, at=desk.clock(), doubt=True)
    return settling.settle(book, word, who=desk.owner) and reply.outcome is model.Outcome.UNSURE


async def _look_again(book: ledger.Ledger, row: records.Post, desk: publishing.Desk) -> bool:
    """Look for a post, a few times since it became doubtful; False where nobody could say."""
    now = desk.clock()
    since = max((one.at for one in book.posts.attempts(row.id)), default=row.handed_at)
    if since is None or not _is_due(row, since, now):
        return True
    found = await _found(book, row, desk)
    reply = doubts.settled(found, model.Reply(outcome=model.Outcome.UNSURE, phase="look"))
    if reply.outcome is model.Outcome.UNSURE:
        book.posts.note(row, looked_at=now)
        return False
    state, values = settling.outcome(_before(row), reply, now)
    why = reply.text.removeprefix("; ")
    with contextlib.suppress(errors.WrongState):  # somebody has moved it just now
        # All at once: else the last look would be spent where its answer cannot be written.
        values |= {"looked_at": now}
        book.posts.move(row, state, who="deliverybot", why=why, now=now, values=values)
        log.info("post %d on %s: %s: %s", row.id, row.outlet, state, why)
    return True


def _is_due(row: records.Post, since: dt.datetime, now: dt.datetime) -> bool:
    """Tell whether a post that became doubtful at a time is to be looked for now."""
    if since > now:  # by a clock that was ahead: how long ago that is, nobody knows
        return row.looked_at is None or row.looked_at > now
    past = row.looked_at - since if row.looked_at else dt.timedelta(days=-1)
    done = sum(past >= dt.timedelta(minutes=minutes) for minutes in LOOKS)
    return done < len(LOOKS) and now >= since + dt.timedelta(minutes=LOOKS[done])


def _before(row: records.Post) -> records.Post:
    """Return a claimed post as it was before its last try, for `settling.outcome`."""
    return dataclasses.replace(row, attempts=row.attempts - 1)


async def _found(book: ledger.Ledger, row: records.Post, desk: publishing.Desk) -> outlets.Evidence:
    try:
        outlet = desk.outlets.get(row.outlet)
    except errors.DeliverybotError as error:
        log.warning("post %d: %s", row.id, error)
        return outlets.Evidence(there=None)
    rests.note_account(book, outlet, desk.clock())
    return await doubts.look(book, row, outlet, posts.draft(book, row))
