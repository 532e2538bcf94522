"""The courier: the held dot, kept connections, what is not tried at all."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

import build
import http_server
import smtp_server
import smtp_tools
from deliverybot import mail, model
from deliverybot.mail import smtp
from smtp_server import Do
from smtp_tools import DONE, HUMAN, LARGE, LATER, LETTER, REFUSED

TAKEN = b"250 2.0.0 taken\r\n"


async def test_a_port_without_a_server_is_for_later() -> None:
    with http_server.nobody() as port:
        handed = await smtp_tools.hand_over(smtp.Courier(smtp_tools.mail_settings(port)))
    assert (handed.reply.outcome, handed.reply.phase) == (LATER, "connect")


async def test_a_greylist_says_when() -> None:
    with smtp_server.running(
        {"rcpt": b"450 4.7.1 greylisted, try again in 5 minutes\r\n"}
    ) as server:
        handed = await smtp_tools.attempt(server)
    assert handed.reply.retry_after == 300


async def test_a_slow_answer_after_the_dot_is_waited_for() -> None:
    with smtp_server.running({"dot": (Do.ACCEPT, Do.HANG, TAKEN)}) as server:
        hurry = smtp_tools.Hurry(server)
        courier = smtp.Courier(smtp_tools.mail_settings(server.port), clock=hurry.loop.time)
        task = asyncio.ensure_future(smtp_tools.hand_over(courier))
        await hurry.until(task.done, most=580)
        assert hurry.ahead >= 560
        assert not task.done()
        server.resume.set()
        handed = await task
        await courier.close()
    assert handed.reply.outcome is DONE


async def test_a_wedged_body_that_is_read_later_is_never_a_letter() -> None:
    with smtp_server.running({"body": Do.HANG}) as server:
        handed = await smtp_tools.attempt(server, message=LARGE, hangs=True)
        server.resume.set()
        # The next letter is answered after the server has read what was left of the first.
        again = await smtp_tools.attempt(server)
    assert handed.reply.outcome is LATER
    assert again.reply.outcome is DONE
    assert server.accepted == [LETTER.replace(b"\r\n.", b"\r\n..")]


class Witness:
    """Looks, at the moment of the announcement, at what the server has."""

    def __init__(self, server: smtp_server.Server, body: bytes) -> None:
        self._server = server
        self._length = len(body)
        self.seen: list[tuple[int, bool]] = []

    def __call__(self) -> None:
        # The loop stands still in here: what the server gets now had left before.
        patience = threading.Event()
        for _ in range(6000):
            if len(self._server.body) >= self._length:
                break
            patience.wait(0.01)
        patience.wait(0.05)
        self.seen.append((len(self._server.body), self._server.dot))


@pytest.mark.parametrize("message", [LETTER, LARGE], ids=["small", "10 MB"])
@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
async def test_the_dot_is_held_until_the_intent_is_written(
    message: bytes, security: str, tmp_path: Path
) -> None:
    context, trust = smtp_server.certificate(tmp_path, "IP:127.0.0.1")
    body = message.replace(b"\r\n.", b"\r\n..")
    with smtp_server.running(
        extensions=("SIZE", "STARTTLS"), context=context, implicit=security == "tls"
    ) as server:
        witness = Witness(server, body)
        courier = smtp.Courier(
            smtp_tools.mail_settings(server.port, security=security), context=trust
        )
        reply = await courier.hand_over(
            build.mail(message),
            sender="letters@campaigns.example",
            recipient="ceo@cloud.example",
            token="",
            on_handing_over=witness,
        )
        await courier.close()
    assert witness.seen == [(len(body), False)]
    assert reply.outcome is DONE
    assert server.accepted == [body]


@pytest.mark.parametrize("size", [250_000, 500_000, 1_000_000])
async def test_bytes_that_wait_in_the_kernel_hold_the_dot(size: int) -> None:
    message = LARGE[:size] + b"\r\n"
    announced: list[int] = []
    with smtp_server.running({"body": Do.HANG}) as server:
        courier = smtp.Courier(smtp_tools.mail_settings(server.port))
        task = asyncio.create_task(
            courier.hand_over(
                build.mail(message),
                sender="a@campaigns.example",
                recipient="b@c.example",
                token="",
                on_handing_over=lambda: announced.append(len(server.body)),
            )
        )
        while not server.hanging.is_set():  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0)
        # Time to do it wrong; doing it right takes until the server reads on.
        for _ in range(50):
            await asyncio.sleep(0.005)
        assert announced == []
        server.resume.set()
        reply = await task
        await courier.close()
    assert reply.outcome is DONE
    assert len(announced) == 1


async def test_an_intent_that_cannot_be_written_delivers_nothing() -> None:
    def fail() -> None:
        raise OSError("disk full")

    with smtp_server.running() as server:
        courier = smtp.Courier(smtp_tools.mail_settings(server.port))
        with pytest.raises(OSError, match="disk full"):
            await courier.hand_over(
                build.mail(LETTER),
                sender="a@campaigns.example",
                recipient="b@c.example",
                token="",
                on_handing_over=fail,
            )
        again = await smtp_tools.hand_over(courier)
        await courier.close()
    assert again.reply.outcome is DONE
    assert server.connections == 2
    assert len(server.accepted) == 1


@pytest.mark.parametrize(("phase", "announced"), [("rcpt", 0), ("dot", 1)])
async def test_a_cancel_cuts_the_connection(phase: str, announced: int) -> None:
    calls: list[bool] = []
    with smtp_server.running({phase: [Do.HANG]}) as server:
        courier = smtp.Courier(smtp_tools.mail_settings(server.port))
        task = asyncio.create_task(
            courier.hand_over(
                build.mail(LETTER),
                sender="a@campaigns.example",
                recipient="b@c.example",
                token="",
                on_handing_over=lambda: calls.append(True),
            )
        )
        while not server.hanging.is_set():  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        server.resume.set()
        again = await smtp_tools.hand_over(courier)
        await courier.close()
    assert len(calls) == announced
    assert again.reply.outcome is DONE
    assert server.connections == 2


async def test_one_connection_serves_many_letters_and_is_then_left() -> None:
    with smtp_server.running() as server:
        courier = smtp.Courier(smtp_tools.mail_settings(server.port))
        for _ in range(51):
            assert (await smtp_tools.hand_over(courier)).reply.outcome is DONE
        await courier.close()
    assert server.connections == 2
    assert len(server.accepted) == 51
    assert server.commands.count(b"QUIT") == 2
    assert b"RSET" not in server.commands


async def test_a_connection_is_left_after_five_minutes() -> None:
    now = [0.0]
    with smtp_server.running() as server:
        courier = smtp.Courier(smtp_tools.mail_settings(server.port), clock=lambda: now[0])
        for second in (0.0, 299.0, 300.0):
            now[0] = second
            await smtp_tools.hand_over(courier)
        await courier.close()
    assert server.connections == 2


async def test_after_a_refusal_the_connection_is_reset_and_kept() -> None:
    with smtp_server.running({"rcpt": [b"550 5.1.1 no\r\n"]}) as server:
        courier = smtp.Courier(smtp_tools.mail_settings(server.port))
        outcomes = [(await smtp_tools.hand_over(courier)).reply.outcome for _ in range(3)]
        await courier.close()
    assert outcomes == [REFUSED, DONE, DONE]
    assert server.connections == 1
    assert server.commands.count(b"RSET") == 1


@pytest.mark.parametrize(
    "script",
    [
        {"rcpt": [b"550 5.1.1 no\r\n"], "rset": Do.CLOSE},
        {"mail": [b"250 ok\r\n", b"421 4.7.0 one letter a connection\r\n"]},
        {"mail": [b"250 ok\r\n", Do.CLOSE]},
        {"dot": [(Do.ACCEPT, TAKEN, b"421 4.4.2 idle\r\n", Do.CLOSE)]},
        {"dot": [(Do.ACCEPT, TAKEN + TAKEN)]},
    ],
    ids=["rset closes", "limit a connection", "gone at MAIL", "gone when idle", "out of step"],
)
async def test_a_kept_connection_that_fails_is_replaced(
    script: dict[str, smtp_server.Script],
) -> None:
    with smtp_server.running(script) as server:
        courier = smtp.Courier(smtp_tools.mail_settings(server.port))
        await smtp_tools.hand_over(courier)
        second = await smtp_tools.hand_over(courier)
        await courier.close()
    assert second.reply.outcome is DONE
    assert server.connections == 2


async def test_a_letter_too_large_for_the_relay_is_not_tried() -> None:
    with smtp_server.running(extensions=("SIZE 50",)) as server:
        handed = await smtp_tools.attempt(server)
    assert handed.reply.outcome is HUMAN
    assert handed.reply.phase == "mail"
    assert not mail.about_relay(handed.reply)
    assert "50" in handed.reply.text
    assert not [command for command in server.commands if command.startswith(b"MAIL")]


async def test_a_letter_larger_than_max_message_is_not_tried() -> None:
    with smtp_server.running() as server:
        handed = await smtp_tools.attempt(server, message=LARGE, max_message="1 MB")
    assert handed.reply.outcome is HUMAN
    assert "max_message" in handed.reply.text


async def test_mail_names_size_and_sender() -> None:
    with smtp_server.running() as server:
        await smtp_tools.attempt(server)
    assert b"MAIL FROM:<letters@campaigns.example> SIZE=%d" % len(LETTER) in server.commands
    assert b"RCPT TO:<ceo@cloud.example>" in server.commands


async def test_addresses_beyond_ascii_need_a_relay_that_takes_them() -> None:
    async def send(server: smtp_server.Server, recipient: str) -> model.Reply:
        courier = smtp.Courier(smtp_tools.mail_settings(server.port))
        reply = await courier.hand_over(
            build.mail(LETTER),
            sender="a@campaigns.example",
            recipient=recipient,
            token="",
            on_handing_over=lambda: None,
        )
        await courier.close()
        return reply

    with smtp_server.running() as server:
        assert (await send(server, "vale@b\u00fccher.example")).outcome is DONE
        refused = await send(server, "j\u00f8rdan@cloud.example")
    assert b"RCPT TO:<vale@xn--bcher-kva.example>" in server.commands
    assert (refused.outcome, mail.about_relay(refused)) == (HUMAN, False)
    with smtp_server.running(extensions=("SMTPUTF8", "8BITMIME")) as server:
        assert (await send(server, "j\u00f8rdan@cloud.example")).outcome is DONE
    assert b"MAIL FROM:<a@campaigns.example> SMTPUTF8 BODY=8BITMIME" in server.commands
