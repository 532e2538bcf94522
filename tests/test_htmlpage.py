"""Web pages as sources: against a real server, through a real ledger."""

# ruff: noqa: ANN401 - hands on any field

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import random
import re
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from typing import Any, cast

import hypothesis
import pytest
from hypothesis import strategies as st

import build
import http_server
import petition_page
from deliverybot import campaign as campaigns
from deliverybot import errors, ledger, signatures, sources
from deliverybot.origins import htmlpage
from deliverybot.sources import htmltree, newest
from petition_page import people, plan

FIXTURES = pathlib.Path(__file__).parent / "fixtures" / "sources"
NOW = build.NOW
KEY = b"k" * 32


class Waits:
    """Stands for the time that passes between two pages, and remembers it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self, seconds: float) -> None:
        self.seconds += seconds


MEANS = sources.Means(sleep=lambda _: None)


async def read(book: ledger.Ledger, one: campaigns.Campaign) -> signatures.Reading:
    return await signatures.read(book, one, key=KEY, now=NOW, means=MEANS)


def take(book: ledger.Ledger, one: campaigns.Campaign, batch: int, most: int = 10**9) -> int:
    """Take in batches of so many, as a reading does; cut off after `most` batches."""
    cursor = book.signatures.standing(one.slug).cursor
    given = sources.read(one, cursor=cursor, secret=KEY, now=NOW, batch=batch, means=MEANS)
    taken = 0
    for each, _ in zip(given, range(most), strict=False):
        book.signatures.take(
            one.slug, each.signers, wording=build.WORDING, cursor=each.cursor, now=NOW
        )
        taken += len(each.signers)
    return taken


def probe(one: campaigns.Campaign, state: str = "") -> sources.Count | None:
    return sources.probe(one, state=state, secret=KEY, now=NOW, means=MEANS)


def url_of(one: campaigns.Campaign) -> str:
    return cast("htmlpage.HtmlSource", one.source).url or ""


def on_list(book: ledger.Ledger) -> list[str]:
    return [line.name for line in book.signatures.lines("faces", 10**9)]


@contextlib.contextmanager
def serving(
    folder: pathlib.Path, site: petition_page.Site, *lines: str, **more: Any
) -> Iterator[campaigns.Campaign]:
    with http_server.running(site) as server:
        yield plan(folder, server.url("/petition/stop/"), *lines, **more)


# --- the number --------------------------------------------------------------------------------


async def test_the_fixture_is_read_from_a_saved_file(
    tmp_path: pathlib.Path, book: ledger.Ledger
) -> None:
    one = plan(tmp_path, "", 'path = "saved.html"')
    page = (FIXTURES / "wordpress_petition.html").read_text()
    (tmp_path / "schedules" / "saved.html").write_text(page)
    found = await read(book, one)
    assert not found.problem
    assert (found.standing.said, found.new) == (241, 10)
    assert on_list(book)[0] == "Jo Trial"
    assert on_list(book)[-1] == "Ada Example"
    assert (await read(book, one)).new == 0
    (tmp_path / "schedules" / "saved.html").write_text(page.replace("  <li>Ada", "  <li>Al<li>Ada"))
    assert (await read(book, one)).new == 1
    assert on_list(book)[-1] == "Al"


async def test_number_and_list_are_different_facts(
    tmp_path: pathlib.Path, book: ledger.Ledger
) -> None:
    site = petition_page.Site(count="241")
    site.grow(237)
    with serving(tmp_path, site) as one:
        found = await read(book, one)
    assert not found.problem
    assert found.standing.said == 241
    assert on_list(book) == people(1, 237)


@pytest.mark.parametrize(
    ("lines", "page", "number"),
    [
        ('count = "b"', "<p><b>24,845</b> people", 24845),
        ('count = "b"', "<p><b> 24\u202f845 </b>", 24845),
        ('count = "b"', "<b>24,845</b><i>x</i><b>24845</b>", 24845),
        ('count = "#n"', "<p id=n><span>2</span><span>4</span><!-- 9 --><span>1</span>", 241),
        ("pattern = '([0-9,]+) (?i:signatures)'", "<b>24,845</b> SIGNATURES", 24845),
        ("pattern = '([0-9]+) people'", "<td>10</td><td>241 people</td>", 241),
        ("pattern = '(\\S+) people'", "<script>5 people</script><p>6 people<style>7 people", 6),
        ('count = "p"\npattern = "(.+) have"', "<p>Sign!</p><p>7 have signed</p>", 7),
        ('count = "#n"', "<html><body>x</body></html><p id=n>241</p><html>", 241),
        ('count = "table > tbody > tr > td"', "<table><tr><td>12</table>", 12),
    ],
)
def test_a_number_is_found(tmp_path: pathlib.Path, lines: str, page: str, number: int) -> None:
    with http_server.running(lambda _: http_server.text(page)) as server:
        one = plan(tmp_path, server.url(), lines, preset=False, delivery='signers = "none"')
        found = probe(one)
    assert found is not None
    assert found.signatures == number


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("<b>241</b> <b>242</b>", "different numbers: 241 and 242"),
        ("<p>Please log in.", "there is no number on the page where `count` says"),
        ("<b>1.2k</b>", "'1.2k'"),
        ("<b>2,5 million</b>", "no certain count"),
        ("<b></b>", "an empty text"),
        ("<b>241 of 500</b>", "no certain count"),
        ("", "the page is empty"),
        ("<!-- nothing", "the page is empty"),
        ("<div>" * 1000 + "<b>5</b>", "400 deep"),
        ("<i>x</i>" * 5001, "more than 5000 elements"),
    ],
)
async def test_what_is_no_certain_number_is_a_failed_reading(
    tmp_path: pathlib.Path,
    book: ledger.Ledger,
    page: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(htmltree, "ELEMENTS", 5000)
    good = http_server.text("<b>241</b>")
    answers = http_server.in_turn(good, http_server.text(page))
    with http_server.running(answers) as server:
        one = plan(tmp_path, server.url(), 'count = "b"', preset=False, delivery='signers = "none"')
        assert not (await read(book, one)).problem
        found = await read(book, one)
    assert said in found.problem
    assert "http://127.0.0.1" in found.problem
    assert found.standing.said == 241


def test_attributes_without_end_and_what_is_no_page_are_refused(tmp_path: pathlib.Path) -> None:
    many = "<b " + " ".join(f"a{n}=x" for n in range(200_000)) + ">5</b>"
    with http_server.running(
        {
            "/many": http_server.text(many),
            "/json": http_server.json({"count": 5}),
            "/what": http_server.text("<b>5", content_type="text/html; charset=klingon"),
            "/cut": http_server.sends(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<b>5</b>"
            ),
            "/old": http_server.sends(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html><b>5</b></html>\n"
            ),
        }
    ) as server:
        for path, said in {"/json": "no web page", "/what": "klingon", "/cut": "cut off"}.items():
            one = plan(
                tmp_path, server.url(path), 'count = "b"', preset=False,
                delivery='signers = "none"',
            )  # fmt: skip
            with pytest.raises(errors.SourceError, match=said):
                probe(one)
        for path in ("/many", "/old"):
            one = plan(
                tmp_path, server.url(path), 'count = "b"', preset=False,
                delivery='signers = "none"',
            )  # fmt: skip
            assert probe(one) == sources.Count(5)


def test_a_pattern_that_never_ends_is_ended(tmp_path: pathlib.Path) -> None:
    with http_server.running(lambda _: http_server.text("<p>" + "a" * 60 + "b")) as server:
        one = plan(
            tmp_path, server.url(), "pattern = '(?:a|aa)+$(.)'", preset=False,
            delivery='signers = "none"',
        )  # fmt: skip
        with pytest.raises(errors.SourceError, match="`pattern` takes too long"):
            probe(one)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("<b title=é>5</b><li>Zoë".encode(), "text/html"),
        ("<b>5</b><li>Zoë".encode("cp1252"), "text/html"),
        ("<meta charset=latin1><b>5</b><li>Zoë".encode("cp1252"), "text/html"),
        ("<meta charset=utf-8><b>5</b><li>Zoë".encode("cp1252"), "text/html; charset=iso-8859-1"),
        ("\ufeff<b>5</b><li>Zoë".encode("utf-16-le"), "text/html"),
        ("\ufeff<b>5</b><li>Zoë".encode(), "text/html; charset=cp1252"),
    ],
)
async def test_encodings(
    tmp_path: pathlib.Path, book: ledger.Ledger, body: bytes, kind: str
) -> None:
    answer = http_server.Answer(body=body, headers={"Content-Type": kind})
    with http_server.running(lambda _: answer) as server:
        one = plan(tmp_path, server.url(), 'count = "b"', 'signers = "li"', preset=False)
        assert not (await read(book, one)).problem
    assert on_list(book) == ["Zoë"]


def test_an_unchanged_page_is_asked_about_and_not_fetched(tmp_path: pathlib.Path) -> None:
    site = petition_page.Site(tags=True)
    site.grow(30)
    with serving(tmp_path, site) as one:
        first = probe(one)
        assert first is not None
        assert probe(one, first.state) is None
        # Other settings see another thing on the same page.
        other = plan(tmp_path, url_of(one), 'count = "span.pages"', "pattern = '(.+) of'")
        assert probe(other, first.state) is not None


# --- the list ----------------------------------------------------------------------------------


async def test_only_pages_with_somebody_new_are_asked_for(
    tmp_path: pathlib.Path, book: ledger.Ledger
) -> None:
    site = petition_page.Site()
    site.grow(95)
    with serving(tmp_path, site) as one:
        assert (await read(book, one)).new == 95
        site.asked.clear()
        assert (await read(book, one)).new == 0
        assert site.asked == [1, 1]
        site.grow(4)
        site.asked.clear()
        assert (await read(book, one)).new == 4
        assert site.asked == [1, 1]
        site.grow(13)
        site.asked.clear()
        assert (await read(book, one)).new == 13
        # A page counts as the next one if the one before it is still what it was.
        assert site.asked == [1, 1, 2, 1]
    assert on_list(book) == people(1, 112)


async def test_an_unchanged_list_costs_no_page(tmp_path: pathlib.Path, book: ledger.Ledger) -> None:
    site = petition_page.Site(tags=True)
    site.grow(25)
    with http_server.running(site) as server:
        one = plan(tmp_path, server.url())
        await read(book, one)
        before = len(server.requests)
        found = await read(book, one)
        after = server.requests[before:]
    assert not found.problem
    assert [bool(request.headers.get("if-none-match")) for request in after] == [True, True]


def test_there_is_a_pause_between_pages(tmp_path: pathlib.Path) -> None:
    site = petition_page.Site()
    site.grow(30)
    waits = Waits()
    with serving(tmp_path, site, between="3s") as one:
        means = sources.Means(sleep=waits)
        given = list(sources.read(one, cursor=None, secret=KEY, now=NOW, means=means))
    assert sum(len(each.signers) for each in given) == 30
    assert site.requests == 5
    assert waits.seconds == 12


@pytest.mark.parametrize("count", [4, 27, 620])
async def test_a_list_that_shows_the_oldest_first(
    tmp_path: pathlib.Path, book: ledger.Ledger, count: int
) -> None:
    site = petition_page.Site(oldest=True, tags=True, size=100 if count > 100 else 10)
    site.grow(count)
    with serving(tmp_path, site, 'order = "oldest"') as one:
        assert (await read(book, one)).new == count
        assert (await read(book, one)).new == 0
        site.names.remove("Person 3")
        site.sign("New", "Person 1")
        assert (await read(book, one)).new == 2
        site.sign(*people(2001, 2030))
        site.before = lambda n: site.sign(f"During {n}") if n % 3 else None
        assert not (await read(book, one)).problem
        site.before = lambda _: None
        assert not (await read(book, one)).problem
    listed = on_list(book)
    assert listed[: count + 2] == [*people(1, count), "New", "Person 1"]
    assert Counter(listed) == Counter([*site.names, "Person 3"])


async def test_two_people_of_one_name_are_two(tmp_path: pathlib.Path, book: ledger.Ledger) -> None:
    site = petition_page.Site()
    site.sign("Ann", "Bo", "Ann", "Cy", "Ann")
    with serving(tmp_path, site) as one:
        await read(book, one)
        site.sign("Ann")
        assert (await read(book, one)).new == 1
        site.sign("Ann", "Bo", "Ann")
        assert (await read(book, one)).new == 3
        assert (await read(book, one)).new == 0
    assert on_list(book) == ["Ann", "Bo", "Ann", "Cy", "Ann", "Ann", "Ann", "Bo", "Ann"]


async def test_a_page_full_of_one_name_is_read_on_until_it_tells_something(
    tmp_path: pathlib.Path, book: ledger.Ledger
) -> None:
    site = petition_page.Site()
    site.grow(5)
    site.sign(*["Ann"] * 25)
    with serving(tmp_path, site) as one:
        await read(book, one)
        site.sign("Ann", "Ann")
        found = await read(book, one)
    assert (found.new, found.problem) == (2, "")
    assert Counter(on_list(book))["Ann"] == 27


async def test_names_that_are_withdrawn_move_nobody(
    tmp_path: pathlib.Path, book: ledger.Ledger
) -> None:
    site = petition_page.Site()
    site.grow(40)
    with serving(tmp_path, site) as one:
        await read(book, one)
        for gone in ("Person 40", "Person 39", "Person 33", "Person 7"):
            site.names.remove(gone)
        site.sign("New 1", "New 2")
        assert (await read(book, one)).new == 2
        assert (await read(book, one)).new == 0
        site.sign("New 3")
        assert (await read(book, one)).new == 1
    assert on_list(book) == [*people(1, 40), "New 1", "New 2", "New 3"]


async def test_a_name_that_turns_up_later_in_the_middle_is_taken(
    tmp_path: pathlib.Path, book: ledger.Ledger
) -> None:
    site = petition_page.Site()
    site.grow(40)
    with serving(tmp_path, site) as one:
        await read(book, one)
        site.names.insert(4, "Late")
        assert (await read(book, one)).new == 1
        assert (await read(book, one)).new == 0
    assert on_list(book) == [*people(1, 40), "Late"]


async def test_a_purge_of_many_is_read_through(tmp_path: pathlib.Path, book: ledger.Ledger) -> None:
    site = petition_page.Site()
    site.grow(150)
    with serving(tmp_path, site) as one:
        await read(book, one)
        del site.names[:60]
        site.sign("New")
        found = await read(book, one)
        assert (found.new, found.problem) == (1, "")
        assert (await read(book, one)).new == 0


async def test_a_list_without_any_known_name_is_refused_until_a_person_says_so(
    tmp_path: pathlib.Path, book: ledger.Ledger
) -> None:
    site = petition_page.Site()
    site.grow(30)
    with serving(tmp_path, site) as one:
        await read(book, one)
        site.names = [f"P. {n}" for n in range(25, 0, -1)]
        found = await read(book, one)
        assert "none of the 30 newest signers" in found.problem
        assert "anew = " in found.problem
        assert "Person" not in found.problem
        assert found.standing.said == 30
        told = plan(tmp_path, url_of(one), 'anew = "2026-11-23"')
        found = await read(book, told)
        assert (found.new, found.problem) == (0, "")
        assert (
            "25 newest signers on the page count as known; 30 were taken" in found.skipped[0].what
        )
        site.sign("New")
        assert (await read(book, told)).new == 1
        assert (await read(book, told)).new == 0
    assert on_list(book) == [*people(1, 30), "New"]


async def test_who_signs_while_it_is_read_is_lost_by_no_page(
    tmp_path: pathlib.Path, book: ledger.Ledger
) -> None:
    site = petition_page.Site()
    site.grow(60)

    def before(number: int) -> None:
        if number in {3, 4, 9, 15}:
            site.grow(3)

    site.before = before
    with serving(tmp_path, site) as one:
        assert not (await read(book, one)).problem
        site.before = lambda _: None
        assert not (await read(book, one)).problem
    assert on_list(book) == people(1, 72)


async def test_who_is_withdrawn_while_it_is_read_takes_nobody_along(
    tmp_path: pathlib.Path, book: ledger.Ledger
) -> None:
    site = petition_page.Site()
    site.grow(60)

    def before(number: int) -> None:
        if number in {3, 8, 11}:
            del site.names[number]

    site.before = before
    with serving(tmp_path, site) as one:
        found = await read(book, one)
    assert not found.problem
    assert set(site.names) <= set(on_list(book)) <= set(people(1, 60))
    assert len(on_list(book)) == len(set(on_list(book)))


async def test_a_list_that_never_rests_is_a_failed_reading(
    tmp_path: pathlib.Path, book: ledger.Ledger
) -> None:
    site = petition_page.Site()
    site.grow(300)
    site.before = lambda _: site.grow(10)
    with serving(tmp_path, site) as one:
        found = await read(book, one)
    assert "moves faster than it can be read" in found.problem
    assert on_list(book) == []


@pytest.mark.parametrize("back", [1, 2])
async def test_pages_that_go_round_in_a_circle_end_soon(
    tmp_path: pathlib.Path, book: ledger.Ledger, back: int
) -> None:
    """A server that takes no notice of the page's number; a pager that leads back."""
    site = petition_page.Site()
    site.grow(240)
    site.instead = {
        number: http_server.text(site.page(1 + number % back)) for number in range(1, 99)
    }
    with serving(tmp_path, site) as one:
        found = await read(book, one)
    assert "its pages go round in a circle" in found.problem
    assert site.requests < 12
    assert on_list(book) == []


