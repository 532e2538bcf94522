"""Addresses that must not be written to: the ledger's verbs, on both databases."""

from __future__ import annotations

import pathlib

import pytest

import build
import postgres
from deliverybot import errors, ledger, signatures
from deliverybot.ledger import records, suppressions

NOW = build.NOW
KEY = b"k" * 32
CEO = "ceo@cloud.example"


url = postgres.each_url


@pytest.fixture
def book(book: ledger.Ledger) -> ledger.Ledger:
    book.know(KEY)
    return book


def one(book: ledger.Ledger, folder: pathlib.Path, slug: str = "faces") -> records.Delivery:
    plan = build.campaign(folder, slug)
    build.grow(book, plan, 100)
    return book.deliveries.select(campaign=slug)[-1]


def test_an_address_is_suppressed_whatever_its_case_and_tag(book: ledger.Ledger) -> None:
    assert book.suppressions.of(CEO) is None
    found = book.suppressions.add(CEO, "asked", "wrote so", "mira", NOW)
    assert (found.shown, found.reason, found.by, found.at) == (
        "c…o@cloud.example", "asked", "mira", NOW,
    )  # fmt: skip
    for same in (CEO, "CEO@Cloud.Example", "ceo+petitions@cloud.example"):
        assert book.suppressions.of(same) == found
    for other in ("cfo@cloud.example", "ceo@other.example"):
        assert book.suppressions.of(other) is None


def test_neither_database_nor_log_holds_the_address(book: ledger.Ledger) -> None:
    book.suppressions.add("jordan.vale@cloud.example", "bounced", "5.1.1", "deliverybot", NOW)
    with book._db.read() as tx:
        rows = tx.execute(suppressions._S.select()).all()
    said = repr(rows) + repr(list(book.audit.since()))
    assert "jordan" not in said
    assert "j…e@cloud.example" in said
    assert len(rows[0].key) == 64


def test_other_keys_give_other_hashes() -> None:
    mine = suppressions.key(KEY, CEO)
    assert mine == suppressions.key(KEY, "Ceo+x@cloud.example")
    assert mine != suppressions.key(b"other" * 6, CEO)


def test_the_same_reason_twice_is_one_suppression(book: ledger.Ledger) -> None:
    first = book.suppressions.add(CEO, "bounced", "5.1.1", "deliverybot", NOW)
    again = book.suppressions.add(CEO, "bounced", "5.1.1", "deliverybot", NOW)
    other = book.suppressions.add(CEO, "complained", "a report", "deliverybot", NOW)
    assert first == again
    assert [row.id for row in book.suppressions.all()] == [first.id, other.id]


def test_only_a_person_lifts_it_and_each_reason_by_itself(book: ledger.Ledger) -> None:
    first = book.suppressions.add(CEO, "asked", "", "mira", NOW)
    second = book.suppressions.add(CEO, "bounced", "", "deliverybot", NOW)
    with pytest.raises(errors.UsageError, match="only a person"):
        book.suppressions.lift(first.id, "deliverybot", "it answered", NOW)
    lifted = book.suppressions.lift(first.id, "mira", "they wrote again", NOW)
    assert (lifted.lifted_by, lifted.lifted_at) == ("mira", NOW)
    assert book.suppressions.of(CEO) == second
    with pytest.raises(errors.WrongState, match="was lifted by mira"):
        book.suppressions.lift(first.id, "mira", "", NOW)
    book.suppressions.lift(second.id, "mira", "mended", NOW)
    assert book.suppressions.of(CEO) is None
    with pytest.raises(errors.UsageError, match="no suppression number 99"):
        book.suppressions.lift(99, "mira", "", NOW)
    assert [(r.old, r.new, r.why) for r in book.audit.since(thing="address", ref="1")] == [
        ("", "asked", "asked"), ("asked", "lifted", "they wrote again"),
    ]  # fmt: skip


