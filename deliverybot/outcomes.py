"""What a reply leads to: the next state of a delivery, and when it is tried again."""

from __future__ import annotations

import dataclasses
import datetime as dt
import random

from deliverybot import config, mail, model
from deliverybot.ledger import queue, records
from deliverybot.mail import frozen

#: Minutes between tries; the last one repeats until `give_up`.
BACKOFF = (5, 15, 45, 120, 240)
#: Each wait is longer or shorter by up to this share, so that letters spread.
JITTER = 0.2
#: A relay that asks for patience is obeyed within these bounds.
PATIENCE = (dt.timedelta(minutes=1), dt.timedelta(hours=4))
#: After a fault of the relay, the letter that met it is not tried for so long.
RELAY_PAUSE = dt.timedelta(minutes=5)


def relay_failed(reply: model.Reply) -> bool:
    """Tell whether the relay as a whole, not this letter, was the trouble."""
    return reply.outcome is not model.Outcome.DONE and mail.about_relay(reply)


def outcome(
    row: records.Delivery, reply: model.Reply, now: dt.datetime, settings: config.Mail
) -> tuple[str, dict[str, object]]:
    """Return the state that a reply leads to, and the columns that go with it.

    `row` is as it was before it was claimed, with the time of its first try.
    """
    if reply.done:
        return taken(row, now)
    if reply.room and not _undividable(row):
        return "due", _ANEW | {"room": reply.room}
    if reply.outcome is not model.Outcome.UNSURE and reply.phase == "stop":
        return "approved", {}
    if reply.outcome is not model.Outcome.UNSURE and relay_failed(reply):
        pause = RELAY_PAUSE if reply.retry_after is None else wait(0, reply.retry_after)
        # Not charged: neither a step of the backoff nor a day of the letter's patience.
        uncharged = {"attempts": row.attempts, "first_try": row.first_try if row.attempts else None}
        return "approved", {"next_try": now + pause, **uncharged}
    patience = dt.timedelta(seconds=settings.give_up_seconds)
    if reply.outcome is model.Outcome.LATER and now - (row.first_try or now) < patience:
        return "retrying", {"next_try": now + wait(row.attempts, reply.retry_after)}
    return _DEAD_ENDS[reply.outcome], {}


def taken(row: records.Delivery, at: dt.datetime) -> tuple[str, dict[str, object]]:
    """Return what follows when a mail has arrived: the next one of several, or `sent`."""
    if row.part < frozen.parts(row):
        # A start of its own: its date and its tries are not those of the mail before.
        return "approved", {
            "part": row.part + 1,
            "first_try": None,
            "next_try": None,
            "attempts": 0,
        }
    return "sent", {"sent_at": at}


def explained(row: records.Delivery, reply: model.Reply) -> model.Reply:
    """Return a reply that says why a mail that was too large is not made smaller."""
    why = _undividable(row) if reply.room else ""
    if not why:
        return reply
    return dataclasses.replace(reply, text=f"{reply.text} ({why})")


def _undividable(row: records.Delivery) -> str:
    """Say why a letter cannot go in smaller mails; empty where it can."""
    if row.part > 1:
        return "an earlier mail of this letter is there, so it is not made anew"
    if row.handed_at is not None:
        return "an earlier try may have arrived, so it is not made anew"
    if row.room:
        return "it was made smaller once already"
    if row.alone:
        return "it carries the letters of several campaigns"
    return "" if row.files else "it has no list in volumes that could be parted"


#: What a letter that is to be made anew loses.
_ANEW: dict[str, object] = {
    **queue.UNAPPROVED, "inputs": "", "digest": "", "next_try": None, "first_try": None,
}  # fmt: skip
#: Where it ends without a yes; LATER for too long is a person's matter.
_DEAD_ENDS = {
    model.Outcome.LATER: "human",
    model.Outcome.HUMAN: "human",
    model.Outcome.REFUSED: "refused",
    model.Outcome.UNSURE: "unsure",
}


def wait(attempts: int, asked: float | None) -> dt.timedelta:
    """Return how long to wait after so many earlier tries."""
    if asked is not None:
        return min(max(dt.timedelta(seconds=asked), PATIENCE[0]), PATIENCE[1])
    step = BACKOFF[min(attempts, len(BACKOFF) - 1)]
    spread = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spreads load, hides nothing
    return dt.timedelta(minutes=step * spread)
