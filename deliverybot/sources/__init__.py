"""Sources: where signatures come from, one module a kind.

A source gives a number (`probe`), signers (`read`), or both.  It keeps
nothing itself.  Where it stands goes out with each `Batch` as a cursor, is
stored by the caller in the same transaction as the batch's signers, and comes
back with the next call.  So a crash loses nothing and a signer that is given
twice is known by its key.

A kind is a subclass of `kinds.Source`, found by its name among the entry
points `deliverybot.sources`; docs/add-a-source.md shows how to add one.

Everything from the row on is the same for all kinds: `people.Clerk` cleans
the texts, reads the time and the permissions and hashes what recognises a
person.  E-mail addresses, phone numbers and columns that nobody mapped end
there; none of them gets into a batch, a cursor or an error.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import pathlib
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, BinaryIO, TypeVar, cast

from deliverybot import campaign as campaigns
from deliverybot import errors, hands, model, origins, plugins, sweeping
from deliverybot.origins import files as sections
from deliverybot.sources import filekind, kinds, people

log = logging.getLogger(__name__)

#: Rows left out that one batch tells of; the rest is only counted.
TOLD = 20
_T = TypeVar("_T")

Means = kinds.Means
Count = kinds.Count
_ENDINGS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Some signers and where to go on after them."""

    signers: tuple[model.Signer, ...]
    #: Text for the next `read`; to be stored together with the signers.
    cursor: str
    #: Rows read, those that could not be taken among them.
    rows: int
    #: Rows that could not be taken and other things to tell, at most `TOLD` and a sum.
    skipped: tuple[errors.Fault, ...] = ()
    #: How far the reading is, in bytes or rows, and how far it goes; 0: nobody knows.
    position: int = 0
    size: int = 0


def read(
    campaign: campaigns.Campaign,
    *,
    cursor: str | None,
    secret: bytes,
    now: datetime,
    batch: int = 10_000,
    means: Means = Means(),  # noqa: B008 - frozen
) -> Iterator[Batch]:
    """Give what is new at the campaign's source, at most `batch` rows at a time.

    Without anything new there is no batch.

    Raises:
        errors.SourceError: The source cannot be read, or not any further; the
            batches given before hold what came before that place.
    """
    if not campaign.source.lists or (means.offline and campaign.source.remote):
        return
    source = _open(campaign, campaign.source, secret=secret, now=now, most=batch, means=means)
    clerk = people.Clerk(campaign, secret)
    pages = source.pages(cursor)
    while (page := _guarded(source, lambda: next(pages, None))) is not None:
        yield _taken(page, clerk, source.name)


def read_file(
    campaign: campaigns.Campaign,
    *,
    secret: bytes,
    now: datetime,
    batch: int = 10_000,
    file: pathlib.Path | None = None,
    stream: BinaryIO | None = None,
) -> Iterator[Batch]:
    """Give what a file or stream holds that a person hands over, from its start to its end.

    The batches' cursors mean nothing to the campaign's own source.

    Raises:
        errors.SourceError: As above.
    """
    own = campaign.source
    kind = _ENDINGS.get(file.suffix.lower(), "") if file else ""
    if not kind:
        kind = own.kind if issubclass(_class(own.kind), filekind.FileSource) else "csv"
    if not issubclass(_class(own.kind), filekind.FileSource):
        # What a person hands over beside a platform's API is most likely that platform's report.
        own = sections.CsvSource(
            kind="csv", path="-", every="1d",
            preset="action-network" if own.kind == "actionnetwork" else None,
        )  # fmt: skip
    errand = kinds.Errand(campaign=campaign, section=own, secret=secret, now=now, most=batch)
    source = cast("filekind.FileSource", _class(kind)(errand))
    name = str(file) if file else "standard input"
    clerk: people.Clerk | None = None
    for copy, page in source.whole(file=file, stream=stream):
        clerk = clerk or people.Clerk(campaign, secret, copy=copy)
        yield _taken(page, clerk, name)


