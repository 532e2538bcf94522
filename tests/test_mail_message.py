"""Letters as bytes: what is refused, what comes out, and that it is always the same."""

from __future__ import annotations

import dataclasses
import datetime as dt
import email
import email.policy
import functools
import hashlib
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest

from deliverybot import errors
from deliverybot.mail import encoded, fields, mailbox, message, proof

PDF = b"%PDF-1.7\n" + bytes(range(256)) * 50
SHA256 = hashlib.sha256(PDF).hexdigest()
TEXT = "Dear Ms. Vale,\n\n.a line with a dot\nFrom here on: ü\n" + "long " * 300 + "\n"


@pytest.fixture(scope="module")
def letter(tmp_path_factory: pytest.TempPathFactory) -> message.Letter:
    pdf = tmp_path_factory.mktemp("pdf") / "letter.pdf"
    pdf.write_bytes(PDF)
    return message.Letter(
        from_name="Example Campaigns",
        from_address="letters@campaigns.example",
        to_name="Jordan Vale",
        to_address="ceo@cloud.example",
        reply_to="desk@campaigns.example",
        subject="Stop selling face recognition",
        text=TEXT,
        html="<p>Dear Ms. Vale,</p>\n<p>ü</p>\n",
        attachments=(message.Attachment(path=pdf, name="letter.pdf", sha256=SHA256),),
        message_id=message.message_id("campaigns.example", "face", 100, 1, "cloud-ceo", secret=b""),
        date=dt.datetime(2026, 3, 1, 9, 30, tzinfo=dt.UTC),
        language="en",
    )


def change(letter: message.Letter, name: str, value: str) -> message.Letter:
    changes: dict[str, Any] = {name: value}
    if name == "pdf_name":
        changes = {"attachments": (dataclasses.replace(letter.attachments[0], name=value),)}
    return dataclasses.replace(letter, **changes)


def whole(letter: message.Letter) -> bytes:
    return b"".join(message.build(letter, ()).chunks())


def test_a_letter_reads_as_it_was_meant(letter: message.Letter) -> None:
    content = whole(letter)
    parsed = email.message_from_bytes(content, policy=email.policy.default)
    assert parsed["From"] == "Example Campaigns <letters@campaigns.example>"
    assert parsed["To"] == "Jordan Vale <ceo@cloud.example>"
    assert parsed["Reply-To"] == "desk@campaigns.example"
    assert parsed["Date"] == "Sun, 01 Mar 2026 09:30:00 +0000"
    assert parsed["Content-Language"] == "en"
    assert parsed["Message-ID"] == letter.message_id
    mixed = [part.get_content_type() for part in parsed.walk()]
    assert mixed == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "application/pdf",
    ]
    pdf = list(parsed.iter_attachments())[-1]
    assert (pdf.get_content(), pdf.get_filename()) == (PDF, "letter.pdf")
    plain = parsed.get_body(("plain",))
    assert plain is not None
    assert plain.get_content().replace("\r\n", "\n") == TEXT


def test_the_wire_takes_it(letter: message.Letter) -> None:
    content = whole(letter)
    assert content.isascii()
    assert content.count(b"\n") == content.count(b"\r\n") == content.count(b"\r")
    assert max(map(len, content.split(b"\r\n"))) <= 78


def test_the_same_letter_is_the_same_bytes(letter: message.Letter) -> None:
    assert whole(letter) == whole(letter)
    other = dataclasses.replace(letter, message_id="<other@campaigns.example>")
    assert whole(other) != whole(letter)


def test_without_a_reply_address_there_is_no_such_header(letter: message.Letter) -> None:
    content = whole(dataclasses.replace(letter, reply_to=""))
    assert b"Reply-To" not in content


