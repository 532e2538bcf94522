"""Telling an operator that something waits for a person or went wrong, through Apprise.

Each thing is told once, to each address; all that is new goes in one message.
It is told *at least* once: a crash between the message and the note of it tells
it again.  Milestones are never told here; posts do that.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import hashlib
import logging
from collections.abc import Callable, Mapping

from deliverybot import campaign as campaigns
from deliverybot import config, errors, hands, ledger, notifying, overview
from deliverybot.alerts import memory, messenger, things

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What telling needs."""

    book: ledger.Ledger
    settings: config.Settings
    campaigns: Mapping[str, campaigns.Campaign]
    clock: Callable[[], dt.datetime]
    #: Whether it looks once and not again, as `run --once` does.
    once: bool = False

    @property
    def section(self) -> notifying.Alerts:
        """The settings; without a section nobody is told."""
        return self.settings.alerts or notifying.Alerts()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a message goes."""

    #: Its place in the settings, from 1, and what may be shown of it.
    number: int
    kind: str
    #: What the ledger knows it by: a keyed hash.
    name: str
    url: str = dataclasses.field(repr=False)

    def __str__(self) -> str:
        return messenger.named(self.number, self.url)


def addresses(desk: Desk) -> list[Address]:
    """Return where messages go."""
    key = hashlib.blake2b(desk.book.secret).digest()
    return [
        Address(
            number=n, kind=messenger.kind(url), url=url,
            name=hashlib.blake2b(url.encode(), key=key, digest_size=8).hexdigest(),
        )
        for n, url in enumerate(desk.section.addresses, 1)
    ]  # fmt: skip


def look(desk: Desk, now: dt.datetime) -> list[things.Thing]:
    """Return all that waits or went wrong, as far as the settings ask for it."""
    state = overview.status(desk.book, desk.campaigns, desk.settings, now)
    return things.collect(state, desk.section.about)


def remembered(
    desk: Desk, there: list[things.Thing], now: dt.datetime
) -> dict[Address, memory.Memory]:
    """Return what each address was told, with what is new and without what is over."""
    kept = memory.load(desk.book.alerts.read())
    return {one: kept.get(one.name, memory.Memory()).seen(there, now) for one in addresses(desk)}


async def tell(desk: Desk) -> None:
    """Tell each address what is new there.

    1. Write down what is there and since when, and that a message is on its way.
    2. Hand the message to Apprise.
    3. Write down what was told.

    A crash between 2 and 3 leaves it untold, so that it is told again: twice at
    worst, never not at all.  An address that takes none is tried again later.
    """
    # Beside the work: many letters take a moment to look through.
    there = await hands.apart("looking for alerts", lambda: look(desk, desk.clock()))
    where = addresses(desk)
    now = desk.clock()
    _change(desk.book, lambda kept: _seen(kept, where, there, now))
    await asyncio.gather(*(_tell_one(desk, one, there) for one in where))


_Kept = dict[str, memory.Memory]


def _seen(kept: _Kept, where: list[Address], there: list[things.Thing], now: dt.datetime) -> _Kept:
    """Look at what every address was told, also at those of a process with other settings.

    What is over is forgotten there, too, and in the end the address itself.
    """
    mine = {one.name for one in where}
    every = {
        name: kept.get(name, memory.Memory()).seen(there, now) for name in sorted({*kept, *mine})
    }
    return {name: one for name, one in every.items() if name in mine or one.holds}


async def _tell_one(desk: Desk, address: Address, there: list[things.Thing]) -> None:
    due = _claim(desk, address, there)
    if not due:
        return
    message = things.message(due, desk.settings.sender.name)
    why = await messenger.send(address.url, message)
    now = desk.clock()
    before = memory.Memory()

    def note(kept: _Kept) -> _Kept:
        nonlocal before
        before = kept.get(address.name, before)
        return {**kept, address.name: before.failed(now) if why else before.told(due, now)}

    _change(desk.book, note)
    if why and not before.failures:
        log.error("alerts: %s did not take a message: %s; it is tried again", address, why)
    elif not why:
        log.info("alerts: %s was told of %d", address, len(due))


def _claim(desk: Desk, address: Address, there: list[things.Thing]) -> list[things.Thing]:
    """Return what to tell an address now, once it is written down that we do; or nothing."""
    now, section, due = desk.clock(), desk.section, list[things.Thing]()

    def claim(kept: _Kept) -> _Kept:
        mine = kept.get(address.name, memory.Memory())
        may = mine.may(now, alone=desk.book.single_process, anyway=desk.once)
        after = section.after_seconds(once=desk.once)
        due[:] = mine.due(there, now, after=after, again=section.again_seconds) if may else []
        if not due:
            return kept
        return {**kept, address.name: dataclasses.replace(mine, claimed=now + memory.CLAIM)}

    _change(desk.book, claim)
    return due


def _change(book: ledger.Ledger, change: Callable[[_Kept], _Kept]) -> None:
    """Write down a change of what the ledger knows; again where somebody else was faster."""
    while True:
        old = book.alerts.read()
        new = memory.dump(change(memory.load(old)))
        if new == old or book.alerts.swap(old, new):
            return


async def check(settings: config.Settings) -> list[errors.Fault]:
    """Look whether each address is one that Apprise knows; sends nothing."""
    if settings.alerts is None:
        return []
    urls = settings.alerts.addresses
    if not urls:
        what = "[alerts] has no addresses, so nobody is told"
        hint = "put them into the environment as DELIVERYBOT_ALERTS__URLS, one a line"
        return [errors.Fault(level="warning", what=what, hint=hint)]
    if messenger.missing():
        what = "alerts cannot be sent: Apprise is not installed"
        return [errors.Fault(level="fault", what=what, hint=messenger.INSTALL)]
    found = await messenger.known(urls)
    if found is None:
        what = "alerts cannot be sent: the process that asks Apprise ended without an answer"
        return [errors.Fault(level="fault", what=what, hint=f"{messenger.INSTALL}, once more")]
    wrong = [
        errors.Fault(
            level="fault",
            what=f"alerts: Apprise does not know address {n} ({messenger.kind(url)}://...)",
            hint="compare it with the page of its service at https://appriseit.com/services/",
        )
        for n, (url, known) in enumerate(zip(urls, found, strict=True), 1)
        if not known
    ]
    kinds = ", ".join(map(messenger.kind, urls))
    good = errors.Fault(level="ok", what=f"Apprise knows where alerts go: {kinds}")
    return wrong or [good]
