"""The figures of a letter: what they show, what they keep to themselves, how they print."""

# ruff: noqa: ANN401 - factories hand on any field

from __future__ import annotations

import contextlib
import datetime as dt
import html
import itertools
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import pypdfium2
import pytest
from pypdfium2 import raw

import build
import test_render
from deliverybot import campaign as campaigns
from deliverybot import config, ledger, letters, material, model, render
from deliverybot.pdf import child, press

NOW = build.NOW
GROWTH = '{{ growth("Signatures over time", goal="Goal:") }}\n'
PLACES = '{{ places("Where we live", rest="Elsewhere") }}\n'


def shown(tmp_path: pathlib.Path, source: str, signed: int = 100, **more: object) -> str:
    """A letter without names, as HTML; what it is given is told as the ledger would."""
    where = test_render.folder(tmp_path, letter_md=source)
    page = render.letter(where, test_render.facts(signed, signed, signers=None, **more))
    assert page.faults == []
    return page.html()


def days(*told: tuple[str, int]) -> Callable[[], list[model.Day]]:
    found = [model.Day(day=dt.date.fromisoformat(day), signatures=count) for day, count in told]
    return lambda: found


def places(*told: tuple[str, int, int]) -> Callable[[str], list[model.Place]]:
    """Each place: its name, signers who may be named, signers who may not."""
    found = [model.Place(name=name, named=named, unnamed=unnamed) for name, named, unnamed in told]
    return lambda by: found


def bars(page: str) -> list[tuple[str, str]]:
    """What each bar says: the place and its number."""
    rows = re.findall(r"<tr><th[^>]*>\u2068(.*?)\u2069</th><td>.*?</svg></span> (.*?)</td>", page)
    return [(html.unescape(name), number) for name, number in rows]


def told(page: str) -> str:
    """The words of the first drawing."""
    found = re.search(r"<svg.*?<title>(.*?)</title>", page, re.DOTALL)
    assert found
    return html.unescape(found[1])


SPRING = days(("2026-03-03", 1), ("2026-04-10", 40), ("2026-06-21", 100))

# --- growth -------------------------------------------------------------------------------------


def test_growth_says_what_it_draws(tmp_path: pathlib.Path) -> None:
    page = shown(tmp_path, GROWTH, days=SPRING, goal=1000)
    assert "<p><figure" not in page
    assert told(page) == (
        "Signatures over time: 3 March 2026: 1; 1 April 2026: 1; 1 May 2026: 40; "
        "1 June 2026: 40; 21 June 2026: 100; Goal: 1,000"
    )
    around = test_render.words(re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL))
    for text in ("Signatures over time", "Apr 2026", "Jun 2026", " 100 ", "800", "Goal: 1,000"):
        assert text in around


def test_a_quiet_time_is_a_level_line(tmp_path: pathlib.Path) -> None:
    page = shown(tmp_path, GROWTH, 10, days=days(("2026-03-01", 5), ("2026-03-11", 10)))
    line = re.search(r'<polyline[^>]* points="([^"]*)"', page)
    assert line
    assert line[1] == "0.0,180.0 900.0,180.0 1000.0,30.0"


@pytest.mark.parametrize(
    ("source", "goal", "lines"),
    [
        (GROWTH, 150, 1),
        (GROWTH, 60, 1),
        (GROWTH, None, 0),
        ('{{ growth("Signatures") }}\n', 150, 0),
    ],
)
def test_the_goal_has_a_line_if_there_is_one_and_a_word_for_it(
    tmp_path: pathlib.Path, source: str, goal: int | None, lines: int
) -> None:
    page = shown(tmp_path, source, days=SPRING, goal=goal)
    assert page.count("stroke-dasharray") == page.count('class="goal') == lines


def test_the_words_at_a_goal_long_passed_stand_clear_of_the_line(tmp_path: pathlib.Path) -> None:
    early = days(("2026-03-01", 80), ("2026-03-02", 90), ("2026-03-31", 100))
    assert 'class="goal under"' in shown(tmp_path, GROWTH, days=early, goal=60)
    assert 'class="goal"' in shown(tmp_path, GROWTH, days=SPRING, goal=60)


@pytest.mark.parametrize("known", [(), (("2026-03-03", 100),)])
def test_without_two_days_nothing_is_drawn(
    tmp_path: pathlib.Path, known: tuple[tuple[str, int], ...]
) -> None:
    page = shown(tmp_path, GROWTH, days=days(*known))
    assert "<figure" not in page
    assert "Signatures over time" not in page


