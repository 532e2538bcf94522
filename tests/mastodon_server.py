"""A Mastodon server on loopback, and a wire to it that loses what a test wants lost."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

import http_server

#: The account that the server has from its start.
TOKEN = "mock_token"


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Run a server until the block ends; gives its address.  Nothing is kept on disk."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = (
        *(sys.executable, "-m", "mastodon_mock", "serve", "--in-memory"),
        *("--port", str(port), "--log-level", "error"),
    )
    silent = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=silent, stderr=silent) as server:
        try:
            late = time.monotonic() + 60
            while time.monotonic() < late and server.poll() is None:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()


def ask(url: str, path: str) -> Any:  # noqa: ANN401 - JSON
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
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
        answer = self._hand_on(request)
        if step == "lose":
            return http_server.sends(b"")
        return http_server.raw(lambda wire: wire.hang()) if step == "hang" else answer

    def _hand_on(self, request: http_server.Request) -> http_server.Answer:
        connection = http.client.HTTPConnection(self._netloc, timeout=30)
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
