"""The web server: hands out lists of signers, and takes in what platforms bring.

A target gets the list that its letter leads to; webhooks.py stores signatures.

It runs in the daemon's own loop; nothing it does may hold that up, so the
ledger and the files are asked in threads.  It sets no cookie, and it notes
what was fetched but no address of who fetched it.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import pathlib
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from typing import TypeVar

from starlette import applications, exceptions, requests, responses, routing, types

from deliverybot import arrivals, errors, ledger, links, screen
from deliverybot.ledger import records
from deliverybot.mail import encoded
from deliverybot.web import webhooks

log = logging.getLogger(__name__)

_Done = TypeVar("_Done")
#: Threads that ask the ledger and look at files.
_THREADS = 2
#: Letters kept of what a browser calls itself.
LONGEST_AGENT = 200
#: On every answer.  The address is a secret of the target's: no cache keeps what it gave, no
#: search engine lists it, no page learns it.
HEADERS: Mapping[str, str] = {
    "Cache-Control": "private, no-store",
    "X-Robots-Tag": "noindex, nofollow, noarchive",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    # One request a connection: what waits for another one can be told from what stalls.
    "Connection": "close",
}
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body><h1>{title}</h1><p>{text}</p></body></html>
"""
_ASK = "Please ask whoever sent you the letter; an answer to its mail reaches them."
_SAID: Mapping[int, tuple[str, str]] = {
    400: ("What came is empty", "A signature is a JSON object, or a list of them."),
    401: ("This call is not signed as it should be", "See that both sides have the same secret."),
    404: ("There is nothing here", f"See that the address is complete. {_ASK}"),
    405: ("This address cannot be used in this way", f"See that it is the right one. {_ASK}"),
    413: ("What came is too large", "Bring the signatures in smaller pieces."),
    410: ("This list is not open any more", _ASK),
    503: ("This cannot be answered just now", f"Please try again later. {_ASK}"),
}

#: Somebody on the list was erased, and the list without that person is not made yet.
_RENEWED = ("This list is being made anew", "Please try again in a few minutes.")


class Lists:
    """Answers for lists of signers."""

    def __init__(
        self, book: ledger.Ledger, state_dir: pathlib.Path, clock: Callable[[], dt.datetime]
    ) -> None:
        self._book = book
        self._state = state_dir
        self._clock = clock
        # Their own: mail waits for no thread that is busy here.
        self._threads = futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="web")

    async def __call__(self, scope: types.Scope, receive: types.Receive, send: types.Send) -> None:
        """Answer for one address.

        1. Find the link; see that its file is the one that was frozen.
        2. Send it, or what of it was asked for.
        3. Write down what was sent, also where the client went away before the end.
        """
        request = requests.Request(scope)
        mark = links.mark(request.path_params["token"])
        link = await self._aside(lambda: self._book.links.find(mark))
        if link is None:
            raise exceptions.HTTPException(404)
        meter = _Meter(send)
        response = await self._aside(lambda: self._response(link))
        try:
            await response(scope, receive, meter)
        finally:
            agent = screen.clean(request.headers.get("user-agent", ""), LONGEST_AGENT)
            visit = records.Visit(
                at=self._clock(), status=meter.status, first=meter.first, bytes=meter.bytes,
                agent=agent,
            )  # fmt: skip
            await asyncio.shield(self._aside(lambda: self._note(link.id, visit)))

    def _aside(self, work: Callable[[], _Done]) -> asyncio.Future[_Done]:
        return asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _response(self, link: records.Link) -> responses.Response:
        if link.state(self._clock()) in {"withdrawn", "expired"}:
            return _page(410)
        if not link.sha256:
            return _page(503, _RENEWED)
        path = self._state / link.path
        try:
            encoded.sha256(path, link.sha256)
            found = path.stat()
        except (errors.OutgoingError, OSError) as error:
            log.error("link %d cannot be served: %s", link.id, error)  # noqa: TRY400 - said in full
            return _page(503)
        return responses.FileResponse(
            path, filename=f"{link.campaign}-signers.pdf", media_type="application/pdf",
            stat_result=found, headers={"ETag": f'"{link.sha256}"'},
        )  # fmt: skip

    def _note(self, ident: int, visit: records.Visit) -> None:
        """Write a visit down; a full disk keeps nobody from the list."""
        try:
            self._book.links.visited(ident, visit)
        except errors.LedgerError as error:
            log.warning("a visit to link %d was not noted: %s", ident, error)


class _Meter:
    """Passes an answer on and keeps what of it left."""

    def __init__(self, send: types.Send) -> None:
        self._send = send
        self.status = 0
        #: First byte of the file that was sent, and how many bytes in all.
        self.first = 0
        self.bytes = 0

    async def __call__(self, message: types.Message) -> None:
        """Pass one piece on."""
        await self._send(message)
        if message["type"] == "http.response.start":
            self.status = message["status"]
            for name, value in message["headers"]:
                if name.lower() == b"content-range" and b"*" not in value:
                    self.first = int(value.split()[1].partition(b"-")[0])
        self.bytes += len(message.get("body", b""))


def app(
    book: ledger.Ledger,
    state_dir: pathlib.Path,
    clock: Callable[[], dt.datetime],
    receivers: Sequence[webhooks.Receiver] = (),
) -> types.ASGIApp:
    """Return the application that answers for all addresses."""
    lists = Lists(book, state_dir, clock)
    routes = [routing.Route(f"/{links.PATH}/{{token}}", endpoint=lists, methods=["GET", "HEAD"])]
    if receivers:
        hooks = webhooks.Webhooks(arrivals.Arrivals(book, state_dir, clock), receivers)
        path = f"/{arrivals.PATH}/{{slug}}/{{token}}"
        routes.append(routing.Route(path, endpoint=hooks.__call__, methods=["POST"]))
    inner = applications.Starlette(
        routes=routes, exception_handlers={exceptions.HTTPException: _refused}
    )
    # It would say the token back with whatever host was asked for, and in plain http.
    inner.router.redirect_slashes = False
    return _Guarded(inner)


class _Guarded:
    """Puts our headers on every answer, whoever gives it."""

    def __init__(self, inner: types.ASGIApp) -> None:
        self._inner = inner
        self._headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]

    async def __call__(self, scope: types.Scope, receive: types.Receive, send: types.Send) -> None:
        """Answer with the headers."""

        async def sent(message: types.Message) -> None:
            if message["type"] == "http.response.start":
                names = {name for name, _ in self._headers}
                kept = [pair for pair in message["headers"] if pair[0].lower() not in names]
                message = {**message, "headers": [*kept, *self._headers]}
            await send(message)

        await self._inner(scope, receive, sent if scope["type"] == "http" else send)


async def _refused(request: requests.Request, error: Exception) -> responses.Response:
    del request
    status = error.status_code if isinstance(error, exceptions.HTTPException) else 404
    return _page(status if status in _SAID else 404)


def _page(status: int, said: tuple[str, str] | None = None) -> responses.Response:
    title, text = said or _SAID[status]
    return responses.HTMLResponse(_PAGE.format(title=title, text=text), status_code=status)
