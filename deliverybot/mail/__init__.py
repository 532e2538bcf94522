"""Mail: how a letter is built, and the two ways it can leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from deliverybot import config, errors, model, values
from deliverybot.mail import built, replies


class Transport(Protocol):
    """Hands messages over, several at once; open one for all workers."""

    async def hand_over(
        self,
        message: built.Built,
        *,
        sender: str,
        recipient: str,
        token: str,
        on_handing_over: Callable[[], None],
    ) -> model.Reply:
        """Hand one message over and say what came of it.

        `token` names the mail in what the relay sends back (see `verp`).
        `on_handing_over` is called at most once, just before the step that
        cannot be taken back, and must have its record on disk when it returns.
        Where it was not called nothing was delivered; where it raises, neither,
        and its error comes through.  A cancel or an error of our own after it
        was called leaves the letter unsure.
        """

    async def check(self) -> list[errors.Fault]:
        """Try everything but a message; the faults, or one `ok`."""

    async def close(self) -> None:
        """Take leave; the transport may be used again."""


#: The phase in which the certificate that signs for the reader turns out not to be valid.
CERTIFICATE = "certificate"
#: What a reply in these phases says is about the relay or our account, not about the letter.
_RELAY_PHASES = frozenset({"connect", "greeting", "starttls", "auth", "mail", CERTIFICATE})


def transport(settings: config.Settings) -> Transport:
    """Return the transport that config.toml names."""
    if settings.mail.transport == "smtp":
        from deliverybot.mail import pool  # noqa: PLC0415 - the folder needs no SMTP library

        return pool.Pool(settings.mail)
    from deliverybot.mail import folder  # noqa: PLC0415 - as above

    return folder.Folder(folder.place(settings))


def made_up(settings: config.Mail, recipient: str) -> str:
    """Say why a recipient is not for a real relay; empty where it may be tried.

    The domains of RFC 2606 are nobody's: mail to one is a mistake, and bounces.
    """
    if settings.transport != "smtp" or values.is_loopback(settings.host):
        return ""
    if not values.is_invented(recipient):
        return ""
    return f"{recipient} is a made-up address and {settings.host} is real: nothing is sent there"


def evidence(settings: config.Settings, message_id: str) -> bool | None:
    """Tell whether a message was handed over; None where that cannot be known."""
    if settings.mail.transport == "smtp":
        return None
    from deliverybot.mail import folder  # noqa: PLC0415 - as above

    return folder.find(folder.place(settings), message_id) is not None


def about_relay(reply: model.Reply) -> bool:
    """Tell whether to pause the relay and leave the letter uncharged.

    Too large is about the letter in any phase.
    """
    large = reply.code == replies.TOO_MUCH or reply.enhanced in replies.TOO_LARGE
    return reply.phase in _RELAY_PHASES and not large
