"""A mail as the bytes that a relay is given; what is large of it stays on disk."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Sequence

from deliverybot.mail import encoded


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A finished mail; its memory does not depend on its attachments."""

    #: As in its header, with the angle brackets.
    message_id: str
    #: What stands before, between and behind the attachments: one more than there are of these.
    #: Each begins at the start of a line, lines end with CRLF.
    texts: tuple[bytes, ...]
    #: The attachments.
    files: tuple[encoded.Encoded, ...] = ()
    #: Bytes of the whole.
    size: int
    #: SHA-256 of the whole, in hex.
    sha256: str

    @property
    def wide(self) -> bool:
        """Whether headers hold more than ASCII, so that the relay must offer SMTPUTF8."""
        return not all(text.isascii() for text in self.texts)

    def chunks(self, stuffed: Callable[[bytes], bytes] = bytes) -> Iterator[bytes]:
        """Yield the mail from its start to its end; `stuffed` changes what is not base64.

        Raises OSError where an attachment cannot be read any more.
        """
        return chunks(self.texts, self.files, stuffed)


def of(message_id: str, texts: Sequence[bytes], files: Sequence[encoded.Encoded] = ()) -> Built:
    """Return the mail of these pieces; reads and hashes it all: call it in a thread."""
    hasher, size = hashlib.sha256(), 0
    for chunk in chunks(texts, files):
        hasher.update(chunk)
        size += len(chunk)
    return Built(
        message_id=message_id,
        texts=tuple(texts),
        files=tuple(files),
        size=size,
        sha256=hasher.hexdigest(),
    )


def chunks(
    texts: Sequence[bytes],
    files: Sequence[encoded.Encoded],
    stuffed: Callable[[bytes], bytes] = bytes,
) -> Iterator[bytes]:
    """Yield texts and, between them, files; see `Built`."""
    yield stuffed(texts[0])
    for file, text in zip(files, texts[1:], strict=True):
        yield from file.chunks()
        yield stuffed(text)
