"""Understanding what comes back: every server's way to say no, every machine's way to answer."""

from __future__ import annotations

import email.header
import time
from collections.abc import Callable

import hypothesis
import pytest
from hypothesis import strategies

import returns
from deliverybot import model
from deliverybot.mail import returned

BOUNCE, DELAY, RECEIPT, AUTOMATIC, ANSWER, COMPLAINT, UNKNOWN = model.Return

#: Sample -> kind, status, whether the address is dead.
MEANINGS = {
    "answer_about_holidays": (ANSWER, "", False),
    "answer_by_address_alone": (ANSWER, "", False),
    "answer_by_subject_alone": (ANSWER, "", False),
    "answer_from_assistant": (ANSWER, "", False),
    "answer_top_posted": (ANSWER, "", False),
    "automatic_outlook_english": (AUTOMATIC, "", False),
    "automatic_outlook_french": (AUTOMATIC, "", False),
    "automatic_outlook_german": (AUTOMATIC, "", False),
    "automatic_outlook_stripped": (AUTOMATIC, "", False),
    "automatic_ticket": (AUTOMATIC, "", False),
    "automatic_vacation": (AUTOMATIC, "", False),
    "bounce_exchange": (BOUNCE, "5.1.10", True),
    "bounce_exim": (BOUNCE, "5.1.1", True),
    "bounce_exim_old": (BOUNCE, "5.2.1", True),
    "bounce_gmail": (BOUNCE, "5.2.2", False),
    "bounce_other_address": (BOUNCE, "5.1.1", True),
    "bounce_policy": (BOUNCE, "5.7.1", False),
    "bounce_postfix": (BOUNCE, "5.1.1", True),
    "bounce_qmail": (BOUNCE, "5.1.1", True),
    "complaint_arf": (COMPLAINT, "", False),
    "delay_postfix": (DELAY, "4.4.1", False),
    "receipt_postfix": (RECEIPT, "2.0.0", False),
    "receipt_reading": (RECEIPT, "", False),
}
#: These name the letter by nothing but the address that they came to, or by nothing at all.
NO_MESSAGE_ID = {
    *("answer_by_address_alone", "answer_by_subject_alone", "automatic_vacation"),
    *("bounce_other_address", "bounce_policy", "delay_postfix", "receipt_postfix"),
}


def test_every_sample_has_its_meaning() -> None:
    assert set(returns.NAMES) == set(MEANINGS)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("name", MEANINGS)
def test_what_a_mail_is(name: str, line_end: bytes) -> None:
    mail = returned.read(returns.sample(name).replace(b"\n", line_end))
    assert (mail.kind, mail.status, mail.hard) == MEANINGS[name]
    named = returns.MESSAGE_ID in (*mail.about, *mail.references)
    assert named is (name not in NO_MESSAGE_ID)


@pytest.mark.parametrize(
    "name", ["bounce_postfix", "bounce_qmail", "bounce_policy", "complaint_arf", "delay_postfix"]
)
def test_the_envelope_it_came_to_is_kept(name: str) -> None:
    assert returns.VERP in returned.read(returns.sample(name)).recipients


@pytest.mark.parametrize(
    "name", ["bounce_postfix", "complaint_arf", "delay_postfix", "receipt_postfix"]
)
def test_the_envelope_id_is_kept(name: str) -> None:
    assert returned.read(returns.sample(name)).envelope_ids == (returns.ENVELOPE_ID,)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("answer_top_posted", "Thank you for your letter. We will end these sales by March."),
        (
            "answer_from_assistant",
            "On behalf of Ms. Vale: our position is attached. Gr\u00fc\u00dfe",
        ),
        (
            "bounce_postfix",
            (
                "550 5.1.1 <ceo@cloud.example>: Recipient address rejected: "
                "User unknown in virtual mailbox table"
            ),
        ),
        ("bounce_exim", "550 Unrouteable address"),
        ("receipt_reading", "displayed"),
        ("complaint_arf", "abuse"),
        ("automatic_vacation", "Auto-Submitted: auto-replied (vacation)"),
        ("automatic_outlook_stripped", "the subject and X-Auto-Response-Suppress"),
        ("automatic_ticket", "Precedence and the sender's address"),
    ],
)
def test_its_words_are_kept(name: str, said: str) -> None:
    assert returned.read(returns.sample(name)).said == said


def test_who_wrote_and_about_what_is_read() -> None:
    mail = returned.read(returns.sample("automatic_outlook_french"))
    assert mail.sender == "ceo@cloud.example"
    assert mail.subject == "R\u00e9ponse automatique : 120 people ask you to stop"
    assert mail.message_id == "<abc123@EX01.cloud.example>"
    postfix = returned.read(returns.sample("bounce_postfix"))
    assert set(postfix.failed) == {"ceo@cloud.example"}
    assert returned.read(returns.sample("bounce_other_address")).failed == (
        "left.long.ago@cloud.example",
    )


