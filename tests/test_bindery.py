"""Volumes and what is bound from them: every signer in every script, on pages that can be read."""

# ruff: noqa: ANN401 - hands on any part of a form

from __future__ import annotations

import asyncio
import base64
import contextlib
import csv
import hashlib
import io
import os
import pathlib
import re
import subprocess
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pikepdf
import pypdfium2
import pytest

from deliverybot import errors, model, render, screen
from deliverybot.pdf import bindery, child, fonts, gate, press, shaping, volume

LIMITS = child.Limits(cpu=60, memory=4_000_000_000, time=100)
FORM = {"title": "Keep the night train", "withheld": "Name withheld", "size": 100}
FIELDS = ("name", "city", "country")
Person = tuple[str, str, str]
#: Somebody in each script that a list of signers is likely to meet, and some that try it.
PEOPLE: dict[str, Person] = {
    "Latin": ("Žofia O’Brien-Łęcka", "Saint-Étienne", "France"),
    "Vietnamese": ("Nguyễn Thị Ánh", "Huế", "Việt Nam"),
    "Cyrillic": ("Олена Щербенко", "Київ", "Україна"),
    "Greek": ("Ελένη Καραγιάννου", "Λάρισα", "Ελλάδα"),
    "Arabic": ("فاطمة السلاري", "الإسكندرية", "مصر"),
    "Hebrew": ("נועה בריני", "ירושלים", "ישראל"),
    "Chinese": ("梁丽霞", "上海", "中国"),
    "Japanese": ("松塚恵美 さくら", "さいたま", "日本"),
    "Korean": ("권가민", "부산", "대한민국"),
    "Devanagari": ("श्रीमती प्रिया हिन्दी", "लखनऊ", "भारत"),
    "Bengali": ("মৌমিতা চৌধুরী", "ঢাকা", "বাংলাদেশ"),
    "Tamil": ("இளங்கோ நடகப்பன்", "யாழ்ப்பாணம்", "இலங்கை"),
    "Thai": ("น้ำทิพย์ พงษ์กุล", "เชียงใหม่", "ประเทศไทย"),
    "Georgian": ("ზურაბ ჩხეაშვილი", "ქუთაისი", "საქართველო"),
    "Armenian": ("Տիգրան Սարոյան", "Երևան", "Հայաստան"),
    "Ethiopic": ("መስፍን በስሩ", "አሥመራ", "ኤርትራ"),
    "emoji": ("Femke 🌻 👩‍🌾 👍🏽 ❤️ 🇺🇦 1️⃣", "Plzeň", "Česko"),
    "brackets": (r"(a) \ [b] <b>x</b> {{ y }} % \051", "A\\", "(("),
    "marks": ("Z̧a̧l̀g̀o", "Q̃", "Ÿ"),
}


def signers(people: Iterable[Person], first: int = 1) -> list[model.ListedSigner]:
    return [
        model.ListedSigner(number=number, name=name, city=city, country=country)
        for number, (name, city, country) in enumerate(people, first)
    ]


def crowd(count: int) -> list[model.ListedSigner]:
    people = list(PEOPLE.values())
    return signers(
        (f"{people[n % len(people)][0]} {n}", *people[n % len(people)][1:])
        for n in range(1, count + 1)
    )


