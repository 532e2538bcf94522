"""Posts on X, as the user of an OAuth 1.0a token.

X has no key that would make a second try harmless, so only a clean 201 is a
post and only a clean 4xx is none.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import io
import json
import logging
import socket
import ssl
import threading
import urllib.parse
from collections.abc import Mapping

import requests
import requests.adapters
import tweepy
import twitter_text
import typing_extensions

from deliverybot import errors, model, networks, outlets, screen

#: Weighted characters; a web address counts 23, a CJK letter or an emoji 2.
_LIMIT = 280
_HOST = "https://api.twitter.com"
_SITE = "https://x.com/i/web/status/"
#: Bytes of an answer that are read; a real one has about 300.
_ANSWER_MAX = 100_000
_TEXT_MAX = 300
#: Digits of a number that somebody means: an id has 19.  Seconds that a network may ask for.
_DIGITS_MAX, _PAUSE_MAX = 25, 86_400.0
_FORBIDDEN, _TOO_MANY = 403, 429
#: The tokens are not taken; the credit is used up.
_ACCOUNT = frozenset({401, 402})


class X(outlets.Outlet):
    """One account on X."""

    Settings = networks.XOutlet

    def __init__(self, name: str, section: networks.XOutlet, means: outlets.Means) -> None:
        """Keep what it needs."""
        super().__init__(name, section, means)
        self._name = name
        self._settings = section
        self._clock = means.clock
        # At DEBUG these write the post and the signed headers.
        for logger in ("tweepy", "oauthlib", "requests_oauthlib"):
            logging.getLogger(logger).setLevel(logging.WARNING)

    @property
    @typing_extensions.override
    def limit(self) -> int | None:
        """280, as `length` counts."""
        return _LIMIT

    @typing_extensions.override
    def length(self, text: str) -> int:
        """Count as X does (twitter-text, configuration 3)."""
        return int(twitter_text.parse_tweet(text).weightedLength)

    @typing_extensions.override
    async def publish(self, post: outlets.Draft) -> model.Reply:
        """Post it once; see `outlets.Outlet`."""
        if missing := self._missing():
            return _reply(model.Outcome.REFUSED, missing, account=True)
        unfit = self._unfit(post.text)
        if unfit:
            return _reply(model.Outcome.REFUSED, unfit)
        door = _Door(self._settings.api, self._settings.timeout)
        try:
            return await asyncio.to_thread(self._publish, post.text, door)
        except asyncio.CancelledError:
            # Else the thread, and with it the process, would wait for the deadline.
            door.cut()
            raise

    @typing_extensions.override
    async def find(self, post: outlets.Draft) -> outlets.Evidence:
        """X keeps no key of ours; a person looks at the account."""
        return outlets.Evidence(there=None)

    @typing_extensions.override
    async def check(self) -> list[errors.Fault]:
        """Look at the tokens; only a post would show whether X takes them."""
        missing = self._missing()
        if missing:
            return [errors.Fault(level="fault", what=missing, hint=self._hint())]
        what = f"outlet {self._name} has its four tokens; whether X takes them, a post will show"
        return [errors.Fault(level="ok", what=what)]

    def _secrets(self) -> dict[str, str]:
        return {
            "consumer_key": self._settings.consumer_key.get_secret_value(),
            "consumer_secret": self._settings.consumer_secret.get_secret_value(),
            "access_token": self._settings.access_token.get_secret_value(),
            "access_token_secret": self._settings.access_token_secret.get_secret_value(),
        }

    def _missing(self) -> str:
        missing = [key for key, secret in self._secrets().items() if not secret]
        return f"outlet {self._name} has no {', '.join(missing)}" if missing else ""

    def _hint(self) -> str:
        return f"put each into a secret file: outlets/{self._name}/consumer_key and so on"

    def _unfit(self, text: str) -> str:
        found = twitter_text.parse_tweet(text)
        if found.weightedLength > _LIMIT:
            return f"the text counts {found.weightedLength} on X, which takes {_LIMIT}"
        return "" if found.valid else "X takes no empty text and no control characters"

    def _publish(self, text: str, door: _Door) -> model.Reply:
        secrets = self._secrets()
        client = tweepy.Client(**secrets, return_type=requests.Response, wait_on_rate_limit=False)
        with client.session as session:
            session.mount(_HOST, door)
            with contextlib.suppress(_NoAnswer, tweepy.HTTPException):
                client.create_tweet(text=text)
        if door.answer is None:
            outcome = model.Outcome.UNSURE if door.sent else model.Outcome.LATER
            return _reply(outcome, _clean(door.trouble, secrets))
        return _read(*door.answer, secrets=secrets, now=self._clock())


class _NoAnswer(Exception):
    """There is no whole answer; the door says why."""


class _Door(requests.adapters.BaseAdapter):
    """Sends one request, signed for X, to where config.toml says.

    One deadline for all of it; no redirect is followed; the answer is kept
    here and only its status goes back, because tweepy trips over odd ones.
    """

    def __init__(self, api: str, timeout: float) -> None:
        super().__init__()
        self._api = urllib.parse.urlsplit(api)
        self._timeout = timeout
        #: Whether a byte of the request may have left.
        self.sent = False
        self.trouble = ""
        self._late = False
        self._connected: http.client.HTTPConnection | None = None
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
        connection = self._connected = self._connection()
        deadline = threading.Timer(self._timeout, self.cut)
        deadline.daemon = True
        deadline.start()
        try:
            connection.connect()
            self.sent = True
            self.answer = self._exchange(connection, request)
        except (OSError, http.client.HTTPException, ValueError) as error:
            late = self._late or isinstance(error, TimeoutError)
            self.trouble = "no answer in time" if late else f"{type(error).__name__}: {error}"
            raise _NoAnswer from error
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
        """End every wait on this connection, from another thread."""
        self._late = True
        connection = self._connected
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                # Not the TLS socket's own shutdown, which pulls the TLS from under the reader.
                socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._api.hostname or "", self._api.port
        if self._api.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=self._timeout)
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, port, timeout=self._timeout, context=context)

    def _exchange(
        self, connection: http.client.HTTPConnection, request: requests.PreparedRequest
    ) -> tuple[int, Mapping[str, str], bytes]:
        headers = {**request.headers, "Accept-Encoding": "identity", "Connection": "close"}
        path = self._api.path.rstrip("/") + request.path_url
        connection.request(request.method or "POST", path, request.body, headers)
        answer = connection.getresponse()
        body = answer.read(_ANSWER_MAX)
        if self._late:
            raise TimeoutError
        if answer.length:
            # A refusal whose reason is cut off may be "this post is there already".
            raise ValueError("the answer is cut short or too long")
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}, body


def _read(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    secrets: Mapping[str, str],
    now: float,
) -> model.Reply:
    """Return what an answer means: a 201 with an id is a post, a 4xx is none."""
    content = _json(body)
    said = _clean(_words(content) or http.client.responses.get(status, ""), secrets)
    if 200 <= status <= 299:  # noqa: PLR2004 - the class of good answers
        data = content.get("data")
        number = str(data.get("id", "")) if isinstance(data, dict) else ""
        if number.isascii() and number.isdigit() and len(number) <= _DIGITS_MAX:
            return _reply(model.Outcome.DONE, said, status, url=_SITE + number)
        return _reply(model.Outcome.UNSURE, "the answer names no post", status)
    if status == _FORBIDDEN and "duplicate" in said.lower():
        text = f"an equal post is there already, maybe ours: {said}"
        return _reply(model.Outcome.UNSURE, text, status)
    if not 400 <= status <= 499:  # noqa: PLR2004 - the class of refusals
        return _reply(model.Outcome.UNSURE, said, status)
    if status == _TOO_MANY:
        wait = _pause(headers, now)
        return _reply(model.Outcome.LATER, said, status, retry_after=wait, account=True)
    return _reply(model.Outcome.REFUSED, said, status, account=status in _ACCOUNT)


def _json(body: bytes) -> dict[str, object]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _words(content: Mapping[str, object]) -> str:
    found = [content.get("title"), content.get("detail")]
    several = content.get("errors")
    for one in several if isinstance(several, list) else []:
        found += [one.get("message") if isinstance(one, dict) else one]
    return ": ".join(word for word in found if isinstance(word, str))


def _pause(headers: Mapping[str, str], now: float) -> float | None:
    reset = headers.get("x-rate-limit-reset") or ""
    if reset.isascii() and reset.isdigit() and len(reset) <= _DIGITS_MAX:
        return min(max(1.0, int(reset) - now), _PAUSE_MAX)
    wait = headers.get("retry-after") or ""
    plain = wait.isascii() and wait.isdigit() and len(wait) <= _DIGITS_MAX
    return min(float(wait), _PAUSE_MAX) if plain else None


def _clean(text: str, secrets: Mapping[str, str]) -> str:
    """Return one line without control characters and without a token.

    Cleaned before, since an invisible letter in its middle would hide a token,
    and cut after, since a half of it would stay.
    """
    text = screen.clean(text, _ANSWER_MAX)
    for secret in secrets.values():
        text = text.replace(secret, "***")
    return screen.clean(text, _TEXT_MAX)


def _reply(
    outcome: model.Outcome,
    text: str,
    code: int = 0,
    *,
    url: str = "",
    retry_after: float | None = None,
    account: bool = False,
) -> model.Reply:
    return model.Reply(
        outcome=outcome, phase="post", code=code, text=text, url=url, retry_after=retry_after,
        account=account,
    )  # fmt: skip
