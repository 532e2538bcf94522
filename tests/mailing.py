"""A campaign with approved letters and a desk that sends them to a relay on loopback."""

from __future__ import annotations

import asyncio
import dataclasses
import pathlib
from collections.abc import Callable, Sequence

import build
from deliverybot import agenda, config, deliveries, errors, ledger, mail, model
from deliverybot import campaign as campaigns
from deliverybot.ledger import records
from deliverybot.mail import built

#: Read by `config.load` in the tests that need an account.
PASSWORD = "made-up"


class Courier:
    """Remembers what it was given, and answers as it is told."""

    def __init__(
        self,
        answer: model.Reply | None = None,
        *,
        before: Callable[[], object] | None = None,
        after: Callable[[], object] | None = None,
    ) -> None:
        self.answer = answer or build.reply()
        self.before, self.after = before, after
        self.given: list[tuple[bytes, str, str]] = []

    async def hand_over(
        self,
        message: built.Built,
        *,
        sender: str,
        recipient: str,
        token: str,
        on_handing_over: Callable[[], None],
    ) -> model.Reply:
        """Take one message."""
        if self.before:
            self.before()
        await asyncio.sleep(0)
        if self.answer.phase not in {"dot", "body"}:
            return self.answer
        on_handing_over()
        self.given.append((b"".join(message.chunks()), sender, recipient))
        if self.after:
            self.after()
        await asyncio.sleep(0)
        return self.answer

    async def check(self) -> list[errors.Fault]:
        """Nothing to look at."""
        return []

    async def close(self) -> None:
        """Nothing is open."""


@dataclasses.dataclass
class Office:
    """What a test needs of it."""

    book: ledger.Ledger
    plan: campaigns.Campaign
    settings: config.Settings
    clock: build.Clock
    desk: agenda.Desk

    def rows(self) -> list[records.Delivery]:
        return self.book.deliveries.select()

    def states(self) -> list[str]:
        return [row.state for row in self.rows()]

    async def send_all(self, transport: mail.Transport) -> None:
        while await deliveries.send_one(self.book, transport, self.desk):
            pass


def settings(
    folder: pathlib.Path, port: int, more: str = "", *, security: str = "none"
) -> config.Settings:
    """Settings for a relay at this port; `more` is lines of [mail]."""
    build.settings(folder, more)
    file = folder / "config.toml"
    relay = f'transport = "smtp"\nhost = "127.0.0.1"\nport = {port}\nsecurity = "{security}"'
    file.write_text(file.read_text().replace('transport = "folder"', relay))
    return config.load(file, environ={"DELIVERYBOT_MAIL__PASSWORD": PASSWORD})


def office(
    folder: pathlib.Path,
    book: ledger.Ledger,
    options: config.Settings,
    targets: Sequence[str] = tuple("abcdefgh"),
    *,
    size: int = 0,
) -> Office:
    """Make a letter to each target, approved; its PDF has `size` bytes, or a few."""
    clock = build.Clock()
    plan = build.campaign(folder, targets=targets)
    build.grow(book, plan, 100, now=clock())
    for row in book.deliveries.select():
        build.approved(book, row, folder / "var", now=clock(), size=size)
    desk = agenda.Desk(settings=options, campaigns={plan.slug: plan}, owner="w1", clock=clock)
    return Office(book=book, plan=plan, settings=options, clock=clock, desk=desk)
