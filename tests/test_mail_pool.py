"""The pool: connections that are kept, closed when idle, and replaced when they are dead."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Callable

import pytest

import smtp_server
import smtp_tools
from deliverybot import model
from deliverybot.mail import pool
from smtp_server import Do

HANDED_OVER = [b"EHLO", b"MAIL", b"RCPT", b"DATA"]


def verbs(server: smtp_server.Server) -> list[bytes]:
    return [command.split(b" ")[0] for command in server.commands]


@contextlib.asynccontextmanager
async def opened(
    server: smtp_server.Server,
    *,
    idle: float = pool.IDLE,
    clock: Callable[[], float] = time.monotonic,
    **settings: object,
) -> AsyncIterator[pool.Pool]:
    one = pool.Pool(smtp_tools.mail_settings(server.port, **settings), idle=idle, clock=clock)
    try:
        yield one
    finally:
        server.resume.set()
        await one.close()


async def until(server: smtp_server.Server, verb: bytes) -> None:
    while verb not in verbs(server):  # noqa: ASYNC110 - another thread's doing
        await asyncio.sleep(0.005)


async def test_one_connection_carries_one_letter_after_another() -> None:
    with smtp_server.running() as server:
        async with opened(server) as one:
            for _ in range(3):
                handed = await smtp_tools.hand_over(one)
                assert handed.reply.outcome is model.Outcome.DONE
        assert server.connections == 1
    assert len(server.accepted) == 3
    assert verbs(server) == [*HANDED_OVER, *HANDED_OVER[1:], *HANDED_OVER[1:], b"QUIT"]


@pytest.mark.parametrize("connections", [1, 3])
async def test_no_more_connections_are_open_than_the_settings_allow(connections: int) -> None:
    with smtp_server.running() as server:
        async with opened(server, connections=connections) as one:
            handed = await asyncio.gather(*(smtp_tools.hand_over(one) for _ in range(9)))
        assert server.connections == connections
    assert {one.reply.outcome for one in handed} == {model.Outcome.DONE}
    assert len(server.accepted) == 9
    assert verbs(server).count(b"QUIT") == connections
    assert b"NOOP" not in verbs(server)


async def test_an_idle_connection_takes_leave_and_the_next_letter_opens_another() -> None:
    with smtp_server.running() as server:
        async with opened(server, idle=0.02) as one:
            await smtp_tools.hand_over(one)
            await until(server, b"QUIT")
            handed = await smtp_tools.hand_over(one)
        assert server.connections == 2
    assert handed.reply.outcome is model.Outcome.DONE
    assert len(server.accepted) == 2


async def test_a_connection_in_use_is_not_idle() -> None:
    with smtp_server.running() as server:
        hurry = smtp_tools.Hurry(server)
        async with opened(server, idle=60, clock=hurry.loop.time) as one:
            for _ in range(6):
                await smtp_tools.hand_over(one)
                hurry.ahead += 40
                # Time for what closes idle connections to look, and to look again.
                for _ in range(50):
                    await asyncio.sleep(0)
        assert server.connections == 1


@pytest.mark.parametrize("answer", [Do.CLOSE, Do.RESET, b"421 4.4.2 idle for too long\r\n"])
async def test_a_kept_connection_that_is_dead_is_replaced_once(answer: smtp_server.Act) -> None:
    script: dict[str, smtp_server.Script] = {"mail": [smtp_server.USUAL["mail"], answer]}
    with smtp_server.running(script) as server:
        async with opened(server) as one:
            await smtp_tools.hand_over(one)
            handed = await smtp_tools.hand_over(one)
        assert server.connections == 2
    assert (handed.reply.outcome, handed.announced) == (model.Outcome.DONE, 1)
    assert len(server.accepted) == 2


async def test_the_second_dead_connection_in_a_row_is_the_relays_trouble() -> None:
    script: dict[str, smtp_server.Script] = {
        "mail": [smtp_server.USUAL["mail"], Do.CLOSE, Do.CLOSE]
    }
    with smtp_server.running(script) as server:
        async with opened(server) as one:
            await smtp_tools.hand_over(one)
            handed = await smtp_tools.hand_over(one)
        assert server.connections == 2
    assert (handed.reply.outcome, handed.reply.phase) == (model.Outcome.LATER, "mail")


async def test_a_letter_given_up_half_way_leaves_no_connection_behind() -> None:
    with smtp_server.running({"dot": [Do.HANG]}) as server:
        async with opened(server, connections=1) as one:
            work = asyncio.create_task(smtp_tools.hand_over(one))
            while not server.hanging.is_set():  # noqa: ASYNC110 - set by another thread
                await asyncio.sleep(0.005)
            work.cancel()
            await asyncio.wait([work])
            server.resume.set()
            handed = await smtp_tools.hand_over(one)
        assert server.connections == 2
    assert handed.reply.outcome is model.Outcome.DONE


async def test_couriers_share_one_context_of_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[ssl.SSLContext] = []
    real = ssl.create_default_context

    def make() -> ssl.SSLContext:
        made.append(real())
        return made[-1]

    monkeypatch.setattr(ssl, "create_default_context", make)
    with smtp_server.running() as server:
        # It offers no STARTTLS, so each of them ends there.
        async with opened(server, security="starttls", connections=4) as one:
            handed = await asyncio.gather(*(smtp_tools.hand_over(one) for _ in range(4)))
    assert {one.reply.phase for one in handed} == {"starttls"}
    assert len(made) == 1


async def test_check_opens_a_connection_of_its_own() -> None:
    with smtp_server.running() as server:
        async with opened(server) as one:
            (found,) = await one.check()
    assert found.level == "ok"
    assert server.accepted == []
