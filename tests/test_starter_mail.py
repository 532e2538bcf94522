"""The mails of a new working folder and of the examples say where the list of signers is."""

from __future__ import annotations

import email
import email.policy
import pathlib
import re
import shutil

import pytest

import test_cli

ROOT = pathlib.Path(__file__).resolve().parent.parent
WEB = 'public_url = "https://campaigns.example"\n[web]\n\n[sender]'
LINKED = 'signers = "link"\nundo = "10m"'


@pytest.fixture
def bot(tmp_path: pathlib.Path) -> test_cli.Bot:
    test_cli.Bot(tmp_path)("init", "here")
    bot = test_cli.Bot(tmp_path / "here")
    bot.edit("config.toml", "[sender]", WEB)
    return bot


def test_a_letter_that_leads_to_its_list_does_not_say_that_it_has_it(bot: test_cli.Bot) -> None:
    bot.edit(test_cli.CAMPAIGN, 'undo = "10m"', LINKED)
    bot("run", "--once")
    shown = bot("deliveries", "show", "1").stdout
    assert "The names of the 3 of them who agreed to be named to you are in a list" in shown
    assert re.search(r"\nhttps://campaigns.example/signers/\S+\n\nWe would be", shown)
    assert "It lists" not in shown
    assert "1, new, 0 visits" in shown
    bot("links", "withdraw", "1")
    assert "1, withdrawn, 0 visits" in bot("deliveries", "show", "1").stdout


def test_a_letter_with_its_list_says_so(bot: test_cli.Bot) -> None:
    shown = bot("preview", "my-petition", "--as", "mail").stdout
    assert "It lists the 3 of them who agreed to be named to you.\n\nWe would be" in shown
    assert "signers/" not in shown


def test_a_letter_without_names_does_not_say_that_it_has_them(bot: test_cli.Bot) -> None:
    bot.edit(test_cli.CAMPAIGN, 'undo = "10m"', 'signers = "none"')
    shown = bot("preview", "my-petition", "--as", "mail").stdout
    assert "The attached letter says why.\n\nWe would be" in shown


def test_a_letter_without_a_salutation_has_no_empty_paragraph(bot: test_cli.Bot) -> None:
    bot.edit(test_cli.CAMPAIGN, 'salutation = "Dear Minister,"', "")
    bot("preview", "my-petition", "--as", "mail", "-o", "it.eml")
    mail = email.message_from_bytes(
        (bot.place / "it.eml").read_bytes(), policy=email.policy.default
    )
    page = mail.get_body(("html",))
    assert page is not None
    paragraphs = re.findall(r"<p>(.*?)</p>", page.get_content(), re.DOTALL)
    assert paragraphs[0].startswith("4 people have signed")
    assert all(paragraphs)


@pytest.mark.parametrize("name", ["face-surveillance", "racial-profiling"])
@pytest.mark.parametrize("link", [False, True])
def test_the_examples_say_where_the_list_is(bot: test_cli.Bot, name: str, link: bool) -> None:
    shutil.copy(ROOT / "letters" / name / "mail.txt", bot.place / "letters/my-petition/mail.txt")
    if link:
        bot.edit(test_cli.CAMPAIGN, 'undo = "10m"', LINKED)
    shown = bot("preview", "my-petition", "--as", "mail").stdout
    assert ("listed in the letter.\n\n" in shown) is not link
    assert ("listed here until" in shown) is link
    assert ("https://campaigns.example/signers/" in shown) is link
