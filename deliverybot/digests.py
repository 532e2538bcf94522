"""Digests: what is over the budget of a mailbox goes in one mail, a section a campaign."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
import logging
from collections.abc import Sequence

from deliverybot import (
    agenda,
    config,
    errors,
    gathering,
    ledger,
    letters,
    material,
    recipients,
    render,
)
from deliverybot.ledger import records
from deliverybot.mail import frozen, message

log = logging.getLogger(__name__)


def part(book: ledger.Ledger, desk: agenda.Desk, present: letters.Present) -> None:
    """Take apart each digest that is not what would be made now; nothing of it has left.

    Each of its letters is then as it was before: approved, where that approval
    still is of its own bytes.
    """
    known, now = desk.campaigns, desk.clock()
    grown = gathering.gather(book, desk.settings, known, now).grown
    for carrier in book.deliveries.select(states=("held", "approved", "retrying")):
        if not carrier.alone or carrier.handed_at is not None:
            continue
        why = "one more letter goes in this mail" if carrier.id in grown else ""
        for row in (carrier, *book.digests.members(carrier.id)):
            why = why or _stale(row, known, present, now)
        if why and book.digests.dissolve(carrier.id, why=why, now=now):
            log.info("the digest of delivery %d is taken apart: %s", carrier.id, why)


def _stale(
    row: records.Delivery, known: recipients.Known, present: letters.Present, now: dt.datetime
) -> str:
    """Say why a letter cannot go in a digest as it was made; empty where it can."""
    target = recipients.target_of(row, known)
    what = f"delivery {row.id} of {row.campaign}"
    if target is None:
        return f"{what} has no target any more"
    if recipients.ended(known[row.campaign], target, now):
        return f"{what} is to a predecessor"
    return f"{what} is made from other things now" if present.due(row) is not None else ""


def form(book: ledger.Ledger, desk: agenda.Desk, present: letters.Present) -> None:
    """Let what is over the budget of a mailbox go in one mail, held for a person.

    Nobody is asked where each of the campaigns asks nobody.
    """
    known, now = desk.campaigns, desk.clock()
    for group in gathering.gather(book, desk.settings, known, now).groups:
        if any(_stale(row, known, present, now) for row in group):
            continue  # made anew first
        _merge(book, desk, present, group, now)


def _merge(
    book: ledger.Ledger,
    desk: agenda.Desk,
    present: letters.Present,
    group: Sequence[records.Delivery],
    now: dt.datetime,
) -> None:
    carrier, state = group[0], desk.settings.state
    columns = _mail(desk.settings, desk.campaigns, group)
    draft = dataclasses.replace(carrier, words="", **columns)  # type: ignore[arg-type]
    letter = frozen.letter(draft, state, now)
    message.prove(letter)
    columns["digest"] = frozen.digest(draft, state, now)
    cases = (present.case(row.campaign, row.target, row.milestone_id) for row in group)
    approve = all(case is not None and letters.approved_by_rule(book, case) for case in cases)
    with contextlib.suppress(errors.WrongState):  # somebody has moved one of them just now
        book.digests.merge(group, columns, approve=approve, now=now)
        log.info("%d letters to %s go in one mail", len(group), carrier.target)


def _mail(
    settings: config.Settings, known: recipients.Known, group: Sequence[records.Delivery]
) -> dict[str, str]:
    """Return the columns of the mail that carries a group's letters."""
    carrier = group[0]
    target = recipients.target_of(carrier, known)
    if target is None:
        raise LookupError(carrier.target)
    words = render.together(
        settings.letters,
        render.Digest(
            language=carrier.language,
            target=material.named(target),
            sender_name=carrier.from_name,
            sender_address=carrier.from_address,
            reply_to=carrier.reply_to,
            letters=[
                render.Section(
                    title=known[row.campaign].title,
                    language=row.language,
                    text=row.text,
                    pdf=_name(row),
                )
                for row in group
            ],
        ),
    )
    render.require(words.faults)
    files = [
        {"path": row.pdf, "sha256": row.pdf_sha256, "pages": row.pages, "name": _name(row)}
        for row in group
    ]
    return {
        "subject": words.subject,
        "text": words.text,
        "html": words.html,
        "files": json.dumps([files]),
    }


def _name(row: records.Delivery) -> str:
    return f"{row.campaign}.pdf"


def is_current(book: ledger.Ledger, present: letters.Present, row: records.Delivery) -> bool:
    """Tell whether a letter, and each that goes in its mail, is what would be made now."""
    members = book.digests.members(row.id) if row.alone else []
    return all(present.due(one) is None for one in (row, *members))
