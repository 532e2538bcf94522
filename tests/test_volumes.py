"""Volumes: what is typeset once, what is made anew, and what a letter bound from them holds."""

# ruff: noqa: ANN401 - factories hand on any field

from __future__ import annotations

import base64
import contextlib
import csv
import dataclasses
import hashlib
import io
import itertools
import json
import os
import pathlib
import random
import re
import string
import subprocess
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pikepdf
import pypdfium2
import pytest

import build
from deliverybot import campaign as campaigns
from deliverybot import (
    config,
    ledger,
    model,
    paper,
    preview,
    screen,
    steps,
)
from deliverybot.ledger import records
from deliverybot.pdf import bindery, fonts

NOW = build.NOW
SIZE = 100


class Ear(build.Silent):
    """A reporter that remembers, and does something at a point of the typesetting."""

    def __init__(self) -> None:
        self.heard: list[int] = []
        self.then: dict[int, Callable[[], None]] = {}

    def typesetting(self, slug: str, done: int, upto: int) -> None:
        self.heard.append(done)
        self.then.pop(done, lambda: None)()


@dataclasses.dataclass
class Desk:
    """A campaign with a list in volumes, and the daemon's steps."""

    book: ledger.Ledger
    folder: pathlib.Path
    plan: campaigns.Campaign
    options: str = ""
    mail: str = ""
    ear: Ear = dataclasses.field(default_factory=Ear)
    clock: build.Clock = dataclasses.field(default_factory=build.Clock)

    @property
    def settings(self) -> config.Settings:
        options = f"volume = {SIZE}\nnames_in_letter = 0\n{self.options}"
        return build.settings(self.folder, self.mail, options)

    async def freeze(self) -> records.Delivery:
        """Start anew, make what is due; the latest letter."""
        works = steps.Works(
            self.book, self.settings, {"faces": self.plan}, clock=self.clock, reporter=self.ear
        )
        await works.start()
        await works.freeze()
        return self.book.deliveries.select()[-1]

    async def grow(self, to: int) -> records.Delivery:
        build.grow(self.book, self.plan, to)
        return await self.freeze()

    def hide(self, number: int) -> None:
        self.book.signers.move(
            "faces", [number], model.Signature.HIDDEN, who="mira", why="asked to", now=NOW
        )

    def reload(self, **plan: Any) -> None:
        self.plan = build.campaign(self.folder, posts=(), **plan)

    # -- what is there

    def pdf(self, row: records.Delivery) -> pathlib.Path:
        return self.settings.state / row.pdf

    def sealed(self) -> dict[int, records.Volume]:
        return {one.number: one for one in self.book.volumes.sealed("faces")}

    def path(self, number: int) -> pathlib.Path:
        return self.settings.state / self.sealed()[number].path

    def seals(self) -> list[str]:
        """The numbers of the volumes in the order in which they were sealed."""
        return [row.ref for row in self.book.audit.since() if row.thing == "volume"]

    def marks(self) -> dict[int, tuple[int, int, str]]:
        """What would differ if a volume's file were written again, even with the same bytes."""
        found = {}
        for number, one in self.sealed().items():
            stat = (self.settings.state / one.path).stat()
            found[number] = (stat.st_ino, stat.st_mtime_ns, one.sha256)
        return found

    def is_tidy(self) -> bool:
        """Tell whether nothing is there but what the ledger knows."""
        state = self.settings.state
        kept = {state / one.path for one in self.book.volumes.sealed("faces")}
        files = {path for path in (state / "volumes").rglob("*") if path.is_file()}
        files -= set((state / "volumes" / "fonts").glob("[0-9a-f]*"))
        rows = self.book.deliveries.select()
        known = {state / row.pdf for row in rows if row.pdf}
        known |= {part for path in known for part in paper.parts_of(path)}
        printed = {path for path in (state / "letters").rglob("*") if path.is_file()}
        assert (files, printed, list(state.rglob(".*"))) == (kept, known, [])
        return True


