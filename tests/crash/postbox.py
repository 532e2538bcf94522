"""A real SMTP server on loopback that counts what it took, and can stop at a point."""

from __future__ import annotations

import dataclasses
import email.parser
import email.policy
import hashlib
import socket
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Self

#: A gate that nobody opens lets go after this many seconds, so that no thread is left behind.
LAST = 300.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One message that came up to its final dot."""

    message_id: str
    recipient: str
    sha256: str


class Gate:
    """A point at which the server stops until the test lets it go on."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._open = threading.Event()

    def wait_until_reached(self) -> None:
        assert self._reached.wait(LAST), "nobody came to the gate"

    def open(self) -> None:
        self._open.set()

    def pass_through(self) -> None:
        self._reached.set()
        self._open.wait(LAST)


class Postbox(socketserver.ThreadingTCPServer):
    """Takes mail from anybody, for anybody."""

    daemon_threads = False
    allow_reuse_address = True

    def __init__(
        self, *, port: int = 0, receive_buffer: int = 0, pause: float = 0.0, drip: int = 1
    ) -> None:
        """`receive_buffer` small makes a body stall; `pause` seconds before each answer.

        An answer comes in `drip` pieces, with that pause before each.
        """
        self._buffer = receive_buffer
        super().__init__(("127.0.0.1", port), _Talk)
        self.pause, self.drip = pause, drip
        self.taken: list[Letter] = []
        #: By phase (``rcpt``, ``data``, ``body``, ``dot``): where to stop, for the next comer.
        self.gates: dict[str, Gate] = {}
        #: Asked at each final dot: True takes the letter, False takes nothing and hangs up.
        self.on_dot: Callable[[Letter], bool] = lambda _: True
        #: Set whenever somebody has connected; clear it to wait for the next one.
        self.greeted = threading.Event()
        #: The answer to RCPT, where it is not yes.
        self.refusal: dict[str, str] = {}
        self._lock = threading.Lock()
        self._gates: list[Gate] = []
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def server_bind(self) -> None:
        if self._buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)
        super().server_bind()

    def gate(self, phase: str) -> Gate:
        """Stop the next comer at this phase."""
        gate = self.gates[phase] = Gate()
        self._gates.append(gate)
        return gate

    def keep(self, letter: Letter) -> None:
        with self._lock:
            self.taken.append(letter)

    def by_id(self) -> Counter[str]:
        """How often each Message-ID was taken."""
        return Counter(letter.message_id for letter in self.taken)

    def by_recipient(self) -> Counter[str]:
        """How often each address was sent something."""
        return Counter(letter.recipient for letter in self.taken)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for gate in self._gates:
            gate.open()
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Gone(Exception):
    """The other side is no longer there."""


class _Talk(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    server: Postbox

    def handle(self) -> None:
        try:
            self._talk()
        except (_Gone, ConnectionError):
            return

    def finish(self) -> None:
        try:
            super().finish()
        except ConnectionError:
            return

    def _talk(self) -> None:
        self._say("220 postbox.test")
        self.server.greeted.set()
        recipient = ""
        while True:
            line = self._line().decode().rstrip()
            verb = line.partition(" ")[0].upper()
            if verb == "EHLO":
                self._say("250-postbox.test\r\n250 SIZE 50000000")
            elif verb == "RCPT":
                recipient = line.partition("<")[2].partition(">")[0]
                self._stop("rcpt")
                self._say(self.server.refusal.get(recipient, "250 yes"))
            elif verb == "DATA":
                self._stop("data")
                self._say("354 go on")
                self._stop("body")
                if not self._take(recipient):
                    return
            elif verb == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 yes")

    def _take(self, recipient: str) -> bool:
        lines = []
        while (line := self._line()) != b".\r\n":
            lines.append(line.removeprefix(b"."))
        content = b"".join(lines)
        headers = email.parser.BytesHeaderParser(policy=email.policy.default).parsebytes(content)
        letter = Letter(
            message_id=str(headers["Message-ID"]).strip(),
            recipient=recipient,
            sha256=hashlib.sha256(content).hexdigest(),
        )
        if not self.server.on_dot(letter):
            return False
        self._stop("dot")
        self.server.keep(letter)
        self._say("250 taken")
        return True

    def _stop(self, phase: str) -> None:
        gate = self.server.gates.pop(phase, None)
        if gate is not None:
            gate.pass_through()

    def _line(self) -> bytes:
        # Else the kernel acknowledges the end of a body 40 ms late, and the bot waits for that.
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        line = self.rfile.readline()
        if not line.endswith(b"\n"):
            raise _Gone
        return bytes(line)

    def _say(self, text: str) -> None:
        answer = text.encode() + b"\r\n"
        size = -(-len(answer) // self.server.drip)
        for start in range(0, len(answer), size):
            if self.server.pause:
                time.sleep(self.server.pause)
            self.wfile.write(answer[start : start + size])
