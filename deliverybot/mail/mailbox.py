"""Mail addresses and their domains."""

from __future__ import annotations

import re

from deliverybot import errors

#: Letters that IDNA 2003 (Python's codec) and IDNA 2008 turn into different domains.
_DISPUTED = frozenset("\u00df\u03c2\u200c\u200d")
#: The part before the @: RFC 5322 atoms, with what RFC 6531 adds.  Quoted forms are not taken.
_LOCAL = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
#: RFC 5321 section 4.5.3.1, in octets.
_LOCAL_MAX, _DOMAIN_MAX = 64, 253


def address(text: str) -> str:
    """Return a mail address as the wire has it, the domain in its ASCII form.

    Raises OutgoingError for what is not one plain address: "=?" begins an
    encoded word, which `email` decodes even there, and it may hold line ends.
    """
    local, at, host = text.rpartition("@")
    if not at or "=?" in text or not _LOCAL.fullmatch(local) or len(local.encode()) > _LOCAL_MAX:
        raise errors.OutgoingError(
            f"{text!r} is not a mail address", hint="write it as name@domain.example"
        )
    return f"{local}@{domain(host)}"


def needs_smtputf8(*addresses: str) -> bool:
    """Tell whether a relay must offer SMTPUTF8 to take one of these; empty ones count not."""
    return not all(address(text).isascii() for text in addresses if text)


def domain(text: str) -> str:
    """Return a domain in its ASCII form; raise OutgoingError where it has none."""
    hint = "write the domain in its ASCII form (xn--...)"
    if _DISPUTED & set(text):
        raise errors.OutgoingError(f"the domain {text!r} has two readings", hint=hint)
    try:
        ascii_form = text.encode("idna").decode("ascii").lower()
    except UnicodeError as error:
        raise errors.OutgoingError(f"{text!r} is not a domain", hint=hint) from error
    labels = ascii_form.split(".")
    if len(ascii_form) > _DOMAIN_MAX or not all(_LABEL.fullmatch(label) for label in labels):
        raise errors.OutgoingError(f"{text!r} is not a domain", hint=hint)
    return ascii_form
