"""Sources: where signatures come from, one module a kind.

A source answers two questions: what is new (`read`), and can it be read at
all (`probe`).  It keeps nothing itself.  Where it stands goes out with each
`Batch` as a cursor, is stored by the caller in the same transaction as the
batch's signers, and comes back with the next call.  So a crash loses nothing
and a signer that is given twice is known by its key.

To add a kind, say ``parquet``:

1. its settings model in campaign.py, with ``kind: Literal["parquet"]``;
2. a module here with a class of the form of `reading.Reading`: made from a file, the
   campaign and the mark it stands at, it gives `files.Row` tuples;
3. a line in `_KINDS`, and its file endings in `_ENDINGS`.

Everything from the row on is the same for all kinds: `people.Clerk` cleans
the texts, reads the time and the permissions and hashes what recognises a
person.  E-mail addresses, phone numbers and columns that nobody mapped end
there; none of them gets into a batch, a cursor or an error.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import pathlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import BinaryIO

from deliverybot import campaign as campaigns
from deliverybot import errors, model
from deliverybot.sources import checks, csvfile, encodings, files, jsonlfile, people
from deliverybot.sources import reading as kinds

#: Rows left out that one batch tells of; the rest is only counted.
TOLD = 20

_KINDS: Mapping[str, Callable[..., kinds.Reading]] = {
    "csv": csvfile.Reading,
    "jsonl": jsonlfile.Reading,
}
_ENDINGS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Some signers and where to go on after them."""

    signers: tuple[model.Signer, ...]
    #: JSON text for the next `read`; to be stored together with the signers.
    cursor: str
    #: Rows read, those that could not be taken among them.
    rows: int
    #: Rows that could not be taken and other things to tell, at most `TOLD` and a sum.
    skipped: tuple[errors.Fault, ...] = ()
    #: Bytes read of the file so far, and its size.
    position: int = 0
    size: int = 0


def read(
    campaign: campaigns.Campaign,
    *,
    cursor: str | None,
    secret: bytes,
    now: datetime,
    batch: int = 10_000,
    file: pathlib.Path | None = None,
    stream: BinaryIO | None = None,
) -> Iterator[Batch]:
    """Give what is new at the campaign's source, at most `batch` rows at a time.

    Without anything new there is no batch.  A row that is cut in half is left
    for the next reading; a last row without a line end is taken once the file
    has rested for a minute before `now`.  If what was read before is no longer
    there unchanged, reading begins anew and the first batch says so.

    `file` or `stream` are read in place of the campaign's own, from their
    start, to their last letter; their batches' cursors mean nothing to it.

    Raises:
        errors.SourceError: The source cannot be read, or not any further; the
            batches given before hold what came before that place.
    """
    with contextlib.ExitStack() as stack:
        if stream is not None:
            opened = stack.enter_context(files.open_stream(stream, name="standard input"))
        else:
            path = file or campaign.source_path
            opened = stack.enter_context(files.open_file(path, now=None if file else now))
        by_hand = file is not None or stream is not None
        kind = _kind(campaign, file)
        mark = None
        notices: list[errors.Fault] = []
        if cursor is not None and not by_hand:
            mark = _resume(campaign, cursor, opened, secret)
            notices = [] if mark else [checks.changed(opened.name)]
        reading = _KINDS[kind](opened, campaign, mark)
        copy = _copy(opened, reading.mark) if by_hand and not _is_own(campaign, file) else ""
        clerk = people.Clerk(campaign, secret, copy=copy)
        tray = _Tray(opened, reading, clerk, secret, notices)
        yield from tray.batches(batch, None if by_hand else cursor)


def probe(campaign: campaigns.Campaign) -> list[errors.Fault]:
    """Look at the source without taking anything: what is found, missing, dropped."""
    try:
        with files.open_file(campaign.source_path, now=None) as opened:
            reading = _KINDS[campaign.source.kind](opened, campaign, None)
            return checks.look(opened, reading)
    except errors.SourceError as error:
        what = str(error).removeprefix(f"{error.file}:{error.line}: ")
        what = what.removeprefix(f"{error.file}: ")
        return [
            errors.Fault(
                level="fault", what=what, hint=error.hint, file=error.file, line=error.line or 1
            )
        ]