def test_the_oldest_name_of_a_thread_comes_last() -> None:
    mail = returned.read(returns.sample("answer_from_assistant"))
    assert mail.references == (returns.MESSAGE_ID, "<thread.1@cloud.example>")


# --- signs that a machine wrote -----------------------------------------------------------------


def plain(*lines: str, subject: str = "Re: your letter") -> bytes:
    head = ["From: Jordan Vale <ceo@cloud.example>", f"Subject: {subject}", *lines]
    return "\n".join([*head, "", "Words.", ""]).encode()


@pytest.mark.parametrize(
    "sign",
    [
        *("Auto-Submitted: auto-replied", "X-Autoreply: yes", "X-Autorespond: 120 people"),
        *("Precedence: auto_reply", "Return-Path: <>", "X-MS-Exchange-Inbox-Rules-Loop: a@b.c"),
    ],
)
def test_one_strong_sign_is_enough(sign: str) -> None:
    assert returned.read(plain(sign)).kind is AUTOMATIC


SUBJECTS = (
    *("Automatic reply: 120 people", "Out of Office: 120 people", "Auto: away"),
    *("Automatische Antwort: 120 people", "Abwesenheitsnotiz", "Abwesend: 120 people"),
    *("R\u00e9ponse automatique : 120 people", "Respuesta autom\u00e1tica: 120 people"),
    *("Risposta automatica: 120 people", "Automatisch antwoord: 120 people"),
    *("\u81ea\u52d5\u5fdc\u7b54: 120 people", "Otomatik yan\u0131t: 120 people"),
)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_subject_alone_is_no_sign_and_with_another_one_is(subject: str) -> None:
    encoded = email.header.Header(subject, "utf-8").encode()
    assert returned.read(plain(subject=encoded)).kind is ANSWER
    both = plain("X-Auto-Response-Suppress: All", subject=encoded)
    assert returned.read(both).kind is AUTOMATIC


@pytest.mark.parametrize("sign", ["Auto-Submitted: no", "Precedence: normal", "Precedence: bulk"])
def test_one_weak_sign_is_not_enough(sign: str) -> None:
    assert returned.read(plain(sign)).kind is ANSWER


def test_a_server_that_nobody_understands_is_no_person() -> None:
    raw = b"From: MAILER-DAEMON@cloud.example\nSubject: note\n\nSomething about your mail.\n"
    assert returned.read(raw).kind is AUTOMATIC


def test_a_bounce_that_a_person_passes_on_is_an_answer() -> None:
    inner = returns.sample("bounce_postfix")
    mail = (
        b"From: Jordan Vale <ceo@cloud.example>\nSubject: FW: bounced?\nMIME-Version: 1.0\n"
        b'Content-Type: multipart/mixed; boundary="x1"\n\n--x1\nContent-Type: text/plain\n\n'
        b"What is this?\n--x1\nContent-Type: message/rfc822\n\n" + inner + b"\n--x1--\n"
    )
    assert returned.read(mail).kind is ANSWER


def test_what_we_wrote_is_known() -> None:
    assert returned.read(plain(f"{returned.LOOP}: campaigns.example")).own


@pytest.mark.parametrize(
    ("given", "said", "status"),
    [
        ("5.0.0", "550 5.1.1 gone", "5.1.1"),
        ("5.0.0", "550 5.7.1 spam from 5.1.1.7", "5.7.1"),
        ("5.0.0", "550 host 5.1.1.7 says no", "5.0.0"),
        ("5.1.10 (bad)", "", "5.1.10"),
        ("", "550 No such user here", "5.1.1"),
        ("4.0.0", "450 User unknown, for now", "4.0.0"),
        ("5.2.2", "552 5.1.1 both", "5.2.2"),
        ("nonsense", "", ""),
    ],
)
def test_the_status_that_says_most_counts(given: str, said: str, status: str) -> None:
    raw = returns.sample("bounce_policy").decode()
    raw = raw.replace("Status: 5.7.1", f"Status: {given}")
    raw = raw.replace("smtp; 550 5.7.1 Message rejected as spam by Content Filtering.", said)
    mail = returned.read(raw.encode())
    assert (mail.kind, mail.status) == (BOUNCE, status)


# --- mails that are meant to hurt ---------------------------------------------------------------


def nested(depth: int) -> bytes:
    parts = "".join(
        f'Content-Type: multipart/mixed; boundary="b{n}"\n\n--b{n}\n' for n in range(depth)
    )
    return b"From: a@b.example\n" + parts.encode() + b"\nend\n"


def messages(depth: int) -> bytes:
    return b"Content-Type: message/rfc822\n\n" * depth + b"Subject: x\n\nend\n"


