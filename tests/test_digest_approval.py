"""The yes to a digest keeps the rules of each campaign in it."""

from __future__ import annotations

import datetime as dt
import pathlib
import re

import pytest

import test_cli
from deliverybot import approvals, campaign

OPEN = 'hours = "Mon-Sun 00:00-24:00"\nbudget = "1/week"'


@pytest.fixture
def bot(tmp_path: pathlib.Path) -> test_cli.Bot:
    """Two campaigns to one address: the first asks one person at once, the second two."""
    test_cli.Bot(tmp_path)("init", "here")
    bot = test_cli.Bot(tmp_path / "here")
    bot.edit(test_cli.CAMPAIGN, 'hours = "Mon-Fri 09:00-17:00"', OPEN)
    bot.edit(test_cli.CAMPAIGN, 'holidays = "GB"', 'holidays = ""')
    first = bot.place / "schedules/first.toml"
    (bot.place / test_cli.CAMPAIGN).rename(first)
    text = first.read_text()
    first.write_text(text.replace('undo = "10m"', 'undo = "0s"'))
    second = text.replace('undo = "10m"', 'undo = "2h"\napprovers = 2')
    (bot.place / "schedules/second.toml").write_text(second)
    bot("run", "--once")
    bot("deliveries", "approve", "1")
    bot("deliveries", "approve", "2", "--now", "--by", "Ada")
    bot("deliveries", "approve", "2", "--now", "--by", "Kim")
    bot("run", "--once")
    with bot.book() as book:
        assert [row.state for row in book.deliveries.select()] == ["held", "merged"]
    return bot


def test_two_people_must_agree_where_one_of_the_campaigns_wants_two(bot: test_cli.Bot) -> None:
    said = bot("deliveries", "approve", "1", "--by", "Ada").stdout
    assert "one yes of two: delivery 1" in said
    bot("run", "--once")
    assert not list(bot.place.glob("var/outbox/mail/*.eml"))
    bot("deliveries", "approve", "1", "--by", "ada", code=2)
    said = bot("deliveries", "approve", "1", "--by", "Kim").stdout
    assert "approved: delivery 1" in said
    assert "`deliverybot deliveries hold 1` takes the approval back" in said
    bot("run", "--once")
    assert not list(bot.place.glob("var/outbox/mail/*.eml"))  # the second campaign's two hours


def test_each_pdf_in_the_mail_is_named(bot: test_cli.Bot) -> None:
    shown = bot("deliveries", "show", "1").stdout
    assert re.search(r"^pdf +\S+/letters/first/\S+\.pdf$", shown, re.MULTILINE)
    assert re.search(r"^in the same mail +\S+/letters/second/\S+\.pdf$", shown, re.MULTILINE)
    said = bot("deliveries", "approve", "1", "--by", "Ada").stdout
    assert re.search(r"in the same mail: \S+/letters/second/\S+\.pdf  \(1 page\)", said)
    assert re.search(r"^waiting +0 deliveries, 0 posts$", bot("db", "status").stdout, re.MULTILINE)


def test_then_it_goes(bot: test_cli.Bot) -> None:
    for name in ("Ada", "Kim"):
        bot("deliveries", "approve", "1", "--now", "--by", name)
    bot("run", "--once")
    assert len(list(bot.place.glob("var/outbox/mail/*.eml"))) == 1


def test_a_yes_to_a_digest_is_as_old_as_the_strictest_campaign_says(bot: test_cli.Bot) -> None:
    file = bot.place / "schedules/second.toml"
    file.write_text(file.read_text().replace('undo = "2h"', 'undo = "0s"\napproval_expires = "1d"'))
    for who in ("Ada", "Kim"):
        bot("deliveries", "approve", "1", "--by", who)
    known = {one.slug: one for one in campaign.load_all(bot.place / "schedules")}
    with bot.book() as book:
        at = book.deliveries.get(1).approved_at
        assert at is not None
        approvals.expire(book, known, at + dt.timedelta(hours=23))
        assert book.deliveries.get(1).state == "approved"
        approvals.expire(book, known, at + dt.timedelta(hours=25))
        row = book.deliveries.get(1)
        assert (row.state, row.approved_by) == ("held", "")
        assert row.why == "approved more than 1d ago; waits for approval"
