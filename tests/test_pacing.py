"""How fast letters leave: in all and to each domain, over processes and restarts."""

# ruff: noqa: ANN401 - factories hand on any field

from __future__ import annotations

import contextlib
import datetime as dt
import pathlib
from typing import Any

import pytest

import build
import postgres
from deliverybot import ledger, model
from deliverybot.ledger import pacing, queue, records

NOW = build.NOW
HOUR = dt.timedelta(hours=1)
DONE, LATER, UNSURE = model.Outcome.DONE, model.Outcome.LATER, model.Outcome.UNSURE


url = postgres.each_url


def letters(book: ledger.Ledger, tmp_path: pathlib.Path, *emails: str) -> list[records.Delivery]:
    """One approved letter to each address."""
    names = tuple(f"t{n}" for n in range(len(emails)))
    plan = build.campaign(tmp_path, targets=names)
    build.grow(book, plan, 100)
    rows = []
    for row, email in zip(book.deliveries.select(), emails, strict=True):
        build.put(book, "delivery", row.id, email=email)
        rows.append(build.approved(book, book.deliveries.get(row.id), tmp_path))
    return rows


def pace(now: dt.datetime = NOW, **more: int) -> pacing.Pace:
    known = {"per_hour": 100, "per_domain": 100, "per_domain_per_hour": 0}
    return pacing.Pace(**(known | more), since=now - HOUR)


def claim(
    book: ledger.Ledger, row: records.Delivery, now: dt.datetime = NOW, **more: int
) -> queue.Claim | None:
    return book.deliveries.claim(
        row, owner="w1", lease=build.LEASE, now=now, pace=pace(now, **more)
    )


def settle(
    book: ledger.Ledger, one: queue.Claim | None, state: str, now: dt.datetime = NOW, **said: Any
) -> None:
    assert one is not None
    if said.get("phase", "dot") == "dot":
        book.deliveries.hand_over(one, lease=build.LEASE, who="w1", sha256="", now=now)
    book.deliveries.settle(one, build.reply(**said), state, who="w1", now=now)


def test_what_is_on_its_way_counts_for_the_hour(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    a, b, c = letters(book, tmp_path, "a@one.example", "b@two.example", "c@three.example")
    assert claim(book, a, per_hour=2)
    assert claim(book, b, per_hour=2)
    assert claim(book, c, per_hour=2) is None
    assert book.deliveries.get(c.id).state == "approved"


@pytest.mark.parametrize(
    ("state", "said", "counts"),
    [
        ("sent", {"outcome": DONE}, True),
        ("unsure", {"outcome": UNSURE, "code": 0}, True),
        # The relay had the whole of it, and counts it, whatever it said.
        ("retrying", {"outcome": LATER, "code": 451}, True),
        ("retrying", {"outcome": LATER, "phase": "rcpt", "code": 450}, False),
        ("approved", {"outcome": LATER, "phase": "connect", "code": 0}, False),
    ],
)
def test_what_was_handed_over_counts_for_an_hour(
    book: ledger.Ledger, tmp_path: pathlib.Path, state: str, said: dict[str, Any], counts: bool
) -> None:
    a, b = letters(book, tmp_path, "a@one.example", "b@two.example")
    settle(book, claim(book, a, per_hour=1), state, **said)
    assert (claim(book, b, NOW + HOUR / 2, per_hour=1) is None) is counts
    assert book.deliveries.get(b.id).state == ("approved" if counts else "sending")
    if counts:
        assert claim(book, b, NOW + HOUR, per_hour=1)


def test_each_handing_over_of_one_letter_counts(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    a, b = letters(book, tmp_path, "a@one.example", "b@two.example")
    for _ in range(3):
        row = book.deliveries.get(a.id)
        settle(book, claim(book, row, per_hour=4), "retrying", outcome=LATER, code=451)
    assert book.pacing.crowd(pace()).used == 3
    assert claim(book, b, per_hour=3) is None
    assert claim(book, b, per_hour=4)


def test_one_domain_has_so_many_letters_on_their_way(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    emails = ("a@one.example", "b@ONE.example", "c@one.example", "d@sub.one.example")
    a, b, c, d = letters(book, tmp_path, *emails)
    first = claim(book, a, per_domain=2)
    assert claim(book, b, per_domain=2)
    assert claim(book, c, per_domain=2) is None
    assert claim(book, d, per_domain=2), "another domain waits for nobody"
    settle(book, first, "sent")
    assert claim(book, c, per_domain=2)


def test_the_hour_of_one_domain(book: ledger.Ledger, tmp_path: pathlib.Path) -> None:
    emails = ("a@one.example", "b@one.example", "c@one.example", "d@two.example")
    a, b, c, d = letters(book, tmp_path, *emails)
    settle(book, claim(book, a, per_domain_per_hour=2), "sent")
    assert claim(book, b, NOW + HOUR / 2, per_domain_per_hour=2)
    assert claim(book, c, NOW + HOUR / 2, per_domain_per_hour=2) is None
    assert claim(book, d, NOW + HOUR / 2, per_domain_per_hour=2)
    assert claim(book, c, NOW + HOUR, per_domain_per_hour=2)


def test_the_limits_outlive_the_process(url: str, tmp_path: pathlib.Path) -> None:
    with contextlib.closing(ledger.open_ledger(url)) as book:
        a, b = letters(book, tmp_path, "a@one.example", "b@one.example")
        settle(book, claim(book, a, per_domain_per_hour=1), "sent")
    with contextlib.closing(ledger.open_ledger(url)) as book:
        assert claim(book, b, per_hour=1) is None
        assert claim(book, b, per_domain_per_hour=1) is None
        assert claim(book, b, per_domain=1)


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        ({}, ""),
        ({"per_hour": 1}, "per_hour is used up"),
        ({"per_domain_per_hour": 1}, "per_domain_per_hour is used up for one.example"),
        ({"per_domain": 1}, "per_domain allows are on their way to one.example"),
    ],
)
def test_a_person_is_told_which_limit_it_is(
    book: ledger.Ledger, tmp_path: pathlib.Path, limits: dict[str, int], why: str
) -> None:
    a, _ = letters(book, tmp_path, "a@one.example", "b@one.example")
    assert claim(book, a)
    said = book.pacing.crowd(pace(NOW, **limits)).why_not("b@one.example")
    assert said.endswith(why)
    assert bool(said) is bool(why)


def test_two_processes_share_one_limit(url: str, tmp_path: pathlib.Path) -> None:
    """Each looks before the other claims; the claim itself decides."""
    with (
        contextlib.closing(ledger.open_ledger(url)) as one,
        contextlib.closing(ledger.open_ledger(url)) as two,
    ):
        a, b = letters(one, tmp_path, "a@one.example", "b@one.example")
        assert not one.pacing.crowd(pace(per_hour=1)).is_full
        assert not two.pacing.crowd(pace(per_hour=1)).is_full
        assert claim(one, a, per_hour=1)
        assert claim(two, b, per_hour=1) is None