def probe(
    campaign: campaigns.Campaign,
    *,
    state: str,
    secret: bytes,
    now: datetime,
    means: Means = Means(),  # noqa: B008 - frozen
) -> Count | None:
    """Ask for the number of signatures; None where it is as it was at `state`.

    Raises:
        errors.SourceError: There is no certain answer.
    """
    section = campaign.count or campaign.source
    if means.offline and section.remote:
        return None
    source = _open(campaign, section, secret=secret, now=now, means=means)
    return _guarded(source, lambda: source.probe(state))


def _guarded(source: kinds.Source, act: Callable[[], _T]) -> _T:
    """Do a part of a reading; what it did not foresee is a failed reading like any other."""
    try:
        return act()
    except (errors.DeliverybotError, hands.Stopped):
        raise
    except Exception as error:
        kind = getattr(source.errand.section, "kind", "")
        log.debug("the source %s of %s failed", kind, source.campaign.slug, exc_info=error)
        raise errors.SourceError(
            f"the source {kind!r} met what it does not know: {type(error).__name__}",
            hint="`deliverybot run --once -v` says where; please report it to who wrote it",
        ) from error


def look(
    campaign: campaigns.Campaign,
    *,
    now: datetime,
    means: Means = Means(),  # noqa: B008 - frozen
) -> list[errors.Fault]:
    """Look at the source without taking anything: what is found, missing, dropped."""
    found = []
    for section in filter(None, (campaign.source, campaign.count)):
        if means.offline and section.remote:
            kind = getattr(section, "kind", "")
            what = f"the source {kind!r} is on the network and was not asked"
            found.append(errors.Fault(level="ok", what=what, file=str(campaign.file)))
            continue
        source = _open(campaign, section, secret=b"check", now=now, means=means)
        try:
            found += _guarded(source, source.look)
        except errors.SourceError as error:
            found.append(_fault(error))
    return found


def doubts(
    campaign: campaigns.Campaign, cursor: str | None, *, now: datetime
) -> list[errors.Fault]:
    """Say what a person should look at in what was taken in up to `cursor`; asks nothing."""
    if cursor is None:
        return []
    source = _open(campaign, campaign.source, secret=b"doubts", now=now)
    return _guarded(source, lambda: source.doubts(cursor))


def _fault(error: errors.SourceError) -> errors.Fault:
    what = str(error).removeprefix(f"{error.file}:{error.line}: ")
    what = what.removeprefix(f"{error.file}: ")
    # An address has no lines.
    line = error.line or (None if "://" in (error.file or "") else 1)
    return errors.Fault(level="fault", what=what, hint=error.hint, file=error.file, line=line)


def _class(kind: str) -> type[kinds.Source]:
    return cast("type[kinds.Source]", plugins.find(plugins.SOURCES, kind))


def _open(
    campaign: campaigns.Campaign,
    section: origins.Section,
    **errand: Any,  # noqa: ANN401
) -> kinds.Source:
    kind = str(getattr(section, "kind", ""))
    return _class(kind)(kinds.Errand(campaign=campaign, section=section, **errand))


def _taken(page: kinds.Page, clerk: people.Clerk, name: str) -> Batch:
    """Make signers of the rows of a page; say which could not be taken."""
    told = list(page.told)
    with sweeping.paused():
        made = [
            clerk.signer(row, number, page.asked)
            for number, row in enumerate(page.rows, page.before + 1)
        ]
    signers = tuple(signer for signer in made if not isinstance(signer, str))
    left_out = len(made) - len(signers)
    if left_out:
        refused = (
            _warning(name, row.line, f"this row was left out: {why}")
            for row, why in zip(page.rows, made, strict=True)
            if isinstance(why, str)
        )
        told += itertools.islice(refused, TOLD)
    told += [_warning(name, *notice) for notice in clerk.notices]
    clerk.notices.clear()
    if left_out > TOLD:
        what = f"{left_out - TOLD} more rows before this were left out"
        told.append(_warning(name, page.rows[-1].end_line, what))
    return Batch(
        signers=signers,
        cursor=page.cursor,
        rows=len(page.rows),
        skipped=tuple(told),
        position=page.position,
        size=page.size,
    )


def _warning(name: str, line: int, what: str, hint: str = "") -> errors.Fault:
    return errors.Fault(level="warning", what=what, hint=hint, file=name, line=line)
