"""The contract of the ledger: kept by SQLite and by PostgreSQL alike."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import functools
import itertools
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import build
import postgres
from deliverybot import errors, ledger, model
from deliverybot.ledger import milestones as verbs
from deliverybot.ledger import queue, records, store, tables, tallies

NOW = build.NOW
DATABASES = ("sqlite", "postgresql")


url = postgres.each_url


def one_delivery(
    book: ledger.Ledger, folder: pathlib.Path, *, posts: tuple[str, ...] = ("news",)
) -> records.Delivery:
    """The delivery of a milestone that was just crossed."""
    plan = build.campaign(folder, posts=posts)
    build.grow(book, plan, 100)
    return book.deliveries.select()[-1]


def together(*jobs: Callable[[], None]) -> list[BaseException]:
    """Run jobs at once, starting as one; what they raised."""
    start = threading.Barrier(len(jobs))
    raised: list[BaseException] = []

    def run(job: Callable[[], None]) -> None:
        try:
            start.wait(30)
            job()
        except BaseException as error:  # noqa: BLE001 - handed to the test
            raised.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert not any(thread.is_alive() for thread in threads)
    return raised


# --- signatures --------------------------------------------------------------------------------


def test_a_campaign_begins_with_nothing(book: ledger.Ledger) -> None:
    standing = book.signatures.standing("faces")
    assert (standing.signatures, standing.listed, standing.last_number) == (0, 0, 0)
    assert standing.cursor is None
    assert standing.baseline is None


def test_taking_the_same_batch_again_changes_neither_list_nor_count(book: ledger.Ledger) -> None:
    people = build.signers(7)
    first = book.signatures.take("faces", people, wording=build.WORDING, cursor="a", now=NOW)
    before = list(book.signatures.lines("faces", 7))
    again = book.signatures.take("faces", people, wording=build.WORDING, cursor="a", now=NOW)
    assert (first.new, first.duplicates) == (7, 0)
    assert (again.new, again.duplicates, again.again, again.narrowed) == (0, 0, 7, 0)
    assert list(book.signatures.lines("faces", 99)) == before
    standing = book.signatures.standing("faces")
    assert (standing.signatures, standing.listed, standing.last_number) == (7, 7, 7)


@pytest.mark.parametrize("batches", [1, 2])
@pytest.mark.parametrize("same", ["key_id", "key_email"])
def test_a_person_is_recognised_by_either_key(book: ledger.Ledger, same: str, batches: int) -> None:
    ada = build.signer(1)
    again = build.signer(2)._replace(**{same: getattr(ada, same)})
    people = [[ada, again]] if batches == 1 else [[ada], [again]]
    for batch in people:
        build.take(book, batch)
    standing = book.signatures.standing("faces")
    # The same row once more is no second signature; the same address under another id is.
    assert (standing.signatures, standing.duplicates) == (1, 1 if same == "key_email" else 0)
    assert [line.name for line in book.signatures.lines("faces", 9)] == ["Person 1"]


def test_a_source_read_from_its_start_again_counts_no_duplicate_twice(book: ledger.Ledger) -> None:
    ada, later = build.signer(1), build.signer(2)._replace(key_email=b"e" * 16)
    ada = ada._replace(key_email=b"e" * 16)
    for _ in range(3):
        build.take(book, [ada, later])
    standing = book.signatures.standing("faces")
    assert (standing.signatures, standing.duplicates) == (1, 1)


def test_people_without_keys_are_all_different(book: ledger.Ledger) -> None:
    nobody = build.signer(1, key_id=None, key_email=None)
    standing = build.take(book, [nobody, nobody, nobody])
    assert (standing.signatures, standing.duplicates) == (3, 0)


def test_campaigns_do_not_share_signers_or_numbers(book: ledger.Ledger) -> None:
    build.take(book, build.signers(3), "faces")
    standing = build.take(book, build.signers(2), "other")
    assert (standing.signatures, standing.last_number, standing.duplicates) == (2, 2, 0)


def test_numbers_have_no_gaps_over_batches_with_duplicates(book: ledger.Ledger) -> None:
    build.take(book, build.signers(5))
    build.take(book, [*build.signers(3, 4), *build.signers(2, 5)])
    build.take(book, build.signers(4, 6))
    numbers = [line.number for line in book.signatures.lines("faces", 1_000)]
    assert numbers == list(range(1, 10))


def test_the_list_is_given_out_over_pages_and_up_to_a_number(
    book: ledger.Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deliverybot.ledger.signatures.PAGE", 4)
    build.take(book, build.signers(11))
    for upto in (0, 1, 3, 4, 5, 8, 10, 11, 50):
        numbers = [line.number for line in book.signatures.lines("faces", upto)]
        assert numbers == list(range(1, min(upto, 11) + 1))


def test_only_the_fields_asked_for_are_given_out(book: ledger.Ledger) -> None:
    build.take(book, [build.signer(1, region="North")])
    (line,) = book.signatures.lines("faces", 1, fields=("name", "region"))
    assert (line.name, line.city, line.region, line.country) == ("Person 1", "", "North", "")


def test_the_list_of_an_unknown_campaign_is_empty(book: ledger.Ledger) -> None:
    assert list(book.signatures.lines("nobody", 5)) == []


def test_a_source_fails_since_the_first_failure_after_the_last_good_reading(
    book: ledger.Ledger,
) -> None:
    signatures = book.signatures
    assert signatures.failing_since("faces") is None
    times = [NOW + dt.timedelta(hours=n) for n in range(6)]
    signatures.read("faces", now=times[0], problem="down")
    signatures.read("faces", now=times[1])
    assert signatures.failing_since("faces") is None
    for time, problem in ((times[2], "down"), (times[3], "down"), (times[4], "away")):
        signatures.read("faces", now=time, problem=problem)
    signatures.read("other", now=times[5], problem="down")
    assert signatures.failing_since("faces") == times[2]
    assert signatures.failing_since("other") == times[5]
    assert signatures.standing("faces").failures == 3


def test_a_hidden_signer_counts_and_is_not_named(book: ledger.Ledger) -> None:
    build.take(book, build.signers(3))
    book.signers.move("faces", [2], model.Signature.HIDDEN, who="mira", why="asked", now=NOW)
    standing = book.signatures.standing("faces")
    assert (standing.signatures, standing.listed, standing.unnamed) == (3, 2, 1)
    lines = list(book.signatures.lines("faces", 3))
    assert [(line.number, line.name, line.city) for line in lines] == [
        (1, "Person 1", "Town 1"), (2, "", ""), (3, "Person 3", "Town 3"),
    ]  # fmt: skip
    assert book.signatures.listed("faces", 3) == 2
    assert build.audit(book, "signature", 2) == [("active", "hidden")]


@pytest.mark.parametrize(
    ("path", "signatures", "listed", "withdrawn"),
    [
        (["hidden"], 3, 2, 0),
        (["withdrawn"], 2, 2, 1),
        (["hidden", "withdrawn"], 2, 2, 1),
        (["withdrawn", "hidden"], 3, 2, 0),
        (["withdrawn", "active"], 3, 3, 0),
        (["hidden", "active"], 3, 3, 0),
        (["hidden", "hidden"], 3, 2, 0),
        (["active"], 3, 3, 0),
    ],
)
def test_counts_follow_every_change_of_one_signature(
    book: ledger.Ledger, path: list[str], signatures: int, listed: int, withdrawn: int
) -> None:
    build.take(book, build.signers(3))
    for state in path:
        book.signers.move("faces", [2], model.Signature(state), who="mira", why="", now=NOW)
    standing = book.signatures.standing("faces")
    assert (standing.signatures, standing.listed, standing.withdrawn) == (
        signatures, listed, withdrawn,
    )  # fmt: skip
    assert book.signatures.listed("faces", 3) == listed


def test_a_withdrawn_signer_who_comes_again_stays_withdrawn(book: ledger.Ledger) -> None:
    build.take(book, build.signers(3))
    build.withdraw(book, "faces", 2)
    standing = build.take(book, build.signers(3))
    assert (standing.signatures, standing.withdrawn, standing.last_number) == (2, 1, 3)


def test_a_number_that_nobody_has_is_a_usage_error(book: ledger.Ledger) -> None:
    build.take(book, build.signers(3))
    with pytest.raises(errors.UsageError, match="no signature number 4"):
        build.withdraw(book, "faces", 4)
    assert build.audit(book) == []


@pytest.mark.parametrize("batches", [1, 2])
def test_permissions_only_ever_narrow(book: ledger.Ledger, batches: int) -> None:
    wide, narrow = build.signer(1), build.signer(1, to_target=False, mail=False)
    people = [wide, narrow, wide]
    for batch in [people] if batches == 1 else [[one] for one in people]:
        build.take(book, batch)
    standing = book.signatures.standing("faces")
    assert (standing.signatures, standing.listed) == (1, 0)
    assert [line.name for line in book.signatures.lines("faces", 1)] == [""]


def test_two_narrower_copies_in_one_batch_both_count(book: ledger.Ledger) -> None:
    build.take(book, [build.signer(1)])
    taken = book.signatures.take(
        "faces",
        [build.signer(1, to_target=False), build.signer(1, public=False)],
        wording=build.WORDING,
        cursor=None,
        now=NOW,
    )
    assert taken.narrowed == 1
    with book._db.read() as tx:
        row = tx.execute(sa.select(tables.signatures)).one()
    assert (row.public, row.to_target, row.mail, row.sms) == (False, False, True, True)
    assert book.signatures.standing("faces").listed == 0


def test_narrowing_somebody_hidden_does_not_count_twice(book: ledger.Ledger) -> None:
    build.take(book, build.signers(2))
    book.signers.move("faces", [1], model.Signature.HIDDEN, who="m", why="", now=NOW)
    build.take(book, [build.signer(1, to_target=False)])
    assert book.signatures.standing("faces").listed == 1
    book.signers.move("faces", [1], model.Signature.ACTIVE, who="m", why="", now=NOW)
    assert book.signatures.standing("faces").listed == 1
    assert book.signatures.listed("faces", 2) == 1


def test_a_changed_line_moves_the_lists_revision_and_growth_does_not(
    book: ledger.Ledger,
) -> None:
    first = build.take(book, build.signers(2)).list_revision
    assert build.take(book, build.signers(2, 3)).list_revision == first
    assert build.take(book, [build.signer(1, to_target=False)]).list_revision == first + 1
    build.withdraw(book, "faces", 2)
    assert book.signatures.standing("faces").list_revision == first + 2


PERSON = st.builds(
    lambda n, alias, to_target, name: build.signer(
        n, key_email=build.key(f"mail {alias}"), to_target=to_target, name=name
    ),
    st.integers(1, 9),
    st.integers(1, 9),
    st.booleans(),
    st.sampled_from(["Ada", "Zoë", ""]),
)


#: Those that a person sets and takes back; whoever is erased stays so.
STATES = [state for state in model.Signature if state != model.Signature.ERASED]


@pytest.mark.parametrize("database", DATABASES)
@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(
        st.one_of(
            st.lists(PERSON, max_size=8),
            st.tuples(st.integers(1, 9), st.sampled_from(STATES)),
        ),
        max_size=8,
    )
)
def test_the_counts_reconcile_whatever_happens(
    shelf: Callable[[str], tuple[ledger.Ledger, str]],
    database: str,
    steps: list[list[model.Signer] | tuple[int, model.Signature]],
) -> None:
    book, slug = shelf(database)
    rows = 0
    for step in steps:
        if isinstance(step, list):
            taken = book.signatures.take(slug, step, wording=build.WORDING, cursor=None, now=NOW)
            assert len(step) == taken.new + taken.duplicates + taken.again
            rows += taken.new + taken.duplicates
        else:
            with contextlib.suppress(errors.UsageError):
                book.signers.move(slug, [step[0]], step[1], who="m", why="", now=NOW)
    standing = book.signatures.standing(slug)
    lines = list(book.signatures.lines(slug, 1_000))
    assert [line.number for line in lines] == list(range(1, standing.last_number + 1))
    assert standing.listed == sum(line.name != "" for line in lines)
    assert standing.listed == book.signatures.listed(slug, 1_000)
    assert standing.signatures == standing.listed + standing.unnamed
    assert standing.unnamed >= 0
    assert standing.last_number == standing.signatures + standing.withdrawn
    assert rows == standing.last_number + standing.duplicates


@pytest.fixture(scope="module")
def shelf(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Callable[[str], tuple[ledger.Ledger, str]]]:
    """A ledger of each kind, and a new campaign in it at each call."""
    import postgres

    numbers = itertools.count()
    with contextlib.ExitStack() as stack:
        books: dict[str, ledger.Ledger] = {}

        def give(database: str) -> tuple[ledger.Ledger, str]:
            if database not in books:
                at = f"sqlite:///{tmp_path_factory.mktemp('shelf') / 'ledger.db'}"
                if database == "postgresql":
                    at = postgres.fresh_database(request.getfixturevalue("postgres_url"))
                opened = ledger.open_ledger(at)
                books[database] = stack.enter_context(contextlib.closing(opened))
            return books[database], f"c{next(numbers)}"

        yield give


# --- the list from a number on, and its sealed volumes --------------------------------------------


def test_the_list_is_given_out_from_a_number_on(
    book: ledger.Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deliverybot.ledger.signatures.PAGE", 4)
    build.take(book, build.signers(11))
    build.take(book, build.signers(20), "other")
    for first in (1, 2, 4, 5, 6, 11, 12):
        for upto in (3, 4, 5, 10, 11, 99):
            lines = list(book.signatures.lines("faces", upto, first=first))
            assert [line.number for line in lines] == list(range(first, min(upto, 11) + 1))
            assert [line.name for line in lines] == [f"Person {line.number}" for line in lines]


def test_who_may_be_named_is_counted_up_to_a_number(book: ledger.Ledger) -> None:
    build.take(
        book, [*build.signers(6), build.signer(7, to_target=False), build.signer(8, name="")]
    )
    build.take(book, build.signers(9), "other")
    build.withdraw(book, "faces", 2)
    book.signers.move("faces", [4], model.Signature.HIDDEN, who="m", why="", now=NOW)
    counts = [book.signatures.listed("faces", upto) for upto in range(10)]
    assert counts == [0, 1, 1, 2, 2, 3, 4, 4, 4, 4]
    assert book.signatures.standing("faces").listed == 4
    assert book.signatures.listed("nobody", 5) == 0


def sealing(number: int, **more: object) -> dict[str, Any]:
    """The columns of a volume that is on disk."""
    known = {
        "number": number, "first": number * 10 - 9, "last": number * 10,
        "form": "f" * 64, "path": f"volumes/faces/{number:05}-a.volume",
        "sha256": f"{number:x}" * 64, "pages": 1,
    }  # fmt: skip
    return known | more


def seal(book: ledger.Ledger, number: int, slug: str = "faces", **more: object) -> str | None:
    """Seal a volume whose signers were read just now."""
    revision = book.signatures.standing(slug).list_revision
    return book.volumes.seal(slug, sealing(number, **more), revision=revision, now=NOW)


def editions(book: ledger.Ledger, slug: str = "faces") -> list[tuple[int, int]]:
    """The number and the edition of each volume that holds."""
    return [(one.number, one.edition) for one in book.volumes.sealed(slug)]


def test_a_volume_is_sealed_as_it_was_written(book: ledger.Ledger) -> None:
    build.take(book, build.signers(30))
    assert book.volumes.sealed("faces") == book.volumes.sealed("nobody") == []
    assert [seal(book, number) for number in (2, 1)] == ["", ""]
    assert book.volumes.sealed("faces") == [
        records.Volume(edition=1, **sealing(number)) for number in (1, 2)
    ]
    logged = [row for row in book.audit.since() if row.thing == "volume"]
    assert [(row.ref, row.campaign, row.old, row.new, row.who) for row in logged] == [
        ("2", "faces", "", "sealed", "deliverybot"), ("1", "faces", "", "sealed", "deliverybot"),
    ]  # fmt: skip
    assert "signers 11 to 20, edition 1" in logged[0].why
    assert "2" * 64 in logged[0].why
    assert book.audit.verify()[1] is None


def test_a_list_that_has_changed_since_it_was_read_seals_nothing(book: ledger.Ledger) -> None:
    build.take(book, build.signers(30))
    assert seal(book, 1) == ""
    revision = book.signatures.standing("faces").list_revision
    build.withdraw(book, "faces", 15)
    before = build.audit(book)
    for number in (1, 2):
        late = sealing(number, sha256="d" * 64, path="late")
        assert book.volumes.seal("faces", late, revision=revision, now=NOW) is None
    assert editions(book) == [(1, 1)]
    assert book.volumes.sealed("faces")[0].sha256 == "1" * 64
    assert build.audit(book) == before
    # Growth changes no line: what was read before it still holds.
    revision = book.signatures.standing("faces").list_revision
    build.take(book, build.signers(10, 31))
    assert book.volumes.seal("faces", sealing(2), revision=revision, now=NOW) == ""


def test_a_volume_made_anew_is_the_next_edition_and_names_the_file_it_replaces(
    book: ledger.Ledger,
) -> None:
    build.take(book, build.signers(20))
    assert seal(book, 1) == ""
    assert seal(book, 2) == ""
    build.withdraw(book, "faces", 3)
    assert seal(book, 1, path="volumes/faces/b", sha256="b" * 64) == sealing(1)["path"]
    # The same bytes again have the same name: there is no other file to remove.
    assert seal(book, 1, path="volumes/faces/b", sha256="b" * 64) == ""
    assert editions(book) == [(1, 3), (2, 1)]
    assert build.audit(book, "volume", 1) == [("", "sealed"), *[("sealed", "sealed")] * 2]
    whys = [row.why for row in book.audit.since() if (row.thing, row.ref) == ("volume", "1")]
    assert ["1" * 64 in whys[0], "b" * 64 in whys[1], "edition 3" in whys[2]] == [True] * 3
    assert book.audit.verify()[1] is None


def test_a_volume_of_another_size_ends_those_that_share_signers_with_it(
    book: ledger.Ledger,
) -> None:
    for slug in ("faces", "other"):
        build.take(book, build.signers(60), slug)
        for number in (1, 2, 3, 4):
            seal(book, number, slug)
    assert seal(book, 1, first=1, last=30, path="volumes/faces/b") == sealing(1)["path"]
    assert editions(book) == [(1, 2), (4, 1)]
    assert editions(book, "other") == [(1, 1), (2, 1), (3, 1), (4, 1)]
    assert seal(book, 2, first=31, last=60, path="volumes/faces/c") == sealing(2)["path"]
    assert editions(book) == [(1, 2), (2, 2)]


@pytest.mark.parametrize("state", [model.Signature.HIDDEN, model.Signature.WITHDRAWN])
@pytest.mark.parametrize(
    ("number", "left"), [(1, [2, 3]), (10, [2, 3]), (11, [1, 3]), (30, [1, 2]), (31, [1, 2, 3])]
)
def test_a_changed_state_unseals_the_volume_of_that_signer_alone(
    book: ledger.Ledger, state: model.Signature, number: int, left: list[int]
) -> None:
    for slug in ("faces", "other"):
        build.take(book, build.signers(35), slug)
        for one in (1, 2, 3):
            seal(book, one, slug)
    for again in (state, state, model.Signature.ACTIVE):
        book.signers.move("faces", [number], again, who="m", why="", now=NOW)
        assert [one for one, _ in editions(book)] == left
    assert editions(book, "other") == [(1, 1), (2, 1), (3, 1)]
    for one in {1, 2, 3} - set(left):
        seal(book, one)
        assert dict(editions(book))[one] == 2


def test_a_state_that_stays_as_it_was_unseals_nothing(book: ledger.Ledger) -> None:
    build.take(book, build.signers(10))
    seal(book, 1)
    book.signers.move("faces", [5], model.Signature.ACTIVE, who="m", why="", now=NOW)
    with pytest.raises(errors.UsageError):
        build.withdraw(book, "faces", 99)
    assert editions(book) == [(1, 1)]


def test_a_permission_taken_back_later_unseals_its_volume(book: ledger.Ledger) -> None:
    for slug in ("faces", "other"):
        build.take(book, build.signers(30), slug)
        for one in (1, 2, 3):
            seal(book, one, slug)
    revision = book.signatures.standing("faces").list_revision
    build.take(book, [build.signer(12, to_target=False), *build.signers(5, 31)])
    assert editions(book) == [(1, 1), (3, 1)]
    assert editions(book, "other") == [(1, 1), (2, 1), (3, 1)]
    assert book.volumes.seal("faces", sealing(2), revision=revision, now=NOW) is None
    # Given again it stays taken back, and nothing changes once more.
    assert seal(book, 2) == ""
    build.take(book, [build.signer(12)])
    assert editions(book) == [(1, 1), (2, 2), (3, 1)]


def test_a_permission_that_the_list_does_not_ask_for_unseals_nothing(book: ledger.Ledger) -> None:
    build.take(book, build.signers(10))
    seal(book, 1)
    revision = book.signatures.standing("faces").list_revision
    narrower = [build.signer(3, mail=False), build.signer(4, public=False, sms=False)]
    taken = book.signatures.take("faces", narrower, wording=build.WORDING, cursor=None, now=NOW)
    assert taken.narrowed == 2
    assert editions(book) == [(1, 1)]
    assert book.signatures.standing("faces").list_revision == revision


def test_a_change_that_is_taken_back_unseals_nothing(
    book: ledger.Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    build.take(book, build.signers(10))
    seal(book, 1)

    def fail(*args: object, **more: object) -> None:
        raise RuntimeError("the disk is gone")

    monkeypatch.setattr(store, "record", fail)
    with pytest.raises(RuntimeError):
        build.withdraw(book, "faces", 3)
    with pytest.raises(RuntimeError):
        seal(book, 1, path="other")
    monkeypatch.undo()
    assert editions(book) == [(1, 1)]
    assert book.volumes.sealed("faces")[0].path == sealing(1)["path"]
    assert book.signatures.listed("faces", 10) == 10


def test_sealing_and_hiding_at_once_leave_no_sealed_volume_with_the_old_line(
    book: ledger.Ledger,
) -> None:
    build.take(book, build.signers(10))
    for number in range(1, 9):
        revision = book.signatures.standing("faces").list_revision
        told: list[str | None] = []

        def sealed(revision: int = revision, told: list[str | None] = told) -> None:
            told.append(book.volumes.seal("faces", sealing(1), revision=revision, now=NOW))

        assert not together(sealed, functools.partial(build.withdraw, book, "faces", number))
        assert editions(book) == []
        assert told in ([""], [None])
    assert book.audit.verify()[1] is None


def test_readings_are_kept_when_something_differs(book: ledger.Ledger) -> None:
    clock = build.Clock()
    build.take(book, build.signers(2), now=clock())
    build.take(book, [], now=clock.forward(minutes=5))
    book.signatures.read("faces", now=clock.forward(minutes=5), problem="the file is gone")
    standing = book.signatures.standing("faces")
    assert standing.problem == "the file is gone"
    assert standing.read_at == NOW + dt.timedelta(minutes=5)
    assert standing.signatures == 2
    with book._db.read() as tx:
        kept = tx.execute(sa.select(tables.readings.c.outcome)).scalars().all()
    assert kept == ["taken", "failed"]
    assert book.signatures.read("faces", now=clock.forward(minutes=5)).problem == ""


def test_the_pace_counts_quiet_time_and_what_came_before_it(book: ledger.Ledger) -> None:
    clock = build.Clock()
    since = NOW - dt.timedelta(days=1)
    assert book.signatures.pace("faces", since=since) is None
    build.take(book, build.signers(100), now=clock())
    assert book.signatures.pace("faces", since=since) is None  # one reading is no line
    build.take(book, build.signers(60, 101), now=clock.forward(minutes=1))
    assert book.signatures.pace("faces", since=since) == pytest.approx(1.0)
    build.take(book, [], now=clock.forward(minutes=9))  # nothing new, yet time went by
    assert book.signatures.pace("faces", since=since) == pytest.approx(0.1)
    later = clock.forward(days=8)
    build.take(book, build.signers(8_640, 161), now=later)
    looked_back = book.signatures.pace("faces", since=later - dt.timedelta(days=1))
    assert looked_back == pytest.approx(0.1)


# --- comments ----------------------------------------------------------------------------------

WAITING, APPROVED, WITHHELD = model.Comment


def decide(book: ledger.Ledger, state: model.Comment, *numbers: int, slug: str = "faces") -> None:
    book.comments.decide(slug, numbers, state, who="mira", why="read it", now=NOW)


def printed(book: ledger.Ledger, upto: int = 1_000, most: int = 50) -> list[tuple[int, str]]:
    fields = ("name", "country")
    found = book.comments.approved("faces", upto, most=most, fields=fields)
    return [(comment.signer.number, comment.text) for comment in found]


def wrote(count: int) -> list[model.Signer]:
    return [build.signer(n, comment=f"Comment {n}") for n in range(1, count + 1)]


def test_a_comment_is_printed_when_a_person_approved_it_and_only_then(book: ledger.Ledger) -> None:
    build.take(book, [*wrote(3), *build.signers(2, 4)])
    build.take(book, [build.signer(9, comment="Elsewhere")], "other")
    waiting = book.comments.select("faces", [WAITING])
    assert [(row.number, row.comment, row.named) for row in waiting] == [
        (1, "Comment 1", True), (2, "Comment 2", True), (3, "Comment 3", True),
    ]  # fmt: skip
    assert printed(book) == []
    decide(book, APPROVED, 2, 3, 2)
    decide(book, WITHHELD, 1)
    assert printed(book) == [(2, "Comment 2"), (3, "Comment 3")]
    assert book.comments.select("faces", [WAITING]) == []
    decide(book, WITHHELD, 3)
    assert printed(book) == [(2, "Comment 2")]
    decided = book.comments.select("faces", list(model.Comment))
    assert [(row.number, row.state, row.by, row.at) for row in decided] == [
        (1, "withheld", "mira", NOW), (2, "approved", "mira", NOW), (3, "withheld", "mira", NOW),
    ]  # fmt: skip
    assert build.audit(book, "comment", 3) == [("waiting", "approved"), ("approved", "withheld")]
    assert book.audit.verify() == (4, None)
    assert book.comments.waiting("other", 9) == 1


def test_a_comment_has_its_signer_in_the_fields_of_the_list(book: ledger.Ledger) -> None:
    build.take(book, [build.signer(1, comment="No", region="North")])
    decide(book, APPROVED, 1)
    (one,) = book.comments.approved("faces", 1, most=9, fields=("name", "region"))
    assert one.signer == model.ListedSigner(number=1, name="Person 1", region="North")
    (one,) = book.comments.approved("faces", 1, most=9, fields=("city",))
    assert one.signer == model.ListedSigner(number=1, name="", city="Town 1")


def test_of_too_many_comments_the_latest_signers_are_printed(book: ledger.Ledger) -> None:
    build.take(book, wrote(9))
    decide(book, APPROVED, 8, 1, 5, 2, 9)
    assert [number for number, _ in printed(book, upto=8, most=3)] == [2, 5, 8]
    assert [number for number, _ in printed(book, most=3)] == [5, 8, 9]
    assert printed(book, upto=0) == []


def test_comments_are_listed_page_by_page(book: ledger.Ledger) -> None:
    build.take(book, wrote(9))
    decide(book, APPROVED, 2, 4)
    every = list(model.Comment)
    numbers = [row.number for row in book.comments.select("faces", every, after=1, most=4)]
    assert numbers == [2, 3, 4, 5]
    assert [row.number for row in book.comments.select("faces", [WAITING], after=3, most=2)] == [
        5, 6,
    ]  # fmt: skip
    assert (book.comments.waiting("faces", 5), book.comments.waiting("faces", 50)) == (5, 7)
    assert book.comments.select("nobody", every) == []
    assert book.comments.waiting("nobody", 5) == 0


def test_whoever_may_not_be_named_is_printed_with_no_comment(book: ledger.Ledger) -> None:
    never = [
        build.signer(5, comment="No consent", to_target=False),
        build.signer(6, comment="No name", name=""),
    ]
    build.take(book, [*wrote(4), *never])
    every = list(model.Comment)
    assert [row.number for row in book.comments.select("faces", every)] == [1, 2, 3, 4]
    decide(book, APPROVED, 1, 2, 3)
    book.signers.move("faces", [1], model.Signature.HIDDEN, who="m", why="", now=NOW)
    build.withdraw(book, "faces", 2)
    book.signers.move("faces", [4], model.Signature.HIDDEN, who="m", why="", now=NOW)
    build.take(book, [build.signer(3, to_target=False)])
    assert printed(book) == []
    assert book.comments.select("faces", [WAITING]) == []
    assert book.comments.waiting("faces", 9) == 0
    assert not any(row.named for row in book.comments.select("faces", every))
    book.signers.move("faces", [1], model.Signature.ACTIVE, who="m", why="", now=NOW)
    assert printed(book) == [(1, "Comment 1")]


@pytest.mark.parametrize(
    ("number", "why"),
    [(7, "no signature number 7"), (4, "has no comment"), (5, "may not be named"), (6, "may not")],
)
def test_what_cannot_be_decided_changes_nothing(book: ledger.Ledger, number: int, why: str) -> None:
    never = [
        build.signer(5, comment="No consent", to_target=False),
        build.signer(6, comment="No name", name=""),
    ]
    build.take(book, [*wrote(3), build.signer(4), *never])
    before = book.signatures.standing("faces")
    with pytest.raises(errors.UsageError, match=why) as caught:
        decide(book, APPROVED, 1, number)
    assert "nothing was changed" in caught.value.hint
    assert (printed(book), build.audit(book)) == ([], [])
    assert book.signatures.standing("faces") == before
    with pytest.raises(errors.UsageError, match="no signature number 1"):
        decide(book, APPROVED, 1, slug="nobody")


def test_a_signer_who_comes_again_changes_neither_comment_nor_decision(book: ledger.Ledger) -> None:
    build.take(book, wrote(2))
    decide(book, APPROVED, 1)
    build.take(book, [build.signer(1, comment="Something else"), build.signer(2, comment="")])
    assert printed(book) == [(1, "Comment 1")]
    assert [row.comment for row in book.comments.select("faces", [WAITING])] == ["Comment 2"]


def test_a_decision_moves_the_comments_revision_and_leaves_the_list_alone(
    book: ledger.Ledger,
) -> None:
    build.take(book, wrote(4))
    values = {
        "number": 1, "first": 1, "last": 4, "form": "f", "path": "1.vol", "sha256": "0" * 64,
        "pages": 1,
    }  # fmt: skip
    before = book.signatures.standing("faces")
    decide(book, APPROVED, 1, 2)
    # Typesetting was under way: what it sealed still holds.
    assert book.volumes.seal("faces", values, revision=before.list_revision, now=NOW) == ""
    decide(book, WITHHELD, 1)
    decide(book, WITHHELD, 1)
    after = book.signatures.standing("faces")
    assert after.list_revision == before.list_revision
    assert after.comment_revision == before.comment_revision + 2
    assert [one.number for one in book.volumes.sealed("faces")] == [1]
    assert build.audit(book, "comment", 1) == [("waiting", "approved"), ("approved", "withheld")]


def test_deciders_at_once_make_one_decision_each(book: ledger.Ledger) -> None:
    build.take(book, wrote(20))
    jobs = [lambda: decide(book, APPROVED, *range(1, 21)) for _ in range(3)]
    jobs += [lambda: decide(book, APPROVED, *range(20, 0, -1)) for _ in range(3)]
    assert together(*jobs) == []
    assert len(printed(book)) == 20
    assert len(build.audit(book, "comment")) == 20
    assert book.audit.verify() == (20, None)


SAID = st.builds(
    lambda n, to_target, name, text: build.signer(
        n, key_email=None, to_target=to_target, name=name, comment=text
    ),
    st.integers(1, 9),
    st.booleans(),
    st.sampled_from(["Ada", "Zoë", ""]),
    st.sampled_from(["Stop it", "Ça suffit", ""]),
)


@pytest.mark.parametrize("database", DATABASES)
@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(
        st.one_of(
            st.lists(SAID, max_size=6),
            st.tuples(st.integers(1, 9), st.sampled_from([*STATES, *model.Comment])),
        ),
        max_size=10,
    )
)
def test_nothing_unapproved_is_printed_whatever_happens(
    shelf: Callable[[str], tuple[ledger.Ledger, str]],
    database: str,
    steps: list[list[model.Signer] | tuple[int, model.Signature | model.Comment]],
) -> None:
    book, slug = shelf(database)
    decided: dict[int, model.Comment] = {}
    for step in steps:
        if isinstance(step, list):
            build.take(book, step, slug)
            continue
        number, state = step
        with contextlib.suppress(errors.UsageError):
            if isinstance(state, model.Signature):
                book.signers.move(slug, [number], state, who="m", why="", now=NOW)
            else:
                book.comments.decide(slug, [number], state, who="m", why="", now=NOW)
                decided[number] = state
    named = {line.number: line.name for line in book.signatures.lines(slug, 99) if line.name}
    found = book.comments.approved(slug, 99, most=99, fields=("name",))
    assert all(one.text and one.signer.name == named[one.signer.number] for one in found)
    approved = {number for number, state in decided.items() if state is APPROVED}
    assert [one.signer.number for one in found] == sorted(approved & named.keys())


# --- tallies -----------------------------------------------------------------------------------


def signed(day: int) -> dt.datetime:
    return dt.datetime(2026, 11, day, 23, 59, tzinfo=dt.UTC)


def test_days_are_those_of_signing_up_to_a_number(book: ledger.Ledger) -> None:
    times = [signed(3), signed(1), None, signed(3), dt.datetime(2027, 1, 1, tzinfo=dt.UTC)]
    people = [build.signer(n, signed_at=time) for n, time in enumerate(times, 1)]
    build.take(book, people)
    build.take(book, [build.signer(6, signed_at=signed(2))])
    build.take(book, build.signers(9), "other")
    days = [(day.day.isoformat(), day.signatures) for day in book.tallies.days("faces", 5)]
    assert days == [("2026-11-01", 1), ("2026-11-03", 3), ("2026-11-23", 5)]
    build.withdraw(book, "faces", 1)
    assert [day.signatures for day in book.tallies.days("faces", 5)] == [1, 2, 4]
    assert book.tallies.days("nobody", 5) == []


@pytest.mark.parametrize("by", ["country", "region"])
def test_places_are_counted_by_who_may_be_named(book: ledger.Ledger, by: str) -> None:
    named = ["Perú", "日本", "Perú", "", "Perú"]
    people = [build.signer(n, **{"country": "", by: place}) for n, place in enumerate(named, 1)]
    people += [
        build.signer(6, **{"country": "", by: "日本"}, to_target=False),
        build.signer(7, **{"country": "", by: "Perú"}, name=""),
        build.signer(8, **{"country": "", by: "'; --"}),
    ]
    build.take(book, people)
    book.signers.move("faces", [1], model.Signature.HIDDEN, who="m", why="asked", now=NOW)
    build.withdraw(book, "faces", 3)
    told = {(p.name, p.named, p.unnamed) for p in book.tallies.places("faces", 7, by=by)}
    assert told == {("Perú", 1, 2), ("日本", 1, 1), ("", 1, 0)}
    assert book.tallies.places("faces", 7, by=by)[0].name == "Perú"
    assert len(book.tallies.places("faces", 8, by=by)) == 4
    assert book.tallies.places("nobody", 7, by=by) == []


def test_no_more_places_are_given_out_than_a_figure_can_use(
    book: ledger.Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tallies, "MOST_PLACES", 3)
    build.take(book, [build.signer(n, country=f"Land {n // 2}") for n in range(1, 11)])
    told = [(place.name, place.named) for place in book.tallies.places("faces", 10, by="country")]
    assert told == [("Land 1", 2), ("Land 2", 2), ("Land 3", 2)]


def test_takers_at_once_share_one_list(book: ledger.Ledger) -> None:
    """The first reading of a campaign too, which makes its row."""

    def work(first: int) -> None:
        for at in (first, first + 20):
            build.take(book, build.signers(40, at))

    assert together(*(lambda at=at: work(at) for at in (1, 21, 41, 61))) == []
    standing = book.signatures.standing("faces")
    lines = list(book.signatures.lines("faces", 1_000))
    assert standing.signatures == len(lines) == len({line.name for line in lines}) == 120
    assert [line.number for line in lines] == list(range(1, 121))
    assert standing.duplicates == 0


# --- milestones: the whole crossing ---------------------------------------------------------------


def test_a_crossing_makes_one_due_row_for_each_target_and_outlet(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    plan = build.campaign(tmp_path, targets=("ceo", "cto"), posts=("news", "second"))
    build.grow(book, plan, 100)
    letters, posts = book.deliveries.select(), book.posts.select()
    assert [(row.target, row.email, row.state) for row in letters] == [
        ("ceo", "ceo@cloud.example", "due"), ("cto", "cto@cloud.example", "due"),
    ]  # fmt: skip
    assert [(row.outlet, row.state) for row in posts] == [("news", "due"), ("second", "due")]
    assert len({row.message_id for row in letters}) == 2
    assert len({row.key for row in posts}) == 2
    assert build.audit(book) == [
        ("", "crossed"),
        ("", "due"),
        ("", "due"),
        ("", "due"),
        ("", "due"),
    ]


def test_each_milestone_is_crossed_once_by_many_at_once(
    url: str, book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    """Four workers, each with connections of its own, over sixty thresholds."""
    steps = range(10, 610, 10)
    plan = build.campaign(tmp_path, plan=f"at = {list(steps)}", targets=("ceo", "cto"))
    crossed: list[str] = []

    def work(seed: int) -> None:
        order = random.Random(seed)
        with contextlib.closing(ledger.open_ledger(url)) as mine:
            for step in steps:
                people = build.signers(20, max(1, step - 19))
                order.shuffle(people)
                mine.signatures.take("faces", people, wording=build.WORDING, cursor=None, now=NOW)
                decision = build.advance(mine, plan)
                if decision.cross is not None:
                    crossed.append(decision.cross.key)

    assert together(*(lambda seed=seed: work(seed) for seed in range(4))) == []
    found = book.milestones.all("faces")
    assert sorted(m.key for m in found) == sorted(str(step) for step in steps)
    assert len(crossed) == len(set(crossed))
    assert {m.key for m in found if m.state == "crossed"} == set(crossed)
    assert {m.version for m in found} == {1}
    letters = book.deliveries.select()
    assert len(letters) == 2 * len(crossed)
    assert len({(row.milestone, row.target) for row in letters}) == len(letters)
    assert sum(row.state == "due" for row in letters) == 2
    assert {row.state for row in letters} <= {"due", "superseded"}
    assert len(book.posts.select()) == len(crossed)
    assert sum(old == "" and new == "crossed" for old, new in build.audit(book)) == len(crossed)
    assert book.audit.verify()[1] is None


def test_a_crossing_that_fails_in_the_middle_leaves_nothing(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    plan = build.campaign(tmp_path, targets=("ceo", "cto"))
    build.take(book, build.signers(100))
    named: list[str] = []

    def message_id(milestone: int, version: int, target: str) -> str:
        named.append(target)
        if target == "cto":
            raise RuntimeError("the power went")
        return f"<{milestone}.{version}.{target}@campaigns.example>"

    aims = [verbs.Aim(name=target.id, email=target.email) for target in plan.targets]
    point = verbs.Point(key="100", kind="at", threshold=100)
    with pytest.raises(RuntimeError, match="power"):
        book.milestones.advance(
            "faces", lambda standing, known: verbs.Decision(baseline=100, cross=point),
            targets=aims, outlets=[], message_id=message_id, now=NOW,
        )  # fmt: skip
    assert named == ["ceo", "cto"]
    assert book.milestones.all() == []
    assert book.deliveries.select() == []
    assert build.audit(book) == []
    assert book.signatures.standing("faces").baseline is None
    assert build.advance(book, plan).cross == point


def test_a_campaign_that_was_never_read_cannot_cross(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(errors.LedgerError, match="has not been read yet"):
        build.advance(book, build.campaign(tmp_path))


def test_a_jump_that_does_not_wait_cannot_be_accepted(book: ledger.Ledger) -> None:
    build.take(book, build.signers(5))
    with pytest.raises(errors.WrongState, match="no jump"):
        book.milestones.accept_jump("faces", who="mira", now=NOW)
    with pytest.raises(errors.WrongState, match="no jump"):
        book.milestones.accept_jump("nobody", who="mira", now=NOW)


# --- the state tables -------------------------------------------------------------------------


@pytest.mark.parametrize("thing", ["delivery", "post"])
def test_every_move_of_the_table_is_made_and_every_other_refused(
    book: ledger.Ledger, tmp_path: pathlib.Path, thing: str
) -> None:
    one_delivery(book, tmp_path)
    rows: queue.Queue[records.Delivery] | queue.Queue[records.Post]
    rows, moves = (
        (book.deliveries, model.DELIVERY_MOVES)
        if thing == "delivery"
        else (book.posts, model.POST_MOVES)
    )
    states = [str(state) for state in (model.Delivery if thing == "delivery" else model.Post)]
    assert set(states) == set(moves)
    (start,) = rows.select()
    for old, new in itertools.product(states, states):
        build.put(book, thing, start.id, state=old, why="as it was")
        before = build.audit(book)
        row = rows.get(start.id)
        if new in moves[old]:
            rows.move(row, new, who="mira", why="because", now=NOW)  # type: ignore[arg-type]
            assert (rows.get(row.id).state, rows.get(row.id).why) == (new, "because")
            assert build.audit(book) == [*before, (old, new)]
        else:
            said = f"is {new} already" if old == new else f"is {old}; it cannot become {new}"
            with pytest.raises(errors.WrongState, match=said):
                rows.move(row, new, who="mira", why="because", now=NOW)  # type: ignore[arg-type]
            assert (rows.get(row.id).state, rows.get(row.id).why) == (old, "as it was")
            assert build.audit(book) == before
    assert book.audit.verify()[1] is None


def test_a_row_that_changed_since_it_was_read_is_not_moved(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    row = one_delivery(book, tmp_path)
    book.deliveries.move(row, "held", who="mira", why="first", now=NOW)
    with pytest.raises(errors.WrongState, match="changed by somebody else"):
        book.deliveries.move(row, "cancelled", who="noa", why="second", now=NOW)
    assert book.deliveries.get(row.id).state == "held"
    assert build.audit(book, "delivery", row.id) == [("", "due"), ("due", "held")]


def test_a_move_and_its_audit_row_are_one(
    book: ledger.Ledger, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction dies between the two: neither is there."""
    row = one_delivery(book, tmp_path)
    before = build.audit(book)

    def torn(*args: object, **more: object) -> None:
        raise ConnectionError("cut")

    with monkeypatch.context() as patch:
        patch.setattr(store, "record", torn)
        broken: list[Callable[[], object]] = [
            lambda: book.deliveries.move(row, "held", who="mira", why="", now=NOW),
            lambda: book.deliveries.freeze(row, {"subject": "S"}, approve=False, why="", now=NOW),
            lambda: build.withdraw(book, "faces", 1),
        ]
        for job in broken:
            with pytest.raises(ConnectionError):
                job()
    assert book.deliveries.get(row.id) == row
    assert book.signatures.standing("faces").withdrawn == 0
    assert build.audit(book) == before


