"""The server's own side: uvicorn in the daemon's loop, with limits on what a client may hold."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette import types
from uvicorn.protocols.http import h11_impl

from deliverybot import errors, listening

log = logging.getLogger(__name__)

#: Seconds that answers in hand may take to end by themselves when the daemon stops.
GRACE = 2
#: Bytes of a request's head; ours have some hundred.
_HEAD_MAX = 16_384


@contextlib.asynccontextmanager
async def serving(app: types.ASGIApp, settings: listening.Web) -> AsyncIterator[tuple[str, int]]:
    """Serve while the block runs; gives the address and port.

    Raises ConfigError where the address cannot be listened at.
    """
    listener = _listener(settings.listen)
    server = _Server(
        uvicorn.Config(
            app,
            http=_limited(settings),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            # Whoever asks is not noted, so nobody needs to be told by a proxy's header.
            proxy_headers=False,
            h11_max_incomplete_event_size=_HEAD_MAX,
        )
    )
    task = asyncio.ensure_future(server.serve(sockets=[listener]))
    host, port = listener.getsockname()[:2]
    log.info("the web server answers at %s port %d", host, port)
    try:
        yield host, port
    finally:
        server.should_exit = True
        await asyncio.wait({task}, timeout=GRACE)
        for connection in list(server.server_state.connections):
            connection.transport.abort()
        await asyncio.gather(task, return_exceptions=True)


def _listener(listen: str) -> socket.socket:
    host, _, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, int(port)), family=family)
    except OSError as error:
        what = f"[web] listen = {listen!r}: nobody can be answered there: {error.strerror}"
        hint = "take another port, or stop what listens there; `run --no-web` leaves it out"
        raise errors.ConfigError([errors.Fault(level="fault", what=what, hint=hint)]) from error


class _Server(uvicorn.Server):
    """One that leaves signals to the daemon."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def _limited(settings: listening.Web) -> type[h11_impl.H11Protocol]:
    limits = {"most": settings.connections, "patience": settings.patience}
    return type("Limited", (_Limited,), limits)


class _Limited(h11_impl.H11Protocol):
    """A connection that is cut when its client holds it up.

    uvicorn itself waits for ever for the rest of a request, and for a client
    that takes no bytes.
    """

    #: Connections open at a time, and seconds that a client may keep us waiting.
    most = 0
    patience = 0.0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # It would say tokens; and it comes back when somebody listens to all loggers.
        self.access_log = False
        if len(self.connections) > self.most:
            transport.abort()
            return
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.more_body:  # the request is here, whole
            self._stop()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._wait()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait()  # what is still in our buffer must leave, too

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop()

    def _wait(self) -> None:
        self._stop()
        self._timer = self.loop.call_later(self.patience, self.transport.abort)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
