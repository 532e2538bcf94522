"""A relay that takes a few bytes now and then, so that the line never stalls."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import threading
from collections.abc import Iterator

import smtp_tools
from deliverybot.mail import smtp
from smtp_tools import LARGE, LATER


@dataclasses.dataclass
class Sips:
    """How often the relay has taken some of the body; each time a second goes by."""

    port: int
    taken: int = 0

    def clock(self) -> float:
        return float(self.taken)


@contextlib.contextmanager
def sipping() -> Iterator[Sips]:
    """Serve one connection: quick answers, and of the body a sip every few milliseconds."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sips = Sips(listener.getsockname()[1])
    over = threading.Event()

    def serve() -> None:
        one, _ = listener.accept()
        with one, contextlib.suppress(OSError):
            one.sendall(b"220 hello\r\n")
            for answer in (b"250 sip.example", b"250 ok", b"250 ok", b"354 go on"):
                one.recv(1000)
                one.sendall(answer + b"\r\n")
            while not over.wait(0.01) and one.recv(2000):
                sips.taken += 1

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield sips
    finally:
        over.set()
        thread.join()
        listener.close()


async def test_it_does_not_hold_a_connection_for_ever() -> None:
    with sipping() as sips:
        settings = smtp_tools.mail_settings(sips.port, timeouts={"stall": 30})
        handed = await smtp_tools.hand_over(smtp.Courier(settings, clock=sips.clock), LARGE)
        assert sips.taken > 300
    assert (handed.reply.outcome, handed.reply.phase) == (LATER, "body")
    assert handed.announced == 0
    assert "bytes taken within 300 seconds" in handed.reply.text
