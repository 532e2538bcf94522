"""Copies for the person here: each answer and bounce once, as a mail that any program opens."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import email
import email.policy
import pathlib

import pytest

import build
import mailing
import returns as samples
from deliverybot import agenda, config, forwards, inbox, ledger, model, returns, signatures
from deliverybot.ledger import records
from deliverybot.mail import passed, returned

INBOX = '\n[inbox]\nkind = "maildir"\npath = "Maildir"\nforward_to = "mira@campaigns.example"\n'


@dataclasses.dataclass
class Office:
    book: ledger.Ledger
    desk: agenda.Desk
    clock: build.Clock
    courier: mailing.Courier

    async def take(self, raw: bytes) -> records.Return:
        arrived = inbox.Arrived(raw=raw, cursor="x")
        await returns.take(self.book, self.desk.settings, arrived, "box", self.clock())
        return self.book.returns.all()[-1]

    async def answer(self, name: str = "answer_top_posted") -> records.Return:
        row = self.book.deliveries.get(1)
        return await self.take(samples.sample(name, message_id=row.message_id))

    async def forward(self) -> None:
        await forwards.forward(self.book, self.courier, self.desk)

    def state(self) -> str:
        return self.book.returns.get(1).forward


@pytest.fixture
def office(book: ledger.Ledger, tmp_path: pathlib.Path) -> Office:
    build.settings(tmp_path)
    file = tmp_path / "config.toml"
    file.write_text(file.read_text() + INBOX)
    settings = config.load(file, environ={})
    signatures.recognition_key(settings.state, book)
    build.grow(book, build.campaign(tmp_path), 100)
    build.put(book, "delivery", 1, state="sent", handed_at=build.NOW, sent_at=build.NOW)
    clock = build.Clock()
    desk = agenda.Desk(settings=settings, campaigns={}, owner="w1", clock=clock)
    return Office(book, desk, clock, mailing.Courier())


async def test_an_answer_goes_to_the_person_with_the_mail_as_it_came(office: Office) -> None:
    raw = samples.sample("answer_top_posted", message_id=office.book.deliveries.get(1).message_id)
    await office.take(raw)
    await office.forward()
    assert office.state() == "sent"
    ((content, sender, recipient),) = office.courier.given
    assert (sender, recipient) == ("letters@campaigns.example", "mira@campaigns.example")
    mail = email.message_from_bytes(content, policy=email.policy.default)
    assert mail["From"] == "Example Campaigns <letters@campaigns.example>"
    assert mail["Reply-To"] == "ceo@cloud.example"
    assert mail["Subject"] == "Answer: Re: 120 people ask you to stop"
    assert mail["Auto-Submitted"] == "auto-generated"
    text, attached = mail.iter_parts()
    assert "We will end these sales by March." in text.get_content()
    assert attached.get_content_type() == "message/rfc822"
    inner = attached.get_content()
    assert inner["Message-ID"] == "<CAx1@cloud.example>"
    assert raw.replace(b"\n", b"\r\n").rstrip() in content
    assert [d for part in mail.walk() for d in part.defects] == []


@pytest.mark.parametrize(
    ("name", "title"), [("bounce_exim", "Not delivered"), ("complaint_arf", "Complaint")]
)
async def test_bounces_and_complaints_are_told(office: Office, name: str, title: str) -> None:
    await office.answer(name)
    await office.forward()
    mail = email.message_from_bytes(office.courier.given[0][0], policy=email.policy.default)
    assert mail["Subject"].startswith(f"{title}: ")
    assert mail["Reply-To"] is None


@pytest.mark.parametrize("name", ["automatic_vacation", "delay_postfix", "answer_by_subject_alone"])
async def test_what_is_no_news_is_not_forwarded(office: Office, name: str) -> None:
    await office.answer(name)
    await office.forward()
    assert office.courier.given == []


async def test_a_mail_of_a_target_that_names_no_letter_is_passed_on_and_says_so(
    office: Office,
) -> None:
    raw = samples.sample("answer_by_subject_alone")
    await office.take(raw.replace(b"somebody@elsewhere.example", b"ceo@cloud.example"))
    await office.forward()
    mail = email.message_from_bytes(office.courier.given[0][0], policy=email.policy.default)
    text = next(iter(mail.iter_parts())).get_content()
    assert "does not say which letter" in text
    assert "Campaign:" not in text
    assert office.book.deliveries.get(1).state == "sent"


async def test_a_copy_goes_once(office: Office) -> None:
    await office.answer()
    for _ in range(3):
        await office.forward()
    assert len(office.courier.given) == 1
    assert build.audit(office.book, "return", 1) == [
        ("", "answer"), ("due", "handing_over"), ("handing_over", "sent"),
    ]  # fmt: skip


async def test_two_workers_send_one_copy(office: Office) -> None:
    row = await office.answer()
    both = [forwards.forward_one(office.book, office.courier, office.desk, row) for _ in range(2)]
    await asyncio.gather(*both)
    assert len(office.courier.given) == 1
    assert office.state() == "sent"


async def test_what_the_relay_puts_off_goes_later_the_very_same(office: Office) -> None:
    await office.answer()
    office.courier.answer = build.reply(model.Outcome.LATER, code=451)
    await office.forward()
    assert office.state() == "due"
    office.courier.answer = build.reply()
    office.clock.forward(hours=1)
    await office.forward()
    assert office.state() == "sent"
    first, second = office.courier.given
    assert first == second
    assert [one.outcome for one in office.book.returns.attempts(1)] == ["later", "done"]


async def test_what_is_put_off_for_too_long_is_given_up(office: Office) -> None:
    await office.answer()
    office.courier.answer = build.reply(model.Outcome.LATER, phase="connect", code=0)
    await office.forward()
    assert office.state() == "due"
    office.clock.forward(days=6)
    await office.forward()
    assert office.state() == "refused"


async def test_what_the_relay_refuses_is_refused(office: Office) -> None:
    await office.answer()
    office.courier.answer = build.reply(model.Outcome.HUMAN, phase="rcpt", code=550)
    await office.forward()
    assert office.state() == "refused"


@pytest.mark.parametrize("how", [asyncio.CancelledError, KeyboardInterrupt])
async def test_a_copy_that_is_cut_off_behind_its_dot_is_unsure(
    office: Office, how: type[BaseException]
) -> None:
    row = await office.answer()

    def cut() -> None:
        raise how

    office.courier.after = cut
    with contextlib.suppress(how):
        await forwards.forward_one(office.book, office.courier, office.desk, row)
    # A folder can be looked into; a relay cannot.
    settings = relayed(office)
    forwards.recover(office.book, settings, office.clock(), alone=True)
    assert office.state() == "unsure"
    office.courier.after = lambda: None
    await office.forward()
    assert len(office.courier.given) == 1


def relayed(office: Office) -> config.Settings:
    smtp = config.Mail.model_validate({"transport": "smtp", "host": "127.0.0.1"})
    return office.desk.settings.model_copy(update={"mail": smtp})


async def test_another_workers_copy_is_left_to_it_while_it_may_live(office: Office) -> None:
    row = await office.answer()
    office.book.returns.hand_over(row, who="w2", now=office.clock())
    forwards.recover(office.book, relayed(office), office.clock(), alone=False)
    assert office.state() == "handing_over"
    office.clock.forward(seconds=600 + 61)
    forwards.recover(office.book, relayed(office), office.clock(), alone=False)
    assert office.state() == "unsure"
    # It lived after all, and knows.
    office.book.returns.settle(row, build.reply(), "sent", over=True, who="w2", now=office.clock())
    assert office.state() == "sent"


async def test_a_copy_in_a_folder_is_looked_for_after_a_crash(office: Office) -> None:
    row = await office.answer()
    office.book.returns.hand_over(row, who="w1", now=office.clock())
    forwards.recover(office.book, office.desk.settings, office.clock(), alone=True)
    assert office.state() == "due"


async def test_a_copy_that_comes_back_to_us_is_no_answer(office: Office) -> None:
    await office.answer()
    await office.forward()
    again = await office.take(office.courier.given[0][0])
    assert (again.kind, again.delivery_id, again.forward) == ("automatic", None, "")


# --- its bytes ------------------------------------------------------------------------------------


def copy(raw: bytes, **more: str) -> bytes:
    known = {
        "from_name": "Example Campaigns", "from_address": "letters@campaigns.example",
        "to_address": "mira@campaigns.example", "reply_to": "", "subject": "Answer: Re: us",
        "text": "Somebody answered.\n",
    }  # fmt: skip
    one = passed.Copy(**(known | more), raw=raw, sha256="ab" * 32, date=build.NOW)
    return b"".join(passed.build(one, ()).chunks())


HOSTILE = {
    "eight bits": "Subject: \u00fcber\n\nGr\u00fc\u00dfe\n".encode(),
    "latin": b"From: a@b.example\nContent-Type: text/plain; charset=latin1\n\nGr\xfc\xdfe\n",
    "long lines": b"Subject: x\n\n" + b"y" * 5_000 + b"\n",
    "zeros": b"Subject: x\n\n\0\0\n",
    "our boundary": b"Subject: x\n\n--=_r" + b"ab" * 12 + b"--\nmore\n",
    "bare returns": b"Subject: x\r\rhello\rworld\r",
    "no head": b"\n\nhello\n",
    "a thousand parts": b'Content-Type: multipart/mixed; boundary="b"\n\n' + b"--b\n\na\n" * 1_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_came_back_can_be_passed_on(name: str) -> None:
    raw = HOSTILE[name]
    content = copy(raw)
    assert content.isascii()
    assert b"\0" not in content
    assert max(map(len, content.split(b"\r\n"))) <= 998
    assert content.count(b"\n") == content.count(b"\r\n") == content.count(b"\r")
    mail = email.message_from_bytes(content, policy=email.policy.compat32)
    parts = mail.get_payload()
    assert isinstance(parts, list)
    assert len(parts) == 2
    if isinstance(parts[1], email.message.Message) and (
        parts[1].get_content_type() == "application/octet-stream"
    ):
        assert parts[1].get_payload(decode=True) == raw
        assert base64.b64encode(raw)[:40] in content
    assert returned.read(content).own


@pytest.mark.parametrize("subject", ["=?utf-8?q?a=0ABcc:_x@y.example?=", "x" * 200, "\u00fc" * 99])
def test_a_subject_stays_a_subject(subject: str) -> None:
    mail = email.message_from_bytes(copy(b"", subject=subject), policy=email.policy.default)
    assert mail["Bcc"] is None
    assert len(mail.items()) == 9
    assert mail["Subject"].replace(" ", "") == subject.replace("=?", "= ?").replace(" ", "")
