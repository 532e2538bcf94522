"""PDFs in base64 on disk: made once, and shared by every mail that carries them.

The encoded form lies beside its PDF, named by the PDF's hash, for us alone to
read.  It can be made again at any time, so it may be removed at any time.
"""

from __future__ import annotations

import binascii
import dataclasses
import functools
import glob
import hashlib
import os
import pathlib
import struct
import threading
from collections.abc import Callable, Iterator

from deliverybot import disk, errors

#: Bytes that a line of 76 letters holds (RFC 2045 section 6.8), and a line with its end.
_LINE, _WIDE = 57, 78
#: Lines encoded at a time; no other thread of Python runs meanwhile.
_LINES = 1024
#: Bytes handed on at a time.
CHUNK = 256 * 1024
_SUFFIX = ".b64"
#: One encodes, whoever else wants the same finds it made.
_making = threading.Lock()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """A file of base64: lines of 76 letters, CRLF at the end of each."""

    path: pathlib.Path
    #: Its bytes.
    size: int

    def chunks(self) -> Iterator[bytes]:
        """Yield all of it; raises OSError where it cannot be read or has another size now."""
        left = self.size
        with self.path.open("rb", buffering=0) as file:
            while chunk := file.read(CHUNK):
                left -= len(chunk)
                yield chunk
        if left:
            raise OSError(f"another size than when the mail was built: {self.path}")


def ready(pdf: pathlib.Path, sha256: str) -> Encoded:
    """Return the encoded form of a PDF, made anew where it is gone or damaged.

    Reads and encodes: call it in a thread.  Raises OutgoingError where the PDF
    is needed and is gone or is not the one of this SHA-256, OSError where the
    encoded form cannot be written.
    """
    path = pdf.with_name(f"{pdf.name}.{sha256[:32]}{_SUFFIX}")
    if not _sound(path, sha256):
        with _making:
            if not _sound(path, sha256):
                _make(pdf, sha256, path)
    return Encoded(path=path, size=path.stat().st_size)


def forget(pdf: pathlib.Path) -> None:
    """Remove the encoded form of a PDF."""
    for path in forms(pdf):
        path.unlink(missing_ok=True)


def forms(pdf: pathlib.Path) -> list[pathlib.Path]:
    """Return the encoded forms of a PDF that are there."""
    return sorted(pdf.parent.glob(f"{glob.escape(pdf.name)}.*{_SUFFIX}"))


def all_below(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yield the PDFs below a folder, here or gone, that have an encoded form."""
    for path in folder.rglob(f"*.pdf.*{_SUFFIX}"):
        yield path.with_suffix("").with_suffix("")


def lines(content: bytes) -> bytes:
    """Return bytes in base64, each line of it with its end."""
    text = binascii.b2a_base64(content, newline=False)
    full, rest = divmod(len(text), _WIDE - 2)
    parts = struct.unpack(f"{_WIDE - 2}s" * full + f"{rest}s" * bool(rest), text)
    return b"\r\n".join([*parts, b""])


def sha256(pdf: pathlib.Path, wanted: str = "") -> str:
    """Return a PDF's SHA-256 in hex; raise OutgoingError where it has another than is wanted."""
    try:
        found = _sha256(pdf, _stamp(pdf.stat()))
    except OSError as error:
        raise _unreadable(pdf, error) from error
    if wanted and found != wanted:
        raise _other(pdf)
    return found


@functools.lru_cache(maxsize=256)
def _sha256(pdf: pathlib.Path, stamp: tuple[int, ...]) -> str:  # noqa: ARG001
    """Hash a PDF once for every state that it is in.

    A change that its times do not show would go unseen here, and not in what is
    sent: that comes from the encoded form, which was compared with the hash.
    """
    return disk.sha256(pdf)


def _stamp(found: os.stat_result) -> tuple[int, ...]:
    """Return what tells the states of a file apart."""
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _unreadable(pdf: pathlib.Path, error: OSError) -> errors.OutgoingError:
    return errors.OutgoingError(f"the PDF cannot be read: {error.strerror}: {pdf}")


def _other(pdf: pathlib.Path) -> errors.OutgoingError:
    return errors.OutgoingError(
        f"the PDF is not the one that was frozen: {pdf}",
        hint="put the file back, or hold the delivery so that it is rendered again",
    )


def _make(pdf: pathlib.Path, sha256: str, path: pathlib.Path) -> None:
    """Encode a PDF; the file takes its name once it is whole and on disk."""
    try:
        source = pdf.open("rb")
    except OSError as error:
        raise _unreadable(pdf, error) from error
    hasher = hashlib.sha256()
    with source, disk.part(path.parent) as (handle, part):
        disk.pour(handle, _encode(source.read, hasher.update))
        if hasher.hexdigest() != sha256:
            raise _other(pdf)
        part.replace(path)
        disk.keep(path.parent)
    if not _sound(path, sha256):
        raise errors.OutgoingError(f"what was encoded does not read back: {path}")


def _encode(read: Callable[[int], bytes], seen: Callable[[bytes], None]) -> Iterator[bytes]:
    while content := read(_LINE * _LINES):
        seen(content)
        yield lines(content)


def _sound(path: pathlib.Path, sha256: str) -> bool:
    """Tell whether a file is there and is what we would make."""
    try:
        found = path.stat()
    except OSError:
        return False
    return _decodes(path, sha256, _stamp(found))


@functools.lru_cache(maxsize=256)
def _decodes(path: pathlib.Path, sha256: str, stamp: tuple[int, ...]) -> bool:  # noqa: ARG001
    """Read a file back, once for every state that it is in; `stamp` tells these apart."""
    hasher = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while text := file.read(_WIDE * _LINES):
                content = binascii.a2b_base64(text)
                if lines(content) != text:
                    return False
                hasher.update(content)
    except (OSError, ValueError):
        return False
    return hasher.hexdigest() == sha256
