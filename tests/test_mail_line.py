"""The moment before the final dot: the other side's TCP has acknowledged every byte."""

from __future__ import annotations

import array
import fcntl
import ssl
import termios

import pytest

import build
import smtp_server
import smtp_tools
from deliverybot import model
from deliverybot.mail import smtp
from smtp_tools import LARGE, LETTER

Contexts = tuple[ssl.SSLContext, ssl.SSLContext]
#: One segment, some, many; and what leaves nothing before the last bytes.
BODIES = {
    "tiny": b"\r\n",
    "small": LETTER,
    "some": LARGE[:20_000] + b"\r\n",
    "many": LARGE[:700_000] + b"\r\n",
}


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> Contexts:
    return smtp_server.certificate(tmp_path_factory.mktemp("tls"), "IP:127.0.0.1")


def unacknowledged(courier: smtp.Courier) -> int:
    """Bytes in our own buffers, and in the kernel's until the other side has them."""
    link = courier._link
    assert link is not None
    size = array.array("i", [0])
    socket = link._transports[-1].get_extra_info("socket")
    fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, size)
    return size[0] + sum(one.get_write_buffer_size() for one in link._transports)


@pytest.mark.parametrize("safe", [False, True], ids=["plain", "starttls"])
@pytest.mark.parametrize("name", BODIES)
async def test_the_dot_is_announced_when_all_before_it_is_acknowledged(
    name: str, safe: bool, contexts: Contexts
) -> None:
    left: list[int] = []
    with smtp_server.running(extensions=("STARTTLS",), context=contexts[0]) as server:
        settings = smtp_tools.mail_settings(server.port, security="starttls" if safe else "none")
        courier = smtp.Courier(settings, context=contexts[1])
        # Again and again: a receiver begins to hold acknowledgements back after some.
        for _ in range(20):
            reply = await courier.hand_over(
                build.mail(BODIES[name]),
                sender="a@campaigns.example",
                recipient="b@c.example",
                token="",
                on_handing_over=lambda: left.append(unacknowledged(courier)),
            )
            assert reply.outcome is model.Outcome.DONE
        await courier.close()
    assert left == [0] * 20
    assert len(set(server.accepted)) == 1
