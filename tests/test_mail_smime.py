"""Letters signed for their readers: made by us, verified by openssl, broken by every change."""

from __future__ import annotations

import dataclasses
import email
import email.policy
import hashlib
import pathlib
import subprocess
import tracemalloc
from email.message import EmailMessage
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest

import smime_tools
import smtp_server
import smtp_tools
import test_mail_dkim
from deliverybot import errors
from deliverybot.mail import built, dkim, encoded, identity, message, proof, smime, smtp

KINDS = ("rsa", "p256", "p384")
CASES: dict[str, dict[str, Any]] = {
    **test_mail_dkim.CASES,
    "lines as mailboxes begin a mail": {
        "text": "From here\nFrom From the top\n>From there\n" + "From far away " * 9 + "\nFrom \n",
        "html": "<pre>\nFrom here\n</pre>",
    },
    "lines as boundaries": {"text": "--=_s\n--=_m\n--\n.\n..\n", "html": "<p>--=_s--</p>"},
}
letter = test_mail_dkim.letter


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> smime_tools.Authority:
    made = smime_tools.authority(tmp_path_factory.mktemp("authority"))
    for kind in KINDS:
        made.issue(kind, kind)
    return made


@pytest.fixture(scope="module")
def sealers(authority: smime_tools.Authority) -> dict[str, identity.Identity]:
    return {kind: sealer(authority, kind) for kind in KINDS}


def sealer(authority: smime_tools.Authority, name: str) -> identity.Identity:
    found = identity.load(smime_tools.settings(authority.folder, smime_tools.section(name)))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def rsa(sealers: dict[str, identity.Identity]) -> identity.Identity:
    return sealers["rsa"]


@pytest.fixture(scope="module")
def signers(tmp_path_factory: pytest.TempPathFactory) -> tuple[dkim.Signer, ...]:
    folder = tmp_path_factory.mktemp("keys")
    for kind in ("rsa", "ed25519"):
        key = ("genpkey", *smime_tools.KEYS[kind], "-out", str(folder / f"{kind}.pem"))
        smime_tools.openssl(*key)
    return dkim.load(smime_tools.settings(folder, test_mail_dkim.BOTH))


def content_of(made: built.Built) -> bytes:
    content = b"".join(made.chunks())
    assert made.sha256 == hashlib.sha256(content).hexdigest()
    assert made.size == len(content)
    return content


def sealed(one: message.Letter, by: identity.Identity) -> bytes:
    return content_of(message.build(one, (), by))


def parsed(content: bytes) -> EmailMessage:
    read = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(read, EmailMessage)
    return read


def entity(one: message.Letter) -> bytes:
    """The body with its own fields, as it is in the mail that is not signed."""
    head, gap, body = content_of(message.build(one, ())).partition(b"\r\n\r\n")
    fields = head.split(b"\r\nMIME-Version: 1.0\r\n")[1]
    assert fields.startswith(b"Content-Type: multipart/")
    return fields + gap + body


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES)
def test_openssl_verifies_the_very_body(
    case: str,
    kind: str,
    tmp_path: pathlib.Path,
    authority: smime_tools.Authority,
    sealers: dict[str, identity.Identity],
) -> None:
    one = letter(tmp_path, **CASES[case])
    content = sealed(one, sealers[kind])
    assert authority.verified(content) == entity(one)
    assert authority.verified(content, tool="smime") == entity(one)
    assert content.count(b"\r\n") == content.count(b"\n") == content.count(b"\r")
    assert b"\r\nFrom " not in content


def test_the_signer_is_the_sender(
    tmp_path: pathlib.Path, authority: smime_tools.Authority, rsa: identity.Identity
) -> None:
    who = tmp_path / "who.pem"
    authority.verified(sealed(letter(tmp_path), rsa), "-signer", str(who))
    said = smime_tools.openssl("x509", "-in", str(who), "-noout", "-email")
    assert said == b"letters@campaigns.example\n"


def test_what_stands_outside_is_as_before(tmp_path: pathlib.Path, rsa: identity.Identity) -> None:
    one = letter(tmp_path, follows="<face.m100.v1.aaaaaaaaaaaaaaaa@campaigns.example>")
    plain, signed = parsed(content_of(message.build(one, ()))), parsed(sealed(one, rsa))
    own = {"Content-Type", "Content-Language"}
    assert [item for item in signed.items() if item[0] not in own] == [
        item for item in plain.items() if item[0] not in own
    ]
    assert signed.get_content_type() == "multipart/signed"
    assert signed.get_param("protocol") == "application/pkcs7-signature"
    assert signed.get_param("micalg") == "sha-256"
    body, seal = signed.iter_parts()
    assert (body["Content-Language"], signed["Content-Language"]) == ("en", None)
    assert seal.get_filename() == "smime.p7s"
    shown = smime_tools.openssl(
        "cms", "-cmsout", "-inform", "DER", "-print", "-noout", stdin=seal.get_content()
    )
    assert b"UTCTIME:Mar  1 09:30:00 2026 GMT" in shown
    assert b"eContent: <ABSENT>" in shown


