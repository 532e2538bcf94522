"""Signatures: read what is new at the source and take it into the list."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import pathlib
from collections.abc import Callable
from typing import BinaryIO

from deliverybot import campaign as campaigns
from deliverybot import errors, keys, ledger, sources
from deliverybot.ledger import records

#: Skipped rows that are kept for showing; the rest is only counted.
SHOWN = 20


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one reading of a source brought."""

    new: int
    duplicates: int
    #: Rows that were on the list, or counted as duplicates, before.
    again: int
    #: Signers whose permission to be shown was taken back.
    narrowed: int
    skipped: tuple[errors.Fault, ...]
    standing: records.Standing
    #: Why the source could not be read to its end; empty when it was.
    problem: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """A file or stream that a person hands over, instead of the campaign's own."""

    file: pathlib.Path | None = None
    stream: BinaryIO | None = None


def recognition_key(state_dir: pathlib.Path, book: ledger.Ledger) -> bytes:
    """Return the key under which signers are recognised; make it the first time.

    The ledger is told, too: suppressed addresses are recognised by it.

    It lives beside the ledger, not in it, so that a stolen database is no
    list of addresses.  Another key than the ledger was filled with would take
    every signer for a new one, and is refused.
    """
    key = keys.of(
        state_dir, book, "recognition", what="this ledger was filled with",
        hint="put the old file back: without it everybody would count twice",
    )  # fmt: skip
    book.know(key)
    return key


def recall(state_dir: pathlib.Path, book: ledger.Ledger) -> None:
    """Tell the ledger the key, where there is one already."""
    if (state_dir / "recognition.key").exists():
        recognition_key(state_dir, book)


async def read(
    book: ledger.Ledger,
    campaign: campaigns.Campaign,
    *,
    key: bytes,
    now: dt.datetime,
    given: Import | None = None,
    progress: Callable[[sources.Batch], None] | None = None,
) -> Reading:
    """Take in what is new, batch by batch, and write down how the count stands.

    A source that fails keeps what was taken and the last good count; the
    problem stands in the ledger until a reading succeeds.
    """
    return await asyncio.to_thread(_read, book, campaign, key, now, given, progress)


def _read(
    book: ledger.Ledger,
    campaign: campaigns.Campaign,
    key: bytes,
    now: dt.datetime,
    given: Import | None,
    progress: Callable[[sources.Batch], None] | None,
) -> Reading:
    new = duplicates = again = narrowed = 0
    skipped: list[errors.Fault] = []
    problem = ""
    cursor = None if given else book.signatures.standing(campaign.slug).cursor
    given = given or Import()
    by_hand = given.file is not None or given.stream is not None
    try:
        for batch in sources.read(
            campaign, cursor=cursor, secret=key, now=now, file=given.file, stream=given.stream
        ):
            taken = book.signatures.take(
                campaign.slug,
                batch.signers,
                wording=(campaign.consent_version, campaign.wording_text),
                cursor=None if by_hand else batch.cursor,
                now=now,
            )
            new += taken.new
            duplicates += taken.duplicates
            again += taken.again
            narrowed += taken.narrowed
            skipped += batch.skipped[: SHOWN - len(skipped)]
            if progress is not None:
                progress(batch)
    except errors.SourceError as error:
        if by_hand:
            raise
        problem = str(error) + (f" (hint: {error.hint})" if error.hint else "")
    standing = book.signatures.read(campaign.slug, now=now, problem=problem)
    return Reading(
        new=new,
        duplicates=duplicates,
        again=again,
        narrowed=narrowed,
        skipped=tuple(skipped),
        standing=standing,
        problem=problem,
    )
