"""Notices of mail servers: bounces, delays, receipts and complaints.

First what the standards say (RFC 3464, RFC 8098, RFC 5965), by `email`; then
what older servers write, by flufl.bounce.  On its own corpus of 117 bounces
the first finds 19 and the second 112.
"""

from __future__ import annotations

import dataclasses
import email.message
import email.utils
import logging
import re
from collections.abc import Iterator

from flufl import bounce

from deliverybot import model
from deliverybot.mail import replies

#: Names a mail keeps of those that failed; ours have one recipient each.
_MOST = 20
_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.]*\d)")
#: Bounces that say no status say it in words; only what can mean nothing else.
_UNKNOWN_USER = re.compile(
    r"user unknown|unknown (?:user|recipient)|no such (?:user|mailbox|recipient|address)"
    r"|no mailbox here by that name|address (?:was not found|not found|couldn't be found)"
    r"|recipient address rejected: (?:user|undeliverable)|unrouteable address"
    r"|(?:mailbox|recipient|user) (?:does not exist|doesn't exist|not found)",
    re.IGNORECASE,
)
_ENVELOPE_ID = "Original-Envelope-Id"
_ORIGINAL = frozenset({"message/rfc822", "text/rfc822-headers", "message/global-headers"})
_ORIGINAL |= {"message/global", "message/rfc822-headers"}
_COPY_START = re.compile(
    r"^(?:-{2,}.{0,60}-{2,}|.{0,60}(?:copy of (?:the|your) message|original message"
    r"|message headers).{0,60})\s*$",
    re.IGNORECASE | re.MULTILINE,
)
_COPY_ID = re.compile(r"^[>\s]{0,8}message-id:\s*(<[^<>\s]{1,900}>)", re.IGNORECASE | re.MULTILINE)
_TEXT_MAX = 100_000
_SERVERS = re.compile(r"mailer-?daemon|postmaster|mail ?delivery|delivery ?sub-?system")

