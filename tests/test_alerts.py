"""An operator is told what waits and what went wrong: once, at least once, and by no secret."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import email
import email.policy
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from click import testing

import build
import http_server
import smtp_server
import test_cli
from deliverybot import alerts, cli, config, daemon, errors, ledger, model, notifying, reasons
from deliverybot.alerts import memory, messenger, things

NOW = build.NOW
MINUTE, DAY = dt.timedelta(minutes=1), dt.timedelta(days=1)
TOKEN = "tk-s3cr3t-t0ken"
URLS = "DELIVERYBOT_ALERTS__URLS"
LETTER = "my-petition/delivery 1 held"


def thing(
    key: str,
    *,
    text: str = "",
    campaign: str = "faces",
    trouble: bool = False,
    passing: bool = False,
) -> things.Thing:
    reason = reasons.Reason(
        key=key, text=text or f"{key} is so", trouble=trouble, passing=passing,
        waits=not (trouble or passing),
    )  # fmt: skip
    return things.Thing(reason=reason, campaign=campaign, title="No faces" if campaign else "")


def keys(those: list[things.Thing]) -> list[str]:
    return [one.reason.key for one in those]


# --- what an address was told, without a network --------------------------------------------------


class Told:
    """An address that takes every message, looked at again and again."""

    def __init__(self, after: int = 0, again: int | None = None, *, paced: bool = False) -> None:
        self.after, self.again, self.memory = after, again, memory.Memory()
        self.paced = paced

    def __call__(self, now: dt.datetime, *there: things.Thing) -> list[str]:
        kept = memory.load(memory.dump({"a": self.memory.seen(there, now)}))["a"]
        may = kept.may(now, alone=True, anyway=not self.paced)
        due = kept.due(there, now, after=self.after, again=self.again) if may else []
        self.memory = kept.told(due, now) if due else kept
        return keys(due)


def test_a_thing_is_told_once_and_again_when_it_comes_again() -> None:
    tell, one, two = Told(), thing("one"), thing("two")
    assert tell(NOW, one) == ["one"]
    assert tell(NOW + MINUTE, one) == []
    assert tell(NOW + 2 * MINUTE, one, two) == ["two"]
    assert tell(NOW + 3 * MINUTE, two) == []
    assert tell(NOW + 4 * MINUTE, one, two) == ["one"]


def test_what_is_over_leaves_nothing_in_the_memory() -> None:
    tell = Told()
    tell(NOW, thing("one"), thing("two"))
    tell(NOW + MINUTE)
    assert tell.memory.known == {}


def test_its_words_may_change_meanwhile() -> None:
    tell = Told()
    assert tell(NOW, thing("source", text="failed once", trouble=True)) == ["source"]
    assert tell(NOW + MINUTE, thing("source", text="failed twice", trouble=True)) == []


def test_what_is_soon_over_is_not_told() -> None:
    tell, blip = Told(after=300), thing("source", trouble=True)
    assert tell(NOW, blip) == []
    assert tell(NOW + 4 * MINUTE, blip) == []
    assert tell(NOW + 4.5 * MINUTE) == []
    assert tell(NOW + 6 * MINUTE, blip) == [], "it is another one"
    assert tell(NOW + 11 * MINUTE, blip) == ["source"]


def test_what_comes_and_goes_is_told_once_a_day() -> None:
    tell, few = Told(), thing("comments", passing=True)
    assert tell(NOW, few) == ["comments"]
    assert tell(NOW + MINUTE) == []
    assert tell(NOW + 2 * MINUTE, few) == []
    assert tell(NOW + DAY, few) == ["comments"], "they came in after those that were told"
    assert tell(NOW + 2 * DAY, few) == []
    assert tell(NOW + 3 * DAY) == []
    assert tell.memory.known == {}


def test_what_still_waits_is_told_again_where_that_is_wanted() -> None:
    tell = Told(again=3600)
    there = (thing("held"), thing("bounced", trouble=True))
    assert tell(NOW, *there) == ["held", "bounced"]
    assert tell(NOW + 59 * MINUTE, *there) == []
    assert tell(NOW + 60 * MINUTE, *there) == ["held"], "nobody can do anything about the other"
    assert tell(NOW + 90 * MINUTE, *there) == []
    assert tell(NOW + 120 * MINUTE, *there) == ["held"]


def test_letters_that_come_one_by_one_are_told_together() -> None:
    """Six hundred letters take hours to be made; a person is not woken for each."""
    tell = Told(after=300, paced=True)
    there = list[things.Thing]()
    messages, told, now = 0, list[str](), NOW
    for n in range(600):
        now = NOW + n * MINUTE / 2
        there.append(thing(f"delivery {n} held"))
        due = tell(now, *there)
        messages += bool(due)
        told += due
    assert messages == 8, "after 0, 1, 6, 21, 81, 141, 201 and 261 minutes"
    later = now + 2 * DAY
    told += tell(later, *there)
    assert told == keys(there), "none is lost"
    tell(later + DAY, *there)
    assert tell(later + DAY, *there, thing("relay")) == []
    assert tell(later + DAY + 5 * MINUTE, *there, thing("relay")) == ["relay"], "after a quiet day"


def test_what_came_at_different_hours_is_reminded_of_together() -> None:
    tell, there = Told(again=24 * 3600), list[things.Thing]()
    for n in range(6):
        there.append(thing(f"delivery {n} held"))
        tell(NOW + n * DAY / 8, *there)
    hours = [n for n in range(24, 24 * 8) if tell(NOW + n * DAY / 24, *there)]
    assert len(hours) == 7, hours


def test_a_clock_that_is_set_back_silences_nothing() -> None:
    tell = Told(after=300)
    tell(NOW, thing("held"))
    assert tell(NOW - DAY, thing("held")) == ["held"]
    failed = memory.Memory().failed(NOW)
    assert not failed.may(NOW, alone=True, anyway=False)
    assert failed.may(NOW - DAY, alone=True, anyway=False)
    claimed = memory.Memory(claimed=NOW + MINUTE)
    assert not claimed.may(NOW, alone=False, anyway=False)
    assert claimed.may(NOW - DAY, alone=False, anyway=False), "of one that died before"


def test_a_clock_that_was_a_year_ahead_silences_no_name_to_look_at() -> None:
    tell, few = Told(), thing("flagged", passing=True)
    assert tell(NOW + 365 * DAY, few) == ["flagged"]
    assert tell(NOW) == []
    assert tell(NOW + MINUTE, few) == ["flagged"]
    assert tell(NOW + 2 * MINUTE, few) == []


def test_an_address_that_takes_nothing_is_tried_ever_more_rarely() -> None:
    kept, now, waits = memory.Memory(), NOW, []
    for _ in range(6):
        kept = kept.failed(now)
        assert kept.until is not None
        assert not kept.may(kept.until - MINUTE / 60, alone=True, anyway=False)
        assert kept.may(kept.until, alone=True, anyway=False)
        waits.append((kept.until - now) // MINUTE)
        now = kept.until
    assert waits == [1, 5, 15, 60, 60, 60]
    assert kept.told([], now).failures == 0


# --- what is told ---------------------------------------------------------------------------------


def test_one_thing_is_its_own_title() -> None:
    text = "delivery 1 to ceo waits: `deliverybot deliveries show 1`"
    said = things.message([thing("delivery 1 held", text=text)], "Example")
    assert said.title == "faces: delivery 1 to ceo waits"
    assert said.body.splitlines() == [
        "No faces (faces)", f"- {text}", "", "`deliverybot status` says all of it", "(Example)",
    ]  # fmt: skip
    assert not said.trouble


def test_many_things_are_counted_and_ten_are_listed() -> None:
    there = [thing(f"delivery {n} held") for n in range(45)]
    there += [thing("relay", campaign="", trouble=True)]
    said = things.message(there, "Example")
    assert said.title == "faces, all campaigns: 45 things wait for you, 1 thing went wrong"
    assert said.body.count("\n- ") == things.MOST
    assert "\nand 36 more\n" in said.body
    assert said.trouble


@pytest.mark.parametrize("campaigns", [1, 30])
def test_a_message_fits_where_2000_letters_do(campaigns: int) -> None:
    """Discord takes no more, and answers 400 whenever it is tried again."""
    there = [
        dataclasses.replace(
            thing(f"delivery {n} held", text="words " * 2000, campaign=f"{n % campaigns}" * 64),
            title="of many words " * 50,
        )
        for n in range(30)
    ]
    said = things.message(there, "Example " * 300)
    assert len(said.title) + len("\r\n") + len(said.body) <= 2000
    assert re.search(r"and \d+ more", said.body)


async def test_a_service_that_takes_less_gets_the_beginning() -> None:
    """As a short message does; more of it would be refused again and again."""
    body = "".join(f"- thing {n}\n" for n in range(160))
    with http_server.running(lambda _: http_server.Answer()) as server:
        asked = f"smseagle://{TOKEN}@127.0.0.1:{server.port}/+4915112345678"
        await messenger.send(asked, things.Message(title="160 things wait for you", body=body))
        (request,) = server.requests
    said = request.json()["params"]["message"]
    assert said.startswith("160 things wait for you")
    assert 1000 < len(said) <= 1200


def test_no_address_of_a_person_and_no_call_for_everyone_is_quoted() -> None:
    text = (
        "delivery 1 is refused: 550 <ada@mail.example> unknown; ask @everyone or <@here>\n@channel"
    )
    (line,) = [one for one in things.message([thing("x", text=text)], "E").body.splitlines()
               if one.startswith("- ")]  # fmt: skip
    assert "@" not in line
    assert "ada" not in line
    assert "550 […] unknown; ask everyone" in line
    (again,) = [one for one in things.message([thing("y", text="see /why?id=ada%40mail.example")],
                "E").body.splitlines() if one.startswith("- ")]  # fmt: skip
    assert again == "- see […]"


def test_no_markup_hides_a_link_or_wakes_a_channel() -> None:
    """Mattermost takes both, of Slack's kind and of Markdown's, from whatever it is sent."""
    bad = "<!channel> [log in](https://evil.example) <https://evil.example|here> @all"
    one = dataclasses.replace(thing("x", text=f"delivery 1 is refused: {bad}"), title=bad)
    for said in (things.message([one], bad), things.trial(bad)):
        whole = said.title + said.body
        assert not re.search(r"[<>@]|\]\(", whole)
        assert "https://evil.example" in whole, "it is shown as what it is"


def test_a_letter_that_cannot_be_made_quotes_no_signer(tmp_path: pathlib.Path) -> None:
    """Why it cannot be made may hold a name; `deliveries show` says it."""
    options = build.settings(tmp_path)
    plan = build.campaign(tmp_path, posts=())
    with contextlib.closing(ledger.open_ledger(options.database_url)) as book:
        build.grow(book, plan, 100)
        (row,) = book.deliveries.select()
        broken = {"problem": "no font here draws 'Ada Lovelace'"}
        book.deliveries.freeze(row, broken, approve=False, why="", now=NOW)
        desk = alerts.Desk(
            book=book, settings=options, campaigns={"faces": plan}, clock=lambda: NOW
        )
        (one,) = alerts.look(desk, NOW)
    assert "Ada" in one.reason.text
    assert one.text == (
        "delivery 1 to ceo is held, since something must be mended: `deliverybot deliveries show 1`"
    )


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (
            "list.csv:1: there is no column 'Name' (hint: the columns are: 'Ada Lovelace')",
            "list.csv:1: there is no column […]",
        ),
        ('the database said: no date: "Ada Lovelace"', "the database said: no date: […]"),
        ("the database said: no date: 'Ada O'Lovelace'", "the database said: no date: […]"),
        ("the signers' list: it answered 503", "the signers' list: it answered 503"),
    ],
)
def test_a_source_that_cannot_be_read_quotes_no_signer(
    tmp_path: pathlib.Path, problem: str, said: str
) -> None:
    """The first row of a list without a heading is a signer; `status` shows it."""
    options = build.settings(tmp_path)
    plan = build.campaign(tmp_path, posts=())
    with contextlib.closing(ledger.open_ledger(options.database_url)) as book:
        build.grow(book, plan, 1)
        book.signatures.read("faces", now=NOW, problem=problem, not_before=NOW + MINUTE)
        desk = alerts.Desk(
            book=book, settings=options, campaigns={"faces": plan}, clock=lambda: NOW
        )
        (one,) = alerts.look(desk, NOW)
    assert problem in one.reason.text
    assert one.text == f"the source cannot be read since {NOW:%Y-%m-%d %H:%M} UTC: {said}"


def test_the_second_person_is_told_once_the_first_has_said_yes(tmp_path: pathlib.Path) -> None:
    options = build.settings(tmp_path)
    plan = build.campaign(tmp_path, posts=())
    tell = Told()
    with contextlib.closing(ledger.open_ledger(options.database_url)) as book:
        build.grow(book, plan, 100)
        build.put(book, "delivery", 1, state="held", digest="x")
        desk = alerts.Desk(
            book=book, settings=options, campaigns={"faces": plan}, clock=lambda: NOW
        )
        assert tell(NOW, *alerts.look(desk, NOW)) == ["delivery 1 held"]
        build.put(book, "delivery", 1, state="held", agreed_by="Bea", agreed_digest="x")
        (one,) = alerts.look(desk, NOW)
        assert tell(NOW, one) == ["delivery 1 held half"]
        assert "Bea said yes, and a second person must" in one.text
        assert tell(NOW, one) == []


def test_only_what_is_asked_for_is_told(tmp_path: pathlib.Path) -> None:
    options = build.settings(tmp_path)
    plan = build.campaign(tmp_path, posts=(), targets=("ceo", "chair"))
    with contextlib.closing(ledger.open_ledger(options.database_url)) as book:
        build.grow(book, plan, 100)
        build.put(book, "delivery", 1, state="held")
        build.put(book, "delivery", 2, state="bounced", why="550 no such user")
        found = {}
        for about in (("waiting",), ("trouble",), ("waiting", "trouble")):
            section = {"alerts": notifying.Alerts(about=about)}
            desk = alerts.Desk(
                book=book, settings=options.model_copy(update=section),
                campaigns={"faces": plan}, clock=lambda: NOW,
            )  # fmt: skip
            found[about] = keys(alerts.look(desk, NOW))
    waits, bounced = "delivery 1 held", "delivery 2 bounced"
    assert list(found.values()) == [[waits], [bounced], [bounced, waits]]


# --- the whole chain ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A working folder after a run that told nobody: one letter and one post are held."""
    place = tmp_path_factory.mktemp("ran")
    test_cli.Bot(place)("init", "here")
    made = test_cli.Bot(place / "here")
    made.edit(test_cli.CAMPAIGN, '"Mon-Fri 09:00-17:00" ', '"Mon-Sun 00:00-24:00"')
    made.edit(test_cli.CAMPAIGN, 'holidays = "GB" ', 'holidays = ""')
    made("run", "--once")
    return made.place


