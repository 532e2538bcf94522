"""Mails by strangers who know how the bot works: none stops it, and none moves what it must not."""

from __future__ import annotations

import contextlib
import email
import email.policy
import pathlib

import pytest

import build
import test_forwards
import test_returns
from deliverybot import errors, ledger, returns, signatures, values
from deliverybot.mail import mailbox, message, passed

template = test_returns.template
room = test_returns.room
both = test_returns.both
office = test_forwards.office


PILLS = {
    "beyond PostgreSQL": b"To: b+d3000000000.1.0123456789@campaigns.example\n\nhi\n",
    "beyond SQLite": b"To: b+d9999999999999999999.1.0123456789@campaigns.example\n\nhi\n",
    "NUL in what it answers": b"In-Reply-To: <a\0b@c.example>\n\nhi\n",
    "NUL in its own name": b"Message-ID: <a\0b@c.example>\n\nhi\n",
    "NUL in what came back": (
        b"Return-Path: <>\nX-Failed-Recipients: a@b.example\n\n550 no\n\n"
        b"--- original message ---\nMessage-ID: <a\0b@c.example>\n"
    ),
}


@pytest.mark.parametrize("name", PILLS)
def test_what_a_database_cannot_hold_stops_no_mailbox(both: test_returns.Room, name: str) -> None:
    assert both.take(b"From: a@b.example\n" + PILLS[name]) is None
    (back,) = both.back()
    assert back.delivery_id is None
    assert both.book.returns.mailbox("box").cursor == "1"


@pytest.mark.parametrize("state", ["due", "held", "approved", "retrying", "cancelled"])
@pytest.mark.parametrize("name", ["bounce_postfix", "complaint_arf"])
def test_a_notice_of_what_never_left_ends_no_address(
    room: test_returns.Room, state: str, name: str
) -> None:
    room.state(state, handed_at=None, sent_at=None)
    room.take(room.mail(name))
    assert (room.row().state, room.suppressed()) == (state, "")


def test_nobody_works_out_a_message_id_without_the_key(tmp_path: pathlib.Path) -> None:
    """All that goes in but the key is public, or stands in another target's letter."""
    ids = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        settings = build.settings(folder)
        with contextlib.closing(ledger.open_ledger(settings.database_url)) as book:
            signatures.recognition_key(settings.state, book)
            build.grow(book, build.campaign(folder), 100)
            (row,) = book.deliveries.select()
            ids.append(row.message_id)
            parts = ("campaigns.example", row.campaign, 1, row.version, row.target)
            assert message.message_id(*parts, secret=book.secret) == row.message_id
            assert message.message_id(*parts, secret=b"") != row.message_id
    assert ids[0].rpartition(".v1.")[0] == ids[1].rpartition(".v1.")[0]
    assert ids[0] != ids[1]


WORDS = {
    "a line end": b"=?utf-8?q?a=0D=0ABcc=3Ax=40y.example?=@b.example",
    "another address": b"=?utf-8?q?x=40y.example=3E=2C=3Ca?=@b.example",
    "a surrogate": b"=?utf-7?q?+2AA-?=@b.example",
}


@pytest.mark.parametrize("name", WORDS)
async def test_an_encoded_word_in_an_address_stops_no_copy_and_adds_nobody(
    office: test_forwards.Office, name: str
) -> None:
    """`email` decodes it in an address, too (as CVE-2024-6923 in a subject)."""
    told = office.book.deliveries.get(1).message_id.encode()
    raw = b"From: ceo@cloud.example\nReply-To: " + WORDS[name] + b"\nIn-Reply-To: " + told
    await office.take(raw + b"\n\nno\n")
    await office.forward()
    assert office.state() == "sent"
    mail = email.message_from_bytes(office.courier.given[0][0], policy=email.policy.default)
    assert mail["Reply-To"] == "ceo@cloud.example"
    assert mail["Bcc"] is None


def test_no_address_holds_an_encoded_word() -> None:
    for word in WORDS.values():
        with pytest.raises(errors.OutgoingError):
            mailbox.address(word.decode())


async def test_a_copy_that_cannot_be_made_holds_up_no_other(
    office: test_forwards.Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is refused, on record, and the second goes."""
    content = passed._content
    turns = iter([True, False])

    def broken(copy: passed.Copy) -> bytes:
        return content(copy) if not next(turns) else "\ud800".encode()

    monkeypatch.setattr(passed, "_content", broken)
    await office.answer()
    await office.answer("answer_from_assistant")
    await office.forward()
    assert [row.forward for row in office.book.returns.all()] == ["refused", "sent"]


def test_the_evidence_of_a_suppression_names_no_address(room: test_returns.Room) -> None:
    raw = room.mail("bounce_postfix").replace(b"<ceo@cloud.example>:", b"<CEO@cloud.example>:")
    room.take(raw)
    (one,) = room.book.suppressions.all()
    assert "User unknown" in one.evidence
    assert "ceo@" not in one.evidence.lower()
    said = [row.why for row in room.book.audit.since() if row.thing == "address"]
    assert len(said) == 1
    assert "ceo@" not in said[0].lower()


async def test_a_forged_sender_makes_few_copies(office: test_forwards.Office) -> None:
    """Anybody may write in a target's name; what names a letter is copied all the same."""
    for number in range(returns.UNTOLD_A_DAY + 5):
        sender = b"From: CEO@cloud.example\n" if number % 2 else b"From: ceo@cloud.example\n"
        await office.take(sender + b"Subject: %d\n\nbuy\n" % number)
    assert len(office.book.returns.forwards("due")) == returns.UNTOLD_A_DAY
    assert (await office.answer()).forward == "due"
    office.clock.forward(days=2)
    assert (await office.take(b"From: ceo@cloud.example\n\nme again\n")).forward == "due"


@pytest.mark.parametrize("domain", ["cloud.example", "cloud.\uff45xample", "cloud\u3002example"])
def test_a_made_up_domain_is_one_in_whatever_letters(domain: str) -> None:
    assert values.is_invented(f"ceo@{domain}")


def test_a_notice_that_the_library_trips_over_still_tells_its_letter(
    room: test_returns.Room,
) -> None:
    """It looks for a field in what may hold other bytes than ASCII (seen in 6.0)."""
    room.state("unsure", sent_at=None)
    raw = room.mail("receipt_postfix").replace(b"Action: relayed", b"Action: zugestellt \xe4")
    assert b"\xe4" in raw
    room.take(raw)
    (back,) = room.back()
    assert (back.kind, back.matched) == ("automatic", "verp")
    assert room.row().state == "sent"
