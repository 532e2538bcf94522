"""A small server of the AT Protocol on loopback, and a wire to it that loses things.

It keeps to what the real one does (seen with @atproto/pds 0.4.217): the same
body under the same name is the same record and no commit; another body is
InvalidSwap where ``swapRecord`` is null, and overwrites where it is left out;
a name that is no TID, a facet that cuts a letter, a picture that is not there
are refused.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import datetime as dt
import hashlib
import itertools
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import grapheme

import http_server

HANDLE, PASSWORD = "campaigns.example", "abcd-efgh-ijkl-mnop"
DID = "did:plc:abcdefghijklmnopqrstuvwx"
POSTS = "app.bsky.feed.post"
BLOB_MAX, IMAGE_MAX = 5 * 2**20, 2_000_000
SESSION, REFRESH = "com.atproto.server.createSession", "com.atproto.server.refreshSession"
UPLOAD, PUT, GET = (
    f"com.atproto.repo.{name}" for name in ("uploadBlob", "putRecord", "getRecord")
)  # fmt: skip
TID = re.compile("[234567a-j][234567a-z]{12}")


class Refused(Exception):
    def __init__(self, status: int, error: str, message: str = "", **headers: str) -> None:
        super().__init__(error, message)
        self.answer = said(status, error, message, **headers)


def said(status: int, error: str = "", message: str = "", **headers: str) -> http_server.Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    content = {"error": error, "message": message or f"about {error}"}
    return http_server.json(content, status=status, headers=named)


@dataclasses.dataclass(kw_only=True)
class Pds:
    """One account, its pictures and its records; a handler for `http_server.running`."""

    #: What is said of the account, when it is signed in.
    active: bool = True
    #: Sessions that may still be opened; then 429 until `reset`.
    sessions_left: int = 1_000_000
    reset: str = "0"
    blobs: dict[str, bytes] = dataclasses.field(default_factory=dict)
    records: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    #: Names that were written to, each time that something changed.
    commits: list[str] = dataclasses.field(default_factory=list)
    #: Methods that were asked for.
    asked: list[str] = dataclasses.field(default_factory=list)
    access: set[str] = dataclasses.field(default_factory=set)
    refresh: set[str] = dataclasses.field(default_factory=set)

    def __post_init__(self) -> None:
        #: Asked with each method's name: True takes the request, False takes nothing and hangs up.
        self.on_ask: Callable[[str], bool] = lambda _: True
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def __call__(self, request: http_server.Request) -> http_server.Reply:
        method = request.path.removeprefix("/xrpc/")
        self.asked.append(method)
        if not self.on_ask(method):
            return http_server.sends(b"")
        try:
            with self._lock:
                return http_server.json(self._methods()[method, request.method](request))
        except Refused as error:
            return error.answer
        except KeyError:
            return said(501, "MethodNotImplemented")

    def texts(self) -> list[str]:
        return [str(one["text"]) for one in self.records.values()]

    def expire(self) -> None:
        """End what requests are made with; what renews it stays."""
        self.access.clear()

    def forget(self) -> None:
        """End all sessions."""
        self.access.clear()
        self.refresh.clear()

    def _methods(self) -> Mapping[tuple[str, str], Callable[[http_server.Request], object]]:
        return {
            (SESSION, "POST"): self._create,
            (REFRESH, "POST"): self._refresh,
            (UPLOAD, "POST"): self._upload,
            (PUT, "POST"): self._put,
            (GET, "GET"): self._get,
        }

    # --- sessions -------------------------------------------------------------------------------

    def _create(self, request: http_server.Request) -> object:
        if self.sessions_left <= 0:
            raise Refused(429, "RateLimitExceeded", RateLimit_Reset=self.reset)
        self.sessions_left -= 1
        told = request.json()
        if (told["identifier"], told["password"]) != (HANDLE, PASSWORD):
            raise Refused(401, "AuthenticationRequired", "Invalid identifier or password")
        state = {} if self.active else {"status": "deactivated"}
        return {**self._session(), "active": self.active, **state}

    def _refresh(self, request: http_server.Request) -> object:
        token = self._token(request)
        if token not in self.refresh:
            raise Refused(400, "ExpiredToken", "Token has been revoked")
        self.refresh.remove(token)
        return self._session()

    def _session(self) -> dict[str, str]:
        number = next(self._numbers)
        access, refresh = f"access-token-{number}", f"refresh-token-{number}"
        self.access.add(access)
        self.refresh.add(refresh)
        return {"did": DID, "handle": HANDLE, "accessJwt": access, "refreshJwt": refresh}

    def _token(self, request: http_server.Request) -> str:
        return request.headers.get("authorization", "").removeprefix("Bearer ")

    def _check(self, request: http_server.Request) -> None:
        token = self._token(request)
        if not token:
            raise Refused(401, "AuthMissing")
        if token not in self.access:
            raise Refused(400, "ExpiredToken", f"Token has expired: {token}")

    # --- records --------------------------------------------------------------------------------

    def _upload(self, request: http_server.Request) -> object:
        self._check(request)
        if len(request.body) > BLOB_MAX:
            raise Refused(413, "PayloadTooLarge", "request entity too large")
        name = content_id(0x55, request.body)
        self.blobs[name] = request.body
        return {"blob": blob(name, request.headers["content-type"], len(request.body))}

    def _put(self, request: http_server.Request) -> object:
        self._check(request)
        told = request.json()
        if told["repo"] not in {DID, HANDLE} or told["collection"] != POSTS:
            raise Refused(400, "InvalidRequest", "Could not find repo")
        if not TID.fullmatch(told["rkey"]):
            raise Refused(400, "InvalidRequest", "Invalid record key: not a TID")
        wrong = unfit(told["record"], self.blobs)
        if wrong:
            raise Refused(400, "InvalidRequest", f"Invalid {POSTS} record: {wrong}")
        there, name = self.records.get(told["rkey"]), f"at://{DID}/{POSTS}/{told['rkey']}"
        made = {"uri": name, "cid": record_id(told["record"]), "validationStatus": "valid"}
        if there is not None and record_id(there) == made["cid"]:
            return made
        if "swapRecord" in told:
            stands = None if there is None else record_id(there)
            if told["swapRecord"] != stands:
                raise Refused(400, "InvalidSwap", f"Record was at {stands}")
        self.records[told["rkey"]] = told["record"]
        self.commits.append(told["rkey"])
        return {**made, "commit": {"cid": made["cid"], "rev": str(len(self.commits))}}

    def _get(self, request: http_server.Request) -> object:
        name = request.query["rkey"]
        if request.query["repo"] not in {DID, HANDLE} or name not in self.records:
            raise Refused(400, "RecordNotFound", "Could not locate record")
        there = self.records[name]
        return {"uri": f"at://{DID}/{POSTS}/{name}", "cid": record_id(there), "value": there}


def content_id(codec: int, data: bytes) -> str:
    plain = bytes([1, codec, 0x12, 32]) + hashlib.sha256(data).digest()
    return "b" + base64.b32encode(plain).decode().lower().rstrip("=")


def record_id(record: Mapping[str, Any]) -> str:
    """Name a record by its content; the real one hashes CBOR, which comes to the same."""
    return content_id(0x71, json.dumps(record, sort_keys=True).encode())


def blob(name: str, kind: str, size: int) -> dict[str, object]:
    return {"$type": "blob", "ref": {"$link": name}, "mimeType": kind, "size": size}


def unfit(record: Mapping[str, Any], blobs: Mapping[str, bytes]) -> str:
    """Say what is wrong with a post; empty where it is as its lexicon wants it."""
    text = record["text"]
    if record["$type"] != POSTS or dt.datetime.fromisoformat(record["createdAt"]).tzinfo is None:
        return "its type or time"
    if grapheme.length(text) > 300 or len(text.encode()) > 3000:
        return "its text is too long"
    return _unfit_facets(text.encode(), record) or _unfit_images(record, blobs)


def _unfit_facets(text: bytes, record: Mapping[str, Any]) -> str:
    for one in record.get("facets", []):
        start, end = one["index"]["byteStart"], one["index"]["byteEnd"]
        try:
            text[start:end].decode()
        except UnicodeDecodeError:
            return "a facet cuts a letter"
        if not 0 <= start < end <= len(text):
            return "a facet is out of the text"
    return ""


def _unfit_images(record: Mapping[str, Any], blobs: Mapping[str, bytes]) -> str:
    for image in record.get("embed", {}).get("images", []):
        told, stored = image["image"], blobs.get(image["image"]["ref"]["$link"])
        if stored is None or told["size"] != len(stored):
            return "Could not find blob"
        if len(stored) > IMAGE_MAX or not isinstance(image["alt"], str):
            return "a picture is too large or without words"
    return ""


@dataclasses.dataclass(kw_only=True)
class Loose:
    """Hands requests on to `pds`; what `plan` says happens to the next ones of `method` instead.

    ``drop``: the server never hears of it.  ``lose``: taken, the answer is lost.
    ``wait``: not taken, and no answer comes.  ``hang``: taken, and none comes.
    ``half``: taken, and half of the answer comes.  ``cut``: the same, and the end.
    An `http_server.Answer`: that, and the server never hears of it.
    """

    pds: Pds
    method: str = PUT
    plan: list[str | http_server.Answer] = dataclasses.field(default_factory=list)

    def __call__(self, request: http_server.Request) -> http_server.Reply:
        step: str | http_server.Answer = ""
        if request.path == f"/xrpc/{self.method}":
            step = self.plan.pop(0) if self.plan else ""
        if isinstance(step, http_server.Answer):
            self.pds.asked.append(self.method)
            return step
        if step == "drop":
            return http_server.sends(b"")
        if step == "wait":
            return http_server.raw(lambda wire: wire.hang())
        answer = self.pds(request)
        if not step:
            return answer
        assert isinstance(answer, http_server.Answer)
        whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer.body)
        half = whole + answer.body[: len(answer.body) // 2]
        if step in {"lose", "cut"}:
            return http_server.sends(half if step == "cut" else b"")
        return http_server.raw(lambda wire: _hang(wire, half if step == "half" else b""))


def _hang(wire: http_server.Wire, first: bytes) -> None:
    wire.send(first)
    wire.hang()


@contextlib.contextmanager
def running(pds: Pds, method: str = PUT) -> Iterator[tuple[Loose, str]]:
    """Run the server behind a loose wire; gives the wire and the address."""
    wire = Loose(pds=pds, method=method)
    with http_server.running(wire) as server:
        yield wire, server.url("")