@pytest.fixture
def fresh(tmp_path: pathlib.Path) -> Iterator[Callable[..., Desk]]:
    """Gives one more campaign, in a ledger of its own, at each call."""
    numbers = itertools.count()
    with contextlib.ExitStack() as stack:

        def make(
            people: Sequence[model.Signer] = (), options: str = "", mail: str = "", **plan: Any
        ) -> Desk:
            folder = tmp_path / f"desk{next(numbers)}"
            plan = {"plan": "at = [250, 350]"} | plan
            url = build.settings(folder).database_url
            book = stack.enter_context(contextlib.closing(ledger.open_ledger(url)))
            one = build.campaign(folder, posts=(), **plan)
            if people:
                build.take(book, people)
                build.advance(book, one)
            return Desk(book=book, folder=folder, plan=one, options=options, mail=mail)

        yield make


def text(path: pathlib.Path) -> list[str]:
    """The text of each page."""
    with contextlib.closing(pypdfium2.PdfDocument(path)) as document:
        return [page.get_textpage().get_text_range() for page in document]


def listed(pages: Sequence[str]) -> list[int]:
    """The numbers of the signers on the pages of volumes, as they stand there."""
    lines = [line for page in pages if is_bound(page) for line in page.splitlines()]
    return [int(one[1]) for line in lines if (one := number_of(line))]


def number_of(line: str) -> re.Match[str] | None:
    """Find the number; it may be given out last where letters run from right to left."""
    found = re.match(r"\s*([0-9]+)\s", line)
    if found is None and any(unicodedata.bidirectional(char) in {"R", "AL"} for char in line):
        return re.search(r"\s([0-9]+)\s*$", line)
    return found


def is_bound(page: str) -> bool:
    """Tell a page of a volume, whose head says which signers stand on it."""
    return re.match(r"[0-9,]+(–[0-9,]+)?\s*\n", page) is not None


def labels(path: pathlib.Path) -> list[str]:
    with contextlib.closing(pypdfium2.PdfDocument(path)) as document:
        return [document.get_page_label(at) for at in range(len(document))]


def bookmarks(path: pathlib.Path) -> list[tuple[int, str, int]]:
    """Level, words and page of each bookmark."""
    with contextlib.closing(pypdfium2.PdfDocument(path)) as document:
        return [
            (mark.level, mark.get_title(), mark.get_dest().get_index())
            for mark in document.get_toc()
        ]


# --- once -------------------------------------------------------------------------------------


async def test_a_full_volume_is_made_once_and_a_later_letter_sets_the_tail_alone(
    fresh: Callable[..., Desk],
) -> None:
    one = fresh()
    first = await one.grow(250)
    assert (first.state, first.problem) == ("held", "")
    assert one.seals() == ["1", "2"]
    assert one.ear.heard == [0, 100, 200, 200, 250]
    before = one.marks()
    one.ear.heard.clear()
    second = await one.grow(350)
    assert (second.milestone, second.problem) == ("350", "")
    assert one.seals() == ["1", "2", "3"]
    assert one.ear.heard == [200, 300, 300, 350]
    assert before.items() <= one.marks().items()
    assert listed(text(one.pdf(first))) == list(range(1, 251))
    assert listed(text(one.pdf(second))) == list(range(1, 351))
    assert one.is_tidy()
    assert one.book.audit.verify()[1] is None


async def test_a_letter_that_ends_with_a_full_volume_has_no_tail(
    fresh: Callable[..., Desk],
) -> None:
    one = fresh(plan="at = [200, 201]")
    row = await one.grow(200)
    assert one.ear.heard == [0, 100, 200]
    assert listed(text(one.pdf(row))) == list(range(1, 201))
    row = await one.grow(201)
    assert one.ear.heard == [0, 100, 200, 200, 201]
    assert listed(text(one.pdf(row))) == list(range(1, 202))


async def test_two_targets_share_the_volumes(fresh: Callable[..., Desk]) -> None:
    one = fresh(targets=("ceo", "cto"))
    await one.grow(250)
    rows = one.book.deliveries.select()
    assert [row.problem for row in rows] == ["", ""]
    assert one.seals() == ["1", "2"]
    assert [listed(text(one.pdf(row))) for row in rows] == [list(range(1, 251))] * 2
    assert one.is_tidy()


