"""The mail by which a person here learns of what came back, with that attached as it came."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import email.errors
import email.generator
import email.message
import email.policy
import email.utils
import io
import re
from collections.abc import Sequence

from deliverybot import errors
from deliverybot.mail import built, dkim, fields, mailbox, returned

#: RFC 5322 section 2.1.1.
_LINE_MAX = 998


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """What a person here is sent."""

    from_name: str
    from_address: str
    to_address: str
    #: Whom an answer to it goes to, in ASCII; empty leaves the header out.
    reply_to: str
    subject: str
    text: str
    #: The mail that came back; empty where it is too large to be passed on.
    raw: bytes
    #: Of that mail, in hex.
    sha256: str
    #: Aware; the same for every attempt.
    date: dt.datetime


def message_id(sha256: str, from_address: str) -> str:
    """Return the Message-ID of the copy of a mail, the same for every attempt."""
    domain = mailbox.domain(from_address.rpartition("@")[2])
    return f"<return.{sha256[:32]}@{domain}>"


def build(copy: Copy, signers: Sequence[dkim.Signer]) -> built.Built:
    """Return the mail, signed for DKIM, in ASCII alone: the same bytes for every attempt.

    Raises OutgoingError where no mail can be made of it: strangers' words are in it.
    """
    try:
        content = _content(copy)
    except (ValueError, email.errors.MessageError) as error:
        raise errors.OutgoingError(f"the copy cannot be encoded: {error}") from error
    signed = dkim.sign([content], (), signers, copy.date) + content
    return built.of(message_id(copy.sha256, copy.from_address), [signed])


def _content(copy: Copy) -> bytes:
    head = email.message.EmailMessage(policy=fields.policy(utf8=False))
    head["From"] = fields.mailbox("From", copy.from_name, copy.from_address)
    head["To"] = copy.to_address
    if copy.reply_to:
        head["Reply-To"] = fields.mailbox("Reply-To", "", copy.reply_to)
    # As two words, for "=?" begins an encoded one, which may hold line ends.
    head["Subject"] = fields.text("Subject", copy.subject.replace("=?", "= ?"))
    head["Date"] = copy.date
    head["Message-ID"] = fields.Ready(message_id(copy.sha256, copy.from_address))
    head["Auto-Submitted"] = "auto-generated"
    head[returned.LOOP] = copy.from_address.rpartition("@")[2]
    head["MIME-Version"] = "1.0"
    boundary = f"=_r{copy.sha256[:24]}"
    head["Content-Type"] = f'multipart/mixed; boundary="{boundary}"'
    text = email.message.EmailMessage(policy=email.policy.SMTP)
    text.set_content(copy.text, cte="quoted-printable")
    parts = [text.as_bytes(), *([_attached(copy.raw)] if copy.raw else [])]
    mark = f"--{boundary}".encode()
    body = b"".join(mark + b"\r\n" + part.rstrip(b"\r\n") + b"\r\n" for part in parts)
    lines = (head.policy.fold_binary(name, value) for name, value in head.raw_items())
    return b"".join(lines) + b"\r\n" + body + mark + b"--\r\n"


def _attached(raw: bytes) -> bytes:
    """Return the part of the mail that came back.

    As a mail where it can travel as one, since RFC 2046 section 5.2.1 lets a
    part of that kind be encoded in no way; else as a file.
    """
    for plain in (raw, _narrow(raw)):
        if _travels(plain):
            lines = re.sub(rb"\r\n|\r|\n", b"\r\n", plain)
            return (
                b"Content-Type: message/rfc822\r\n"
                b'Content-Disposition: attachment; filename="mail.eml"\r\n\r\n' + lines
            )
    return (
        b'Content-Type: application/octet-stream; name="mail.eml"\r\n'
        b'Content-Disposition: attachment; filename="mail.eml"\r\n'
        b"Content-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(raw).replace(b"\n", b"\r\n")
    )


def _travels(raw: bytes) -> bool:
    """Tell whether a mail passes every relay as it is, and ends at no boundary of ours."""
    if not raw or not raw.isascii() or b"\0" in raw or b"--=_r" in raw:
        return False
    return max(map(len, re.split(rb"\r\n|\r|\n", raw))) <= _LINE_MAX


def _narrow(raw: bytes) -> bytes:
    """Return a mail with its 8-bit parts encoded; nothing where that cannot be done."""
    file = io.BytesIO()
    policy = email.policy.compat32.clone(cte_type="7bit", linesep="\r\n")
    try:
        message = returned.parse(raw)
        if len(raw) > returned.LOOKED_AT or message.defects:
            return b""
        email.generator.BytesGenerator(file, policy=policy).flatten(message)
    except Exception:  # noqa: BLE001 - `email` raises errors of every kind on hostile bytes
        return b""
    return file.getvalue()