async def test_pages_have_a_limit(tmp_path: pathlib.Path, book: ledger.Ledger) -> None:
    site = petition_page.Site()
    site.grow(60)
    with serving(tmp_path, site, "most_pages = 5") as one:
        found = await read(book, one)
    assert "after 5 pages" in found.problem
    assert "most_pages" in found.problem
    assert on_list(book) == []


def test_a_reading_that_is_cut_off_goes_on_where_it_was(
    tmp_path: pathlib.Path, book: ledger.Ledger
) -> None:
    site = petition_page.Site()
    site.grow(45)
    with serving(tmp_path, site) as one:
        assert take(book, one, batch=7, most=2) == 14
        assert on_list(book) == people(1, 14)
        site.grow(5)
        assert take(book, one, batch=7, most=1) == 7
        site.names.remove("Person 20")
        site.names.remove("Person 30")
        assert take(book, one, batch=7) == 28
        assert take(book, one, batch=7) == 0
    assert on_list(book) == [name for name in people(1, 50) if name != "Person 30"]


async def test_an_error_in_the_middle_takes_nothing_and_loses_nothing(
    tmp_path: pathlib.Path, book: ledger.Ledger
) -> None:
    site = petition_page.Site()
    site.grow(45)
    login = http_server.text("<title>Log in</title><form><input name=user></form>")
    # The number is asked for first; then the pages 1, 2, 1, 3.
    site.instead = {5: login}
    with serving(tmp_path, site) as one:
        found = await read(book, one)
        assert "there is no signer on the page" in found.problem
        assert on_list(book) == []
        assert not (await read(book, one)).problem
    assert on_list(book) == people(1, 45)


