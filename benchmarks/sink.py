"""An SMTP server that counts messages and keeps none, in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import multiprocessing.connection
from collections.abc import Iterator

_END = b"\r\n.\r\n"


class _Talk(asyncio.Protocol):
    """One connection; commands are answered one by one, as they come."""

    def __init__(self, counted: list[int]) -> None:
        self._counted = counted
        self._buffer = b""
        self._in_body = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError
        self._transport = transport
        transport.write(b"220 sink.example ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        """Answer what is whole."""
        if self._in_body:
            # Of a body only its end is looked at, and its size.
            self._counted[1] += len(data)
            self._buffer = (self._buffer + data)[-len(_END) :]
            if self._buffer == _END:
                self._in_body, self._buffer = False, b""
                self._counted[0] += 1
                self._transport.write(b"250 2.0.0 taken\r\n")
            return
        self._buffer += data
        while not self._in_body and b"\r\n" in self._buffer:
            line, _, self._buffer = self._buffer.partition(b"\r\n")
            self._answer(line[:4].upper())

    def _answer(self, verb: bytes) -> None:
        if verb == b"DATA":
            self._in_body = True
            self._transport.write(b"354 go on\r\n")
        elif verb == b"EHLO":
            self._transport.write(b"250-sink.example\r\n250-SIZE 50000000\r\n250 8BITMIME\r\n")
        elif verb == b"QUIT":
            self._transport.write(b"221 2.0.0 bye\r\n")
            self._transport.close()
        else:
            self._transport.write(b"250 2.0.0 ok\r\n")


def _serve(pipe: multiprocessing.connection.Connection) -> None:
    counted = [0, 0]

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Talk(counted), "127.0.0.1", 0, backlog=256)
        pipe.send(server.sockets[0].getsockname()[1])
        # Whoever asks gets messages and bytes, and both begin at nothing again.
        loop.add_reader(pipe.fileno(), answer)
        await server.serve_forever()

    def answer() -> None:
        try:
            pipe.recv()
        except EOFError:
            asyncio.get_running_loop().stop()
            return
        pipe.send(tuple(counted))
        counted[:] = [0, 0]

    with contextlib.suppress(RuntimeError):  # stopped
        asyncio.run(serve())


class Sink:
    """The way to the server from outside."""

    def __init__(self, pipe: multiprocessing.connection.Connection) -> None:
        self._pipe = pipe
        self.port: int = pipe.recv()

    def counted(self) -> tuple[int, int]:
        """Return messages and bytes since the last time."""
        self._pipe.send("count")
        messages, size = self._pipe.recv()
        return messages, size


@contextlib.contextmanager
def running() -> Iterator[Sink]:
    """Run the server until the block ends."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there,), daemon=True)
    process.start()
    there.close()
    try:
        yield Sink(here)
    finally:
        process.terminate()
        process.join()
