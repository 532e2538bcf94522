"""Parquet: columns in row groups, and a footer at the end that says where they are.

Such a file does not grow; it is written anew.  Where a longer one begins with
the very row groups that were read, the reading goes on behind them; any other
one is read from its start, and people are recognised.
"""

from __future__ import annotations

import bisect
import dataclasses
import hashlib
import json
from collections.abc import Iterator

import typing_extensions

from deliverybot import errors
from deliverybot.origins import files as sections
from deliverybot.sources import apart, columns, filekind, files, objects

_MAGIC, _LOCKED = b"PAR1", b"PARE"
#: Bytes of the shortest file, and of the longest footer that is read.
_SHORTEST, _FOOTER = 12, 64 << 20
#: Rows that a byte can hold: a signer takes several bytes, however well packed.
_ROWS_A_BYTE, _SOME = 8, 1000
#: Columns and row groups of one file; more is no list of signers.
_COLUMNS, _GROUPS = 500, 100_000
_PIECE = 1 << 20
_VERSION = 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mark(files.Mark):
    """How far a file was read; `line` is the number of rows behind us, `rows` of those given."""

    #: Tells this file from any other.
    identity: str
    #: Rows in the file.
    total: int
    #: Row groups that are wholly behind us, their rows, and those of them that were given.
    groups: int = 0
    group_line: int = 0
    group_rows: int = 0
    #: Proves that these groups are unchanged.
    proof: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What a file's footer says."""

    header: tuple[str, ...]
    #: Columns that hold single values.
    flat: frozenset[str]
    #: Of each row group: the rows up to its end, and its first byte and the one behind it.
    ends: tuple[int, ...]
    bytes: tuple[tuple[int, int], ...]

    @property
    def total(self) -> int:
        """Rows in the file."""
        return self.ends[-1] if self.ends else 0


class Parquet(filekind.FileSource):
    """A Parquet file that is written anew as it grows."""

    Settings = sections.ParquetSource

    @typing_extensions.override
    def open_rows(self, file: files.File, mark: files.Mark | None) -> Reading:
        own = mark if isinstance(mark, Mark) else None
        return Reading(file, self.layout, own, self.errand.secret)

    @typing_extensions.override
    def _resume(self, cursor: str, file: files.File) -> files.Mark | None:
        mark = _load(cursor)
        identity = _identity(file, self.errand.secret)
        if mark is None or mark.identity == identity:
            return mark
        form = _form(file)
        same = 0 < mark.groups <= len(form.ends) and form.header == mark.header
        if same and _proof(file, form, mark.groups, self.errand.secret) == mark.proof:
            return dataclasses.replace(
                mark, identity=identity, total=form.total, line=mark.group_line,
                rows=mark.group_rows,
            )  # fmt: skip
        fresh = self.open_rows(file, None)
        # A file written anew is nothing to tell of where its people can be recognised.
        known = any(field in fresh.found.at for field in columns.KEYS)
        return fresh.mark if known else None

    @typing_extensions.override
    def _dump(self, mark: files.Mark, file: files.File) -> str:
        fields = dataclasses.asdict(mark) | {"version": _VERSION}
        return json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


class Reading:
    """The rows of a Parquet file after a mark."""

    #: Parquet's texts are UTF-8.
    guessed = False

    def __init__(
        self, file: files.File, layout: columns.Layout, mark: Mark | None, secret: bytes
    ) -> None:
        self.file = file
        self._layout = layout
        self._secret = secret
        identity = _identity(file, secret)
        self._form: Form | None = None
        self._walk: _Walk | None = None
        if mark is None:
            self._form = _form(file)
            mark = Mark(
                kind="parquet", offset=0, line=0, rows=0, encoding="utf-8",
                header=self._form.header, identity=identity, total=self._form.total,
            )  # fmt: skip
        self.mark: files.Mark = mark
        self._at = mark
        self.found = columns.match(mark.header, layout)
        #: Our fields that this file has a column for.
        self.present = frozenset(self.found.at)

    def note(self, mark: files.Mark) -> files.Mark:
        """Return the mark as far as the reading is, rows that do not count among them."""
        del mark
        walk, form = self._walk, self._form
        if walk is None or form is None:
            return self._at
        proof = self._at.proof
        for place in range(self._at.groups, walk.groups):
            proof = _prove(proof, self.file, form, place, self._secret)
        self._at = dataclasses.replace(
            self._at, line=walk.line, rows=walk.given, groups=walk.groups, proof=proof,
            group_line=form.ends[walk.groups - 1] if walk.groups else 0,
            group_rows=walk.group_rows, offset=self.file.size * walk.line // max(1, form.total),
        )  # fmt: skip
        return self._at

    def rows(self) -> Iterator[files.Row]:
        """Give each row after the mark.

        Raises:
            errors.SourceError: The columns do not fit, or the file is damaged.
        """
        for what, hint in self.found.problems():
            raise errors.SourceError(what, file=self.file.name, hint=hint)
        if self._at.line >= self._at.total:
            return
        form = self._form = self._form or _form(self.file)
        names = self._names(form)
        first = bisect.bisect_right(form.ends, self._at.line)
        start = form.ends[first - 1] if first else 0
        job = {
            "task": "rows",
            "columns": names,
            "groups": list(range(first, len(form.ends))),
            "skip": self._at.line - start,
        }
        texts = objects.Objects(self._layout)
        walk = self._walk = _Walk(self._at, form)
        for answer in apart.ask(self.file, job):
            for cells in answer["rows"]:
                values: tuple[str, ...] | str = files.TOO_LONG
                if cells is not None:
                    values = texts.values(dict(zip(names, cells, strict=True)))
                walk.step(given=values != ())
                if values != ():
                    yield files.Row.of(walk.line, values)
        if walk.line != form.total:
            what = f"the file is damaged: it has {walk.line} rows where its end says {form.total}"
            raise errors.SourceError(what, file=self.file.name, hint="write it again")

    def _names(self, form: Form) -> list[str]:
        """Return the columns that are read; nothing else is ever unpacked."""
        places = {*self.found.at.values(), *(place for place, _ in self.found.only)}
        names = [form.header[place] for place in sorted(places)]
        for name in names:
            if name not in form.flat or names.count(name) > 1:
                what = f"the column {name!r} holds lists or parts of its own"
                hint = "write its parts as columns of their own"
                raise errors.SourceError(what, file=self.file.name, hint=hint)
        return names


