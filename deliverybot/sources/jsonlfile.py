"""JSON lines: one object a line."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator

import typing_extensions

from deliverybot import errors
from deliverybot.origins import files as sections
from deliverybot.sources import columns, encodings, filekind, files, objects, plain

#: Objects at the start that tell which consent fields these signers were asked for.
_LOOK = 1000
#: Keys of one object; more is no signature, and a thousand such shapes fill the memory.
_KEYS = 500


class Jsonl(filekind.FileSource):
    """A file of JSON lines that grows at its end."""

    Settings = sections.JsonlSource

    @typing_extensions.override
    def open_rows(self, file: files.File, mark: files.Mark | None) -> Reading:
        return Reading(file, self.layout, mark)


class Reading:
    """The rows of a JSON lines file after a mark."""

    #: The encoding is never a guess: JSON is UTF-8 unless a mark or the campaign says otherwise.
    guessed = False

    def __init__(self, file: files.File, layout: columns.Layout, mark: files.Mark | None) -> None:
        self.file = file
        self._layout = layout
        self._objects_of = objects.Objects(layout)
        self.mark = mark or self._begin(layout)
        self._objects_of.asked = frozenset(self.mark.header)

    @property
    def present(self) -> frozenset[str]:
        """The consent fields met so far."""
        return self._objects_of.asked

    def note(self, mark: files.Mark) -> files.Mark:
        """Return the mark with the consent fields met so far."""
        return dataclasses.replace(mark, header=tuple(sorted(self.present)))

    @property
    def found(self) -> columns.Found:
        """The keys of the first objects, matched as if they were a heading."""
        keys: dict[str, None] = {}
        for _, record in zip(range(_LOOK), self._objects(self.mark), strict=False):
            if isinstance(record[2], dict):
                keys.update(dict.fromkeys(record[2]))
        return columns.match(tuple(keys), self._layout)

    def rows(self) -> Iterator[files.Row]:
        """Give each line after the mark; empty ones are passed over."""
        offset, line = self.mark.offset, self.mark.line
        late = self.file.cut_before(self.mark)
        for size, count, content in self._objects(self.mark):
            offset += size
            line += count
            # An empty line before it means that the row had been whole.
            if late and count == 1:
                yield files.Row(offset, line, line, None, files.LATE)
            elif isinstance(content, str):
                yield files.Row(offset, line, line, None, content)
            else:
                values = self._objects_of.values(content)
                problem = values if isinstance(values, str) else ""
                taken = None if isinstance(values, str) else values
                if values != ():
                    yield files.Row(offset, line, line, taken, problem)
            late = False

    def _begin(self, layout: columns.Layout) -> files.Mark:
        if not self.file.size:
            raise errors.SourceError("the file is empty", file=self.file.name)
        configured = layout.encoding or "utf-8"
        found = encodings.find(self.file, offset=0, configured=configured)
        mark = files.Mark(kind="jsonl", offset=found.start, line=0, rows=0, encoding=found.encoding)
        asked: set[str] = {field for field in columns.CONSENT if field in layout.columns}
        for _, record in zip(range(_LOOK), self._objects(mark), strict=False):
            if isinstance(record[2], dict):
                asked.update(self._objects_of.match(record[2]).at.keys() & set(columns.CONSENT))
        return dataclasses.replace(mark, header=tuple(sorted(asked)))

    def _objects(self, mark: files.Mark) -> Iterator[tuple[int, int, dict[str, object] | str]]:
        """Give bytes, lines and the object, or the reason why there is none."""
        size = count = 0
        for length, raw in files.lines(self.file, mark):
            size += length
            count += 1
            if raw is not None and not raw.strip(b" \t\r\n\0"):
                continue
            yield size, count, _parse(raw, mark.encoding)
            size = count = 0


def _parse(raw: bytes | None, encoding: str) -> dict[str, object] | str:
    if raw is None:
        return files.TOO_LONG
    try:
        content = json.loads(raw.decode(encoding), parse_constant=plain.no_number)
    except UnicodeDecodeError as error:
        return f"its byte {error.start + 1} is not {encoding}"
    except json.JSONDecodeError as error:
        return f"it is not JSON: {error.msg.lower()} at column {error.colno}"
    except (ValueError, RecursionError):
        return "it is not JSON that can be read: a number or a depth beyond reason"
    if not isinstance(content, dict):
        return "it is no JSON object"
    return content if len(content) <= _KEYS else f"it has more than {_KEYS} keys"
