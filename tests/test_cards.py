"""Milestone cards: real pages, real fonts, real pictures."""

# ruff: noqa: ANN401 - factories hand on any field

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
import hashlib
import http.server
import io
import pathlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import PIL.Image
import pytest

import build
from deliverybot import campaign as campaigns
from deliverybot import cards, config, errors, ledger, model, posts, render, steps
from deliverybot.ledger import correspondence, records
from deliverybot.pdf import child, press

TARGET = model.Target(
    id="ceo", name="Jordan Vale", email="ceo@cloud.example", role="", organisation="", salutation=""
)
#: Titles in scripts that stand for their kinds: plain, joined, right to left, stacked, wide.
TITLES = {
    "en": "Keep the night trains running",
    "ar": "أوقفوا بيع تقنيات التعرف على الوجوه",
    "he": "עצרו את מכירת זיהוי הפנים",
    "zh": "请停止出售人脸识别技术",
    "hi": "चेहरा पहचानने की तकनीक बेचना बंद करें",
    "th": "หยุดขายเทคโนโลยีจดจำใบหน้า",
    "de": "Rettet die Bienen 🐝 und die Wiesen 🌼",
}
LONGEST = {
    "one word": "W" * 255,
    "words": "every library open on Sundays " * 8 + "for all of us.",
    "chinese": "请停止出售人脸识别技术" * 23,
    "thai": "หยุดขายเทคโนโลยี" * 15,
    "emoji": "🐝" * 255,
}
#: A private character that no font draws.
NOWHERE = "\ue123"


def facts(title: str = "Stop every sale", **changes: Any) -> render.Facts:
    count = changes.pop("count", 24_845)
    day = dt.datetime(2026, 11, 23, 15, tzinfo=dt.UTC)
    known: dict[str, Any] = {
        "title": title,
        "ask": "Stop",
        "url": "https://campaigns.example/p",
        "goal": 50_000,
        "sender_name": "Example Campaigns",
        "sender_address": "letters@campaigns.example",
        "target": TARGET,
        "targets": (TARGET,),
        "figures": model.Figures(milestone=count, signatures=count, listed=count, as_of=day),
        "date": day.date(),
    }
    return render.Facts(**(known | changes))


def page(one: render.Facts, folder: pathlib.Path | None = None, theme: str = "light") -> str:
    card = render.card(folder, one, theme)
    assert card.faults == []
    return card.html


async def paint(html: str, folder: pathlib.Path | None = None) -> press.Painted:
    return await press.paint(
        html, folder=folder, theme=render.THEME, limits=child.Limits(cpu=60, time=100)
    )


async def painted(one: render.Facts, **more: Any) -> PIL.Image.Image:
    """Return the picture of a card that has no faults."""
    done = await paint(page(one, **more), more.get("folder"))
    assert done.faults == []
    assert len(done.png) < 1_000_000
    image = PIL.Image.open(io.BytesIO(done.png))
    assert (image.format, image.size, image.mode) == ("PNG", (1200, 675), "RGB")
    return image


def folder(tmp_path: pathlib.Path, **files: str) -> pathlib.Path:
    place = tmp_path / "letter"
    place.mkdir(exist_ok=True)
    for name, text in files.items():
        (place / name.replace("_", ".")).write_text(text)
    return place


def whats(faults: list[errors.Fault]) -> str:
    return "\n".join(str(fault) for fault in faults)


def ink(image: PIL.Image.Image, box: tuple[int, int, int, int]) -> int:
    """How many pixels of a part of the picture differ from its corner."""
    part = image.crop(box)
    ground = image.getpixel((2, 2))
    return sum(pixel != ground for pixel in part.get_flattened_data())


# --- what is on it ---------------------------------------------------------------------------