class _Walk:
    """How far a reading is."""

    def __init__(self, mark: Mark, form: Form) -> None:
        self.line, self.given = mark.line, mark.rows
        #: Row groups that are behind us, and the rows given up to the end of the last one.
        self.groups, self.group_rows = mark.groups, mark.group_rows
        self._ends = form.ends

    def step(self, *, given: bool) -> None:
        """Go on by a row."""
        self.line += 1
        self.given += given
        while self.groups < len(self._ends) and self._ends[self.groups] <= self.line:
            self.groups += 1
            self.group_rows = self.given


def _identity(file: files.File, secret: bytes) -> str:
    """Return what tells this file from others: its size, its beginning, its footer.

    Raises:
        errors.SourceError: It is no Parquet file, or its end is missing.
    """
    end = file.at(file.size - 8, 8) if file.size >= _SHORTEST else b""
    if file.at(0, 4) not in {_MAGIC, _LOCKED}:
        hint = 'is it really Parquet? a CSV file is kind = "csv"'
        raise errors.SourceError("this is no Parquet file", file=file.name, hint=hint)
    if _LOCKED in {file.at(0, 4), end[4:]}:
        hint = "write it without encryption"
        raise errors.SourceError("the file is encrypted", file=file.name, hint=hint)
    length = int.from_bytes(end[:4], "little")
    if end[4:] != _MAGIC or length > min(file.size - _SHORTEST, _FOOTER):
        what = "the end of the file is missing or damaged"
        hint = "if it is still being written: write it under another name, then rename it"
        raise errors.SourceError(what, file=file.name, hint=hint)
    start = max(0, file.size - 8 - length - files.PROOF)
    # Keyed, since a mark is stored and the bytes behind it hold addresses.
    mark = hashlib.blake2b(key=hashlib.blake2b(secret).digest(), digest_size=16)
    mark.update(file.size.to_bytes(8, "little") + file.at(0, files.PROOF))
    mark.update(file.at(start, file.size - start))
    return mark.hexdigest()


def _proof(file: files.File, form: Form, groups: int, secret: bytes) -> str:
    """Return the proof of the first row groups."""
    proof = ""
    for place in range(groups):
        proof = _prove(proof, file, form, place, secret)
    return proof


def _prove(before: str, file: files.File, form: Form, place: int, secret: bytes) -> str:
    """Return the proof of the row groups up to one, from that of those before it."""
    mark = hashlib.blake2b(key=hashlib.blake2b(secret).digest(), digest_size=16)
    mark.update(f"{before} {form.ends[place]} ".encode())
    start, end = form.bytes[place]
    for offset in range(start, end, _PIECE):
        mark.update(file.at(offset, min(_PIECE, end - offset)))
    return mark.hexdigest()


def _form(file: files.File) -> Form:
    """Read what the footer says, and believe only what can be.

    Raises:
        errors.SourceError: It cannot be.
    """
    answers = list(apart.ask(file, {"task": "describe"}))
    header, groups = answers[0]["columns"], answers[0]["groups"]
    if len(header) > _COLUMNS or len(groups) > _GROUPS:
        raise _unbelievable("it has too many columns or row groups", file)
    ends, parts, behind = list[int](), list[tuple[int, int]](), len(_MAGIC)
    for rows, start, end in groups:
        if rows and not behind <= start <= end <= file.size:
            raise _unbelievable("its row groups lie where no file has them", file)
        behind = max(behind, end) if rows else behind
        ends.append((ends[-1] if ends else 0) + max(0, rows))
        parts.append((start, end) if rows else (behind, behind))
    form = Form(
        header=tuple(header), flat=frozenset(answers[0]["flat"]), ends=tuple(ends),
        bytes=tuple(parts),
    )  # fmt: skip
    if form.total > file.size * _ROWS_A_BYTE + _SOME:
        raise _unbelievable(f"it is to hold {form.total} rows, more than fit", file)
    return form


def _unbelievable(what: str, file: files.File) -> errors.SourceError:
    hint = "it is damaged or made to deceive; write it again"
    return errors.SourceError(
        f"the end of the file cannot be right: {what}", hint=hint, file=file.name
    )


def _load(cursor: str) -> Mark | None:
    try:
        fields = json.loads(cursor)
        if (fields.pop("version"), fields["kind"]) != (_VERSION, "parquet"):
            return None
        return Mark(**fields | {"header": tuple(fields["header"])})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
