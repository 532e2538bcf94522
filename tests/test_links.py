"""A letter that leads to its list by a link: what it says, what lies there, what becomes of it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import hashlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator

import pypdfium2
import pytest

import build
import bulk
import smtp_server
import test_web as site
from deliverybot import campaign as campaigns
from deliverybot import config, errors, links, material, model, render, steps

RULES = 'first_reading = "deliver"\napproval = "none"\nsigners = "link"\nlink_days = 30'
URL = re.compile(r"https://campaigns\.example/signers/([A-Za-z0-9_-]{22})\b")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A letter to two targets that leads to a list of 250."""
    folder = tmp_path_factory.mktemp("link")
    with bulk.of(folder, 250, delivery=RULES, targets=("ceo", "chair")) as one:
        one.environ["DELIVERYBOT_WEB__LISTEN"] = "127.0.0.1:0"
        (folder / "letters" / "faces" / "mail.txt").unlink()
        asyncio.run(build.works(one.book, [one.plan], bare(one), one.clock).freeze())
    return folder


def bare(one: bulk.Bulk) -> config.Settings:
    """The settings, with the built-in mail."""
    found = one.settings
    (one.folder / "letters" / "faces" / "mail.txt").unlink(missing_ok=True)
    return found


@pytest.fixture
def one(tmp_path: pathlib.Path, made: pathlib.Path) -> Iterator[bulk.Bulk]:
    with bulk.again(made, tmp_path) as found:
        found.environ["DELIVERYBOT_WEB__LISTEN"] = "127.0.0.1:0"
        yield found


def works(one: bulk.Bulk) -> steps.Works:
    return build.works(one.book, [one.plan], bare(one), one.clock)


def pages(file: pathlib.Path) -> list[str]:
    with contextlib.closing(pypdfium2.PdfDocument(file)) as document:
        return [page.get_textpage().get_text_range() for page in document]


