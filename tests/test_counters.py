"""E-petitions and Decidim: numbers without names, against a real server on loopback."""

# ruff: noqa: ANN401 - JSON is anything

from __future__ import annotations

import datetime as dt
import json
import pathlib
from typing import Any

import pytest

import build
import examples
import http_server
from deliverybot import campaign as campaigns
from deliverybot import errors, ledger, signatures, sources

FIXTURES = pathlib.Path(__file__).parent / "fixtures" / "sources"
NOW = build.NOW
KEY = b"k" * 32
MEANS = sources.Means(sleep=lambda _: None)
MODIFIED = "Sun, 22 Nov 2026 00:59:50 GMT"


def fixture(name: str) -> Any:
    return json.loads((FIXTURES / name).read_text())


def plan(folder: pathlib.Path, kind: str, url: str, *lines: str) -> campaigns.Campaign:
    section = ["[source]", f'kind = "{kind}"', f"url = {json.dumps(url)}", 'every = "5m"', *lines]
    delivery = 'first_reading = "deliver"\nsigners = "none"'
    return build.campaign(
        folder, source="\n".join(section), delivery=delivery, plan="at = [10000, 12000]"
    )


async def read(
    book: ledger.Ledger, one: campaigns.Campaign, now: dt.datetime = NOW
) -> signatures.Reading:
    return await signatures.read(book, one, key=KEY, now=now, means=MEANS)


def probe(one: campaigns.Campaign, state: str = "", now: dt.datetime = NOW) -> sources.Count | None:
    return sources.probe(one, state=state, secret=KEY, now=now, means=MEANS)


def look(one: campaigns.Campaign) -> list[errors.Fault]:
    return sources.look(one, now=NOW, means=MEANS)


# --- e-petitions ----------------------------------------------------------------------------------


def counted(number: object, **headers: str) -> http_server.Answer:
    content = fixture("epetitions_count.json") | {"signature_count": number}
    return http_server.json(content, headers=headers)


@pytest.mark.parametrize(
    "address",
    ["/petitions/70", "/petitions/70.json", "/petitions/70/", "/petitions/70/count.json"],
)
def test_the_number_of_a_petition(tmp_path: pathlib.Path, address: str) -> None:
    answers = {"/petitions/70/count.json": counted(10012)}
    with http_server.running(answers) as server:
        found = probe(plan(tmp_path, "epetitions", server.url(address)))
        assert found is not None
        assert found.signatures == 10012


async def test_a_number_is_asked_for_as_often_as_the_site_says(
    tmp_path: pathlib.Path, book: ledger.Ledger
) -> None:
    """Fresh for a minute by max-age; then a conditional request, and 304 where it is the same."""

    def answer(request: http_server.Request) -> http_server.Reply:
        if request.headers.get("if-modified-since") == MODIFIED:
            return http_server.Answer(status=304)
        return counted(10012, **{"Cache-Control": "public, max-age=60", "Last-Modified": MODIFIED})

    with http_server.running(answer) as server:
        one = plan(tmp_path, "epetitions", server.url("/petitions/7"))
        first = await read(book, one)
        assert (first.problem, first.standing.signatures) == ("", 10012)
        assert build.advance(book, one).cross is not None
        await read(book, one, NOW + dt.timedelta(seconds=59))
        assert len(server.requests) == 1
        later = await read(book, one, NOW + dt.timedelta(seconds=60))
        assert (later.problem, later.standing.signatures) == ("", 10012)
        assert [r.headers.get("if-modified-since") for r in server.requests] == [None, MODIFIED]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"Cache-Control": "max-age=30"}, 30),
        ({"Cache-Control": "public, MAX-AGE=30", "Age": "10"}, 20),
        ({"Cache-Control": "max-age=30", "Age": "40"}, 0),
        ({"Cache-Control": "max-age=31536000"}, 3600),
        ({"Cache-Control": "max-age=30, no-cache"}, 0),
        ({"Cache-Control": "no-store, max-age=30"}, 0),
        ({"Cache-Control": "s-maxage=30"}, 0),
        ({"Cache-Control": "max-age=-5"}, 0),
        ({"Cache-Control": "max-age=x"}, 0),
        ({"Cache-Control": "max-age=99999999999999"}, 3600),
    ],
)
def test_how_long_a_number_holds(
    tmp_path: pathlib.Path, headers: dict[str, str], seconds: int
) -> None:
    with http_server.running(lambda _: counted(5, **headers)) as server:
        one = plan(tmp_path, "epetitions", server.url("/petitions/7"))
        first = probe(one)
        assert first is not None
        if seconds:
            assert probe(one, first.state, NOW + dt.timedelta(seconds=seconds - 1)) is None
            assert len(server.requests) == 1
        assert probe(one, first.state, NOW + dt.timedelta(seconds=seconds)) is not None
        assert len(server.requests) == 2


