"""Our web server in a thread, beside the test that asks it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

from starlette import types

from deliverybot import listening
from deliverybot.web import server


@contextlib.contextmanager
def running(app: types.ASGIApp, settings: listening.Web) -> Iterator[tuple[str, int]]:
    """Serve until the block ends; gives the address and port."""
    places: list[tuple[str, int]] = []
    up, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        async with server.serving(app, settings) as place:
            places.append(place)
            up.set()
            while not stop.is_set():  # noqa: ASYNC110 - set by another thread
                await asyncio.sleep(0.005)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert up.wait(60)
    try:
        yield places[0]
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()