@pytest.fixture
def bot(template: pathlib.Path, tmp_path: pathlib.Path) -> test_cli.Bot:
    return test_cli.Bot(pathlib.Path(shutil.copytree(template, tmp_path / "bot")))


@pytest.fixture
def server() -> Iterator[http_server.Server]:
    with http_server.running({f"/{TOKEN}": http_server.Answer()}) as running:
        yield running


def url(port: int, path: str = TOKEN) -> str:
    return f"json://127.0.0.1:{port}/{path}"


def bodies(server: http_server.Server) -> list[str]:
    return [request.json()["message"] for request in server.requests]


def listed(bot: test_cli.Bot, urls: str) -> list[str]:
    """The keys of what was told, as `alerts list` says it."""
    given = ["-c", str(bot.place / "config.toml"), "alerts", "list", "--json"]
    here = testing.CliRunner(env=test_cli.environment(DELIVERYBOT_ALERTS__URLS=urls))
    rows = json.loads(here.invoke(cli.cli, given, catch_exceptions=False).stdout)
    return [row["what"].partition(" waits")[0] for row in rows if row["told"]]


def test_what_waits_is_told_once_and_then_only_what_is_new(
    bot: test_cli.Bot, server: http_server.Server
) -> None:
    told = url(server.port)
    bot("run", "--once", DELIVERYBOT_ALERTS__URLS=told)
    (first,) = server.requests
    said = first.json()
    assert said["title"] == "my-petition: 2 things wait for you"
    assert (
        "- delivery 1 to transport-minister waits: `deliverybot deliveries show 1`"
        in (said["message"])
    )
    assert "`deliverybot deliveries approve 1`" in said["message"]
    assert "- post 1 on news waits" in said["message"]
    assert said["type"] == "info"
    bot("run", "--once", DELIVERYBOT_ALERTS__URLS=told)
    assert len(server.requests) == 1
    bot("deliveries", "approve", "1")
    (bot.place / test_cli.SIGNERS).write_bytes(b"\xff\xfe no list\n")
    bot("run", "--once", code=1, DELIVERYBOT_ALERTS__URLS=told)
    assert len(server.requests) == 2
    new = server.requests[1].json()
    assert new["type"] == "warning"
    assert new["title"].startswith("my-petition: the source cannot be read since")
    assert new["message"].count("\n- ") == 1