@pytest.mark.parametrize("language", TITLES)
async def test_every_script_is_drawn_and_nothing_touches_the_edge(language: str) -> None:
    image = await painted(facts(TITLES[language], language=language))
    assert ink(image, (72, 60, 1128, 351)) > 5_000  # the title
    edges = [(0, 0, 1200, 50), (0, 640, 1200, 675), (0, 0, 60, 675), (1140, 0, 1200, 675)]
    assert [ink(image, edge) for edge in edges] == [0, 0, 0, 0]


async def test_the_bar_is_as_long_as_the_share_and_begins_where_reading_begins() -> None:
    blue = (0x1F, 0x5F, 0xBF)
    for language, filled in (("en", range(100, 590)), ("ar", range(610, 1100))):
        image = await painted(facts(language=language, count=25_000))
        rows = {y for y in range(675) if image.getpixel((filled[0], y)) == blue}
        middle = sorted(rows)[len(rows) // 2]
        found = [x for x in range(1200) if image.getpixel((x, middle)) == blue]
        assert set(filled) <= set(found)
        assert abs(len(found) - 528) <= 2  # half of 1200 less the margins of 72


@pytest.mark.parametrize(
    ("count", "goal", "has"),
    [
        (49_999, 50_000, ["width: 99%", "99%", "50,000"]),
        (50_000, 50_000, ["bar full", "width: 100%", "100%"]),
        (61_000, 50_000, ["bar full", "width: 100%", "122%"]),
        (0, 50_000, ["width: 0%"]),
    ],
)
def test_the_share_is_rounded_down_and_the_bar_ends_at_the_goal(
    count: int, goal: int, has: list[str]
) -> None:
    html = page(facts(count=count, goal=goal))
    assert [part for part in has if part not in html] == []
    assert ("bar full" in html) == (count >= goal)


def test_without_a_goal_there_is_no_bar() -> None:
    card = render.card(None, facts(goal=None), "light")
    assert 'class="bar' not in card.html
    assert card.alt == "Stop every sale\nSignatures: 24,845\nExample Campaigns"


@pytest.mark.parametrize(
    ("language", "title", "way"),
    [
        ("en", "Stop the sale!", "ltr"),
        ("ar", "12 Stop the sale!", "ltr"),
        ("en", "(أوقفوا) now", "rtl"),
        ("he", "עצרו!", "rtl"),
        ("ar", "2026!", "rtl"),
        ("en", "2026!", "ltr"),
    ],
)
def test_words_are_read_their_own_way(language: str, title: str, way: str) -> None:
    """Else a full stop or a bracket stands at the wrong end."""
    html = page(facts(title, language=language, sender_name=title))
    assert f'<h1 class="title" dir="{way}">' in html
    assert f'<p class="organisation" dir="{way}">' in html


@pytest.mark.parametrize(
    ("language", "lines"),
    [
        ("en", ["Signatures: 24,845", "Goal: 50,000 (49%)"]),
        ("de", ["Unterschriften: 24.845", "Ziel: 50.000 (49\xa0%)"]),
        ("hi", ["हस्ताक्षर: 24,845", "लक्ष्य: 50,000 (49%)"]),
        ("zh-TW", ["簽名: 24,845", "目標: 50,000 (49%)"]),
        ("am", ["Signatures: 24,845", "Goal: 50,000 (49%)"]),
    ],
)
def test_the_alt_text_says_what_the_card_shows(language: str, lines: list[str]) -> None:
    alt = render.card(None, facts(language=language), "light").alt
    assert alt.split("\n") == ["Stop every sale", *lines, "Example Campaigns"]


async def test_light_is_dark_on_light_and_dark_the_other_way_round() -> None:
    for theme, low, high in (("light", 200, 256), ("dark", 0, 60)):
        image = await painted(facts(), theme=theme)
        for corner in ((0, 0), (1199, 0), (0, 674), (1199, 674), (600, 40)):
            pixel = image.getpixel(corner)
            assert isinstance(pixel, tuple)
            assert low <= min(pixel) <= max(pixel) < high


@pytest.mark.parametrize("name", LONGEST)
async def test_the_longest_title_fits_and_stays_off_the_figures(name: str) -> None:
    image = await painted(facts(LONGEST[name], count=1_234_567_890, goal=2_000_000_000))
    assert ink(image, (0, 341, 1200, 354)) == 0  # between the title and the figures
    assert ink(image, (0, 640, 1200, 675)) == 0


async def test_a_title_that_can_never_fit_is_a_fault() -> None:
    done = await paint(page(facts("WWWW " * 180)))
    assert done.png == b""
    assert "the card's words do not fit: they need" in whats(done.faults)
    assert "shorten the title" in whats(done.faults)


# --- the same bytes --------------------------------------------------------------------------

ANOTHER = """
import asyncio, hashlib, pathlib, sys
from deliverybot import render
from deliverybot.pdf import child, press
html = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")
done = asyncio.run(press.paint(html, folder=None, theme=render.THEME, limits=child.Limits()))
print(hashlib.sha256(done.png).hexdigest())
"""


async def test_two_processes_paint_the_same_bytes(tmp_path: pathlib.Path) -> None:
    html = page(facts("Rettet 🐝 — أوقفوا 请停止 " * 3, language="ar"))
    file = tmp_path / "card.html"
    file.write_text(html, encoding="utf-8")
    here = hashlib.sha256((await paint(html)).png).hexdigest()
    other = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-P", "-c", ANOTHER, str(file)],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert other.stdout.strip() == here


async def test_what_is_shown_decides_on_the_bytes() -> None:
    seen = {
        hashlib.sha256((await paint(page(one, theme=theme))).png).hexdigest()
        for one in (facts(), facts(count=24_846), facts(sender_name="Another"))
        for theme in ("light", "dark")
    }
    assert len(seen) == 6


# --- hostile words ---------------------------------------------------------------------------

MARKUP = '</h1><style>*{display:none}</style><img src="http://x.test/"><script>&amp; x'


async def test_markup_in_a_title_is_words(tmp_path: pathlib.Path) -> None:
    html = page(facts(MARKUP, sender_name=MARKUP))
    assert html.count("<style>") == 1  # the size of the page
    assert "<img" not in html
    assert "<script" not in html
    image = await painted(facts(MARKUP, sender_name=MARKUP))
    assert ink(image, (72, 60, 1128, 351)) > 5_000
    assert render.card(None, facts(MARKUP), "light").alt.startswith(MARKUP)


def test_direction_marks_and_controls_get_neither_into_the_picture_nor_the_alt_text() -> None:
    card = render.card(None, facts("Stop\u202e elas \u2066x\x07\nnow"), "light")
    for text in (card.html, card.alt):
        assert not set(text) & set("\u202e\u2066\x07")
    assert card.alt.startswith("Stop elas x now\n")


async def test_a_character_that_no_font_has_is_named() -> None:
    done = await paint(page(facts(f"Stop {NOWHERE} now")))
    assert done.png == b""
    assert "no font here can draw" in whats(done.faults)
    assert "U+E123" in whats(done.faults)


# --- a card of one's own ---------------------------------------------------------------------

OWN = """<!DOCTYPE html>
<html lang="{{ language }}"><head><meta charset="utf-8"></head>
<body><h1>{{ signatures|number }} of {{ goal|number }}</h1>{{ bar }}</body></html>
"""


async def test_a_folders_own_card_style_and_alt_text_go_before_the_themes(
    tmp_path: pathlib.Path,
) -> None:
    place = folder(
        tmp_path, card_html=OWN, card_css="@page { background: #ff0000; }",
        card_txt="{{ percent }} of the way\n",
    )  # fmt: skip
    assert render.card(place, facts(), "light").alt == "49% of the way"
    image = await painted(facts(), folder=place)
    assert image.getpixel((3, 3)) == (255, 0, 0)


@pytest.mark.parametrize(
    ("files", "what"),
    [
        ({"card_html": "{{ signers }}"}, "nothing is known as 'signers'"),
        ({"card_html": "{{ names('x') }}"}, "nothing is known as 'names'"),
        ({"card_html": "<img src='https://x.test/a.png'>"}, "is not a file of the letter's folder"),
        ({"card_html": "<img src='a.png'>"}, "the file 'a.png' is missing"),
        ({"card_html": "<p style='color: {{ title }}'>"}, "a value stands inside a style"),
        ({"card_html": "<script>1</script>"}, "<script> is not allowed"),
        ({"card_html": "{% for x in targets %}"}, ""),
        ({"card_css": "p { background: url(/etc/passwd) }"}, "is not a file of the letter's"),
        ({"card_txt": ""}, "the alt text is empty"),
        ({"card_html": " \n"}, "the file is empty"),
        ({"card_txt": "x" * 1001}, "alt text has 1,001 characters; 1,000 are the most"),
        ({"card_txt": "{{ bar }}"}, "nothing is known as 'bar'"),
        ({"card_html": "{{ milestone|nothing }}"}, "the filter 'nothing' is not known"),
    ],
)
def test_a_template_at_fault_is_named(
    tmp_path: pathlib.Path, files: dict[str, str], what: str
) -> None:
    found = render.card(folder(tmp_path, **files), facts(), "light").faults
    assert any(fault.level == "fault" for fault in found)
    assert what in whats(found)


async def test_another_size_is_refused(tmp_path: pathlib.Path) -> None:
    html = page(facts()).replace("size: 1200px 675px", "size: 9000px 9000px")
    done = await paint(html)
    assert done.png == b""
    assert "the card is 9000 pixels wide and 9000 high" in whats(done.faults)


async def test_a_picture_that_is_too_large_is_refused(tmp_path: pathlib.Path) -> None:
    place = folder(tmp_path, card_css="@page { background: url(noise.png) }")
    noise = PIL.Image.effect_noise((1200, 675), 200).convert("RGB")
    channels = [PIL.Image.effect_noise((1200, 675), 200) for _ in range(3)]
    noise = PIL.Image.merge("RGB", channels)
    noise.save(place / "noise.png")
    done = await paint(page(facts(), place), place)
    assert done.png == b""
    assert "1,000,000 are the most" in whats(done.faults)


@contextlib.contextmanager
def listening() -> Iterator[tuple[str, list[str]]]:
    """A web server that writes down who asks."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()


async def test_nothing_outside_the_folder_is_read(tmp_path: pathlib.Path) -> None:
    """Past the check of templates, the process itself gives nothing out."""
    secret = tmp_path / "secret.png"
    PIL.Image.new("RGB", (9, 9), "red").save(secret)
    place = folder(tmp_path)
    (place / "link.png").symlink_to(secret)
    with listening() as (url, asked):
        for source in (f"{url}/a.png", secret.as_uri(), "../secret.png", "link.png", "//x.test/a"):
            html = page(facts(), place).replace("<h1", f'<img src="{source}"><h1')
            done = await paint(html, place)
            assert done.png == b""
            assert "is no file of its folder" in whats(done.faults), source
        assert asked == []


# --- frozen with its post --------------------------------------------------------------------


@dataclasses.dataclass
class Desk:
    """A campaign that has just crossed and posts with a card."""

    book: ledger.Ledger
    folder: pathlib.Path
    settings: config.Settings
    plan: campaigns.Campaign
    clock: build.Clock

    def works(self) -> steps.Works:
        """The steps of a daemon that has just started."""
        return build.works(self.book, [self.plan], self.settings, self.clock)

    async def write(self, works: steps.Works | None = None) -> records.Post:
        works = works or self.works()
        await works._write(self.row(), works._present())
        return self.row()

    def row(self) -> records.Post:
        return self.book.posts.select()[-1]

    def put(self, name: str, text: str) -> None:
        (self.folder / "letters" / "faces" / name).write_text(text, encoding="utf-8")


@pytest.fixture
def desk(tmp_path: pathlib.Path) -> Iterator[Callable[..., Desk]]:
    with contextlib.ExitStack() as stack:

        def make(**plan: Any) -> Desk:
            options = build.settings(tmp_path)
            book = stack.enter_context(contextlib.closing(ledger.open_ledger(options.database_url)))
            known: dict[str, Any] = {"post": "card = true", "goal": 400}
            one = build.campaign(tmp_path, **(known | plan))
            build.grow(book, one, 100)
            return Desk(book=book, folder=tmp_path, settings=options, plan=one, clock=build.Clock())

        yield make


async def test_text_picture_alt_text_and_language_are_frozen(desk: Callable[..., Desk]) -> None:
    one = desk()
    row = await one.write()
    png = one.book.news.picture(row.image)
    assert (row.state, row.problem) == ("held", "")
    assert PIL.Image.open(io.BytesIO(png)).size == (1200, 675)
    assert hashlib.sha256(png).hexdigest() == row.image
    assert row.alt.split("\n") == [
        "Stop selling face recognition", "Signatures: 100", "Goal: 400 (25%)", "Example Campaigns",
    ]  # fmt: skip
    assert row.language == "en"
    assert row.digest == posts.digest("news", row.text, row.image, row.alt)


async def test_nothing_is_painted_again_while_nothing_changes(
    desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = desk()
    row = await one.write()
    one.book.posts.approve(row, who="mira", now=one.clock())
    monkeypatch.setattr(cards, "make", None)
    assert (await one.write()).state == "approved"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("card.html", OWN),
        ("card.css", "@page { background: #fff0f0; }"),
        ("card.txt", "{{ signatures }} of {{ goal }}"),
    ],
)
async def test_another_card_takes_a_persons_approval_back(
    desk: Callable[..., Desk], name: str, text: str
) -> None:
    one = desk()
    old = await one.write()
    one.book.posts.approve(old, who="mira", now=one.clock())
    one.put(name, text)
    new = await one.write()
    assert (new.state, new.approved_digest) == ("held", "")
    assert (new.text, new.digest != old.digest) == (old.text, True)


async def test_the_card_of_a_campaign_that_wants_none_any_more_goes(
    desk: Callable[..., Desk],
) -> None:
    one = desk()
    await one.write()
    one.plan = build.campaign(one.folder, goal=400)
    row = await one.write()
    assert (row.state, row.image, row.alt) == ("held", "", "")
    assert row.digest == posts.digest("news", row.text)


@pytest.mark.parametrize("left", [b"another picture", None])
async def test_a_picture_that_is_not_the_approved_one_is_not_posted(
    desk: Callable[..., Desk], left: bytes | None
) -> None:
    """Somebody has changed the database by hand, or lost a part of it."""
    one = desk(post='card = true\napproval = "none"')
    row = await one.write()
    with one.book._db.engine.begin() as tx:
        pictures = correspondence.pictures
        tx.execute(pictures.update().values(png=left) if left else pictures.delete())
    await one.works().publish()
    row = one.row()
    assert (row.state, row.attempts) == ("held", 0)
    assert "its picture is not the one that was approved" in row.problem
    again = await one.write()  # it was started again
    assert (again.state, again.problem, again.image) == ("approved", "", row.image)
    await one.works().publish()
    assert one.row().state == "posted"


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("card.html", "<p>{{ nothing }}</p>", "nothing is known as 'nothing'"),
        ("card.html", f"<p>{NOWHERE}</p>", "no font here can draw"),
        ("card.txt", "{{ percent", "card.txt:1"),
    ],
)
async def test_a_card_that_cannot_be_made_holds_the_post(
    desk: Callable[..., Desk], name: str, text: str, what: str
) -> None:
    one = desk(post='card = true\napproval = "none"')
    one.put(name, text)
    row = await one.write()
    assert (row.state, row.image, row.alt) == ("held", "", "")
    assert what in row.problem
    with pytest.raises(errors.WrongState):
        one.book.posts.approve(row, who="mira", now=one.clock())
    (one.folder / "letters" / "faces" / name).unlink()
    assert (await one.write()).state == "approved"


async def test_a_card_that_failed_is_tried_again_once_a_start(
    desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = desk()
    tries: list[str] = []

    async def no_font(*_: object) -> cards.Card:
        tries.append("no font")
        return cards.Card(faults=[errors.Fault(level="fault", what="no font here")])

    with monkeypatch.context() as patch:
        patch.setattr(cards, "make", no_font)
        works = one.works()
        for _ in range(3):
            assert (await one.write(works)).problem == "no font here"
        assert len(tries) == 1
    assert (await one.write()).problem == ""  # the fonts are there, and it was started again


async def test_the_loop_goes_on_while_a_card_is_painted(desk: Callable[..., Desk]) -> None:
    one = desk()
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(tick())
    await one.write()
    beside.cancel()
    assert ticks > 10


async def test_what_a_person_does_meanwhile_stands(
    desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = desk()
    real = press.paint

    async def slow(*args: Any, **more: Any) -> press.Painted:
        one.book.posts.move(one.row(), "cancelled", who="mira", why="no", now=one.clock())
        return await real(*args, **more)

    monkeypatch.setattr(press, "paint", slow)
    assert (await one.write()).state == "cancelled"


async def test_a_painter_that_is_ended_again_and_again_holds_up_no_other_post(
    desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = desk(posts=("news", "second"))
    real, tries = press.paint, 0

    async def ended(*args: Any, **more: Any) -> press.Painted:
        nonlocal tries
        tries += 1
        if tries <= child.TRIES:
            raise errors.ChildEnded([errors.Fault(level="fault", what="ended by signal 9")])
        return await real(*args, **more)

    monkeypatch.setattr(press, "paint", ended)
    works = one.works()
    (trouble,) = await works._write_all()
    assert "ended by signal 9" in str(trouble)
    assert [row.state for row in one.book.posts.select()] == ["due", "held"]
    assert await works._write_all() == []  # the machine has got better
    first, second = one.book.posts.select()
    assert (first.state, first.image) == ("held", second.image)


async def test_a_limit_that_is_hit_holds_the_post_and_says_which(tmp_path: pathlib.Path) -> None:
    """An endless layout cannot be written in a template, so the limit is set low."""
    options = build.settings(tmp_path, pdf='memory = "256 MB"\ncpu = 1')
    one = build.campaign(tmp_path, post="card = true")
    # Some seconds of work on any machine: each line is laid out for each size of the title.
    body = "<table>" + "<tr><td>a<td>b</tr>" * 10_000 + "</table>"
    (tmp_path / "letters" / "faces" / "card.html").write_text(body)
    card = await cards.make(one, "light", facts(), options)
    assert card.png == b""
    assert "painting the card" in whats(card.faults)
    assert "under [pdf] in config.toml" in whats(card.faults)


KILLED = """
import asyncio, os, pathlib, signal, sys
import build
from deliverybot import campaign, config, ledger
from deliverybot.ledger import queue
folder = pathlib.Path(sys.argv[1])
options = config.load(folder / "config.toml", environ={})
book = ledger.open_ledger(options.database_url)
plan = campaign.load(folder / "schedules" / "faces.toml")
queue.Queue.freeze = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
works = build.works(book, [plan], options, build.Clock())
asyncio.run(works._write(book.posts.select()[-1], works._present()))
"""


async def test_killed_between_card_and_freeze_there_is_no_half_post(
    desk: Callable[..., Desk], tmp_path: pathlib.Path
) -> None:
    one = desk()
    before = one.row()
    ended = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-P", "-c", KILLED, str(one.folder)], check=False,
        env={"PYTHONPATH": str(pathlib.Path(build.__file__).parent), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert ended.returncode == -9
    assert one.row() == before  # not a letter of it
    row = await one.write()
    assert (row.state, bool(row.text), bool(row.alt)) == ("held", True, True)
    assert hashlib.sha256(one.book.news.picture(row.image)).hexdigest() == row.image
