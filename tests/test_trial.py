"""Test letters: to oneself, marked as tests, and never to a target."""

from __future__ import annotations

import email
import email.policy
import io
import json
import pathlib
import shutil
from email.message import EmailMessage
from typing import Any

import pikepdf
import pypdfium2
import pytest

import build
import smtp_server
import test_cli

SELF = "me@desk.example"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A working folder with one held letter."""
    place = tmp_path_factory.mktemp("ran")
    test_cli.Bot(place)("init", "here")
    bot = test_cli.Bot(place / "here")
    bot("run", "--once")
    return bot.place


@pytest.fixture
def bot(template: pathlib.Path, tmp_path: pathlib.Path) -> test_cli.Bot:
    return test_cli.Bot(pathlib.Path(shutil.copytree(template, tmp_path / "bot")))


def try_out(bot: test_cli.Bot, *words: str) -> Any:  # noqa: ANN401 - whatever JSON can say
    return json.loads(bot("test-send", "my-petition", "--to", SELF, "--json", *words).stdout)


def mails(bot: test_cli.Bot) -> list[EmailMessage]:
    found = []
    for path in sorted(bot.place.glob("var/outbox/mail/*.eml")):
        read = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        assert isinstance(read, EmailMessage)
        found.append(read)
    return found


def test_all_of_it_says_that_it_is_a_test(bot: test_cli.Bot) -> None:
    report = try_out(bot)
    (mail,) = mails(bot)
    assert report["mails"][0]["outcome"] == "done"
    assert (mail["To"], mail["Subject"][:7]) == (SELF, "[TEST] ")
    assert mail["Message-ID"] == report["mails"][0]["message_id"]
    assert mail["Message-ID"].startswith("<test.my-petition.t")
    said = "This is a test. It was not sent to Robin Marsh."
    text, page = (mail.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert page is not None
    assert text.get_content().startswith(f"*** {said} ***")
    assert "Dear Minister," in text.get_content()
    assert page.get_content().partition("<body")[2].partition(said)[0].count("<p") == 1
    (pdf,) = mail.iter_attachments()
    assert pdf.get_filename() == "test-my-petition.pdf"
    content = pdf.get_content()
    with pikepdf.open(io.BytesIO(content)) as document:
        assert len(document.pages) == 1
    words = pypdfium2.PdfDocument(content)[0].get_textpage().get_text_range()
    assert said in " ".join(words.split())


def test_no_delivery_knows_of_it(bot: test_cli.Bot) -> None:
    before = bot.json("deliveries", "list")
    status = bot.json("status")
    try_out(bot)
    try_out(bot)
    assert len(mails(bot)) == 2
    assert bot.json("deliveries", "list") == before
    assert bot.json("status") == status
    log = [row for row in bot.json("audit") if row["thing"] == "test"]
    assert [(row["old"], row["new"]) for row in log] == [("", "leaving"), ("leaving", "done")] * 2
    assert not [row for row in log if SELF in row["why"]]
    assert all("@desk.example" in row["why"] for row in log)
    bot("run", "--once")
    assert bot.json("deliveries", "list")[0]["state"] == "held"


@pytest.mark.parametrize(
    "address",
    [
        "minister@transport.example",
        "MINISTER@Transport.Example",
        "minister+test@transport.example",
        "minister@transport.example.",
        "minister%transport.example@campaigns.example",
        "transport.example!minister@campaigns.example",
        "second@transport.example",
        "former@transport.example",
        "stopped@office.example",
    ],
)
def test_a_target_never_gets_one(bot: test_cli.Bot, address: str) -> None:
    """Neither of this campaign nor of another, neither now nor before, nor who asked us to stop."""
    campaign = (bot.place / test_cli.CAMPAIGN).read_text()
    other = campaign.replace("minister@", "second@")
    (bot.place / "schedules/other.toml").write_text(other)
    bot("suppressions", "add", "stopped@office.example", "--why", "asked to stop")
    with bot.book() as book:
        build.put(book, "delivery", 1, email="former@transport.example")
    done = bot("test-send", "my-petition", "--to", address, code=2)
    assert any(
        word in done.stderr
        for word in (
            "address of a target",
            "a way to another address",
            "not to be written to",
            "no mail address",
            "not a mail",
            "is not a domain",
        )
    ), done.stderr
    assert not mails(bot)


def test_over_a_relay_and_what_it_says(bot: test_cli.Bot) -> None:
    with smtp_server.running({"rcpt": [b"550 5.1.1 who?\r\n"]}) as server:
        bot.edit(
            "config.toml", 'transport = "folder"',
            f'transport = "smtp"\nhost = "127.0.0.1"\nport = {server.port}\nsecurity = "none"\n#',
        )  # fmt: skip
        done = bot("test-send", "my-petition", "--to", SELF, "--json", code=1)
        (mail,) = json.loads(done.stdout)["mails"]
        assert mail["outcome"] == "refused"
        assert "who?" in mail["reply"]
        assert server.accepted == []
        said = bot("test-send", "my-petition", "--to", SELF).stdout
        assert "done: [TEST] 4 people" in said
        (taken,) = server.accepted
        assert b"\r\nSubject: [TEST] " in b"\r\n" + taken
        assert b"RCPT TO:<me@desk.example>" in server.commands
        assert b"MAIL FROM:<letters@campaign.example>" in b"\n".join(server.commands)


def test_a_real_relay_gets_no_made_up_address(bot: test_cli.Bot) -> None:
    bot.edit("config.toml", 'transport = "folder"', 'transport = "smtp"\nhost = "relay.invalid"\n#')
    bot.edit(test_cli.CAMPAIGN, "minister@transport.example", "minister@transport.ac")
    done = bot("test-send", "my-petition", "--to", SELF, code=2)
    assert "made-up address and relay.invalid is real" in done.stderr


def test_with_a_number_and_before_the_first_run(tmp_path: pathlib.Path) -> None:
    test_cli.Bot(tmp_path)("init", "here")
    bot = test_cli.Bot(tmp_path / "here")
    report = try_out(bot, "--at", "3", "--target", "transport-minister")
    assert report["mails"][0]["subject"].startswith("[TEST] 3 people")
    assert (
        "no target 'x'"
        in bot("test-send", "my-petition", "--to", SELF, "--target", "x", code=2).stderr
    )
    assert bot.json("status")["campaigns"][0]["signatures"] == 0