def test_nobody_is_told_without_addresses(bot: test_cli.Bot, server: http_server.Server) -> None:
    bot("run", "--once")
    assert not server.requests
    with bot.book() as book:
        assert book.alerts.read() == ""


async def test_a_server_that_is_down_is_told_later_and_nothing_is_lost(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture, closed_port: int
) -> None:
    clock = build.Clock()
    plan = build.campaign(tmp_path, posts=(), targets=("ceo", "chair"))
    settings = load(tmp_path, '[alerts]\nafter = "0s"\n', DELIVERYBOT_ALERTS__URLS=url(closed_port))
    with contextlib.closing(ledger.open_ledger(settings.database_url)) as book:
        build.grow(book, plan, 100)
        build.put(book, "delivery", 1, state="held")
        build.put(book, "delivery", 2, state="sent")
        desk = alerts.Desk(book=book, settings=settings, campaigns={"faces": plan}, clock=clock)
        await alerts.tell(desk)
        assert "address 1 (json) did not take a message: there was no connection" in caplog.text
        caplog.clear()
        clock.now += 2 * DAY
        build.put(book, "delivery", 2, state="held")
        await alerts.tell(desk)
        assert not [one for one in caplog.messages if "did not take" in one], "it was said"
        with http_server.running({f"/{TOKEN}": http_server.Answer()}) as server:
            # The same address to the ledger: it is known by what is written there.
            back = load(
                tmp_path, '[alerts]\nafter = "0s"\n', DELIVERYBOT_ALERTS__URLS=url(server.port)
            )
            new = dataclasses.replace(desk, settings=back)
            before, after = (alerts.addresses(one)[0].name for one in (desk, new))
            text = book.alerts.read()
            assert book.alerts.swap(text, text.replace(before, after))
            clock.now += 4 * MINUTE
            await alerts.tell(new)
            assert not server.requests, "it is left alone for five minutes"
            clock.now += MINUTE
            await alerts.tell(new)
            assert len(server.requests) == 1
            assert bodies(server)[0].count("\n- ") == 2


