"""Outlets: where the news of a milestone is posted, one module a network."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Protocol

from deliverybot import config, errors, model


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One post, frozen before its first try."""

    #: Names this post for ever; letters, digits, ``.``, ``_`` and ``-`` only.
    key: str
    text: str
    #: Slug and title of the campaign.
    campaign: str
    title: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the outlet knows of a draft whose answer was lost."""

    #: True: it is there; False: it certainly is not; None: that cannot be known.
    there: bool | None
    #: Where it is, if it is there.
    url: str = ""


class Outlet(Protocol):
    """One place to post to."""

    @property
    def limit(self) -> int | None:
        """The longest text, as `length` counts; None where there is no limit."""

    def length(self, text: str) -> int:
        """Count a text as the network does."""

    async def publish(self, post: Draft) -> model.Reply:
        """Post it: DONE with its url, LATER, REFUSED or UNSURE.

        Called once the row says `sending`, on disk.  A cancel or an error of
        our own leaves the post unsure.
        """

    async def find(self, post: Draft) -> Evidence:
        """Look for a post whose answer was lost; changes nothing."""

    async def check(self) -> list[errors.Fault]:
        """Say what a post would fail on, or one `ok`; posts nothing."""


def open_outlet(
    name: str, settings: config.Settings, *, clock: Callable[[], float] = time.time
) -> Outlet:
    """Return the outlet of the section ``[outlets.NAME]``.

    `clock` gives seconds since 1970, against which a network's "not before" is read.
    """
    section = settings.outlets.get(name)
    if section is None:
        raise errors.UsageError(
            f"there is no outlet {name!r}", hint=f"add a section [outlets.{name}] to config.toml"
        )
    if isinstance(section, config.XOutlet):
        from deliverybot.outlets import x  # noqa: PLC0415 - tweepy is loaded only where used

        return x.X(name, section, clock=clock)
    from deliverybot.outlets import folder  # noqa: PLC0415 - as above

    return folder.Folder(settings.root / settings.state_dir / "outbox" / "posts")
