"""Signatures erase and expire: leave nothing of a person, or of all so long after the close."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
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
    if one.source.kind == "webhook":
        return "the platform that calls the webhook"
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


@signatures.signatures.command("expire")
@click.argument("campaign", required=False)
@click.option("--dry-run", is_flag=True, help="Say what is due and what would be done.")
@out.as_json
@out.pass_call
def expire(call: out.Call, campaign: str | None, dry_run: bool, as_json: bool) -> None:
    """Erase all signers of campaigns whose time is over: `closes`, and `keep` in [signers].

    `run` does so by itself once a day.  Counts, history and milestones stay.
    It cannot be undone.
    """
    from deliverybot import erasure

    settings = call.settings()
    known = call.campaigns(settings)
    book = call.book(settings)
    chosen = [out.one_of(campaign, known)] if campaign else list(known.values())
    now = out.now()
    rows = [_term(book, one, now) for one in chosen]
    due = [row for row in rows if row["due"] and not dry_run]
    names = ", ".join(row["campaign"] for row in due)
    if due and call.may_ask() and not click.confirm(f"Erase all signers of {names}?", err=True):
        out.talk("nothing was changed")
        sys.exit(1)
    for row in due:
        left = erasure.expire(book, settings, row["campaign"], who=out.person(), now=now)
        row |= {"expired_at": now, "due": False, "left": left}
    if as_json:
        out.dump(rows)
        return
    for row in rows:
        click.echo(f"{row['campaign']}: {_said(row)}")
        for text in row["left"]:
            click.echo(f"left to do: {out.safe(text)}")


def _term(book: ledger.Ledger, one: campaigns.Campaign, now: dt.datetime) -> dict[str, Any]:
    """Return when a campaign's signers are to be erased."""
    standing = book.signatures.standing(one.slug)
    expires, expired = one.expires_at, standing.expired_at
    return {
        "campaign": one.slug,
        "closes": one.closed_at,
        "keep": one.signers.keep,
        "expires": expires,
        "due": expires is not None and now >= expires and expired is None,
        "expired_at": expired,
        "signers": standing.last_number,
        "left": [],
    }


def _said(row: Mapping[str, Any]) -> str:
    many = out.plural(row["signers"], "signer")
    if row["expired_at"] is not None:
        return f"{many} erased on {out.clock(row['expired_at'])}"
    if row["due"]:
        return f"{many} due to be erased since {out.clock(row['expires'])}"
    if row["expires"] is not None:
        return f"{many}, to be erased on {out.clock(row['expires'])}"
    missing = "closes" if row["keep"] else "keep in [signers]"
    return f"{many} kept without an end: {missing} is not set"


COMMANDS = ()
