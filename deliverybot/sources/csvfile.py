"""CSV as platforms really write it: any usual delimiter, quotes right or wrong.

Python's csv module reads each record strictly.  Where it refuses one, a
splitter of our own reads it as exporters that never escape a quote meant it;
what neither can read is left out with its line, and the reading goes on with
the line after it.
"""

from __future__ import annotations

import collections
import csv
import dataclasses
import operator
import re
from collections.abc import Callable, Iterator

import typing_extensions

from deliverybot import errors
from deliverybot.origins import files as sections
from deliverybot.sources import columns, encodings, filekind, files

#: Delimiters that are found without being configured; the earlier wins a tie.
DELIMITERS = ",;\t|"
#: Lines that a record with broken quotes may take: enough for a comment, little to search.
_MEND_LINES = 50

_Line = tuple[int, str | None]


class Csv(filekind.FileSource):
    """A CSV file that grows at its end."""

    Settings = sections.CsvSource

    @typing_extensions.override
    def open_rows(self, file: files.File, mark: files.Mark | None) -> Reading:
        return Reading(file, self.layout, mark)


class Reading:
    """The rows of a CSV file after a mark."""

    def __init__(self, file: files.File, layout: columns.Layout, mark: files.Mark | None) -> None:
        if mark is None:
            mark, self.guessed = _begin(file, layout)
        else:
            mark, self.guessed = _go_on(file, layout, mark)
        self.file = file
        self.mark = mark
        self._export = layout.export
        self.found = columns.match(mark.header, layout)
        #: Our fields that this file has a column for.
        self.present = frozenset(self.found.at)

    def note(self, mark: files.Mark) -> files.Mark:
        """Return the mark as it is."""
        return mark

    def rows(self) -> Iterator[files.Row]:
        """Give each row after the mark; empty ones are passed over.

        Raises:
            errors.SourceError: The heading does not fit, or a byte does not decode.
        """
        for what, hint in self.found.problems():
            raise errors.SourceError(what, file=self.file.name, line=1, hint=hint)
        want = len(self.mark.header)
        # An empty value is put behind each row, for the fields that have no column.
        pick = operator.itemgetter(*(self.found.at.get(f, want) for f in columns.FIELDS))
        offset, line = self.mark.offset, self.mark.line
        prefix, own = self._export.prefix, self.found.at.get("id", want)
        for size, count, cells, problem in _Records(
            self.file, self.mark, raw_quotes=self._export.raw_quotes
        ):
            start = line + 1
            offset += size
            line += count
            if problem:
                yield files.Row(offset, line, start, None, problem)
            elif cells[0].strip() or any(cell.strip() for cell in cells):
                if self.found.only and not self.found.counts(cells):
                    continue
                cells.append("")
                if prefix and cells[own].strip():
                    cells[own] = prefix + cells[own].strip()
                yield files.Row(offset, line, start, pick(cells))


def _begin(file: files.File, layout: columns.Layout) -> tuple[files.Mark, bool]:
    """Read encoding, delimiter and heading at the start of a file."""
    found = encodings.find(file, offset=0, configured=layout.encoding, language=layout.language)
    bare = files.Mark(kind="csv", offset=found.start, line=0, rows=0, encoding=found.encoding)
    text, size, count = _heading(file, bare)
    delimiter = layout.delimiter or _delimiter(text)
    csv.field_size_limit(files.LIMIT)
    try:
        cells = next(csv.reader(text.splitlines(keepends=True), delimiter=delimiter), [])
    except csv.Error:
        what = "the heading cannot be read: its quotes do not match"
        raise errors.SourceError(what, file=file.name, line=1) from None
    header = [cell.strip() for cell in cells]
    while header and not header[-1]:
        del header[-1]
    mark = files.Mark(
        kind="csv",
        offset=bare.offset + size,
        line=count,
        rows=0,
        encoding=found.encoding,
        delimiter=delimiter,
        header=tuple(header),
    )
    return mark, found.guessed