#: Names that need shaping, other directions and other fonts; some are long.
NAMES = (
    "Zoë Müller-Łukasiewicz", "محمد عبد الله", "राजेश कुमार", "山田 太郎", "김민준", "Ada 🌻",
    "Нина Ковальчук", "Θάνος Παπαδόπουλος", "O'Brien (née) \\ Smith", "דנה לוי",
    "Maximiliana Hohenzollern-Sigmaringen und zu Lichtenstein von der Au",
)  # fmt: skip


def crowd(count: int) -> list[model.Signer]:
    """Signers of many scripts, one in nine of whom may not be named."""
    return [
        build.signer(n, name=NAMES[n % len(NAMES)], to_target=n % 9 != 0)
        for n in range(1, count + 1)
    ]


async def test_the_same_rows_make_the_same_bytes(fresh: Callable[..., Desk]) -> None:
    grown, whole = fresh(crowd(250)), fresh(crowd(350))
    await grown.freeze()
    build.take(grown.book, crowd(350)[250:])
    build.advance(grown.book, grown.plan)
    rows = [await grown.freeze(), await whole.freeze()]
    assert [row.problem for row in rows] == ["", ""]
    assert rows[0].pdf_sha256 == rows[1].pdf_sha256
    assert digest(grown.pdf(rows[0])) == digest(whole.pdf(rows[1])) == rows[0].pdf_sha256
    hashes = [{n: one.sha256 for n, one in desk.sealed().items()} for desk in (grown, whole)]
    assert hashes[0] == hashes[1]
    assert len(hashes[0]) == 3
    assert listed(text(whole.pdf(rows[1]))) == list(range(1, 351))


