"""The built message read back, as the recipient's program will read it."""

from __future__ import annotations

import dataclasses
import email
import email.headerregistry
import email.message
import email.parser
import email.policy
import functools
from collections.abc import Mapping, Sequence

from deliverybot import errors
from deliverybot.mail import fields, smime

_ALWAYS = ("Subject", "Date", "Message-ID", "MIME-Version", "Content-Type")
#: Of the body; where that is signed for the reader, it has them itself.
_OWN = ("Content-Language",)
_WORDS = "multipart/alternative(text/plain,text/html)"
#: RFC 5322 section 2.1.1, without the line end.
_LINE_MAX = 998


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """What the message must say once it is parsed."""

    #: Header name to (display name, address); None where the header must be absent.
    headers: Mapping[str, tuple[str, str] | None]
    subject: str
    message_id: str
    text: str
    html: str
    #: Name and content of each PDF.
    attachments: Sequence[tuple[str, bytes]]
    #: What In-Reply-To and References say; empty where they must be absent.
    follows: str = ""
    #: What stands where the signature for the reader will be; empty where there is none.
    signature: bytes = b""


def compare(content: bytes, meant: Meant) -> None:
    """Raise OutgoingError naming the first thing that does not read as it was meant."""
    text = content.decode("utf-8")
    # Else each field would be parsed anew at every look at it.
    fields_ = functools.lru_cache(email.headerregistry.HeaderRegistry())
    policy = email.policy.default.clone(header_factory=fields_)
    message = email.message_from_string(text, policy=policy)
    raw = dict(email.parser.HeaderParser(policy=email.policy.compat32).parsestr(text).items())
    threaded = ("In-Reply-To", "References") if meant.follows else ()
    mailboxes = (name for name, mailbox in meant.headers.items() if mailbox)
    own = () if meant.signature else _OWN
    wanted = sorted([*_ALWAYS, *own, *threaded, *mailboxes])
    _same("its headers", sorted(message.keys()), wanted)
    for name, mailbox in meant.headers.items():
        if mailbox:
            _same(name, fields.read_mailboxes(raw[name]), [mailbox])
            _same(name, [one.addr_spec for one in message[name].addresses], [mailbox[1]])
    _same("Subject", fields.read_text(raw["Subject"]), meant.subject)
    _same("Message-ID", str(message["Message-ID"]), meant.message_id)
    for name in threaded:
        _same(name, str(message[name]).strip(), meant.follows)
    body = _unsealed(message, meant.signature) if meant.signature else message
    _body(body, meant)
    _same("its defects", [d for part in message.walk() for d in part.defects], [])
    longest = max(len(line) for line in content.split(b"\r\n"))
    if longest > _LINE_MAX:
        raise errors.OutgoingError(f"the built mail has a line of {longest} characters")


def _unsealed(message: email.message.EmailMessage, signature: bytes) -> email.message.MIMEPart:
    """Return what is signed for the reader (RFC 8551 section 3.5.3)."""
    kinds = [part.get_content_type() for part in message.iter_parts()]
    _same("its parts", message.get_content_type(), "multipart/signed")
    _same("its parts", kinds[1:], [smime.TYPE])
    _same("its signature", message.get_param("protocol"), smime.TYPE)
    _same("its signature", message.get_param("micalg"), smime.MICALG)
    body, signed = message.iter_parts()
    _same("its signature", signed.get_content(), signature)
    _same("the headers of its body", sorted(body.keys()), sorted(["Content-Type", *_OWN]))
    return body


def _body(message: email.message.MIMEPart, meant: Meant) -> None:
    pdfs = ",application/pdf" * len(meant.attachments)
    _same("its parts", _structure(message), f"multipart/mixed({_WORDS}{pdfs})" if pdfs else _WORDS)
    words, *attached = message.iter_parts() if pdfs else (message,)
    plain, html = words.iter_parts()
    _same("the text", _lines(plain.get_content()), _lines(meant.text))
    _same("the HTML", _lines(html.get_content()), _lines(meant.html))
    for pdf, (name, content_) in zip(attached, meant.attachments, strict=True):
        _same("the PDF", pdf.get_content(), content_)
        _same("the PDF's name", pdf.get_filename(), name)


def _same(what: str, got: object, wanted: object) -> None:
    if got != wanted:
        raise errors.OutgoingError(
            f"the built mail does not read as it was meant: {what}",
            hint="look for unusual characters there; nothing was sent",
        )


def _structure(message: email.message.Message) -> str:
    kind = message.get_content_type()
    if not message.is_multipart():
        return kind
    parts = [p for p in message.get_payload() if isinstance(p, email.message.Message)]
    return f"{kind}({','.join(_structure(part) for part in parts)})"


def _lines(text: str) -> list[str]:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    while lines and not lines[-1]:
        lines.pop()
    return lines