def _desk(bot: test_cli.Bot, book: ledger.Ledger, urls: str) -> alerts.Desk:
    book.know((bot.place / "var/recognition.key").read_bytes())
    settings = config.load(bot.place / "config.toml", environ={URLS: urls})
    return alerts.Desk(book=book, settings=settings, campaigns={}, clock=lambda: NOW)


def test_one_of_two_addresses_may_fail(bot: test_cli.Bot, server: http_server.Server) -> None:
    urls = f"{url(server.port, 'gone')}\n{url(server.port)}"
    done = bot("run", "--once", DELIVERYBOT_ALERTS__URLS=urls)
    assert "address 1 (json) did not take a message: it answered 404" in done.stderr
    assert len(server.asked(f"/{TOKEN}")) == 1
    bot("run", "--once", DELIVERYBOT_ALERTS__URLS=urls)
    assert len(server.asked("/gone")) == 2, "it is tried again"
    assert len(server.asked(f"/{TOKEN}")) == 1, "the other was told"


def test_a_kill_before_the_note_tells_it_again(bot: test_cli.Bot) -> None:
    """The message has arrived, and the bot dies before it can write that down."""
    victims: list[int] = []

    def answer(request: http_server.Request) -> http_server.Reply:
        if victims:
            os.kill(victims.pop(), signal.SIGKILL)
        return http_server.Answer()

    with http_server.running(answer) as server:
        told = test_cli.environment(DELIVERYBOT_ALERTS__URLS=url(server.port))
        # The request comes seconds after the start, which is when the number is known.
        process = subprocess.Popen(
            [*test_cli.COMMAND, "run", "--once"], cwd=bot.place, env=told,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        victims.append(process.pid)
        with process:
            process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        assert len(server.requests) == 1
        assert listed(bot, url(server.port)) == []
        bot("run", "--once", DELIVERYBOT_ALERTS__URLS=url(server.port))
        assert len(server.requests) == 2
        assert bodies(server)[0] == bodies(server)[1]
        assert len(listed(bot, url(server.port))) == 2


def test_a_server_that_hangs_holds_up_no_letter_and_no_end(bot: test_cli.Bot) -> None:
    bot.edit("config.toml", "[mail]\n", '[alerts]\nafter = "0s"\n\n[mail]\n')
    bot.edit(test_cli.CAMPAIGN, 'undo = "10m"', 'undo = "0s"')
    with http_server.running(lambda _: http_server.raw(lambda wire: wire.hang())) as server:
        hanging = f"{url(server.port)}?rto=600&cto=600"
        process = subprocess.Popen(
            [*test_cli.COMMAND, "run"], cwd=bot.place, stderr=subprocess.PIPE, text=True,
            env=test_cli.environment(DELIVERYBOT_ALERTS__URLS=hanging),
        )  # fmt: skip
        with process:
            try:
                server.wait_for(1, 60)
                bot("deliveries", "approve", "1")
                _until(lambda: list(bot.place.glob("var/outbox/mail/*.eml")))
                assert len(server.requests) == 1, "it hangs still"
            finally:
                began = time.monotonic()
                process.terminate()
                _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
        assert time.monotonic() - began < 30
        assert TOKEN not in said


def _until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


async def test_an_answer_that_never_comes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messenger, "DEADLINE", 3)
    message = things.Message(title="t", body="b")
    with http_server.running(lambda _: http_server.raw(lambda wire: wire.hang())) as server:
        why = await messenger.send(f"{url(server.port)}?rto=600", message)
    assert why == "there was no answer within 3 seconds"