def digest(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- what makes a volume anew -------------------------------------------------------------------


@pytest.mark.parametrize("how", ["hidden", "withdrawn", "narrowed"])
async def test_who_takes_back_keeps_the_number_and_only_that_volume_is_made_anew(
    how: str, fresh: Callable[..., Desk]
) -> None:
    one = fresh()
    await one.grow(250)
    old, before = one.path(1), one.marks()
    gone = one.sealed()[1].sha256
    if how == "narrowed":
        build.take(one.book, [build.signer(42, to_target=False)])
    else:
        one.book.signers.move(
            "faces", [42], model.Signature(how), who="mira", why="asked to", now=NOW
        )
    row = await one.freeze()
    said = text(one.pdf(row))
    assert listed(said) == list(range(1, 251))
    assert "42 Name withheld" in said[1]
    assert sum(page.count("Name withheld") for page in said) == 1
    assert "Person 42," not in "".join(said)
    assert "Town 42," not in "".join(said)
    assert one.seals() == ["1", "2", "1"]
    assert [vol.edition for vol in one.sealed().values()] == [2, 1]
    assert one.marks()[2] == before[2]
    assert not old.exists()
    assert gone != one.sealed()[1].sha256
    assert any(gone in entry.why for entry in one.book.audit.since())
    assert one.is_tidy()
    assert one.book.audit.verify()[1] is None


async def test_who_comes_back_is_named_again(fresh: Callable[..., Desk]) -> None:
    one = fresh()
    first = await one.grow(250)
    before = one.sealed()[1]
    one.hide(42)
    await one.freeze()
    one.book.signers.move("faces", [42], model.Signature.ACTIVE, who="mira", why="mistake", now=NOW)
    row = await one.freeze()
    assert row.pdf_sha256 == first.pdf_sha256
    assert (one.sealed()[1].path, one.sealed()[1].edition) == (before.path, 3)
    assert one.is_tidy()


async def test_a_flagged_signer_is_withheld_until_a_person_has_looked(
    fresh: Callable[..., Desk],
) -> None:
    people = build.signers(250)
    people[41] = build.signer(42, name="Jordan Vale", flags=("target",))
    one = fresh(people)
    row = await one.freeze()
    said = text(one.pdf(row))
    assert "42 Name withheld" in said[1]
    assert "Jordan Vale" not in "".join(page for page in said if is_bound(page))
    assert one.book.signatures.standing("faces").signatures == 250
    before = one.sealed()[1].sha256

    one.book.signers.clear("faces", [42], who="mira", why="another one of that name", now=NOW)
    said = text(one.pdf(await one.freeze()))
    assert "42 Jordan Vale" in said[1]
    assert not any("Name withheld" in page for page in said)
    assert [vol.edition for vol in one.sealed().values()] == [2, 1]
    assert one.sealed()[1].sha256 != before

    one.book.signers.flag_again("faces", [42], who="mira", why="a mistake", now=NOW)
    assert "42 Name withheld" in text(one.pdf(await one.freeze()))[1]
    assert one.sealed()[1].sha256 == before


async def test_a_change_in_the_tail_makes_no_volume_anew(fresh: Callable[..., Desk]) -> None:
    one = fresh()
    await one.grow(250)
    before = one.marks()
    one.hide(242)
    row = await one.freeze()
    assert "242 Name withheld" in text(one.pdf(row))[-1]
    assert (one.marks(), one.seals()) == (before, ["1", "2"])


async def test_another_title_makes_all_anew(fresh: Callable[..., Desk]) -> None:
    one = fresh()
    await one.grow(250)
    old = [one.path(number) for number in (1, 2)]
    file = one.folder / "schedules" / "faces.toml"
    file.write_text(file.read_text().replace("Stop selling face", "End all sale of face"))
    one.plan = campaigns.load(file)
    row = await one.freeze()
    said = text(one.pdf(row))
    assert all("End all sale of face recognition" in page for page in said)
    assert one.seals() == ["1", "2", "1", "2"]
    assert not any(path.exists() for path in old)
    assert one.is_tidy()


async def test_volumes_of_another_size_take_the_place_of_the_old(
    fresh: Callable[..., Desk],
) -> None:
    one = fresh()
    await one.grow(250)
    one.options = "time = 1000"
    assert (await one.freeze()).pdf_sha256
    assert one.seals() == ["1", "2"], "a limit is no part of the form"
    file = one.folder / "schedules" / "faces.toml"
    file.write_text(file.read_text().replace("[signers]", '[signers]\nfields = ["name"]'))
    one.plan = campaigns.load(file)
    row = await one.freeze()
    assert "1 Person 1\r\n" in text(one.pdf(row))[1]
    assert one.seals() == ["1", "2", "1", "2"]
    assert one.is_tidy()


async def test_larger_volumes_leave_no_smaller_ones_behind(
    fresh: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = fresh()
    await one.grow(350)
    stray = one.settings.state / "volumes" / "faces" / "00009-of-mine.volume"
    stray.mkdir()
    monkeypatch.setattr(f"{__name__}.SIZE", 150)
    row = await one.freeze()
    assert listed(text(one.pdf(row))) == list(range(1, 351))
    assert [(vol.first, vol.last) for vol in one.sealed().values()] == [(1, 150), (151, 300)]
    await one.freeze()
    assert stray.is_dir(), "a folder is nobody's volume"
    assert one.is_tidy()


async def test_a_damaged_or_missing_volume_is_made_again(fresh: Callable[..., Desk]) -> None:
    one = fresh()
    await one.grow(350)
    before = one.sealed()
    content = bytearray(one.path(1).read_bytes())
    content[len(content) // 2] ^= 1
    one.path(1).write_bytes(content)
    one.path(3).unlink()
    marks = one.path(2).stat()
    one.reload(plan="at = [250, 350, 360]")
    row = await one.grow(360)
    assert row.problem == ""
    assert one.seals() == ["1", "2", "3", "1", "3"]
    assert {n: vol.sha256 for n, vol in before.items()} == {
        n: digest(one.path(n)) for n in (1, 2, 3)
    }
    assert (one.path(2).stat().st_ino, one.path(2).stat().st_mtime_ns) == (
        marks.st_ino, marks.st_mtime_ns,
    )  # fmt: skip
    assert listed(text(one.pdf(row))) == list(range(1, 361))
    assert one.is_tidy()


# --- while volumes are made -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "number"), [(0, 5), (100, 5), (200, 5), (100, 105), (200, 105), (250, 205)]
)
async def test_a_signer_hidden_meanwhile_is_in_nothing_that_is_kept(
    after: int, number: int, fresh: Callable[..., Desk]
) -> None:
    one = fresh()
    one.ear.then[after] = lambda: one.hide(number)
    row = await one.grow(250)
    if after < 250:  # the tail comes last
        assert f"{number} Name withheld" in "".join(text(one.pdf(row)))
    row = await one.freeze()
    said = text(one.pdf(row))
    assert f"{number} Name withheld" in "".join(said)
    assert f"Person {number}," not in "".join(said)
    assert listed(said) == list(range(1, 251))
    assert set(one.sealed()) == {1, 2}
    assert row.problem == ""
    assert one.is_tidy()
    before = one.marks(), one.ear.heard.copy()
    await one.freeze()
    assert (one.marks(), one.ear.heard) == before


async def test_a_change_meanwhile_costs_no_more_than_the_volumes_at_hand(
    fresh: Callable[..., Desk],
) -> None:
    long = "Ada of Saint-Étienne " * 12
    people = [build.signer(n, name=long, city=long) for n in range(1, 3001)]
    one = fresh(people, plan="at = [3000]")
    one.ear.then[100] = lambda: one.hide(3000)
    await one.freeze()
    assert len(one.ear.heard) < 45, "30 volumes, and the few at hand once more"
    assert set(one.sealed()) == set(range(1, 31))
    assert one.is_tidy()


async def test_a_list_that_changes_all_the_time_waits_for_the_next_run(
    fresh: Callable[..., Desk],
) -> None:
    one = fresh()
    numbers = itertools.count(1)

    def again() -> None:
        one.hide(next(numbers))
        one.ear.then[100] = again

    one.ear.then[100] = again
    row = await one.grow(250)
    assert row.state == "held"
    assert "changes faster than it can be typeset" in row.problem
    assert 1 not in one.sealed()
    one.ear.then.clear()
    row = await one.freeze()
    assert row.problem == ""
    assert one.is_tidy()


# --- a preview ----------------------------------------------------------------------------------


async def previewed(one: Desk, at: int) -> pathlib.Path:
    case = preview.case(
        one.book, one.plan, one.plan.targets[0], settings=one.settings, at=at, now=NOW
    )
    desk = paper.Desk(
        book=one.book, settings=one.settings, clock=one.clock, reporter=one.ear, seal=False
    )
    file = one.folder / "shown" / "faces.pdf"
    await preview.pdf(case, file, desk)
    assert [path.name for path in file.parent.iterdir()] == ["faces.pdf"]
    return file


async def test_a_preview_seals_nothing_and_leaves_nothing_behind(
    fresh: Callable[..., Desk],
) -> None:
    one = fresh(crowd(250))
    before = set(one.settings.state.rglob("*"))
    shown = text(await previewed(one, 250))
    assert listed(shown) == list(range(1, 251))
    assert set(one.settings.state.rglob("*")) == before
    assert (one.sealed(), one.seals()) == ({}, [])


async def test_a_preview_uses_what_is_sealed(fresh: Callable[..., Desk]) -> None:
    one = fresh(crowd(350))
    await one.freeze()
    one.hide(142)
    before, marks = set(one.settings.state.rglob("*")), one.marks()
    one.ear.heard.clear()
    shown = text(await previewed(one, 350))
    assert one.ear.heard == [100, 200, 300, 350]
    assert listed(shown) == list(range(1, 351))
    assert any("142 Name withheld" in page for page in shown)
    assert (set(one.settings.state.rglob("*")), one.marks()) == (before, marks)
    assert one.seals() == ["1", "2", "3"]


# --- what cannot be set ---------------------------------------------------------------------------


def undrawable() -> str:
    """A letter that no font here has."""
    case = fonts.at_hand()
    codes = range(0x10000, 0x20000)
    return next(
        chr(code)
        for code in codes
        if unicodedata.category(chr(code)) == "Lo" and case.face(chr(code)) is None
    )


@pytest.mark.parametrize("number", [42, 242])
async def test_a_letter_that_no_font_here_has_holds_the_delivery(
    number: int, fresh: Callable[..., Desk]
) -> None:
    letter = undrawable()
    people = build.signers(250)
    people[number - 1] = build.signer(number, name=f"Ada {letter}")
    one = fresh(people)
    row = await one.freeze()
    assert (row.state, row.digest, row.pdf) == ("held", "", "")
    assert f"no font here can draw {letter} (U+{ord(letter):04X}" in row.problem
    assert unicodedata.name(letter) in row.problem
    assert f"“Ada {letter} Town {number}" in row.problem
    assert "install fonts-noto-core" in row.problem
    assert one.sealed() == {}
    assert one.is_tidy()
    one.hide(number)
    assert (await one.freeze()).problem == ""


async def test_a_letter_without_a_font_that_comes_later_is_found_behind_sealed_volumes(
    fresh: Callable[..., Desk],
) -> None:
    one = fresh()
    await one.grow(250)
    before = one.marks()
    letter = undrawable()
    build.take(one.book, [build.signer(n, city=f"Ur {letter}") for n in range(251, 351)])
    build.advance(one.book, one.plan)
    row = await one.freeze()
    assert f"no font here can draw {letter}" in row.problem
    assert one.marks() == before


# --- signers.csv ----------------------------------------------------------------------------------

TRICKY = (
    "=1+1", "+49 30", "-5", "@sum(A1)", " =1+1", 'Ada "the first"', "Lovelace, Ada", "O'Neil",
    "日本", "a;b", "'=1", "|x",
)  # fmt: skip


async def test_the_list_is_attached_as_csv_where_asked_for(fresh: Callable[..., Desk]) -> None:
    people = [
        build.signer(n, name=TRICKY[n % len(TRICKY)], city=TRICKY[-n % len(TRICKY)])
        for n in range(1, 251)
    ]
    one = fresh(people, signers="csv = true")
    one.hide(42)
    row = await one.freeze()
    assert row.problem == ""
    with pikepdf.open(one.pdf(row)) as pdf:
        assert list(pdf.attachments) == ["signers.csv"]
        content = pdf.attachments["signers.csv"].get_file().read_bytes()
    assert content.endswith(b"\r\n")
    rows = list(csv.reader(io.StringIO(content.decode(), newline="")))
    assert rows[0] == ["number", "name", "city", "country"]
    expected = [
        [str(n), *(screen.formula_safe(text) for text in (who.name, who.city, who.country))]
        for n, who in enumerate(people, 1)
    ]
    expected[41] = ["42", "", "", ""]
    assert rows[1:] == expected
    cells = [cell for line in rows for cell in line]
    assert not [cell for cell in cells if cell.lstrip()[:1] in set("=+-@")]
    assert "'=1+1" in cells
    # What poppler takes out is the same: the stream is one that others can read, too.
    assert detached(one.pdf(row), one.folder) == content
    one.reload(plan="at = [250, 350]", signers="csv = false")
    row = await one.freeze()
    with pikepdf.open(one.pdf(row)) as pdf:
        assert not pdf.attachments


def detached(pdf: pathlib.Path, folder: pathlib.Path) -> bytes:
    command = ["pdfdetach", "-saveall", "-o", str(folder), str(pdf)]
    subprocess.run(command, check=True, capture_output=True)
    return (folder / "signers.csv").read_bytes()


async def test_a_short_list_with_csv_is_bound_too(fresh: Callable[..., Desk]) -> None:
    one = fresh(build.signers(3), "", plan="at = [3]", signers="csv = true")
    row = await one.freeze()
    assert (row.problem, row.pages) == ("", 2)
    with pikepdf.open(one.pdf(row)) as pdf:
        content = pdf.attachments["signers.csv"].get_file().read_bytes()
    assert content.decode().split("\r\n") == [
        "number,name,city,country", *(f"{n},Person {n},Town {n},Nowhere" for n in (1, 2, 3)), "",
    ]  # fmt: skip


# --- in another order --------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["name", "place"])
async def test_the_order_is_kept_within_each_volume(order: str, fresh: Callable[..., Desk]) -> None:
    names, cities = ("Zoë", "ada", "Émile", "Bob", "eve"), ("Ulm", "äachen", "", "Berlin")
    people = [
        build.signer(n, name=names[n % 5], city=cities[n % 4], to_target=n % 10 != 0)
        for n in range(1, 251)
    ]
    one = fresh(people, signers=f'order = "{order}"')
    row = await one.freeze()
    assert row.problem == ""
    by_name = [names.index(name) for name in ("ada", "Bob", "Émile", "eve", "Zoë")]
    by_city = [cities.index(city) for city in ("", "äachen", "Berlin", "Ulm")]

    def place(n: int) -> tuple[int, ...]:
        key = by_city.index(n % 4), by_name.index(n % 5)
        # Who may not be named shows nothing to be sorted by.
        return (1, n) if n % 10 == 0 else (0, *(key[::-1] if order == "name" else key), n)

    expected = []
    for first in (1, 101, 201):
        expected += sorted(range(first, min(first + 100, 251)), key=place)
    said = text(one.pdf(row))
    assert sorted(listed(said)) == list(range(1, 251))
    assert listed(said) == expected
    assert [page.splitlines()[0] for page in said[1:]] == ["1–100", "101–200", "201–250"]


# --- too large for one mail ---------------------------------------------------------------------


def wordy(count: int) -> list[model.Signer]:
    """Signers whose lines can hardly be packed, so that the volumes outweigh the fonts."""
    dice = random.Random(7)

    def word() -> str:
        return "".join(dice.choices(string.ascii_letters, k=14))

    return [
        build.signer(n, name=f"{word()} {word()}", city=word(), country=word())
        for n in range(1, count + 1)
    ]


def limit(size: float) -> str:
    """A setting of max_message that leaves room for a PDF of this size."""
    return f'max_message = "{(size * bindery._ENCODED + bindery._WORDS) / 1000:.3f} kB"'


def encoded(path: pathlib.Path) -> int:
    """Bytes of a file in base64, in lines of 76 as mail has them."""
    return len(base64.encodebytes(path.read_bytes()).replace(b"\n", b"\r\n"))


async def test_a_pdf_too_large_for_a_mail_goes_in_parts_that_open_by_themselves(
    fresh: Callable[..., Desk],
) -> None:
    one = fresh(wordy(1250), plan="at = [1250]", signers="csv = true")
    whole = await one.freeze()
    assert whole.problem == ""
    size = one.pdf(whole).stat().st_size
    one.mail = limit(size * 0.6)
    one.hide(42)  # what has been made stays as it is; this makes it due
    row = await one.freeze()
    parts = paper.parts_of(one.pdf(row))
    assert len(parts) == 3
    assert (row.state, row.problem) == ("held", "")
    assert [[file["path"] for file in mail] for mail in json.loads(row.files)] == [
        [str(part.relative_to(one.settings.state))] for part in parts
    ]
    most = one.settings.mail.max_message_bytes
    assert encoded(one.pdf(row)) > most - bindery._WORDS
    found: list[list[int]] = []
    rows: list[list[str]] = []
    for at, part in enumerate(parts, 1):
        assert part.name == f"{one.pdf(row).stem}-{at}of3.pdf"
        assert encoded(part) + bindery._WORDS <= most
        pages = text(part)
        found.append(listed(pages))
        numbered = [label for label in labels(part) if "-" in label]
        assert numbered == [f"{n}-1" for n in dict.fromkeys((x - 1) // 100 + 1 for x in found[-1])]
        assert labels(part)[: -len(numbered)] == [
            str(n) for n in range(1, len(pages) - len(numbered) + 1)
        ]
        marks = [(title, page) for level, title, page in bookmarks(part) if level]
        assert marks == [
            (page.splitlines()[0], at) for at, page in enumerate(pages) if is_bound(page)
        ]
        with pikepdf.open(part) as pdf:
            content = pdf.attachments["signers.csv"].get_file().read_bytes()
        head, *table = csv.reader(io.StringIO(content.decode(), newline=""))
        assert head == ["number", "name", "city", "country"]
        rows += table
        assert len(table) == len(found[-1])
    assert list(itertools.chain(*found)) == list(range(1, 1251))
    assert [line[0] for line in rows] == [str(n) for n in range(1, 1251)]
    assert "We ask you to stop" in text(parts[0])[0]
    assert one.seals() == [*map(str, range(1, 13)), "1"]
    assert one.is_tidy()

    one.mail = ""
    one.hide(43)
    row = await one.freeze()
    assert (row.state, row.problem) == ("held", "")
    assert paper.parts_of(one.pdf(row)) == []
    assert one.is_tidy()


async def test_one_volume_too_large_for_a_mail_says_what_to_change(
    fresh: Callable[..., Desk],
) -> None:
    one = fresh(wordy(250))
    size = one.pdf(await one.freeze()).stat().st_size
    one.mail = limit(size - sum(one.path(n).stat().st_size for n in (1, 2)) - 3_000)
    one.hide(242)
    row = await one.freeze()
    assert row.state == "held"
    assert "one volume of the list has" in row.problem
    assert "lower volume under [pdf]" in row.problem
    one.mail = ""
    assert (await one.freeze()).problem == ""
    assert one.is_tidy()


def test_only_parts_of_the_letter_count_as_its_parts(tmp_path: pathlib.Path) -> None:
    for name in ("a-1of2.pdf", "a-2of2.pdf", "a-of-course-of.pdf", "a-b-1of2.pdf", "ab-1of2.pdf"):
        (tmp_path / name).touch()
    found = paper.parts_of(tmp_path / "a.pdf")
    assert [path.name for path in found] == ["a-1of2.pdf", "a-2of2.pdf"]


# --- a full disk ----------------------------------------------------------------------------------


@contextlib.contextmanager
def small_disk(folder: pathlib.Path) -> Iterator[Callable[[int], None]]:
    """Give a folder a disk of its own; the function leaves so many bytes of it free."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    filler = folder / "filler"

    def leave(free: int) -> None:
        filler.unlink(missing_ok=True)
        left = os.statvfs(folder)
        filler.write_bytes(bytes(left.f_bavail * left.f_frsize - free))

    try:
        yield leave
    finally:
        subprocess.run(["umount", str(folder)], check=True)


async def test_a_full_disk_under_the_volumes_loses_nothing_that_is_sealed(
    fresh: Callable[..., Desk],
) -> None:
    one = fresh()
    with small_disk(one.settings.state / "volumes") as leave:
        await one.grow(250)
        before = one.marks()
        leave(2 * os.sysconf("SC_PAGE_SIZE"))
        one.reload(plan="at = [250, 750]")
        row = await one.grow(750)
        assert row.state == "held"
        assert "No space left on device" in row.problem
        assert "make room there" in row.problem
        assert one.seals() == ["1", "2", "3", "4"]
        (one.settings.state / "volumes" / "filler").unlink()
        assert one.is_tidy()
        before |= one.marks()
        assert list(before) == [1, 2, 3, 4]
        row = await one.freeze()
        assert row.problem == ""
        assert one.seals() == [str(number) for number in range(1, 8)]
        assert before.items() <= one.marks().items()
        assert listed(text(one.pdf(row))) == list(range(1, 751))
        assert one.is_tidy()


async def test_a_full_disk_under_the_letters_leaves_no_half_letter(
    fresh: Callable[..., Desk],
) -> None:
    one = fresh()
    with small_disk(one.settings.state / "letters") as leave:
        first = await one.grow(250)
        leave(one.pdf(first).stat().st_size)
        row = await one.grow(350)
        assert row.state == "held"
        assert "No space left on device" in row.problem
        assert one.seals() == ["1", "2", "3"]
        (one.settings.state / "letters" / "filler").unlink()
        assert one.is_tidy()
        assert digest(one.pdf(first)) == first.pdf_sha256
        row = await one.freeze()
        assert row.problem == ""
        assert one.seals() == ["1", "2", "3"]
        assert one.is_tidy()
