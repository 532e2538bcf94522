"""The signatures station: from a file to the list, and the key that recognises people."""

from __future__ import annotations

import dataclasses
import io
import pathlib
import stat

import pytest

import build
from deliverybot import campaign as campaigns
from deliverybot import errors, keys, ledger, signatures

NOW = build.NOW
KEY = b"k" * 32


@pytest.fixture
def plan(tmp_path: pathlib.Path) -> campaigns.Campaign:
    return build.campaign(tmp_path)


async def read(
    book: ledger.Ledger, plan: campaigns.Campaign, given: signatures.Import | None = None
) -> signatures.Reading:
    return await signatures.read(book, plan, key=KEY, now=NOW, given=given)


def on_disk(folder: pathlib.Path) -> bytes:
    """All bytes of the ledger."""
    return b"".join(file.read_bytes() for file in folder.glob("ledger.db*"))


async def test_a_file_that_grows_is_read_on(
    book: ledger.Ledger, plan: campaigns.Campaign, tmp_path: pathlib.Path
) -> None:
    build.csv(tmp_path, 5)
    first = await read(book, plan)
    assert (first.new, first.duplicates, first.problem) == (5, 0, "")
    build.csv(tmp_path, 8)
    second = await read(book, plan)
    assert (second.new, second.duplicates) == (3, 0)
    third = await read(book, plan)
    assert (third.new, third.duplicates) == (0, 0)
    assert (third.standing.signatures, third.standing.listed) == (8, 8)
    names = [line.name for line in book.signatures.lines("faces", 99)]
    assert names == [f"Person {n}" for n in range(1, 9)]


async def test_a_file_written_anew_counts_nobody_twice(
    book: ledger.Ledger, plan: campaigns.Campaign, tmp_path: pathlib.Path
) -> None:
    file = build.csv(tmp_path, 5)
    await read(book, plan)
    head, *rows = file.read_text().splitlines()
    file.write_text("\n".join([head, *reversed(rows), "6,New,Town,Nowhere,new@mail.example", ""]))
    again = await read(book, plan)
    assert (again.new, again.standing.signatures) == (1, 6)
    assert [line.number for line in book.signatures.lines("faces", 99)] == [1, 2, 3, 4, 5, 6]


async def test_a_source_that_fails_keeps_the_last_good_count(
    book: ledger.Ledger, plan: campaigns.Campaign, tmp_path: pathlib.Path
) -> None:
    file = build.csv(tmp_path, 5)
    await read(book, plan)
    file.rename(tmp_path / "elsewhere.csv")
    failed = await read(book, plan)
    assert failed.problem
    assert "faces.csv" in failed.problem
    standing = book.signatures.standing("faces")
    assert (standing.signatures, standing.problem, standing.read_at) == (5, failed.problem, NOW)
    (tmp_path / "elsewhere.csv").rename(file)
    assert (await read(book, plan)).standing.problem == ""


async def test_an_import_by_hand_leaves_the_campaigns_own_place(
    book: ledger.Ledger, plan: campaigns.Campaign, tmp_path: pathlib.Path
) -> None:
    build.csv(tmp_path, 5)
    await read(book, plan)
    cursor = book.signatures.standing("faces").cursor
    stream = io.BytesIO(
        b"Id,Name,Town,Country,Email\n"
        b"p1,Paper One,Town,Nowhere,paper@mail.example\n"
        b"p2,Person 2 again,Town,Nowhere,PERSON2@mail.example\n"
    )
    taken = await read(book, plan, signatures.Import(stream=stream))
    assert (taken.new, taken.duplicates, taken.standing.signatures) == (1, 1, 6)
    assert book.signatures.standing("faces").cursor == cursor
    build.csv(tmp_path, 6)
    assert (await read(book, plan)).new == 1


async def test_an_import_that_cannot_be_read_is_said_at_once(
    book: ledger.Ledger, plan: campaigns.Campaign, tmp_path: pathlib.Path
) -> None:
    build.csv(tmp_path, 5)
    await read(book, plan)
    with pytest.raises(errors.SourceError, match=r"gone\.csv"):
        await read(book, plan, signatures.Import(file=tmp_path / "gone.csv"))
    assert book.signatures.standing("faces").problem == ""


async def test_a_reader_that_died_before_its_count_was_kept_reads_the_batch_again(
    book: ledger.Ledger, plan: campaigns.Campaign, tmp_path: pathlib.Path
) -> None:
    """Signers and cursor are one transaction, so a cut between batches loses nothing."""
    build.csv(tmp_path, 5)

    def die(batch: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await signatures.read(book, plan, key=KEY, now=NOW, progress=die)
    assert book.signatures.standing("faces").signatures == 5
    assert book.signatures.standing("faces").read_at is None
    again = await read(book, plan)
    assert (again.new, again.duplicates, again.standing.signatures) == (0, 0, 5)


async def test_no_address_is_anywhere_in_the_database(
    book: ledger.Ledger, plan: campaigns.Campaign, tmp_path: pathlib.Path
) -> None:
    build.csv(tmp_path, 5)
    await read(book, plan)
    book.close()
    content = on_disk(tmp_path)
    assert b"Person 3" in content
    assert b"mail.example" not in content


# --- the key --------------------------------------------------------------------------------------


def test_the_key_is_made_once_and_is_ours_alone(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    state = tmp_path / "new" / "state"
    key = signatures.recognition_key(state, book)
    assert len(key) == 32
    assert signatures.recognition_key(state, book) == key
    (file,) = state.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert key not in on_disk(tmp_path)


@pytest.mark.parametrize("damage", [b"x" * keys.BYTES, None])
def test_another_key_than_the_ledgers_is_refused(
    book: ledger.Ledger, tmp_path: pathlib.Path, damage: bytes | None
) -> None:
    signatures.recognition_key(tmp_path / "state", book)
    file = tmp_path / "state" / "recognition.key"
    file.unlink()
    if damage is not None:
        file.write_bytes(damage)
    with pytest.raises(errors.LedgerError, match="is not the key") as caught:
        signatures.recognition_key(tmp_path / "state", book)
    assert "put the old file back" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 65])
def test_a_key_of_another_length_is_refused(
    book: ledger.Ledger, tmp_path: pathlib.Path, content: bytes
) -> None:
    """An unkeyed hash of an address can be tried out by anybody who has the ledger."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "recognition.key").write_bytes(content)
    with pytest.raises(errors.LedgerError, match=r"recognition\.key is no key"):
        signatures.recognition_key(tmp_path / "state", book)


async def test_another_key_takes_everybody_for_new(
    book: ledger.Ledger, plan: campaigns.Campaign, tmp_path: pathlib.Path
) -> None:
    """Why the key must not change: what the refusal above keeps from happening."""
    build.csv(tmp_path, 5)
    await read(book, plan)
    given = signatures.Import(file=tmp_path / "schedules" / "faces.csv")
    other = await signatures.read(book, plan, key=b"o" * 32, now=NOW, given=given)
    assert other.new == 5


async def test_what_was_skipped_is_told_up_to_a_point(
    book: ledger.Ledger, plan: campaigns.Campaign, tmp_path: pathlib.Path
) -> None:
    file = build.csv(tmp_path, 3)
    with file.open("a") as out:
        out.writelines(f",,Town {n},,\n" for n in range(10, 100))
    reading = await read(book, plan)
    assert reading.new == 3
    assert 0 < len(reading.skipped) <= signatures.SHOWN + 1
    assert all(dataclasses.is_dataclass(fault) for fault in reading.skipped)
