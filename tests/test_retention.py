"""Retention: nobody is read after the close, and all are erased so long after it."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

import build
import test_erasure as erasing
from deliverybot import campaign as campaigns
from deliverybot import daemon, erasure, errors, ledger, model, overview, signatures, spans
from deliverybot.ledger import retention

#: The day on which the campaign of these tests closes, to its end.
CLOSES = dt.date(2026, 11, 30)
CLOSED = dt.datetime(2026, 12, 1, tzinfo=dt.UTC)
EXPIRES = dt.datetime(2027, 6, 1, tzinfo=dt.UTC)


def edited(desk: erasing.Desk, top: str, keep: str = 'keep = "6 months"') -> campaigns.Campaign:
    """The campaign with a line at its top and one in [signers]."""
    text = desk.plan.file.read_text()
    text = "\n".join(line for line in text.splitlines() if not line.startswith(("closes", "keep")))
    desk.plan.file.write_text(f"{top}\n{text.replace('[signers]', f'[signers]{chr(10)}{keep}')}\n")
    desk.plan = campaigns.load(desk.plan.file)
    return desk.plan


@pytest.fixture
def desk(tmp_path: pathlib.Path) -> Iterator[erasing.Desk]:
    with erasing.world(tmp_path) as one:
        edited(one, f"closes = {CLOSES}")
        yield one


# --- spans and closes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "text", "zone", "end"),
    [
        ("2026-11-30T12:00", "6 months", "UTC", "2027-05-30T12:00"),
        ("2026-08-31T12:00", "6 months", "UTC", "2027-02-28T12:00"),
        ("2027-08-31T12:00", "6 months", "UTC", "2028-02-29T12:00"),
        ("2028-02-29T12:00", "1 year", "UTC", "2029-02-28T12:00"),
        ("2026-11-30T12:00", "1 Month", "UTC", "2026-12-30T12:00"),
        ("2026-12-31T12:00", "2 months", "UTC", "2027-02-28T12:00"),
        ("2026-11-30T12:00", "2 weeks", "UTC", "2026-12-14T12:00"),
        ("2026-11-30T12:00", "30 days", "UTC", "2026-12-30T12:00"),
        # The clock in Berlin is put forward in between: the wall clock says the same.
        ("2027-02-28T23:00", "2 months", "Europe/Berlin", "2027-04-30T22:00"),
        # At 02:30 on that day there is no such time.
        ("2027-02-28T01:30", "1 month", "Europe/Berlin", "2027-03-28T01:00"),
    ],
)
def test_spans_are_counted_on_the_calendar(start: str, text: str, zone: str, end: str) -> None:
    begin, due = (dt.datetime.fromisoformat(f"{one}+00:00") for one in (start, end))
    assert spans.after(begin, text, zone) == due


@pytest.mark.parametrize(
    "text", ["", "6", "6m", "months", "0 days", "-1 day", "1.5 years", "11 years", "3661 days"]
)
def test_no_span(text: str) -> None:
    with pytest.raises(Exception, match=r"span of time|longer than ten years"):
        spans.parse(text)


@pytest.mark.parametrize(
    ("closes", "at"),
    [
        ("2026-11-30", "2026-12-01T05:00"),
        ("2026-11-30T18:00:00", "2026-11-30T23:00"),
        ("2026-11-30T18:00:00+01:00", "2026-11-30T17:00"),
    ],
)
def test_a_close_is_a_day_to_its_end_or_a_time(desk: erasing.Desk, closes: str, at: str) -> None:
    one = edited(desk, f'timezone = "America/New_York"\ncloses = {closes}')
    assert one.closed_at == dt.datetime.fromisoformat(f"{at}+00:00")


@pytest.mark.parametrize("top", ['closes = "soon"', "closes = 3", "closes = 1999-01-01"])
def test_a_close_that_nobody_can_mean_is_a_fault(desk: erasing.Desk, top: str) -> None:
    with pytest.raises(errors.ConfigError, match=r"faces\.toml:1: 'closes': a close is"):
        edited(desk, top)


def test_a_keep_without_a_close_is_warned_of(desk: erasing.Desk) -> None:
    one = edited(desk, "")
    assert one.expires_at is None
    (found,) = campaigns.check([one], desk.settings)
    assert (found.level, "'keep' counts from the campaign's close" in found.what) == (
        "warning", True,
    )  # fmt: skip
    assert campaigns.check([edited(desk, f"closes = {CLOSES}")], desk.settings) == []


# --- the close ------------------------------------------------------------------------------------


async def test_late_signatures_are_taken_for_a_day_and_then_no_more(desk: erasing.Desk) -> None:
    await desk.works.poll("faces")
    desk.clock.now = CLOSED + dt.timedelta(hours=23)
    desk.write([*erasing.lines(100), "101,Late One,,,,late@mail.example,,,,"])
    await desk.works.poll("faces")
    assert desk.book.signatures.standing("faces").held == 101
    before = desk.book.signatures.standing("faces")
    desk.clock.now = CLOSED + dt.timedelta(hours=24)
    (desk.folder / "schedules" / "faces.csv").unlink()
    await desk.works.poll("faces")
    assert desk.book.signatures.standing("faces") == before, "the source is not even asked"
    (one,) = overview.status(desk.book, {"faces": desk.plan}, desk.settings, desk.clock()).campaigns
    assert "it closed on 2026-12-01 00:00 UTC; its source is not read" in one.reasons
    assert "all its signers are erased on 2027-06-01 00:00 UTC" in one.reasons


# --- the end --------------------------------------------------------------------------------------


async def ended(desk: erasing.Desk) -> None:
    """Read, letter sent, and the time is over."""
    await desk.works.poll("faces")
    build.sql(desk.book, "UPDATE signatures SET state = 'hidden' WHERE number = 3")
    build.sql(desk.book, "UPDATE campaigns SET hidden = 1")
    await desk.freeze()
    await desk.send()
    desk.book.signers.move(
        "faces", [9], model.Signature.WITHDRAWN, who="mira", why="Person asked", now=desk.clock()
    )
    desk.clock.now = EXPIRES


async def test_at_the_end_nobody_is_left_and_the_sums_are(
    desk: erasing.Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "ROWS", 7)
    await ended(desk)
    before = desk.book.signatures.standing("faces")
    history = readings(desk)
    await daemon.once(desk.works)
    after = desk.book.signatures.standing("faces")
    assert after.expired_at == EXPIRES
    sums = ("held", "hidden", "withdrawn", "duplicates", "last_number", "said", "read_at")
    assert [getattr(after, name) for name in sums] == [getattr(before, name) for name in sums]
    assert (before.held, after.listed) == (99, 0)
    assert readings(desk) == history
    assert [one.state for one in desk.book.milestones.all("faces")] == ["crossed"]
    assert {one.name for one in desk.book.signatures.lines("faces", 100)} == {""}
    assert desk.row.state == "sent"
    assert desk.book.audit.verify()[1] is None
    desk.book.close()
    assert desk.found((*erasing.WORDS, "Person ", "Town ")) == {}
    with desk.book._db.engine.connect() as tx:
        keys = tx.exec_driver_sql(
            "SELECT count(key_id) + count(key_email) + count(signed_at) FROM signatures"
        )
        assert keys.scalar() == 0


def readings(desk: erasing.Desk) -> list[tuple[Any, ...]]:
    with desk.book._db.engine.connect() as tx:
        return [tuple(row) for row in tx.exec_driver_sql("SELECT * FROM readings ORDER BY id")]


async def test_nobody_is_taken_in_again_whatever_the_file_says(desk: erasing.Desk) -> None:
    await ended(desk)
    await desk.works.expire()
    edited(desk, "closes = 2030-01-01")
    desk.write([*erasing.lines(100), "101,Late One,,,,late@mail.example,,,,"])
    await desk.works.poll("faces")
    key = signatures.recognition_key(desk.settings.state, desk.book)
    given = signatures.Import(file=desk.folder / "schedules" / "faces.csv")
    with pytest.raises(errors.WrongState, match="were erased on 2027-06-01"):
        await signatures.read(desk.book, desk.plan, key=key, now=desk.clock(), given=given)
    assert desk.book.signatures.standing("faces").held == 99
    assert {one.name for one in desk.book.signatures.lines("faces", 200)} == {""}


async def test_it_is_done_when_it_is_due_and_never_without_keep(desk: erasing.Desk) -> None:
    await ended(desk)
    desk.clock.now = EXPIRES - dt.timedelta(seconds=1)
    await desk.works.expire()
    assert desk.book.signatures.standing("faces").expired_at is None
    desk.clock.now = EXPIRES + dt.timedelta(days=3650)
    edited(desk, f"closes = {CLOSES}", keep="")
    await desk.works.expire()
    assert desk.book.signatures.standing("faces").expired_at is None


async def test_the_running_bot_looks_once_a_day_where_something_is_kept_for_a_time(
    desk: erasing.Desk,
) -> None:
    await desk.works.poll("faces")
    edited(desk, "closes = 2020-01-01")
    desk.clock.now = dt.datetime.now(dt.UTC)  # the scheduler has a clock of its own
    works = desk.works
    async with daemon._scheduler(works):
        while desk.book.signatures.standing("faces").expired_at is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert desk.book.erasures.open() == []


async def test_letters_that_had_not_left_name_nobody(desk: erasing.Desk) -> None:
    await desk.works.poll("faces")
    await desk.freeze()
    desk.approve()
    desk.clock.now = EXPIRES
    await desk.works.expire()
    assert desk.row.state == "held"
    await desk.freeze()
    assert (desk.row.state, desk.row.problem) == ("held", "")
    desk.book.close()
    assert desk.found((*erasing.WORDS, "Person ")) == {}


async def test_the_command_shows_and_does(desk: erasing.Desk) -> None:
    await desk.works.poll("faces")
    desk.approve()
    words = ("--no-input", "signatures", "expire")
    done = desk.command(*words, "--json")
    (told,) = json.loads(done.stdout)
    assert told["expires"] == "2027-06-01T00:00:00Z"
    assert (told["due"], told["keep"], told["signers"]) == (False, "6 months", 100)
    assert "to be erased on 2027-06-01 00:00 UTC" in desk.command(*words).stdout
    edited(desk, "closes = 2020-01-01")
    assert "100 signers due to be erased since" in desk.command(*words, "--dry-run").stdout
    assert desk.book.signatures.standing("faces").expired_at is None
    assert "100 signers erased on" in desk.command(*words, "faces").stdout
    assert desk.book.signatures.standing("faces").expired_at is not None
    desk.book.close()
    assert desk.found((*erasing.WORDS, "Person ")) == {}
    edited(desk, "", keep="")
    assert "erased on" in desk.command(*words).stdout


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_both_databases_empty_their_rows(
    kind: str, tmp_path: pathlib.Path, request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(retention, "ROWS", 4)
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    if kind == "postgresql":
        url = request.getfixturevalue("postgres_database")
    book = ledger.open_ledger(url)
    options = build.settings(tmp_path)
    build.take(
        book, [build.signer(n, comment="Please stop all of this now.") for n in range(1, 12)]
    )
    assert erasure.expire(book, options, "faces", who="mira", now=build.NOW) == []
    standing = book.signatures.standing("faces")
    assert (standing.held, standing.listed, standing.expired_at) == (11, 0, build.NOW)
    assert book.comments.select("faces", list(model.Comment)) == []
    (one,) = [row for row in book.audit.since() if row.new == "expired"]
    assert (one.thing, one.ref) == ("campaign", "faces")
    with pytest.raises(errors.WrongState):
        build.take(book, build.signers(1))
    assert erasure.expire(book, options, "faces", who="mira", now=build.NOW) == []
    assert erasure.expire(book, options, "nowhere", who="mira", now=build.NOW) == []
    book.close()
