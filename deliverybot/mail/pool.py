"""Connections to the relay, kept from letter to letter and over looks at the queue."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable

from deliverybot import config, errors, model
from deliverybot.mail import built, smtp

#: Seconds after which a connection that nobody needs is closed: more than the pause
#: between two looks at the queue, less than any relay waits.
IDLE = 30.0


class Pool:
    """The transport "smtp": up to `connections` couriers, each with one connection.

    They share one SSLContext: making one for each connection costs more than a letter.
    """

    def __init__(
        self,
        settings: config.Mail,
        *,
        context: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
        idle: float = IDLE,
    ) -> None:
        """`context` replaces the system's certificates; `clock` counts seconds."""
        self._settings = settings
        self._context = context
        self._clock = clock
        self._idle = idle
        self._places = asyncio.Semaphore(settings.connections)
        self._one_at_a_time = asyncio.Lock()
        #: Who is not at work, and since when; the one at work last stands last.
        self._free: list[tuple[smtp.Courier, float]] = []
        self._tending: asyncio.Task[None] | None = None

    async def hand_over(
        self,
        message: built.Built,
        *,
        sender: str,
        recipient: str,
        token: str,
        on_handing_over: Callable[[], None],
    ) -> model.Reply:
        """Have the next courier hand the message over; wait while all are on their way."""
        async with self._places:
            context = await self._safety()
            courier = self._free.pop()[0] if self._free else self._courier(context)
            try:
                return await courier.hand_over(
                    message, sender=sender, recipient=recipient, token=token,
                    on_handing_over=on_handing_over,
                )  # fmt: skip
            finally:
                self._free.append((courier, self._clock()))
                if self._tending is None or self._tending.done():
                    self._tending = asyncio.create_task(self._tend())

    async def check(self) -> list[errors.Fault]:
        """Connect and log in as for a letter, and leave; sends nothing."""
        return await self._courier(await self._safety()).check()

    async def close(self) -> None:
        """Say QUIT on every connection; the next letter opens new ones."""
        tending, self._tending = self._tending, None
        if tending is not None:
            tending.cancel()
            await asyncio.wait([tending])
        free, self._free = self._free, []
        await asyncio.gather(*(courier.close() for courier, _ in free))

    def _courier(self, context: ssl.SSLContext | None) -> smtp.Courier:
        return smtp.Courier(self._settings, context=context, clock=self._clock)

    async def _safety(self) -> ssl.SSLContext | None:
        """Return what the couriers share; reading the system's certificates takes its time."""
        if self._settings.security != "none":
            async with self._one_at_a_time:
                if self._context is None:
                    self._context = await asyncio.to_thread(ssl.create_default_context)
        return self._context

    async def _tend(self) -> None:
        """Close each connection once it has been idle for too long."""
        while self._free:
            courier, since = self._free[0]
            left = since + self._idle - self._clock()
            if left > 0:
                await asyncio.sleep(left)
                continue
            del self._free[0]
            with contextlib.suppress(OSError):
                await courier.close()
