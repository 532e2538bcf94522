"""Webhooks: what a platform brings is proved, stored on disk, and answered at once.

Nothing is read into it here: the next reading of the campaign's source does
that (sources/webhook.py).  Platforms want their answer within half a second,
and some throw away what was not answered with 200 three times.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import hmac
import logging
from collections.abc import Iterable, Mapping
from concurrent import futures

from starlette import exceptions, requests, responses

from deliverybot import arrivals, config, errors
from deliverybot import campaign as campaigns
from deliverybot.origins import webhook

log = logging.getLogger(__name__)

#: Bytes of one call; a thousand signatures have less.
LARGEST = 4_000_000
#: Calls that are stored in one transaction.
TOGETHER = 100
#: Where clients say what tells a call from others.
_TOLD = "Idempotency-Key"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """One campaign whose signatures are brought to us."""

    slug: str
    #: The header that a call is signed in; empty where it is not.
    header: str = ""
    #: What it is signed with.
    secret: bytes = dataclasses.field(default=b"", repr=False)


def receivers(known: Mapping[str, campaigns.Campaign], settings: config.Settings) -> list[Receiver]:
    """Return the campaigns whose signatures are brought to us, and how their calls are signed."""
    found = []
    for slug, campaign in known.items():
        section = campaign.source
        if isinstance(section, webhook.WebhookSource):
            account = settings.access.get(section.access or "")
            secret = account.signing_secret.get_secret_value() if account else ""
            if section.header and not secret:
                log.error(
                    "no call to the webhook of %s is taken: [access.%s] has no signing_secret; "
                    "`deliverybot check` says where to put it",
                    slug, section.access,
                )  # fmt: skip
            found.append(Receiver(slug=slug, header=section.header, secret=secret.encode()))
    return found


class Webhooks:
    """Answers for webhooks."""

    def __init__(self, store: arrivals.Arrivals, receivers: Iterable[Receiver]) -> None:
        self._store = store
        self._receivers = {one.slug: one for one in receivers}
        # Its own: a reader of lists holds up no signature.
        self._threads = futures.ThreadPoolExecutor(2, thread_name_prefix="webhook")
        self._waiting: list[tuple[arrivals.Call, asyncio.Future[None]]] = []
        self._storing: asyncio.Task[None] | None = None

    async def __call__(self, request: requests.Request) -> responses.Response:
        """Store one call.

        1. The address must be right; whoever guesses learns nothing.
        2. The body is taken up to its limit and proved by its signature.
        3. It is stored, on disk, before the answer.
        """
        receiver = self._receivers.get(request.path_params["slug"])
        loop = asyncio.get_running_loop()
        token = request.path_params["token"]
        if receiver is None or not await loop.run_in_executor(
            self._threads, self._is_right, receiver.slug, token
        ):
            raise exceptions.HTTPException(404)
        if receiver.header and not receiver.secret:
            # Ours to mend, so the platform is to call again: after a 401 it need not.
            raise exceptions.HTTPException(503)
        body = await _body(request)
        if receiver.header and not signed(
            body, request.headers.get(receiver.header, ""), receiver.secret
        ):
            log.warning("a call to the webhook of %s is not signed as it should be", receiver.slug)
            raise exceptions.HTTPException(401)
        # A signature proves the body alone: a call that was listened to could come again under
        # as many keys as somebody likes.
        told = "" if receiver.header else request.headers.get(_TOLD, "")[:200]
        try:
            await self._put(arrivals.Call(receiver.slug, told, body))
        except errors.LedgerError as error:
            log.error("a call to the webhook of %s was not stored: %s", receiver.slug, error)  # noqa: TRY400 - said in full
            raise exceptions.HTTPException(503) from None
        return responses.PlainTextResponse("stored\n")

    async def _put(self, call: arrivals.Call) -> None:
        """Store a call together with those that wait for the disk, too."""
        stored = asyncio.get_running_loop().create_future()
        self._waiting.append((call, stored))
        if self._storing is None or self._storing.done():
            self._storing = asyncio.create_task(self._empty())
        await stored

    async def _empty(self) -> None:
        loop = asyncio.get_running_loop()
        while batch := self._waiting[:TOGETHER]:
            del self._waiting[:TOGETHER]
            problem: Exception | None = None
            try:
                calls = [call for call, _ in batch]
                await loop.run_in_executor(self._threads, self._store.put, calls)
            except Exception as error:  # noqa: BLE001 - whoever waits must hear of it
                problem = error
            for _, stored in batch:
                if stored.done():
                    continue  # whoever waited has gone; the call is stored all the same
                if problem is None:
                    stored.set_result(None)
                else:
                    stored.set_exception(problem)

    def _is_right(self, slug: str, token: str) -> bool:
        return hmac.compare_digest(self._store.token(slug).encode(), token.encode())


async def _body(request: requests.Request) -> bytes:
    """Return the body; one that is too large is not read to its end."""
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > LARGEST:
                raise exceptions.HTTPException(413)
    except requests.ClientDisconnect:  # it went away, or was cut for being slow
        raise exceptions.HTTPException(400) from None
    if not body:
        raise exceptions.HTTPException(400)
    return bytes(body)


def signed(body: bytes, said: str, secret: bytes) -> bool:
    """Tell whether `said` is the HMAC-SHA256 of a body: base64 or hex, perhaps behind "sha256=".

    Typeform says ``sha256=`` and base64, Tally base64, many sites hex.
    """
    made = hmac.digest(secret, body, "sha256")
    forms = (made.hex(), base64.b64encode(made).decode())
    given = said.strip().removeprefix("sha256=").encode()
    return bool(secret) and any(hmac.compare_digest(one.encode(), given) for one in forms)