def test_no_day_is_after_the_letters_own(tmp_path: pathlib.Path) -> None:
    late = days(("2026-11-20", 10), ("2026-11-22", 60), ("2026-11-23", 100))
    page = shown(tmp_path, GROWTH, days=late)
    assert told(page).endswith("21 November 2026: 10; 22 November 2026: 100")


def test_the_last_number_is_the_letters_own(tmp_path: pathlib.Path) -> None:
    for count in (98, 103):  # somebody withdrew, or was restored, since the crossing
        page = shown(tmp_path, GROWTH, days=days(("2026-03-03", 50), ("2026-03-04", count)))
        assert told(page).endswith("4 March 2026: 100")


def test_one_wrong_date_does_not_stretch_the_axis(tmp_path: pathlib.Path) -> None:
    wrong = days(("1990-01-01", 1), ("2026-03-03", 400), ("2026-03-06", 1000))
    assert "1990" not in shown(tmp_path, GROWTH, 1000, days=wrong)


def test_a_number_that_fell_to_nothing_is_drawn_as_nothing(tmp_path: pathlib.Path) -> None:
    known = places(("Peru", 40, 0))
    page = shown(tmp_path, GROWTH + "\n" + PLACES, 0, days=SPRING, places=known)
    assert 'class="growth"' not in page
    assert bars(page) == [("Peru", "40")]  # they are back, yet not in the letter's number


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en-US", ("Mar 3", "March 4, 2026: 1,234,567", "1,000,000")),
        ("de", ("3. März", "4. März 2026: 1.234.567", "1.000.000")),
        ("fr", ("3 mars", "4 mars 2026: 1\u202f234\u202f567", "1\u202f000\u202f000")),
        ("ja", ("3月3日", "2026年3月4日: 1,234,567", "1,000,000")),
        ("ar", ("3 مارس", "4 مارس 2026: 1,234,567", "1,000,000")),
    ],
)
def test_growth_is_written_in_the_campaigns_language(
    tmp_path: pathlib.Path, language: str, said: tuple[str, ...]
) -> None:
    known = days(("2026-03-03", 5000), ("2026-03-04", 1234567))
    page = shown(tmp_path, GROWTH, 1234567, days=known, language=language)
    assert all(text in page for text in said)


@pytest.mark.parametrize(
    ("first", "last", "marks"),
    [
        ("2026-03-03", "2026-03-04", ["3 Mar", "4 Mar"]),
        ("2026-03-03", "2026-03-31", ["3 Mar", "10 Mar", "17 Mar", "24 Mar", "31 Mar"]),
        ("2025-11-15", "2026-03-15", ["Dec 2025", "Jan 2026", "Feb 2026", "Mar 2026"]),
        ("2025-01-01", "2026-01-01", ["Jan 2025", "Apr 2025", "Jul 2025", "Oct 2025", "Jan 2026"]),
        ("2016-06-01", "2026-06-01", ["2018", "2020", "2022", "2024", "2026"]),
    ],
)
def test_dates_are_few_and_of_the_calendar(
    tmp_path: pathlib.Path, first: str, last: str, marks: list[str]
) -> None:
    page = shown(tmp_path, GROWTH, days=days((first, 10), (last, 100)))
    assert re.findall(r'class="when"[^>]*>([^<]*)<', page) == marks


@pytest.mark.parametrize("count", [1, 3, 7, 24, 26, 99, 241, 5_000, 999_999, 123_456_789])
def test_counts_have_few_round_steps(tmp_path: pathlib.Path, count: int) -> None:
    known = days(("2026-03-03", count), ("2026-03-04", count))
    page = shown(tmp_path, GROWTH, count, days=known)
    steps = [int(text.replace(",", "")) for text in re.findall(r'"count"[^>]*>([^<]*)<', page)]
    assert steps[0] == 0
    assert 2 <= len(steps) <= 6
    assert str(steps[1]).rstrip("0") in {"1", "2", "5"}
    assert len({after - before for before, after in itertools.pairwise(steps)}) == 1


# --- places -------------------------------------------------------------------------------------


def test_places_come_by_size_and_add_up(tmp_path: pathlib.Path) -> None:
    known = places(("Peru", 40, 0), ("", 20, 1), ("Togo", 30, 0), ("Chad", 4, 0))
    page = shown(tmp_path, PLACES, days=SPRING, places=known)
    assert bars(page) == [("Peru", "40"), ("Togo", "30"), ("Elsewhere", "30")]
    assert re.findall(r"<title>(\d+%)</title>", page) == ["40%", "30%", "30%"]


