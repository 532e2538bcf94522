"""Single signers: who waits for a look, what a person decides, and what may be one person."""

from __future__ import annotations

import contextlib
import datetime as dt
import pathlib
from typing import Any

import pytest

import build
import postgres
from deliverybot import doubles, errors, ledger, model
from deliverybot.ledger import records

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
NOTE: dict[str, Any] = {"who": "mira", "why": "looked", "now": NOW}
FLAGGED, ACTIVE, HIDDEN = (model.Signature(one) for one in ("flagged", "active", "hidden"))


url = postgres.each_url


def take(book: ledger.Ledger, *signers: model.Signer, wording: str = "I agree.") -> None:
    book.signatures.take("faces", signers, wording=("a" * 64, wording), cursor="1", now=NOW)


def sums(book: ledger.Ledger) -> tuple[int, int, int, int, int]:
    """Signatures that count, named, hidden, waiting, withdrawn; and they fit the rows."""
    one = book.signatures.standing("faces")
    rows = book.signers.select("faces", list(model.Signature))
    states = [row.state for row in rows]
    assert one.held == len(rows) - states.count("withdrawn")
    assert one.listed == sum(row.state == "active" and bool(row.name) for row in rows)
    assert one.flagged == states.count("flagged")
    return one.held, one.listed, one.hidden, one.flagged, one.withdrawn


def printed(book: ledger.Ledger, upto: int) -> list[str]:
    return [line.name for line in book.signatures.lines("faces", upto)]


# --- a look ------------------------------------------------------------------------------------


def test_a_flagged_signer_counts_and_is_named_once_a_person_has_looked(book: ledger.Ledger) -> None:
    take(book, build.signer(1), build.signer(2, flags=("address", "target")), build.signer(3))
    assert sums(book) == (3, 2, 0, 1, 0)
    assert printed(book, 3) == ["Person 1", "", "Person 3"]
    assert book.signers.clear("faces", [2], **NOTE) == {2: ACTIVE}
    assert sums(book) == (3, 3, 0, 0, 0)
    assert printed(book, 3)[1] == "Person 2"
    assert [(f.kind, f.by, f.at) for f in book.signers.flags("faces", [2])] == [
        ("address", "mira", NOW), ("target", "mira", NOW),
    ]  # fmt: skip
    assert book.signers.flag_again("faces", [2], **NOTE) == {2: FLAGGED}
    assert sums(book) == (3, 2, 0, 1, 0)
    said = [(row.old, row.new) for row in book.audit.since(thing="signature", ref="2")]
    assert said == [("flagged", "active"), ("active", "flagged")]
    assert book.audit.verify()[1] is None


def test_flags_of_very_many_are_asked_for_in_parts(book: ledger.Ledger) -> None:
    take(book, build.signer(1, flags=("target",)), build.signer(2), build.signer(3))
    book.signers.part("faces", [1, 3], **NOTE)
    found = book.signers.flags("faces", range(1, 40_000))
    assert [(flag.number, flag.kind, flag.other) for flag in found] == [
        (1, "pair", 3), (1, "target", 0),
    ]  # fmt: skip
    assert book.signers.flags("faces", []) == []


def test_whoever_has_another_reason_goes_on_waiting(book: ledger.Ledger) -> None:
    take(
        book,
        build.signer(1, flags=("target",)),
        build.signer(2, flags=("address", "target")),
        build.signer(3, flags=("address",)),
    )
    assert book.signers.flagged("faces", kind="target") == [1, 2]
    assert book.signers.flagged("faces") == [1, 2, 3]
    assert book.signers.clear("faces", [1, 2], kind="target", **NOTE) == {1: ACTIVE, 2: FLAGGED}
    assert book.signers.flagged("faces", kind="target") == []
    assert book.signers.flagged("faces") == [2, 3]
    assert book.signers.clear("faces", [2], **NOTE) == {2: ACTIVE}


def test_all_are_cleared_or_none(book: ledger.Ledger) -> None:
    take(book, build.signer(1, flags=("target",)), build.signer(2))
    for numbers in ([1, 2], [1, 9]):
        with pytest.raises(errors.UsageError, match="signature"):
            book.signers.clear("faces", numbers, **NOTE)
    assert sums(book) == (2, 1, 0, 1, 0)
    assert not any(flag.by for flag in book.signers.flags("faces", [1, 2]))
    with pytest.raises(errors.UsageError, match="never flagged"):
        book.signers.flag_again("faces", [1, 2], **NOTE)
    with pytest.raises(errors.UsageError, match="faces has no signature number 3"):
        book.signers.move("faces", [1, 3], HIDDEN, **NOTE)
    assert sums(book) == (2, 1, 0, 1, 0)


