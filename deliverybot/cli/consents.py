"""Signatures consent: which words signers saw, and what they agreed to."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from deliverybot.cli import out, signatures

if TYPE_CHECKING:
    from deliverybot.ledger import consents

#: Letters of a version that a person needs to tell it from the others.
_SHORT = 12
_PERMISSIONS = ("public", "to_target", "mail", "sms")


@signatures.signatures.command("consent")
@click.argument("campaign")
@click.option("--number", type=click.IntRange(min=1), help="Of this one signer alone.")
@out.as_json
@out.pass_call
def consent(call: out.Call, campaign: str, number: int | None, as_json: bool) -> None:
    """Show which words signers saw, since when, and what they agreed to.

    Each version of the words is counted by those who saw it; of one signer it
    is the record: the words, the time, and for what.
    """
    book = call.book_of(campaign)
    if number is not None:
        _tell(book.consents.record(campaign, number), as_json=as_json)
        return
    found = book.consents.wordings(campaign)
    if as_json:
        out.dump(found)
        return
    columns = ("version", "since", "signers", "numbers", *_PERMISSIONS, "words")
    out.table(columns, map(_row, found), empty=f"nobody has signed {campaign} yet")


def _row(one: consents.Wording) -> list[Any]:
    numbers = f"{one.first}-{one.last}" if one.signers else ""
    permissions = [getattr(one, name) for name in _PERMISSIONS]
    start = " ".join(one.words.split())
    words = start if len(start) <= 60 else f"{start[:60]}…"  # noqa: PLR2004 - a line of a terminal
    return [one.version[:_SHORT], one.since, one.signers, numbers, *permissions, words]


def _tell(one: consents.Consent, *, as_json: bool) -> None:
    if as_json:
        out.dump(one)
        return
    known = dataclasses.asdict(one)
    words = known.pop("words")
    for name in _PERMISSIONS:
        known[name] = "yes" if known[name] else "no"
    out.pairs(known.items())
    click.echo()
    out.paragraphs(words)


COMMANDS = ()
