"""Links: the address of a target's own under which the list of signers lies for a while.

An address ends with a token: the keyed hash of campaign, milestone, version and
target, so that a letter made again says the same.  The key lives beside the
ledger; the ledger knows only the token's hash.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import pathlib

from deliverybot import keys, ledger

#: Nobody guesses 128 bits.
_TOKEN_BYTES = 16
#: First part of the path of every such address.
PATH = "signers"


def key(state_dir: pathlib.Path, book: ledger.Ledger) -> bytes:
    """Return the key that tokens are made with; make it the first time.

    With another key every letter not sent yet would be made anew, and what was
    sent could not be told apart from a stranger's, so that is refused.
    """
    return keys.of(
        state_dir, book, "links", what="this ledger's links were made with",
        hint="put the old file back from a backup",
    )  # fmt: skip


def token(key_: bytes, campaign: str, milestone: str, version: int, target: str) -> str:
    """Return the token of one letter's list: 22 characters that may stand in an address."""
    said = "\0".join((campaign, milestone, str(version), target)).encode()
    made = hmac.digest(key_, said, "sha256")[:_TOKEN_BYTES]
    return base64.urlsafe_b64encode(made).rstrip(b"=").decode()


def address(public_url: str, token_: str) -> str:
    """Return the address that a token makes."""
    return f"{public_url.rstrip('/')}/{PATH}/{token_}"


def mark(url_or_token: str) -> str:
    """Return what the ledger knows a token by, as hex."""
    return hashlib.sha256(url_or_token.rpartition("/")[2].encode()).hexdigest()
