"""The wire to a network: one deadline, no redirects, the whole answer or none.

What a client's library makes of odd answers differs; what is posted and what
is not must not.  So the answer is judged from what came over the wire.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import io
import json
import re
import socket
import ssl
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import requests
import requests.adapters

from deliverybot import hands, model, screen, values

T = TypeVar("T")
#: Letters of what a network says that are kept.
_TEXT_MAX = 300
#: Letters of the longest address that is kept: a half of one would lead elsewhere.
_ADDRESS_MAX = 2000
#: Seconds after which a door sends nothing more: those that `asking` gives to a post.
OPEN = 300.0


def _since_boot() -> float:
    """Return seconds that go on while the machine sleeps, where the system counts those."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


class NoAnswer(Exception):
    """There is no whole answer; the door says why."""


class Door(requests.adapters.BaseAdapter):
    """Sends a client's requests to where config.toml says, whatever host it meant.

    One deadline for each; no redirect is followed.  The last answer is kept
    here; to the client goes its status alone, since clients trip over odd ones.
    """

    def __init__(
        self,
        api: str,
        timeout: float,
        *,
        most: int = 2_000_000,
        clock: Callable[[], float] = _since_boot,
    ) -> None:
        """Open nothing yet.

        `api` may have a path, which comes before each request's own; `timeout`
        is in seconds, `most` the bytes of an answer that are read.  `clock`
        gives seconds, those too that the machine or the process sleeps.
        """
        super().__init__()
        self._api = urllib.parse.urlsplit(api)
        self._timeout = timeout
        self._most = most
        self._clock = clock
        self._closes = clock() + OPEN
        #: Whether a byte of the request may have left.
        self.sent = False
        self.trouble = ""
        self._late = self._over = False
        #: What `_cut` ends.  http.client forgets it before the body is read, where that ends with
        #: the connection.
        self._line: socket.socket | None = None
        self.answer: tuple[int, Mapping[str, str], bytes] | None = None

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: ARG002, FBT001, FBT002 - as above
        timeout: object = None,  # noqa: ARG002 - we keep our own
        verify: object = True,  # noqa: ARG002, FBT002 - always
        cert: object = None,  # noqa: ARG002 - none
        proxies: object = None,  # noqa: ARG002 - none
    ) -> requests.Response:
        """Send as requests asks for it; only `request` counts here."""
        self.sent, self.answer, self._late = False, None, False
        if self._over or self._clock() > self._closes:
            # Who slept so long is no longer the one to post: another may have done it.
            self.trouble = "stopped" if self._over else "asleep for too long"
            raise NoAnswer
        connection, self._line = self._connection(), None
        deadline = threading.Timer(self._timeout, self._cut)
        deadline.daemon = True
        deadline.start()
        try:
            self._reach(connection)
            self.sent = True
            self.answer = self._exchange(connection, request)
        except (OSError, http.client.HTTPException, ValueError) as error:
            late = self._late or isinstance(error, TimeoutError)
            self.trouble = "no answer in time" if late else f"{type(error).__name__}: {error}"
            raise NoAnswer from error
        finally:
            deadline.cancel()
            connection.close()
        response = requests.Response()
        response.status_code = self.answer[0]
        response.raw = io.BytesIO()
        response.request = request
        response.url = request.url or ""
        return response

    def close(self) -> None:
        """Nothing is kept open."""

    def cut(self) -> None:
        """End every wait, from another thread, and ask nothing more."""
        self._over = True
        self._cut()

    def _cut(self) -> None:
        self._late = True
        line = self._line  # read once: the other thread may set it at any moment
        if line is not None:
            with contextlib.suppress(OSError):
                # Not the TLS socket's own shutdown, which pulls the TLS from under the reader.
                socket.socket.shutdown(line, socket.SHUT_RDWR)

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._api.hostname or "", self._api.port
        if self._api.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=self._timeout)
        return http.client.HTTPSConnection(host, port, timeout=self._timeout)

    def _reach(self, connection: http.client.HTTPConnection) -> None:
        """Connect, and agree on TLS over a socket that `_cut` knows: else nothing ends that wait.

        Raises TimeoutError where the deadline is over: looking a name up cannot
        be cut short, and after it nothing would.
        """
        http.client.HTTPConnection.connect(connection)
        self._line = connection.sock
        if self._api.scheme != "http":
            secure = ssl.create_default_context().wrap_socket(
                connection.sock, server_hostname=self._api.hostname, do_handshake_on_connect=False
            )
            connection.sock = self._line = secure
            if not self._late:  # a cut meanwhile has met the socket below, which is none any more
                secure.do_handshake()
        if self._late or self._over:
            raise TimeoutError

    def _exchange(
        self, connection: http.client.HTTPConnection, request: requests.PreparedRequest
    ) -> tuple[int, Mapping[str, str], bytes]:
        headers = {**request.headers, "Accept-Encoding": "identity", "Connection": "close"}
        path = self._api.path.rstrip("/") + request.path_url
        connection.request(request.method or "POST", path, request.body, headers)
        answer = connection.getresponse()
        body = answer.read(self._most + 1)
        if self._late:
            raise TimeoutError
        if answer.length or len(body) > self._most:
            # A refusal whose reason is cut off may be "this post is there already".
            raise ValueError("the answer is cut short or too long")
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}, body


async def aside(door: Door, work: Callable[[Door], T]) -> T:
    """Do something in a thread, where a client's library waits; a cancel ends the wait.

    A call that nobody answers cannot be ended: so the thread is one of its own,
    which no process waits for at its end.
    """
    try:
        return await hands.apart("outlet", lambda: work(door))
    except asyncio.CancelledError:
        door.cut()
        raise


def fields(body: bytes) -> dict[str, object]:
    """Return a JSON object; empty where it is none."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def clean(text: str, secrets: Iterable[str]) -> str:
    """Return one line without control characters and without a token.

    Cleaned before, since an invisible letter in its middle would hide a token,
    and cut after, since a half of it would stay.
    """
    text = screen.clean(text, len(text) + 1)
    for secret in secrets:
        text = text.replace(secret, "***") if secret else text
    return screen.clean(text, _TEXT_MAX)


def is_token(text: str) -> bool:
    """Tell whether a token can stand in a header as it is (RFC 6750)."""
    return re.fullmatch(r"[!-~]{1,8000}", text) is not None


def address(found: object, secrets: Iterable[str] = ()) -> str:
    """Return where a network says that a post is; empty where that is no address for a person.

    It goes into the ledger, onto terminals and pages, and somebody clicks on it.
    """
    if not isinstance(found, str) or len(found) > _ADDRESS_MAX:
        return ""
    if any(secret and secret in found for secret in secrets):
        return ""
    with contextlib.suppress(ValueError):
        return values.url(found)
    return ""


def reply(
    outcome: model.Outcome,
    text: str,
    code: int = 0,
    *,
    url: str = "",
    retry_after: float | None = None,
    account: bool = False,
) -> model.Reply:
    """Return what a try came to, in the phase `post`."""
    return model.Reply(
        outcome=outcome, phase="post", code=code, text=text, url=url, retry_after=retry_after,
        account=account,
    )  # fmt: skip