async def test_comments_are_no_signers(tmp_path: pathlib.Path, book: ledger.Ledger) -> None:
    site = petition_page.Site()
    site.grow(3)
    with serving(tmp_path, site, 'signers = "li"') as one:
        found = await read(book, one)
        assert not found.problem
        said = sources.look(one, now=NOW, means=MEANS)
    assert on_list(book) == people(1, 3)
    assert any("3 elements of `signers` stand among comments" in one.what for one in said)
    with serving(tmp_path, site, 'signers = ".commentlist li"') as one:
        found = await read(book, one)
    assert "what `signers` picks are comments" in found.problem
    assert on_list(book) == people(1, 3)


def test_check_asks_once_for_the_page_that_has_number_and_list(tmp_path: pathlib.Path) -> None:
    page = "<p id=n>2 signatures</p><ul><li>Ada Example<li>Zoë Day</ul><a rel=next href=?p=2>on</a>"
    lines = ('count = "#n"', 'pattern = "([0-9]+) signatures"', 'signers = "li"', 'next = "a"')
    with http_server.running(lambda _: http_server.text(page)) as server:
        one = plan(tmp_path, server.url(), *lines, preset=False)
        said = [fault.what for fault in sources.look(one, now=NOW, means=MEANS)]
        assert len(server.requests) == 1
    assert said == ["the page shows the number 2", "signers on the first page: 2"]


