"""Webhooks: the address that a platform calls, and what it brings.

What arrives is stored first, encrypted, and taken in by the next reading of
the campaign's source.  The key lies beside the ledger, so that a stolen
database is no list of addresses.  An address ends with a token, a keyed hash
of the campaign; `renew` makes another one when an address has become known.
"""

from __future__ import annotations

import base64
import datetime as dt
import functools
import hashlib
import hmac
import pathlib
import secrets
from collections.abc import Callable, Sequence
from typing import NamedTuple

from cryptography import exceptions
from cryptography.hazmat.primitives.ciphers import aead

from deliverybot import errors, keys, ledger
from deliverybot.sources import kinds

#: First part of the path of every such address.
PATH = "in"
#: Nobody guesses 128 bits.
_TOKEN_BYTES = 16
_NONCE = 12


class _Keys(NamedTuple):
    tokens: bytes
    marks: bytes
    lock: aead.AESGCM


class Call(NamedTuple):
    """One call of a platform."""

    slug: str
    #: What the platform tells it from others by; empty: its content does.
    told: str
    body: bytes


class Arrivals:
    """What arrived for the campaigns of one ledger; for sources, too (`kinds.Arrivals`)."""

    def __init__(
        self, book: ledger.Ledger, state_dir: pathlib.Path, clock: Callable[[], dt.datetime]
    ) -> None:
        """Open nothing yet."""
        self._book = book
        self._state = state_dir
        self._clock = clock

    @functools.cached_property
    def _keys(self) -> _Keys:
        """The keys, one for each purpose; made the first time."""
        key = keys.of(
            self._state, self._book, "arrivals", hint="put the old file back from a backup",
            what="the arrivals in this ledger were locked with",
        )  # fmt: skip
        tokens, marks, locks = (
            hmac.digest(key, purpose, "sha256") for purpose in (b"tokens", b"marks", b"locks")
        )
        return _Keys(tokens, marks, aead.AESGCM(locks))

    def token(self, slug: str) -> str:
        """Return the last part of a campaign's address: 22 characters."""
        said = f"{slug}\0{self._book.recall(_turn(slug)) or ''}".encode()
        made = hmac.digest(self._keys.tokens, said, "sha256")[:_TOKEN_BYTES]
        return base64.urlsafe_b64encode(made).rstrip(b"=").decode()

    def renew(self, slug: str) -> None:
        """Give a campaign another token; the old address answers nobody any more."""
        self._book.replace(_turn(slug), secrets.token_hex(8))

    def address(self, public_url: str, slug: str) -> str:
        """Return a campaign's address, which whoever knows it can bring signatures to."""
        return f"{public_url.rstrip('/')}/{PATH}/{slug}/{self.token(slug)}"

    def put(self, calls: Sequence[Call]) -> None:
        """Store what came, on disk, all of it or nothing; what came before is there already."""
        stored = []
        for call in calls:
            mark = b"told\0" + call.told.encode() if call.told else b"body\0" + call.body
            key = hashlib.blake2b(mark, key=self._keys.marks, digest_size=16).digest()
            nonce = secrets.token_bytes(_NONCE)
            known = call.slug.encode() + key
            stored.append(
                (call.slug, key, nonce + self._keys.lock.encrypt(nonce, call.body, known))
            )
        self._book.arrivals.put(stored, self._clock())

    def count(self, slug: str) -> int:
        """Count what is not taken in."""
        return self._book.arrivals.count(slug)

    def waiting(self, slug: str, most: int) -> Sequence[kinds.Arrival]:
        """Return what is not taken in, oldest first.

        Raises:
            errors.SourceError: One was changed in the database.
        """
        found = []
        for one in self._book.arrivals.waiting(slug, most):
            nonce, locked = one.body[:_NONCE], one.body[_NONCE:]
            try:
                body = self._keys.lock.decrypt(nonce, locked, slug.encode() + one.key)
            except exceptions.InvalidTag:
                what = f"arrival {one.id} at the webhook of {slug} cannot be unlocked"
                hint = "somebody has changed the database; restore it from a backup"
                raise errors.SourceError(what, hint=hint) from None
            found.append(kinds.Arrival(id=one.id, at=one.at, body=body, key=one.key))
        return found

    def done(self, slug: str, ids: Sequence[int]) -> None:
        """Forget what was taken in."""
        self._book.arrivals.done(slug, ids, self._clock())


def _turn(slug: str) -> str:
    """Return the name under which the ledger keeps how often a campaign's token was renewed."""
    return f"webhook_{hashlib.sha256(slug.encode()).hexdigest()[:24]}"
