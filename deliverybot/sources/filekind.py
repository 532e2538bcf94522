"""Sources that are files: pages of rows after a mark, and where the mark stands behind them."""

from __future__ import annotations

import abc
import dataclasses
import hashlib
import itertools
import pathlib
from collections.abc import Iterator
from typing import BinaryIO

import typing_extensions

from deliverybot import errors, sweeping
from deliverybot.sources import (
    checks,
    columns,
    downloads,
    encodings,
    files,
    hosts,
    kinds,
    people,
    reading,
)


class FileSource(kinds.Source):
    """A file of rows that grows at its end, on this machine or at a web address."""

    @property
    def url(self) -> str:
        """Its web address; empty where it lies on this machine."""
        return str(getattr(self.errand.section, "url", None) or "")

    @property
    def path(self) -> pathlib.Path:
        """The file."""
        return self.campaign.file.parent / (getattr(self.errand.section, "path", None) or "")

    @property
    @typing_extensions.override
    def name(self) -> str:
        return hosts.shown(self.url) if self.url else str(self.path)

    @property
    def layout(self) -> columns.Layout:
        """How its rows are written."""
        return columns.Layout.of(self.errand.section, self.campaign.language)

    @abc.abstractmethod
    def open_rows(self, file: files.File, mark: files.Mark | None) -> reading.Reading:
        """Return the rows of an open file after a mark."""

    @typing_extensions.override
    def pages(self, cursor: str | None) -> Iterator[kinds.Page]:
        # A file that was moved to the web, or from it, is still the same.
        place, state = downloads.load(cursor)
        if not self.url:
            with files.open_file(self.path, now=self.errand.now) as file:
                yield from self._after(file, place)
            return
        with downloads.opened(self.errand, self.url, state=state) as download:
            if download is not None:
                each = self._after(download.file, place)
                yield from downloads.pages(each, place, download, state)

    def _after(self, file: files.File, cursor: str | None) -> Iterator[kinds.Page]:
        """Give what stands behind a place in an open file; from the start where that is another."""
        mark = None if cursor is None else self._resume(cursor, file)
        told = () if cursor is None or mark else (checks.changed(file.name),)
        yield from self._paged(file, self.open_rows(file, mark), told, cursor)

    def whole(
        self, *, file: pathlib.Path | None = None, stream: BinaryIO | None = None
    ) -> Iterator[tuple[str, kinds.Page]]:
        """Give all rows of another file or of a stream; beside each page, what tells it from ours.

        That is empty where the file is the campaign's own.
        """
        if stream is not None:
            opening = files.open_stream(stream, name="standard input")
        else:
            opening = files.open_file(file or self.path, now=None, pipes=file is not None)
        with opening as opened:
            rows = self.open_rows(opened, None)
            copy = "" if self._is_own(file) else _copy(opened, rows.mark)
            for page in self._paged(opened, rows, (), None):
                yield copy, page

    @typing_extensions.override
    def look(self) -> list[errors.Fault]:
        clerk = people.Clerk(self.campaign, self.errand.secret)
        if not self.url:
            with files.open_file(self.path, now=None) as file:
                return checks.look(file, self.open_rows(file, None), clerk)
        with downloads.opened(self.errand, self.url) as download:
            if download is None:
                return []
            return checks.look(download.file, self.open_rows(download.file, None), clerk)

    def _is_own(self, file: pathlib.Path | None) -> bool:
        own = self.path
        return file is not None and own.is_file() and own.samefile(file)

    def _resume(self, cursor: str, file: files.File) -> files.Mark | None:
        """Return the mark of a cursor, unless file or settings make it worthless."""
        mark = files.load(cursor, file, self.errand.secret)
        layout = self.layout
        if mark is None or mark.kind != getattr(self.errand.section, "kind", ""):
            return None
        if layout.delimiter not in {None, mark.delimiter}:
            return None
        if layout.encoding and mark.encoding != "ascii":
            found = encodings.find(file, offset=0, configured=layout.encoding)
            return mark if found.encoding == mark.encoding else None
        return mark

    def _dump(self, mark: files.Mark, file: files.File) -> str:
        """Return the cursor for a mark."""
        return files.dump(mark, file, self.errand.secret)

    def _paged(
        self,
        file: files.File,
        rows: reading.Reading,
        told: tuple[errors.Fault, ...],
        cursor: str | None,
    ) -> Iterator[kinds.Page]:
        """Cut the rows into pages; what came before an error is given before the error."""
        mark, each = rows.mark, rows.rows()
        most = self.errand.most
        problem: errors.SourceError | None = None
        while problem is None:
            taken: list[files.Row] = []
            try:
                with sweeping.paused():
                    # What came before an error stays in the list.
                    taken.extend(itertools.islice(each, most))
            except errors.SourceError as error:
                problem = error
            if not taken and problem is not None:
                break
            before = mark.rows
            if taken:
                mark = dataclasses.replace(
                    mark, offset=taken[-1].end, line=taken[-1].end_line, rows=before + len(taken)
                )
            mark = rows.note(mark)
            written = self._dump(mark, file)
            if not taken and not told and written == cursor:
                break
            yield kinds.Page(
                rows=taken, cursor=written, before=before, asked=rows.present, told=told,
                position=mark.offset, size=max(file.size, mark.offset),
            )  # fmt: skip
            told, cursor = (), written
            if len(taken) < most:
                break
        if problem is not None:
            raise problem


def _copy(opened: files.File, mark: files.Mark) -> str:
    """Return what tells this file from others: its heading and its first line."""
    begin = next((raw for _, raw in files.lines(opened, mark) if raw), b"")
    return hashlib.blake2b(repr(mark.header).encode() + begin.strip()).hexdigest() + ":"
