"""A small X on loopback: checks the OAuth 1.0a signature, remembers, fails on demand."""

from __future__ import annotations

import base64
import binascii
import contextlib
import datetime as dt
import hashlib
import hmac
import html
import http.server
import json
import pathlib
import re
import socket
import struct
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import twitter_text

import build
from deliverybot import config

KEYS = {
    "consumer_key": "ck-1",
    "consumer_secret": "cs-secret-2",
    "access_token": "at-3",
    "access_token_secret": "ats-secret-4",
}
#: What the client believes it talks to, and signs.
_HOST = "https://api.twitter.com"
#: The account that the token belongs to.
USER = "1700"
_ME = "/2/users/me"
_OWN = f"/2/users/{USER}/tweets"
_PICTURE_MAX = 5_000_000
#: Times in UTC as X writes them; as texts they have the same order.
_STAMP = "%Y-%m-%dT%H:%M:%S.000Z"


class Fake:
    """Posts that were made, and what to do with the next requests."""

    def __init__(self) -> None:
        self.url = ""
        self.posts: list[str] = []
        #: All of each post, as the timeline has it; the newest last.
        self.timeline: list[dict[str, Any]] = []
        #: Pictures that were brought, and what they show, by id.
        self.pictures: dict[str, bytes] = {}
        self.words: dict[str, str] = {}
        self.requests: list[dict[str, str]] = []
        #: How the next posts are treated, first in, first out; see `_Handler`.
        self.plan: list[str] = []
        #: The same for other paths, by path.
        self.plans: dict[str, list[str]] = {}
        #: When the next post is made, as X says.
        self.now = build.NOW
        #: How long a post is there before the timeline shows it; None: nobody may read that.
        self.lag: dt.timedelta | None = dt.timedelta()
        #: How often a post was refused because an equal one was there.
        self.duplicates = 0
        #: Asked with method and path: True takes the request, False takes nothing and hangs up.
        self.on_ask: Callable[[str], bool] = lambda _: True
        #: Where it takes some bytes of each call and no more: those calls.
        self.stalled: list[socket.socket] | None = None
        #: Held while posts and pictures are counted.
        self.lock = threading.Lock()
        #: Ends what hangs.
        self.over = threading.Event()

    def asked(self, path: str) -> int:
        """Return how often a path was asked for."""
        return sum(urllib.parse.urlsplit(one["path"]).path == path for one in self.requests)

    def set(self, now: dt.datetime) -> None:
        """Set X's clock."""
        self.now = now

    def texts(self) -> list[str]:
        """Return the posts that are there."""
        return list(self.posts)

    def add(self, text: str, media: list[str] | None = None) -> str:
        """Make a post, as the account's owner might by hand; return its id."""
        self.posts.append(text)
        number = str(1800 + len(self.posts))
        self.timeline.append(_shown(number, text, media or [], self.now))
        return number


def _shown(number: str, text: str, media: list[str], made: dt.datetime) -> dict[str, Any]:
    """Return a post as the timeline shows it: short links, and the escapes of HTML."""
    urls = []
    for n, found in reversed(list(enumerate(twitter_text.extract_urls_with_indices(text)))):
        (start, end), short = found["indices"], f"https://t.co/{number}l{n}"
        whole = found["url"] if "://" in found["url"] else f"http://{found['url']}"
        urls.append({"url": short, "expanded_url": whole})
        text = text[:start] + short + text[end:]
    text = html.escape(text, quote=False)
    for ident in media:
        short = f"https://t.co/{number}m{ident}"
        whole = f"https://x.com/faces/status/{number}/photo/1"
        urls.append({"url": short, "expanded_url": whole, "media_key": f"3_{ident}"})
        text += f" {short}"
    stamp = made.astimezone(dt.UTC).strftime(_STAMP)
    entities = {"entities": {"urls": urls}} if urls else {}
    return {"id": number, "text": text, "created_at": stamp, **entities}