def test_ten_places_have_a_bar_of_their_own(tmp_path: pathlib.Path) -> None:
    page = shown(tmp_path, PLACES, places=places(*((f"Land {n:02}", 5, 0) for n in range(20))))
    assert [name for name, _ in bars(page)] == [*(f"Land {n:02}" for n in range(10)), "Elsewhere"]
    assert bars(page)[-1] == ("Elsewhere", "50")


@pytest.mark.parametrize(
    ("named", "unnamed", "number"),
    [
        (4, 0, None),
        (5, 0, "5"),
        (5, 1, "5"),
        (0, 4, None),
        (0, 5, "5"),
        (4, 4, None),
        (50, 5, "55"),
    ],
)
def test_nobody_can_be_told_from_a_small_number(
    tmp_path: pathlib.Path, named: int, unnamed: int, number: str | None
) -> None:
    known = places(("Peru", 30, 0), ("Chad", named, unnamed))
    assert dict(bars(shown(tmp_path, PLACES, places=known))).get("Chad") == number


def test_a_place_written_in_two_ways_is_one(tmp_path: pathlib.Path) -> None:
    known = places(("Peru", 40, 0), ("PERU", 3, 0), (" peru ", 2, 0))
    assert bars(shown(tmp_path, PLACES, 45, places=known)) == [("Peru", "45")]


@pytest.mark.parametrize("known", [(), (("", 100, 0),), (("Peru", 4, 4), ("Chad", 3, 0))])
def test_without_a_place_that_many_share_nothing_is_drawn(
    tmp_path: pathlib.Path, known: tuple[tuple[str, int, int], ...]
) -> None:
    assert "<figure" not in shown(tmp_path, PLACES, places=places(*known))


def test_places_go_by_country_or_region(tmp_path: pathlib.Path) -> None:
    asked = []

    def tell(by: str) -> list[model.Place]:
        asked.append(by)
        return []

    source = PLACES + '\n{{ places("Regions", "Elsewhere", by="region") }}\n'
    shown(tmp_path, source, places=tell)
    assert asked == ["country", "region"]


@pytest.mark.parametrize("text", test_render.HOSTILE)
def test_a_hostile_place_or_caption_changes_no_markup(tmp_path: pathlib.Path, text: str) -> None:
    source = '{{ places(ask, rest=ask) }}\n\n{{ growth(ask, goal="Goal: " ~ ask) }}\n'

    def page(text: str) -> str:
        known = places((text, 40, 0), ("Peru", 30, 0))
        return shown(tmp_path, source, days=SPRING, places=known, ask=text, goal=150)

    assert test_render.tags(page(text)) == test_render.tags(page("harmless"))
    assert bars(page(text))[0][0] == " ".join(text.split())


def test_a_figure_nobody_asks_for_is_not_counted(tmp_path: pathlib.Path) -> None:
    def never(*_: object) -> Any:
        raise AssertionError

    shown(tmp_path, "Words.\n", days=never, places=never)


# --- what templates may not do ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mail_txt", "post_txt", "signed_txt"])
@pytest.mark.parametrize("figure", ["growth", "places"])
def test_mails_and_posts_have_no_figures(tmp_path: pathlib.Path, name: str, figure: str) -> None:
    where = test_render.folder(tmp_path, **{name: f'Subject: x\n\n{{{{ {figure}("a", "b") }}}}\n'})
    known = [fault.what for fault in render.check(where)]
    assert known == [f"nothing is known as '{figure}'"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ growth() }}", 'growth("caption", goal="goal")'),
        ("{{ growth('a', 'b', 'c') }}", 'growth("caption", goal="goal")'),
        ("{{ growth('a', aim='b') }}", 'growth("caption", goal="goal")'),
        ("{{ places('a') }}", 'places("caption", "rest", by="by")'),
        ("{{ places(*targets) }}", 'places("caption", "rest", by="by")'),
    ],
)
def test_a_wrong_call_is_said_with_the_right_one(
    tmp_path: pathlib.Path, source: str, said: str
) -> None:
    fault = render.check(test_render.folder(tmp_path, letter_md=f"\n{source}\n"), ("letter",))[0]
    assert fault.line == 2
    assert said in fault.hint


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ growth }}", "needs brackets and words"),
        ("{{ growth(goal) }}", "a few words"),
        ("{{ places('a', 'b', by='city') }}", "by country or region, not by 'city'"),
        ("{{ places('a' ~ ask ~ ask ~ ask ~ ask, 'b') }}", "300 letters at most"),
        ("{% for a in targets %}{{ growth('a') }}{% endfor %}", "10 figures at most"),
    ],
)
def test_what_a_figure_cannot_be_drawn_from_holds_the_letter(
    tmp_path: pathlib.Path, source: str, said: str
) -> None:
    where = test_render.folder(tmp_path, letter_md=f"\n{source}\n")
    known = test_render.facts(ask="a" * 100, targets=(test_render.TARGET,) * 11, goal=5)
    (fault,) = render.letter(where, known).faults
    assert said in fault.what
    assert fault.line == 2


