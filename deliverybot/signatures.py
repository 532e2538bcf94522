"""Signatures: read what is new at the source and take it into the list."""

from __future__ import annotations

import dataclasses
import datetime as dt
import pathlib
from collections.abc import Callable
from typing import BinaryIO

from deliverybot import arrivals, config, errors, failures, hands, keys, ledger, sources
from deliverybot import campaign as campaigns
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


def means(
    settings: config.Settings,
    book: ledger.Ledger | None = None,
    clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
) -> sources.Means:
    """Return what the installation gives to sources; without a ledger, what arrived is left."""
    return sources.Means(
        state=settings.state / "sources",
        access=settings.access,
        arrivals=None if book is None else arrivals.Arrivals(book, settings.state, clock),
        public_url=settings.public_url,
    )


async def read(
    book: ledger.Ledger,
    campaign: campaigns.Campaign,
    *,
    key: bytes,
    now: dt.datetime,
    given: Import | None = None,
    means: sources.Means = sources.Means(),  # noqa: B008 - frozen
    progress: Callable[[sources.Batch], None] | None = None,
) -> Reading:
    """Take in what is new, batch by batch, and write down how the count stands.

    The number is asked for first, so that the list is never behind it.  A
    source that fails keeps what was taken and the last good count; the
    problem stands in the ledger until a reading succeeds.
    """
    taking = _Taking(book, campaign, key, now, progress)
    what = f"reading {campaign.slug}"
    if given is not None:
        return await hands.apart(what, lambda: taking.by_hand(given))
    return await hands.apart(what, lambda: taking.from_source(means))


class _Taking:
    """One reading: what it brought so far."""

    def __init__(
        self,
        book: ledger.Ledger,
        campaign: campaigns.Campaign,
        key: bytes,
        now: dt.datetime,
        progress: Callable[[sources.Batch], None] | None,
    ) -> None:
        self._book = book
        self._campaign = campaign
        self._key = key
        self._now = now
        self._progress = progress
        self._skipped: list[errors.Fault] = []
        self._sums = dict.fromkeys(("new", "duplicates", "again", "narrowed"), 0)

    def from_source(self, means: sources.Means) -> Reading:
        """Ask for the number, then take what is new."""
        before = self._book.signatures.standing(self._campaign.slug)
        if self._campaign.is_over(self._now) or before.expired_at is not None:
            return self._done(before)
        begin = means.clock()
        try:
            said, state = self._probe(before, means)
            if self._campaign.source.lists:
                for batch in sources.read(
                    self._campaign, cursor=before.cursor, secret=self._key, now=self._now,
                    means=means,
                ):  # fmt: skip
                    self._take(batch, batch.cursor)
        except errors.SourceError as error:
            problem = str(error) + (f" (hint: {error.hint})" if error.hint else "")
            section = self._campaign.source
            ended = self._now + dt.timedelta(seconds=means.clock() - begin)
            # One that brought somebody goes on soon, be its list too long for one reading.
            in_row = 1 if self._sums["new"] else before.failures + 1
            later = failures.next_try(error, in_row, section, ended)
            return self._done(
                self._book.signatures.read(
                    self._campaign.slug, now=self._now, problem=problem, not_before=later
                )
            )
        return self._done(
            self._book.signatures.read(self._campaign.slug, now=self._now, said=said, state=state)
        )

    def by_hand(self, given: Import) -> Reading:
        """Take what a person hands over; the source's number and cursor stay."""
        for batch in sources.read_file(
            self._campaign, secret=self._key, now=self._now, file=given.file, stream=given.stream
        ):
            self._take(batch, None)
        before = self._book.signatures.standing(self._campaign.slug)
        if before.problem:
            # That the source itself cannot be read stays true.
            return dataclasses.replace(self._done(before), problem="")
        return self._done(
            self._book.signatures.read(
                self._campaign.slug, now=self._now, said=before.said, state=before.count_state
            )
        )

    def _probe(self, before: records.Standing, means: sources.Means) -> tuple[int | None, str]:
        """Return the number that the source says and what to tell it next time."""
        if not (self._campaign.count or self._campaign.source).counts:
            return None, ""
        state = before.count_state if before.said is not None else ""
        count = sources.probe(
            self._campaign, state=state, secret=self._key, now=self._now, means=means
        )
        if count is None:
            return before.said, before.count_state
        if before.said and not count.signatures:
            what = f"the source says that nobody has signed, after {before.said} had"
            hint = "look at it yourself; the last good number stays until it says another one"
            raise errors.SourceError(what, hint=hint)
        return count.signatures, count.state

    def _take(self, batch: sources.Batch, cursor: str | None) -> None:
        taken = self._book.signatures.take(
            self._campaign.slug,
            batch.signers,
            wording=(self._campaign.consent_version, self._campaign.wording_text),
            cursor=cursor,
            now=self._now,
        )
        for name in self._sums:
            self._sums[name] += getattr(taken, name)
        self._skipped += batch.skipped[: SHOWN - len(self._skipped)]
        if self._progress is not None:
            self._progress(batch)

    def _done(self, standing: records.Standing) -> Reading:
        return Reading(
            **self._sums, skipped=tuple(self._skipped), standing=standing, problem=standing.problem
        )