FORGED = [
    "Stop\r\nBcc: all@press.example",
    "Stop\nBcc: all@press.example",
    "Stop\rBcc: all@press.example",
    "Stop\x00",
    "Stop\x0bBcc: all@press.example",
    "Stop\x85Bcc: all@press.example",
    "Stop\u2028Bcc: all@press.example",
    "Stop\u2029",
    "Stop \ud800",
    "=?utf-8?q?Stop=0D=0ABcc:_all@press.example?=",
    "=?UTF-8?B?U3RvcA0KQmNjOiBhbGxAcHJlc3MuZXhhbXBsZQ==?=",
    "Stop =?",
]
NAMES = ["from_name", "to_name", "subject", "pdf_name", "language", "message_id"]


@pytest.mark.parametrize("forged", FORGED, ids=repr)
@pytest.mark.parametrize("name", [*NAMES, "from_address", "to_address", "reply_to"])
def test_no_value_starts_another_header(letter: message.Letter, name: str, forged: str) -> None:
    with pytest.raises(errors.OutgoingError):
        whole(change(letter, name, forged))


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ceo",
        "@cloud.example",
        "ceo@",
        "a@b@cloud.example",
        "ceo@cloud.example, all@press.example",
        "ceo@cloud.example>",
        "<ceo@cloud.example>",
        "Vale <ceo@cloud.example>",
        "ceo@cloud..example",
        "ceo@-cloud.example",
        "ceo@cloud.example SIZE=1",
        '"a b"@cloud.example',
        "ceo@fa\u00df.example",
        "x" * 65 + "@cloud.example",
    ],
)
def test_only_one_plain_address_is_taken(letter: message.Letter, address: str) -> None:
    with pytest.raises(errors.OutgoingError):
        whole(dataclasses.replace(letter, to_address=address))


def test_domains_are_sent_in_ascii(letter: message.Letter) -> None:
    content = whole(dataclasses.replace(letter, to_address="vale@b\u00fccher.example"))
    assert b"To: Jordan Vale <vale@xn--bcher-kva.example>" in content
    assert not mailbox.needs_smtputf8("vale@b\u00fccher.example")


def test_a_name_beyond_ascii_before_the_at_is_told_apart(letter: message.Letter) -> None:
    assert mailbox.needs_smtputf8("j\u00f8rdan@cloud.example")
    content = whole(dataclasses.replace(letter, to_address="j\u00f8rdan@cloud.example"))
    assert "To: Jordan Vale <j\u00f8rdan@cloud.example>" in content.decode()


@pytest.mark.parametrize(
    "value",
    [
        "Zoë Müller-Lüdenscheidt",
        "佐藤 花子",
        "محمد العربي",
        "Анна Каренина " * 12,
        'Jordan "Jo" Vale, Jr. (CEO); <x>',
        "Vale, Jordan",
        "a" * 300,
        "plain words " * 40,
        "🎉 " * 60,
        "back\\slash",
        "= ?",
    ],
)
def test_every_script_survives_in_names_and_subject(letter: message.Letter, value: str) -> None:
    content = whole(dataclasses.replace(letter, from_name=value, to_name=value, subject=value))
    head = content.partition(b"\r\n\r\n")[0].decode("ascii")
    raw = dict(email.message_from_string(head).items())
    assert fields.read_text(raw["Subject"]) == value.strip()
    assert fields.read_mailboxes(raw["To"]) == [(value.strip(), "ceo@cloud.example")]


