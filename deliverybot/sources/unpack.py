"""Bodies that are packed on the way: unpacked here, so that no small one becomes a huge one."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from deliverybot.sources import wire

#: What we ask for; anything else was not asked for.
ACCEPTED = "gzip"
#: Bytes unpacked at once.
_PIECE = 65_536
#: So many pieces of so few bytes on average cost minutes of work before they are too large.
_PIECES, _CRUMB = 10_000, 16


def unpacked(pieces: Iterable[bytes], encoding: str, most: int) -> Iterator[bytes]:
    """Give what the pieces hold, at most `most` bytes, whether packed or not.

    Raises:
        wire.Refused: It is larger, or packed as nobody asked.
        wire.Broken: It ends too early.
    """
    words = [word.strip().lower() for word in encoding.split(",") if word.strip()]
    if words in ([], ["identity"]):
        flow = iter(pieces)
    elif words in (["gzip"], ["x-gzip"]):
        flow = _gunzip(_capped(pieces, most))
    else:
        raise wire.Refused(f"it is packed as {encoding[:40]!r}, which was not asked for")
    yield from _capped(flow, most)


def _capped(pieces: Iterable[bytes], most: int) -> Iterator[bytes]:
    size = 0
    for number, piece in enumerate(pieces):
        size += len(piece)
        if number > _PIECES and size < _CRUMB * number:
            raise wire.Refused("the answer comes in crumbs, which cost us more than the sender")
        if size > most:
            hint = "`most` in this section says how large one may be"
            raise wire.Refused(f"the answer is larger than {most:,} bytes", hint)
        yield piece


def _gunzip(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Unpack gzip, of several members where there are (RFC 1952)."""
    member = None
    for piece in pieces:
        rest, full = piece, False
        while rest or full:
            member = member or zlib.decompressobj(zlib.MAX_WBITS | 16)
            try:
                out = member.decompress(rest, _PIECE)
            except zlib.error:
                raise wire.Refused("what came is not gzip, though it says so") from None
            if out:
                yield out
            full = len(out) == _PIECE and not member.eof
            rest = member.unused_data if member.eof else member.unconsumed_tail
            member = None if member.eof else member
    if member is not None:
        raise wire.Broken("the answer was cut off")