def _kind(campaign: campaigns.Campaign, file: pathlib.Path | None) -> str:
    if file is None:
        return campaign.source.kind
    return _ENDINGS.get(file.suffix.lower(), campaign.source.kind)


def _is_own(campaign: campaigns.Campaign, file: pathlib.Path | None) -> bool:
    own = campaign.source_path
    return file is not None and own.exists() and own.samefile(file)


def _copy(opened: files.File, mark: files.Mark) -> str:
    """Return what tells this file from others: its heading and its first line."""
    begin = next((raw for _, raw in files.lines(opened, mark) if raw), b"")
    return hashlib.blake2b(repr(mark.header).encode() + begin.strip()).hexdigest() + ":"


def _resume(
    campaign: campaigns.Campaign, cursor: str, opened: files.File, secret: bytes
) -> files.Mark | None:
    """Return the mark of a cursor, unless file or settings make it worthless."""
    mark = files.load(cursor, opened, secret)
    source = campaign.source
    if mark is None or mark.kind != source.kind:
        return None
    if isinstance(source, campaigns.CsvSource) and source.delimiter not in {None, mark.delimiter}:
        return None
    if source.encoding and mark.encoding != "ascii":
        found = encodings.find(opened, offset=0, configured=source.encoding)
        return mark if found.encoding == mark.encoding else None
    return mark


class _Tray:
    """Collects signers until a batch is full."""

    def __init__(
        self,
        opened: files.File,
        reading: kinds.Reading,
        clerk: people.Clerk,
        secret: bytes,
        notices: list[errors.Fault],
    ) -> None:
        self._opened = opened
        self._reading = reading
        self._clerk = clerk
        self._secret = secret
        self._told = notices
        self._signers: list[model.Signer] = []
        self._mark = reading.mark
        self._last: files.Row | None = None
        self._rows = 0
        self._left_out = 0

    def batches(self, most: int, cursor: str | None) -> Iterator[Batch]:
        """Give full batches, then what is left; what came before an error, before the error."""
        try:
            for row in self._reading.rows():
                self._put(row)
                if self._rows >= most:
                    full = self._empty()
                    cursor = full.cursor
                    yield full
        except errors.SourceError:
            if self._rows:
                yield self._empty()
            raise
        rest = self._empty()
        if rest.rows or rest.skipped or rest.cursor != cursor:
            yield rest

    def _put(self, row: files.Row) -> None:
        self._rows += 1
        number = self._mark.rows + self._rows
        signer = self._clerk.signer(row, number, self._reading.present)
        self._last = row
        if isinstance(signer, str):
            self._left_out += 1
            if self._left_out <= TOLD:
                self._tell(row.line, f"this row was left out: {signer}")
        else:
            self._signers.append(signer)

    def _tell(self, line: int, what: str, hint: str = "") -> None:
        name = self._opened.name
        self._told.append(errors.Fault(level="warning", what=what, hint=hint, file=name, line=line))

    def _empty(self) -> Batch:
        mark = self._mark
        if self._last is not None:
            mark = dataclasses.replace(
                mark,
                offset=self._last.end,
                line=self._last.end_line,
                rows=mark.rows + self._rows,
            )
        mark = self._mark = self._reading.note(mark)
        for line, what, hint in self._clerk.notices:
            self._tell(line, what, hint)
        self._clerk.notices.clear()
        if self._left_out > TOLD:
            self._tell(mark.line, f"{self._left_out - TOLD} more rows before this were left out")
        batch = Batch(
            signers=tuple(self._signers),
            cursor=files.dump(mark, self._opened, self._secret),
            rows=self._rows,
            skipped=tuple(self._told),
            position=mark.offset,
            size=max(self._opened.size, mark.offset),
        )
        self._signers, self._told, self._rows, self._left_out = [], [], 0, 0
        self._last = None
        return batch
