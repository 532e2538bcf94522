"""A letter as the bytes that a relay is given.

The same `Letter` gives the same bytes whenever it is built, so that every
attempt sends one and the same message.  The attachments are never in memory:
the mail is put together around small stand-ins, and cut open where these stand.
"""

from __future__ import annotations

import dataclasses
import email.errors
import email.message
import hashlib
import hmac
import itertools
import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from deliverybot import errors
from deliverybot.mail import built, dkim, encoded, fields, identity, mailbox, proof, smime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A PDF that goes with a letter."""

    path: Path
    #: File name that the recipient sees.
    name: str
    #: SHA-256 that it must have, in hex.
    sha256: str


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
    attachments: tuple[Attachment, ...]
    #: As `message_id` makes it, with its angle brackets.
    message_id: str
    #: Aware; the same for every attempt.
    date: datetime
    #: BCP 47 tag of the letter's language.
    language: str
    #: Message-ID of the first mail, in a later one of several; empty leaves the headers out.
    follows: str = ""


_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")
#: What some mail program or file system takes for something else than a name.
_PDF_NAME = re.compile(r'[^"<>\\/:|?*%;]{1,150}')
#: Stands where the signature for the reader will be.
_UNSIGNED = b"not signed yet"
_MESSAGE_ID = re.compile(r"<[A-Za-z0-9._-]+@[a-z0-9.-]+>")
#: Keeps these hashes apart from all others under the same key.
_ID_DOMAIN = b"deliverybot Message-ID\0"


def build(
    letter: Letter, signers: Sequence[dkim.Signer], sealer: identity.Identity | None = None
) -> built.Built:
    """Return the message, signed, CRLF line ends, ready for a relay.

    As `prove` and `finish` do.
    """
    return finish(letter, prove(letter, sealed=sealer is not None), signers, sealer)


def finish(
    letter: Letter,
    texts: Sequence[bytes],
    signers: Sequence[dkim.Signer],
    sealer: identity.Identity | None = None,
) -> built.Built:
    """Put the attachments between the texts that `prove` gave, and sign.

    `sealer` signs for the reader, and the `signers` of DKIM what comes of it.
    Reads the attachments, and encodes them the first time: call it in a
    thread.  Raises OutgoingError where one is gone or is another one, or where
    the letter is not one for `sealer` to sign, and OSError where its encoded
    form cannot be kept.
    """
    files = [encoded.ready(one.path, one.sha256) for one in letter.attachments]
    if sealer is not None:
        if unfit := sealer.unfit(letter.from_address):
            raise errors.OutgoingError(unfit)
        texts = smime.sign(texts, files, sealer, letter.date, _seal(letter))
    first, *rest = texts
    first = dkim.sign(texts, files, signers, letter.date) + first
    return built.of(letter.message_id, [first, *rest], files)


def prove(letter: Letter, *, sealed: bool = False) -> list[bytes]:
    """Return what stands around the attachments, once it reads as it was meant.

    What was built is parsed again and compared with what was meant, because an
    encoded word in a title can turn into a header of its own (CVE-2024-6923,
    CVE-2026-1299).  With `sealed` it is compared as it will be once it is signed
    for the reader.  Raises OutgoingError naming the value that cannot be sent.
    """
    _gate(letter)
    stand_ins = [_stand_in(number, one) for number, one in enumerate(letter.attachments)]
    try:
        content = _assemble(letter, stand_ins).as_bytes()
    except (UnicodeError, ValueError, email.errors.MessageError) as error:
        raise errors.OutgoingError(f"the mail cannot be encoded: {error}") from error
    meant = proof.Meant(
        headers={
            "From": (_squeeze(letter.from_name), mailbox.address(letter.from_address)),
            "To": (_squeeze(letter.to_name), mailbox.address(letter.to_address)),
            "Reply-To": ("", mailbox.address(letter.reply_to)) if letter.reply_to else None,
        },
        follows=letter.follows,
        subject=_squeeze(letter.subject),
        message_id=letter.message_id,
        text=letter.text,
        html=letter.html,
        attachments=tuple(
            (one.name, stand_in)
            for one, stand_in in zip(letter.attachments, stand_ins, strict=True)
        ),
    )
    content = _unlike_mbox(content)
    texts = _cut(content, stand_ins)
    if sealed:
        # The true signature is over the true attachments, and is base64 as this one.
        meant = dataclasses.replace(meant, signature=_UNSIGNED)
        filled = map(encoded.lines, [*stand_ins, b""])
        pieces = zip(smime.enclose(texts, _seal(letter), _UNSIGNED), filled, strict=True)
        content = b"".join(itertools.chain.from_iterable(pieces))
    proof.compare(content, meant)
    return texts


def _unlike_mbox(content: bytes) -> bytes:
    """Return the mail without lines that a mailbox in one file would put a ">" before.

    It would break the signature for the reader, who finds it there (RFC 8551
    section 3.1.3).  Only quoted-printable has such lines; a soft line end keeps
    them short.
    """
    while b"\r\nFrom " in content:
        content = content.replace(b"\r\nFrom ", b"\r\n=46rom =\r\n")
    return content


def _seal(letter: Letter) -> str:
    """Return the boundary around what is signed for the reader; see `_assemble`."""
    return f"=_s{_seed(letter)}"


def _seed(letter: Letter) -> str:
    return _hash(letter.message_id)[:24]


def _stand_in(number: int, attachment: Attachment) -> bytes:
    """Return two lines' worth of bytes, which nothing else in the mail is equal to."""
    return hashlib.sha512(f"{number} {attachment.sha256}".encode()).digest()


