"""Posts on X, as the user of an OAuth 1.0a token.

X has no key that would make a second try harmless, so only a clean 201 is a
post and only a clean 4xx is none.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import logging
from collections.abc import Mapping

import requests
import requests.adapters
import tweepy
import twitter_text
import typing_extensions

from deliverybot import errors, model, networks, outlets
from deliverybot.outlets import wire

#: Weighted characters; a web address counts 23, a CJK letter or an emoji 2.
_LIMIT = 280
_HOST = "https://api.twitter.com"
_SITE = "https://x.com/i/web/status/"
#: Bytes of an answer that are read; a real one has about 300.
_ANSWER_MAX = 100_000
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
            return wire.reply(model.Outcome.REFUSED, missing, account=True)
        unfit = self._unfit(post.text)
        if unfit:
            return wire.reply(model.Outcome.REFUSED, unfit)
        door = wire.Door(self._settings.api, self._settings.timeout, bare=True, most=_ANSWER_MAX)
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

    def _publish(self, text: str, door: wire.Door) -> model.Reply:
        secrets = self._secrets()
        client = tweepy.Client(**secrets, return_type=requests.Response, wait_on_rate_limit=False)
        with client.session as session:
            session.mount(_HOST, door)
            with contextlib.suppress(wire.NoAnswer, tweepy.HTTPException):
                client.create_tweet(text=text)
        if door.answer is None:
            outcome = model.Outcome.UNSURE if door.sent else model.Outcome.LATER
            return wire.reply(outcome, wire.clean(door.trouble, secrets.values()))
        return _read(*door.answer, secrets=secrets, now=self._clock())


def _read(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    secrets: Mapping[str, str],
    now: float,
) -> model.Reply:
    """Return what an answer means: a 201 with an id is a post, a 4xx is none."""
    content = wire.fields(body)
    said = wire.clean(_words(content) or http.client.responses.get(status, ""), secrets.values())
    if 200 <= status <= 299:  # noqa: PLR2004 - the class of good answers
        data = content.get("data")
        number = str(data.get("id", "")) if isinstance(data, dict) else ""
        if number.isascii() and number.isdigit() and len(number) <= _DIGITS_MAX:
            return wire.reply(model.Outcome.DONE, said, status, url=_SITE + number)
        return wire.reply(model.Outcome.UNSURE, "the answer names no post", status)
    if status == _FORBIDDEN and "duplicate" in said.lower():
        text = f"an equal post is there already, maybe ours: {said}"
        return wire.reply(model.Outcome.UNSURE, text, status)
    if not 400 <= status <= 499:  # noqa: PLR2004 - the class of refusals
        return wire.reply(model.Outcome.UNSURE, said, status)
    if status == _TOO_MANY:
        wait = _pause(headers, now)
        return wire.reply(model.Outcome.LATER, said, status, retry_after=wait, account=True)
    return wire.reply(model.Outcome.REFUSED, said, status, account=status in _ACCOUNT)


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