# It tells of each detector that it tries.
logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a server says of a mail."""

    kind: model.Return
    status: str = ""
    said: str = ""
    envelope_ids: tuple[str, ...] = ()
    #: Raw values of the Message-ID fields in what was returned.
    about: tuple[str, ...] = ()
    #: Whom it names as the envelope's sender of that.
    senders: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()

    @property
    def hard(self) -> bool:
        """Tell whether the address is dead, so that it is suppressed."""
        return self.kind is model.Return.BOUNCE and self.status in replies.DEAD


def read(message: email.message.Message) -> Notice | None:
    """Return what a server says that keeps to the standard; None where none speaks so."""
    for part in message.walk():
        if part is not message and part.get_content_type() == "message/rfc822":
            break  # what stands in a mail that was passed on is about something else
        kind = part.get_content_type()
        if kind in {"message/delivery-status", "message/global-delivery-status"}:
            return _delivery(message, part)
        if kind == "message/disposition-notification":
            return _disposition(message, part)
        if kind == "message/feedback-report":
            return _complaint(message, part)
    return None


# --- as the standards say ------------------------------------------------------------------------


def _delivery(message: email.message.Message, part: email.message.Message) -> Notice | None:
    blocks = list(_blocks(part))
    by_action = {_value(block, "Action").lower(): block for block in reversed(blocks)}
    envelope = tuple(value for block in blocks if (value := _value(block, _ENVELOPE_ID)))
    for action, kind in _ACTIONS:
        block = by_action.get(action)
        if block is None:
            continue
        said = _value(block, "Diagnostic-Code").partition(";")[2].strip()
        said = said or _value(block, "Diagnostic-Code")
        return Notice(
            kind=kind,
            status=_status(_value(block, "Status"), said),
            said=said or action,
            envelope_ids=envelope[:_MOST],
            about=tuple(_about(message)),
            failed=tuple(_recipients(blocks, action))[:_MOST],
        )
    return None


#: The worst first: one of several recipients who failed is what must be known.
_ACTIONS = (
    ("failed", model.Return.BOUNCE),
    ("delayed", model.Return.DELAY),
    ("delivered", model.Return.RECEIPT),
    ("relayed", model.Return.RECEIPT),
    ("expanded", model.Return.RECEIPT),
)


def _blocks(part: email.message.Message) -> Iterator[email.message.Message]:
    """Yield the groups of fields of a report, the one of the message first."""
    payload = part.get_payload()
    if isinstance(payload, list):
        yield from (block for block in payload if isinstance(block, email.message.Message))
        return
    # Encoded as base64 against the rule, so that `email` left it as it is.
    content = part.get_payload(decode=True)
    text = content.decode("utf-8", "replace") if isinstance(content, bytes) else ""
    for group in re.split(r"\r?\n\r?\n", text[:_TEXT_MAX]):
        if group.strip():
            yield email.message_from_string(group.strip() + "\n\n")


def _value(block: email.message.Message, name: str) -> str:
    return " ".join(str(block.get(name, "")).split())


def _recipients(blocks: list[email.message.Message], action: str) -> Iterator[str]:
    for block in blocks:
        if _value(block, "Action").lower() == action:
            for name in ("Original-Recipient", "Final-Recipient"):
                address = _value(block, name).rpartition(";")[2].strip().strip("<>")
                if address:
                    yield address


def _status(given: str, said: str) -> str:
    """Return the status that says most: many servers write 5.0.0 and the reason in words."""
    plain = next(iter(_STATUS.findall(given)), "")
    found = next((one for one in _STATUS.findall(said) if one[:1] == (plain or one)[:1]), "")
    vague = not plain or plain.endswith(".0.0")
    if vague and found:
        return found
    if vague and (plain or "5").startswith("5") and _UNKNOWN_USER.search(said):
        return "5.1.1"
    return plain


def _about(message: email.message.Message) -> Iterator[str]:
    """Yield the Message-IDs of what was returned with a notice."""
    for part in message.walk():
        if part is message or part.get_content_type() not in _ORIGINAL:
            continue
        inner = next(_blocks(part), None)
        if inner is not None:
            yield from (str(one) for one in inner.get_all("Message-ID", []))
        return


def _disposition(message: email.message.Message, part: email.message.Message) -> Notice:
    """Read a receipt of reading (RFC 8098): whatever became of it, it arrived."""
    fields = next(_blocks(part), None) or part
    return Notice(
        kind=model.Return.RECEIPT,
        said=_value(fields, "Disposition").rpartition(";")[2].strip() or "read",
        envelope_ids=(),
        about=(_value(fields, "Original-Message-ID"), *_about(message)),
    )


def _complaint(message: email.message.Message, part: email.message.Message) -> Notice:
    fields = next(_blocks(part), None) or part
    kind = _value(fields, "Feedback-Type").lower()
    good = kind == "not-spam"
    envelope = _value(fields, _ENVELOPE_ID)
    return Notice(
        kind=model.Return.AUTOMATIC if good else model.Return.COMPLAINT,
        said=kind or "complaint",
        envelope_ids=(envelope,) if envelope else (),
        about=tuple(_about(message)),
        senders=(_value(fields, "Original-Mail-From").strip("<>"),),
    )


# --- as older servers write ----------------------------------------------------------------------


def guess(message: email.message.Message) -> Notice | None:
    """Read a bounce that keeps to no standard; from a machine alone, never from a person."""
    if not _from_server(message):
        return None
    later, failed = _failures(message)
    said = _words(message)
    addresses = [one.decode("utf-8", "replace") for one in sorted(failed | later)][:_MOST]
    xfailed = [str(value) for value in message.get_all("X-Failed-Recipients", [])]
    if not addresses and not xfailed:
        return None
    kind = model.Return.BOUNCE if failed or xfailed else model.Return.DELAY
    own, _, copy = _parted(said)
    return Notice(
        kind=kind,
        status=_status("", own) if kind is model.Return.BOUNCE else "",
        said=" ".join(own.split()),
        about=(*_about(message), *_COPY_ID.findall(copy or said)),
        failed=tuple(addresses or xfailed),
    )


def _failures(message: email.message.Message) -> tuple[set[bytes], set[bytes]]:
    """Return the addresses that were not reached yet, and those that are not reached any more."""
    try:
        later, failed = bounce.all_failures(message)
    except Exception:  # noqa: BLE001 - its detectors trip over fields that are not ASCII
        return set(), set()
    return set(later), set(failed)


def _from_server(message: email.message.Message) -> bool:
    sender = str(message.get("From", "")).lower()
    empty = str(message.get("Return-Path", "")).strip() == "<>"
    named = _SERVERS.search(sender)
    failed = message.get("X-Failed-Recipients") is not None
    return empty or failed or named is not None


def _words(message: email.message.Message) -> str:
    for part in message.walk():
        if part.get_content_type() in {"text/plain", "text/html"}:
            content = part.get_payload(decode=True)
            if isinstance(content, bytes):
                text = content.decode("utf-8", "replace")[:_TEXT_MAX]
                html = part.get_content_type() == "text/html"
                return re.sub(r"<[^>]{0,500}>", " ", text) if html else text
    return ""


def _parted(text: str) -> tuple[str, str, str]:
    """Part a server's own words from the copy of our letter below them."""
    found = _COPY_START.search(text)
    if not found:
        return text, "", ""
    return text[: found.start()], found[0], text[found.end() :]
