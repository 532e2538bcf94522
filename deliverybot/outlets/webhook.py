"""Posts as signed JSON to an address of your own: for every network that has no module here.

The body is the same for every try, and so is its key.  Whether the same key
twice is one post only who answers there can promise; `same_key_same_post`
passes the promise on.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import http.client
import json
import urllib.parse

import requests
import typing_extensions

from deliverybot import errors, model, networks, outlets, retry_after
from deliverybot.outlets import wire

#: Any host: the door goes to the one of config.toml.
_BASE = "https://webhook.invalid"
#: What the other side says of us rather than of the post.
_ACCOUNT = frozenset({401, 403})
_TIMED_OUT, _TOO_MANY = 408, 429


class Webhook(outlets.Outlet):
    """One address."""

    Settings = networks.WebhookOutlet

    def __init__(self, name: str, section: networks.WebhookOutlet, means: outlets.Means) -> None:
        """Keep what it needs."""
        super().__init__(name, section, means)
        self._settings = section

    @property
    @typing_extensions.override
    def limit(self) -> int | None:
        return self._settings.characters or None

    @typing_extensions.override
    async def publish(self, post: outlets.Draft) -> model.Reply:
        if missing := self._missing():
            return wire.reply(model.Outcome.REFUSED, missing, account=True)
        if self.limit is not None and len(post.text) > self.limit:
            what = f"the text has {len(post.text)} characters, and {self.limit} fit"
            return wire.reply(model.Outcome.REFUSED, what)
        parts = urllib.parse.urlsplit(self._settings.url)
        door = wire.Door(f"{parts.scheme}://{parts.netloc}", self._settings.timeout)
        return await wire.aside(door, lambda door: self._publish(post, door))

    @typing_extensions.override
    async def find(self, post: outlets.Draft) -> outlets.Evidence:
        """Nobody is asked: an address only takes."""
        return outlets.Evidence(there=None, harmless=self._settings.same_key_same_post)

    @typing_extensions.override
    async def check(self) -> list[errors.Fault]:
        if missing := self._missing():
            hint = outlets.secret_hint(self.name, "secret")
            return [errors.Fault(level="fault", what=missing, hint=hint)]
        host = urllib.parse.urlsplit(self._settings.url).netloc.rpartition("@")[2]
        what = f"outlet {self.name} hands posts to {host}; whether it takes them, a post will show"
        return [errors.Fault(level="ok", what=what)]

    def _secret(self) -> str:
        return self._settings.secret.get_secret_value()

    def _missing(self) -> str:
        return "" if self._secret() else f"outlet {self.name} has no secret"

    def _publish(self, post: outlets.Draft, door: wire.Door) -> model.Reply:
        body = content(post)
        made = hmac.digest(self._secret().encode(), body, "sha256").hex()
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": post.key,
            "X-Signature": f"sha256={made}",
        }
        with contextlib.suppress(wire.NoAnswer), requests.Session() as session:
            session.trust_env = False
            session.mount(_BASE, door)
            address = urllib.parse.urlsplit(self._settings.url)._replace(scheme="", netloc="")
            session.post(
                _BASE + (address.geturl() or "/"), body, headers=headers, allow_redirects=False
            )
        return self._read(door)

    def _read(self, door: wire.Door) -> model.Reply:
        """Return what an answer means; where it names the post's address, that is kept."""
        if door.answer is None:
            outcome = model.Outcome.UNSURE if door.sent else model.Outcome.LATER
            return wire.reply(outcome, wire.clean(door.trouble, [self._secret()]))
        status, headers, body = door.answer
        said = wire.fields(body)
        if 200 <= status <= 299:  # noqa: PLR2004 - the class of good answers
            url = wire.address(said.get("url"), [self._secret()])
            return wire.reply(model.Outcome.DONE, "taken", status, url=url)
        words = said.get("error")
        text = words if isinstance(words, str) and words else http.client.responses.get(status, "")
        text = wire.clean(text, [self._secret()])
        if status == _TOO_MANY:
            wait = retry_after.seconds(headers, self.means.clock())
            return wire.reply(model.Outcome.LATER, text, status, retry_after=wait, account=True)
        if 400 <= status <= 499 and status != _TIMED_OUT:  # noqa: PLR2004 - the class of refusals
            return wire.reply(model.Outcome.REFUSED, text, status, account=status in _ACCOUNT)
        return wire.reply(model.Outcome.UNSURE, text, status)


def content(post: outlets.Draft) -> bytes:
    """Return the JSON that says a post, the same for every try."""
    told: dict[str, object] = {
        "key": post.key,
        "campaign": post.campaign,
        "text": post.text,
        "language": post.language,
        "crossed_at": None if post.crossed_at is None else post.crossed_at.isoformat(),
    }
    if post.image:
        told |= {"image": base64.b64encode(post.image).decode(), "alt": post.alt}
    return json.dumps(told, ensure_ascii=False, sort_keys=True).encode()