# --- from the ledger to paper -------------------------------------------------------------------


class Desk:
    """A campaign whose signers come from several places, over sixty days."""

    def __init__(self, folder: pathlib.Path, book: ledger.Ledger, source: str) -> None:
        self.folder, self.book = folder, book
        self.settings: config.Settings = build.settings(folder)
        self.letter = folder / "letters" / "faces"
        (self.letter / "letter.md").write_text(source, encoding="utf-8")
        self.plan: campaigns.Campaign = build.campaign(folder, posts=(), goal=500)
        self.take(120)
        build.advance(book, self.plan)

    def take(self, count: int) -> None:
        last = self.book.signatures.standing("faces").last_number
        countries = ("Perú", "日本", "مصر", "भारत", "<b>&amp;", "")
        people = [
            build.signer(
                n,
                country=countries[n % len(countries)],
                signed_at=NOW - dt.timedelta(days=60) + dt.timedelta(hours=12 * n),
            )
            for n in range(last + 1, last + count + 1)
        ]
        build.take(self.book, people)

    def page(self) -> render.Page:
        present = letters.Present(self.book, self.settings, {"faces": self.plan})
        case = present.case("faces", "ceo", self.book.milestones.all()[-1].id)
        assert case is not None
        return render.letter(self.letter, material.facts(self.book, case, self.settings))

    async def pressed(self, name: str = "letter.pdf") -> press.Pressed:
        done = await press.press(
            self.page().html(), folder=self.letter, theme=render.THEME,
            out=self.folder / name, limits=child.Limits(),
        )  # fmt: skip
        assert done.faults == []
        return done


@pytest.fixture
def desk(tmp_path: pathlib.Path) -> Iterator[Desk]:
    opened = ledger.open_ledger(f"sqlite:///{tmp_path}/ledger.db")
    with contextlib.closing(opened) as book:
        yield Desk(tmp_path, book, f"Before.\n\n{GROWTH}\n{PLACES}\nAfter.\n")


async def test_figures_print_as_lines_and_text(desk: Desk) -> None:
    await desk.pressed()
    with contextlib.closing(pypdfium2.PdfDocument(desk.folder / "letter.pdf")) as document:
        kinds = {item.type for item in document[0].get_objects()}
        text = document[0].get_textpage().get_text_range()
    assert kinds == {raw.FPDF_PAGEOBJ_TEXT, raw.FPDF_PAGEOBJ_PATH}
    for said in ("Signatures over time", "Goal: 500", "120", "Where we live", "Elsewhere"):
        assert said in text
    for place in ("Perú", "日本", "مصر", "भारत", "<b>&amp;"):
        assert place in text


async def test_figures_are_the_same_bytes_again_whoever_signs_later(desk: Desk) -> None:
    page, first = desk.page().html(), await desk.pressed("first.pdf")
    desk.take(60)
    build.advance(desk.book, desk.plan)
    assert desk.page().html() == page
    assert (await desk.pressed("second.pdf")).sha256 == first.sha256


def test_one_reading_without_times_draws_no_growth(tmp_path: pathlib.Path) -> None:
    opened = ledger.open_ledger(f"sqlite:///{tmp_path}/ledger.db")
    with contextlib.closing(opened) as book:
        desk = Desk.__new__(Desk)
        desk.folder, desk.book, desk.settings = tmp_path, book, build.settings(tmp_path)
        desk.letter, desk.plan = tmp_path / "letters" / "faces", build.campaign(tmp_path)
        (desk.letter / "letter.md").write_text(GROWTH + "\n" + PLACES, encoding="utf-8")
        build.grow(book, desk.plan, 100)
        page = desk.page().html()
    assert 'class="growth"' not in page
    assert bars(page) == [("Nowhere", "100")]


def test_a_signer_who_withdraws_is_in_no_bar(desk: Desk) -> None:
    before = dict(bars(desk.page().html()))
    build.withdraw(desk.book, "faces", 6 + 1)
    after = dict(bars(desk.page().html()))
    assert (before["日本"], after["日本"]) == ("20", "19")
    assert int(after["Elsewhere"]) == int(before["Elsewhere"]) + 1
