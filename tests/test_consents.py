"""Consent: who saw which words, and that whatever is not a clear yes is a no."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import pathlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import build
import test_erasure as erasing
from deliverybot import arrivals, ledger, signatures
from deliverybot import campaign as campaigns
from deliverybot.ledger import consents
from deliverybot.sources import people

#: What a field of consent may hold, and whether that is a yes.
ANSWERS: Sequence[tuple[Any, bool]] = (
    ("yes", True), ("Yes ", True), ("TRUE", True), ("1", True), ("ja", True), ("I do agree", True),
    ("", False), (" ", False), ("no", False), ("false", False), ("0", False), ("2", False),
    ("-1", False), ("unknown", False), ("maybe", False), ("n/a", False), ("null", False),
    ("NaN", False), ("yes and no", False), ("yesno", False), ("not yes", False), ("?", False),
    ("I do  agree to nothing", False), ("undefined", False), ("нет", False), ("✗", False),
)  # fmt: skip
#: The same where values have types of their own.
TYPED: Sequence[tuple[Any, bool]] = (
    (True, True), (1, True), (False, False), (None, False), (0, False), (2, False), (-1, False),
    (0.5, False), ([], False), ([True], False), ({"yes": True}, False), (["yes"], False),
)  # fmt: skip
NAMES = 'columns = { id = "Id", name = "Name", to_target = "Agree", mail = "News" }\nevery = "1m"\n'
YES = 'yes = ["I do agree"]\n'


@dataclasses.dataclass
class Place:
    """Where a source's rows are put, and what reads them."""

    folder: pathlib.Path
    book: ledger.Ledger
    source: str
    put: Callable[[pathlib.Path, list[dict[str, Any]]], None]
    plan: campaigns.Campaign

    async def read(self, rows: list[dict[str, Any]]) -> list[consents.Consent]:
        self.put(self.folder, rows)
        options = build.settings(self.folder)
        means = signatures.means(options, self.book, build.Clock())
        key = signatures.recognition_key(options.state, self.book)
        now = build.NOW
        reading = await signatures.read(self.book, self.plan, key=key, now=now, means=means)
        assert reading.problem == ""
        last = self.book.signatures.standing("faces").last_number
        return [self.book.consents.record("faces", number) for number in range(1, last + 1)]


def put_csv(folder: pathlib.Path, rows: list[dict[str, Any]]) -> None:
    lines = ["Id,Name,Agree,News", *(f'{r["Id"]},{r["Name"]},"{r["Agree"]}",' for r in rows)]
    (folder / "schedules" / "faces.csv").write_text("\n".join([*lines, ""]))


def put_jsonl(folder: pathlib.Path, rows: list[dict[str, Any]]) -> None:
    file = folder / "schedules" / "faces.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def put_sql(folder: pathlib.Path, rows: list[dict[str, Any]]) -> None:
    with contextlib.closing(sqlite3.connect(folder / "schedules" / "faces.db")) as base:
        base.execute("CREATE TABLE signers (Id INTEGER PRIMARY KEY, Name, Agree, News)")
        told = [(r["Id"], r["Name"], r["Agree"]) for r in rows]
        base.executemany("INSERT INTO signers (Id, Name, Agree) VALUES (?, ?, ?)", told)
        base.commit()


QUERY = (
    'query = "SELECT Id, Name, Agree, News FROM signers WHERE Id > :cursor ORDER BY Id'
    ' LIMIT :limit"\n'
)
SOURCES: dict[str, tuple[str, Callable[[pathlib.Path, list[dict[str, Any]]], None]]] = {
    "csv": (f'[source]\nkind = "csv"\npath = "faces.csv"\n{NAMES}', put_csv),
    "jsonl": (f'[source]\nkind = "jsonl"\npath = "faces.jsonl"\n{NAMES}', put_jsonl),
    "sql": (
        f'[source]\nkind = "sql"\nurl = "sqlite:///faces.db"\nkey = "Id"\n{QUERY}{NAMES}',
        put_sql,
    ),
}


@contextlib.contextmanager
def place(folder: pathlib.Path, kind: str) -> Iterator[Place]:
    source, put = SOURCES[kind]
    options = build.settings(folder)
    plan = build.campaign(folder, posts=(), source=source)
    plan.file.write_text(plan.file.read_text().replace("[consent]\n", f"[consent]\n{YES}"))
    with contextlib.closing(ledger.open_ledger(options.database_url)) as book:
        yield Place(
            folder=folder, book=book, source=source, put=put, plan=campaigns.load(plan.file)
        )


def rows(answers: Sequence[tuple[Any, bool]]) -> list[dict[str, Any]]:
    return [
        {"Id": n, "Name": f"Person {n}", "Agree": answer}
        for n, (answer, _) in enumerate(answers, 1)
    ]


@pytest.mark.parametrize("kind", SOURCES)
async def test_whatever_is_not_a_clear_yes_is_a_no(kind: str, tmp_path: pathlib.Path) -> None:
    typed = {"csv": (), "sql": TYPED[:8], "jsonl": TYPED}[kind]
    answers = [*ANSWERS, *typed]
    with place(tmp_path, kind) as one:
        found = await one.read(rows(answers))
        assert [(answer, record.to_target) for (answer, _), record in
                zip(answers, found, strict=True)] == answers  # fmt: skip
        # Named in `columns` and given to nobody: all were asked, and none said yes.
        assert not any(record.mail or record.sms for record in found)
        # Not asked by row: what signing meant holds.
        assert all(record.public for record in found)