async def test_columns_are_places_inside_an_element(
    tmp_path: pathlib.Path, book: ledger.Ledger
) -> None:
    page = """<ul>
    <li data-id=7><b>Zoë Day</b> from <span class=t>Nice</span>
    <li data-id=6><b>Zoë Day</b> from <span class=t>Lyon</span><a href=mailto:z@mail.example>m</a>
    </ul>"""
    lines = (
        'signers = "ul > li"',
        'columns = { id = "@data-id", name = "b", city = ".t", email = "a@href", region = ".no" }',
    )
    with http_server.running(lambda _: http_server.text(page)) as server:
        one = plan(tmp_path, server.url(), *lines, preset=False)
        found = await read(book, one)
        said = sources.look(one, now=NOW, means=MEANS)
    assert not found.problem
    assert [(line.name, line.city) for line in book.signatures.lines("faces", 9)] == [
        ("Zoë Day", "Lyon"),
        ("Zoë Day", "Nice"),
    ]
    assert any("has region where `columns` says" in one.what for one in said)


async def test_pages_by_number(tmp_path: pathlib.Path, book: ledger.Ledger) -> None:
    site = petition_page.Site()
    site.grow(30)
    with http_server.running(site) as server:
        page = f'page = "{server.url("/petition/")}?sigs={{page}}"'
        one = plan(tmp_path, server.url("/petition/"), page)
        assert (await read(book, one)).new == 30
        # Behind the last page an error is no end.
        site.grow(12)
        site.instead = {site.requests + 3: http_server.text("<p>Sorry")}
        assert "there is no number on the page" in (await read(book, one)).problem
        assert (await read(book, one)).new == 12
    assert on_list(book) == people(1, 42)


