"""A relay that takes a few bytes now and then, so that the line never stalls."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

import smtp_tools
from deliverybot.mail import smtp
from smtp_tools import LARGE, LATER


@contextlib.contextmanager
def sipping() -> Iterator[int]:
    """Serve one connection: quick answers, and of the body a sip every few milliseconds."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    over = threading.Event()

    def serve() -> None:
        one, _ = listener.accept()
        with one, contextlib.suppress(OSError):
            one.sendall(b"220 hello\r\n")
            for answer in (b"250 sip.example", b"250 ok", b"250 ok", b"354 go on"):
                one.recv(1000)
                one.sendall(answer + b"\r\n")
            while not over.wait(0.01) and one.recv(200):
                pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        over.set()
        thread.join()
        listener.close()


@pytest.mark.timeout(60)
async def test_it_does_not_hold_a_connection_for_ever() -> None:
    with sipping() as port:
        settings = smtp_tools.mail_settings(port, timeouts={"stall": 0.5})
        began = time.monotonic()
        handed = await smtp_tools.hand_over(smtp.Courier(settings), LARGE)
    assert (handed.reply.outcome, handed.reply.phase) == (LATER, "body")
    assert handed.announced == 0
    assert "bytes taken within 5 seconds" in handed.reply.text
    assert time.monotonic() - began >= 5
