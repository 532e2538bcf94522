"""The transport "smtp": letters to a relay, command by command."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
import ssl
import time
from collections.abc import Callable

from deliverybot import config, errors, mail, model
from deliverybot.mail import built, mailbox, notices, relay, replies

#: A connection is left after this many messages or seconds; some relays cut it soon after.
_MESSAGES_MAX, _AGE_MAX = 50, 300.0
#: Seconds that a relay gets to answer QUIT.
_QUIT = 5.0
_GO_AHEAD = 354
_LINE_END = re.compile(rb"\r\n|\r|\n")
_HINTS = {
    "connect": "look at host, port and security in [mail], and whether a firewall is between",
    "greeting": "ask who runs the relay whether this machine may use it",
    "starttls": "look at security in [mail]; the certificate must be good for the host's name",
    "auth": "look at username in [mail] and at the password's secret file",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Envelope:
    sender: str
    recipient: str
    size: int
    #: Whether addresses or headers hold more than ASCII.
    wide: bool
    #: Names the mail in what comes back.
    token: str


class Courier:
    """One connection to the relay, opened when needed and kept for many letters."""

    def __init__(
        self,
        settings: config.Mail,
        *,
        context: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`context` replaces the system's certificates; `clock` counts seconds."""
        self._settings = settings
        self._context = context
        self._clock = clock
        self._link: relay.Link | None = None

    async def hand_over(
        self,
        message: built.Built,
        *,
        sender: str,
        recipient: str,
        token: str,
        on_handing_over: Callable[[], None],
    ) -> model.Reply:
        """Hand one message to the relay and say what it answered.

        1. Connect where needed; MAIL, RCPT, DATA, the whole body.
        2. When the relay's side has taken every byte, call `on_handing_over`.
        3. Write the final dot and wait for the answer.

        A crash before 2 certainly delivers nothing; from 2 on nobody can know.
        """
        if reason := mail.made_up(self._settings, recipient):
            return model.Reply(outcome=model.Outcome.HUMAN, phase="rcpt", text=reason)
        envelope = _envelope(message, mailbox.address(sender), mailbox.address(recipient), token)
        try:
            link = await self._begin(envelope)
            await self._rcpt(link, envelope)
            await link.command("data", b"DATA", wanted=_GO_AHEAD)
            await link.write(message.chunks(_stuffed))
            on_handing_over()
            return await link.dot()
        except relay.Ended as ended:
            limit = self._link.size if self._link else 0
            if ended.drop:
                self._abort()
            elif self._link:
                self._link.soiled = True
            return replies.sized(ended.reply, envelope.size, limit)
        except BaseException:
            self._abort()
            raise

    async def check(self) -> list[errors.Fault]:
        """Connect and log in as for a letter, and leave; sends nothing."""
        await self.close()
        name = f"the relay {self._settings.host}:{self._settings.port}"
        try:
            link = await self._dial()
        except relay.Ended as ended:
            what = f"{name} cannot be used: {ended.reply}"
            return [errors.Fault(level="fault", what=what, hint=_HINTS[ended.reply.phase])]
        self._link = link
        size, safety = link.size, link.tls or "not encrypted"
        await self.close()
        takes = f"mails of up to {size:,} bytes" if size else "mails of any size"
        found = [errors.Fault(level="ok", what=f"{name} answers ({safety}) and takes {takes}")]
        if 0 < size < self._settings.max_message_bytes:
            what = f"{name} takes less than max_message = {self._settings.max_message!r}"
            hint = "set max_message in [mail] to what the relay takes"
            found.append(errors.Fault(level="warning", what=what, hint=hint))
        return found

    async def close(self) -> None:
        """Say QUIT and cut the connection; the next letter opens another one."""
        link, self._link = self._link, None
        if link is None:
            return
        timeout = min(_QUIT, self._settings.timeouts.command)
        try:
            if link.usable():
                with contextlib.suppress(relay.Ended):
                    await link.say("quit", b"QUIT", wait=timeout)
        finally:
            link.abort()

    def _abort(self) -> None:
        if self._link:
            self._link.abort()
            self._link = None

    async def _dial(self) -> relay.Link:
        if self._context is None and self._settings.security != "none":
            self._context = await asyncio.to_thread(ssl.create_default_context)
        return await relay.dial(self._settings, context=self._context, clock=self._clock)

    async def _begin(self, envelope: _Envelope) -> relay.Link:
        """Return a connection on which MAIL was accepted.

        A kept connection that turns out to be gone is replaced once: nothing
        of this letter was on it.
        """
        link = await self._kept()
        if link:
            try:
                await self._mail(link, envelope)
            except relay.Ended as ended:
                if not ended.drop:
                    raise
                self._abort()
            else:
                return link
        self._link = link = await self._dial()
        await self._mail(link, envelope)
        return link

    async def _kept(self) -> relay.Link | None:
        """Return the connection to go on with; let go of one that is used up."""
        link = self._link
        if link is None:
            return None
        old = link.messages >= _MESSAGES_MAX or self._clock() - link.since >= _AGE_MAX
        if old or not link.usable():
            await self.close()
            return None
        if link.soiled:
            try:
                await link.command("mail", b"RSET")
            except relay.Ended:
                self._abort()
                return None
            link.soiled = False
        return link

    async def _mail(self, link: relay.Link, envelope: _Envelope) -> None:
        limits = [
            (self._settings.max_message_bytes, "max_message in config.toml is"),
            (link.size, "the relay takes"),
        ]
        for limit, whose in limits:
            if 0 < limit < envelope.size:
                raise relay.Ended(replies.too_large(envelope.size, limit, whose), drop=False)
        words = [b"MAIL", b"FROM:<" + envelope.sender.encode() + b">"]
        if link.offers("size"):
            words.append(b"SIZE=%d" % envelope.size)
        if envelope.wide:
            if not (link.offers("smtputf8") and link.offers("8bitmime")):
                text = "the relay takes no addresses beyond ASCII"
                raise relay.Ended(replies.impossible("rcpt", text), drop=False)
            words += [b"SMTPUTF8", b"BODY=8BITMIME"]
        if link.offers("dsn"):
            words += notices.of_mail(envelope.token)
        await link.command("mail", *words)

    async def _rcpt(self, link: relay.Link, envelope: _Envelope) -> None:
        words = [b"RCPT", b"TO:<" + envelope.recipient.encode() + b">"]
        if link.offers("dsn"):
            words += notices.of_rcpt(envelope.recipient, receipts=self._settings.receipts)
        await link.command("rcpt", *words)


def _envelope(message: built.Built, sender: str, recipient: str, token: str) -> _Envelope:
    wide = message.wide or not (sender.isascii() and recipient.isascii())
    return _Envelope(sender=sender, recipient=recipient, size=message.size, wide=wide, token=token)


def _stuffed(message: bytes) -> bytes:
    """Return lines as DATA wants them: CRLF, dots doubled, a line end at the end."""
    ends = message.count(b"\r\n")
    if not ends == message.count(b"\n") == message.count(b"\r"):
        message = _LINE_END.sub(b"\r\n", message)
    if not message.endswith(b"\r\n"):
        message += b"\r\n"
    message = message.replace(b"\r\n.", b"\r\n..")
    return b"." + message if message.startswith(b".") else message
