"""Posts on X, as the user of an OAuth 1.0a token.

X has no key that would make a second try harmless, so only a clean 201 is a
post and only a clean 4xx is none.  What is in doubt is looked for in the
account's own timeline: there links come back as t.co addresses, with the long
ones beside them, and the text with HTML's escapes (X API v2, the data
dictionary of posts).
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import datetime as dt
import html
import http.client
import logging
import re
import unicodedata
import urllib.parse
from collections.abc import Callable, Mapping

import requests
import tweepy
import twitter_text
import typing_extensions

from deliverybot import errors, model, networks, outlets, retry_after
from deliverybot.outlets import wire

#: Weighted characters; a web address counts 23, a CJK letter or an emoji 2.
_LIMIT = 280
_HOST = "https://api.twitter.com"
_SITE = "https://x.com/i/web/status/"
#: Bytes of an answer that are read; a real one has about 300, a page of posts some 40,000.
_ANSWER_MAX, _PAGE_MAX = 100_000, 1_000_000
#: Bytes of a picture, letters of what it shows (X's media upload and metadata).
_PICTURE_MAX, _ALT_MAX = 5_000_000, 1000
#: Posts of one page, and pages, that are read when one is looked for: each post read costs money.
_OWN, _PAGES = 20, 5
#: What X's clock and ours may differ by.
_SKEW = dt.timedelta(minutes=2)
#: Digits of a number that somebody means: an id has 19.
_DIGITS_MAX = 25
_FORBIDDEN, _TIMED_OUT, _TOO_MANY = 403, 408, 429
_LINK = re.compile(r"https?://\S+")
#: A link as X writes it into a text, and how many a text has room for (280 / 23).
_SHORT, _LINKS_MAX = re.compile(r"https?://t\.co/[A-Za-z0-9]{1,30}"), 13
#: Letters of a text with its links in full; a text there, for one letter of ours with its marks
#: apart, and for what X adds.
_FOLDED_MAX, _LONGER, _ADDED = 10_000, 4, 500
#: What X itself puts behind the text of a post with a picture.
_SHOWN = re.compile(r"https://(x|twitter)\.com/[^/]+/status/\d+/(photo|video)/\d+")
#: The tokens are not taken; the credit is used up.
_ACCOUNT = frozenset({401, 402})
#: Words of a 403 that speak of the account or its app rather than of the post.
_BARRED = re.compile("suspended|locked|deactivated|oauth1|app permissions", re.IGNORECASE)


class X(outlets.Outlet):
    """One account on X."""

    Settings = networks.XOutlet

    def __init__(self, name: str, section: networks.XOutlet, means: outlets.Means) -> None:
        """Keep what it needs."""
        super().__init__(name, section, means)
        self._settings = section
        #: The account's id, once it is known.
        self._ident = ""
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
    def links(self, text: str) -> list[str]:
        """Return links, and bare domains, which are links on X."""
        return twitter_text.extract_urls(text) or super().links(text)

    @typing_extensions.override
    def cost(self, post: outlets.Draft) -> int:
        """Return the price of a post, with or without a link: bare domains are links on X."""
        linked = bool(twitter_text.extract_urls(post.text))
        price = self._settings.price_with_link if linked else self._settings.price
        return round(price * 1_000_000)

    @typing_extensions.override
    async def publish(self, post: outlets.Draft) -> model.Reply:
        """Post it once; see `outlets.Outlet`."""
        if missing := self._missing():
            return wire.reply(model.Outcome.REFUSED, missing, account=True)
        unfit = self._unfit(post)
        if unfit:
            return wire.reply(model.Outcome.REFUSED, unfit)
        return await self._aside(lambda door: self._publish(post, door), most=_ANSWER_MAX)

    @typing_extensions.override
    async def find(self, post: outlets.Draft) -> outlets.Evidence:
        """Read the account's own posts, newest first, back to the first try."""
        if self._missing():
            return outlets.Evidence(there=None)
        return await self._aside(lambda door: self._find(post, door), most=_PAGE_MAX)

    @typing_extensions.override
    async def check(self) -> list[errors.Fault]:
        """Look at the tokens; only a post would show whether X takes them."""
        missing = self._missing()
        if missing:
            hint = outlets.secret_hint(self.name, *self._absent())
            return [errors.Fault(level="fault", what=missing, hint=hint)]
        what = f"outlet {self.name} has its four tokens; whether X takes them, a post will show"
        return [errors.Fault(level="ok", what=what)]

    def _secrets(self) -> dict[str, str]:
        return {
            "consumer_key": self._settings.consumer_key.get_secret_value(),
            "consumer_secret": self._settings.consumer_secret.get_secret_value(),
            "access_token": self._settings.access_token.get_secret_value(),
            "access_token_secret": self._settings.access_token_secret.get_secret_value(),
        }

    def _missing(self) -> str:
        missing = self._absent()
        return f"outlet {self.name} has no {', '.join(missing)}" if missing else ""

    def _absent(self) -> list[str]:
        return networks.missing(self._settings)

    def _unfit(self, post: outlets.Draft) -> str:
        found = twitter_text.parse_tweet(post.text)
        if found.weightedLength > _LIMIT:
            return f"the text counts {found.weightedLength} on X, which takes {_LIMIT}"
        if not found.valid:
            return "X takes no empty text and no control characters"
        if len(post.image) > _PICTURE_MAX:
            return f"the picture has {len(post.image):,} bytes; X takes {_PICTURE_MAX:,}"
        if len(post.alt) > _ALT_MAX:
            return f"the words for the picture are {len(post.alt)} long; X takes {_ALT_MAX}"
        return ""

    async def _aside(self, work: Callable[[wire.Door], wire.T], *, most: int) -> wire.T:
        door = wire.Door(self._settings.api, self._settings.timeout, most=most)
        return await wire.aside(door, work)

    def _publish(self, post: outlets.Draft, door: wire.Door) -> model.Reply:
        """1. Bring the picture, if there is one, and its words.  2. Post."""
        media: list[str] = []
        if post.image:
            reply = self._picture(post, door)
            if not reply.done:
                # No post was asked for yet, so nothing of it can be there.
                doubt = reply.code == 0 or reply.outcome is model.Outcome.UNSURE
                outcome = model.Outcome.LATER if doubt else reply.outcome
                text = f"the picture: {reply.text}"
                return dataclasses.replace(reply, outcome=outcome, text=text)
            media = [reply.text]
        told = {"text": post.text} | ({"media": {"media_ids": media}} if media else {})
        self._ask(door, "POST", "/2/tweets", json=told)
        reply = self._read(door)
        if not reply.done:
            return reply
        return dataclasses.replace(reply, text=f"post {reply.text}", url=_SITE + reply.text)

    def _picture(self, post: outlets.Draft, door: wire.Door) -> model.Reply:
        """Bring a picture and what it shows; DONE, with its id for a text, once X has both."""
        coded = base64.b64encode(post.image).decode("ascii")
        told: dict[str, object] = {"media": coded, "media_category": "tweet_image"}
        self._ask(door, "POST", "/2/media/upload", json=told)
        reply = self._read(door)
        if not reply.done or not post.alt:
            return reply
        told = {"id": reply.text, "metadata": {"alt_text": {"text": post.alt}}}
        self._ask(door, "POST", "/2/media/metadata", json=told)
        words = self._read(door, named=reply.text)
        return reply if words.done else words

    def _ask(
        self,
        door: wire.Door,
        method: str,
        route: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Mapping[str, object] | None = None,
    ) -> None:
        """Ask X for something; the door has the answer.

        tweepy 4.17 has no media upload of X's API v2 (tweepy#2217), so this goes by its
        private wrapper, which signs; here and nowhere else.
        """
        client = tweepy.Client(
            **self._secrets(), return_type=requests.Response, wait_on_rate_limit=False
        )
        with client.session as session:
            session.mount(_HOST, door)
            door.answer, asked = None, params or {}
            with contextlib.suppress(wire.NoAnswer, tweepy.HTTPException):
                client._make_request(  # noqa: SLF001 - as above
                    method, route, json=json, user_auth=True, endpoint_parameters=tuple(asked),
                    params={name.replace(".", "_"): value for name, value in asked.items()},
                )  # fmt: skip

    def _read(self, door: wire.Door, *, named: str = "") -> model.Reply:
        """Return what the last answer means; see `_read`."""
        secrets = self._secrets()
        if door.answer is None:
            outcome = model.Outcome.UNSURE if door.sent else model.Outcome.LATER
            return wire.reply(outcome, wire.clean(door.trouble, secrets.values()))
        return _read(*door.answer, secrets=secrets, now=self.means.clock(), named=named)

    def _find(self, post: outlets.Draft, door: wire.Door) -> outlets.Evidence:
        """Say what the account's own posts tell of a draft; see `_alike`."""
        if post.first_try is None or not self._own_id(door):
            return outlets.Evidence(there=None)
        since, older, doubt = post.first_try - _SKEW, "", False
        for _ in range(_PAGES):
            page = self._page(door, older)
            if page is None:
                break
            posts, older = page
            for one in posts:
                alike, made = _alike(one, post.text), _made(one)
                young = made is None or made >= since
                if alike and made is not None and young:
                    return outlets.Evidence(there=True, url=_SITE + _number(one))
                # An equal one of last year is not this one, but may be why X wants no other.
                doubt = doubt or alike is True or (young and (alike is None or _edited(one)))
            last = _made(posts[-1]) if posts else None
            if not older or (last is not None and last < since):
                return outlets.Evidence(there=None if doubt else False)
        return outlets.Evidence(there=None)

    def _own_id(self, door: wire.Door) -> str:
        """Return the account's id, which is asked for once; empty where X does not say it."""
        if not self._ident:
            self._ask(door, "GET", "/2/users/me")
            self._ident = _number(_good(door).get("data"))
        return self._ident

    def _page(self, door: wire.Door, older: str) -> tuple[list[dict[str, object]], str] | None:
        """Return a page of the account's posts and the name of the next; None for no clean page."""
        params = {"max_results": str(_OWN), "tweet.fields": "created_at,entities"}
        params |= {"pagination_token": older} if older else {}
        self._ask(door, "GET", f"/2/users/{self._ident}/tweets", params=params)
        content = _good(door)
        posts, meta = content.get("data", []), content.get("meta")
        if not isinstance(meta, dict) or not isinstance(posts, list) or "errors" in content:
            return None
        if not all(isinstance(one, dict) and _number(one) for one in posts):
            return None
        return posts, str(meta.get("next_token") or "")


