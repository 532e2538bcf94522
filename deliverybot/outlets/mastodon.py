"""Posts on Mastodon, and on servers that speak as it does.

A server keeps the `Idempotency-Key` of a post for an hour and answers the same
key with the same post (Mastodon's own documentation of statuses, and its
PostStatusService).  So what is in doubt goes again while the hour is young;
later the account's own posts are read and compared.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import html
import http.client
import json
import logging
import re
import string
import time
import unicodedata
from collections.abc import Callable, Mapping

import mastodon
import requests
import typing_extensions

from deliverybot import errors, model, networks, outlets, retry_after
from deliverybot.outlets import wire

#: The same key is the same post for an hour; the rest of it is for slow clocks.
HARMLESS = dt.timedelta(minutes=50)
#: Letters for which the library, as most servers, counts an address.
_LINK = 23
#: Our setting, and the server's name for it.
_LIMITS = (
    ("characters", "max_characters"),
    ("link_characters", "characters_reserved_per_url"),
)
#: Own posts that are read when one is looked for.
_OWN = 40
#: What the server's clock and ours may differ by, and ours may be set back by; and by how much
#: nobody's differs.
_SKEW, _FAR = dt.timedelta(minutes=10), dt.timedelta(days=1)
#: Seconds between two looks at a picture that the server is still working on.
_PAUSE = 1.0
#: What the server says of the account rather than of the post.
_ACCOUNT = frozenset({401, 403})
_TIMED_OUT, _TOO_MANY = 408, 429
#: What the library takes for the server's address; the door goes to the real one.
_BASE = "https://mastodon.invalid"
_WORKING = frozenset({202, 206})
#: Letters of an id; Mastodon's have 18, those of others 26 or 36.
_ID_MAX = 64
_TAG = re.compile("<[^<>]*>")
#: How many times as long a text may be whose letters are written with their marks apart.
_LONGER = 4
#: A name on another server, of which a post's HTML shows the first part.
_MENTION = re.compile(r"(?<![\w/])(@\w[\w.-]*)@[\w.-]*\w")


class Mastodon(outlets.Outlet):
    """One account on a server."""

    Settings = networks.MastodonOutlet

    def __init__(self, name: str, section: networks.MastodonOutlet, means: outlets.Means) -> None:
        """Keep what it needs."""
        super().__init__(name, section, means)
        self._settings = section
        # At DEBUG these write the posts and the token.
        for logger in ("mastodon", "urllib3", "requests"):
            logging.getLogger(logger).setLevel(logging.WARNING)

    @property
    @typing_extensions.override
    def limit(self) -> int | None:
        return self._settings.characters

    @typing_extensions.override
    def length(self, text: str) -> int:
        """Count as the server does: graphemes, any link alike, a name without its server."""
        count = mastodon.Mastodon.get_status_length
        # What has no real ending is no link there, and counts in full.
        links = sum(count(link.rstrip(string.punctuation)) == _LINK for link in self.links(text))
        return int(count(text)) + links * (self._settings.link_characters - _LINK)

    @typing_extensions.override
    async def publish(self, post: outlets.Draft) -> model.Reply:
        if missing := self._missing():
            return wire.reply(model.Outcome.REFUSED, missing, account=True)
        if (long := self.length(post.text)) > self._settings.characters:
            what = f"the text counts {long} there, and {self._settings.characters} fit"
            return wire.reply(model.Outcome.REFUSED, what)
        return await self._aside(lambda door: self._publish(post, door))

    @typing_extensions.override
    async def find(self, post: outlets.Draft) -> outlets.Evidence:
        if self._missing():
            return outlets.Evidence(there=None)
        return await self._aside(lambda door: self._find(post, door))

    @typing_extensions.override
    async def check(self) -> list[errors.Fault]:
        if missing := self._missing():
            hint = outlets.secret_hint(self.name, "access_token")
            return [errors.Fault(level="fault", what=missing, hint=hint)]
        return await self._aside(self._check)

    async def _aside(self, work: Callable[[wire.Door], wire.T]) -> wire.T:
        return await wire.aside(wire.Door(self._settings.api, self._settings.timeout), work)

    def _token(self) -> str:
        return self._settings.access_token.get_secret_value()

    def _missing(self) -> str:
        if not self._token():
            return f"outlet {self.name} has no access_token"
        if not wire.is_token(self._token()):
            return f"the access_token of outlet {self.name} holds a sign that no token has"
        return ""

    def _client(self, door: wire.Door) -> mastodon.Mastodon:
        session = requests.Session()
        session.trust_env = False
        session.max_redirects = 0  # the library would follow them
        session.mount("https://", door)
        session.mount("http://", door)
        return mastodon.Mastodon(
            access_token=self._token(), api_base_url=_BASE,
            ratelimit_method="throw", version_check_mode="none", session=session,
        )  # fmt: skip

    def _publish(self, post: outlets.Draft, door: wire.Door) -> model.Reply:
        """1. Bring the picture, if there is one.  2. Post, under the post's own key."""
        client = self._client(door)
        media: list[str] = []
        if post.image:
            reply = self._picture(client, post, door)
            if not reply.done:
                # No post was asked for yet, so nothing of it can be there.
                outcome = model.Outcome.LATER if reply.code == 0 or reply.outcome is (
                    model.Outcome.UNSURE
                ) else reply.outcome  # fmt: skip
                return wire.reply(
                    outcome, f"the picture: {reply.text}", reply.code,
                    retry_after=reply.retry_after, account=reply.account,
                )  # fmt: skip
            media = [reply.text]
        door.answer, door.sent = None, False  # those of the picture
        with contextlib.suppress(wire.NoAnswer, mastodon.MastodonError):
            client.status_post(
                post.text, idempotency_key=post.key, media_ids=media or None,
                visibility=self._settings.visibility, language=post.language,
            )  # fmt: skip
        reply = self._read(door, _post_of)
        if reply.done and _is_another(_answered(door), post):
            # Under a key that an earlier ledger used; the server forgets it within the hour.
            return wire.reply(model.Outcome.UNSURE, "the server shows an older post", reply.code)
        return reply

    def _picture(
        self, client: mastodon.Mastodon, post: outlets.Draft, door: wire.Door
    ) -> model.Reply:
        """Bring the picture; DONE, with its id for a text, once the server has worked on it.

        Past the library, whose own call asks for the server's version first and
        does not end where there is no answer to that.
        """
        session, known = client.session, {"Authorization": f"Bearer {self._token()}"}
        picture = {"file": ("card.png", post.image, "image/png")}
        with contextlib.suppress(wire.NoAnswer):
            session.post(
                f"{_BASE}/api/v2/media", files=picture, data={"description": post.alt},
                headers=known, allow_redirects=False,
            )  # fmt: skip
        reply = self._read(door, _media_of)
        late = time.monotonic() + self._settings.timeout
        while reply.done and reply.code in _WORKING and time.monotonic() < late:
            time.sleep(_PAUSE)
            with contextlib.suppress(wire.NoAnswer):
                address = f"{_BASE}/api/v1/media/{reply.text}"
                session.get(address, headers=known, allow_redirects=False)
            reply = self._read(door, _media_of)
        if reply.done and reply.code in _WORKING:
            return wire.reply(model.Outcome.LATER, "the server is still working on it")
        return reply

    def _read(
        self, door: wire.Door, found: Callable[[Mapping[str, object]], tuple[str, str]]
    ) -> model.Reply:
        """Return what an answer means; `found` gives text and address of what was made."""
        if door.answer is None:
            outcome = model.Outcome.UNSURE if door.sent else model.Outcome.LATER
            return wire.reply(outcome, wire.clean(door.trouble, [self._token()]))
        status, headers, body = door.answer
        content = wire.fields(body)
        said = content.get("error")
        words = said if isinstance(said, str) and said else http.client.responses.get(status, "")
        words = wire.clean(words, [self._token()])
        if 200 <= status <= 299:  # noqa: PLR2004 - the class of good answers
            text, url = found(content)
            if text := wire.clean(text, [self._token()]):
                url = wire.address(url, [self._token()])
                return wire.reply(model.Outcome.DONE, text, status, url=url)
            return wire.reply(model.Outcome.UNSURE, "the answer names no post", status)
        if status == _TOO_MANY:
            wait = retry_after.seconds(headers, self.means.clock(), "x-ratelimit-reset")
            return wire.reply(model.Outcome.LATER, words, status, retry_after=wait, account=True)
        if 400 <= status <= 499 and status != _TIMED_OUT:  # noqa: PLR2004 - the class of refusals
            account = status in _ACCOUNT
            return wire.reply(model.Outcome.REFUSED, words, status, account=account)
        return wire.reply(model.Outcome.UNSURE, words, status)

    def _find(self, post: outlets.Draft, door: wire.Door) -> outlets.Evidence:
        """Read the account's latest posts back to the first try.

        An equal text from before it is another milestone's, unless a clock is wrong.
        """
        now = dt.datetime.fromtimestamp(self.means.clock(), dt.UTC)
        # A first try that is to come: the clock was set back, and nobody knows how old it is.
        age = now - post.first_try if post.first_try else -_FAR
        known = age >= -_SKEW
        young = known and age < HARMLESS
        ident, own = self._own(door)
        if own is None:
            return outlets.Evidence(there=None, harmless=young)
        recent = [
            one for one in own if _is_own(one, ident) and not _before(one, post.first_try, by=_FAR)
        ]
        same = [one for one in recent if _same(str(one.get("content", "")), post.text)]
        for one in same:
            if not _before(one, post.first_try, by=_SKEW):
                url = wire.address(one.get("url") or one.get("uri"), [self._token()])
                return outlets.Evidence(there=True, url=url, harmless=young)
        if young:
            return outlets.Evidence(there=None, harmless=True)
        reaches = len(own) < _OWN or _before(own[-1], post.first_try)
        # Somebody may have mended our post by hand, and its words are others now.
        edited = any(
            one.get("edited_at") and not _before(one, post.first_try, by=_SKEW) for one in recent
        )
        clear = reaches and known and not same and not edited
        return outlets.Evidence(there=False if clear else None)

    def _own(self, door: wire.Door) -> tuple[str, list[Mapping[str, object]] | None]:
        """Return the account's id and its latest posts, newest first; None: they cannot be had."""
        client = self._client(door)
        with contextlib.suppress(wire.NoAnswer, mastodon.MastodonError):
            client.account_verify_credentials()
        ident = _answered(door)
        number = str(ident.get("id", "")) if isinstance(ident, dict) else ""
        if not (number.isascii() and number.isalnum() and len(number) <= _ID_MAX):
            return "", None
        with contextlib.suppress(wire.NoAnswer, mastodon.MastodonError):
            client.account_statuses(number, limit=_OWN, exclude_reblogs=True)
        own = _answered(door)
        if not isinstance(own, list) or not all(isinstance(one, dict) for one in own):
            return number, None
        return number, own

    def _check(self, door: wire.Door) -> list[errors.Fault]:
        client = self._client(door)
        with contextlib.suppress(wire.NoAnswer, mastodon.MastodonError):
            client.account_verify_credentials()
        reply = self._read(door, lambda content: (str(content.get("acct") or ""), ""))
        if not reply.done:
            what = f"outlet {self.name} cannot be used: {reply}"
            secret = outlets.secret_file(self.name, "access_token")
            hint = f"compare api with the server's address, and {secret} with its token; "
            hint += "the scopes that it needs are read:accounts, read:statuses, "
            hint += "write:statuses and write:media"
            return [errors.Fault(level="fault", what=what, hint=hint)]
        found = [errors.Fault(level="ok", what=f"outlet {self.name} posts as @{reply.text}")]
        with contextlib.suppress(wire.NoAnswer, mastodon.MastodonError):
            client.instance_v2()
        told = _answered(door)
        for key, name in _LIMITS:
            there, here = _limit(told, name), getattr(self._settings, key)
            if there is not None and there != here:
                counts = "takes {} characters" if key == "characters" else "counts {} for a link"
                what = f"the server of outlet {self.name} {counts.format(there)}"
                mild = (there > here) == (key == "characters")
                hint = f"{key} = {there} in [outlets.{self.name}]"
                found.append(
                    errors.Fault(level="warning" if mild else "fault", what=what, hint=hint)
                )
        return found


