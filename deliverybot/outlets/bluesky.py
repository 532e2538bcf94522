"""Posts on Bluesky, or on another server of the AT Protocol.

A post is put under a name that only it can have, with ``swapRecord: null``:
only where nothing is there.  The server takes the same body again for the same
record and refuses any other with InvalidSwap, so a try whose answer was lost
just goes again (com.atproto.repo.putRecord; seen with the server 0.4.217).

Its five methods are asked without the library atproto.  That leaves out a
``null``, without which a put overwrites; it follows redirects and reads
answers without an end to either; and it brings generated models of the whole
network, which are large and slow to import.

All is asked at `api`, also where the account's own server is another one:
bsky.social hands it on, and the tokens go to no host that config.toml does not
name.
"""

from __future__ import annotations

import dataclasses
import http.client
import json
import re
from collections.abc import Callable, Mapping

import requests
import typing_extensions

from deliverybot import errors, model, networks, outlets, retry_after
from deliverybot.outlets import bluesky_record, wire

_SITE = "https://bsky.app/profile"
#: Any host: the door goes to the one of config.toml.
_BASE = "https://bluesky.invalid/xrpc"
#: The session has run out, or is one that the server does not know any more.
_ENDED = frozenset({"ExpiredToken", "InvalidToken"})
#: What is said of the account rather than of the post; so is all with these statuses.
_ACCOUNT = _ENDED | {
    *("AccountDeactivated", "AccountNotFound", "AccountSuspended", "AccountTakedown"),
    *("AuthFactorTokenRequired", "AuthMissing", "AuthenticationRequired"),
    *("RepoDeactivated", "RepoNotFound", "RepoSuspended", "RepoTakendown"),
}
_ACCOUNT_STATUS = frozenset({401, 403})
#: The server, or one before it, gave up waiting: for what, it does not say.
_TIMED_OUT, _TOO_MANY = 408, 429
_UNKNOWN = 401


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    """Who we are to the server, and the tokens that prove it."""

    did: str
    handle: str
    access: str = dataclasses.field(repr=False)
    refresh: str = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What came back; status 0 where nothing did."""

    status: int = 0
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    content: Mapping[str, object] = dataclasses.field(default_factory=dict)
    #: Why nothing came, and whether the server may have been asked.
    trouble: str = ""
    sent: bool = False

    @property
    def good(self) -> bool:
        return 200 <= self.status <= 299  # noqa: PLR2004 - the class of good answers

    @property
    def error(self) -> str:
        """The error's name, such as ``InvalidSwap``; empty where there is none."""
        return self.text("error")

    def text(self, name: str) -> str:
        """Return a field that is a text; empty where it is none."""
        found = self.content.get(name)
        return found if isinstance(found, str) else ""


