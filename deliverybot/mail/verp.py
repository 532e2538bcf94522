"""The token that names a delivery in its envelope, so that what comes back finds its row.

It stands in the envelope's sender (VERP) and in ENVID (RFC 3461 section 4.4)::

    d{delivery id}.{part}.{first 10 hex of the SHA-256 of the Message-ID}

Ids alone could be guessed, and a forged bounce would mark a letter; the hash
is of a Message-ID that only we and the recipient know.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import re

_CHECK = 10
#: A database's id has at most 19 digits.
_TOKEN = re.compile(rf"d([1-9][0-9]{{0,18}})\.(0|[1-9][0-9]{{0,5}})\.([0-9a-f]{{{_CHECK}}})")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A delivery, as a message that came back names it."""

    #: Id of the delivery's row.
    ident: int
    #: Which of its mails, from 1.
    part: int
    #: What `fits` compares.
    check: str

    def fits(self, message_id: str) -> bool:
        """Tell whether this was made for that Message-ID; else it is forged or not ours."""
        return hmac.compare_digest(self.check, _check(message_id))


def token(ident: int, part: int, message_id: str) -> str:
    """Return the token of one mail, the same for every attempt."""
    return f"d{ident}.{part}.{_check(message_id)}"


def sender(bounces: str, ident: int, part: int, message_id: str) -> str:
    """Return the envelope's sender: the address for bounces with the token behind a plus."""
    local, _, domain = bounces.rpartition("@")
    return f"{local}+{token(ident, part, message_id)}@{domain}"


def parse(address: str) -> Token | None:
    """Return what an address made by `sender` names; None for any other address."""
    local = address.strip().removeprefix("<").removesuffix(">").rpartition("@")[0]
    before, plus, text = local.rpartition("+")
    return read(text) if before and plus else None


def read(text: str) -> Token | None:
    """Return what a bare token names, such as one that came back as ENVID; None for other text."""
    # Some relays write the part before the @ in capitals.
    found = _TOKEN.fullmatch(text.strip().lower())
    if not found:
        return None
    return Token(ident=int(found[1]), part=int(found[2]), check=found[3])


def _check(message_id: str) -> str:
    return hashlib.sha256(message_id.encode()).hexdigest()[:_CHECK]
