"""JSON lines: one object a line."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import NoReturn

from deliverybot import campaign as campaigns
from deliverybot import errors
from deliverybot.sources import columns, encodings, files

#: Objects at the start that tell which consent fields these signers were asked for.
_LOOK = 1000
#: Shapes of objects whose keys are matched once only.
_SHAPES = 1000
#: Keys of one object; more is no signature, and a thousand such shapes fill the memory.
_KEYS = 500
_NAMES = ("name", "first_name", "last_name")


class Reading:
    """The rows of a JSON lines file after a mark."""

    #: The encoding is never a guess: JSON is UTF-8 unless a mark or the campaign says otherwise.
    guessed = False

    def __init__(
        self, file: files.File, campaign: campaigns.Campaign, mark: files.Mark | None
    ) -> None:
        self.file = file
        source = self._source = campaign.source
        self._shapes: dict[tuple[str, ...], columns.Found] = {}
        self.mark = mark or self._begin(source)
        #: The consent fields met so far.  Exporters leave out what is empty: once one signer of
        #: a file has such a field, another without it was asked and did not say yes.
        self.present = frozenset(self.mark.header)

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
        return columns.match(tuple(keys), self._source)

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
                values = self._values(content)
                problem = values if isinstance(values, str) else ""
                taken = None if isinstance(values, str) else values
                yield files.Row(offset, line, line, taken, problem)
            late = False

    def _begin(self, source: campaigns.Source) -> files.Mark:
        if not self.file.size:
            raise errors.SourceError("the file is empty", file=self.file.name)
        configured = source.encoding or "utf-8"
        found = encodings.find(self.file, offset=0, configured=configured)
        mark = files.Mark(kind="jsonl", offset=found.start, line=0, rows=0, encoding=found.encoding)
        asked: set[str] = {field for field in columns.CONSENT if field in source.columns}
        for _, record in zip(range(_LOOK), self._objects(mark), strict=False):
            if isinstance(record[2], dict):
                asked.update(self._match(record[2]).at.keys() & set(columns.CONSENT))
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

    def _match(self, content: Mapping[str, object]) -> columns.Found:
        shape = tuple(content)
        found = self._shapes.get(shape)
        if found is None:
            found = columns.match(shape, self._source)
            if len(self._shapes) < _SHAPES:
                self._shapes[shape] = found
        return found

    def _values(self, content: Mapping[str, object]) -> tuple[str, ...] | str:
        """Return the object's texts in the order of our fields, or why there are none."""
        found = self._match(content)
        if found.twice:
            return f"two of its keys mean the same: {columns.listed(found.twice)}"
        values = []
        for field in columns.FIELDS:
            if field not in found.at:
                values.append("")
                continue
            raw = content[found.header[found.at[field]]]
            value = _text(raw)
            if field in columns.CONSENT and field not in self.present:
                self.present |= {field}
            if field in _NAMES and (value is None or isinstance(raw, bool)):
                return f"{field!r} is no text"
            values.append(value or "")
        return tuple(values)


def _parse(raw: bytes | None, encoding: str) -> dict[str, object] | str:
    if raw is None:
        return files.TOO_LONG
    try:
        content = json.loads(raw.decode(encoding), parse_constant=_refuse)
    except UnicodeDecodeError as error:
        return f"its byte {error.start + 1} is not {encoding}"
    except json.JSONDecodeError as error:
        return f"it is not JSON: {error.msg.lower()} at column {error.colno}"
    except (ValueError, RecursionError):
        return "it is not JSON that can be read: a number or a depth beyond reason"
    if not isinstance(content, dict):
        return "it is no JSON object"
    return content if len(content) <= _KEYS else f"it has more than {_KEYS} keys"


def _refuse(word: str) -> NoReturn:
    raise ValueError(word)


def _text(value: object) -> str | None:
    """Return a JSON value as text; None for what has parts of its own."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else None