async def test_a_number_may_fall(tmp_path: pathlib.Path, book: ledger.Ledger) -> None:
    """Signatures that are found to be false are taken away; what was announced stays."""
    with http_server.running(http_server.in_turn(counted(12010), counted(11900))) as server:
        one = plan(tmp_path, "epetitions", server.url("/petitions/7"))
        await read(book, one)
        crossed = build.advance(book, one).cross
        assert crossed is not None
        assert crossed.key == "12000"
        assert (await read(book, one)).standing.signatures == 11900
        assert [m.key for m in build.advance(book, one).withdraw] == ["12000"]


async def test_a_number_that_all_but_vanishes_waits(
    tmp_path: pathlib.Path, book: ledger.Ledger
) -> None:
    with http_server.running(http_server.in_turn(counted(12010), counted(400))) as server:
        one = plan(tmp_path, "epetitions", server.url("/petitions/7"))
        await read(book, one)
        build.advance(book, one)
        await read(book, one)
        decision = build.advance(book, one)
        assert (decision.jump, decision.withdraw) == (400, ())


def test_an_archived_petition_is_found_on_the_same_host(tmp_path: pathlib.Path) -> None:
    petition = http_server.json(fixture("epetitions_petition.json"))
    answers = {
        "/petitions/7/count.json": http_server.redirect("/archived/petitions/7.json"),
        "/archived/petitions/7.json": petition,
    }
    with http_server.running(answers) as server:
        for address in ("/petitions/7", "/archived/petitions/7"):
            found = probe(plan(tmp_path, "epetitions", server.url(address)))
            assert found is not None
            assert found.signatures == 10012


def test_no_redirect_leads_to_another_host(tmp_path: pathlib.Path) -> None:
    answers = {"/petitions/7/count.json": http_server.redirect("https://other.example/7.json")}
    with http_server.running(answers) as server:
        one = plan(tmp_path, "epetitions", server.url("/petitions/7"))
        with pytest.raises(errors.SourceError, match="not asked"):
            probe(one)


@pytest.mark.parametrize("content", [{}, [], {"signature_count": None}, {"signature_count": "5k"}])
def test_an_answer_without_a_number(tmp_path: pathlib.Path, content: Any) -> None:
    with http_server.running(lambda _: http_server.json(content)) as server:
        one = plan(tmp_path, "epetitions", server.url("/petitions/7"))
        with pytest.raises(errors.SourceError):
            probe(one)


@pytest.mark.parametrize(
    ("state", "levels"),
    [("open", ["ok"]), ("closed", ["ok", "warning"]), ("rejected", ["ok", "warning"])],
)
def test_check_says_whether_a_petition_is_open(
    tmp_path: pathlib.Path, state: str, levels: list[str]
) -> None:
    content = fixture("epetitions_petition.json")
    content["data"]["attributes"] |= {"state": state, "action": "Stop\u202e it"}
    with http_server.running({"/petitions/7.json": http_server.json(content)}) as server:
        found = look(plan(tmp_path, "epetitions", server.url("/petitions/7")))
        assert [fault.level for fault in found] == levels
        assert f"'Stop it': 10012 signatures, '{state}'" in found[0].what


@pytest.mark.parametrize("url", ["https://p.example/", "https://p.example/petitions/new"])
def test_an_address_that_is_no_petition(tmp_path: pathlib.Path, url: str) -> None:
    with pytest.raises(errors.ConfigError, match="not the address of one petition"):
        plan(tmp_path, "epetitions", url)


def test_a_number_alone_lists_nobody(tmp_path: pathlib.Path) -> None:
    source = '[source]\nkind = "epetitions"\nurl = "https://p.example/petitions/7"\nevery = "5m"'
    with pytest.raises(errors.ConfigError, match="says how many signed and not who"):
        build.campaign(tmp_path, source=source)


