"""Settings of the mailbox that is read for what comes back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal, Self

import pydantic

from deliverybot import errors, faults, values


class _Mailbox(values.Section):
    """What every kind of mailbox has."""

    #: Time between readings.
    every: values.Duration = "5m"
    #: Who gets a copy of answers and bounces: a person's address; not given: `reply_to` of
    #: [sender], or else its `address`; "" for nobody.
    forward_to: values.OptionalAddress | None = None
    #: The mailbox's own address, to which nothing is forwarded; empty: not known.
    address: values.OptionalAddress = ""

    @property
    def every_seconds(self) -> int:
        """`every` in seconds."""
        return values.seconds(self.every)

    @property
    def own(self) -> str:
        """The mailbox's own address; empty where it is not known."""
        return self.address


class Imap(_Mailbox):
    """A mailbox on an IMAP server; it is only looked at, nothing in it is changed."""

    #: The kind of mailbox.
    kind: Literal["imap"]
    #: Name or number of the server.
    host: Annotated[str, pydantic.Field(min_length=1)]
    #: Port of the server.
    port: Annotated[int, pydantic.Field(ge=1, le=65535)] = 993
    #: How the connection is protected; none is for this machine alone.
    security: Literal["tls", "starttls", "none"] = "tls"
    #: The account.
    username: values.SomeWords
    #: From DELIVERYBOT_INBOX__PASSWORD or a secret file, never from config.toml.
    password: pydantic.SecretStr = pydantic.SecretStr("")
    #: The folder that is read.
    folder: values.SomeWords = "INBOX"
    #: Seconds to wait for an answer of the server.
    timeout: Annotated[float, pydantic.Field(gt=0, le=3600)] = 60

    @property
    def own(self) -> str:
        """The mailbox's own address; most accounts are named by it."""
        return self.address or (self.username if "@" in self.username else "")

    @property
    def name(self) -> str:
        """What the ledger knows this mailbox by."""
        return f"imap:{self.username}@{self.host}:{self.port}/{self.folder}"[:200]

    @pydantic.model_validator(mode="after")
    def _sound(self) -> Self:
        if not re.fullmatch(r"[A-Za-z0-9._:\[\]-]{1,255}", self.host):
            raise faults.wrong("[inbox] host is no name of a machine", "without imap:// or a port")
        if self.security == "none" and not values.is_loopback(self.host):
            raise faults.wrong(
                '[inbox] would send the password in the clear: security = "none"',
                'use security = "tls" (port 993) or "starttls" (port 143)',
            )
        return self


class Maildir(_Mailbox):
    """A Maildir on this machine; it is only looked at, nothing in it is changed."""

    #: The kind of mailbox.
    kind: Literal["maildir"]
    #: The folder that holds `new` and `cur`, relative to config.toml.
    path: Annotated[str, pydantic.Field(min_length=1)]

    @property
    def name(self) -> str:
        """What the ledger knows this mailbox by."""
        return f"maildir:{self.path}"[:200]


Mailbox = Annotated[Imap | Maildir, pydantic.Field(discriminator="kind")]


def check(
    inbox: Imap | Maildir | None, forward_to: str, bounces: str, origin: faults.Origin
) -> Iterator[errors.Fault]:
    """Yield a fault where copies would come back into the mailbox that they were made from."""
    if inbox is None or not forward_to:
        return
    read = {one.lower() for one in (inbox.own, bounces) if one}
    if forward_to.lower() in read:
        given = inbox.forward_to is not None
        yield origin.fault(
            ("inbox", "forward_to") if given else ("inbox",),
            f"answers would be forwarded to {forward_to}, into the mailbox that they are read from",
            'forward_to = "somebody-else@your-domain", or forward_to = "" to forward nothing',
        )
