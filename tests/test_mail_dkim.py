"""Signatures: made by us, verified by dkimpy, broken by every changed byte."""

# ruff: noqa: ANN401 - a factory hands on any field

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import re
import subprocess
from pathlib import Path
from typing import Any

import dkim as oracle
import hypothesis
import hypothesis.strategies as st
import pytest

import build
from deliverybot import config, errors
from deliverybot.mail import dkim, message

KINDS = {
    "rsa": ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
    "ed25519": ("-algorithm", "ed25519"),
    "short": ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"),
    "curve": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
    "locked": ("-algorithm", "ed25519", "-aes256", "-pass", "pass:secret-words"),
}
SECTION = '[mail.dkim]\ndomain = "campaigns.example"\nselector = "s1"\nkey_file = "{}.pem"\n'
BOTH = SECTION.format("rsa") + 'second_selector = "s2.e"\nsecond_key_file = "ed25519.pem"\n'


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for kind, words in KINDS.items():
        command = ["openssl", "genpkey", *words, "-out", str(folder / f"{kind}.pem")]
        subprocess.run(command, check=True, capture_output=True)
    (folder / "broken.pem").write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n")
    (folder / "public.pem").write_bytes(
        subprocess.run(
            ["openssl", "pkey", "-in", str(folder / "rsa.pem"), "-pubout"],
            check=True, capture_output=True,
        ).stdout
    )  # fmt: skip
    return folder


def settings(folder: Path, mail: str, environ: dict[str, str] | None = None) -> config.Settings:
    file = folder / "config.toml"
    sender = '[sender]\nname = "Example Campaigns"\naddress = "letters@campaigns.example"\n'
    file.write_text(sender + mail)
    return config.load(file, environ=environ or {})


@pytest.fixture(scope="module")
def signers(keys: Path) -> tuple[dkim.Signer, ...]:
    return dkim.load(settings(keys, BOTH))


