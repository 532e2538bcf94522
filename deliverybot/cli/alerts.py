"""Telling an operator: alerts list, alerts test."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import click

from deliverybot import errors
from deliverybot.cli import out

if TYPE_CHECKING:
    from deliverybot import config
    from deliverybot.alerts import memory, things


@click.group(cls=out.Group)
def alerts() -> None:
    """What you are told of by chat, push or mail: list, test."""


@alerts.command("list")
@out.as_json
@out.pass_call
def alerts_list(call: out.Call, as_json: bool) -> None:
    """List what waits or went wrong, since when, and when you were told; tells nobody."""
    from deliverybot import alerts as telling

    settings = _settings(call)
    book, now = call.book(settings), out.now()
    desk = telling.Desk(
        book=book, settings=settings, campaigns=call.campaigns(settings), clock=out.now
    )
    there = telling.look(desk, now)
    kept = telling.remembered(desk, there, now)
    rows = [
        _row(address.number, address.kind, one, kept[address]) for address in kept for one in there
    ]
    if as_json:
        out.dump(rows)
        return
    columns = ("to", "campaign", "since", "told", "what")
    out.table(
        columns,
        (
            (_to(r, len(kept)), r["campaign"], r["since"], r["told"] or "not yet", r["what"])
            for r in rows
        ),
        empty="nothing waits, and nothing went wrong",
    )
    for address, one in kept.items():
        if one.failures and one.until is not None:
            many = out.plural(one.failures, "message")
            out.talk(
                f"{address} did not take {many} in a row; it is tried again"
                f" at {one.until:%Y-%m-%d %H:%M} UTC; `deliverybot alerts test` says what is wrong"
            )


def _to(row: dict[str, Any], addresses: int) -> str:
    """Return where a row goes; with the address's number where there are several."""
    return f"{row['address']} ({row['kind']})" if addresses > 1 else str(row["kind"])


def _row(number: int, kind: str, one: things.Thing, kept: memory.Memory) -> dict[str, Any]:
    known = kept.known[one.key]
    return {
        "address": number,
        "kind": kind,
        "campaign": one.campaign,
        "waits": one.waits,
        "trouble": one.reason.trouble,
        "since": known.since,
        "told": known.told,
        "what": one.text,
    }


@alerts.command("test")
@out.pass_call
def alerts_test(call: out.Call) -> None:
    """Send a harmless message to each address; leaves with 1 where one did not take it."""
    settings = _settings(call)
    missed = asyncio.run(_try(settings))
    if missed:
        sys.exit(1)


async def _try(settings: config.Settings) -> int:
    """Send the message; return how many did not take it."""
    from deliverybot.alerts import messenger, things

    message = things.trial(settings.sender.name)
    section = settings.alerts
    urls = section.addresses if section is not None else []
    answers = await asyncio.gather(*(messenger.send(url, message) for url in urls))
    for number, (url, why) in enumerate(zip(urls, answers, strict=True), 1):
        what = messenger.named(number, url)
        out.paragraphs(f"failed: {what}: {why}" if why else f"sent: {what}")
    return sum(map(bool, answers))


def _settings(call: out.Call) -> config.Settings:
    """Return the settings, or say that nobody is to be told."""
    from deliverybot.alerts import messenger

    settings = call.settings()
    if settings.alerts is None or not settings.alerts.addresses:
        message = "there are no addresses to tell"
        hint = "put them into the environment as DELIVERYBOT_ALERTS__URLS, one a line"
        raise errors.UsageError(message, hint=hint)
    if messenger.missing():
        raise errors.UsageError("Apprise is not installed", hint=messenger.INSTALL)
    return settings


COMMANDS = (alerts,)