def test_a_process_killed_inside_a_transaction_leaves_neither_move_nor_audit(
    url: str, book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    """SIGKILL after both were written and before the commit."""
    row = one_delivery(book, tmp_path)
    before = build.audit(book)
    script = """
import os, signal, sys
from deliverybot import ledger
from deliverybot.ledger import store
import build
book = ledger.open_ledger(sys.argv[1])
written = store.record
def record(*args, **more):
    written(*args, **more)
    os.kill(os.getpid(), signal.SIGKILL)
store.record = record
row = book.deliveries.get(int(sys.argv[2]))
book.deliveries.move(row, "held", who="mira", why="", now=build.NOW)
"""
    done = python(script, url, str(row.id))
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert book.deliveries.get(row.id) == row
    assert build.audit(book) == before
    book.deliveries.move(row, "held", who="mira", why="", now=NOW)
    assert book.audit.verify() == (len(before) + 1, None)


def python(script: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run Python with this process's own paths."""
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True, text=True, check=False, timeout=60, env=environment() | more,
    )  # fmt: skip


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


# --- approval --------------------------------------------------------------------------------


def test_approval_is_of_the_bytes_that_were_read(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    held = build.freeze(book, one_delivery(book, tmp_path), tmp_path)
    book.deliveries.freeze(
        held, {"digest": "f" * 64, "subject": "Other"}, approve=False, why="", now=NOW
    )
    with pytest.raises(errors.WrongState, match="changed since you looked"):
        book.deliveries.approve(held, who="mira", now=NOW)
    now = book.deliveries.get(held.id)
    assert (now.state, now.approved_digest, now.approved_by) == ("held", "", "")
    book.deliveries.approve(now, who="mira", now=NOW)
    yes = book.deliveries.get(held.id)
    assert (yes.state, yes.approved_digest, yes.approved_by) == ("approved", "f" * 64, "mira")


@pytest.mark.parametrize("state", sorted(set(model.DELIVERY_MOVES) - {"held"}))
def test_only_what_is_held_can_be_approved(
    book: ledger.Ledger, tmp_path: pathlib.Path, state: str
) -> None:
    row = one_delivery(book, tmp_path)
    build.put(book, "delivery", row.id, state=state)
    with pytest.raises(errors.WrongState, match=f"is {state}"):
        book.deliveries.approve(book.deliveries.get(row.id), who="mira", now=NOW)


def test_what_has_a_problem_is_approved_by_nobody(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    row = one_delivery(book, tmp_path)
    broken = {"problem": "an image is missing", "digest": ""}
    book.deliveries.freeze(row, broken, approve=True, why="cannot be rendered", now=NOW)
    held = book.deliveries.get(row.id)
    assert held.state == "held"
    with pytest.raises(errors.WrongState, match="an image is missing"):
        book.deliveries.approve(held, who="mira", now=NOW)


def test_what_was_never_made_is_approved_by_nobody(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    row = one_delivery(book, tmp_path)
    book.deliveries.move(row, "held", who="mira", why="wait", now=NOW)
    with pytest.raises(errors.WrongState, match="not made yet"):
        book.deliveries.approve(book.deliveries.get(row.id), who="mira", now=NOW)
    assert book.deliveries.get(row.id).state == "held"


def test_freezing_anew_takes_the_approval_back(book: ledger.Ledger, tmp_path: pathlib.Path) -> None:
    row = build.approved(book, one_delivery(book, tmp_path), tmp_path)
    book.deliveries.freeze(row, {"digest": "e" * 64}, approve=False, why="changed", now=NOW)
    held = book.deliveries.get(row.id)
    assert (held.state, held.approved_digest, held.approved_by) == ("held", "", "")
    assert book.deliveries.ready(NOW) == []


def test_noting_inputs_needs_the_row_as_it_was(book: ledger.Ledger, tmp_path: pathlib.Path) -> None:
    row = build.freeze(book, one_delivery(book, tmp_path), tmp_path)
    book.deliveries.approve(row, who="mira", now=NOW)
    book.deliveries.note(row, inputs="a" * 64)
    assert book.deliveries.get(row.id).inputs == row.inputs
    book.deliveries.note(book.deliveries.get(row.id), inputs="b" * 64)
    assert book.deliveries.get(row.id).inputs == "b" * 64


def test_a_persons_yes_holds_for_its_own_target_only(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    plan = build.campaign(tmp_path, plan="at = [100, 200]", targets=("ceo", "cto"))
    build.grow(book, plan, 100)
    first = book.deliveries.select()[0]
    build.approved(book, first, tmp_path)
    build.grow(book, plan, 200)
    later = book.deliveries.select(states=["due"])[0].milestone_id
    assert book.deliveries.person_approved("faces", "ceo", before=later)
    assert not book.deliveries.person_approved("faces", "cto", before=later)
    assert not book.deliveries.person_approved("faces", "ceo", before=first.milestone_id)
    assert not book.deliveries.person_approved("other", "ceo", before=later)


def test_a_yes_that_was_cancelled_is_no_yes_to_later_letters(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    row = build.approved(book, one_delivery(book, tmp_path), tmp_path)
    assert book.deliveries.person_approved("faces", "ceo", before=row.milestone_id + 1)
    book.deliveries.move(row, "cancelled", who="mira", why="on second thoughts", now=NOW)
    assert not book.deliveries.person_approved("faces", "ceo", before=row.milestone_id + 1)


def test_an_approval_by_rule_is_no_persons_yes(book: ledger.Ledger, tmp_path: pathlib.Path) -> None:
    plan = build.campaign(tmp_path, plan="at = [100, 200]")
    build.grow(book, plan, 100)
    row = build.freeze(book, book.deliveries.select()[0], tmp_path, approve=True)
    assert (row.state, row.approved_by, row.approved_digest) == (
        "approved", "deliverybot", row.digest,
    )  # fmt: skip
    assert not book.deliveries.person_approved("faces", "ceo", before=row.milestone_id + 1)


# --- claims, fences, leases -----------------------------------------------------------------


def test_of_many_workers_one_gets_the_row(
    url: str, book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    row = build.approved(book, one_delivery(book, tmp_path), tmp_path)
    won: list[str] = []

    def work(owner: str) -> None:
        with contextlib.closing(ledger.open_ledger(url)) as mine:
            claim = mine.deliveries.claim(row, owner=owner, lease=build.LEASE, now=NOW)
            if claim is not None:
                won.append(owner)

    assert together(*(lambda n=n: work(f"w{n}") for n in range(6))) == []
    now = book.deliveries.get(row.id)
    assert won == [now.owner]
    assert (now.state, now.fence, now.attempts, now.first_try) == ("sending", 1, 1, NOW)
    assert build.audit(book, "delivery", row.id)[-2:] == [
        ("held", "approved"), ("approved", "sending"),
    ]  # fmt: skip


def test_other_bytes_approved_since_are_not_claimed(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    """The caller would send what it read: the letter before the change."""
    seen = build.freeze(book, one_delivery(book, tmp_path), tmp_path, approve=True)
    book.deliveries.freeze(seen, {"digest": "d" * 64}, approve=True, why="", now=NOW)
    assert book.deliveries.get(seen.id).state == "approved"
    assert book.deliveries.claim(seen, owner="w", lease=build.LEASE, now=NOW) is None
    build.claimed(book, book.deliveries.get(seen.id))


def test_a_stale_worker_can_neither_hand_over_nor_settle(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    row = build.approved(book, one_delivery(book, tmp_path), tmp_path)
    stale = build.claimed(book, row, owner="w1")
    book.deliveries.settle(
        stale, build.reply(model.Outcome.LATER, phase="crash"), "approved", who="rec", now=NOW
    )
    before = build.audit(book)
    for again in (False, True):
        if again:
            build.claimed(book, book.deliveries.get(row.id), owner="w2")
            before = build.audit(book)
        with pytest.raises(errors.LostClaim):
            book.deliveries.hand_over(stale, lease=build.LEASE, who="w1", sha256="", now=NOW)
        for state in ("sent", "approved", "retrying", "unsure"):
            with pytest.raises(errors.LostClaim):
                book.deliveries.settle(stale, build.reply(), state, who="w1", now=NOW)
        assert build.audit(book) == before
    now = book.deliveries.get(row.id)
    assert (now.state, now.owner, now.handed_at, now.sent_at) == ("sending", "w2", None, None)
    assert [try_.phase for try_ in book.deliveries.attempts(row.id)] == ["crash"]


def test_handing_over_twice_is_refused(book: ledger.Ledger, tmp_path: pathlib.Path) -> None:
    row = build.approved(book, one_delivery(book, tmp_path), tmp_path)
    claim = build.handed(book, row)
    with pytest.raises(errors.LostClaim):
        book.deliveries.hand_over(claim, lease=build.LEASE, who="w1", sha256="", now=NOW)


def test_nothing_is_sent_that_was_never_handed_over(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    row = build.approved(book, one_delivery(book, tmp_path), tmp_path)
    claim = build.claimed(book, row)
    with pytest.raises(errors.WrongState, match="cannot become sent"):
        book.deliveries.settle(claim, build.reply(), "sent", who="w1", now=NOW)
    assert book.deliveries.get(row.id).state == "sending"
    assert book.deliveries.attempts(row.id) == []


def test_a_worker_taken_for_dead_may_still_tell_the_answer(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    row = build.approved(book, one_delivery(book, tmp_path), tmp_path)
    claim = build.handed(book, row)
    unsure = build.reply(model.Outcome.UNSURE, phase="crash", code=0)
    book.deliveries.settle(claim, unsure, "unsure", who="rec", now=NOW)
    book.deliveries.settle(claim, build.reply(), "sent", who="w1", now=NOW, values={"sent_at": NOW})
    assert book.deliveries.get(row.id).state == "sent"
    with pytest.raises(errors.LostClaim):
        book.deliveries.settle(claim, build.reply(), "sent", who="w1", now=NOW)


def test_a_worker_taken_for_dead_that_knows_no_more_changes_nothing(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    row = build.approved(book, one_delivery(book, tmp_path), tmp_path)
    claim = build.handed(book, row)
    unsure = build.reply(model.Outcome.UNSURE, code=0)
    dead = queue.Claim(id=row.id, fence=claim.fence, seen="handing_over")
    book.deliveries.settle(dead, unsure, "unsure", who="w2", now=NOW)
    book.deliveries.settle(claim, unsure, "unsure", who="w1", now=NOW)
    assert book.deliveries.get(row.id).state == "unsure"
    assert book.deliveries.get(row.id).handed_at == NOW


@pytest.mark.parametrize("reached_the_dot", [False, True])
def test_a_doubt_outlives_a_later_try_that_failed_cleanly(
    book: ledger.Ledger, tmp_path: pathlib.Path, *, reached_the_dot: bool
) -> None:
    row = build.approved(book, one_delivery(book, tmp_path), tmp_path)
    claim = build.handed(book, row)
    unsure = build.reply(model.Outcome.UNSURE, code=0)
    book.deliveries.settle(claim, unsure, "unsure", who="w1", now=NOW)
    resent = book.deliveries.get(row.id)
    fence = {"fence": resent.fence + 1}
    book.deliveries.move(resent, "retrying", who="mira", why="resend", now=NOW, values=fence)
    second = build.handed if reached_the_dot else build.claimed
    claim = second(book, book.deliveries.get(row.id))
    later = build.reply(model.Outcome.LATER, code=451)
    book.deliveries.settle(claim, later, "retrying", who="w1", now=NOW)
    again = book.deliveries.get(row.id)
    assert again.handed_at == NOW, "the first copy may still be there"
    # And so, even after a new approval, a second copy is the very same mail.
    book.deliveries.move(again, "held", who="mira", why="wait", now=NOW)
    book.deliveries.approve(book.deliveries.get(row.id), who="mira", now=NOW)
    assert book.deliveries.get(row.id).first_try == NOW


def test_a_person_who_resolved_it_is_not_overruled(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    """The fence moves on with a person's word, as the command does it."""
    row = build.approved(book, one_delivery(book, tmp_path), tmp_path)
    claim = build.handed(book, row)
    unsure = build.reply(model.Outcome.UNSURE, phase="crash", code=0)
    book.deliveries.settle(claim, unsure, "unsure", who="rec", now=NOW)
    now = book.deliveries.get(row.id)
    book.deliveries.move(
        now, "retrying", who="mira", why="not there", now=NOW, values={"fence": now.fence + 1}
    )
    with pytest.raises(errors.LostClaim):
        book.deliveries.settle(claim, build.reply(), "sent", who="w1", now=NOW)
    assert book.deliveries.get(row.id).state == "retrying"


@pytest.mark.parametrize(
    ("state", "outcome", "counts"),
    [
        ("sent", model.Outcome.DONE, True),
        ("unsure", model.Outcome.UNSURE, True),
        ("retrying", model.Outcome.LATER, False),
        ("refused", model.Outcome.REFUSED, False),
        ("human", model.Outcome.HUMAN, False),
    ],
)
def test_settling_keeps_the_reply_and_frees_the_claim(
    book: ledger.Ledger,
    tmp_path: pathlib.Path,
    state: str,
    outcome: model.Outcome,
    counts: bool,
) -> None:
    row = build.approved(book, one_delivery(book, tmp_path), tmp_path)
    claim = build.handed(book, row)
    answer = build.reply(outcome, code=451, enhanced="4.7.1", text="later, please")
    book.deliveries.settle(claim, answer, state, who="w1", now=NOW, sha256="a" * 64)
    now = book.deliveries.get(row.id)
    assert (now.state, now.owner, now.lease_until) == (state, "", None)
    assert now.reply == "dot 451 4.7.1 later, please"
    assert (now.handed_at is not None) is counts
    (tried,) = book.deliveries.attempts(row.id)
    assert (tried.fence, tried.outcome, tried.code, tried.sha256) == (1, outcome, 451, "a" * 64)
    assert book.posts.attempts(row.id) == []


def test_what_waits_for_its_next_try_is_not_ready(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    row = build.approved(book, one_delivery(book, tmp_path), tmp_path)
    claim = build.claimed(book, row)
    later = NOW + dt.timedelta(minutes=5)
    book.deliveries.settle(
        claim, build.reply(model.Outcome.LATER, phase="rcpt"), "retrying",
        who="w1", now=NOW, values={"next_try": later},
    )  # fmt: skip
    just_before = later - dt.timedelta(microseconds=1)
    assert book.deliveries.ready(just_before) == []
    assert [r.id for r in book.deliveries.ready(later)] == [row.id]


@pytest.mark.parametrize("step", ["sending", "handing_over"])
def test_a_row_is_orphaned_by_its_lease_or_when_we_are_alone(
    book: ledger.Ledger, tmp_path: pathlib.Path, step: str
) -> None:
    row = build.approved(book, one_delivery(book, tmp_path), tmp_path)
    (build.claimed if step == "sending" else build.handed)(book, row, owner="w1")
    end = NOW + build.LEASE
    tick = dt.timedelta(microseconds=1)

    def orphans(now: dt.datetime, *, alone: bool, owner: str) -> list[int]:
        return [r.id for r in book.deliveries.orphans(now, alone=alone, owner=owner)]

    assert orphans(NOW, alone=False, owner="w2") == []
    assert orphans(end, alone=False, owner="w2") == []
    assert orphans(end + tick, alone=False, owner="w2") == [row.id]
    assert orphans(end + tick, alone=True, owner="w1") == [row.id]
    assert orphans(NOW, alone=True, owner="w2") == [row.id]
    assert orphans(NOW, alone=True, owner="w1") == []


def test_the_quota_counts_an_address_over_all_campaigns(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    rows = []
    for slug, email in (
        ("one", "ceo@cloud.example"),
        ("two", "CEO@cloud.example"),
        ("three", "other@cloud.example"),
    ):
        plan = build.campaign(tmp_path, slug, email=email)
        build.grow(book, plan, 100)
        row = book.deliveries.select(campaign=slug)[0]
        rows.append(build.approved(book, row, tmp_path))

    def claim(row: records.Delivery, now: dt.datetime = NOW) -> queue.Claim | None:
        late = queue.Quota(most=1, since=now - dt.timedelta(days=7))
        return book.deliveries.claim(row, owner="w", lease=build.LEASE, now=now, quotas=[late])

    first = claim(rows[0])
    assert first is not None
    assert claim(rows[1]) is None, "one to the same address is on its way"
    assert claim(rows[2]) is not None
    book.deliveries.hand_over(first, lease=build.LEASE, who="w", sha256="", now=NOW)
    assert claim(rows[1]) is None
    book.deliveries.settle(first, build.reply(), "sent", who="w", now=NOW)
    assert claim(rows[1]) is None
    assert book.deliveries.get(rows[1].id).state == "approved"
    assert claim(rows[1], NOW + dt.timedelta(days=7)) is not None


def test_workers_at_once_keep_to_the_quota(
    url: str, book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    rows = []
    for n in range(6):
        plan = build.campaign(tmp_path, f"c{n}", email="ceo@cloud.example")
        build.grow(book, plan, 100)
        row = book.deliveries.select(campaign=f"c{n}")[0]
        rows.append(build.approved(book, row, tmp_path))
    quota = queue.Quota(most=2, since=NOW - dt.timedelta(days=1))
    won: list[int] = []

    def work(row: records.Delivery) -> None:
        with contextlib.closing(ledger.open_ledger(url)) as mine:
            if mine.deliveries.claim(
                row, owner=f"w{row.id}", lease=build.LEASE, now=NOW, quotas=[quota]
            ):
                won.append(row.id)

    assert together(*(lambda row=row: work(row) for row in rows)) == []
    assert len(won) == 2
    assert len(book.deliveries.select(states=["sending"])) == 2


def test_a_number_that_no_row_has_is_a_usage_error(book: ledger.Ledger) -> None:
    with pytest.raises(errors.UsageError, match="no delivery number 7"):
        book.deliveries.get(7)
    with pytest.raises(errors.UsageError, match="no post number 7"):
        book.posts.get(7)


def test_select_takes_every_condition_together(book: ledger.Ledger, tmp_path: pathlib.Path) -> None:
    for slug in ("one", "two"):
        build.grow(book, build.campaign(tmp_path, slug, targets=("a", "b")), 100)
    ids = [row.id for row in book.deliveries.select()]
    assert len(ids) == 4
    assert ids == sorted(ids)
    assert len(book.deliveries.select(campaign="one")) == 2
    assert book.deliveries.select(campaign="one", states=["held"]) == []
    assert [r.id for r in book.deliveries.select(ids=ids[1:3], campaign="two")] == [ids[2]]
    assert book.deliveries.select(ids=[]) == []


# --- posts: sending is the point of no return ------------------------------------------------


def test_a_post_goes_from_claim_to_answer_in_one_step(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    one_delivery(book, tmp_path)
    (row,) = book.posts.select()
    book.posts.freeze(row, {"text": "News", "digest": "1" * 64}, approve=True, why="", now=NOW)
    claim = book.posts.claim(book.posts.get(row.id), owner="w", lease=build.LEASE, now=NOW)
    assert claim is not None
    assert book.posts.get(row.id).handed_at == NOW
    with pytest.raises(errors.WrongState):
        book.posts.hand_over(claim, lease=build.LEASE, who="w", sha256="", now=NOW)
    book.posts.settle(
        claim, build.reply(phase="post"), "posted", who="w", now=NOW, values={"posted_at": NOW}
    )
    assert (book.posts.get(row.id).state, book.posts.get(row.id).handed_at) == ("posted", NOW)
    assert build.audit(book, "post", row.id) == [
        ("", "due"), ("due", "held"), ("held", "approved"),
        ("approved", "sending"), ("sending", "posted"),
    ]  # fmt: skip


# --- the audit log ----------------------------------------------------------------------------


@pytest.fixture
def logged(book: ledger.Ledger, tmp_path: pathlib.Path) -> ledger.Ledger:
    row = one_delivery(book, tmp_path)
    build.handed(book, build.approved(book, row, tmp_path))
    assert book.audit.verify() == (7, None)
    return book


@pytest.mark.parametrize(
    ("forged", "first_wrong"),
    [
        ("UPDATE audit SET why = 'nothing happened' WHERE seq = 3", 3),
        ("UPDATE audit SET who = 'noa' WHERE seq = 1", 1),
        ("UPDATE audit SET new = 'sent' WHERE seq = 7", 7),
        ("UPDATE audit SET at = '2020-01-01T00:00:00.000000Z' WHERE seq = 4", 4),
        ("UPDATE audit SET hash = '' WHERE seq = 2", 2),
        ("DELETE FROM audit WHERE seq = 1", 2),
        ("DELETE FROM audit WHERE seq = 4", 5),
        ("DELETE FROM audit WHERE seq = 7", 7),
        ("DELETE FROM audit WHERE seq > 2", 3),
        ("DELETE FROM audit", 1),
    ],
)
def test_an_edited_or_removed_row_is_found(
    logged: ledger.Ledger, forged: str, first_wrong: int
) -> None:
    build.sql(logged, forged)
    assert logged.audit.verify()[1] == first_wrong


def test_a_last_row_forged_with_its_own_hash_is_found(logged: ledger.Ledger) -> None:
    rows = list(logged.audit.since())
    plain = {f.name: getattr(rows[-1], f.name) for f in dataclasses.fields(rows[-1])}
    forged = store.chain(rows[-2].hash, plain | {"who": "noa"})
    build.sql(logged, "UPDATE audit SET who = 'noa', hash = :h WHERE seq = 7", h=forged)
    assert logged.audit.verify()[1] == 7


def test_the_log_verifies_whatever_zone_the_clock_is_in(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    row = one_delivery(book, tmp_path)
    far = NOW.astimezone(dt.timezone(dt.timedelta(hours=9)))
    book.deliveries.move(row, "held", who="mira", why="Überlegt, 再考", now=far)
    assert book.audit.verify()[1] is None
    assert list(book.audit.since())[-1].at == NOW


def test_a_time_without_a_zone_is_refused(book: ledger.Ledger, tmp_path: pathlib.Path) -> None:
    row = one_delivery(book, tmp_path)
    with pytest.raises((ValueError, sa.exc.StatementError)):
        book.deliveries.move(
            row, "held", who="m", why="", now=NOW, values={"next_try": NOW.replace(tzinfo=None)}
        )
    assert book.deliveries.get(row.id) == row


def test_the_log_is_read_over_pages_from_a_time_on(
    book: ledger.Ledger, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = one_delivery(book, tmp_path)
    clock = build.Clock()
    for _ in range(6):
        now = book.deliveries.get(row.id)
        book.deliveries.move(now, "held", who="m", why="again", now=clock.forward(hours=1))
    monkeypatch.setattr("deliverybot.ledger.audit._PAGE", 2)
    assert [r.seq for r in book.audit.since()] == list(range(1, 10))
    late = book.audit.since(NOW + dt.timedelta(hours=4), thing="delivery", ref=str(row.id))
    assert [r.at for r in late] == [NOW + dt.timedelta(hours=h) for h in (4, 5, 6)]
    assert book.audit.verify() == (9, None)


def test_writers_at_once_make_one_chain(
    url: str, book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    plan = build.campaign(tmp_path, targets=tuple("abcd"))
    build.grow(book, plan, 100)

    def work(row: records.Delivery) -> None:
        with contextlib.closing(ledger.open_ledger(url)) as mine:
            for _ in range(10):
                now = mine.deliveries.get(row.id)
                mine.deliveries.move(now, "held", who=row.target, why="again", now=NOW)

    rows = book.deliveries.select()
    assert together(*(lambda row=row: work(row) for row in rows)) == []
    assert book.audit.verify() == (6 + 40, None)


# --- what goes wrong --------------------------------------------------------------------------


def test_an_error_tells_nothing_of_a_signer(book: ledger.Ledger) -> None:
    """PostgreSQL quotes whole rows in its DETAIL; SQLAlchemy quotes parameters."""
    build.take(book, [build.signer(1, name="Ada Secret", city="Hidden Town")])
    with book._db.read() as tx:
        row = dict(tx.execute(sa.select(tables.signatures)).one()._mapping)
    for wrong in (row, row | {"number": 2, "name": None}):
        with pytest.raises(errors.LedgerError) as caught, book._db.write() as tx:
            tx.execute(sa.insert(tables.signatures), wrong)
        said = "".join(traceback.format_exception(caught.value)) + caught.value.hint
        assert "Secret" not in said
        assert "Hidden Town" not in said
        assert str(caught.value)


def test_remember_keeps_the_first_value(url: str, book: ledger.Ledger) -> None:
    kept: list[str] = []

    def work(value: str) -> None:
        with contextlib.closing(ledger.open_ledger(url)) as mine:
            kept.append(mine.remember("recognition_key", value))

    assert together(*(lambda n=n: work(f"mark {n}") for n in range(4))) == []
    assert len(kept) == 4
    assert set(kept) == {book.remember("recognition_key", "mark 9")}


def test_a_reader_sees_one_state_while_others_write(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    row = one_delivery(book, tmp_path)
    query = sa.select(tables.deliveries.c.state)
    with book._db.read() as tx:
        assert tx.scalar(query) == "due"
        book.deliveries.move(row, "held", who="m", why="", now=NOW)
        assert tx.scalar(query) == "due"
    assert book.deliveries.get(row.id).state == "held"


@pytest.mark.parametrize("address", ["nonsense", "://", "sqlite"])
def test_an_address_that_is_none_is_explained(address: str) -> None:
    with pytest.raises(errors.LedgerError, match="cannot be understood") as caught:
        ledger.open_ledger(address)
    assert "sqlite:///" in caught.value.hint


def test_a_server_that_is_not_there_is_named_without_the_password(tmp_path: pathlib.Path) -> None:
    address = f"postgresql+psycopg://me:topsecret@/faces?host={tmp_path}"
    with pytest.raises(errors.LedgerError, match="says") as caught:
        ledger.open_ledger(address)
    assert "topsecret" not in "".join(traceback.format_exception(caught.value))
    assert "faces" in str(caught.value)


# --- SQLite's own ---------------------------------------------------------------------------------


def sqlite(tmp_path: pathlib.Path) -> tuple[str, pathlib.Path]:
    file = tmp_path / "var" / "ledger.db"
    return f"sqlite:///{file}", file


def test_a_full_disk_is_said_and_leaves_nothing_half_done(tmp_path: pathlib.Path) -> None:
    """SQLite's own limit of pages gives the very error of a full disk."""
    url, _ = sqlite(tmp_path)
    with contextlib.closing(ledger.open_ledger(url)) as book:
        plan = build.campaign(tmp_path)
        build.grow(book, plan, 99)
        with book._db.engine.connect() as plain:
            pages = plain.exec_driver_sql("PRAGMA page_count").scalar_one()

        def narrow(connection: sqlite3.Connection, record: object) -> None:
            connection.execute(f"PRAGMA max_page_count={pages + 1}")

        sa.event.listen(book._db.engine, "connect", narrow)
        book._db.engine.dispose()
        before = book.signatures.standing("faces")
        with pytest.raises(errors.LedgerError, match="no room on the disk") as caught:
            build.take(book, build.signers(2_000, 100))
        assert "free some space" in caught.value.hint
        assert book.signatures.standing("faces") == before
        assert len(list(book.signatures.lines("faces", 9_999))) == 99

        sa.event.remove(book._db.engine, "connect", narrow)
        book._db.engine.dispose()
        assert build.take(book, build.signers(2_000, 100)).signatures == 2_099
        assert book.audit.verify()[1] is None


@pytest.mark.parametrize("damage", ["header", "middle", "text"])
def test_a_damaged_file_is_refused_and_named(tmp_path: pathlib.Path, damage: str) -> None:
    url, file = sqlite(tmp_path)
    with contextlib.closing(ledger.open_ledger(url)) as book:
        build.take(book, build.signers(500))
    content = bytearray(file.read_bytes())
    if damage == "header":
        content[:16] = b"not a database!!"
    elif damage == "middle":
        content[4096:] = b"\xff" * (len(content) - 4096)
    else:
        content = bytearray(b"Dear sir or madam,\n" * 400)
    file.write_bytes(content)

    def look() -> None:
        with contextlib.closing(ledger.open_ledger(url)) as book:
            list(book.signatures.lines("faces", 500))

    with pytest.raises(errors.LedgerError, match="damaged") as caught:
        look()
    assert str(file) in str(caught.value)
    assert "restore" in caught.value.hint
    assert file.read_bytes() == content


def test_every_connection_writes_through_to_the_disk(tmp_path: pathlib.Path) -> None:
    url, _ = sqlite(tmp_path)
    with contextlib.closing(ledger.open_ledger(url)) as book, book._db.read() as tx:
        found = {
            name: tx.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


DAEMON = """
import datetime as dt, pathlib, signal, sys
from deliverybot import ledger
book = ledger.open_ledger(sys.argv[1])
now = dt.datetime(2026, 11, 23, 15, 0, tzinfo=dt.UTC)
with book.only_daemon(now):
    print("working", flush=True)
    sys.stdin.read()
"""


def test_a_second_daemon_is_refused_until_the_first_is_dead(tmp_path: pathlib.Path) -> None:
    url, file = sqlite(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", DAEMON, url],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(),
    ) as first:  # fmt: skip
        assert first.stdout is not None
        assert first.stdout.readline() == "working\n"
        with contextlib.closing(ledger.open_ledger(url)) as book:
            with pytest.raises(errors.LedgerLocked) as caught, book.only_daemon(NOW):
                pass
            assert f"process {first.pid}" in str(caught.value)
            assert "2026-11-23 15:00:00 UTC" in str(caught.value)
            assert str(file) in str(caught.value)
            assert "stop that one first" in caught.value.hint
            build.take(book, build.signers(3))  # commands still work beside it

            other = tmp_path / "other-name.db"
            other.symlink_to(file)
            with (
                contextlib.closing(ledger.open_ledger(f"sqlite:///{other}")) as alias,
                pytest.raises(errors.LedgerLocked),
                alias.only_daemon(NOW),
            ):
                pass

            first.send_signal(signal.SIGKILL)
            first.wait(30)
            with book.only_daemon(NOW):
                assert book.signatures.standing("faces").signatures == 3


def test_the_command_itself_names_the_first_daemon(tmp_path: pathlib.Path) -> None:
    build.settings(tmp_path)
    build.campaign(tmp_path)
    build.csv(tmp_path, 3)
    url = f"sqlite:///{tmp_path / 'var' / 'deliverybot.db'}"
    with contextlib.closing(ledger.open_ledger(url)) as book, book.only_daemon(NOW):
        done = subprocess.run(
            [sys.executable, "-m", "deliverybot", "run", "--once"],
            cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False,
            timeout=60,
        )  # fmt: skip
    assert done.returncode == errors.LedgerLocked.exit_code, done.stderr
    assert f"process {os.getpid()}" in done.stderr
    assert "hint: stop that one first" in done.stderr
    assert "Traceback" not in done.stderr


def test_many_daemons_may_work_on_postgresql(postgres_database: str) -> None:
    with contextlib.closing(ledger.open_ledger(postgres_database)) as book:
        assert not book.single_process
        with book.only_daemon(NOW), book.only_daemon(NOW):
            pass