def _read(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    secrets: Mapping[str, str],
    now: float,
    named: str = "",
) -> model.Reply:
    """Return what an answer means: a 2xx with an id is done, a 4xx is not.

    The text of what is done is its id; `named` is the id where the answer needs none.
    """
    content = wire.fields(body)
    said = wire.clean(_words(content) or http.client.responses.get(status, ""), secrets.values())
    if 200 <= status <= 299:  # noqa: PLR2004 - the class of good answers
        number = _number(content.get("data"))
        number = number or (named if content and "errors" not in content else "")
        if number:
            return wire.reply(model.Outcome.DONE, number, status)
        return wire.reply(model.Outcome.UNSURE, "the answer names no post", status)
    if status == _FORBIDDEN and "duplicate" in said.lower():
        text = f"an equal post is there already, maybe ours: {said}"
        return wire.reply(model.Outcome.UNSURE, text, status)
    if status == _TIMED_OUT or not 400 <= status <= 499:  # noqa: PLR2004 - the class of refusals
        return wire.reply(model.Outcome.UNSURE, said, status)
    if status == _TOO_MANY:
        wait = retry_after.seconds(headers, now, "x-rate-limit-reset")
        return wire.reply(model.Outcome.LATER, said, status, retry_after=wait, account=True)
    barred = status == _FORBIDDEN and _BARRED.search(said) is not None
    account = barred or status in _ACCOUNT
    return wire.reply(model.Outcome.REFUSED, said, status, account=account)


