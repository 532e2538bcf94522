"""Keys that lie in state_dir, beside the ledger and not in it, and belong to that one ledger."""

from __future__ import annotations

import contextlib
import hashlib
import pathlib
import secrets

from deliverybot import disk, errors, ledger

#: Length of a key.
BYTES = 32


def of(state_dir: pathlib.Path, book: ledger.Ledger, name: str, *, what: str, hint: str) -> bytes:
    """Return the key in ``NAME.key``; make it the first time.

    The ledger keeps a mark of it: another key is refused with LedgerError, which
    says `what` the ledger's own was for, and the hint.
    """
    file = state_dir / f"{name}.key"
    if not file.exists():
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            disk.put(file, secrets.token_bytes(BYTES))
    key = file.read_bytes()
    if len(key) != BYTES:
        message = f"{file} is no key: it has {len(key)} bytes, not {BYTES}"
        raise errors.LedgerError(message, hint="put the file back from a backup")
    mark = hashlib.blake2b(f"deliverybot {name} key".encode(), key=key, digest_size=16).hexdigest()
    if book.remember(f"{name}_key", mark) != mark:
        raise errors.LedgerError(f"{file} is not the key that {what}", hint=hint)
    return key
