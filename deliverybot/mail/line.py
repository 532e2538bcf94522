"""What happens on a connection underneath the SMTP library."""

from __future__ import annotations

import array
import asyncio
import fcntl
import socket
import sys
import termios
from collections.abc import Callable, Iterable

#: Enough of what came unasked to quote it.
_STRAY_MAX = 1000
#: Bytes written at a time; our own buffer holds less than two of these.
_CHUNK = 256 * 1024
#: Seconds between two looks at the queues: the first, while bytes leave, while none do.
_LOOK_MIN, _LOOK_BUSY, _LOOK_MAX = 0.0005, 0.004, 0.05
#: Of the longest that no byte may be taken, how often that a whole body may take: a lease is as
#: long, and a relay that takes a byte now and then would hold its connection for ever.
BODY = 10
#: Bytes that are written by themselves, and looks at the queues without a pause.
_LAST, _QUICK = 2, 20


class Stalled(Exception):
    """The other side took no byte for too long."""


class Tap(asyncio.Protocol):
    """Stands before the SMTP library and keeps what the library drops.

    The library pairs an answer with whatever command comes next; an answer
    that was sent twice would so become the answer to the final dot.
    """

    def __init__(self, inner: asyncio.Protocol) -> None:
        self._inner = inner
        self._line = b""
        self._waiting = 0
        #: What came when nothing had been asked.
        self.stray = b""
        #: Code of the last whole reply, as it came.
        self.code = b""
        #: Set when a writer should look again before its time.
        self.stirred = asyncio.Event()

    def expect(self, count: int = 1) -> None:
        """Take what comes next, up to the last line of `count` replies, as asked for."""
        self._waiting, self.code = count, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Pass on."""
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Sort into asked and stray, and pass on."""
        self._inner.data_received(data)
        self._line += data
        while self._waiting and b"\n" in self._line:
            line, _, self._line = self._line.partition(b"\n")
            if line[3:4] != b"-":
                self.code, self._waiting = line[:3], self._waiting - 1
        if not self._waiting:
            self.stray = (self.stray + self._line)[:_STRAY_MAX]
            self._line = b""
            self.stirred.set()
        self._line = self._line[-_STRAY_MAX:]

    def eof_received(self) -> bool | None:
        """Pass on."""
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on."""
        self.stirred.set()
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass on."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass on."""
        self.stirred.set()
        self._inner.resume_writing()


class Writer:
    """Writes a body with back-pressure, and knows when the other side has it all."""

    def __init__(
        self,
        transports: tuple[asyncio.Transport, ...],
        tap: Tap,
        *,
        stall: float,
        clock: Callable[[], float],
    ) -> None:
        """`transports` from the outermost (TLS) to the socket's own, as far as known."""
        self._transports = transports
        self._tap = tap
        self._stall = stall
        self._clock = clock
        self._end = clock() + BODY * stall

    async def write(self, body: Iterable[bytes]) -> None:
        """Write all of it and wait until the other side's TCP has it.

        The last bytes go by themselves: a receiver may hold the acknowledgement of one
        small segment back, in case there is something to send with it (RFC 1122
        section 4.2.3.2; 40 ms on Linux), and hardly does with a second one.  Raises Stalled, or
        ConnectionError for a connection that is gone or has spoken unasked, and
        what reading `body` raises.
        """
        self._transports[0].set_write_buffer_limits(high=_CHUNK)
        last = memoryview(b"")
        for piece in body:
            await self._put(last)
            last = memoryview(piece)
        await self._put(last[:-_LAST])
        await self._wait(lambda: self._buffered() == 0)
        await self._put(last[-_LAST:])
        await self._gone()
        if self._transports[0].get_extra_info("ssl_object"):
            # Again: what the TLS layer still held goes out when the loop comes round.
            await asyncio.sleep(_LOOK_MIN)
            await self._gone()

    async def _put(self, piece: memoryview) -> None:
        for start in range(0, len(piece), _CHUNK):
            await self._wait(lambda: self._buffered() < _CHUNK)
            self._transports[0].write(piece[start : start + _CHUNK])

    async def _gone(self) -> None:
        """Wait until the other side has all; at first without a pause, for it is mostly quick."""
        for _ in range(_QUICK):
            if self._unsent() == 0:
                break
            await asyncio.sleep(0)
        await self._wait(lambda: self._unsent() == 0)

    async def _wait(self, until: Callable[[], bool]) -> None:
        least, since, pause = self._unsent(), self._clock(), _LOOK_MIN
        while True:
            if self._tap.stray:
                raise ConnectionError("an answer came before the end of the message")
            if any(transport.is_closing() for transport in self._transports):
                raise ConnectionError("the connection was closed")
            if until():
                return
            await self._stirred(pause)
            unsent = self._unsent()
            if self._clock() > self._end:
                raise Stalled(f"not all bytes taken within {BODY * self._stall:g} seconds")
            if unsent < least:
                least, since, pause = unsent, self._clock(), min(pause * 2, _LOOK_BUSY)
            elif self._clock() - since > self._stall:
                raise Stalled(f"no byte taken for {self._stall:g} seconds")
            else:
                pause = min(pause * 2, _LOOK_MAX)

    async def _stirred(self, most: float) -> None:
        """Wait for so many seconds, or until something has happened."""
        self._tap.stirred.clear()
        alarm = asyncio.get_running_loop().call_later(most, self._tap.stirred.set)
        try:
            await self._tap.stirred.wait()
        finally:
            alarm.cancel()

    def _buffered(self) -> int:
        return sum(transport.get_write_buffer_size() for transport in self._transports)

    def _unsent(self) -> int:
        return self._buffered() + _in_kernel(self._transports[0])


def _in_kernel(transport: asyncio.Transport) -> int:
    """Return how many bytes the other side's TCP has not acknowledged; 0 where nobody tells."""
    socket_ = _socket(transport)
    if socket_ is None:
        return 0
    size = array.array("i", [0])
    fcntl.ioctl(socket_.fileno(), termios.TIOCOUTQ, size)
    return size[0]


def _socket(transport: asyncio.Transport) -> socket.socket | None:
    found: socket.socket | None = transport.get_extra_info("socket")
    return None if sys.platform != "linux" or found is None or found.fileno() < 0 else found
