"""Cursors that nobody can read in a stolen database.

Where a list goes on is said by the other side: an address or a word that may
hold an e-mail address or a key.  It is stored encrypted under the key that
recognises people, which lies beside the database and not in it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from cryptography import exceptions
from cryptography.hazmat.primitives.ciphers import aead


def close(content: Mapping[str, Any], secret: bytes) -> str:
    """Return a text that holds the content; the same for the same content."""
    plain = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    return base64.b64encode(_lock(secret).encrypt(plain, None)).decode()


def open_(text: str, secret: bytes) -> dict[str, Any] | None:
    """Return the content; None where the text is not one of ours under this key."""
    try:
        content = json.loads(_lock(secret).decrypt(base64.b64decode(text, validate=True), None))
    except (ValueError, exceptions.InvalidTag):
        return None
    return content if isinstance(content, dict) else None


def _lock(secret: bytes) -> aead.AESSIV:
    # RFC 5297: without a nonce of its own, so that nothing new gives the same cursor again.
    key = hashlib.blake2b(hashlib.blake2b(secret).digest(), person=b"dbot cursor").digest()
    return aead.AESSIV(key)
