"""One connection to a relay, safe and logged in as config.toml says."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Callable, Iterable
from typing import cast

import aiosmtplib

from deliverybot import config, model, screen
from deliverybot.mail import line, replies

_POSITIVE, _NEGATIVE, _LEAVING = 2, {4, 5}, 421
#: In the order of choice; one is tried, so that a wrong password is not tried thrice.
_MECHANISMS = ("plain", "login", "cram-md5")
_IPV4 = 4
#: Of a SIZE that somebody means.
_DIGITS_MAX = 18


class Ended(Exception):
    """The attempt is over; this is what it came to."""

    def __init__(self, reply: model.Reply, *, drop: bool) -> None:
        """`drop` says that the connection cannot be used any more."""
        super().__init__(str(reply))
        self.reply = reply
        self.drop = drop


class Link:
    """An open connection and what is known of it."""

    def __init__(
        self,
        client: aiosmtplib.SMTP,
        transport: asyncio.Transport,
        protocol: asyncio.Protocol,
        settings: config.Mail,
        clock: Callable[[], float],
    ) -> None:
        """`transport` and `protocol` are the client's own, just connected."""
        self._client = client
        self._settings = settings
        self._clock = clock
        self._tap = line.Tap(protocol)
        #: From the outermost to the socket's own, as far as known.
        self._transports: tuple[asyncio.Transport, ...] = (transport,)
        transport.set_protocol(self._tap)
        self.since = clock()
        self.messages = 0
        #: An error was answered; RSET is owed.
        self.soiled = False

    @property
    def size(self) -> int:
        """The largest message that the relay takes; 0 where it does not say."""
        given = self._client.esmtp_extensions.get("size", "")
        plain = given.isascii() and given.isdigit() and len(given) <= _DIGITS_MAX
        return int(given) if plain else 0

    @property
    def tls(self) -> str:
        """Version of TLS; empty in clear text."""
        tls = self._transports[0].get_extra_info("ssl_object")
        return str(tls.version()) if tls else ""

    def offers(self, extension: str) -> bool:
        """Tell whether the relay's EHLO named this extension."""
        return self._client.supports_extension(extension)

    def usable(self) -> bool:
        """Tell whether the relay has left the connection as it was."""
        return not self._transports[0].is_closing() and not self._tap.stray

    def abort(self) -> None:
        """Cut the connection: what is still in our buffers never leaves.

        `close()` would go on sending it, and a letter that was given up would arrive.
        """
        for transport in self._transports:
            transport.abort()

    async def say(self, phase: str, *words: bytes, wait: float | None = None) -> tuple[int, str]:
        """Send a command and return code and text of the answer, whatever it is."""
        self._tap.expect()
        limit = self._settings.timeouts.command if wait is None else wait
        try:
            response = await self._client.execute_command(*words, timeout=limit)
        except (aiosmtplib.SMTPException, OSError) as error:
            raise Ended(_failed(phase, error, self._unsaid), drop=True) from error
        if self._tap.code != str(response.code).encode():
            raise Ended(replies.unanswered(phase, "the relay is out of step"), drop=True)
        return response.code, self._unsaid(response.message)

    async def command(self, phase: str, *words: bytes, wanted: int | None = None) -> None:
        """Send a command and take a positive answer (or just `wanted`) for it."""
        code, text = await self.say(phase, *words)
        kind = code // 100
        good = code == wanted if wanted else kind == _POSITIVE
        if good and not self._tap.stray:
            return
        if good:
            raise Ended(self._stray(phase), drop=True)
        reply = replies.answered(phase, code, text)
        # An answer that is neither yes nor no was meant for something else.
        refused = kind in _NEGATIVE and code != _LEAVING
        raise Ended(reply, drop=not refused or bool(self._tap.stray))

    async def write(self, body: Iterable[bytes]) -> None:
        """Write the message, without its final dot, until the relay's side has every byte."""
        stall = self._settings.timeouts.stall
        writer = line.Writer(self._transports, self._tap, stall=stall, clock=self._clock)
        try:
            await writer.write(body)
        except (line.Stalled, OSError) as error:
            unsaid = replies.unanswered("body", str(error))
            reply = self._stray("body") if self._tap.stray else unsaid
            raise Ended(reply, drop=True) from error

    async def dot(self) -> model.Reply:
        """Write the final dot and return what the relay answered."""
        if not self.usable():
            text = "the connection was gone before the final dot"
            raise Ended(replies.unanswered("body", text), drop=True)
        code, text = await self.say("dot", b".", wait=self._settings.timeouts.done)
        reply = replies.answered("dot", code, text)
        self.messages += 1
        if reply.outcome is not model.Outcome.DONE:
            lost = reply.outcome is model.Outcome.UNSURE or code == _LEAVING
            raise Ended(reply, drop=lost or bool(self._tap.stray))
        return reply

    async def greet(self) -> None:
        """Say EHLO with our address, as a machine without a public name must."""
        address = ipaddress.ip_address(self._transports[0].get_extra_info("sockname")[0])
        literal = f"[{address}]" if address.version == _IPV4 else f"[IPv6:{address}]"
        self._tap.expect()
        try:
            await self._client.ehlo(hostname=literal)
        except (aiosmtplib.SMTPException, OSError) as error:
            raise Ended(_failed("greeting", error), drop=True) from error
        self._in_step("greeting", b"250")

    async def starttls(self) -> None:
        """Turn the connection into TLS, or end here: there is no way back to clear text."""
        if not self.offers("starttls"):
            text = "the relay offers no STARTTLS, and nothing is sent in the clear"
            raise Ended(replies.impossible("starttls", text), drop=True)
        self._tap.expect()
        try:
            await self._client.starttls()
        except (aiosmtplib.SMTPException, OSError) as error:
            raise Ended(_failed("starttls", error), drop=True) from error
        self._in_step("starttls", b"220")
        transport = cast("asyncio.Transport | None", self._client.transport)
        if transport is None:
            raise Ended(replies.unanswered("starttls", "the relay hung up"), drop=True)
        self._transports = (transport, *self._transports)
        transport.set_protocol(self._tap)

    async def login(self) -> None:
        """Log in, if there is an account."""
        if self._settings.security != "none" and not self.tls:
            raise Ended(replies.impossible("starttls", "the connection is not safe"), drop=True)
        user, password = self._settings.username, self._settings.password.get_secret_value()
        if not user:
            return
        offered = [m for m in _MECHANISMS if m in self._client.supported_auth_methods]
        reason = self._no_login(password, offered)
        if reason:
            raise Ended(replies.impossible("auth", reason), drop=True)
        ways = {
            "plain": self._client.auth_plain,
            "login": self._client.auth_login,
            "cram-md5": self._client.auth_crammd5,
        }
        self._tap.expect(1 if offered[0] == "plain" else 2)
        try:
            await ways[offered[0]](user, password)
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            # ValueError: a challenge that is no base64.
            reply = replies.without(_failed("auth", error, self._unsaid), user, password)
            raise Ended(reply, drop=True) from None
        self._in_step("auth", b"235")

    def _stray(self, phase: str) -> model.Reply:
        return replies.stray(phase, self._unsaid(self._tap.stray.decode("utf-8", "replace")))

    def _unsaid(self, text: str) -> str:
        password = self._settings.password.get_secret_value()
        return screen.unsaid(text, self._settings.username, password)

    def _no_login(self, password: str, offered: list[str]) -> str:
        peer = ipaddress.ip_address(self._transports[0].get_extra_info("peername")[0])
        if not password:
            return "there is a username and no password"
        if not self.tls and not peer.is_loopback:
            return "the password would go in the clear"
        if not offered:
            return "the relay offers no way to log in that we know"
        return ""

    def _in_step(self, phase: str, code: bytes) -> None:
        if self._tap.code != code or self._tap.stray:
            raise Ended(replies.unanswered(phase, "the relay is out of step"), drop=True)