@pytest.mark.parametrize("number", range(len(examples.blocks("epetitions.md"))))
def test_each_example_of_the_page_says_a_number(tmp_path: pathlib.Path, number: int) -> None:
    text = examples.blocks("epetitions.md")[number]
    with http_server.running({"/petitions/700001/count.json": counted(10012)}) as server:
        changes = {"https://petition.parliament.example": server.url("")}
        found = probe(examples.campaign(tmp_path, text, changes=changes))
        assert found is not None
        assert found.signatures == 10012


# --- Decidim --------------------------------------------------------------------------------------


def votes(**changed: object) -> dict[str, Any]:
    content: dict[str, Any] = fixture("decidim_initiative.json")
    content["data"]["initiative"] |= changed
    return content


@pytest.mark.parametrize(
    ("line", "count"), [("", 852), ("offline = true", 852), ("offline = false", 812)]
)
@pytest.mark.parametrize("address", ["", "/", "/api", "/?locale=en"])
def test_the_number_of_an_initiative(
    tmp_path: pathlib.Path, line: str, count: int, address: str
) -> None:
    with http_server.running({"/api": http_server.json(votes())}) as server:
        one = plan(tmp_path, "decidim", server.url(address), "initiative = 7", line)
        assert probe(one) == (count, "")
        asked = server.requests[0]
        assert asked.method == "POST"
        assert asked.json()["variables"] == {"id": "7"}
        assert "onlineVotes offlineVotes" in asked.json()["query"]


def test_the_example_of_the_page_says_a_number_of_both(tmp_path: pathlib.Path) -> None:
    (text,) = examples.blocks("decidim.md")
    with http_server.running({"/api": http_server.json(votes())}) as server:
        changes = {"https://decidim.example.org": server.url("")}
        assert probe(examples.campaign(tmp_path, text, changes=changes)) == (852, "")


def test_an_initiative_without_paper(tmp_path: pathlib.Path) -> None:
    with http_server.running({"/api": http_server.json(votes(offlineVotes=None))}) as server:
        assert probe(plan(tmp_path, "decidim", server.url(), "initiative = 7")) == (812, "")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ({"errors": [{"message": "Field 'x' doesn't exist"}]}, "Field 'x'"),
        (votes() | {"errors": [{"message": "partly"}]}, "partly"),
        (votes() | {"errors": "no"}, "no"),
        ({"data": {"initiative": None}}, "no initiative 7"),
        ({"data": None}, "no initiative 7"),
        ([], "no initiative 7"),
        (votes(id="8"), "another initiative"),
        (votes(onlineVotes=None), "finds nothing"),
        (votes(onlineVotes=True), "no certain count"),
        (votes(onlineVotes=-1), "no certain count"),
        (votes(offlineVotes="1.5k"), "no certain count"),
        (votes(offlineVotes=2.0), "no certain count"),
    ],
)
async def test_an_answer_that_is_none_keeps_the_last_good_number(
    tmp_path: pathlib.Path, book: ledger.Ledger, content: Any, what: str
) -> None:
    turns = http_server.in_turn(http_server.json(votes()), http_server.json(content))
    with http_server.running(turns) as server:
        one = plan(tmp_path, "decidim", server.url(), "initiative = 7")
        assert (await read(book, one)).standing.signatures == 852
        failed = await read(book, one)
        assert what in failed.problem
        assert failed.standing.signatures == 852


def test_an_initiative_whose_paper_is_missing_is_no_answer(tmp_path: pathlib.Path) -> None:
    content = votes()
    del content["data"]["initiative"]["offlineVotes"]
    with http_server.running({"/api": http_server.json(content)}) as server:
        with pytest.raises(errors.SourceError, match="offlineVotes"):
            probe(plan(tmp_path, "decidim", server.url(), "initiative = 7"))
        one = plan(tmp_path, "decidim", server.url(), "initiative = 7", "offline = false")
        assert probe(one) == (812, "")


@pytest.mark.parametrize(
    ("state", "levels"),
    [
        ("published", ["ok"]),
        ("open", ["ok"]),
        ("rejected", ["ok", "warning"]),
        (5, ["ok", "warning"]),
    ],
)
def test_check_says_whether_an_initiative_is_open(
    tmp_path: pathlib.Path, state: object, levels: list[str]
) -> None:
    with http_server.running({"/api": http_server.json(votes(state=state))}) as server:
        found = look(plan(tmp_path, "decidim", server.url(), "initiative = 7"))
        assert [fault.level for fault in found] == levels
        assert "812 signatures online and 40 on paper" in found[0].what