def test_what_is_no_address_and_no_reason_is_refused(book: ledger.Ledger) -> None:
    with pytest.raises(errors.UsageError, match="no e-mail address"):
        book.suppressions.add("nobody", "asked", "", "mira", NOW)
    with pytest.raises(ValueError, match="tired"):
        book.suppressions.add(CEO, "tired", "", "mira", NOW)


def test_all_that_waits_over_all_campaigns_is_suppressed_at_once(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    state = tmp_path / "state"
    made = {slug: one(book, tmp_path, slug) for slug in ("due", "held", "approved", "sent")}
    build.freeze(book, made["held"], state)
    build.approved(book, made["approved"], state)
    claim = build.handed(book, build.approved(book, made["sent"], state))
    found = book.suppressions.add("CEO@cloud.example", "asked", "wrote so", "mira", NOW)
    rows = {row.campaign: row for row in book.deliveries.select()}
    assert {slug: row.state for slug, row in rows.items()} == {
        "due": "suppressed", "held": "suppressed", "approved": "suppressed",
        "sent": "handing_over",
    }  # fmt: skip
    assert rows["due"].why == str(found)
    assert "asked not to be written to, since 2026-11-23" in rows["due"].why
    assert build.audit(book, "delivery", made["approved"].id)[-1] == ("approved", "suppressed")
    book.deliveries.settle(claim, build.reply(), "sent", who="w1", now=NOW)
    assert book.deliveries.get(made["sent"].id).state == "sent"
    assert book.audit.verify()[1] is None


def test_a_letter_to_a_suppressed_address_is_not_claimed(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    book.suppressions.add(CEO, "complained", "", "mira", NOW)
    row = build.approved(book, one(book, tmp_path), tmp_path / "state")
    assert row.state == "approved"
    assert book.deliveries.claim(row, owner="w1", lease=build.LEASE, now=NOW) is None
    row = book.deliveries.get(row.id)
    assert (row.state, row.why) == ("suppressed", str(book.suppressions.of(CEO)))


def test_one_that_is_claimed_does_not_get_to_the_dot(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    row = build.approved(book, one(book, tmp_path), tmp_path / "state")
    claim = build.claimed(book, row)
    book.suppressions.add(CEO, "asked", "", "mira", NOW)
    with pytest.raises(errors.LostClaim, match="asked not to be written to"):
        book.deliveries.hand_over(claim, lease=build.LEASE, who="w1", sha256="0" * 64, now=NOW)
    assert book.deliveries.get(row.id).state == "sending"


def test_a_lifted_one_goes_again_after_a_persons_word(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    row = build.approved(book, one(book, tmp_path), tmp_path / "state")
    found = book.suppressions.add(CEO, "bounced", "", "deliverybot", NOW)
    book.suppressions.lift(found.id, "mira", "a slip of theirs", NOW)
    row = book.deliveries.get(row.id)
    assert row.state == "suppressed"
    book.deliveries.move(row, "held", who="mira", why="again", now=NOW)
    book.deliveries.approve(book.deliveries.get(row.id), who="mira", now=NOW)
    assert build.claimed(book, book.deliveries.get(row.id)).fence == row.fence + 1


def test_without_the_key_nobody_is_written_to_once_anybody_is_suppressed(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    row = build.approved(book, one(book, tmp_path), tmp_path / "state")
    book.know(b"")
    assert book.suppressions.of(CEO) is None
    book.know(KEY)
    book.suppressions.add("cfo@cloud.example", "asked", "", "mira", NOW)
    book.know(b"")
    with pytest.raises(errors.LedgerError, match="key is not at hand"):
        book.deliveries.claim(row, owner="w1", lease=build.LEASE, now=NOW)
    assert book.deliveries.get(row.id).state == "approved"


def test_the_key_of_the_installation_is_the_one(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    key = signatures.recognition_key(tmp_path / "state", book)
    found = book.suppressions.add(CEO, "asked", "", "mira", NOW)
    book.know(b"")
    signatures.recognition_key(tmp_path / "state", book)
    assert book.suppressions.of(CEO) == found
    assert key != KEY