async def dial(
    settings: config.Mail, *, context: ssl.SSLContext | None, clock: Callable[[], float]
) -> Link:
    """Open a connection, or raise Ended with nothing left open."""
    client = aiosmtplib.SMTP(
        hostname=settings.host,
        port=settings.port,
        timeout=settings.timeouts.command,
        use_tls=settings.security == "tls",
        start_tls=False,
        tls_context=context,
        local_hostname="localhost",
    )
    try:
        await client.connect(timeout=settings.timeouts.connect)
    except (aiosmtplib.SMTPException, OSError, UnicodeError) as error:
        raise Ended(_failed("connect", error), drop=True) from error
    transport = cast("asyncio.Transport | None", client.transport)
    if transport is None or client.protocol is None:
        raise Ended(replies.unanswered("connect", "the relay hung up"), drop=True)
    link = Link(client, transport, client.protocol, settings, clock)
    try:
        await link.greet()
        if settings.security == "starttls":
            await link.starttls()
            await link.greet()
        await link.login()
    except BaseException:
        link.abort()
        raise
    return link


def _failed(
    phase: str, error: Exception, unsaid: Callable[[str], str] = lambda text: text
) -> model.Reply:
    """Return what an exception of the library, the socket or TLS means.

    `unsaid` takes the password out of the relay's words.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return replies.impossible(phase, f"the certificate is not good: {cause.verify_message}")
        cause = cause.__cause__
    if isinstance(error, aiosmtplib.SMTPResponseException) and error.code > 0:
        return replies.answered(phase, error.code, unsaid(error.message))
    if isinstance(error, TimeoutError):
        return replies.unanswered(phase, "no answer in time")
    said = error.message if isinstance(error, aiosmtplib.SMTPException) else str(error)
    return replies.unanswered(phase, unsaid(said) or type(error).__name__)