def _good(door: wire.Door) -> dict[str, object]:
    """Return the JSON of a good answer; nothing of any other."""
    if door.answer is None or not 200 <= door.answer[0] <= 299:  # noqa: PLR2004 - as above
        return {}
    return wire.fields(door.answer[2])


def _number(data: object) -> str:
    """Return the id in what X tells of a thing; empty where there is none."""
    number = str(data.get("id", "")) if isinstance(data, dict) else ""
    fits = number.isascii() and number.isdigit() and len(number) <= _DIGITS_MAX
    return number if fits else ""


def _made(one: Mapping[str, object]) -> dt.datetime | None:
    try:
        made = dt.datetime.fromisoformat(str(one.get("created_at", "")))
    except ValueError:
        return None
    return made if made.tzinfo is not None else None


def _edited(one: Mapping[str, object]) -> bool:
    """Tell whether somebody has changed a post since, so that its words may have been others."""
    versions = one.get("edit_history_tweet_ids")
    return isinstance(versions, list) and len(versions) > 1


def _alike(one: Mapping[str, object], text: str) -> bool | None:
    """Tell whether a post of the timeline says a text; None: its words, but other links."""
    said = html.unescape(_unfolded(one))
    if len(said) > _LONGER * len(text) + _ADDED:
        return False  # before NFC, which takes minutes for a long run of marks
    if _plain(said) == _plain(text):
        return True
    return None if _plain(_LINK.sub("", said)) == _plain(_without_links(text)) else False


def _unfolded(one: Mapping[str, object]) -> str:
    """Return a post's text with each t.co address as it was written; those of pictures go.

    A text with too many or too long ones is left as it is: it is none of ours.
    """
    text, entities = str(one.get("text", "")), one.get("entities")
    links = entities.get("urls") if isinstance(entities, dict) else None
    if not isinstance(links, list) or len(links) > _LINKS_MAX:
        return text
    for link in links:
        short = link.get("url") if isinstance(link, dict) else None
        if isinstance(short, str) and _SHORT.fullmatch(short) and len(text) <= _FOLDED_MAX:
            whole = str(link.get("expanded_url") or "")[:_FOLDED_MAX]
            whole = "" if link.get("media_key") or _SHOWN.fullmatch(whole) else whole
            text = text.replace(short, html.escape(whole, quote=False))
    return text


def _without_links(text: str) -> str:
    for link in reversed(twitter_text.extract_urls_with_indices(text)):
        start, end = link["indices"]
        text = text[:start] + text[end:]
    return _LINK.sub("", text)


def _plain(text: str) -> str:
    """Return a text without what X may change: blanks, and how a link is written."""
    text = unicodedata.normalize("NFC", text)
    text = re.sub(r"https?://|/(?=\s|$)", "", urllib.parse.unquote(text))
    return "".join(text.split()).casefold()


def _words(content: Mapping[str, object]) -> str:
    found = [content.get("title"), content.get("detail")]
    several = content.get("errors")
    for one in several if isinstance(several, list) else []:
        found += [one.get("message") if isinstance(one, dict) else one]
    return ": ".join(dict.fromkeys(word for word in found if isinstance(word, str)))