@hypothesis.settings(
    max_examples=150,
    database=None,
    suppress_health_check=[
        hypothesis.HealthCheck.function_scoped_fixture,
        hypothesis.HealthCheck.too_slow,
    ],
)
@hypothesis.given(name=st.sampled_from(["from_name", "to_name", "subject"]), value=st.text())
def test_any_text_is_refused_or_comes_through(
    letter: message.Letter, name: str, value: str
) -> None:
    try:
        content = whole(change(letter, name, value))
    except errors.OutgoingError as error:
        told = str(error)
        assert "control character" in told or "=?" in told or "subject is empty" in told
        return
    head = content.partition(b"\r\n\r\n")[0].decode("ascii").replace("\r\n ", "")
    names = [line.partition(":")[0] for line in head.splitlines()]
    assert sorted(names) == sorted(
        [
            *("From", "To", "Reply-To", "Subject", "Date", "Message-ID"),
            *("Content-Language", "MIME-Version", "Content-Type"),
        ]
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Subject: Stop", b"Bcc: all@press.example\r\nSubject: Stop"),
        (b"Subject: Stop", b"Subject: Go"),
        (b"To: Jordan Vale <ceo@cloud.example>", b"To: <ceo@cloud.example>, <all@press.example>"),
        (b"JVBERi0", b"JVBERi1"),
        (b"Content-Type: application/pdf", b"Content-Type: text/html"),
        (b"Dear Ms. Vale,\r\n", b"Dear Mr. Vale,\r\n"),
    ],
)
def test_what_was_built_is_compared(letter: message.Letter, old: bytes, new: bytes) -> None:
    meant = proof.Meant(
        headers={
            "From": ("Example Campaigns", "letters@campaigns.example"),
            "To": ("Jordan Vale", "ceo@cloud.example"),
            "Reply-To": ("", "desk@campaigns.example"),
        },
        subject=letter.subject,
        message_id=letter.message_id,
        text=letter.text,
        html=letter.html,
        attachments=[("letter.pdf", PDF)],
    )
    content = whole(letter)
    proof.compare(content, meant)
    assert old in content
    with pytest.raises(errors.OutgoingError, match="as it was meant"):
        proof.compare(content.replace(old, new, 1), meant)


def test_only_the_frozen_pdf_goes_out(letter: message.Letter) -> None:
    (pdf,) = letter.attachments
    for sha256, path, why in (
        ("0" * 64, pdf.path, "frozen"),
        ("0" * 64, Path("missing.pdf"), "cannot be read"),
    ):
        other = dataclasses.replace(pdf, sha256=sha256, path=path)
        for act in (whole, message.digest):
            with pytest.raises(errors.OutgoingError, match=why):
                act(dataclasses.replace(letter, attachments=(other,)))


@pytest.mark.parametrize(
    "name",
    ["subject", "text", "html", "from_name", "from_address", "reply_to", "to_name", "to_address"],
)
def test_the_digest_covers_what_a_person_approves(letter: message.Letter, name: str) -> None:
    changed = change(letter, name, "x" + getattr(letter, name))
    assert message.digest(changed) != message.digest(letter)


def test_the_digest_covers_the_pdf_and_not_the_date(letter: message.Letter, tmp_path: Path) -> None:
    path = tmp_path / "other.pdf"
    path.write_bytes(PDF + b"\n")
    other = message.Attachment(path=path, name="letter.pdf", sha256=encoded.sha256(path))
    assert message.digest(dataclasses.replace(letter, attachments=(other,))) != message.digest(
        letter
    )
    later = dataclasses.replace(letter, date=letter.date + dt.timedelta(days=1), message_id="<x@y>")
    assert message.digest(later) == message.digest(letter)


def test_the_digest_keeps_neighbours_apart(letter: message.Letter) -> None:
    one = dataclasses.replace(letter, text="ab", html="c")
    two = dataclasses.replace(letter, text="a", html="bc")
    assert message.digest(one) != message.digest(two)


def test_a_message_id_of_any_length_comes_through(letter: message.Letter) -> None:
    for length in range(1, 200):
        ident = f"<{'a' * length}@campaigns.example>"
        (first, *_) = message.prove(dataclasses.replace(letter, message_id=ident))
        assert f"\r\nMessage-ID: {ident}\r\n".encode() in first


def test_message_ids_are_stable_safe_and_apart() -> None:
    make = functools.partial(message.message_id, secret=b"k" * 32)
    wild = "Größe/../<x>@\n" + "long" * 50
    ids = [
        make("campaigns.example", campaign, milestone, version, target)
        for campaign in ("face", "face-", wild)
        for milestone in (1, 10, "m")
        for version in (1, 2)
        for target in ("ceo", "CEO", wild)
    ]
    assert len(set(ids)) == len(ids)
    assert ids[0] == make("campaigns.example", "face", 1, 1, "ceo")
    for one in ids:
        assert set(one) <= set("<>@.-abcdefghijklmnopqrstuvwxyz0123456789")
        assert len(one) < 78