async def test_a_key_that_is_missing_is_a_no(tmp_path: pathlib.Path) -> None:
    with place(tmp_path, "jsonl") as one:
        (first, second) = await one.read(
            [{"Id": 1, "Name": "Ada", "Agree": "yes"}, {"Id": 2, "Name": "Ben"}]
        )
        assert (first.to_target, second.to_target) == (True, False)


async def test_a_webhook_knows_no_other_yes(tmp_path: pathlib.Path) -> None:
    source = f'[source]\nkind = "webhook"\nplatform = "json"\n{NAMES}'
    options = build.settings(tmp_path)
    plan = build.campaign(tmp_path, posts=(), source=source)
    with contextlib.closing(ledger.open_ledger(options.database_url)) as book:
        store = arrivals.Arrivals(book, options.state, build.Clock())
        answers = [one for one in (*ANSWERS, *TYPED) if one[0] != "I do agree"]
        store.put([arrivals.Call("faces", "", json.dumps(rows(answers)).encode())])
        means = signatures.means(options, book, build.Clock())
        key = signatures.recognition_key(options.state, book)
        await signatures.read(book, plan, key=key, now=build.NOW, means=means)
        found = [book.consents.record("faces", n).to_target for n in range(1, len(answers) + 1)]
        assert found == [yes for _, yes in answers]


@given(st.text())
def test_no_other_text_is_a_yes(text: str) -> None:
    known = people._YES
    if text.strip().casefold() not in known:
        asyncio.run(_none(text))


async def _none(text: str) -> None:
    """Ask the one place that all kinds of sources go through."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        plan = build.campaign(folder)
        clerk = people.Clerk(plan, b"secret")
        assert not clerk._answers[text]


# --- versions of the words ----------------------------------------------------------------------


async def test_other_words_are_another_version_and_for_new_signers_only(
    tmp_path: pathlib.Path,
) -> None:
    with erasing.world(tmp_path) as desk:
        desk.write(erasing.lines(10))
        await desk.works.poll("faces")
        (tmp_path / "schedules" / "consent.txt").write_text("I agree to something else.")
        desk.plan = campaigns.load(desk.plan.file)
        desk.clock.forward(days=1)
        # Read from its start: the old rows come again, beside a new one.
        build.sql(desk.book, "UPDATE campaigns SET cursor = NULL")
        desk.write([*erasing.lines(10), "11,New One,,,,new@mail.example,,,,"])
        await desk.works.poll("faces")
        old, new = desk.book.consents.wordings("faces")
        assert (old.words, old.since, old.signers, old.first, old.last) == (
            "I agree.", build.NOW, 10, 1, 10,
        )  # fmt: skip
        assert (new.words, new.since, new.signers, new.first, new.last) == (
            "I agree to something else.", desk.clock(), 1, 11, 11,
        )  # fmt: skip
        assert (old.to_target, old.public, old.mail, old.sms) == (10, 10, 0, 0)
        first, last = (desk.book.consents.record("faces", n) for n in (1, 11))
        assert (first.version, last.version) == (old.version, new.version)
        assert (first.taken_at, last.taken_at) == (build.NOW, desk.clock())
        desk.erase()
        assert desk.book.consents.record("faces", erasing.NUMBER).to_target is False
        assert desk.book.consents.wordings("faces")[0].signers == 9


def test_a_permission_is_taken_back_and_never_given_again(tmp_path: pathlib.Path) -> None:
    with contextlib.closing(ledger.open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")) as book:
        build.take(book, [build.signer(1)])
        build.take(book, [build.signer(1, mail=False, to_target=False)])
        build.take(book, [build.signer(1)])
        found = book.consents.record("faces", 1)
        assert (found.public, found.to_target, found.mail, found.sms) == (True, False, False, True)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_both_databases_count_by_version(
    kind: str, tmp_path: pathlib.Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    if kind == "postgresql":
        url = request.getfixturevalue("postgres_database")
    with contextlib.closing(ledger.open_ledger(url)) as book:
        assert book.consents.wordings("faces") == []
        build.take(book, build.signers(5))
        build.withdraw(book, "faces", 2)
        build.take(book, [build.signer(7, sms=False, mail=False)])
        (one,) = book.consents.wordings("faces")
        assert (one.signers, one.first, one.last) == (5, 1, 6)
        assert (one.public, one.to_target, one.mail, one.sms) == (5, 5, 4, 4)


async def test_the_command_prints_the_record(tmp_path: pathlib.Path) -> None:
    with erasing.world(tmp_path) as desk:
        await desk.works.poll("faces")
        (told,) = json.loads(desk.command("signatures", "consent", "faces", "--json").stdout)
        assert (told["signers"], told["words"], told["to_target"]) == (100, "I agree.", 100)
        one = ("signatures", "consent", "faces", "--number", "7")
        record = json.loads(desk.command(*one, "--json").stdout)
        assert (record["version"], record["mail"]) == (told["version"], False)
        assert record["signed_at"] == "2026-11-22T00:50:00Z"
        assert "I agree." in desk.command(*one).stdout
        assert told["version"][:12] in desk.command("signatures", "consent", "faces").stdout
        desk.command("signatures", "consent", "faces", "--number", "4711", code=2)