def letter(folder: Path, *, size: int = 3000, **more: Any) -> message.Letter:
    pdf = folder / "letter.pdf"
    pdf.write_bytes(b"%PDF-1.7\n" + bytes(range(256)) * (size // 256))
    found = hashlib.sha256(pdf.read_bytes()).hexdigest()
    plain = message.Letter(
        from_name="Example Campaigns",
        from_address="letters@campaigns.example",
        to_name="Jordan Vale",
        to_address="ceo@cloud.example",
        reply_to="desk@campaigns.example",
        subject="Stop selling face recognition",
        text="Dear Ms. Vale,\n\n.a dot\ntrailing  \n=3D ü\n\n\n\n",
        html="<p>Dear Ms. Vale,</p>\n\n\n",
        attachments=(message.Attachment(path=pdf, name="letter.pdf", sha256=found),),
        message_id="<face.m100.v1.0123456789abcdef@campaigns.example>",
        date=dt.datetime(2026, 3, 1, 9, 30, tzinfo=dt.UTC),
        language="en",
    )
    return dataclasses.replace(plain, **more)


def signed(one: message.Letter, signers: tuple[dkim.Signer, ...]) -> bytes:
    made = message.build(one, signers)
    content = b"".join(made.chunks())
    assert made.sha256 == hashlib.sha256(content).hexdigest()
    assert made.size == len(content)
    return content


def verdicts(content: bytes, signers: tuple[dkim.Signer, ...]) -> list[bool]:
    """Let dkimpy look at each signature; it asks for the records that we say must be published."""
    records = {f"{one.name}.".encode(): one.record.encode() for one in signers}
    looker = oracle.DKIM(content)
    found = []
    for index in range(content.partition(b"\r\n\r\n")[0].count(b"DKIM-Signature:")):
        try:
            found.append(looker.verify(index, dnsfunc=lambda name, timeout=5: records.get(name)))
        except oracle.DKIMException:
            found.append(False)
    return found


CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "no attachment": {"attachments": ()},
    "long headers": {
        "subject": "Stop selling face recognition to the police " * 12,
        "to_name": "Анна Каренина " * 12,
    },
    "wide addresses": {
        "to_address": "j\u00f8rdan@cloud.example",
        "reply_to": "bj\u00f8rn@campaigns.example",
    },
    "quoted-printable": {"text": "ü=\t \n" * 200 + "x" * 400 + "\n"},
    "blank lines": {"text": "\n\n\n", "html": "\n"},
    "no reply": {"reply_to": ""},
    "a later part": {"follows": "<face.m100.v1.aaaaaaaaaaaaaaaa@campaigns.example>"},
}


@pytest.mark.parametrize("case", CASES)
def test_dkimpy_verifies_both(case: str, tmp_path: Path, signers: tuple[dkim.Signer, ...]) -> None:
    content = signed(letter(tmp_path, **CASES[case]), signers)
    assert verdicts(content, signers) == [True, True]
    assert max(map(len, content.partition(b"\r\n\r\n")[0].split(b"\r\n"))) <= 78
    assert content.count(b"\r\n") == content.count(b"\n") == content.count(b"\r")


@pytest.mark.parametrize(
    "body",
    [b"", b"\r\n", b"\r\n\r\n\r\n", b"a\r\n\r\n\r\n", b"a \r\n", b"a", b" \r\n", b"..\r\n.\r\n"],
    ids=repr,
)
def test_dkimpy_agrees_on_every_end_of_a_body(
    body: bytes, signers: tuple[dkim.Signer, ...]
) -> None:
    head = b"From: a@campaigns.example\r\nSubject:  one \t two\r\n\tthree  \r\nTo:x@y.example\r\n"
    texts = [head + b"\r\n" + body]
    at = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    content = dkim.sign(texts, (), signers, at) + texts[0]
    assert verdicts(content, signers) == [True, True]


def test_a_retry_has_the_same_signature(tmp_path: Path, signers: tuple[dkim.Signer, ...]) -> None:
    one = letter(tmp_path)
    assert signed(one, signers) == signed(one, signers)
    assert b"; t=1772357400;" in signed(one, signers)
    assert b" x=" not in signed(one, signers)
    assert signed(one, ()) == signed(one, signers)[-len(signed(one, ())) :]


@hypothesis.settings(
    max_examples=60, database=None,
    suppress_health_check=[
        hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow,
    ],
)  # fmt: skip
@hypothesis.given(place=st.integers(0, 10**9), flip=st.integers(1, 255))
def test_a_changed_byte_of_the_body_fails(
    tmp_path: Path, signers: tuple[dkim.Signer, ...], place: int, flip: int
) -> None:
    content = signed(letter(tmp_path, size=600), signers)
    start = content.index(b"\r\n\r\n") + 4
    at = start + place % (len(content) - start - 2)
    changed = content[:at] + bytes([content[at] ^ flip]) + content[at + 1 :]
    assert verdicts(changed, signers) == [False, False]


@pytest.mark.parametrize("name", ["From", "To", "Subject", "Date", "Message-ID", "Reply-To"])
def test_a_changed_field_fails(name: str, tmp_path: Path, signers: tuple[dkim.Signer, ...]) -> None:
    content = signed(letter(tmp_path), signers)
    changed = re.sub(rb"\r\n%s: (.)" % name.encode(), rb"\r\n%s: x\1" % name.encode(), content)
    assert changed != content
    assert verdicts(changed, signers) == [False, False]


@pytest.mark.parametrize(
    "name",
    [
        *("From", "To", "Cc", "Subject", "Date", "Message-ID", "Reply-To", "Content-Type"),
        *("List-Id", "List-Unsubscribe", "List-Unsubscribe-Post"),
        *("In-Reply-To", "References", "MIME-Version", "Disposition-Notification-To"),
        *("Content-Transfer-Encoding", "Content-Disposition", "Content-Language"),
    ],
)
def test_a_field_that_is_added_fails(
    name: str, tmp_path: Path, signers: tuple[dkim.Signer, ...]
) -> None:
    content = signed(letter(tmp_path), signers)
    head, gap, body = content.partition(b"\r\n\r\n")
    field = b"%s: evil@press.example" % name.encode()
    assert verdicts(field + b"\r\n" + content, signers) == [False, False]
    assert verdicts(head + b"\r\n" + field + gap + body, signers) == [False, False]


def test_what_a_part_follows_is_signed(tmp_path: Path, signers: tuple[dkim.Signer, ...]) -> None:
    content = signed(letter(tmp_path, **CASES["a later part"]), signers)
    for name in (b"In-Reply-To", b"References"):
        changed = content.replace(b"\r\n" + name + b": <face", b"\r\n" + name + b": <base")
        assert changed != content
        assert verdicts(changed, signers) == [False, False]


def test_a_relay_may_add_its_own_fields_and_fold(
    tmp_path: Path, signers: tuple[dkim.Signer, ...]
) -> None:
    content = b"Received: from here\r\n\tby there\r\n" + signed(letter(tmp_path), signers)
    content = content.replace(b"Subject: Stop selling", b"Subject:  Stop\r\n\tselling")
    assert verdicts(content, signers) == [True, True]


def test_another_key_does_not_fit(
    tmp_path: Path, keys: Path, signers: tuple[dkim.Signer, ...]
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for kind in ("rsa", "ed25519"):
        command = ["openssl", "genpkey", *KINDS[kind], "-out", str(other / f"{kind}.pem")]
        subprocess.run(command, check=True, capture_output=True)
    content = signed(letter(tmp_path), signers)
    assert verdicts(content, dkim.load(settings(other, BOTH))) == [False, False]


# --- settings -------------------------------------------------------------------------------------


def test_the_key_may_be_a_secret(keys: Path, signers: tuple[dkim.Signer, ...]) -> None:
    section = SECTION.replace('key_file = "{}.pem"\n', "")
    text = (keys / "rsa.pem").read_text()
    use = settings(keys, section, {"DELIVERYBOT_MAIL__DKIM__KEY": text})
    (one,) = dkim.load(use)
    assert (one.name, one.record) == (signers[0].name, signers[0].record)
    shown = repr(use) + repr(one) + str(use.model_dump())
    assert text.splitlines()[1] not in shown


def test_without_the_section_nothing_is_signed(tmp_path: Path) -> None:
    use = build.settings(tmp_path)
    assert dkim.load(use) == ()
    assert dkim.check(use) == []


def test_check_says_what_to_publish(keys: Path, signers: tuple[dkim.Signer, ...]) -> None:
    found = dkim.check(settings(keys, BOTH))
    assert [fault.level for fault in found] == ["ok", "ok"]
    assert "s1._domainkey.campaigns.example\n" in found[0].what
    assert "v=DKIM1; k=rsa; p=MIIBI" in found[0].what
    assert "s2.e._domainkey.campaigns.example\n" in found[1].what
    assert re.search(r"v=DKIM1; k=ed25519; p=[A-Za-z0-9+/]{43}=$", found[1].what)
    alone = dkim.check(settings(keys, SECTION.format("ed25519")))
    assert [fault.level for fault in alone] == ["ok", "warning"]


def test_check_warns_of_a_key_that_others_can_read(tmp_path: Path, keys: Path) -> None:
    for name in ("rsa.pem", "ed25519.pem"):
        (tmp_path / name).write_bytes((keys / name).read_bytes())
    for modes in ((0o600, 0o640), (0o644, 0o600), (0o600, 0o662)):
        (tmp_path / "rsa.pem").chmod(modes[0])
        (tmp_path / "ed25519.pem").chmod(modes[1])
        bad = [mode for mode in modes if mode & 0o026]
        found = dkim.check(settings(tmp_path, BOTH))
        assert [fault.level for fault in found] == ["ok", "ok", *(["warning"] * len(bad))]
        assert all("chmod 600" in fault.hint for fault in found[2:])


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("short", "1024 bits"),
        ("curve", "neither RSA nor ed25519"),
        ("locked", "no private key"),
        ("broken", "no private key"),
        ("public", "no private key"),
    ],
)
def test_a_key_that_is_of_no_use_is_said(kind: str, why: str, keys: Path) -> None:
    use = settings(keys, SECTION.format(kind))
    with pytest.raises(errors.ConfigError) as caught:
        dkim.load(use)
    (fault,) = caught.value.faults
    assert why in fault.what
    assert fault.file == str(keys / f"{kind}.pem")
    assert "openssl genpkey" in fault.hint
    assert caught.value.__cause__ is None
    assert [f.level for f in dkim.check(use)] == ["fault"]