def test_letter_and_mail_say_where_the_list_is(one: bulk.Bulk) -> None:
    row, other = one.book.deliveries.select()
    assert (row.state, row.problem, row.files) == ("approved", "", "")
    (token,) = set(URL.findall(row.text))
    assert token not in other.text
    url = f"https://campaigns.example/signers/{token}"
    assert f"is open to you until 22 December 2026:\n{url}\n" in row.text
    assert f'<a href="{url}">{url}</a>' in row.html
    printed = "".join(pages(bare(one).state / row.pdf))
    assert url in re.sub(r"\s+", "", printed)
    assert "Their names are in a list that is open to you until 22 December 2026 at:" in printed
    assert bulk.wordy(250)[6].name not in printed
    done = subprocess.run(
        ["pdfinfo", "-url", str(bare(one).state / row.pdf)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert url in done.stdout


def test_the_list_names_everybody_and_no_target(one: bulk.Bulk) -> None:
    row, other = one.book.deliveries.select()
    file = json.loads(row.linked)
    assert row.linked == other.linked
    path = bare(one).state / file["path"]
    content = path.read_bytes()
    assert hashlib.sha256(content).hexdigest() == file["sha256"]
    assert bulk.numbers(content) == list(range(1, 251))
    front = pages(path)[0]
    assert "Vale" not in front
    assert "the 250 signers who agreed to be named" in front
    found = one.book.links.select()
    assert [link.path for link in found] == [file["path"]] * 2
    assert [link.expires_at for link in found] == [None, None]
    (token,) = set(URL.findall(row.text))
    assert found[0].token_sha256 == hashlib.sha256(token.encode()).hexdigest()


async def test_a_letter_made_again_has_the_same_address_and_bytes(one: bulk.Bulk) -> None:
    before = one.book.deliveries.select()
    for row in before:
        build.put(one.book, "delivery", row.id, inputs="", problem="anew")
    shutil.rmtree(bare(one).state / "letters")
    await works(one).freeze()
    after = one.book.deliveries.select()
    assert [(row.digest, row.pdf, row.linked) for row in after] == [
        (row.digest, row.pdf, row.linked) for row in before
    ]
    assert len(one.book.links.select()) == 2


async def test_it_works_from_the_first_mail_on_for_as_long_as_was_said(one: bulk.Bulk) -> None:
    with smtp_server.running() as server:
        one.relay(server)
        await works(one).send()
    assert [row.state for row in one.book.deliveries.select()] == ["sent", "sent"]
    for link in one.book.links.select():
        assert link.expires_at == one.clock() + dt.timedelta(days=30)
        assert link.state(one.clock()) == "open"
    (message, _) = [bulk.read(sent) for sent in server.accepted]
    (token,) = set(URL.findall(bulk.text(message)))
    place = site.Site(book=one.book, clock=one.clock, content=b"", file=one.folder)
    state = one.settings.state
    with site.running(place, state):
        answer, body = await asyncio.to_thread(place.ask, f"/signers/{token}")
        assert answer.status == 200
        assert bulk.numbers(body) == list(range(1, 251))
        # The letter says until 22 December: that day to its end.
        one.clock.now = dt.datetime(2026, 12, 23, tzinfo=dt.UTC)
        assert (await asyncio.to_thread(place.ask, f"/signers/{token}"))[0].status == 200
        one.clock.now = build.NOW + dt.timedelta(days=30)
        assert (await asyncio.to_thread(place.ask, f"/signers/{token}"))[0].status == 410


async def test_who_withdraws_before_it_left_is_not_on_the_list(one: bulk.Bulk) -> None:
    (old,) = {link.path for link in one.book.links.select()}
    hide(one, 7)
    await works(one).freeze()
    row = one.row
    (new,) = {link.path for link in one.book.links.select()}
    assert new != old
    assert not (bare(one).state / old).exists()
    content = (bare(one).state / new).read_bytes()
    text = "".join(pages(bare(one).state / new))
    assert bulk.wordy(250)[6].name.split()[0] not in text
    assert "Name withheld" in text
    assert hashlib.sha256(content).hexdigest() == json.loads(row.linked)["sha256"]


async def test_who_withdraws_after_it_left_changes_nothing_and_a_person_may_withdraw_the_link(
    one: bulk.Bulk,
) -> None:
    with smtp_server.running() as server:
        one.relay(server)
        await works(one).send()
    before = one.book.links.select()
    hide(one, 7)
    await works(one).freeze()
    assert one.book.links.select() == before
    one.book.links.withdraw(before[0].id, who="mira", why="asked", now=one.clock())
    assert [link.state(one.clock()) for link in one.book.links.select()] == ["withdrawn", "open"]


def hide(one: bulk.Bulk, number: int) -> None:
    one.book.signers.move(
        "faces", [number], model.Signature.HIDDEN, who="mira", why="asked", now=one.clock()
    )


async def test_another_list_behind_the_link_takes_the_approval_back(one: bulk.Bulk) -> None:
    path = bare(one).state / json.loads(one.row.linked)["path"]
    path.write_bytes(path.read_bytes() + b"%")
    with smtp_server.running() as server:
        one.relay(server)
        await works(one).send()
    assert server.accepted == []
    assert one.row.state == "held"
    assert "not the one that was frozen" in one.row.problem


async def test_a_letter_that_never_says_where_the_list_is_is_held(one: bulk.Bulk) -> None:
    letters = one.folder / "letters" / "faces"
    found = one.settings
    (letters / "letter.html").write_text("<html><body><p>We ask you to stop.</p></body></html>")
    await build.works(one.book, [one.plan], found, one.clock).freeze()
    assert "neither the letter nor its mail says where the list of signers is" in one.row.problem
    (letters / "mail.txt").write_text("Subject: Stop\n\nThe list: {{ signers_url }}\n")
    await build.works(one.book, [one.plan], found, one.clock).freeze()
    assert (one.row.state, one.row.problem) == ("approved", "")


async def test_a_campaign_that_attaches_again_takes_the_links_away(one: bulk.Bulk) -> None:
    one.plan = build.campaign(
        one.folder, plan="at = [250]", posts=(), targets=("ceo", "chair"),
        delivery=RULES.replace('"link"', '"attach"'),
    )  # fmt: skip
    await works(one).freeze()
    assert one.book.links.select() == []
    assert one.row.linked == ""
    assert not URL.search(one.row.text)
    assert list((bare(one).state / "letters").rglob("*-list-*")) == []


def test_a_post_never_says_where_a_targets_list_is(one: bulk.Bulk) -> None:
    row = one.row
    present = works(one)._present()
    case = present.case("faces", "ceo", row.milestone_id)
    assert case is not None
    assert case.signers_url
    facts = material.facts(one.book, case, bare(one))
    (one.folder / "letters" / "faces" / "post.txt").write_text("at {{ signers_url }} now\n")
    found = render.post(one.folder / "letters" / "faces", "post.txt", facts)
    assert (found.faults, found.text) == ([], "at  now")


def test_another_key_is_refused(one: bulk.Bulk) -> None:
    key = bare(one).state / "links.key"
    assert key.stat().st_mode & 0o777 == 0o600
    key.write_bytes(b"x" * 32)
    with pytest.raises(errors.LedgerError, match="not the key"):
        links.key(bare(one).state, one.book)
    key.write_bytes(b"short")
    with pytest.raises(errors.LedgerError, match="has 5 bytes"):
        links.key(bare(one).state, one.book)


def test_a_link_without_a_place_to_lead_to_is_a_fault(tmp_path: pathlib.Path) -> None:
    options = build.settings(tmp_path)
    plan = build.campaign(tmp_path, delivery='signers = "link"')
    line = plan.file.read_text().splitlines().index('signers = "link"') + 1
    (fault,) = campaigns.check([plan], options)
    assert (fault.level, fault.line) == ("fault", line)
    assert "needs the section [web]" in fault.what
    bare_ = options.model_copy(update={"public_url": ""})
    faults = campaigns.check([plan], bare_)
    assert [fault.what.partition(" in ")[0].partition(",")[0] for fault in faults] == [
        'signers = "link" needs public_url', 'signers = "link" needs the section [web]',
    ]  # fmt: skip


def test_run_hands_the_list_out_until_it_is_told_to_stop(one: bulk.Bulk) -> None:
    (token,) = set(URL.findall(one.row.text))
    with started(one) as process:
        port = int(said(process, r"the web server answers at 127\.0\.0\.1 port (\d+)"))
        said(process, r"delivery 2 to chair: (sent)")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        with contextlib.closing(connection):
            connection.request("GET", f"/signers/{token}")
            body = connection.getresponse().read()
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read() if process.stderr else ""
        assert process.wait(60) == 0
    assert bulk.numbers(body) == list(range(1, 251))
    assert token not in rest
    (link, _) = one.book.links.select()
    assert [visit.status for visit in one.book.links.visits(link.id)] == [200]


def test_without_web_nothing_is_handed_out(one: bulk.Bulk) -> None:
    with started(one, "--no-web") as process:
        said(process, r"delivery 2 to chair: (sent)")
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read() if process.stderr else ""
        assert process.wait(60) == 0
    assert "the web server" not in rest


@contextlib.contextmanager
def started(one: bulk.Bulk, *more: str) -> Iterator[subprocess.Popen[str]]:
    """Run the daemon as a person does."""
    (one.folder / "letters" / "faces" / "mail.txt").unlink(missing_ok=True)
    environment = {**os.environ, **one.environ}
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "deliverybot", "run", *more],
        cwd=one.folder, env=environment, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str], wanted: str) -> str:
    """Read the log until it says so; the test's own time-out ends a vain wait."""
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(wanted, line):
            return found[1]
    raise AssertionError(wanted)