def test_a_letter_far_ahead_has_the_long_form_of_its_time(
    tmp_path: pathlib.Path, authority: smime_tools.Authority, rsa: identity.Identity
) -> None:
    one = letter(tmp_path)
    one = dataclasses.replace(one, date=one.date.replace(year=2050))
    content = sealed(one, rsa)
    assert authority.verified(content) == entity(one)
    shown = smime_tools.openssl("cms", "-cmsout", "-print", "-noout", stdin=content)
    assert b"GENERALIZEDTIME:Mar  1 09:30:00 2050 GMT" in shown


def test_several_attachments_with_names_of_all_scripts(
    tmp_path: pathlib.Path, authority: smime_tools.Authority, rsa: identity.Identity
) -> None:
    names = ("Brief an Jürgen.pdf", "письмо.pdf", "手紙.pdf", "x" * 140 + ".pdf")
    attachments = []
    for number, name in enumerate(names):
        path = tmp_path / f"{number}.pdf"
        path.write_bytes(b"%PDF-1.7\n" + bytes([number]) * (1000 * number))
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        attachments.append(message.Attachment(path=path, name=name, sha256=found))
    for to in ("ceo@cloud.example", "j\u00f8rdan@cloud.example"):
        one = letter(tmp_path, attachments=tuple(attachments), to_address=to)
        content = sealed(one, rsa)
        assert authority.verified(content) == entity(one)
        (body, _) = parsed(content).iter_parts()
        assert tuple(part.get_filename() for part in body.iter_attachments()) == names


def test_dkim_signs_what_is_signed(
    tmp_path: pathlib.Path,
    authority: smime_tools.Authority,
    rsa: identity.Identity,
    signers: tuple[dkim.Signer, ...],
) -> None:
    one = letter(tmp_path)
    content = content_of(message.build(one, signers, rsa))
    assert test_mail_dkim.verdicts(content, signers) == [True, True]
    assert authority.verified(content) == entity(one)
    assert content.endswith(sealed(one, rsa))
    changed = content.replace(b"smime.p7s", b"smime.p7m")
    assert test_mail_dkim.verdicts(changed, signers) == [False, False]


@hypothesis.settings(
    max_examples=60, database=None,
    suppress_health_check=[
        hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow,
    ],
)  # fmt: skip
@hypothesis.given(place=st.integers(0, 10**9), flip=st.integers(1, 255))
def test_a_changed_byte_of_the_body_fails(
    tmp_path: pathlib.Path,
    authority: smime_tools.Authority,
    rsa: identity.Identity,
    place: int,
    flip: int,
) -> None:
    one = letter(tmp_path, size=600)
    content, body = sealed(one, rsa), entity(one)
    at = content.index(body) + place % (len(body) - 2)
    changed = content[:at] + bytes([content[at] ^ flip]) + content[at + 1 :]
    assert authority.refused(changed)


def test_another_authority_does_not_vouch(
    tmp_path: pathlib.Path, authority: smime_tools.Authority, rsa: identity.Identity
) -> None:
    (tmp_path / "other").mkdir()
    content = sealed(letter(tmp_path), rsa)
    assert smime_tools.authority(tmp_path / "other").refused(content)
    assert not authority.refused(content)


@pytest.mark.parametrize("kind", KINDS)
def test_a_retry_has_the_same_bytes(
    kind: str, tmp_path: pathlib.Path, authority: smime_tools.Authority
) -> None:
    one = letter(tmp_path)
    assert sealed(one, sealer(authority, kind)) == sealed(one, sealer(authority, kind))


def test_another_key_signs_the_same_mail_with_other_bytes(
    tmp_path: pathlib.Path, sealers: dict[str, identity.Identity]
) -> None:
    one = letter(tmp_path)
    made = {sealed(one, by) for by in sealers.values()} | {content_of(message.build(one, ()))}
    assert len(made) == 4
    assert {parsed(content)["Message-ID"] for content in made} == {one.message_id}


def test_a_letter_of_another_sender_is_not_signed(
    tmp_path: pathlib.Path, rsa: identity.Identity
) -> None:
    with pytest.raises(errors.OutgoingError, match=r"not for desk@campaigns\.example"):
        sealed(letter(tmp_path, from_address="desk@campaigns.example"), rsa)
    assert sealed(letter(tmp_path, from_address="Letters@CAMPAIGNS.example"), rsa)