class _NoSession(Exception):
    """The account cannot be used now; nothing was posted."""

    def __init__(self, reply: model.Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


class Bluesky(outlets.Outlet):
    """One account on a server."""

    Settings = networks.BlueskyOutlet

    def __init__(self, name: str, section: networks.BlueskyOutlet, means: outlets.Means) -> None:
        """Keep what it needs."""
        super().__init__(name, section, means)
        self._settings = section
        #: Kept from post to post: a server gives 30 in five minutes, 300 in a day.
        self._session: _Session | None = None

    @property
    @typing_extensions.override
    def limit(self) -> int | None:
        """300, as `length` counts."""
        return bluesky_record.GRAPHEMES

    @typing_extensions.override
    def length(self, text: str) -> int:
        """Count graphemes, or ten bytes for one where that is more."""
        return bluesky_record.length(text)

    @typing_extensions.override
    async def publish(self, post: outlets.Draft) -> model.Reply:
        if missing := self._missing():
            return wire.reply(model.Outcome.REFUSED, missing, account=True)
        if unfit := bluesky_record.unfit(post):
            return wire.reply(model.Outcome.REFUSED, unfit)
        try:
            return await self._aside(lambda door: self._publish(post, door))
        except _NoSession as error:
            return error.reply

    @typing_extensions.override
    async def find(self, post: outlets.Draft) -> outlets.Evidence:
        """Look under the post's own name; even where that fails, the same may go again."""
        unknown = outlets.Evidence(there=None, harmless=True)
        if self._missing() or post.crossed_at is None:
            return unknown
        try:
            return await self._aside(lambda door: self._find(post, door)) or unknown
        except _NoSession:
            return unknown

    @typing_extensions.override
    async def check(self) -> list[errors.Fault]:
        """Open a session; that says whether the account may post, and as whom."""
        if missing := self._missing():
            return [errors.Fault(level="fault", what=missing, hint=self._hint(_UNKNOWN))]
        try:
            session = await self._aside(self._open)
        except _NoSession as error:
            refused = error.reply.outcome is model.Outcome.REFUSED
            what = f"outlet {self.name} cannot be used: {error.reply}"
            hint = self._hint(error.reply.code) if refused else ""
            return [errors.Fault(level="fault", what=what, hint=hint)]
        what = f"outlet {self.name} posts as @{session.handle}"
        return [errors.Fault(level="ok", what=what)]

    async def _aside(self, work: Callable[[wire.Door], wire.T]) -> wire.T:
        return await wire.aside(wire.Door(self._settings.api, self._settings.timeout), work)

    def _password(self) -> str:
        return self._settings.app_password.get_secret_value()

    def _missing(self) -> str:
        return "" if self._password() else f"outlet {self.name} has no app_password"

    def _hint(self, status: int | None) -> str:
        """Say what helps an account that is refused with an HTTP status."""
        if status == _UNKNOWN:
            put = outlets.secret_hint(self.name, "app_password")
            return f"make an app password in Bluesky's settings, and {put}"
        return f"sign in to Bluesky as {self._settings.handle}: it says there what is the matter"

    # --- a post ---------------------------------------------------------------------------------

    def _publish(self, post: outlets.Draft, door: wire.Door) -> model.Reply:
        """1. Bring the picture, if there is one.  2. Put the post where nothing is.

        A crash after 1 leaves a picture that the server drops by and by; after 2
        the post is there, and the next try is told so.
        """
        if post.image:
            answer = self._asked(
                door, "com.atproto.repo.uploadBlob", body=post.image, kind="image/png"
            )
            reply = self._read(answer)
            if reply.done and _blob_of(answer) != bluesky_record.cid(post.image):
                reply = wire.reply(model.Outcome.UNSURE, "another one is there", answer.status)
            if not reply.done:
                return _nothing_yet(reply, "the picture")
        session = self._signed_in(door)
        name = bluesky_record.name(post)
        put = {
            "repo": session.did,
            "collection": bluesky_record.COLLECTION,
            "rkey": name,
            "record": bluesky_record.record(post),
            "swapRecord": None,
        }
        answer = self._asked(door, "com.atproto.repo.putRecord", body=_json(put))
        if answer.error == "InvalidSwap":
            return self._taken(post, door)
        reply = self._read(answer)
        if not reply.done:
            return reply
        if answer.text("uri") != f"at://{session.did}/{bluesky_record.COLLECTION}/{name}":
            return wire.reply(model.Outcome.UNSURE, "the answer names no post", answer.status)
        return wire.reply(reply.outcome, f"post {name}", answer.status, url=_url(session, name))

    def _taken(self, post: outlets.Draft, door: wire.Door) -> model.Reply:
        """Look whether what stands under the post's name says the same, if in other bytes."""
        found = self._find(post, door)
        if found is None:
            return wire.reply(model.Outcome.UNSURE, "a post is there already, maybe ours", 400)
        if found.there:
            return wire.reply(model.Outcome.DONE, "it was there already", 400, url=found.url)
        name = bluesky_record.name(post)
        text = f"another post stands under the name {name} of this one, and is left as it is"
        return wire.reply(model.Outcome.REFUSED, text, 400)

    def _find(self, post: outlets.Draft, door: wire.Door) -> outlets.Evidence | None:
        """Look under the post's name; None where the server does not say."""
        session, name = self._signed_in(door), bluesky_record.name(post)
        query = {"repo": session.did, "collection": bluesky_record.COLLECTION, "rkey": name}
        answer = self._asked(door, "com.atproto.repo.getRecord", query=query)
        if answer.error == "RecordNotFound":
            return outlets.Evidence(there=False, harmless=True)
        content = answer.content.get("value")
        if not answer.good or not isinstance(content, dict):
            return None
        if bluesky_record.is_same(content, post):
            return outlets.Evidence(there=True, url=_url(session, name))
        return outlets.Evidence(there=False)

    # --- sessions -------------------------------------------------------------------------------

    def _signed_in(self, door: wire.Door) -> _Session:
        return self._session or self._open(door)

    def _open(self, door: wire.Door) -> _Session:
        """Open a session; raise _NoSession where there is none to be had."""
        body = _json({"identifier": self._settings.handle, "password": self._password()})
        answer = _ask(door, "com.atproto.server.createSession", body=body)
        return self._opened(answer)

    def _renew(self, door: wire.Door, old: _Session) -> _Session:
        """Go on with a session that has run out; where that is not allowed, open another."""
        answer = _ask(door, "com.atproto.server.refreshSession", token=old.refresh, body=b"")
        reply = self._read(answer)
        # One of somebody else would put the post under another name.
        stranger = reply.done and answer.text("did") != old.did
        if stranger or reply.outcome is model.Outcome.REFUSED:
            self._session = None
            return self._open(door)
        return self._opened(answer)

    def _opened(self, answer: _Answer) -> _Session:
        reply = self._read(answer)
        session = _Session(
            did=answer.text("did"), handle=wire.clean(answer.text("handle"), self._secrets()),
            access=answer.text("accessJwt"), refresh=answer.text("refreshJwt"),
        )  # fmt: skip
        if reply.done and answer.content.get("active") is False:
            state = wire.clean(answer.text("status") or "not active", self._secrets())
            text = f"the account is {state}"
            reply = wire.reply(model.Outcome.REFUSED, text, answer.status, account=True)
        elif reply.done and not (
            _is_did(session.did)
            and wire.is_token(session.access)
            and wire.is_token(session.refresh)
        ):
            reply = wire.reply(model.Outcome.UNSURE, "the answer opens none", answer.status)
        if not reply.done:
            account = reply.account or reply.outcome is model.Outcome.REFUSED
            found = _nothing_yet(reply, "the session")
            raise _NoSession(dataclasses.replace(found, account=account))
        self._session = session
        return session

    def _asked(
        self, door: wire.Door, method: str, *, body: bytes | None = None,
        kind: str = "application/json", query: Mapping[str, str] | None = None,
    ) -> _Answer:  # fmt: skip
        """Ask in the account's name, once more where the session has run out."""
        session = self._signed_in(door)
        answer = _ask(door, method, token=session.access, body=body, kind=kind, query=query)
        if answer.error in _ENDED and 400 <= answer.status <= 499:  # noqa: PLR2004 - refusals
            session = self._renew(door, session)
            answer = _ask(door, method, token=session.access, body=body, kind=kind, query=query)
        return answer

    def _secrets(self) -> list[str]:
        known = self._session
        return [self._password(), *([known.access, known.refresh] if known else [])]

    def _read(self, answer: _Answer) -> model.Reply:
        """Return what an answer means for what was asked."""
        status, secrets = answer.status, self._secrets()
        if not status:
            outcome = model.Outcome.UNSURE if answer.sent else model.Outcome.LATER
            return wire.reply(outcome, wire.clean(answer.trouble, secrets))
        said = ": ".join(filter(None, (answer.error, answer.text("message"))))
        if answer.error == "AuthFactorTokenRequired":
            said += "; an app password asks for none"
        words = wire.clean(said or http.client.responses.get(status, ""), secrets)
        if answer.good:
            return wire.reply(model.Outcome.DONE, words, status)
        if status == _TOO_MANY:
            wait = retry_after.seconds(answer.headers, self.means.clock(), "ratelimit-reset")
            return wire.reply(model.Outcome.LATER, words, status, retry_after=wait, account=True)
        if 400 <= status <= 499 and status != _TIMED_OUT:  # noqa: PLR2004 - the class of refusals
            account = status in _ACCOUNT_STATUS or answer.error in _ACCOUNT
            return wire.reply(model.Outcome.REFUSED, words, status, account=account)
        return wire.reply(model.Outcome.UNSURE, words, status)


def _ask(
    door: wire.Door, method: str, *, token: str = "", body: bytes | None = None,
    kind: str = "application/json", query: Mapping[str, str] | None = None,
) -> _Answer:  # fmt: skip
    """Ask one method; a `body`, also an empty one, makes it a procedure, else it is a query."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if body:
        headers["Content-Type"] = kind
    verb = "GET" if body is None else "POST"
    request = requests.Request(
        verb, f"{_BASE}/{method}", headers=headers, params=dict(query or {}), data=body
    )
    try:
        door.send(request.prepare())
    except wire.NoAnswer:
        return _Answer(trouble=door.trouble, sent=door.sent)
    assert door.answer is not None  # noqa: S101 - else it had raised
    status, said, content = door.answer
    return _Answer(status=status, headers=said, content=wire.fields(content))


def _nothing_yet(reply: model.Reply, what: str) -> model.Reply:
    """Return the reply to a step before the post, so that nothing of it can be there."""
    clear = reply.outcome in {model.Outcome.REFUSED, model.Outcome.LATER}
    return dataclasses.replace(
        reply,
        outcome=reply.outcome if clear else model.Outcome.LATER,
        text=f"{what}: {reply.text}",
    )


def _json(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode()


def _blob_of(answer: _Answer) -> str:
    """Return the content identifier of the blob that the server now has."""
    found: object = answer.content
    for step in ("blob", "ref", "$link"):
        found = found.get(step) if isinstance(found, dict) else None
    return found if isinstance(found, str) else ""


def _is_did(text: str) -> bool:
    return re.fullmatch(r"did:[a-z]{1,20}:[A-Za-z0-9._:%-]{1,200}", text) is not None


def _url(session: _Session, name: str) -> str:
    return f"{_SITE}/{session.did}/post/{name}"