# --- secrets --------------------------------------------------------------------------------------


def test_no_token_is_logged_kept_or_shown(bot: test_cli.Bot) -> None:
    with http_server.running(lambda _: http_server.text(f"no, {TOKEN}", status=500)) as server:
        told = f"json://ada:{TOKEN}@127.0.0.1:{server.port}/{TOKEN}"
        done = bot("--debug", "run", "--once", "-v", DELIVERYBOT_ALERTS__URLS=told)
        shown = bot("alerts", "list", "--json", DELIVERYBOT_ALERTS__URLS=told)
        checked = bot("check", "--offline", "--json", DELIVERYBOT_ALERTS__URLS=told)
    said = "".join(one.stdout + one.stderr for one in (done, shown, checked))
    assert "did not take a message: it answered 500" in said
    assert TOKEN not in said
    for file in (bot.place / "var").rglob("*"):
        if file.is_file():
            assert TOKEN.encode() not in file.read_bytes(), file


NO_CONNECTION = "there was no connection, or no answer in time"


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (http_server.text(f"no, {TOKEN}", status=401), "it answered 401"),
        (http_server.text(f"<html>{TOKEN}</html>", status=503), "it answered 503"),
        (http_server.redirect(f"/elsewhere/{TOKEN}"), "it answered 302"),
        (http_server.redirect(f"/elsewhere/{TOKEN}", 307), "it answered 307"),
        (http_server.sends(f"no HTTP: {TOKEN}\r\n\r\n".encode()), NO_CONNECTION),
        (http_server.sends(b""), NO_CONNECTION),
    ],
)
async def test_what_a_server_answers_is_not_quoted(
    reply: http_server.Reply, why: str, capfd: pytest.CaptureFixture[str]
) -> None:
    message = things.Message(title="t", body="b")
    with http_server.running(lambda _: reply) as server:
        assert await messenger.send(url(server.port), message) == why
        assert len(server.requests) == 1, "no redirect is followed"
    assert capfd.readouterr() == ("", "")


