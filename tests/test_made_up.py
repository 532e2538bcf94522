"""Made-up addresses never reach a real relay, whichever way a letter takes.

The relay of these tests has a name that nobody has: where it is asked for, the
answer tells so, and a letter that came so far was not refused by us.
"""

from __future__ import annotations

import contextlib
import pathlib

import pytest

import build
from deliverybot import config, ledger, mail, model, values
from deliverybot.mail import built, smtp

REAL = 'transport = "smtp"\nhost = "relay.invalid"\nsecurity = "none"'
LOCAL = 'transport = "smtp"\nhost = "127.0.0.1"\nsecurity = "none"'
NOBODYS = [
    *("ceo@cloud.example", "ceo@sub.cloud.EXAMPLE", "a@b.test", "a@b.invalid", "a@x.localhost"),
    *("a@example.com", "a@mail.Example.ORG", "a@example.net"),
]
SOMEBODYS = ["a@example.co.uk.ac", "a@testing.org", "a@notexample.com", "example.com@b.ac"]


def options(folder: pathlib.Path, relay: str) -> config.Settings:
    """Settings with another [mail] section."""
    build.settings(folder)
    file = folder / "config.toml"
    file.write_text(file.read_text().replace('transport = "folder"', relay))
    return config.load(file, environ={})


def nothing_more() -> None:
    raise AssertionError("the letter came to its final dot")


@pytest.mark.parametrize("address", NOBODYS)
async def test_the_courier_does_not_even_connect(tmp_path: pathlib.Path, address: str) -> None:
    courier = smtp.Courier(options(tmp_path, REAL).mail)
    reply = await courier.hand_over(
        built.of("<1@campaigns.example>", [b"Subject: hello\r\n\r\nhello\r\n"]),
        sender="letters@campaigns.example", recipient=address, token="",
        on_handing_over=nothing_more,
    )  # fmt: skip
    assert (reply.outcome, reply.phase) == (model.Outcome.HUMAN, "rcpt")
    assert "made-up address and relay.invalid is real" in reply.text


@pytest.mark.parametrize("address", NOBODYS)
def test_on_this_machine_and_in_a_folder_they_are_welcome(
    tmp_path: pathlib.Path, address: str
) -> None:
    assert mail.made_up(options(tmp_path, LOCAL).mail, address) == ""
    assert mail.made_up(build.settings(tmp_path).mail, address) == ""


@pytest.mark.parametrize("address", SOMEBODYS)
def test_what_only_looks_alike_is_somebodys(tmp_path: pathlib.Path, address: str) -> None:
    assert not values.is_invented(address)
    assert mail.made_up(options(tmp_path, REAL).mail, address) == ""


async def test_a_letter_to_nobody_is_held_when_it_is_made(tmp_path: pathlib.Path) -> None:
    plan = build.campaign(
        tmp_path, posts=(), delivery='approval = "none"\nfirst_reading = "deliver"'
    )
    build.csv(tmp_path, 100)
    clock = build.Clock()
    with contextlib.closing(ledger.open_ledger(f"sqlite:///{tmp_path / 'l.db'}")) as book:
        works = build.works(book, [plan], options(tmp_path, REAL), clock)
        await works.poll("faces")
        for _ in range(3):
            await works.freeze()
            await works.send()
        (row,) = book.deliveries.select()
        assert (row.state, row.attempts) == ("held", 0)
        assert "ceo@cloud.example is a made-up address" in row.problem
        assert build.audit(book, "delivery") == [("", "due"), ("due", "held")]


async def test_a_letter_that_was_approved_for_a_folder_is_held(tmp_path: pathlib.Path) -> None:
    plan = build.campaign(tmp_path, posts=())
    build.csv(tmp_path, 100)
    clock = build.Clock()
    with contextlib.closing(ledger.open_ledger(f"sqlite:///{tmp_path / 'l.db'}")) as book:
        works = build.works(book, [plan], build.settings(tmp_path), clock)
        await works.poll("faces")
        await works.freeze()
        book.deliveries.approve(book.deliveries.get(1), who="mira", now=clock())
        real = build.works(book, [plan], options(tmp_path, REAL), clock)
        await real.send()
        row = book.deliveries.get(1)
        assert (row.state, row.attempts, row.approved_by) == ("held", 0, "")
        assert "relay.invalid is real" in row.problem