def _go_on(file: files.File, layout: columns.Layout, mark: files.Mark) -> tuple[files.Mark, bool]:
    """Keep what was found the first time; plain ASCII has yet to show its encoding."""
    if mark.encoding != "ascii":
        return mark, False
    found = encodings.find(
        file, offset=mark.offset, configured=layout.encoding, language=layout.language
    )
    return dataclasses.replace(mark, encoding=found.encoding), found.guessed


def _heading(file: files.File, mark: files.Mark) -> tuple[str, int, int]:
    """Return the heading's text, and the bytes and lines up to its end."""
    text, size, count = "", 0, 0
    for length, raw in files.lines(file, mark):
        size += length
        count += 1
        line = decode(raw, mark.encoding, file, count) if raw is not None else None
        if line is None or len(text) + len(line) > files.LIMIT:
            hint = "is it really CSV?"
            raise errors.SourceError("the heading is endless", file=file.name, line=1, hint=hint)
        text += line if text or line.strip() else ""
        if text and text.count('"') % 2 == 0:
            break
    if "\r" in text.rstrip("\r\n").replace("\r\n", ""):
        hint = "save it as CSV UTF-8"
        what = "the lines end as on an old Macintosh (CR only)"
        raise errors.SourceError(what, file=file.name, line=1, hint=hint)
    if not text:
        what = "the file is empty" if not file.size else "the file has no heading yet"
        hint = "it must begin with a line that names the columns"
        raise errors.SourceError(what, file=file.name, hint=hint)
    return text, size, count


def _delimiter(heading: str) -> str:
    outside = re.sub('"[^"]*"', "", heading)
    return max(DELIMITERS, key=outside.count)


def decode(raw: bytes, encoding: str, file: files.File, line: int) -> str:
    """Decode one line.

    Raises:
        errors.SourceError: A byte is not of this encoding.
    """
    try:
        return raw.decode("utf-8" if encoding == "ascii" else encoding)
    except UnicodeDecodeError as error:
        what = f"byte {error.start + 1} of this line is not {encoding}"
        hint = "save the file in one encoding, UTF-8 at best, or set `encoding` under [source]"
        raise errors.SourceError(what, file=file.name, line=line, hint=hint) from None


