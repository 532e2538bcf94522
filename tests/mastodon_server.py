"""A Mastodon server on loopback, and a wire to it that loses what a test wants lost."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import html
import http.client
import json
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import http_server

#: The account that the server has from its start.
TOKEN = "mock_token"


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Run a server until the block ends; gives its address.  Nothing is kept on disk."""
    command = (sys.executable, "-m", "mastodon_mock", "serve", "--in-memory")
    silent = subprocess.DEVNULL
    with contextlib.ExitStack() as stack:
        (port,) = stack.enter_context(http_server.held_ports(1))
        server = stack.enter_context(
            subprocess.Popen(
                [*command, "--port", str(port), "--log-level", "error"],
                stdout=silent,
                stderr=silent,
            )
        )
        stack.callback(server.kill)
        while True:
            assert server.poll() is None, "the server has ended"
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"


def ask(url: str, path: str, method: str = "GET") -> Any:  # noqa: ANN401 - JSON
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=30)
    with contextlib.closing(connection):
        connection.request(method, path, headers={"Authorization": f"Bearer {TOKEN}"})
        return json.loads(connection.getresponse().read())


def posts(url: str) -> list[dict[str, Any]]:
    """Return the account's posts, newest first."""
    ident = ask(url, "/api/v1/accounts/verify_credentials")["id"]
    found: list[dict[str, Any]] = []
    while True:
        older = f"&max_id={found[-1]['id']}" if found else ""
        page = ask(url, f"/api/v1/accounts/{ident}/statuses?limit=40{older}")
        if not page:
            return found
        found += page


class Loose:
    """Hands requests on to a server; what `plan` says happens to the next posts instead.

    ``drop``: the server never hears of it.  ``lose``: the server takes it, the
    answer is lost.  ``hang``: taken, and no answer comes.  An `http_server.Answer`:
    that, and the server never hears of it.
    """

    def __init__(self, url: str, path: str = "/api/v1/statuses") -> None:
        self._netloc = urllib.parse.urlsplit(url).netloc
        self._path = path
        self.plan: list[str | http_server.Answer] = []
        #: Paths that were asked for.
        self.asked: list[str] = []
        self.keys: list[str] = []

    def __call__(self, request: http_server.Request) -> http_server.Reply:
        self.asked.append(f"{request.method} {request.path}")
        step: str | http_server.Answer = ""
        if request.method == "POST" and request.path == self._path:
            self.keys.append(request.headers.get("idempotency-key", ""))
            step = self.plan.pop(0) if self.plan else ""
        if isinstance(step, http_server.Answer):
            return step
        if step == "drop":
            return http_server.sends(b"")
        answer = hand_on(self._netloc, request)
        if step == "lose":
            return http_server.sends(b"")
        return http_server.raw(lambda wire: wire.hang()) if step == "hang" else answer


class Hourly:
    """The server with a clock of the test's: it forgets a key after an hour, as the real one does.

    Mastodon keeps a key for 3,600 seconds from the post that was made under it
    (its PostStatusService); mastodon_mock keeps it for ever.
    """

    def __init__(self, url: str) -> None:
        """Begin with an empty server."""
        self._netloc = urllib.parse.urlsplit(url).netloc
        self._url = url
        self._lock = threading.Lock()
        #: What the server's clock says.
        self.now = dt.datetime.now(dt.UTC)
        #: Asked with method and path: True takes the request, False takes nothing and hangs up.
        self.on_ask: Callable[[str], bool] = lambda _: True
        #: Whether anybody can read the account's posts.
        self.shows = True
        #: When each post was made, by its id, and the first of them under a key that still counts.
        self._made: dict[str, dt.datetime] = {}
        self._keys: dict[str, tuple[int, dt.datetime]] = {}
        ask(url, "/api/v1/_mock/reset", "POST")

    def set(self, now: dt.datetime) -> None:
        """Set the server's clock."""
        self.now = now

    def __call__(self, request: http_server.Request) -> http_server.Reply:
        if not self.on_ask(f"{request.method} {request.path}"):
            return http_server.sends(b"")
        with self._lock:
            if request.path == "/api/v1/statuses":
                return self._post(request)
            if request.path.endswith("/statuses"):
                return self._own(request)
            return hand_on(self._netloc, request)

    def posts(self) -> list[dict[str, Any]]:
        return posts(self._url)

    def texts(self) -> list[str]:
        """Return what the posts say: their HTML without its marks."""
        return [html.unescape(re.sub("<[^>]*>", "", one["content"])) for one in self.posts()]

    def _post(self, request: http_server.Request) -> http_server.Answer:
        key = request.headers["idempotency-key"]
        number, since = self._keys.get(key, (0, self.now))
        if self.now - since >= dt.timedelta(hours=1):
            number, since = number + 1, self.now
        headers = {**request.headers, "idempotency-key": f"{key}-{number}"}
        answer = hand_on(self._netloc, dataclasses.replace(request, headers=headers))
        if answer.status == 200:
            self._keys[key] = number, since
            self._made.setdefault(json.loads(answer.body)["id"], self.now)
        return answer

    def _own(self, request: http_server.Request) -> http_server.Answer:
        if not self.shows:
            return http_server.text("<html>over capacity</html>", status=503)
        answer = hand_on(self._netloc, request)
        own = [
            {**one, "created_at": self._made[one["id"]].isoformat()}
            for one in json.loads(answer.body)
        ]
        return http_server.json(own)


def hand_on(netloc: str, request: http_server.Request) -> http_server.Answer:
    """Bring a request to a server; return what it answers."""
    connection = http.client.HTTPConnection(netloc, timeout=30)
    query = f"?{urllib.parse.urlencode(request.query)}" if request.query else ""
    with contextlib.closing(connection):
        headers = {k: v for k, v in request.headers.items() if k != "connection"}
        connection.request(request.method, request.path + query, request.body, headers)
        answer = connection.getresponse()
        kept = {
            name: value
            for name, value in answer.getheaders()
            if name.lower() in {"content-type", "retry-after", "x-ratelimit-reset"}
        }
        return http_server.Answer(status=answer.status, body=answer.read(), headers=kept)
