"""A letter as the bytes that a relay is given.

The same `Letter` gives the same bytes whenever it is built, so that every
attempt sends one and the same message.
"""

from __future__ import annotations

import dataclasses
import email.errors
import email.message
import hashlib
import re
import unicodedata
from datetime import datetime
from pathlib import Path

from deliverybot import errors
from deliverybot.mail import fields, mailbox, proof


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One letter to one recipient."""

    from_name: str
    from_address: str
    to_name: str
    to_address: str
    #: Address for answers; empty leaves the header out.
    reply_to: str
    subject: str
    text: str
    html: str
    pdf: Path
    #: File name that the recipient sees.
    pdf_name: str
    #: As `message_id` makes it, with its angle brackets.
    message_id: str
    #: Aware; the same for every attempt.
    date: datetime
    #: BCP 47 tag of the letter's language.
    language: str
    #: SHA-256 that the PDF must have; empty takes the file as it is.
    pdf_sha256: str = ""


_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")
#: What some mail program or file system takes for something else than a name.
_PDF_NAME = re.compile(r'[^"<>\\/:|?*%;]{1,150}')
_MESSAGE_ID = re.compile(r"<[A-Za-z0-9._-]+@[a-z0-9.-]+>")


def build(letter: Letter) -> bytes:
    """Return the message, CRLF line ends, ready for a relay.

    Reads and encodes the PDF: call it in a thread.  What was built is parsed
    again and compared with what was meant, because an encoded word in a title
    can turn into a header of its own (CVE-2024-6923, CVE-2026-1299).

    Raises OutgoingError naming the value that cannot be sent.
    """
    _gate(letter)
    pdf = _pdf(letter)
    try:
        content = _assemble(letter, pdf).as_bytes()
    except (UnicodeError, ValueError, email.errors.MessageError) as error:
        raise errors.OutgoingError(f"the mail cannot be encoded: {error}") from error
    meant = proof.Meant(
        headers={
            "From": (_squeeze(letter.from_name), mailbox.address(letter.from_address)),
            "To": (_squeeze(letter.to_name), mailbox.address(letter.to_address)),
            "Reply-To": ("", mailbox.address(letter.reply_to)) if letter.reply_to else None,
        },
        subject=_squeeze(letter.subject),
        message_id=letter.message_id,
        text=letter.text,
        html=letter.html,
        pdf_sha256=hashlib.sha256(pdf).hexdigest(),
        pdf_name=letter.pdf_name,
    )
    proof.compare(content, meant)
    return content


def digest(letter: Letter) -> str:
    """Return what a person approves, as SHA-256 in hex.

    Covers the PDF's bytes, subject, text, HTML, From, Reply-To and recipient;
    not the Message-ID and the date.  Reads the PDF.
    """
    return _hash(
        hashlib.sha256(_pdf(letter)).hexdigest(),
        letter.subject,
        letter.text,
        letter.html,
        letter.from_name,
        letter.from_address,
        letter.reply_to,
        letter.to_name,
        letter.to_address,
    )


def message_id(domain: str, campaign: str, milestone: int | str, version: int, target: str) -> str:
    """Return the Message-ID of one letter, the same for every attempt.

    The readable parts are cut short; the hash at the end keeps letters apart
    whose readable parts are equal.
    """
    whole = _hash(campaign, str(milestone), str(version), target)[:16]
    slug, number = _readable(campaign, 16) or "c", _readable(str(milestone), 12)
    return f"<{slug}.m{number}.v{version}.{whole}@{mailbox.domain(domain)}>"


def _readable(text: str, length: int) -> str:
    return "-".join(re.findall(r"[a-z0-9]+", text.lower()))[:length].strip("-")


def _hash(*parts: str) -> str:
    total = hashlib.sha256()
    for part in parts:
        content = part.encode("utf-8", "surrogatepass")
        total.update(len(content).to_bytes(8, "big") + content)
    return total.hexdigest()


def _squeeze(value: str) -> str:
    """Return a header value with single spaces, as folding keeps no others apart."""
    return re.sub(" +", " ", value).strip(" ")


def _gate(letter: Letter) -> None:
    """Refuse every value that could end its header or start another one."""
    values = {
        "the sender's name": letter.from_name,
        "the sender's address": letter.from_address,
        "the target's name": letter.to_name,
        "the target's address": letter.to_address,
        "the Reply-To address": letter.reply_to,
        "the subject": letter.subject,
        "the PDF's name": letter.pdf_name,
        "the Message-ID": letter.message_id,
        "the language": letter.language,
    }
    for what, value in values.items():
        bad = [c for c in value if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"}]
        if bad:
            raise errors.OutgoingError(f"{what} has the control character U+{ord(bad[0]):04X}")
        if "=?" in value:
            raise errors.OutgoingError(
                f'{what} has "=?", which mail programs read as the start of an encoded word'
            )
    if not letter.subject.strip():
        raise errors.OutgoingError("the subject is empty")
    if not _PDF_NAME.fullmatch(letter.pdf_name):
        raise errors.OutgoingError(f"{letter.pdf_name!r} cannot be the name of an attachment")
    if not _MESSAGE_ID.fullmatch(letter.message_id):
        raise errors.OutgoingError(f"{letter.message_id!r} is not a Message-ID")
    if not _LANGUAGE.fullmatch(letter.language):
        raise errors.OutgoingError(f"{letter.language!r} is no language tag", hint='such as "en"')
    if letter.date.tzinfo is None:
        raise errors.OutgoingError("the date has no time zone")


def _pdf(letter: Letter) -> bytes:
    try:
        pdf = letter.pdf.read_bytes()
    except OSError as error:
        raise errors.OutgoingError(
            f"the PDF cannot be read: {error.strerror}: {letter.pdf}"
        ) from error
    if letter.pdf_sha256 and hashlib.sha256(pdf).hexdigest() != letter.pdf_sha256:
        raise errors.OutgoingError(
            f"the PDF is not the one that was frozen: {letter.pdf}",
            hint="put the file back, or hold the delivery so that it is rendered again",
        )
    return pdf


def _assemble(letter: Letter, pdf: bytes) -> email.message.EmailMessage:
    wide = mailbox.needs_smtputf8(letter.from_address, letter.to_address, letter.reply_to)
    message = email.message.EmailMessage(policy=fields.policy(utf8=wide))
    message["From"] = _field("From", letter.from_name, letter.from_address)
    message["To"] = _field("To", letter.to_name, letter.to_address)
    if letter.reply_to:
        message["Reply-To"] = _field("Reply-To", "", letter.reply_to)
    message["Subject"] = fields.text("Subject", _squeeze(letter.subject))
    message["Date"] = letter.date
    message["Message-ID"] = letter.message_id
    message.set_content(letter.text, cte="quoted-printable")
    message.add_alternative(letter.html, subtype="html", cte="quoted-printable")
    message.add_attachment(pdf, maintype="application", subtype="pdf", filename=letter.pdf_name)
    # Set before, it would have moved into the first part with the other Content- fields.
    message["Content-Language"] = letter.language
    # "=_" occurs neither in base64 nor in quoted-printable, so no body can hold a boundary.
    seed = _hash(letter.message_id)[:24]
    message.set_boundary(f"=_m{seed}")
    for part in message.walk():
        if part is not message:
            del part["MIME-Version"]
        if part.get_content_type() == "multipart/alternative":
            part.set_boundary(f"=_a{seed}")
    return message


def _field(header: str, display: str, address: str) -> fields.Ready:
    return fields.mailbox(header, _squeeze(display), mailbox.address(address))