def _cut(content: bytes, stand_ins: Sequence[bytes]) -> list[bytes]:
    """Take the stand-ins out; from the end, where only our own headers stand between them."""
    texts: list[bytes] = []
    for stand_in in reversed(stand_ins):
        content, _, after = content.rpartition(encoded.lines(stand_in))
        texts.insert(0, after)
    return [content, *texts]


def digest(letter: Letter) -> str:
    """Return what a person approves, as SHA-256 in hex.

    Covers the PDFs' bytes, subject, text, HTML, From, Reply-To and recipient;
    not the Message-ID and the date, and no signature: whoever approves does not
    look at one, and a certificate that comes, goes or is renewed must not take
    their yes back.  Reads the PDFs: call it in a thread.
    """
    return _hash(
        *(encoded.sha256(one.path, one.sha256) for one in letter.attachments),
        letter.subject,
        letter.text,
        letter.html,
        letter.from_name,
        letter.from_address,
        letter.reply_to,
        letter.to_name,
        letter.to_address,
    )


def message_id_of(first: str, part: int) -> str:
    """Return the Message-ID of one of a letter's mails, from that of the first."""
    if part == 1:
        return first
    local, _, domain = first.rpartition("@")
    return f"{local}.{part}@{domain}"


def message_id(
    domain: str, campaign: str, milestone: int | str, version: int, target: str, *, secret: bytes
) -> str:
    """Return the Message-ID of one letter, the same for every attempt.

    The readable parts are cut short; the hash at the end keeps letters apart
    whose readable parts are equal.  It is keyed: who could work out the id of
    a letter could forge its bounce.
    """
    said = _hash(campaign, str(milestone), str(version), target)
    whole = hmac.new(secret, _ID_DOMAIN + said.encode(), hashlib.sha256).hexdigest()[:16]
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
        "the Message-ID": letter.message_id,
        "the Message-ID of the first mail": letter.follows,
        "the language": letter.language,
    }
    names = [("the PDF's name", one.name) for one in letter.attachments]
    for what, value in [*values.items(), *names]:
        bad = [c for c in value if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"}]
        if bad:
            raise errors.OutgoingError(f"{what} has the control character U+{ord(bad[0]):04X}")
        if "=?" in value:
            raise errors.OutgoingError(
                f'{what} has "=?", which mail programs read as the start of an encoded word'
            )
    if not letter.subject.strip():
        raise errors.OutgoingError("the subject is empty")
    for _, name in names:
        if not _PDF_NAME.fullmatch(name):
            raise errors.OutgoingError(f"{name!r} cannot be the name of an attachment")
    ids = [letter.message_id, *([letter.follows] if letter.follows else [])]
    unfit = [one for one in ids if not _MESSAGE_ID.fullmatch(one)]
    if unfit:
        raise errors.OutgoingError(f"{unfit[0]!r} is not a Message-ID")
    if not _LANGUAGE.fullmatch(letter.language):
        raise errors.OutgoingError(f"{letter.language!r} is no language tag", hint='such as "en"')
    if letter.date.tzinfo is None:
        raise errors.OutgoingError("the date has no time zone")


def _assemble(letter: Letter, stand_ins: Sequence[bytes]) -> email.message.EmailMessage:
    wide = mailbox.needs_smtputf8(letter.from_address, letter.to_address, letter.reply_to)
    message = email.message.EmailMessage(policy=fields.policy(utf8=wide))
    message["From"] = _field("From", letter.from_name, letter.from_address)
    message["To"] = _field("To", letter.to_name, letter.to_address)
    if letter.reply_to:
        message["Reply-To"] = _field("Reply-To", "", letter.reply_to)
    message["Subject"] = fields.text("Subject", _squeeze(letter.subject))
    message["Date"] = letter.date
    # Ready made: of some lengths `email` folds it, and another id is read back.
    message["Message-ID"] = fields.Ready(letter.message_id)
    if letter.follows:
        message["In-Reply-To"] = message["References"] = fields.Ready(letter.follows)
    message.set_content(letter.text, cte="quoted-printable")
    message.add_alternative(letter.html, subtype="html", cte="quoted-printable")
    for one, pdf in zip(letter.attachments, stand_ins, strict=True):
        message.add_attachment(pdf, maintype="application", subtype="pdf", filename=one.name)
    # Set before, it would have moved into the first part with the other Content- fields.
    message["Content-Language"] = letter.language
    # "=_" occurs neither in base64 nor in quoted-printable, so no body can hold a boundary.
    seed = _seed(letter)
    message.set_boundary(f"=_m{seed}")
    for part in message.walk():
        if part is message:
            continue
        del part["MIME-Version"]
        if part.get_content_type() == "multipart/alternative":
            part.set_boundary(f"=_a{seed}")
    return message


def _field(header: str, display: str, address: str) -> fields.Ready:
    return fields.mailbox(header, _squeeze(display), mailbox.address(address))
