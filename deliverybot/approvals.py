"""What becomes of a person's yes: it may want a second one, and it may expire."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
from collections.abc import Mapping

from deliverybot import campaign as campaigns
from deliverybot import errors, ledger
from deliverybot.ledger import queue, records

log = logging.getLogger(__name__)


def half(row: records.Delivery | records.Post) -> bool:
    """Tell whether one of two people has said yes to the row as it is now."""
    return bool(row.agreed_by) and row.agreed_digest == row.digest


def expires(row: records.Delivery, campaign: campaigns.Campaign | None) -> dt.datetime | None:
    """Return when a person's yes ends; None where it does not.

    Not once a part of the letter has left, or may have: the rest belongs to it.
    A rule of the campaign does not grow old.
    """
    limit = None if campaign is None else campaign.delivery.expires_seconds
    out = row.handed_at is not None or row.part > 1
    if limit is None or out or row.approved_at is None or row.approved_by == "deliverybot":
        return None
    return row.approved_at + dt.timedelta(seconds=limit)


def expired(row: records.Delivery, campaign: campaigns.Campaign | None, now: dt.datetime) -> bool:
    """Tell whether a letter may not leave on the yes that it has."""
    end = expires(row, campaign)
    return end is not None and end <= now


def expire(book: ledger.Ledger, known: Mapping[str, campaigns.Campaign], now: dt.datetime) -> None:
    """Hold each letter whose approval is too old, for a person to look again.

    A digest is as old as the strictest of its campaigns says.
    """
    for row in book.deliveries.select(states=("approved", "retrying")):
        inside = [row, *book.digests.members(row.id)] if row.alone else [row]
        campaigns_ = (known[one.campaign] for one in inside if one.campaign in known)
        campaign = next((one for one in campaigns_ if expired(row, one, now)), None)
        if campaign is None:
            continue
        why = f"approved more than {campaign.delivery.approval_expires} ago; waits for approval"
        with contextlib.suppress(errors.WrongState):  # somebody has moved it just now
            book.deliveries.move(
                row, "held", who="deliverybot", why=why, now=now, values=queue.UNAPPROVED
            )
            log.warning("delivery %d to %s is held: %s", row.id, row.target, why)