async def test_a_pager_that_leads_elsewhere_is_not_followed(
    tmp_path: pathlib.Path, book: ledger.Ledger
) -> None:
    page = "<li>Ann</li><a href='http://elsewhere.example/'>next</a>"
    with http_server.running(lambda _: http_server.text(page)) as server:
        lines = ('signers = "li"', 'next = "a"')
        found = await read(book, plan(tmp_path, server.url(), *lines, preset=False))
        assert "elsewhere.example" in found.problem
        page = "<li>Ann</li><a href='file:///etc/passwd'>next</a>"
        found = await read(book, plan(tmp_path, server.url(), *lines, preset=False))
        assert "only http and https" in found.problem
        page = "<li>Ann</li><a href='?n=1'>1</a><a href='?n=2'>2</a>"
        found = await read(book, plan(tmp_path, server.url(), *lines, preset=False))
        assert "several links" in found.problem
        page = "<li>Ann</li><a href='?n=1'>next</a>"
        found = await read(book, plan(tmp_path, server.url(), *lines, preset=False))
        assert "go round in a circle" in found.problem
    assert on_list(book) == []


def test_a_long_list_is_not_held_in_memory(tmp_path: pathlib.Path) -> None:
    def page(request: http_server.Request) -> http_server.Reply:
        first = int(request.query.get("from", 2000))
        signers = (
            f"<li title='{'well,' * 800}'>Person {n}</li>" for n in range(first, first - 100, -1)
        )
        pager = f"<a href='?from={first - 100}'>older</a>" if first > 100 else ""
        return http_server.text("".join(signers) + pager)

    lines = ('signers = "li"', 'columns = { comment = "@title" }', 'next = "a"')
    with http_server.running(page) as server:
        one = plan(tmp_path, server.url(), *lines, preset=False)
        tracemalloc.start()
        given = sources.read(one, cursor=None, secret=KEY, now=NOW, batch=100, means=MEANS)
        rows = sum(len(each.signers) for each in given)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert rows == 2000
    assert peak < 5_000_000  # the list is 8 MB


