"""A small X on loopback: checks the OAuth 1.0a signature, remembers, fails on demand."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.server
import json
import re
import socket
import struct
import threading
import urllib.parse
from collections.abc import Iterator

KEYS = {
    "consumer_key": "ck-1",
    "consumer_secret": "cs-secret-2",
    "access_token": "at-3",
    "access_token_secret": "ats-secret-4",
}
#: What the client believes it talks to, and signs.
_URL = "https://api.twitter.com/2/tweets"


class Fake:
    """Posts that were made, and what to do with the next ones."""

    def __init__(self) -> None:
        self.url = ""
        self.posts: list[str] = []
        self.requests: list[dict[str, str]] = []
        #: How the next requests are treated, first in, first out; see `_Handler`.
        self.plan: list[str] = []
        #: Ends what hangs.
        self.over = threading.Event()


def signed(method: str, header: str) -> bool:
    """Tell whether an Authorization header carries the right signature (RFC 5849)."""
    pairs = dict(re.findall(r'(\w+)="([^"]*)"', header))
    given = urllib.parse.unquote(pairs.pop("oauth_signature", ""))
    if pairs.get("oauth_consumer_key") != KEYS["consumer_key"]:
        return False
    if pairs.get("oauth_token") != KEYS["access_token"]:
        return False
    listed = "&".join(f"{key}={pairs[key]}" for key in sorted(pairs))
    base = "&".join(urllib.parse.quote(part, safe="") for part in (method, _URL, listed))
    key = f"{KEYS['consumer_secret']}&{KEYS['access_token_secret']}"
    wanted = hmac.new(key.encode(), base.encode(), hashlib.sha1).digest()
    return hmac.compare_digest(base64.b64encode(wanted).decode(), given)


class _Server(http.server.ThreadingHTTPServer):
    fake: Fake
    daemon_threads = False


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        fake = self.server.fake
        body = self.rfile.read(int(self.headers["Content-Length"]))
        fake.requests.append(dict(self.headers.items()) | {"path": self.path})
        plan = fake.plan.pop(0) if fake.plan else "post"
        if not signed("POST", self.headers.get("Authorization", "")):
            self._answer(401, {"title": "Unauthorized", "detail": "Unauthorized", "status": 401})
        elif plan == "post":
            self._post(json.loads(body)["text"])
        else:
            getattr(self, f"_plan_{plan}")(json.loads(body)["text"])

    def _post(self, text: str) -> None:
        posts = self.server.fake.posts
        if text in posts:
            detail = "You are not allowed to create a Tweet with duplicate content."
            self._answer(403, {"title": "Forbidden", "detail": detail, "status": 403})
            return
        posts.append(text)
        self._answer(201, {"data": {"id": str(1800 + len(posts)), "text": text}})

    def _plan_forbidden(self, text: str) -> None:
        detail = "Your account is suspended; token at-3 cs-secret-2"
        self._answer(403, {"title": "Forbidden", "detail": detail})

    def _plan_limited(self, text: str) -> None:
        self._answer(429, {"title": "Too Many Requests"}, {"x-rate-limit-reset": "1000900"})

    def _plan_odd_limit(self, text: str) -> None:
        self._answer(429, ["odd"], {"x-rate-limit-reset": "soon"})

    def _plan_invalid(self, text: str) -> None:
        self._answer(400, {"errors": [{"message": "text is \x1b[31mred"}], "title": "Invalid"})

    def _plan_html_503(self, text: str) -> None:
        self._raw(503, b"<html>over capacity</html>")

    def _plan_html_200(self, text: str) -> None:
        self._raw(200, b"<html>log in</html>")

    def _plan_no_id(self, text: str) -> None:
        self._answer(201, {"data": {}})

    def _plan_deep(self, text: str) -> None:
        self._raw(201, b"[" * 90_000)

    def _plan_huge(self, text: str) -> None:
        self._raw(201, b'{"data": {"id": "1"}, "more": "' + b"x" * 500_000 + b'"}')

    def _plan_redirect(self, text: str) -> None:
        self._answer(307, {}, {"Location": self.server.fake.url + "/2/tweets"})

    def _plan_post_then_drop(self, text: str) -> None:
        self.server.fake.posts.append(text)
        self._reset()

    def _plan_drop(self, text: str) -> None:
        self._reset()

    def _plan_post_then_hang(self, text: str) -> None:
        self.server.fake.posts.append(text)
        self.server.fake.over.wait()

    def _plan_drip(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self.wfile.write(b"HTTP/1.1 201 Created\r\nX-Slow: ")
            while not self.server.fake.over.wait(0.01):
                self.wfile.write(b"a")

    def _plan_cut_in_answer(self, text: str) -> None:
        self.wfile.write(b'HTTP/1.1 201 Created\r\nContent-Length: 99\r\n\r\n{"data": {"id": "7')

    def _plan_cut_in_refusal(self, text: str) -> None:
        self.wfile.write(b'HTTP/1.1 403 Forbidden\r\nContent-Length: 99\r\n\r\n{"detail": "You')

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def _answer(self, status: int, content: object, headers: dict[str, str] | None = None) -> None:
        self._raw(status, json.dumps(content).encode(), headers)

    def _raw(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(content)


@contextlib.contextmanager
def running() -> Iterator[Fake]:
    """Run it until the block ends."""
    fake = Fake()
    server = _Server(("127.0.0.1", 0), _Handler)
    server.fake = fake
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    try:
        yield fake
    finally:
        fake.over.set()
        server.shutdown()
        thread.join()
        server.server_close()
