"""Links, and letters in several mails, in the ledger: the same on SQLite and PostgreSQL."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import pathlib

import pytest

import build
import postgres
from deliverybot import errors, ledger, model
from deliverybot.ledger import pacing, records

NOW = build.NOW
DAY = dt.timedelta(days=1)
MADE = ledger.Made(token_sha256="a" * 64, path="letters/list.pdf", sha256="b" * 64)


url = postgres.each_url


@pytest.fixture
def row(book: ledger.Ledger, tmp_path: pathlib.Path) -> records.Delivery:
    build.grow(book, build.campaign(tmp_path, posts=()), 100)
    return book.deliveries.select()[0]


def freeze(book: ledger.Ledger, row: records.Delivery, made: ledger.Made) -> None:
    also = book.links.making(row.id, made, NOW)
    fresh = book.deliveries.get(row.id)
    book.deliveries.freeze(fresh, {"problem": "x"}, approve=False, why="made", now=NOW, also=also)


def test_a_link_is_made_with_its_letter_and_made_anew_in_its_place(
    book: ledger.Ledger, row: records.Delivery
) -> None:
    freeze(book, row, MADE)
    (link,) = book.links.select(campaign="faces")
    assert (link.delivery_id, link.target, link.state(NOW)) == (row.id, "ceo", "new")
    freeze(book, row, dataclasses.replace(MADE, path="letters/other.pdf", sha256="c" * 64))
    (again,) = book.links.select(deliveries=[row.id])
    assert (again.id, again.path, again.sha256) == (link.id, "letters/other.pdf", "c" * 64)
    assert book.links.find("a" * 64) == again
    assert book.links.find("d" * 64) is None
    assert book.links.select(campaign="other") == []
    freeze(book, row, dataclasses.replace(MADE, path=""))
    assert book.links.select() == []


def test_what_cannot_be_frozen_has_no_link(book: ledger.Ledger, row: records.Delivery) -> None:
    stale = dataclasses.replace(row, fence=row.fence + 1)
    also = book.links.making(row.id, MADE, NOW)
    with pytest.raises(errors.WrongState):
        book.deliveries.freeze(stale, {}, approve=False, why="made", now=NOW, also=also)
    assert book.links.select() == []


def test_a_withdrawn_link_stays_so_whatever_is_made(
    book: ledger.Ledger, row: records.Delivery
) -> None:
    freeze(book, row, MADE)
    ident = book.links.select()[0].id
    book.links.withdraw(ident, who="mira", why="asked", now=NOW)
    freeze(book, row, dataclasses.replace(MADE, path=""))
    freeze(book, row, MADE)
    assert book.links.get(ident).state(NOW) == "withdrawn"
    assert build.audit(book, "link", ident) == [("open", "withdrawn")]


def test_it_opens_as_its_letter_leaves_and_never_for_shorter(
    book: ledger.Ledger, row: records.Delivery
) -> None:
    freeze(book, row, MADE)
    ident = book.links.select()[0].id
    with pytest.raises(errors.WrongState, match="has not left yet"):
        book.links.extend(ident, NOW + DAY, who="mira", why="", now=NOW)
    book.links.leaves(row.id, NOW + 2 * DAY)
    book.links.leaves(row.id, NOW + DAY)
    assert book.links.get(ident).expires_at == NOW + 2 * DAY
    book.links.extend(ident, NOW + 9 * DAY, who="mira", why="asked", now=NOW)
    book.links.leaves(row.id, NOW + 3 * DAY)
    assert book.links.get(ident).expires_at == NOW + 9 * DAY
    with pytest.raises(errors.UsageError, match="no link number 99"):
        book.links.get(99)


def test_visits_are_counted(book: ledger.Ledger, row: records.Delivery) -> None:
    freeze(book, row, MADE)
    ident = book.links.select()[0].id
    visit = records.Visit(at=NOW, status=206, first=10, bytes=20, agent="Browser")
    for _ in range(2):
        book.links.visited(ident, visit)
    assert book.links.visits(ident) == [visit, visit]
    assert book.links.get(ident).visits == 2


def test_no_more_visits_are_noted_than_fit(
    book: ledger.Ledger, row: records.Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deliverybot.ledger.links.MOST_VISITS", 3)
    freeze(book, row, MADE)
    ident = book.links.select()[0].id
    for at in range(5):
        visit = records.Visit(at=NOW, status=200, first=at, bytes=20, agent="Browser")
        book.links.visited(ident, visit)
    assert [visit.first for visit in book.links.visits(ident)] == [0, 1, 2]


def test_each_of_several_mails_counts_for_the_rate(
    book: ledger.Ledger, row: records.Delivery, tmp_path: pathlib.Path
) -> None:
    build.approved(book, row, tmp_path)
    words = json.dumps([["s", "t", "h"], ["s", "t", "h"]])
    build.put(book, "delivery", row.id, words=words)
    pace = pacing.Pace(
        per_hour=100, per_domain=10, per_domain_per_hour=0, since=NOW - dt.timedelta(hours=1)
    )
    for part in (1, 2, 3):
        claim = build.handed(book, book.deliveries.get(row.id), now=NOW)
        assert book.pacing.crowd(pace).used == part
        new = "approved" if part < 3 else "sent"
        values = {"part": part + 1} if part < 3 else {}
        reply = build.reply()
        book.deliveries.settle(claim, reply, new, who="w1", now=NOW, values=values)
        assert book.pacing.crowd(pace).used == part


def test_what_has_begun_remembers_that_it_has(
    book: ledger.Ledger, row: records.Delivery, tmp_path: pathlib.Path
) -> None:
    build.approved(book, row, tmp_path)
    claim = build.handed(book, book.deliveries.get(row.id))
    book.deliveries.settle(claim, build.reply(), "approved", who="w1", now=NOW, values={"part": 2})
    claim = build.handed(book, book.deliveries.get(row.id))
    refused = build.reply(model.Outcome.HUMAN, code=554)
    book.deliveries.settle(claim, refused, "human", who="w1", now=NOW)
    found = book.deliveries.get(row.id)
    assert (found.state, found.part, found.handed_at) == ("human", 2, NOW)