def test_the_cursor_tells_nobody(tmp_path: pathlib.Path) -> None:
    site = petition_page.Site()
    site.size = 100
    site.names = [f"Ada Lovelace {n}" for n in range(600)]
    with serving(tmp_path, site) as one:
        given = list(sources.read(one, cursor=None, secret=KEY, now=NOW, means=MEANS))
        other = list(sources.read(one, cursor=None, secret=b"o" * 32, now=NOW, means=MEANS))
    cursor = given[-1].cursor
    assert "Lovelace" not in cursor
    assert len(cursor) < 8000
    assert len(newest.Known.load(cursor).run) == 500  # type: ignore[union-attr]
    assert json.loads(cursor)["run"] != json.loads(other[-1].cursor)["run"]


async def test_what_check_says(tmp_path: pathlib.Path) -> None:
    site = petition_page.Site()
    site.grow(25)
    with serving(tmp_path, site) as one:
        said = [(fault.level, fault.what) for fault in sources.look(one, now=NOW, means=MEANS)]
        assert ("ok", "the page shows the number 25") in said
        assert ("ok", "signers on the first page: 10") in said
        bad = plan(tmp_path, url_of(one), 'signers = ".nobody"')
        said = [(fault.level, fault.what) for fault in sources.look(bad, now=NOW, means=MEANS)]
        assert ("fault", "there is no signer on the page where `signers` says") in said


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('url = "http://h.example/"', "nothing is said to be read"),
        ('count = "b"', "either 'url' or 'path'"),
        ('url = "http://h.example/"\ncount = "b["', "no CSS selector"),
        ('url = "http://h.example/"\ncount = "a:hover"', "no CSS selector"),
        ('url = "http://h.example/"\ncount = "a ~ b"', "is not read"),
        ('url = "http://h.example/"\npattern = "["', "no regular expression"),
        ('url = "http://h.example/"\npattern = "[0-9]+"', "it has 0 groups"),
        ('url = "http://h.example/"\ncount = "b"\ncolumns = { name = "b" }', "'signers'"),
        ('url = "http://h.example/"\nsigners = "b"\npage = "http://h.example/2"', "{page}"),
        (
            'url = "http://h.example/"\nsigners = "b"\npage = "http://x.example/{page}"',
            "another host",
        ),
        ('url = "http://h.example/"\nsigners = "b"\ncolumns = { name = "b@!" }', "no CSS selector"),
    ],
)
def test_settings_that_cannot_be_meant(tmp_path: pathlib.Path, lines: str, said: str) -> None:
    with pytest.raises(errors.ConfigError, match=said):
        plan(tmp_path, "", lines, preset=False)