def command(one: bulk.Bulk, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "deliverybot", *words],
        cwd=one.folder, env={**os.environ, **one.environ}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return done.stdout


async def test_the_commands_tell_and_act(one: bulk.Bulk) -> None:
    with smtp_server.running() as server:
        one.relay(server)
        await works(one).send()
    one.environ = {}
    first, second = json.loads(command(one, "links", "list", "--json"))
    assert (first["target"], first["delivery"], first["visits"]) == ("ceo", one.row.id, 0)
    assert first["sha256"] == second["sha256"] == json.loads(one.row.linked)["sha256"]
    known = json.loads(command(one, "deliveries", "show", str(one.row.id), "--json"))
    assert known["link"]["id"] == first["id"]
    assert (known["part"], known["parts"]) == (1, 1)
    assert f"link  {first['id']}, " in re.sub(" +", "  ", command(one, "deliveries", "show", "1"))
    out = command(one, "links", "withdraw", str(first["id"]), "--why", "a signer asked")
    assert out == f"withdrawn: link {first['id']}, after 0 visits\n"
    shown = json.loads(command(one, "links", "show", str(first["id"]), "--json"))
    assert (shown["state"], shown["audit"][0]["why"]) == ("withdrawn", "a signer asked")
    out = command(one, "links", "extend", str(second["id"]), "--days", "3000")
    assert out.startswith("open until ")
    assert "withdrawn" in command(one, "links", "list")
    assert "a signer asked" in command(one, "links", "show", str(first["id"]))


async def test_a_letter_that_came_by_another_way_starts_its_links_time(
    one: bulk.Bulk,
) -> None:
    script: dict[str, smtp_server.Script] = {"dot": (b"554 5.7.1 no\r\n",)}
    with smtp_server.running(script) as server:
        one.relay(server)
        await works(one).send()
    assert one.row.state == "human"
    build.sql(one.book, "update links set expires_at = null")
    command(one, "deliveries", "resolve", str(one.row.id), "--sent", "--why", "handed over by hand")
    (link, _) = one.book.links.select()
    assert link.expires_at is not None
    assert dt.timedelta(days=29) < link.expires_at - dt.datetime.now(dt.UTC) < dt.timedelta(days=31)
