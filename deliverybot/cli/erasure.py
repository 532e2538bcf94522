"""Signatures erase: leave nothing of a person, over all campaigns."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING, Any

import click

from deliverybot import errors
from deliverybot.cli import out, signatures

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from deliverybot import campaign as campaigns
    from deliverybot import config, erasure, ledger
    from deliverybot.ledger import erasure as verbs

_YOURS = (
    "backups made with `db backup` or otherwise, previews, rehearsals: they are yours to delete",
    "letters that have left, posts, and what a target has: nothing calls them back",
)


@signatures.signatures.command("erase")
@click.argument("address", required=False)
@click.option("--campaign", help="With --number: where somebody without an address has signed.")
@click.option("--number", type=click.IntRange(min=1), help="The number in that campaign's list.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
@out.as_json
@out.pass_call
def erase(
    call: out.Call,
    address: str | None,
    campaign: str | None,
    number: int | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Leave nothing of a person: in no campaign, no letter, no mail that came back.

    The numbers of others stay as they are.  Keyed marks of ADDRESS stay, which
    say nothing to anybody and keep every source from bringing the person back.
    It cannot be undone.
    """
    from deliverybot import erasure

    settings = call.settings()
    book = call.book(settings)
    if not dry_run:
        _take_in(settings, book)
    found = _found(book, address, campaign, number)
    kept = list(_kept(settings, found))
    receipts = [erasure.look(book, settings, one) for one in found]
    if dry_run or not found:
        _print(receipts, kept, as_json=as_json, tense="would be erased")
        return
    if call.may_ask():
        _tell(receipts, "is to be erased")
        if not click.confirm("Erase this for good?", err=True):
            out.talk("nothing was changed")
            sys.exit(1)
    receipts = erasure.erase(book, settings, found, who=out.person(), now=out.now())
    _print(receipts, kept, as_json=as_json, tense="is erased")


def _take_in(settings: config.Settings, book: ledger.Ledger) -> None:
    """Take in what waits from webhooks: the person may be in it, and comes in erased then."""
    from deliverybot import campaign as campaigns
    from deliverybot import signatures as station

    means = station.means(settings, book)
    for one in campaigns.readable(settings.schedules):
        if book.arrivals.count(one.slug):
            key = station.recognition_key(settings.state, book)
            asyncio.run(station.read(book, one, key=key, now=out.now(), means=means))


def _found(
    book: ledger.Ledger, address: str | None, campaign: str | None, number: int | None
) -> list[verbs.Found]:
    from deliverybot import erasure

    if address is not None and campaign is None and number is None:
        return erasure.find(book, address)
    if address is None and campaign is not None and number is not None:
        return [book.erasures.get(campaign, number)]
    hint = "or --campaign and --number together, for somebody without an address"
    raise errors.UsageError("say whom: ADDRESS", hint=hint)


def _kept(settings: config.Settings, found: Iterable[verbs.Found]) -> Iterable[str]:
    """Yield what has the person still, outside of what is ours."""
    from deliverybot import campaign as campaigns

    known: Mapping[str, campaigns.Campaign] = {
        one.slug: one for one in campaigns.readable(settings.schedules)
    }
    for one in found:
        with contextlib.suppress(KeyError):
            place = _source(known[one.slug])
            yield f"{place}, the source of {one.slug}: it has the row; it is not taken in again"
    yield from _YOURS if found else ()


def _source(one: campaigns.Campaign) -> str:
    """Name a campaign's source as a person knows it; an address may hold a secret."""
    path = getattr(one.source, "path", None)
    return str(path) if path else f"the {one.source.kind} source"


def _print(
    receipts: Sequence[erasure.Receipt], kept: Sequence[str], *, as_json: bool, tense: str
) -> None:
    left = list(dict.fromkeys(text for one in receipts for text in one.left))
    if as_json:
        out.dump({"campaigns": [_plain(one) for one in receipts], "left": left, "kept": kept})
        return
    if not receipts:
        out.talk("no campaign knows this address; nothing was changed")
        return
    _tell(receipts, tense)
    for text in left:
        click.echo(f"left to do: {out.safe(text)}")
    for text in kept:
        out.talk(out.safe(f"not ours: {text}"))


def _tell(receipts: Iterable[erasure.Receipt], tense: str) -> None:
    for one in receipts:
        said = "was erased before" if one.before == "erased" else tense
        click.echo(f"signature {one.number} of {one.campaign} {said}; files: {one.files}")


def _plain(one: erasure.Receipt) -> dict[str, Any]:
    return {
        "campaign": one.campaign, "number": one.number, "before": one.before, "files": one.files,
        "left": list(one.left),
    }  # fmt: skip


COMMANDS = ()