async def test_where_no_process_can_be_started_it_is_tried_again(
    server: http_server.Server,
) -> None:
    """As where each file that one may open is open: `tell` goes on with the other addresses."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)  # of those that are free: the open ones may have gaps between them
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        why = await messenger.send(url(server.port), things.trial("Example"))
        known = await messenger.known([url(server.port)])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert why == "no process could be started: Too many open files"
    assert known is None
    assert not server.requests


def test_no_token_stands_in_a_repr(tmp_path: pathlib.Path) -> None:
    build.settings(tmp_path)
    file = tmp_path / "config.toml"
    settings = config.load(file, environ={URLS: url(1)})
    with contextlib.closing(ledger.open_ledger(settings.database_url)) as book:
        desk = alerts.Desk(book=book, settings=settings, campaigns={}, clock=lambda: NOW)
        shown = f"{settings!r} {desk!r} {alerts.addresses(desk)!r}"
    assert TOKEN not in shown


def test_nothing_of_ours_reaches_the_process_that_sends(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No password of ~/.netrc or the environment, no proxy; and nobody else sees the token."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login ada password swordfish\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("DELIVERYBOT_MAIL__PASSWORD", "swordfish")
    seen: list[bytes] = []

    def answer(request: http_server.Request) -> http_server.Reply:
        """Look at the process that asks, while it asks."""
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (process / "cmdline").read_bytes()
                status = (process / "status").read_text()
                if b"deliverybot.alerts.apprising" in words and f"PPid:\t{sender.pid}\n" in status:
                    seen.append(words + (process / "environ").read_bytes())
        return http_server.Answer()

    with http_server.running(answer) as server:
        sender = subprocess.Popen(
            [sys.executable, "-P", "-c", SEND], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        with sender:
            out, _ = sender.communicate(url(server.port), timeout=60)
        assert json.loads(out)["why"] == ""
        (request,) = server.requests
    assert "authorization" not in request.headers
    assert len(seen) == 1
    assert b"PATH=" in seen[0]
    assert TOKEN.encode() not in seen[0]
    assert b"swordfish" not in seen[0]


def test_an_answer_without_end_costs_little_memory() -> None:
    def flood(wire: http_server.Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.suppress(OSError):
            for _ in range(3_000):
                wire.send(bytes(1_000_000))

    with http_server.running(lambda _: http_server.raw(flood)) as server:
        out = subprocess.run(
            [sys.executable, "-P", "-c", SEND], check=True, capture_output=True, text=True,
            input=url(server.port), timeout=90,
        )  # fmt: skip
    found = json.loads(out.stdout)
    assert found["why"] in {"it was not taken", "the process that sends it ended without an answer"}
    assert found["memory"] < 600_000_000


SEND = """
import asyncio, json, resource, sys
from deliverybot.alerts import messenger, things
why = asyncio.run(messenger.send(sys.stdin.read(), things.trial("Example")))
most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
print(json.dumps({"why": why, "memory": most}))
"""


async def test_what_apprise_would_read_from_elsewhere_is_no_address(
    tmp_path: pathlib.Path, server: http_server.Server
) -> None:
    """Configuration files, at home or on the web, and attachments."""
    (tmp_path / "apprise.yml").write_text(f"urls:\n - {url(server.port)}\n")
    asked = [
        f"file://{tmp_path / 'apprise.yml'}", f"http://127.0.0.1:{server.port}/{TOKEN}",
        f"https://127.0.0.1:{server.port}/{TOKEN}", "memory://x",
    ]  # fmt: skip
    assert await messenger.known(asked) == [False] * len(asked)
    message = things.Message(title="t", body="b")
    for one in asked[:2]:
        assert await messenger.send(one, message) == "Apprise knows no such address"
    assert not server.requests


# --- settings and check ---------------------------------------------------------------------------


def load(folder: pathlib.Path, lines: str = "", **environ: str) -> config.Settings:
    build.settings(folder)
    file = folder / "config.toml"
    file.write_text(f"{file.read_text()}\n{lines}")
    return config.load(file, environ=environ)


def test_the_addresses_have_no_place_in_the_file(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        load(tmp_path, f'[alerts]\nurls = "{url(1)}"\n')
    (fault,) = caught.value.faults
    assert "'urls' is a secret" in fault.what
    assert URLS in fault.hint
    assert "alerts__urls" in fault.hint
    assert TOKEN not in str(fault)


@pytest.mark.parametrize("sign", [",", ";"])
def test_two_addresses_with_a_comma_between_are_not_one(tmp_path: pathlib.Path, sign: str) -> None:
    """Apprise takes the second for topics of the first, which strangers may read."""
    with pytest.raises(errors.ConfigError) as caught:
        load(tmp_path, DELIVERYBOT_ALERTS__URLS=f"{url(1)}\n{url(2)}{sign}{url(3)}")
    (fault,) = caught.value.faults
    assert "number 2 of them seems to be two" in fault.what
    assert "a space or a new line" in fault.hint
    assert TOKEN not in str(fault)
    linked = f"{url(1)}?click=https://own.example/"
    found = load(tmp_path, DELIVERYBOT_ALERTS__URLS=linked).alerts
    assert found is not None
    assert found.addresses == [linked]


def test_addresses_stand_one_a_line_or_with_spaces_between(tmp_path: pathlib.Path) -> None:
    text = f"# at night\n  {url(1)}\n\n{url(2)}   {url(3)}\n"
    found = load(tmp_path, DELIVERYBOT_ALERTS__URLS=text).alerts
    assert found is not None
    assert found.addresses == [url(1), url(2), url(3)]
    twice = load(tmp_path, DELIVERYBOT_ALERTS__URLS=f"{url(1)} {url(1)}").alerts
    assert twice is not None
    assert twice.addresses == [url(1)]
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "alerts__urls").write_text(text)
    file = tmp_path / "config.toml"
    file.write_text(f'secrets_dir = "secrets"\n{file.read_text()}')
    found = config.load(file, environ={}).alerts
    assert found is not None
    assert found.addresses == [url(1), url(2), url(3)]


@pytest.mark.parametrize("wrong", [TOKEN, f"://{TOKEN}", "ntfy://", f"a b://{TOKEN}"])
def test_what_is_no_address_is_told_by_its_place(tmp_path: pathlib.Path, wrong: str) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        load(tmp_path, DELIVERYBOT_ALERTS__URLS=f"{url(1)}\n{wrong}")
    (fault,) = caught.value.faults
    assert "number 2 of them is no address" in fault.what
    assert fault.file == URLS
    assert TOKEN not in str(fault)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('about = ["milestones"]', "waiting"),
        ("about = []", "'about' is empty"),
        ('after = "soon"', "is no length of time"),
        ('again = "0s"', "is no length of time"),
        ("urls_file = 1", "unknown key 'urls_file'"),
    ],
)
def test_wrong_settings_are_named(tmp_path: pathlib.Path, lines: str, said: str) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        load(tmp_path, f"[alerts]\n{lines}\n")
    (fault,) = caught.value.faults
    assert said in str(fault)
    assert fault.line


@pytest.mark.parametrize(
    ("lines", "once", "seconds"),
    [("", False, 300), ("", True, 0), ('after = "1h"', True, 3600), ('after = "0s"', False, 0)],
)
def test_a_run_by_hand_tells_at_once(
    tmp_path: pathlib.Path, lines: str, once: bool, seconds: int
) -> None:
    found = load(tmp_path, f"[alerts]\n{lines}\n").alerts
    assert found is not None
    assert found.after_seconds(once=once) == seconds


def test_check_names_an_address_that_apprise_does_not_know(
    bot: test_cli.Bot, server: http_server.Server
) -> None:
    urls = f"{url(server.port)} nosuch://{TOKEN} slack://{TOKEN}"
    done = bot("check", "--offline", code=2, DELIVERYBOT_ALERTS__URLS=urls)
    assert "fault: alerts: Apprise does not know address 2 (nosuch://...)" in done.stdout
    assert "fault: alerts: Apprise does not know address 3 (slack://...)" in done.stdout
    assert TOKEN not in done.stdout
    assert not server.requests


async def test_check_says_where_alerts_go(
    tmp_path: pathlib.Path, server: http_server.Server
) -> None:
    urls = f"{url(server.port)} ntfys://ntfy.example/topic"
    (said,) = await alerts.check(load(tmp_path, DELIVERYBOT_ALERTS__URLS=urls))
    assert (said.level, said.what) == ("ok", "Apprise knows where alerts go: json, ntfys")
    assert not server.requests


async def test_check_says_that_apprise_is_missing(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(tmp_path, DELIVERYBOT_ALERTS__URLS=url(1))
    monkeypatch.setitem(sys.modules, "apprise", None)
    (fault,) = await alerts.check(settings)
    assert (fault.level, fault.hint) == ("fault", "pip install 'deliverybot[alerts]'")
    why = await messenger.send(url(1), things.trial("Example"))
    assert "not installed" in why


async def test_check_warns_where_nobody_is_told(tmp_path: pathlib.Path) -> None:
    (fault,) = await alerts.check(load(tmp_path, "[alerts]\n"))
    assert (fault.level, URLS in fault.hint) == ("warning", True)


async def test_apprise_knows_each_address_that_the_page_shows() -> None:
    text = (pathlib.Path(__file__).parent.parent / "docs" / "alerts.md").read_text()
    rows = re.findall(r"^\| [^|]+ \| `([a-z]+://[^`]+)` \|", text, re.MULTILINE)
    assert len(rows) == 9
    found = await messenger.known(rows)
    assert found is not None
    assert [row for row, known in zip(rows, found, strict=True) if not known] == []


async def test_mail_is_text_and_no_markup() -> None:
    with smtp_server.running() as server:
        asked = (
            f"mailto://127.0.0.1:{server.port}?from=a@own.example&to=b@own.example&mode=insecure"
        )
        body = "No <b>faces</b> & *stars*\n- one: `deliverybot status`"
        assert await messenger.send(asked, things.Message(title="T <i>", body=body)) == ""
    (taken,) = server.accepted
    mail = email.message_from_bytes(taken, policy=email.policy.default)
    assert (mail["Subject"], mail["To"]) == ("T <i>", "b@own.example")
    assert mail.get_content_type() == "text/plain"
    assert mail.get_content().split() == body.split()


# --- trying it out --------------------------------------------------------------------------------


def test_a_test_goes_to_each_address_and_changes_nothing(
    bot: test_cli.Bot, server: http_server.Server
) -> None:
    urls = f"{url(server.port)} {url(server.port, 'gone')}"
    done = bot("alerts", "test", code=1, DELIVERYBOT_ALERTS__URLS=urls)
    assert done.stdout.splitlines() == [
        "sent: address 1 (json)", "failed: address 2 (json): it answered 404",
    ]  # fmt: skip
    assert server.requests[0].json()["title"] == "deliverybot: a test"
    with bot.book() as book:
        assert book.alerts.read() == ""
    done = bot("alerts", "test", code=2)
    assert "there are no addresses" in done.stderr


def test_the_list_says_which_of_two_takes_nothing_and_what_to_do(
    bot: test_cli.Bot, server: http_server.Server
) -> None:
    urls = f"{url(server.port)} {url(server.port, 'gone')}"
    with bot.book() as book:
        desk = _desk(bot, book, urls)
        good, bad = (one.name for one in alerts.addresses(desk))
        kept = {good: memory.Memory(), bad: memory.Memory().failed(NOW).failed(NOW)}
        assert book.alerts.swap("", memory.dump(kept))
    done = bot("alerts", "list", DELIVERYBOT_ALERTS__URLS=urls)
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:]] == [
        ["1", "(json)"], ["1", "(json)"], ["2", "(json)"], ["2", "(json)"],
    ]  # fmt: skip
    assert "address 2 (json) did not take 2 messages in a row" in done.stderr
    assert f"again at {NOW + 5 * MINUTE:%Y-%m-%d %H:%M} UTC" in done.stderr
    assert "`deliverybot alerts test` says what is wrong" in done.stderr


def test_the_list_says_what_would_be_told(bot: test_cli.Bot, server: http_server.Server) -> None:
    told = url(server.port)
    rows = json.loads(bot("alerts", "list", "--json", DELIVERYBOT_ALERTS__URLS=told).stdout)
    assert [(row["campaign"], row["waits"], row["told"]) for row in rows] == [
        ("my-petition", True, None),
        ("my-petition", True, None),
    ]
    assert "not yet" in bot("alerts", "list", DELIVERYBOT_ALERTS__URLS=told).stdout
    assert not server.requests
    with bot.book() as book:
        assert book.alerts.read() == "", "looking changes nothing"


def test_what_only_tries_things_out_tells_nobody(
    bot: test_cli.Bot, server: http_server.Server
) -> None:
    told = url(server.port)
    bot("rehearse", "my-petition", "-o", "out", DELIVERYBOT_ALERTS__URLS=told)
    bot("preview", "my-petition", DELIVERYBOT_ALERTS__URLS=told)
    bot("test-send", "my-petition", "--to", "me@own.example", DELIVERYBOT_ALERTS__URLS=told)
    assert not server.requests


# --- both databases -------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "postgresql"])
def book(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[ledger.Ledger]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'ledger.db'}"
    else:
        url = str(request.getfixturevalue("postgres_database"))
    with contextlib.closing(ledger.open_ledger(url)) as opened:
        yield opened


def test_a_note_is_written_where_nobody_was_faster(book: ledger.Ledger) -> None:
    assert book.alerts.read() == ""
    assert book.alerts.swap("", "one")
    assert not book.alerts.swap("", "two")
    assert book.alerts.read() == "one"
    assert book.alerts.swap("one", "two")
    assert not book.alerts.swap("one", "three")
    assert book.alerts.read() == "two"


async def test_two_processes_tell_it_once(
    book: ledger.Ledger, tmp_path: pathlib.Path, server: http_server.Server
) -> None:
    """On PostgreSQL; on SQLite there is one process, and what it claimed when killed is void."""
    settings = load(tmp_path, '[alerts]\nafter = "0s"\n', DELIVERYBOT_ALERTS__URLS=url(server.port))
    plan = build.campaign(tmp_path, posts=())
    build.grow(book, plan, 100)
    build.put(book, "delivery", 1, state="held")
    desk = alerts.Desk(book=book, settings=settings, campaigns={"faces": plan}, clock=lambda: NOW)
    there = alerts.look(desk, NOW)
    (address,) = alerts.addresses(desk)
    alerts._change(book, lambda kept: alerts._seen(kept, [address], there, NOW))
    assert keys(alerts._claim(desk, address, there)) == ["delivery 1 held"]
    await alerts.tell(desk)
    assert len(server.requests) == (1 if book.single_process else 0)
    late = alerts.Desk(
        book=book, settings=settings, campaigns={"faces": plan}, clock=lambda: NOW + 2 * MINUTE
    )
    await alerts.tell(late)
    assert len(server.requests) == 1, "the claim of one that died is over"
    await alerts.tell(late)
    assert len(server.requests) == 1


async def test_who_was_told_stays_known_beside_a_process_with_other_addresses(
    book: ledger.Ledger, tmp_path: pathlib.Path, server: http_server.Server
) -> None:
    plan = build.campaign(tmp_path, posts=())
    desks = []
    for urls in (url(server.port), f"{url(server.port)}?other=1"):
        settings = load(tmp_path, '[alerts]\nafter = "0s"\n', DELIVERYBOT_ALERTS__URLS=urls)
        desks.append(alerts.Desk(
            book=book, settings=settings, campaigns={"faces": plan}, clock=lambda: NOW
        ))  # fmt: skip
    build.grow(book, plan, 100)
    build.put(book, "delivery", 1, state="held")
    for _ in range(3):
        for desk in desks:
            await alerts.tell(desk)
    assert len(server.requests) == 2
    assert len(memory.load(book.alerts.read())) == 2
    build.put(book, "delivery", 1, state="sent")
    await alerts.tell(desks[0])
    assert len(memory.load(book.alerts.read())) == 1, "the other was told of nothing that is left"


async def test_work_that_fails_is_told_all_the_same(
    book: ledger.Ledger,
    tmp_path: pathlib.Path,
    server: http_server.Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = load(tmp_path, DELIVERYBOT_ALERTS__URLS=url(server.port))
    plan = build.campaign(tmp_path, posts=())
    build.grow(book, plan, 100)
    build.put(book, "delivery", 1, state="held", digest="x")
    works = build.works(book, [plan], settings, build.Clock())

    async def fail() -> None:
        raise errors.LetterError([errors.Fault(level="fault", what="no such template")])

    monkeypatch.setattr(works, "freeze", fail)
    with pytest.raises(errors.LetterError):
        await daemon.once(works)
    assert len(server.requests) == 1


def test_milestones_are_no_alert(book: ledger.Ledger, tmp_path: pathlib.Path) -> None:
    settings = build.settings(tmp_path)
    plan = build.campaign(tmp_path, posts=())
    build.grow(book, plan, 100)
    for state in (model.Delivery.SENT, model.Delivery.APPROVED, model.Delivery.CANCELLED):
        build.put(book, "delivery", 1, state=state)
        desk = alerts.Desk(
            book=book, settings=settings, campaigns={"faces": plan}, clock=lambda: NOW
        )
        assert alerts.look(desk, NOW) == []