def test_who_is_restored_without_a_look_waits_again(book: ledger.Ledger) -> None:
    take(book, build.signer(1, flags=("target",)), build.signer(2))
    assert book.signers.move("faces", [1, 2], HIDDEN, **NOTE) == {1: HIDDEN, 2: HIDDEN}
    assert sums(book) == (2, 0, 2, 0, 0)
    assert book.signers.move("faces", [1, 2], ACTIVE, **NOTE) == {1: FLAGGED, 2: ACTIVE}
    assert sums(book) == (2, 1, 0, 1, 0)
    # A look while hidden: the hiding stays, and restoring names at once.
    book.signers.move("faces", [1], HIDDEN, **NOTE)
    assert book.signers.clear("faces", [1], **NOTE) == {1: HIDDEN}
    assert book.signers.move("faces", [1], ACTIVE, **NOTE) == {1: ACTIVE}
    assert sums(book) == (2, 2, 0, 0, 0)


def test_signers_are_found_by_state_and_by_a_part_of_the_name(book: ledger.Ledger) -> None:
    names = ["Ada Hill", "Åse Ärlig", "100% Ann", "Ann_a", "Олена Ґонта", "ada berg"]
    take(book, *(build.signer(n, name=name) for n, name in enumerate(names, 1)))
    book.signers.move("faces", [6], HIDDEN, **NOTE)

    def numbers(**more: Any) -> list[int]:  # noqa: ANN401 - as `select` takes them
        states = more.pop("states", list(model.Signature))
        return [row.number for row in book.signers.select("faces", states, **more)]

    assert numbers() == [1, 2, 3, 4, 5, 6]
    assert numbers(states=["hidden"]) == [6]
    assert numbers(name="ADA") == [1, 6]
    assert numbers(name="ärlig") == [2]
    assert numbers(name="олена") == [5]
    assert numbers(name="%") == [3]
    assert numbers(name="_") == [4]
    assert numbers(after=2, most=2) == [3, 4]
    assert book.signers.select("nowhere", ["active"]) == []


def test_a_signer_is_shown_with_the_words_that_were_agreed_to(book: ledger.Ledger) -> None:
    take(book, build.signer(1, sms=False, comment="Yes!"), wording="You may name me.")
    one = book.signers.get("faces", 1)
    assert (one.words, one.sha256, one.since) == ("You may name me.", "a" * 64, NOW)
    assert (one.public, one.sms, one.comment, one.taken_at) == (True, False, "Yes!", NOW)
    with pytest.raises(errors.UsageError, match="no signature number 2"):
        book.signers.get("faces", 2)


# --- one person, or two ------------------------------------------------------------------------


Row = tuple[str, str, str, str]


def people(*rows: Row) -> list[model.Signer]:
    """Signers from names, cities, postcodes and countries."""
    return [
        build.signer(n, name=name, city=city, postcode=code, country=country)
        for n, (name, city, code, country) in enumerate(rows, 1)
    ]