# --- at random ---------------------------------------------------------------------------------


@dataclasses.dataclass
class History:
    """What happens to a list, at random and still the same for one seed."""

    dice: random.Random
    site: petition_page.Site
    pool: list[str]
    #: Whoever has stood on the list, in the order of signing; and who was withdrawn.
    ever: list[str] = dataclasses.field(default_factory=list)
    gone: list[str] = dataclasses.field(default_factory=list)

    def sign(self, most: int) -> None:
        for _ in range(self.dice.randint(1, most)):
            name = self.dice.choice(self.pool)
            self.ever.append(name)
            self.site.sign(name)

    def withdraw(self) -> None:
        if self.site.names:
            place = min(int(self.dice.expovariate(0.1)), len(self.site.names) - 1)
            self.gone.append(self.site.names.pop(place))


@pytest.mark.parametrize("seed", range(16))
def test_no_signer_is_lost_and_none_taken_twice(
    tmp_path: pathlib.Path, book: ledger.Ledger, seed: int
) -> None:
    dice = random.Random(seed)
    site = petition_page.Site(size=dice.choice([3, 10, 25]))
    pool = [f"Person {n}" for n in range(dice.choice([12, 40, 5000]))]
    past = History(dice, site, pool)
    past.sign(80)
    with serving(tmp_path, site, "most_pages = 1000") as one:
        for _ in range(12):
            what = dice.random()
            if what < 0.6:
                past.sign(dice.choice([1, 5, 40]))
            elif what < 0.8:
                past.withdraw()
            # Somebody signs or is withdrawn while it is read, now and then.
            moments = {site.requests + dice.randint(1, 30) for _ in range(dice.randint(0, 2))}
            signs = dice.random() < 0.7
            site.before = lambda n, at=moments, s=signs: (  # type: ignore[misc]
                (past.sign(4) if s else past.withdraw()) if n in at else None
            )
            with contextlib.suppress(errors.SourceError):
                take(book, one, batch=dice.choice([1, 4, 1000]), most=dice.choice([1, 3, 10**9]))
        site.before = lambda _: None
        take(book, one, batch=1000)
    taken = Counter(on_list(book))
    signed = Counter(past.ever)
    # Who was withdrawn before a reading came by need not be on the list; everybody else is, once.
    assert signed - Counter(past.gone) <= taken <= signed