HOSTILE: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "a line end": lambda: b"\n",
    "zeros": lambda: b"\0" * 100_000,
    "no head": lambda: b"\n\nFrom: x\n",
    "one endless line": lambda: b"a" * 3_000_000,
    "an endless head": lambda: b"X: y\n" * 600_000,
    "an endless field": lambda: b"Subject: " + b"x" * 3_000_000 + b"\n\nhello\n",
    "an endless folded field": lambda: b"References: <a@b>\n" + b" <c@d>\n" * 300_000 + b"\n",
    "many parts": lambda: (
        b'Content-Type: multipart/mixed; boundary="x"\n\n'
        + b"--x\nContent-Type: text/plain\n\na\n" * 100_000
    ),
    "parts in parts": lambda: nested(5_000),
    "parts in parts, just few enough": lambda: nested(100),
    "mails in mails": lambda: messages(20_000),
    "mails in mails, just few enough": lambda: messages(100),
    "comments in comments": lambda: b"From: " + b"(" * 200_000 + b"\n\nx\n",
    "quotes": lambda: b'To: "' + b'\\"' * 100_000 + b"\n\nx\n",
    "brackets": lambda: b"In-Reply-To: " + b"<" * 200_000 + b"\n\nx\n",
    "encoded words": lambda: b"Subject: " + b"=?utf-8?q?=?= " * 20_000 + b"\n\nx\n",
    "unknown encodings": lambda: b"Subject: =?no-such?b?////?=\n\nx\n",
    "a broken parameter": lambda: b"Content-Type: text/plain; charset*9999999999=x''%\n\nx\n",
    "no boundary": lambda: b"Content-Type: multipart/report\n\n--\n--\n",
    "an empty boundary": lambda: b'Content-Type: multipart/report; boundary=""\n\n--\n\n----\n',
    "bytes in the head": lambda: b"From: \xff\xfe <\x80@\x81>\nSubject: \xe4\xf6\n\n\xff\n",
    "an unknown charset": lambda: b"From: a@b.example\nContent-Type: text/plain; charset=x\n\nhi\n",
    "uuencode cut": lambda: b"Content-Transfer-Encoding: uuencode\n\nbegin 644 x\n!!!\n",
    "base64 nonsense": lambda: b"Content-Transfer-Encoding: base64\n\n====A===\n",
    "a status in base64": lambda: (
        b'From: a@b.example\nContent-Type: multipart/report; boundary="x"\n\n--x\n'
        b"Content-Type: message/delivery-status\nContent-Transfer-Encoding: base64\n\n////\n--x--\n"
    ),
    "a bounce of many lines": lambda: (
        b"From: MAILER-DAEMON@b.example\n\n" + b"<a@b.example>:\n550 5.1.1 no\n" * 50_000
    ),
    "a bounce of one line": lambda: b"From: MAILER-DAEMON@b.example\n\n" + b"<a@b " * 400_000,
    "a bounce of blanks": lambda: b"Return-Path: <>\n\nHi. This is the\n" + b" " * 900_000 + b"x",
    "a bounce of empty lines": lambda: b"From: MAILER-DAEMON@b.example\n\n" + b" \n" * 450_000,
    "a report of many groups": lambda: (
        b"Content-Type: multipart/report; boundary=b\n\n--b\n"
        b"Content-Type: message/delivery-status\n\n" + b"Action: x\n\n" * 90_000 + b"--b--\n"
    ),
    "steering characters": lambda: b"Subject: \x1b[2J\x07\r\n\r\n\x1b]0;x\x07\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_mail_is_read_soon_and_raises_nothing(name: str) -> None:
    raw = HOSTILE[name]()
    started = time.process_time()
    mail = returned.read(raw)
    # Quadratic work on a megabyte takes minutes, and each of these half a second.
    assert time.process_time() - started < 10
    assert mail.kind in model.Return
    for value in (mail.subject, mail.sender, mail.said):
        assert len(value) <= 500
        assert value.isprintable()


@hypothesis.given(strategies.binary(max_size=2_000))
def test_no_bytes_raise(raw: bytes) -> None:
    assert returned.read(raw).kind in model.Return


def test_a_control_character_in_the_sign_of_a_machine_is_not_told() -> None:
    raw = returns.sample("automatic_vacation").replace(b"auto-replied", b"\x00auto-\x1breplied", 1)
    mail = returned.read(raw)
    assert (mail.kind, mail.said) == (AUTOMATIC, "Auto-Submitted: auto-replied (vacation)")


@hypothesis.settings(max_examples=300)
@hypothesis.given(strategies.data())
def test_no_damaged_mail_raises(data: strategies.DataObject) -> None:
    raw = bytearray(returns.sample(data.draw(strategies.sampled_from(returns.NAMES))))
    for _ in range(data.draw(strategies.integers(1, 6))):
        at = data.draw(strategies.integers(0, len(raw)))
        cut = data.draw(strategies.integers(0, 200))
        raw[at : at + cut] = data.draw(strategies.binary(max_size=20))
    mail = returned.read(bytes(raw))
    assert mail.kind in model.Return
    assert mail.said.isprintable()