def found(book: ledger.Ledger, most: int | None = None) -> list[tuple[tuple[int, ...], str]]:
    return [(one.numbers, one.same) for one in doubles.find(book, "faces", most=most)]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("José Hill", "Ulm", "", ""), ("JOSE HILL", "ulm", "", ""), "city"),
        (("Ann Hill", "Ulm", "", ""), ("Hill, Ann", "Ulm", "", ""), "city"),
        (("Ann Hill", "Ulm", "89073", ""), ("Аnn Нill", "Neu-Ulm", "89 073", ""), "postcode"),
        (("Łucja Żak", "Łódź", "90-001", ""), ("Lucja Zak", "Lodz", "90001", ""),
         "postcode and city"),
        (("王小明", "台北", "", "台灣"), ("王 小明", "台北", "", "台灣"), ""),
        (("王小明", "台北", "", "台灣"), ("王小明", "台北", "", "台灣"), "city"),
        (("Sukarno", "Solo", "57100", ""), ("sukarno", "Solo", "57100", ""), "postcode"),
        (("Maria", "Ulm", "", ""), ("Maria", "Ulm", "", ""), ""),
        (("Ann Hill", "Ulm", "", "Germany"), ("Ann Hill", "Ulm", "", "USA"), ""),
        (("Ann Hill", "Ulm", "", ""), ("Ann Hill", "Bonn", "", ""), ""),
        (("Ann Hill", "Ulm", "", ""), ("Anna Hill", "Ulm", "", ""), ""),
        (("Ann Hill", "", "", ""), ("Ann Hill", "", "", ""), ""),
        (("Ann Hill", "-", "-", ""), ("Ann Hill", "?", "?", ""), ""),
        (("", "Ulm", "89073", ""), ("", "Ulm", "89073", ""), ""),
        (("☺", "Ulm", "89073", ""), ("♥", "Ulm", "89073", ""), ""),
    ],
)  # fmt: skip
def test_the_same_name_in_the_same_place_is_doubtful(
    tmp_path: pathlib.Path, one: Row, other: Row, same: str
) -> None:
    with contextlib.closing(ledger.open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")) as book:
        take(book, *people(one, other))
        assert found(book) == ([((1, 2), same)] if same else [])


def test_what_a_person_decided_is_not_asked_again(book: ledger.Ledger) -> None:
    ulm = ("Ann Hill", "Ulm", "", "")
    take(book, *people(ulm, ulm, ("Bo Berg", "Ulm", "", ""), ulm, ("Bo Berg", "Ulm", "", "")))
    assert found(book) == [((1, 2, 4), "city"), ((3, 5), "city")]
    assert found(book, most=1) == [((1, 2, 4), "city")]
    book.signers.part("faces", [2, 1], **NOTE)
    assert found(book)[0] == ((1, 2, 4), "city")  # 4 may still be either of them
    book.signers.part("faces", [1, 2, 4], **NOTE)
    assert book.signers.apart("faces") == {(1, 2), (1, 4), (2, 4)}
    assert found(book) == [((3, 5), "city")]
    book.signers.move("faces", [5], model.Signature.WITHDRAWN, **NOTE)
    assert found(book) == []
    assert sums(book) == (4, 4, 0, 0, 1)
    book.signers.move("faces", [5], ACTIVE, **NOTE)
    book.signers.unpart("faces", [1, 4], **NOTE)
    assert found(book) == [((1, 4), "city"), ((3, 5), "city")]
    with pytest.raises(errors.UsageError, match="nobody has said that 1 and 4"):
        book.signers.unpart("faces", [1, 4], **NOTE)
    with pytest.raises(errors.UsageError, match="no signature number 9"):
        book.signers.part("faces", [1, 9], **NOTE)
    said = [row.new for row in book.audit.since(thing="signature", ref="1")]
    assert said == ["different", "different", "undecided"]


def test_a_decided_pair_is_no_reason_to_wait(book: ledger.Ledger) -> None:
    take(book, *people(*[("Ann Hill", "Ulm", "", "")] * 2))
    book.signers.part("faces", [1, 2], **NOTE)
    assert sums(book) == (2, 2, 0, 0, 0)
    for number in (1, 2):
        assert [(f.number, f.other) for f in book.signers.flags("faces", [number])] == [(1, 2)]
        with pytest.raises(errors.UsageError, match="not flagged"):
            book.signers.clear("faces", [number], **NOTE)


def test_a_heap_of_one_name_shows_its_first_and_goes_on(book: ledger.Ledger) -> None:
    take(book, *people(*[("Ann Hill", "Ulm", "", "")] * 120))
    assert found(book) == [(tuple(range(1, 51)), "city")]
    book.signers.part("faces", range(1, 51), **NOTE)
    assert found(book) == [(tuple(range(51, 101)), "city")]


def test_a_merged_address_is_no_doubtful_pair(book: ledger.Ledger) -> None:
    both = people(*[("Ann Hill", "Ulm", "", "")] * 2)
    take(book, both[0], build.signer(2, name="Ann Hill", city="Ulm", key_email=both[0].key_email))
    assert (found(book), sums(book)) == ([], (1, 1, 0, 0, 0))


def test_records_hold_no_address() -> None:
    names = set(ledger.signers.Signature.__dataclass_fields__)
    assert not any("email" in name or "key" in name for name in names)
    assert issubclass(ledger.signers.Signature, records.Record)