@pytest.mark.parametrize(
    ("old", "new", "line", "why"),
    [
        ("rsa.pem", "gone.pem", 7, "cannot be read"),
        ("campaigns.example", "cloud.example", 5, "cannot sign for"),
        ("campaigns.example", "x.campaigns.example", 5, "cannot sign for"),
        ("campaigns.example", "paigns.example", 5, "cannot sign for"),
        ("campaigns.example", "campaigns.example.", 5, "no name in DNS"),
        ('"s1"', '"s 1"', 6, "no name in DNS"),
        ('key_file = "rsa.pem"', "", 4, "a key for each selector"),
        ('selector = "s1"', "", 4, "a domain and a selector"),
        ('domain = "campaigns.example"', "", 4, "a domain and a selector"),
        ("key_file", 'second_selector = "s2"\nkey_file', 4, "a key for each selector"),
        ("key_file", 'key = "x"\nkey_file', 7, "is a secret"),
        (
            "key_file",
            'second_selector = "s1"\nsecond_key_file = "ed25519.pem"\nkey_file',
            4,
            "one selector for two keys",
        ),
    ],
)
def test_a_section_that_cannot_be_is_a_fault_with_its_line(
    old: str, new: str, line: int, why: str, keys: Path
) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        settings(keys, SECTION.format("rsa").replace(old, new, 1))
    fault = next(fault for fault in caught.value.faults if why in fault.what)
    assert (fault.file, fault.line) == (str(keys / "config.toml"), line)
    assert fault.hint


def test_a_domain_above_the_senders_may_sign(keys: Path) -> None:
    section = SECTION.format("rsa").replace("campaigns.example", "example")
    assert dkim.load(settings(keys, section))[0].domain == "example"
