"""What is said about when a letter goes does not promise what cannot be."""

from __future__ import annotations

import datetime as dt
import pathlib
from collections.abc import Mapping
from typing import Any

import build
import test_digests
from deliverybot import agenda, approvals, ledger
from deliverybot import campaign as campaigns
from deliverybot.ledger import records

#: Monday 15:00 UTC; the office in Los Angeles opens at 17:00.
NOW = build.NOW
HOUR = dt.timedelta(hours=1)
EARLY = {"timezone": "America/Los_Angeles", "hours": "Mon-Fri 09:00-17:00"}

house = test_digests.house


def letter(
    book: ledger.Ledger, folder: pathlib.Path, office: Mapping[str, Any], delivery: str = ""
) -> tuple[campaigns.Campaign, records.Delivery]:
    """One letter that a person has approved."""
    plan = build.campaign(folder, posts=(), delivery=delivery)
    targets = tuple(one.model_copy(update=office) for one in plan.targets)
    build.grow(book, plan, 100)
    (row,) = book.deliveries.select()
    return plan.model_copy(update={"targets": targets}), build.approved(book, row, folder)


def prospect(
    book: ledger.Ledger, folder: pathlib.Path, plan: campaigns.Campaign, row: records.Delivery
) -> agenda.Prospect:
    return agenda.Outlook(book, build.settings(folder), {plan.slug: plan}, NOW).of(row)


def test_an_approval_that_ends_before_the_office_opens_sends_nothing(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    plan, row = letter(book, tmp_path, EARLY, 'approval_expires = "1h"')
    found = prospect(book, tmp_path, plan, row)
    assert (found.at, found.waits_for) == (None, "approval")
    assert "it may go on Mon 2026-11-23 09:00 America/Los_Angeles (17:00 UTC)" in found.why
    assert "ends before, on Mon 2026-11-23 08:00 America/Los_Angeles (16:00 UTC)" in found.why
    # And so it comes: before the office opens, the letter is held again.
    approvals.expire(book, {plan.slug: plan}, NOW + HOUR)
    assert book.deliveries.get(row.id).state == "held"


def test_an_approval_that_lasts_until_the_office_opens_is_no_matter(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    plan, row = letter(book, tmp_path, EARLY, 'approval_expires = "3h"')
    assert prospect(book, tmp_path, plan, row).at == NOW + 2 * HOUR


def test_a_tenure_that_ends_before_the_office_opens_sends_nothing(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    until = {"until": dt.date(2026, 11, 24), "hours": "Wed 09:00-17:00"}
    plan, row = letter(book, tmp_path, EARLY | until)
    found = prospect(book, tmp_path, plan, row)
    assert (found.at, found.waits_for) == (None, "tenure")
    assert "it may go on Wed 2026-11-25 09:00 America/Los_Angeles" in found.why
    assert "was in office until 2026-11-24" in found.why


async def test_letters_that_can_be_taken_back_are_told_to_go_in_one_mail(
    house: test_digests.House,
) -> None:
    for slug in ("faces", "lakes"):
        house.campaign(slug, delivery=test_digests.ASKS)
    await house.works.freeze()
    for row in house.book.deliveries.select():
        house.book.deliveries.approve(row, who="mira", now=NOW, undo=HOUR)
    outlook = agenda.Outlook(house.book, house.settings, house.known, NOW)
    for slug in house.known:
        found = outlook.of(house.row(slug))
        assert (found.at, found.waits_for) == (NOW + HOUR, "undo")
        assert "then it goes in one mail with other letters to this address" in found.why
    await house.works.freeze()
    assert house.states() == {"faces": "approved", "lakes": "approved"}  # not yet