def signed(method: str, path: str, header: str) -> bool:
    """Tell whether an Authorization header carries the right signature (RFC 5849).

    `path` is that of the request, query and all.
    """
    asked = urllib.parse.urlsplit(path[path.index("/2/") :])
    pairs = dict(re.findall(r'(\w+)="([^"]*)"', header))
    given = urllib.parse.unquote(pairs.pop("oauth_signature", ""))
    if pairs.get("oauth_consumer_key") != KEYS["consumer_key"]:
        return False
    if pairs.get("oauth_token") != KEYS["access_token"]:
        return False
    coded = list(pairs.items())
    for pair in urllib.parse.parse_qsl(asked.query, keep_blank_values=True):
        key, value = (urllib.parse.quote(part, safe="") for part in pair)
        coded.append((key, value))
    listed = "&".join(f"{key}={value}" for key, value in sorted(coded))
    parts = (method, _HOST + asked.path, listed)
    base = "&".join(urllib.parse.quote(part, safe="") for part in parts)
    secret = f"{KEYS['consumer_secret']}&{KEYS['access_token_secret']}"
    wanted = hmac.new(secret.encode(), base.encode(), hashlib.sha1).digest()
    return hmac.compare_digest(base64.b64encode(wanted).decode(), given)


class _Server(http.server.ThreadingHTTPServer):
    fake: Fake
    daemon_threads = False
    request_queue_size = 64

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as typeshed has it
        calls = self.fake.stalled
        if calls is None:
            super().process_request(request, client_address)
            return
        request.settimeout(60)
        request.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request.recv(1000)
        calls.append(request)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._take("POST", json.loads(body))

    def do_GET(self) -> None:
        self._take("GET", {})

    def _take(self, method: str, told: dict[str, Any]) -> None:
        fake = self.server.fake
        fake.requests.append(dict(self.headers.items()) | {"path": self.path})
        asked = urllib.parse.urlsplit(self.path)
        path = asked.path[asked.path.index("/2/") :]
        if not fake.on_ask(f"{method} {path}"):
            self._reset()
            return
        plans = fake.plan if path == "/2/tweets" else fake.plans.get(path, [])
        with fake.lock:
            plan = plans.pop(0) if plans else "take"
        if not signed(method, self.path, self.headers.get("Authorization", "")):
            self._answer(401, {"title": "Unauthorized", "detail": "Unauthorized", "status": 401})
        elif plan != "take":
            getattr(self, f"_plan_{plan}")(told.get("text", ""))
        else:
            with fake.lock:
                self._do(method, path, told, asked.query)

    def _do(self, method: str, path: str, told: dict[str, Any], query: str) -> None:
        if (method, path) == ("POST", "/2/tweets"):
            self._post(told["text"], told.get("media", {}).get("media_ids", []))
        elif (method, path) == ("POST", "/2/media/upload"):
            self._upload(told)
        elif (method, path) == ("POST", "/2/media/metadata"):
            self._describe(told)
        elif (method, path) == ("GET", _ME):
            self._answer(200, {"data": {"id": USER, "name": "Faces", "username": "faces"}})
        elif (method, path) == ("GET", _OWN):
            self._own(dict(urllib.parse.parse_qsl(query)))
        else:
            self._answer(404, {"title": "Not Found", "detail": "there is no such path"})

    def _post(self, text: str, media: list[str]) -> None:
        fake = self.server.fake
        said = ""
        if text in fake.posts:
            fake.duplicates += 1
            said = "You are not allowed to create a Tweet with duplicate content."
        elif twitter_text.parse_tweet(text).weightedLength > 280:
            said = "Your Tweet text is too long. You are not permitted to perform this action."
        if said:
            self._answer(403, {"title": "Forbidden", "detail": said, "status": 403})
            return
        if not set(media) <= set(fake.pictures):
            self._answer(400, {"title": "Invalid Request", "detail": "Your media IDs are invalid."})
            return
        self._answer(201, {"data": {"id": fake.add(text, media), "text": text}})

    def _upload(self, told: dict[str, Any]) -> None:
        if told.get("media_category") != "tweet_image":
            self._answer(400, {"title": "Invalid Request", "detail": "media_category"})
            return
        try:
            picture = base64.b64decode(told["media"], validate=True)
        except binascii.Error:
            self._answer(400, {"title": "Invalid Request", "detail": "media"})
            return
        if len(picture) > _PICTURE_MAX:
            self._answer(413, {"title": "Payload Too Large"})
            return
        pictures = self.server.fake.pictures
        number = str(900 + len(pictures))
        pictures[number] = picture
        data = {"id": number, "media_key": f"3_{number}", "expires_after_secs": 86400}
        self._answer(200, {"data": data})

    def _describe(self, told: dict[str, Any]) -> None:
        words = told["metadata"]["alt_text"]["text"]
        if told["id"] not in self.server.fake.pictures or not 0 < len(words) <= 1000:
            self._answer(400, {"title": "Invalid Request", "detail": "alt_text"})
            return
        self.server.fake.words[told["id"]] = words
        self._answer(200, {"data": {"id": told["id"], "associated_metadata": {}}})

    def _own(self, query: dict[str, str]) -> None:
        fake = self.server.fake
        if fake.lag is None:
            self._answer(403, {"title": "Client Forbidden", "detail": "no access to reading"})
            return
        shown = (fake.now - fake.lag).strftime(_STAMP)
        newest = [one for one in fake.timeline[::-1] if one["created_at"] <= shown]
        most, start = int(query["max_results"]), int(query.get("pagination_token", "0"))
        assert 5 <= most <= 100
        fields = {"id", "text", *query.get("tweet.fields", "").split(",")}
        page = [
            {key: value for key, value in one.items() if key in fields}
            for one in newest[start : start + most]
        ]
        meta: dict[str, object] = {"result_count": len(page)}
        if start + most < len(newest):
            meta["next_token"] = str(start + most)
        self._answer(200, {"meta": meta} | ({"data": page} if page else {}))

    def _plan_not_permitted(self, text: str) -> None:
        detail = "You are not permitted to perform this action."
        self._answer(403, {"title": "Forbidden", "detail": detail})

    def _plan_timed_out(self, text: str) -> None:
        self._answer(408, {"title": "Request Timeout"})

    def _plan_hang_in_answer(self, text: str) -> None:
        self._plan_cut_in_answer(text)
        self.server.fake.over.wait()

    def _plan_forbidden(self, text: str) -> None:
        detail = "Your account is suspended; token at-3 cs-secret-2"
        self._answer(403, {"title": "Forbidden", "detail": detail})

    def _plan_limited(self, text: str) -> None:
        self._answer(429, {"title": "Too Many Requests"}, {"x-rate-limit-reset": "1000900"})

    def _plan_limited_past(self, text: str) -> None:
        self._answer(429, {"title": "Too Many Requests"}, {"x-rate-limit-reset": "999000"})

    def _plan_odd_limit(self, text: str) -> None:
        self._answer(429, ["odd"], {"x-rate-limit-reset": "soon"})

    def _plan_invalid(self, text: str) -> None:
        self._answer(400, {"errors": [{"message": "text is \x1b[31mred"}], "title": "Invalid"})

    def _plan_unauthorized(self, text: str) -> None:
        self._answer(401, {"title": "Unauthorized", "detail": "Unauthorized", "status": 401})

    def _plan_too_large(self, text: str) -> None:
        self._answer(413, {"title": "Payload Too Large"})

    def _plan_unprocessable(self, text: str) -> None:
        self._answer(422, {"title": "Unprocessable", "detail": "it cannot be worked on"})

    def _plan_no_credit(self, text: str) -> None:
        self._answer(402, {"title": "CreditsDepleted", "detail": "no credits left"})

    def _plan_duplicate(self, text: str) -> None:
        detail = "You are not allowed to create a Tweet with duplicate content."
        self._answer(403, {"title": "Forbidden", "detail": detail, "status": 403})

    def _plan_partial(self, text: str) -> None:
        self._answer(200, {"data": [], "meta": {}, "errors": [{"detail": "some are withheld"}]})

    def _plan_hang(self, text: str) -> None:
        self.server.fake.over.wait()

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
        self.server.fake.add(text)
        self._reset()

    def _plan_drop(self, text: str) -> None:
        self._reset()

    def _plan_post_then_hang(self, text: str) -> None:
        self.server.fake.add(text)
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


def settings(folder: pathlib.Path, url: str) -> config.Settings:
    """Make a working folder whose one outlet, `loud`, is the account that this X knows."""
    build.settings(folder)
    file = folder / "config.toml"
    file.write_text(f'{file.read_text()}[outlets.loud]\nkind = "x"\napi = "{url}"\n')
    environ = {f"DELIVERYBOT_OUTLETS__LOUD__{key}".upper(): one for key, one in KEYS.items()}
    return config.load(file, environ=environ)
