"""The courier: TLS, log-in, `check`, and another server than our own."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator

import aiosmtpd.smtp
import pytest

import smtp_server
import smtp_tools
from deliverybot import mail, model
from deliverybot.mail import smtp
from smtp_server import Do
from smtp_tools import DONE, HUMAN, LARGE, LATER, LETTER


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return smtp_server.certificate(tmp_path_factory.mktemp("tls"), "IP:127.0.0.1", "DNS:localhost")


Contexts = tuple[ssl.SSLContext, ssl.SSLContext]
SAFE = ("STARTTLS", "AUTH PLAIN LOGIN")


@pytest.mark.parametrize("offered", ["AUTH PLAIN LOGIN", "AUTH LOGIN"])
async def test_login_under_starttls(contexts: Contexts, offered: str) -> None:
    script: dict[str, smtp_server.Script] = {}
    if offered == "AUTH LOGIN":
        script = {"auth": b"334 UGFzc3dvcmQ6\r\n", "unknown": b"235 ok\r\n"}
    with smtp_server.running(
        script, extensions=("STARTTLS", offered), context=contexts[0]
    ) as server:
        handed = await smtp_tools.attempt(
            server, security="starttls", context=contexts[1], username="letters", password="secret"
        )
    assert handed.reply.outcome is DONE
    assert server.commands.index(b"STARTTLS") < 2
    assert [c for c in server.commands if c.startswith(b"AUTH")]


@pytest.mark.parametrize(
    ("script", "extensions", "outcome", "phase"),
    [
        ({}, ("SIZE",), HUMAN, "starttls"),
        ({"starttls": b"454 4.7.0 not now\r\n"}, SAFE, LATER, "starttls"),
        ({"starttls": b"554 no\r\n"}, SAFE, HUMAN, "starttls"),
        ({"starttls": (b"220 go\r\n", Do.CLOSE)}, SAFE, LATER, "starttls"),
        (
            {"starttls": b"220 go\r\nnot TLS at all, but some plain words\r\n"},
            SAFE,
            LATER,
            "starttls",
        ),
        ({}, ("STARTTLS",), HUMAN, "auth"),
        ({}, ("STARTTLS", "AUTH GSSAPI"), HUMAN, "auth"),
        ({"auth": b"535 5.7.8 wrong AGxldHRlcnMAc2VjcmV0 secret\r\n"}, SAFE, HUMAN, "auth"),
        ({"auth": b"454 4.7.0 later\r\n"}, SAFE, LATER, "auth"),
        ({"auth": Do.CLOSE}, SAFE, LATER, "auth"),
    ],
)
async def test_an_unsafe_or_closed_door_sends_nothing(
    contexts: Contexts,
    script: dict[str, smtp_server.Script],
    extensions: tuple[str, ...],
    outcome: model.Outcome,
    phase: str,
) -> None:
    with smtp_server.running(script, extensions=extensions, context=contexts[0]) as server:
        handed = await smtp_tools.attempt(
            server, security="starttls", context=contexts[1], username="letters", password="secret"
        )
    assert (handed.reply.outcome, handed.reply.phase) == (outcome, phase)
    assert mail.about_relay(handed.reply)
    assert "secret" not in str(handed.reply)
    assert "c2VjcmV0" not in str(handed.reply)
    assert not [c for c in server.commands if c.startswith(b"MAIL")]


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_that_nobody_signed_sends_nothing(
    contexts: Contexts, security: str
) -> None:
    with smtp_server.running(
        extensions=("STARTTLS",), context=contexts[0], implicit=security == "tls"
    ) as server:
        handed = await smtp_tools.attempt(server, security=security)
    assert handed.reply.outcome is HUMAN
    assert "certificate" in handed.reply.text
    assert not [c for c in server.commands if c.startswith(b"MAIL")]


async def test_check_sends_nothing(contexts: Contexts) -> None:
    with smtp_server.running(extensions=(*SAFE, "SIZE 1000"), context=contexts[0]) as server:
        settings = smtp_tools.mail_settings(
            server.port, security="starttls", username="u", password="p"
        )
        courier = smtp.Courier(settings, context=contexts[1])
        found = await courier.check()
    assert [fault.level for fault in found] == ["ok", "warning"]
    assert "TLSv1.3" in found[0].what
    assert [c.split()[0] for c in server.commands] == [
        b"EHLO",
        b"STARTTLS",
        b"EHLO",
        b"AUTH",
        b"QUIT",
    ]


async def test_check_says_what_to_do() -> None:
    with smtp_server.running(extensions=()) as server:
        found = await smtp.Courier(
            smtp_tools.mail_settings(server.port, security="starttls")
        ).check()
    assert [fault.level for fault in found] == ["fault"]
    assert "STARTTLS" in found[0].what
    assert found[0].hint


class Keeper:
    """An aiosmtpd handler that keeps what it is given."""

    def __init__(self) -> None:
        self.kept: list[aiosmtpd.smtp.Envelope] = []

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: object, session: object, envelope: aiosmtpd.smtp.Envelope
    ) -> str:
        self.kept.append(envelope)
        return "250 2.0.0 kept"


@contextlib.asynccontextmanager
async def independent(context: ssl.SSLContext | None) -> AsyncIterator[tuple[Keeper, int]]:
    keeper, loop = Keeper(), asyncio.get_running_loop()

    def conversation() -> aiosmtpd.smtp.SMTP:
        return aiosmtpd.smtp.SMTP(
            keeper,
            data_size_limit=20_000_000,
            hostname="catcher.example",
            tls_context=context,
            require_starttls=context is not None,
            loop=loop,
        )

    server = await loop.create_server(conversation, "127.0.0.1", 0)
    async with server:
        yield keeper, server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("security", ["none", "starttls"])
async def test_another_server_takes_the_same_bytes(contexts: Contexts, security: str) -> None:
    async with independent(contexts[0] if security == "starttls" else None) as (keeper, port):
        courier = smtp.Courier(
            smtp_tools.mail_settings(port, security=security), context=contexts[1]
        )
        replies = [
            (await smtp_tools.hand_over(courier, message)).reply for message in (LETTER, LARGE)
        ]
        await courier.close()
    assert [reply.outcome for reply in replies] == [DONE, DONE]
    assert [envelope.original_content for envelope in keeper.kept] == [LETTER, LARGE]
    assert keeper.kept[0].mail_from == "letters@campaigns.example"
    assert keeper.kept[0].rcpt_tos == ["ceo@cloud.example"]