class Bench:
    """A folder in which lists are typeset and bound."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.made: list[bindery.Made] = []

    async def typeset(
        self, people: Iterable[model.ListedSigner], fields: Sequence[str] = FIELDS, **more: Any
    ) -> list[pathlib.Path]:
        form = volume.Form(**{**FORM, "fields": tuple(fields), **more})
        before = len(self.made)
        await bindery.typeset(
            people, form, folder=self.folder / "volumes", fonts=self.folder / "fonts",
            limits=LIMITS, made=self.made.append,
        )  # fmt: skip
        return [one.path for one in self.made[before:]]

    async def front(self) -> pathlib.Path:
        path = self.folder / "front.pdf"
        page = (
            "<html lang=en><title>A letter</title><h1>Dear Minister</h1>"
            "<p id=there><a href='#there'>Here</a> they are."
        )
        await press.press(page, folder=None, theme=render.THEME, out=path, limits=LIMITS)
        return path

    async def bind(self, files: Sequence[pathlib.Path], csv_head: str = "") -> bindery.Bound:
        return await bindery.bind(
            await self.front(), files, self.folder / "bound.pdf",
            fonts=self.folder / "fonts", limits=LIMITS, csv_head=csv_head,
        )  # fmt: skip

    async def bound(self, people: Iterable[model.ListedSigner], **more: Any) -> bindery.Bound:
        return await self.bind(await self.typeset(people, **more))


@pytest.fixture
def bench(tmp_path: pathlib.Path) -> Bench:
    return Bench(tmp_path)


def squeezed(text: str) -> str:
    """Leave what a reader marks as direction, and where it breaks lines, out of account."""
    return re.sub(r"[\s\u200e\u200f\u202a-\u202e\u2066-\u2069]", "", text)


def by_pdfium(path: pathlib.Path) -> list[str]:
    with contextlib.closing(pypdfium2.PdfDocument(path)) as document:
        return [page.get_textpage().get_text_range() for page in document]


def by_poppler(path: pathlib.Path, *options: str) -> str:
    done = subprocess.run(
        ["pdftotext", "-enc", "UTF-8", *options, path, "-"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    assert not done.stderr
    return done.stdout.decode()


# --- what stands on the pages ---------------------------------------------------------------------


@pytest.mark.parametrize("script", PEOPLE)
async def test_a_name_is_copied_from_the_page_as_it_was_written(bench: Bench, script: str) -> None:
    done = await bench.bound(signers([PEOPLE["Latin"], PEOPLE[script]]))
    read = {"pdfium": "".join(by_pdfium(done.path)[1:]), "poppler": by_poppler(done.path)}
    for reader, text in read.items():
        assert unicodedata.is_normalized("NFC", text)
        for field in PEOPLE[script]:
            assert squeezed(field) in squeezed(text), (reader, script)


@pytest.mark.parametrize(
    "name", ["علی\u200cرضا Smith", "Ada می\u200cخواهم 12", "אבי 👩\u200d🌾 Ada", "ab\u202eאב 1"]
)
def test_no_letter_of_a_name_that_runs_both_ways_is_lost(name: str) -> None:
    runs = shaping.Shaper(fonts.at_hand()).runs(name)
    said = "".join(run.actual or "".join(glyph.text for glyph in run.glyphs) for run in runs)
    assert sorted(said) == sorted(name)


async def test_a_line_is_number_name_and_place_in_this_order(bench: Bench) -> None:
    scripts = ["Latin", "Arabic", "Hebrew", "Thai"]
    done = await bench.bound(signers(PEOPLE[script] for script in scripts))
    lines = re.sub(r"[\u200e\u200f\u202a-\u202e\u2066-\u2069]", "", by_poppler(done.path))
    for number, script in enumerate(scripts, 1):
        assert f"{number} {', '.join(PEOPLE[script])}" in lines.replace("\n", " ")


async def test_numbers_stay_in_their_column_beside_names_from_right_to_left(bench: Bench) -> None:
    done = await bench.bound(signers([PEOPLE["Arabic"], PEOPLE["Hebrew"], PEOPLE["Latin"]]))
    words = by_poppler(done.path, "-f", "2", "-bbox")
    places = {
        word: float(left) for left, word in re.findall(r'xMin="([\d.]+)".*?>([123])</word>', words)
    }
    assert len(places) == 3
    assert max(places.values()) - min(places.values()) < 0.1


async def test_each_page_says_what_it_holds(bench: Bench) -> None:
    files = await bench.typeset(crowd(250))
    done = await bench.bind(files)
    pages = by_pdfium(done.path)[1:]
    assert done.pages == 1 + len(pages) == 4
    for page, span, label in zip(
        pages, ("1–100", "101–200", "201–250"), ("1-1", "2-1", "3-1"), strict=True
    ):
        assert "Keep the night train" in page
        assert span in page
        assert label in page


async def test_a_page_with_one_signer_says_one_number(bench: Bench) -> None:
    done = await bench.bound(crowd(101))
    head = by_pdfium(done.path)[2].splitlines()[0]
    assert head == "101"


async def test_a_sorted_page_says_the_numbers_of_its_volume(bench: Bench) -> None:
    done = await bench.bound(crowd(600), order="name", size=1000)
    pages = by_pdfium(done.path)[1:]
    assert len(pages) > 1
    assert {page.splitlines()[0] for page in pages} == {"1–600"}


async def test_a_withheld_signer_keeps_the_number_and_shows_no_place(bench: Bench) -> None:
    people = signers([PEOPLE["Latin"], ("", "Leeds", "England"), PEOPLE["Greek"]])
    text = by_poppler((await bench.bound(people)).path)
    assert "2 Name withheld" in text
    assert "Leeds" not in text


async def test_a_list_may_show_places_alone(bench: Bench) -> None:
    people = [
        model.ListedSigner(number=1, name="", city="Leeds"),
        model.ListedSigner(number=2, name=""),
        model.ListedSigner(number=3, name="", city="Graz", country="Austria"),
    ]
    done = await bench.bound(people, fields=("city", "country"))
    text = by_poppler(done.path)
    assert all(line in text for line in ("1 Leeds\n", "2 Name withheld\n", "3 Graz, Austria\n"))


async def test_what_an_older_ledger_may_hold_is_cleaned(bench: Bench) -> None:
    people = signers([("Ada\tof\r\nLeeds\x00\ud800", "\u2028", ""), ("\r", "Graz", "")])
    text = by_poppler((await bench.bound(people, csv=True)).path)
    assert "1 Ada of Leeds\n" in text
    assert "2 Name withheld\n" in text
    assert "Graz" not in text


@pytest.mark.parametrize(
    "name",
    [
        "W" * 255,
        "漢" * 255,
        "ab " * 85,
        "م" * 255,
        "हि" * 127,
        "🌻" * 255,
        "﷽" * 255,
        "a\u0301x" * 85,
    ],
    ids=["wide", "Han", "words", "Arabic", "Devanagari", "emoji", "widest", "marks"],
)
async def test_a_long_name_is_whole_and_stays_in_its_column(bench: Bench, name: str) -> None:
    name = screen.clean(name)
    done = await bench.bound(signers([(name, "Ort", "Land"), ("Ada", "Ort", "Land")]))
    with contextlib.closing(pypdfium2.PdfDocument(done.path)) as document:
        assert len(document) == 2
        page = document[1]
        boxes = [item.get_bounds() for item in page.get_objects()]
        # Nothing reaches the second column, but for the page's own head and foot.
        third = page.get_width() / 3
        body = [box for box in boxes if 50 < box[1] < page.get_height() - 60]
        assert max(box[2] for box in body) < third + 20
        text = squeezed(page.get_textpage().get_text_range())
    assert "2Ada,Ort,Land" in text
    if name[0] == "﷽":
        assert "…" in text, "the widest letter of all is cut after forty lines"
    else:
        assert text.count(name[0]) >= name.count(name[0])


async def test_more_emoji_than_one_font_holds(bench: Bench) -> None:
    emoji = "".join(map(chr, [*range(0x1F32D, 0x1F394), *range(0x1F3A0, 0x1F3CB)]))
    emoji += "".join(map(chr, [*range(0x1F400, 0x1F4FD), *range(0x1F600, 0x1F650)]))
    people = signers([(emoji[at : at + 255], "", "") for at in range(0, 400, 10)])
    files = await bench.typeset(people, title=f"Night trains {emoji[:300]}")
    fonts_ = [font for font in volume.read(files[0]).fonts if font.kind == "emoji"]
    assert len(set(emoji)) == 479
    assert sorted(len(font.glyphs) for font in fonts_) == [229, 250], "each in one font"
    text = squeezed(by_poppler((await bench.bind(files)).path))
    assert all(char in text for char in emoji)


@pytest.mark.parametrize(
    ("order", "wanted"),
    [("number", [1, 2, 3, 4, 5]), ("name", [5, 3, 1, 2, 4]), ("place", [3, 2, 1, 5, 4])],
)
async def test_the_order_within_a_volume(bench: Bench, order: str, wanted: list[int]) -> None:
    people = [
        ("Zoë", "Leeds", "England"), ("éa", "Aix", "France"), ("Łukasz", "Bern", "Austria"),
        ("", "", ""), ("Ada", "Graz", "France"),
    ]  # fmt: skip
    if order != "number":
        wanted = [1 + n for n in sorted(range(5), key=lambda n: screen.sorting(
            [field for field in people[n] if field], order))]  # fmt: skip
    done = await bench.bound(signers(people), order=order)
    numbers = re.findall(
        r"^ *(\d)(?= )", by_poppler(done.path).partition("train\n")[2], re.MULTILINE
    )
    assert list(map(int, numbers)) == wanted
    assert wanted[-1] == (5 if order == "number" else 4)


@pytest.mark.parametrize("paper", ["A4", "Letter"])
async def test_the_paper_is_the_one_asked_for(bench: Bench, paper: str) -> None:
    done = await bench.bound(crowd(3), paper=paper)
    with pikepdf.open(done.path) as pdf:
        box = [float(value) for value in pdf.pages[1].MediaBox]
    assert box[2:] == pytest.approx(volume.PAPERS[paper], abs=0.01)


# --- the PDF as a whole ---------------------------------------------------------------------------


async def test_same_signers_same_bytes_whatever_was_made_before(tmp_path: pathlib.Path) -> None:
    one, two = Bench(tmp_path / "one"), Bench(tmp_path / "two")
    for bench in (one, two):
        bench.folder.mkdir()
    people = crowd(250)
    await one.typeset(people)
    await two.typeset(people[200:])
    await two.typeset(people[100:200])
    await two.typeset(people[:100])
    assert {made.sha256 for made in one.made} == {made.sha256 for made in two.made}
    first = await one.bind(sorted(made.path for made in one.made))
    second = await two.bind(sorted(made.path for made in two.made))
    assert first.sha256 == second.sha256 == hashlib.sha256(first.path.read_bytes()).hexdigest()
    assert first.size == first.path.stat().st_size


async def test_a_bound_letter_has_bookmarks_labels_and_its_title(bench: Bench) -> None:
    done = await bench.bound(crowd(250))
    with pikepdf.open(done.path) as pdf:
        assert [page.label for page in pdf.pages] == ["1", "1-1", "2-1", "3-1"]
        assert str(pdf.docinfo.Title) == "A letter"
        with pdf.open_outline() as outline:
            told = [
                (item.title, [child_.title for child_ in item.children]) for item in outline.root
            ]
    assert told == [
        ("Dear Minister", []),
        ("1–250", ["1–100", "101–200", "201–250"]),
    ]


async def test_fonts_are_embedded_once_a_face(bench: Bench) -> None:
    done = await bench.bound(crowd(500))
    with pikepdf.open(done.path) as pdf:
        assert not pdf.check_pdf_syntax()
        fonts_ = {
            font.objgen: font for page in pdf.pages[1:] for font in page.Resources.Font.values()
        }
        assert len(fonts_) < 40
        for font in fonts_.values():
            assert "/ToUnicode" in font
            if font.Subtype == "/Type3":
                continue
            inner = font.DescendantFonts[0] if font.Subtype == "/Type0" else font
            assert {"/FontFile2", "/FontFile3"} & set(inner.FontDescriptor.keys())


async def test_the_list_is_attached_as_csv_that_no_spreadsheet_runs(bench: Bench) -> None:
    people = [*crowd(120), model.ListedSigner(number=121, name='=1+"x",2', city="", country="Å")]
    people += [model.ListedSigner(number=122, name="", city="Leeds", country="England")]
    files = await bench.typeset(people, csv=True)
    done = await bench.bind(files, "number,name,city,country\r\n")
    with pikepdf.open(done.path) as pdf:
        data = pdf.attachments["signers.csv"].get_file().read_bytes()
        size = int(pdf.attachments["signers.csv"].obj.EF.F.Params.Size)
        packed = pdf.attachments["signers.csv"].obj.EF.F.read_raw_bytes()
        assert pdf.pages[0].Annots[0].Dest == "there"
        assert pdf.Root.Names.Dests.Names[0] == "there", "links within the letter still lead there"
    assert zlib.decompress(packed) == data
    assert size == len(data)
    rows = list(csv.reader(io.StringIO(data.decode(), newline="")))
    assert rows[0] == ["number", "name", "city", "country"]
    assert [int(row[0]) for row in rows[1:]] == list(range(1, 123))
    assert rows[5][1:] == [people[4].name, people[4].city, people[4].country]
    assert rows[121] == ["121", '\'=1+"x",2', "", "Å"]
    assert rows[122] == ["122", "", "", ""]


async def test_parts_hold_each_volume_once_and_fit(bench: Bench) -> None:
    files = await bench.typeset(crowd(1000))
    whole = await bench.bind(files)
    front = (bench.folder / "front.pdf").stat().st_size
    most = whole.size - sum(volume.read(path).weight for path in files) // 2
    shares = bindery.parts(files, whole, front, most)
    assert [path for share in shares for path in share] == files
    assert len(shares) > 1
    for share in shares:
        assert (await bench.bind(share)).size <= most
    with pytest.raises(errors.LetterError, match="one volume of the list has"):
        bindery.parts(files, whole, front, front + 1000)


def test_what_fits_into_a_mail() -> None:
    room = bindery.room(20_000_000)
    assert len(base64.encodebytes(b"x" * room)) * 78 / 77 < 20_000_000


# --- what is refused ------------------------------------------------------------------------------


def undrawable() -> str:
    """A letter that no font on this machine has."""
    case = fonts.at_hand()
    for code in [*range(0x11000, 0x1E000), *range(0x2D00, 0xABFF)]:
        if unicodedata.category(chr(code)) == "Lo" and case.face(chr(code)) is None:
            return chr(code)
    pytest.skip("the fonts here have every letter")


async def test_a_name_that_no_font_can_draw_is_refused_before_it_is_set(bench: Bench) -> None:
    letter = undrawable()
    with pytest.raises(errors.LetterError) as refused:
        await bench.typeset(signers([("Ada", "", ""), (f"Bo {letter}", "Leeds", "")]))
    (fault,) = refused.value.faults
    assert f"U+{ord(letter):04X}" in fault.what
    assert "Bo" in fault.what
    assert fault.hint.startswith("install fonts-")
    assert not bench.made


def listing(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """Let fc-list name these fonts: file, family, format, outline, colour, code points."""
    script = tmp_path / "bin" / "fc-list"
    script.parent.mkdir(exist_ok=True)
    named = []
    for line in lines:
        file, family, kind, drawn, charset = line.split("|")
        named.append(f"{file}\t0\t{family}\t1\t{kind}\t{drawn}\t{charset}\n")
    (tmp_path / "fonts.txt").write_text("".join(named))
    script.write_text(f"#!/bin/sh\ncat '{tmp_path}/fonts.txt'\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")


def test_fonts_that_cannot_be_drawn_from_are_passed_over(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing(
        tmp_path, monkeypatch,
        "a.ttf|Plain|TrueType|TrueFalse|20-7e",
        "b.pcf|Bitmap|PCF|FalseFalse|20-7e 1f3ff",
        "c.ttf|Noto Color Emoji|TrueType|TrueTrue|1f300-1f5ff",
        "d.ttf|Other Emoji|TrueType|FalseTrue|1f300-1f5ff",
    )  # fmt: skip
    case = fonts.at_hand()
    assert case.main.family == "Plain"
    assert case.emoji is None
    assert case.missing("a\U0001f3ff") == {"\U0001f3ff"}
    listing(
        tmp_path,
        monkeypatch,
        "a|Plain|TrueType|True|20-7e",
        "e|Noto Color Emoji|TrueType|FalseTrue|1f300",
    )
    assert fonts.at_hand().missing("a\U0001f300") == set()


async def test_a_font_that_has_less_than_fontconfig_says_is_found_out(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = fonts.at_hand().main.file
    listing(bench.folder, monkeypatch, f"{file}|Noto Sans|TrueType|TrueFalse|20-7e 2013 2026 4e00")
    with pytest.raises(errors.LetterError, match=r"U\+4E00 .*, as in “Ada 一"):
        await bench.typeset(signers([("Ada 一", "Leeds", "")]))
    assert not bench.made
    with pytest.raises(errors.LetterError, match=r"U\+2019"):
        await bench.typeset(signers([("Ada", "Leeds", "")]), group="’")


async def test_a_damaged_volume_is_refused_and_named(bench: Bench) -> None:
    (path,) = await bench.typeset(crowd(50))
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)
    with pytest.raises(errors.LetterError, match=f"{path.name} is damaged"):
        await bench.bind([path])
    path.write_bytes(content[: len(content) // 8])
    with pytest.raises(errors.LetterError, match=f"{path.name} is damaged"):
        await bench.bind([path])
    assert not (bench.folder / "bound.pdf").exists()


async def test_a_missing_or_damaged_font_is_refused_and_named(bench: Bench) -> None:
    files = await bench.typeset(crowd(20))
    for font in sorted((bench.folder / "fonts").iterdir()):
        content = font.read_bytes()
        font.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(errors.LetterError, match=f"the font {font.name}.* missing or damaged"):
            await bench.bind(files)
        font.unlink()
        with pytest.raises(errors.LetterError, match=f"the font {font.name}.* missing or damaged"):
            await bench.bind(files)
        font.write_bytes(content)
    assert (await bench.bind(files)).pages == 2


async def test_signers_that_cannot_be_read_end_the_work_at_once(bench: Bench) -> None:
    def failing() -> Iterator[model.ListedSigner]:
        yield from crowd(150)
        raise errors.LedgerError("the database is gone")

    with pytest.raises(errors.LedgerError, match="the database is gone"):
        await asyncio.wait_for(bench.typeset(failing()), timeout=60)
    assert [made.last for made in bench.made] in ([], [100]), "none that is not full"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"BT (\x011\x02A)' (2 B)Tj ET", None),
        (b"BT (1\x02A)'-0.0 Ts ET", "unknown operator"),
        (b"BT (1\x02A)Tj 1.2.3 TL nonsense ET", "unknown operator"),
        (b"BT (1\x02A", "cannot be read"),
    ],
)
def test_a_page_that_cannot_be_read_is_refused(content: bytes, said: str | None) -> None:
    if said is None:
        assert gate.numbers(content) == [1]
        return
    with pytest.raises(errors.LetterError, match=said):
        gate.numbers(content)


@pytest.mark.parametrize("found", [[1, 2, 4], [1, 2, 3, 3], [], [1, 2, 3, 4]])
def test_a_volume_without_each_number_once_is_refused(found: list[int]) -> None:
    with pytest.raises(errors.LetterError, match="volume 1 has"):
        gate.complete(found, range(1, 4), "volume 1")
    gate.complete([2, 1, 3], range(1, 4), "volume 1")


async def test_a_finished_pdf_with_another_page_in_it_is_refused(bench: Bench) -> None:
    files = await bench.typeset(crowd(250))
    done = await bench.bind(files)
    volumes = [volume.read(path) for path in files]
    assert gate.bound(done.path, volumes) == done.pages
    with pytest.raises(errors.LetterError, match="volume 3 does not follow volume 1"):
        gate.bound(done.path, [volumes[0], volumes[2]])
    for number, change in enumerate((swap, drop, alter)):
        wrong = bench.folder / f"wrong-{number}.pdf"
        with pikepdf.open(done.path) as pdf:
            change(pdf)
            pdf.save(wrong, compress_streams=False)
        with pytest.raises(errors.LetterError):
            gate.bound(wrong, volumes)


def swap(pdf: pikepdf.Pdf) -> None:
    pdf.pages[1].Contents, pdf.pages[2].Contents = pdf.pages[2].Contents, pdf.pages[1].Contents


def drop(pdf: pikepdf.Pdf) -> None:
    del pdf.pages[2]


def alter(pdf: pikepdf.Pdf) -> None:
    pdf.pages[3].Contents.write(pdf.pages[3].Contents.read_bytes().replace(b"201", b"202"))


NAMES = ("Ada, Leeds", "נועה, חיפה", "نور, حيفا", "7 Bo, 12", "Zoë נועה 3", "123 نور", "𞤀𞤣𞤢")


async def listed(tmp_path: pathlib.Path, count: int, lost: int = 0) -> list[str]:
    """What the press finds wrong with a list in the letter that lacks a number."""
    lines = (f"{n}\u2002{NAMES[n % len(NAMES)]}" for n in range(1, count + 1) if n != lost)
    page = "<p style='white-space: pre-line'>" + "\n".join(lines)
    done = await press.press(
        page, folder=None, theme=render.THEME, out=tmp_path / "letter.pdf", limits=LIMITS,
        listed=count,
    )  # fmt: skip
    return [fault.what for fault in done.faults]


async def test_a_list_in_the_letter_is_counted_too(tmp_path: pathlib.Path) -> None:
    assert await listed(tmp_path, 140) == []
    for lost in (1, 9, 79, 140):
        told = [f"number {lost} of 140 signers is not on its pages"]
        assert await listed(tmp_path, 140, lost) == told


@pytest.mark.parametrize("way", ["ltr", "rtl"])
@pytest.mark.parametrize("numbers", [range(1, 41), range(40, 0, -1)], ids=["rising", "sorted"])
async def test_a_list_in_the_letter_is_counted_in_each_script_and_order(
    tmp_path: pathlib.Path, way: str, numbers: Iterable[int]
) -> None:
    people = list(PEOPLE.values())
    lines = [f"{n}\u2002\u2068{people[n % len(people)][0]}\u2069" for n in numbers]
    page = f"<html dir={way}><p>تحية</p><p style='white-space: pre-line'>" + "\n".join(lines)
    done = await press.press(
        page, folder=None, theme=render.THEME, out=tmp_path / "letter.pdf", limits=LIMITS, listed=40
    )
    assert done.faults == []
