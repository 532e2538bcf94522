"""Workers that send what is ready, each one letter at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from deliverybot import agenda, deliveries, ledger, mail

#: Seconds between two looks whether more workers are of use.
LOOK = 2.0


async def all_ready(
    book: ledger.Ledger,
    transport: mail.Transport,
    desk: agenda.Desk,
    *,
    stopping: Callable[[], bool],
) -> bool:
    """Send until nothing is ready, with at most as many workers as there are connections.

    A worker that waits long for its relay holds up no other: what becomes ready
    meanwhile gets workers of its own.  `stopping` ends them between two letters.
    Return whether there was anything to do.
    """
    hands: set[asyncio.Task[None]] = set()
    worked = False
    troubles: list[BaseException] = []

    async def work() -> None:
        while not stopping() and await deliveries.send_one(book, transport, desk):
            pass

    try:
        while True:
            free = 0 if stopping() else desk.settings.mail.connections - len(hands)
            more = agenda.ready(book, desk, free) if free > 0 else 0
            hands |= {asyncio.create_task(work()) for _ in range(more)}
            worked = worked or bool(hands)
            if not hands:
                break
            done, hands = await asyncio.wait(hands, timeout=LOOK)
            troubles += [trouble for one in done if (trouble := one.exception())]
            if not hands:
                break
    finally:
        for one in hands:
            one.cancel()
        await asyncio.gather(*hands, return_exceptions=True)
    # At the end: the trouble of one letter must not cut off another after its dot.
    if troubles:
        raise troubles[0]
    return worked
