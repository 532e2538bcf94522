"""What a network's answer comes to: the state of a post, and what is written down of a try."""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging

from deliverybot import errors, ledger, model, rests
from deliverybot.ledger import queue, records

log = logging.getLogger(__name__)

#: Minutes between tries; the last one repeats until the news is stale.
BACKOFF = (1, 5, 15, 60)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What is to be written down of one try."""

    row: records.Post
    claim: queue.Claim
    reply: model.Reply
    at: dt.datetime
    #: Whether the answer was lost, whatever was found out after it.
    doubt: bool = False
    #: Where a post ends that is no news any more and is not there.
    past: str = ""


def settle(book: ledger.Ledger, word: Word, *, who: str) -> bool:
    """Write the answer down, unless another worker's word counts by now.

    What was in doubt stays so in the log of tries.
    """
    row, reply = word.row, word.reply
    state, values = outcome(row, reply, word.at)
    if word.past and state == "refused":
        state, values = word.past, {"handed_at": None}  # it is not there, and costs nothing
    said = reply
    if word.doubt and state != "posted":
        # It may be there: nobody writes another text for it.
        values |= {"handed_at": row.handed_at or word.claim.at or word.at}
        said = dataclasses.replace(reply, outcome=model.Outcome.UNSURE)
    try:
        book.posts.settle(word.claim, said, state, who=who, now=word.at, values=values)
    except (errors.LostClaim, errors.WrongState):
        log.warning("post %d was taken over by another worker; its word counts", row.id)
        return False
    level = logging.INFO if state == "posted" else logging.WARNING
    log.log(level, "post %d on %s: %s (%s)", row.id, row.outlet, state, reply)
    return True


def outcome(
    row: records.Post, reply: model.Reply, now: dt.datetime
) -> tuple[str, dict[str, object]]:
    """Return the state that a reply leads to, and the columns that go with it.

    `row` is as it was before the try.
    """
    if reply.outcome is model.Outcome.DONE:
        return "posted", {"url": reply.url, "posted_at": now}
    if reply.outcome is model.Outcome.UNSURE:
        return "unsure", {}
    if reply.account:
        return "retrying", {"next_try": now}  # as soon as the outlet takes posts again
    if reply.outcome is model.Outcome.LATER:
        step = dt.timedelta(minutes=BACKOFF[min(row.attempts, len(BACKOFF) - 1)])
        if reply.retry_after is not None:
            step = rests.pause(reply.retry_after)
        return "retrying", {"next_try": now + step}
    return "refused", {}