def _answered(door: wire.Door) -> object:
    """Return the JSON of a good answer; None of any other."""
    if door.answer is None or not 200 <= door.answer[0] <= 299:  # noqa: PLR2004 - as above
        return None
    try:
        return json.loads(door.answer[2])
    except (ValueError, RecursionError):
        return None


def _post_of(content: Mapping[str, object]) -> tuple[str, str]:
    ident, url = content.get("id"), content.get("url") or content.get("uri")
    if isinstance(ident, str) and ident and isinstance(url, str):
        return f"post {ident}", url
    return "", ""


def _media_of(content: Mapping[str, object]) -> tuple[str, str]:
    ident = content.get("id")
    fits = isinstance(ident, str) and ident.isascii() and ident.isalnum()
    return (str(ident), "") if fits and len(str(ident)) <= _ID_MAX else ("", "")


def _limit(content: object, name: str) -> int | None:
    """Return a limit of texts that a server names (Mastodon's entity Instance)."""
    for key in ("configuration", "statuses", name):
        content = content.get(key) if isinstance(content, dict) else None
    return content if isinstance(content, int) and not isinstance(content, bool) else None


def _is_own(one: Mapping[str, object], ident: str) -> bool:
    """Tell whether the account wrote a post itself, and does not just pass on somebody else's."""
    account = one.get("account")
    writer = str(account.get("id", ident)) if isinstance(account, dict) else ident
    return writer == ident and not one.get("reblog")


def _before(
    one: Mapping[str, object], at: dt.datetime | None, *, by: dt.timedelta = dt.timedelta()
) -> bool:
    """Tell whether a post is older than a time, by more than `by`."""
    try:
        made = dt.datetime.fromisoformat(str(one.get("created_at", "")))
    except ValueError:
        return False
    return at is not None and made.tzinfo is not None and made < at - by


def _is_another(one: object, post: outlets.Draft) -> bool:
    """Tell whether an answer shows a post that was there before the first try, with other words."""
    if not isinstance(one, dict) or post.first_try is None:
        return False
    same = _same(str(one.get("content", "")), post.text)
    return not same and _before(one, post.first_try - _SKEW)


def _same(content: str, text: str) -> bool:
    """Tell whether a post's HTML says a text; blanks and line ends count for nothing.

    Its tags are cut out: a parser of HTML takes minutes for some that are wrong,
    and so does NFC for a long run of marks.
    """
    said, wanted = _bare(html.unescape(_TAG.sub("", content))), _bare(text)
    return len(said) <= _LONGER * len(wanted) and _composed(said) == _composed(wanted)


def _bare(text: str) -> str:
    return "".join(_MENTION.sub(r"\1", html.unescape(text)).split())


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)