def test_a_comparison_takes_the_older_of_two_as_known() -> None:
    known = newest.Known(run=(1, 2), given=2)
    compared = newest.Comparison(known)
    compared.add([1, 1, 2])
    found = compared.result(at_end=True)
    assert found is not None
    assert list(found.fresh) == [0]
    assert newest.Known.load(found.known(known, 1).dump()) == newest.Known(run=(1, 1, 2), given=3)
    assert newest.Known.load("{}") is None
    assert newest.Known.load("[") is None


@hypothesis.given(
    st.integers(0, 700),
    st.integers(0, 40),
    st.sets(st.integers(0, 30), max_size=5),
    st.sets(st.integers(0, 30), max_size=2),
    st.sampled_from([1, 10, 50]),
)
def test_names_of_their_own_are_always_told_apart(
    count: int, new: int, gone: set[int], late: set[int], size: int
) -> None:
    before = list(range(count))
    known = newest.Known(run=tuple(before[: newest.RUN]), is_all=count <= newest.RUN, given=count)
    marks = [one for one in before if one not in gone]
    for place in late:
        if place + 30 < len(marks):
            marks.insert(place, 1000 + place)
    marks = [*range(2000, 2000 + new), *marks]
    compared = newest.Comparison(known)
    done = 0
    while done < len(marks) and not compared.is_enough():
        compared.add(marks[done : done + size])
        done += size
    found = compared.result(at_end=done >= len(marks))
    if found is None:
        assert 0 < count <= 2 * len(gone)
        return
    fresh = {compared.marks[place] for place in found.fresh}
    assert fresh == {one for one in compared.marks if one >= 1000}
    assert fresh >= set(range(2000, 2000 + new))
    after = found.known(known, len(found.fresh))
    assert list(after.run[: min(done, newest.RUN)]) == marks[: min(done, newest.RUN)]
    assert after.given == count + len(fresh)


def documented() -> list[str]:
    text = (pathlib.Path(__file__).parent.parent / "docs/sources/http-html.md").read_text()
    return re.findall(r"```toml\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("example", documented())
def test_the_documented_sections_are_read(tmp_path: pathlib.Path, example: str) -> None:
    csv = '[source]\nkind = "csv"\npath = "faces.csv"\nevery = "5m"\n'
    one = build.campaign(tmp_path, source=csv + example if "[count]" in example else example)
    section = one.count or one.source
    assert isinstance(section, htmlpage.HtmlSource)
    assert section.counts


async def test_the_documented_page_is_read(tmp_path: pathlib.Path, book: ledger.Ledger) -> None:
    page = """<p>Signed by <span id=signature-counter>24.845</span> people</p><ul class=signers>
    <li><b class="who big">Zoë Day</b> <i class=place>Nice</i> <time datetime=2026-11-02>now</time>
    <li><b class="who big">Al Fry</b> <i class=place>Lyon</i> <time datetime=2026-11-01>now</time>
    </ul>"""
    with http_server.running(lambda _: http_server.text(page)) as server:
        example = documented()[1].replace("https://petitions.example/p/faces", server.url())
        found = await read(book, build.campaign(tmp_path, source=example))
    assert (found.problem, found.standing.said) == ("", 24845)
    assert [(line.name, line.city) for line in book.signatures.lines("faces", 9)] == [
        ("Al Fry", "Lyon"),
        ("Zoë Day", "Nice"),
    ]
