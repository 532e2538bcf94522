"""A mail that came back, understood: what it is, and what it says of which letter.

Everything here works on bytes alone and raises nothing, whatever they are:
anybody may write to the mailbox that is read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import email.message
import email.parser
import email.policy
import email.utils
import re
from collections.abc import Iterable, Iterator

from deliverybot import model, screen
from deliverybot.mail import automatic, fields, reports

#: Goes into every notice of our own, so that none is ever taken for an answer.
LOOP = "X-Deliverybot-Loop"
#: What is looked at of a mail; a notice says what it has to say at its beginning.
LOOKED_AT = 1_000_000
#: Of notices that keep to no standard, whose every line is tried in many ways.
BEGINNING = 64_000
_HEAD_MAX, _FIELDS_MAX, _PARTS_MAX = 256_000, 1_000, 100
#: Of each list of names, such as References.
_NAMES_MAX = 100
_TEXT_MAX = 20_000
_FIELD_MAX, _WORDS_MAX, _FIRST_WORDS = 20_000, 500, 300

_HEAD_END = re.compile(rb"\r?\n\r?\n|\r\r")
_PART = re.compile(rb"^content-type[ \t]*:", re.IGNORECASE | re.MULTILINE)
#: As ours are; others name no letter, and a database may choke on what is no text.
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,900}>")
#: Where servers write to whom the envelope went, the surest first.
_RECIPIENT_FIELDS = ("Delivered-To", "X-Original-To", "Envelope-To", "X-Delivered-To", "To", "Cc")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """What one mail says."""

    kind: model.Return
    #: A bounce that means that the address is dead.
    hard: bool = False
    #: RFC 3463 status of a notice, such as "5.1.1".
    status: str = ""
    #: Its words, or the first words of an answer; one line.
    said: str = ""
    #: Bare address of who wrote, and whom an answer goes to.
    sender: str = ""
    reply_to: str = ""
    subject: str = ""
    #: Its own Message-ID.
    message_id: str = ""
    #: Whom the envelope went to: one of them may be made by `verp`.
    recipients: tuple[str, ...] = ()
    #: ENVID of the mail that a notice is about.
    envelope_ids: tuple[str, ...] = ()
    #: Message-IDs of the mail that a notice holds.
    about: tuple[str, ...] = ()
    #: Message-IDs that the mail says it answers.
    references: tuple[str, ...] = ()
    #: Addresses that a notice says were not, or not yet, reached.
    failed: tuple[str, ...] = ()
    #: We wrote it ourselves.
    own: bool = False


def read(raw: bytes) -> Returned:
    """Return what a mail is and says; `unknown` where nothing can be made of it."""
    try:
        return _read(raw)
    except Exception:  # noqa: BLE001 - `email` raises errors of every kind on hostile bytes
        return Returned(kind=model.Return.UNKNOWN)


def parse(raw: bytes) -> email.message.Message:
    """Parse a mail, or of one that is built to be a burden its head alone."""
    head = _HEAD_END.search(raw)
    end = head.end() if head else len(raw)
    looked_at = raw[:LOOKED_AT]
    too_much = (
        end > _HEAD_MAX
        or raw.count(b"\n", 0, end) > _FIELDS_MAX
        or len(_PART.findall(looked_at)) > _PARTS_MAX
    )
    parser = email.parser.BytesParser(policy=email.policy.compat32)
    if too_much:
        cut = b"\n".join(raw[: min(end, _HEAD_MAX)].splitlines()[:_FIELDS_MAX])
        return parser.parsebytes(cut + b"\n\n", headersonly=True)
    return parser.parsebytes(looked_at)


def words(raw: bytes) -> str:
    """Return the plain text of a mail, cleaned, as far as it has one."""
    try:
        return _plain(parse(raw))
    except Exception:  # noqa: BLE001 - as in `read`
        return ""


def content(raw: bytes) -> list[tuple[str, str, bytes]]:
    """Return type, file name and content of every part of a mail; none where it is not readable.

    Texts are given in UTF-8, whatever they came in.
    """
    try:
        parts = [part for part in parse(raw).walk() if not part.is_multipart()]
        return [
            (part.get_content_type(), part.get_filename() or "", _bytes(part)) for part in parts
        ]
    except Exception:  # noqa: BLE001 - as in `read`
        return []


def _bytes(part: email.message.Message) -> bytes:
    found = part.get_payload(decode=True)
    if not isinstance(found, bytes):
        return b""
    return _decoded(found, part).encode() if part.get_content_maintype() == "text" else found


def _plain(message: email.message.Message) -> str:
    for part in message.walk():
        if part.get_content_type() == "text/plain" and not part.get_filename():
            content = part.get_payload(decode=True)
            if isinstance(content, bytes):
                return screen.clean_block(_decoded(content, part)[:_TEXT_MAX], _TEXT_MAX)
    return ""


def _read(raw: bytes) -> Returned:
    message = parse(raw)
    recipients = tuple(_recipients(message))
    common = {
        "sender": _address(message, "From"),
        "reply_to": _address(message, "Reply-To"),
        "subject": _text(message, "Subject"),
        "message_id": next(iter(_ids(message, "Message-ID")), ""),
        "recipients": recipients,
        "references": (*_ids(message, "In-Reply-To"), *reversed(_ids(message, "References"))),
        "own": message.get(LOOP) is not None,
    }
    notice = reports.read(message) or reports.guess(parse(raw[:BEGINNING]))
    if notice is not None:
        return Returned(
            kind=notice.kind,
            hard=notice.hard,
            status=notice.status,
            said=screen.clean(notice.said, _WORDS_MAX),
            envelope_ids=notice.envelope_ids,
            about=tuple(_each(notice.about)),
            failed=notice.failed,
            **{**common, "recipients": (*recipients, *notice.senders)},  # type: ignore[arg-type]
        )
    sign = automatic.sign(message, str(common["subject"]))
    if sign:
        said = screen.clean(sign, _WORDS_MAX)
        return Returned(kind=model.Return.AUTOMATIC, said=said, **common)  # type: ignore[arg-type]
    if not message.keys():
        return Returned(kind=model.Return.UNKNOWN)
    said = screen.clean(_first_words(_plain(message)), _FIRST_WORDS)
    return Returned(kind=model.Return.ANSWER, said=said, **common)  # type: ignore[arg-type]


def _each(values: Iterable[str]) -> Iterator[str]:
    for value in values:
        yield from _MESSAGE_ID.findall(value)[:_NAMES_MAX]


def _ids(message: email.message.Message, name: str) -> tuple[str, ...]:
    found = [one for value in message.get_all(name, []) for one in _MESSAGE_ID.findall(str(value))]
    return tuple(found[-_NAMES_MAX:])


def _recipients(message: email.message.Message) -> Iterator[str]:
    for name in _RECIPIENT_FIELDS:
        values = [str(value)[:_FIELD_MAX] for value in message.get_all(name, [])[:_NAMES_MAX]]
        for _, address in email.utils.getaddresses(values)[:_NAMES_MAX]:
            if address:
                yield address


def _address(message: email.message.Message, name: str) -> str:
    values = [str(value)[:_FIELD_MAX] for value in message.get_all(name, [])[:1]]
    found = next((one for _, one in email.utils.getaddresses(values) if "@" in one), "")
    return screen.clean(found)


def _text(message: email.message.Message, name: str) -> str:
    value = str(message.get(name, ""))[:_FIELD_MAX]
    # An encoding that nobody knows: its raw form says more than nothing.
    with contextlib.suppress(LookupError, ValueError):
        value = fields.read_text(value)
    return screen.clean(value, _WORDS_MAX)


def _decoded(content: bytes, part: email.message.Message) -> str:
    try:
        return content.decode(part.get_content_charset("utf-8"), "replace")
    except LookupError:
        return content.decode("utf-8", "replace")


def _first_words(text: str) -> str:
    """Return the first paragraph that is not quoted."""
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if not line.lstrip().startswith(">")]
        if any(lines):
            return " ".join(lines)
    return ""
