"""A scripted SMTP server in a thread of its own; a real one on loopback.

A script says for each phase what the server does instead of the usual answer:
bytes are sent as they stand, the words below are done, a tuple is done in order.
A list is one entry an occurrence; after its end the usual answer is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import enum
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path


class Do(enum.Enum):
    HANG = "say nothing more until the test lets go, then go on"
    CLOSE = "hang up"
    RESET = "hang up with RST"
    ACCEPT = "take the message"


@dataclasses.dataclass(frozen=True)
class Drip:
    """Bytes sent one by one."""

    content: bytes


Act = bytes | Do | Drip
Script = Act | tuple[Act, ...] | list[Act | tuple[Act, ...]]

PHASES = ("connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "body", "dot")
USUAL: Mapping[str, tuple[Act, ...]] = {
    "connect": (b"220 catcher.example ready\r\n",),
    "starttls": (b"220 2.0.0 go\r\n",),
    "auth": (b"235 2.7.0 welcome\r\n",),
    "mail": (b"250 2.1.0 ok\r\n",),
    "rcpt": (b"250 2.1.5 ok\r\n",),
    "data": (b"354 go on\r\n",),
    "body": (),
    "dot": (Do.ACCEPT, b"250 2.0.0 taken\r\n"),
    "rset": (b"250 2.0.0 ok\r\n",),
    "quit": (b"221 2.0.0 bye\r\n", Do.CLOSE),
}
_VERBS = {b"EHLO": "ehlo", b"STARTTLS": "starttls", b"AUTH": "auth", b"MAIL": "mail"} | {
    b"RCPT": "rcpt",
    b"DATA": "data",
    b"RSET": "rset",
    b"QUIT": "quit",
}
_END = b"\r\n.\r\n"


class _Gone(Exception):
    """The connection is over."""


class Server:
    """What it was told and what it has seen; read it from any thread."""

    def __init__(
        self,
        script: Mapping[str, Script],
        *,
        extensions: tuple[str, ...],
        context: ssl.SSLContext | None,
        implicit: bool,
        wedge_at: int,
    ) -> None:
        self._script = dict(script)
        self._turn: dict[str, int] = {}
        self._extensions = extensions
        self._context = context
        self._implicit = implicit
        self._wedge_at = wedge_at
        self.port = 0
        self.connections = 0
        self.commands: list[bytes] = []
        #: Messages that the server has taken on itself, dots still doubled.
        self.accepted: list[bytes] = []
        #: The body that is coming in, and whether its final dot has come.
        self.body = bytearray()
        self.dot = False
        #: Set while a HANG lasts; `resume` ends it.
        self.hanging = threading.Event()
        self.resume = threading.Event()

    def heal(self, extensions: tuple[str, ...] | None = None) -> None:
        """Let whatever hangs go on, and do the usual from now on."""
        self._script = {}
        self._extensions = self._extensions if extensions is None else extensions
        self.resume.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self._act("connect", reader, writer)
            while line := await reader.readline():
                await self._command(line.strip(), reader, writer)
        except (_Gone, OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    async def _command(
        self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.commands.append(line)
        phase = _VERBS.get(line.split(b" ")[0].upper(), "unknown")
        said = await self._act(phase, reader, writer)
        if phase == "starttls" and said.startswith(b"220") and self._context:
            await _start_tls(writer, self._context)
        if phase == "data" and said.startswith(b"354"):
            await self._take(reader, writer)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Its own: another connection may still be bringing the rest of a letter given up.
        self.body = body = bytearray()
        self.dot = False
        acted = "body" not in self._script
        while not body.endswith(_END):
            if not acted and len(body) >= self._wedge_at:
                acted = True
                await self._act("body", reader, writer)
            data = await reader.read(65536)
            if not data:
                raise _Gone
            body += data
        self.dot = True
        await self._act("dot", reader, writer)

    async def _act(
        self, phase: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes:
        said = b""
        for act in self._acts(phase):
            if act is Do.ACCEPT:
                self.accepted.append(bytes(self.body.removesuffix(b".\r\n")))
            elif act is Do.HANG:
                self.hanging.set()
                while not self.resume.is_set():  # noqa: ASYNC110 - set by another thread
                    await asyncio.sleep(0.005)
            elif act is Do.CLOSE:
                writer.close()
                raise _Gone
            elif act is Do.RESET:
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, linger
                )
                raise _Gone
            elif isinstance(act, Drip):
                for byte in act.content:
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(0)
                said += act.content
            elif isinstance(act, bytes):
                writer.write(act)
                await writer.drain()
                said += act
        return said

    def _acts(self, phase: str) -> tuple[Act, ...]:
        script = self._script.get(phase)
        if isinstance(script, list):
            turn = self._turn.get(phase, 0)
            self._turn[phase] = turn + 1
            script = script[turn] if turn < len(script) else None
        if script is None:
            return self._usual(phase)
        return script if isinstance(script, tuple) else (script,)

    def _usual(self, phase: str) -> tuple[Act, ...]:
        if phase == "ehlo":
            lines = ("catcher.example", *self._extensions)
            last = len(lines) - 1
            return tuple(
                f"250{' ' if at == last else '-'}{one}\r\n".encode() for at, one in enumerate(lines)
            )
        return USUAL.get(phase, (b"502 5.5.1 what?\r\n",))


@contextlib.contextmanager
def running(
    script: Mapping[str, Script] | None = None,
    *,
    extensions: tuple[str, ...] = ("SIZE 50000000", "8BITMIME", "ENHANCEDSTATUSCODES"),
    context: ssl.SSLContext | None = None,
    implicit: bool = False,
    wedge_at: int = 1000,
) -> Iterator[Server]:
    """Run a server until the block ends."""
    server = Server(
        script or {}, extensions=extensions, context=context, implicit=implicit, wedge_at=wedge_at
    )
    listener = socket.create_server(("127.0.0.1", 0))
    # Small, so that a reader who stops is felt by the writer.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
    server.port = listener.getsockname()[1]
    ready, over = threading.Event(), threading.Event()
    thread = threading.Thread(
        target=lambda: asyncio.run(
            _serve(server, listener, context if implicit else None, ready, over)
        )
    )
    thread.start()
    ready.wait()
    try:
        yield server
    finally:
        server.resume.set()
        over.set()
        thread.join()


async def _start_tls(writer: asyncio.StreamWriter, context: ssl.SSLContext) -> None:
    plain = writer.transport
    await writer.start_tls(context)
    if vars(writer)["_transport"] is None:
        # asyncio leaves the writer without a transport when the client goes away just as the
        # handshake ends; both abort() and the writer's own end need one.
        vars(writer)["_transport"] = plain
        raise _Gone


async def _serve(
    server: Server,
    listener: socket.socket,
    context: ssl.SSLContext | None,
    ready: threading.Event,
    over: threading.Event,
) -> None:
    open_now: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_now.add(writer)
        await server.serve(reader, writer)
        open_now.remove(writer)

    running_server = await asyncio.start_server(serve, sock=listener, ssl=context)
    ready.set()
    while not over.is_set():  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.005)
    running_server.close()
    while open_now:
        for writer in open_now:
            writer.transport.abort()
        await asyncio.sleep(0.005)


def certificate(folder: Path, *names: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Make a certificate; return the server's context and that of a client who trusts it."""
    key, chain = folder / "key.pem", folder / "chain.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *(
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=catcher.example",
                "-keyout",
                key,
                "-out",
                chain,
            ),
            *("-addext", "subjectAltName=" + ",".join(names)),
        ],
        check=True,
        capture_output=True,
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain, key)
    return server, ssl.create_default_context(cafile=str(chain))