async def test_the_wire_has_what_openssl_verifies(
    tmp_path: pathlib.Path, authority: smime_tools.Authority, rsa: identity.Identity
) -> None:
    one = letter(tmp_path, size=700_000, text=".\n..\nFrom here\n.dots\n")
    made = message.build(one, (), rsa)
    with smtp_server.running() as server:
        courier = smtp.Courier(smtp_tools.mail_settings(server.port))
        reply = await courier.hand_over(
            made, sender="a@campaigns.example", recipient="b@c.example", token="",
            on_handing_over=lambda: None,
        )  # fmt: skip
        await courier.close()
    assert reply.outcome is smtp_tools.DONE
    (got,) = server.accepted
    assert authority.verified(got.replace(b"\r\n..", b"\r\n.")) == entity(one)
    assert b"SIZE=%d" % made.size in b" ".join(server.commands)


def test_memory_does_not_grow_with_the_attachment(
    tmp_path: pathlib.Path, rsa: identity.Identity
) -> None:
    def peak(size: int, by: identity.Identity | None) -> int:
        one = letter(tmp_path, size=0)
        path = tmp_path / f"{size}.pdf"
        with path.open("wb") as file:
            for _ in range(size // 1_000_000):
                file.write(bytes(1_000_000))
        found = encoded.sha256(path)
        pdf = message.Attachment(path=path, name="letter.pdf", sha256=found)
        one = dataclasses.replace(one, attachments=(pdf,))
        tracemalloc.start()
        try:
            made = message.build(one, (), by)
            assert sum(map(len, made.chunks())) == made.size > size * 4 / 3
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1_000_000, rsa)  # what is made once
    small, large = peak(2_000_000, rsa), peak(50_000_000, rsa)
    assert large < small + 500_000 < 4_000_000
    assert large < peak(50_000_000, None) + 500_000


# --- the gate -------------------------------------------------------------------------------------


def meant(one: message.Letter) -> proof.Meant:
    return proof.Meant(
        headers={
            "From": (one.from_name, one.from_address),
            "To": (one.to_name, one.to_address),
            "Reply-To": ("", one.reply_to),
        },
        subject=one.subject,
        message_id=one.message_id,
        text=one.text,
        html=one.html,
        attachments=(),
        signature=b"a signature",
    )


FORGED = {
    "no seal": (b"multipart/signed", b"multipart/mixed"),
    "another protocol": (b'protocol="application/pkcs7', b'protocol="application/pgp'),
    "another digest": (b"micalg=sha-256", b"micalg=sha-1"),
    "another signature": (b"YSBzaWduYXR1cmU=", b"YSCzaWduYXR1cmU="),
    "no signature": (b"Content-Type: application/pkcs7-signature", b"Content-Type: image/png"),
    "a part before": (b"\r\n\r\n--=_s", b"\r\n\r\n--=_sX\r\n\r\nforged\r\n--=_s"),
    "a field in the body": (b"Content-Language: en", b"Content-Language: en\r\nSubject: forged"),
    "a field outside": (b"MIME-Version: 1.0", b"MIME-Version: 1.0\r\nContent-Language: en"),
    "other words": (b"Dear", b"Dead"),
}


@pytest.mark.parametrize("case", FORGED)
def test_the_gate_sees_what_does_not_read_as_it_was_meant(
    case: str, tmp_path: pathlib.Path
) -> None:
    one = letter(tmp_path, attachments=())
    (content,) = smime.enclose(message.prove(one), "=_sX", b"a signature")
    proof.compare(content, meant(one))
    old, new = FORGED[case]
    changed = content.replace(old, new, 1)
    assert changed != content
    with pytest.raises(errors.OutgoingError, match="does not read as it was meant"):
        proof.compare(changed, meant(one))


def test_the_gate_stands_before_a_signed_letter_too(
    tmp_path: pathlib.Path, rsa: identity.Identity
) -> None:
    with pytest.raises(errors.OutgoingError, match="the subject has the control character"):
        sealed(letter(tmp_path, subject="Stop\r\nBcc: press@press.example"), rsa)


def test_a_mail_that_openssl_signs_has_the_same_form(
    tmp_path: pathlib.Path, authority: smime_tools.Authority, rsa: identity.Identity
) -> None:
    """The form of the mail is that of others, so that every program knows it."""
    one = letter(tmp_path)
    command = [
        *("openssl", "cms", "-sign", "-binary", "-nosmimecap", "-md", "sha256"),
        *("-signer", str(authority.folder / "rsa.crt")),
        *("-inkey", str(authority.folder / "rsa.key")),
    ]
    theirs = subprocess.run(command, input=entity(one), capture_output=True, check=True).stdout
    ours = parsed(sealed(one, rsa))
    read = parsed(theirs)
    assert [part.get_content_type() for part in ours.walk()] == [
        part.get_content_type().replace("x-pkcs7", "pkcs7") for part in read.walk()
    ]
    assert ours.get_param("micalg") == read.get_param("micalg")
