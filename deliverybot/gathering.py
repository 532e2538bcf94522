"""Which letters must share a mail: those to one mailbox that are over its budget."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
from collections.abc import Iterable, Iterator

from deliverybot import config, ledger, model, recipients
from deliverybot.ledger import records
from deliverybot.pdf import bindery


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Gathering:
    """Letters whose mailbox has room for one mail, and there are several."""

    #: Those that are to go in one mail, oldest first.
    groups: tuple[tuple[records.Delivery, ...], ...] = ()
    #: Digests that nobody has approved yet and that one more letter belongs to.
    grown: frozenset[int] = frozenset()
    #: Letters that must not go alone now.
    waiting: frozenset[int] = frozenset()


def gather(
    book: ledger.Ledger,
    settings: config.Settings,
    known: recipients.Known,
    now: dt.datetime,
    *,
    undone: bool = False,
) -> Gathering:
    """Find the letters of different campaigns that must share the next mail to a mailbox.

    Those are at least two, approved and ready, where the budget lets one mail
    go.  Where a digest to the mailbox waits already, later letters join it or,
    once it is approved, wait behind it.  With `undone` the time in which an
    approval can be taken back counts as over.
    """
    if not any(one.budget for campaign in known.values() for one in campaign.targets):
        return Gathering()
    boxes = collections.defaultdict[str, list[int]](list)
    for ident, email in book.deliveries.addressed(("held", "approved", "retrying")):
        boxes[recipients.mailbox(email)].append(ident)
    groups, grown, waiting = list[tuple[records.Delivery, ...]](), set[int](), set[int]()
    for box, idents in boxes.items():
        if len(idents) == 1 or not recipients.limits(known, box):
            continue
        rows = book.deliveries.select(ids=idents)
        single = list(_singles(rows, known, None if undone else now))
        digest = next((row for row in rows if row.alone), None)
        if digest is not None:
            waiting |= {row.id for row in single}
            if _joins(single, digest, book, settings):
                grown.add(digest.id)
        elif len(single) > 1 and recipients.room(book, known, rows[0].email, now).mails == 1:
            group = _fitting(single, settings)
            if len(group) > 1:
                groups.append(group)
                waiting |= {row.id for row in single}
    return Gathering(groups=tuple(groups), grown=frozenset(grown), waiting=frozenset(waiting))


def _joins(
    single: list[records.Delivery],
    digest: records.Delivery,
    book: ledger.Ledger,
    settings: config.Settings,
) -> bool:
    """Tell whether a letter can go in a digest that nobody has approved yet."""
    if digest.state != model.Delivery.HELD or digest.problem:
        return False
    inside = [digest, *book.digests.members(digest.id)]
    fits = len(_fitting([*inside, *single[:1]], settings)) > len(inside)
    return bool(single) and fits and single[0].campaign not in {row.campaign for row in inside}


def _singles(
    rows: Iterable[records.Delivery], known: recipients.Known, now: dt.datetime | None
) -> Iterator[records.Delivery]:
    """Yield the letters that could go now and have not been tried, one a campaign.

    Without `now`, those that could go once their approval stands.

    A letter in several mails, or with a link of its own, goes alone.
    """
    seen = set[str]()
    for row in rows:
        fresh = row.state == model.Delivery.APPROVED and row.handed_at is None and not row.alone
        simple = row.part == 1 and not row.words and not row.linked
        ready = row.next_try is None or now is None or row.next_try <= now
        known_ = recipients.target_of(row, known) is not None
        if fresh and simple and ready and known_ and row.campaign not in seen:
            seen.add(row.campaign)
            yield row


def _fitting(
    rows: Iterable[records.Delivery], settings: config.Settings
) -> tuple[records.Delivery, ...]:
    """Return the first letters whose PDFs fit into one mail; later ones wait."""
    found: list[records.Delivery] = []
    most, used = bindery.room(settings.mail.max_message_bytes), 0
    for row in rows:
        if row.room:
            most = min(most, bindery.room(row.room))
        try:
            used += (settings.state / row.pdf).stat().st_size
        except OSError:
            break  # the look at the letter itself says so
        if used > most:
            break
        found.append(row)
    return tuple(found)