class _Records:
    """Cuts lines into records: bytes, lines, cells, or a problem in place of the cells."""

    def __init__(self, file: files.File, mark: files.Mark, *, raw_quotes: bool) -> None:
        self._file = file
        self._mark = mark
        #: Whether a quote in a value is never escaped, so that a record may seem to end there.
        self._raw = raw_quotes
        self._lines = self._decoded()
        self._want = len(mark.header)
        #: Lines that were looked at and put back.
        self._ahead: collections.deque[_Line] = collections.deque()
        #: Lines of the record in hand.
        self._taken: list[_Line] = []
        self._ended = False
        self._late = file.cut_before(mark)

    def __iter__(self) -> Iterator[tuple[int, int, list[str], str]]:
        reader = self._reader()
        taken = self._taken
        if self._late and (line := self._next()) is not None:
            late = line[1] is None or line[1].strip()
            yield line[0], 1, [""], files.LATE if late else ""
        while True:
            taken.clear()
            problem, refused = "", False
            try:
                cells = next(reader)
                if len(cells) != self._want:
                    cells, problem = self._fit(cells)
            except StopIteration:
                return
            except csv.Error:
                cells, refused = [], True
            if refused or (self._raw and (problem or not self._is_exact(cells))):
                mended = self._mend(1 if refused else len(taken))
                if mended is None:
                    return
                if refused or not mended[1]:
                    cells, problem = mended
                reader = self._reader()
            if len(taken) == 1:
                yield taken[0][0], 1, cells, problem
            else:
                yield sum(line[0] for line in taken), len(taken), cells, problem

    def _reader(self) -> Iterator[list[str]]:
        return csv.reader(
            self._feed(), delimiter=self._mark.delimiter, strict=True, skipinitialspace=True
        )

    def _feed(self) -> Iterator[str]:
        taken, ahead, lines = self._taken, self._ahead, self._lines
        size = 0
        while (line := ahead.popleft() if ahead else next(lines, None)) is not None:
            size = size + line[0] if taken else line[0]
            taken.append(line)
            if line[1] is None or size > files.LIMIT:
                raise csv.Error
            yield line[1]

    def _next(self) -> _Line | None:
        return self._ahead.popleft() if self._ahead else next(self._lines, None)

    def _decoded(self) -> Iterator[_Line]:
        file, encoding = self._file, self._mark.encoding
        each = files.lines(file, self._mark)
        for number, (size, raw) in enumerate(each, self._mark.line + 1):
            yield size, None if raw is None else decode(raw, encoding, file, number)
        self._ended = True

    def _is_exact(self, cells: list[str]) -> bool:
        """Tell whether a record that begins with a quote is the same where all values have them."""
        text = "".join(line or "" for _, line in self._taken)
        if not text.startswith('"'):
            return True
        return split(text, self._mark.delimiter, all_quoted=True) == cells

    def _mend(self, lines: int) -> tuple[list[str], str] | None:
        """Read again a record that the csv module refuses; None if it may be growing still.

        What cannot be mended takes `lines` of the lines that were read for it.
        """
        if self._ended and not self._file.settled():
            return None
        pulled = self._taken.copy()
        text = ""
        for count in range(1, _MEND_LINES + 1):
            if count > len(pulled):
                if self._ended or (line := self._next()) is None:
                    break
                pulled.append(line)
            part = pulled[count - 1][1]
            if part is None or len(text) + len(part) > files.LIMIT:
                break
            text += part
            cells = split(text, self._mark.delimiter, all_quoted=self._raw)
            if cells is not None and len(cells) >= self._want and not self._fit(cells)[1]:
                self._keep(pulled, count)
                return self._fit(cells)
        if self._ended and not self._file.settled():
            return None
        self._keep(pulled, lines)
        if pulled[0][1] is None:
            return [], files.TOO_LONG
        return [], "its quotes do not match"

    def _keep(self, pulled: list[_Line], count: int) -> None:
        self._taken[:] = pulled[:count]
        self._ahead.extendleft(reversed(pulled[count:]))

    def _fit(self, cells: list[str]) -> tuple[list[str], str]:
        """Cut off empty values beyond the heading; say so if the number does not fit."""
        if not any(cell.strip() for cell in cells):
            return [""] * self._want, ""
        if len(cells) >= self._want and not any(cell.strip() for cell in cells[self._want :]):
            return cells[: self._want], ""
        return [], f"it has {len(cells)} values where the heading has {self._want}"


def split(text: str, delimiter: str, *, all_quoted: bool = False) -> list[str] | None:
    """Split a record whose quotes are not escaped; None if it is none.

    A quote closes where a delimiter or the end follows.  A delimiter and a
    quote inside a value would be the start of the next one, so somebody's
    quote is missing and nothing is certain.  Where all values are quoted,
    only a delimiter with the next quote behind it closes one.
    """
    match = _field(delimiter, all_quoted=all_quoted)
    text = text.rstrip("\r\n")
    cells: list[str] = []
    place = 0
    while place <= len(text):
        found = match(text, place)
        if found is None:
            return None
        quoted, bare = found.groups()
        if quoted is not None and not all_quoted and delimiter + '"' in quoted:
            return None
        cells.append(bare if quoted is None else quoted.replace('""', '"'))
        place = found.end() + 1
    return cells


def _field(delimiter: str, *, all_quoted: bool) -> Callable[[str, int], re.Match[str] | None]:
    if all_quoted:
        end = rf'(?={re.escape(delimiter)}"|\Z)'
        return re.compile(rf'(?:"(.*?)"{end}|((?!)))', re.DOTALL).match
    end = rf"(?={re.escape(delimiter)}|\Z)"
    bare = rf'(?! *")([^{re.escape(delimiter)}\n]*)'
    return re.compile(rf'(?: *"(.*?)" *{end}|{bare}{end})', re.DOTALL).match
