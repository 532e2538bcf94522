"""Outlets: where the news of a milestone is posted, one module a network.

An outlet is a subclass of `Outlet`, found by its name among the entry points
`deliverybot.outlets`; docs/add-an-outlet.md shows how to add one.

Text, image, alt text and key are frozen in the ledger before the network
hears anything, so each try brings the same.  What a network makes of a try
whose answer was lost differs: some can be asked (`find`), some take the same
key for the same post (`Evidence.harmless`), and where neither helps the post
is unsure, and a person looks.
"""

from __future__ import annotations

import abc
import asyncio
import dataclasses
import logging
import pathlib
import re
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar, cast

from deliverybot import config, errors, model, plugins, values

log = logging.getLogger(__name__)
#: Seconds for an outlet to end what is open, of the few that a stop takes.
_FAREWELL = 2.0
_LINK = re.compile(r"(?i)\bhttps?://[^\s<>\"]+")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One post, frozen before its first try."""

    #: Names this post for ever; letters, digits, ``.``, ``_`` and ``-`` only.
    key: str
    text: str
    #: Slug of the campaign.
    campaign: str
    #: PNG; empty where the post has no picture.
    image: bytes = b""
    #: What the picture shows, for who cannot see it.
    alt: str = ""
    #: Language of the text, as BCP 47.
    language: str = "en"
    #: When the milestone was crossed: the same for every try.
    crossed_at: datetime | None = None
    #: When the first try began; None before it.
    first_try: datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the outlet knows of a draft whose answer was lost."""

    #: True: it is there; False: it certainly is not; None: that cannot be known.
    there: bool | None
    #: Where it is, if it is there.
    url: str = ""
    #: Whether the same draft may be sent again though it may be there: the network would
    #: take it for the same post.
    harmless: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What an outlet may use besides its own section."""

    #: Folder of the installation's state.
    state: pathlib.Path
    #: Gives seconds since 1970, against which a network's "not before" is read.
    clock: Callable[[], float] = time.time


class Outlet(abc.ABC):
    """One account on one network, as its section says.

    Made once and used for many posts, so that sessions are reused; used by one
    task at a time.
    """

    #: The model of its section.
    Settings: ClassVar[type[values.Section]]

    def __init__(self, name: str, section: Any, means: Means) -> None:  # noqa: ANN401 - its Settings
        """Keep what it needs; nothing is asked before a method is called.

        `name` is the section's own, ``NAME`` of ``[outlets.NAME]``.
        """
        self.name = name
        self.section = section
        self.means = means

    @property
    def limit(self) -> int | None:
        """The longest text, as `length` counts; None where there is no limit."""
        return None

    def length(self, text: str) -> int:
        """Count a text as the network does."""
        return len(text)

    def links(self, text: str) -> list[str]:
        """Return what the network makes a link of."""
        return _LINK.findall(text)

    def cost(self, post: Draft) -> int:  # noqa: ARG002 - most take nothing
        """Return what the network charges for a post, in millionths of a dollar."""
        return 0

    @abc.abstractmethod
    async def publish(self, post: Draft) -> model.Reply:
        """Post it: DONE with its url, LATER, REFUSED or UNSURE.

        Called once the row says `sending`, on disk.  A cancel or an error of
        our own leaves the post unsure.  LATER is only for what the network has
        certainly not posted.  A reply about the account rather than the post
        (credentials refused, too many requests) says so: see `model.Reply`.
        """

    @abc.abstractmethod
    async def find(self, post: Draft) -> Evidence:
        """Look for a post that a try before may have made; changes nothing."""

    @abc.abstractmethod
    async def check(self) -> list[errors.Fault]:
        """Say what a post would fail on, or one `ok`; posts nothing."""

    async def close(self) -> None:  # noqa: B027 - many have nothing to end
        """End what is open; the outlet may be used again afterwards."""


def open_outlet(
    name: str, settings: config.Settings, *, clock: Callable[[], float] = time.time
) -> Outlet:
    """Return the outlet of the section ``[outlets.NAME]``.

    `clock` is that of `Means`.  Raises errors.OutgoingError where the outlet's
    own code fails at its start.
    """
    section = settings.outlets.get(name)
    if section is None:
        raise errors.UsageError(
            f"there is no outlet {name!r}", hint=f"add a section [outlets.{name}] to config.toml"
        )
    kind = cast("type[Outlet] | None", plugins.find(plugins.OUTLETS, section.kind))
    if kind is None:  # its package went after config.toml was read
        raise errors.OutgoingError(f"outlet {name} cannot be opened: {section.kind!r} is gone")
    try:
        made = kind(name, section, Means(state=settings.state, clock=clock))
        assert made.name == name, "its __init__ keeps what it is given"  # noqa: S101 - caught below
        assert made.section is section  # noqa: S101 - caught below
        return made  # noqa: TRY300 - one that keeps neither has failed, too
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code
        # Not its words, in which a token may stand.
        message = f"outlet {name} cannot be opened: {type(error).__name__} in {kind.__module__}"
        raise errors.OutgoingError(message, hint="mend its package") from None


def secret_file(name: str, key: str) -> str:
    """Return the name of the file that holds a secret of the outlet `name`."""
    return f"outlets__{name.replace('-', '_')}__{key}"


def secret_hint(name: str, *keys: str) -> str:
    """Say where the secrets of the outlet `name` are put."""
    files = ", ".join(secret_file(name, key) for key in keys)
    variable = f"DELIVERYBOT_{secret_file(name, keys[0])}".upper()
    one = len(keys) == 1
    return (
        f"put {'it' if one else 'each'} alone into a file of secrets_dir: {files}; "
        f"or into the environment{':' if one else ', such as'} {variable}"
    )


class Pool:
    """The outlets of one installation, each made once."""

    def __init__(
        self, settings: config.Settings, *, clock: Callable[[], float] = time.time
    ) -> None:
        """Open nothing yet; `clock` is that of `Means`."""
        self._settings = settings
        self._clock = clock
        self._open: dict[str, Outlet] = {}
        self._turns: dict[str, asyncio.Lock] = {}

    def turn(self, name: str) -> asyncio.Lock:
        """Return what is held while an outlet is used: by one task at a time."""
        return self._turns.setdefault(name, asyncio.Lock())

    def get(self, name: str) -> Outlet:
        """Return the outlet of the section ``[outlets.NAME]``."""
        if name not in self._open:
            self._open[name] = open_outlet(name, self._settings, clock=self._clock)
        return self._open[name]

    async def close(self) -> None:
        """End what is open."""
        for name, outlet in self._open.items():
            try:
                async with asyncio.timeout(_FAREWELL):
                    await outlet.close()
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code
                log.warning("outlet %s cannot be closed: %s", name, type(error).__name__)
