"""Signatures from a database: a query of the campaign's own, read from key to key.

Each page is one query for the rows behind a key, in the order of the key.  A
row that became visible late, since its transaction took longer than those of
higher keys, is found by looking back a little at the start of each reading.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import typing_extensions

from deliverybot import errors, places
from deliverybot.origins import sql as sections
from deliverybot.origins import statements
from deliverybot.sources import (
    checks,
    columns,
    counting,
    database,
    files,
    keyset,
    kinds,
    objects,
    plain,
)

_CHANGED = "the query, its parameters, the key or the address have changed"
_GONE = "none of the rows that were read last is there any more"
#: Letters of the rows of one page; a page is cut before its most rows where they are long.
_PAGE = 32 << 20


class Sql(kinds.Source):
    """Signatures in a database, a number in one, or both."""

    Settings = sections.SqlSource
    section: sections.SqlSource

    @property
    @typing_extensions.override
    def name(self) -> str:
        return self._place().name

    @typing_extensions.override
    def probe(self, state: str) -> kinds.Count | None:
        query = self._queries()[1]
        if query is None:
            return None
        where = self._place()
        with database.connect(where) as connection:
            return kinds.Count(self._count(connection, query, where.name))

    @typing_extensions.override
    def pages(self, cursor: str | None) -> Iterator[kinds.Page]:
        query = self._list_query()
        where = self._place()
        about = keyset.about(self.errand.secret, where.name, query, self.section)
        mark = keyset.load(cursor, about) if cursor is not None else None
        told = () if cursor is None or mark else (_again(where.name, _CHANGED),)
        with database.connect(where) as connection:
            walk = _Walk(self, connection, query, where.name)
            for page in walk.pages(mark or keyset.Mark(about=about)):
                yield dataclasses.replace(page, told=(*told, *page.told))
                told = ()

    @typing_extensions.override
    def look(self) -> list[errors.Fault]:
        where = self._place()
        counting_query = self._queries()[1]
        with database.connect(where) as connection:
            found = [_fault("ok", where.name, f"the database answers: {connection.kind}")]
            if not connection.guarded:
                what = "this database is not kept from writing by deliverybot"
                hint = "give it a user that may only read"
                found.append(_fault("warning", where.name, what, hint))
            if counting_query is not None:
                number = self._count(connection, counting_query, where.name)
                found.append(_fault("ok", where.name, f"it counts {number} signatures"))
            if self.errand.section is self.campaign.source and self.section.lists:
                walk = _Walk(self, connection, self._list_query(), where.name)
                found += walk.look()
        return found

    def _place(self) -> database.Place:
        section, access = self.section, self.errand.means.access
        account = access.get(section.access or "")
        file = self.campaign.file
        if section.access is not None and account is None:
            near = places.nearest(section.access, access)
            hint = f"did you mean {near!r}?" if near else f"add [access.{section.access}] there"
            what = f"config.toml has no account {section.access!r}"
            raise errors.SourceError(what, hint=hint, file=str(file))
        return database.place(section.url, file, account, section.timeout_seconds)

    def _queries(self) -> tuple[statements.Statement | None, statements.Statement | None]:
        """Return the query for signers and that for their number."""
        section = self.section
        written = [text for text in (section.query, section.count_query) if text is not None]
        found = [one for text in written for one in statements.split(text)]
        name = str(self.campaign.file)
        if section.query_file is not None:
            file = self.campaign.file.parent / section.query_file
            name = str(file)
            with files.open_file(file, now=None) as opened:
                text = opened.at(0, files.LIMIT).decode("utf-8-sig", "replace")
            found += statements.split(text)
        for one in found:
            for what, hint in one.problems(section.parameters, section.key):
                raise errors.SourceError(what, hint=hint, file=name, line=one.line)
        lists = [one for one in found if one.lists]
        counts = [one for one in found if not one.lists]
        for several, whose in ((lists, "signers"), (counts, "their number")):
            if len(several) > 1:
                hint = "leave all but one out"
                what = f"there are two queries for {whose}"
                raise errors.SourceError(what, hint=hint, file=name, line=several[1].line)
        return next(iter(lists), None), next(iter(counts), None)

    def _list_query(self) -> statements.Statement:
        query = self._queries()[0]
        if query is None:
            what = "there is no query for signers, with :cursor and :limit"
            file = self.section.query_file or self.campaign.file.name
            raise errors.SourceError(
                what, hint=statements.HOW, file=str(self.campaign.file.parent / file)
            )
        return query

    def _count(
        self, connection: database.Connection, query: statements.Statement, name: str
    ) -> int:
        with connection.ask(query, self.section.parameters) as answer:
            rows = list(itertools.islice(answer.rows, 2))
        if len(rows) != 1 or len(rows[0]) != 1:
            what = "the query for the number does not give one row of one value"
            raise errors.SourceError(
                what, hint="such as: SELECT count(*) FROM signatures", file=name
            )
        return counting.whole(keyset.number(rows[0][0]), name)


class _Walk:
    """One reading, page by page."""

    def __init__(
        self,
        source: Sql,
        connection: database.Connection,
        query: statements.Statement,
        name: str,
    ) -> None:
        self._section = source.section
        self._most, self._pause = source.errand.most, source.errand.pause
        self._connection = connection
        self._query = query
        self._name = name
        self._layout = columns.Layout.of(source.section, source.campaign.language)
        self._objects = objects.Objects(self._layout)
        #: Place of the key among the columns.
        self._key = -1
        #: Keys of this page and the one before that are texts: no two may be the same.
        self._met, self._met_before = set[keyset.Key](), set[keyset.Key]()

    def pages(self, mark: keyset.Mark) -> Iterator[kinds.Page]:
        """Give pages of what is new since a mark."""
        begin, old, told = mark.begin(self._section), keyset.dump(mark), list[errors.Fault]()
        known, first = mark.known(self._section), True
        while True:
            self._pause()
            part = self._ask(begin, known, mark.rows)
            if first and known and part.has_lost(known, mark.last):
                told = [_again(self._name, _GONE)]
                mark = keyset.Mark(about=mark.about, rows=mark.rows)
                begin, known = mark.begin(self._section), frozenset()
                continue
            before, first = mark.rows, False
            mark = mark.after(part.keys, len(part.rows), self._section)
            written = keyset.dump(mark)
            if part.rows or told or written != old:
                yield kinds.Page(
                    rows=part.rows, cursor=written, before=before, asked=self._objects.asked,
                    told=tuple(told), position=mark.rows,
                )  # fmt: skip
            old, told = written, []
            if not part.more:
                return
            begin = part.keys[-1]

    def look(self) -> list[errors.Fault]:
        """Say what the first page holds."""
        self._most = min(self._most, checks.TRIED)
        mark = keyset.Mark(about="")
        part = self._ask(mark.begin(self._section), frozenset(), 0)
        said = checks.fields(self._name, part.found)
        said += checks.tried(self._name, part.rows, only=bool(part.found.only))
        # The lines are those of the answer, which nobody sees.
        return [dataclasses.replace(fault, line=None) for fault in said]

    def _ask(self, begin: keyset.Key, known: frozenset[keyset.Key], number: int) -> _Part:
        """Ask for the rows behind a key, but those that are known already."""
        values = self._section.parameters | {"cursor": begin, "limit": self._most}
        keys, rows, size = list[keyset.Key](), list[files.Row](), 0
        self._met_before, self._met = self._met, set()
        with self._connection.ask(self._query, values) as answer:
            found = self._settle(answer.header)
            for row in itertools.islice(answer.rows, self._most + 1):
                keys.append(self._next_key(row, keys, begin))
                size += sum(len(cell) for cell in row if isinstance(cell, str | bytes))
                if keys[-1] not in known:
                    taken = self._row(row, found, number + len(rows) + 1)
                    rows += [taken] if taken else []
                if size > _PAGE:
                    break
        more = size > _PAGE or len(keys) == self._most
        return _Part(keys=keys, rows=rows, more=more, found=found)

    def _settle(self, header: tuple[str, ...]) -> columns.Found:
        """Match the columns; say what is missing."""
        found = columns.match(header, self._layout)
        plain = [name.casefold() for name in header]
        wanted = self._section.key.casefold()
        if plain.count(wanted) != 1:
            what = f"there is no column {self._section.key!r}, or several; the reading goes by it"
            hint = f"let the query give it, or name another one as `key`: {columns.listed(header)}"
            raise errors.SourceError(what, hint=hint, file=self._name)
        self._key = plain.index(wanted)
        for what, hint in found.problems():
            raise errors.SourceError(what, hint=hint, file=self._name)
        self._objects.asked |= set(columns.CONSENT) & found.at.keys()
        return found

    def _next_key(
        self, row: Sequence[object], keys: Sequence[keyset.Key], begin: keyset.Key
    ) -> keyset.Key:
        """Return a row's key, which must lie behind the one before it."""
        key = keyset.of(row[self._key], self._section.key, self._name)
        before = keys[-1] if keys else begin
        # What :cursor is at first may be of another kind, such as a text for a time.
        comparable = bool(keys) or type(before) is type(key)
        if (comparable and not keyset.ascends(before, key)) or self._is_known(key):
            pair = f": {key} after {before!r}" if isinstance(key, int) else ""
            what = f"the rows do not come in the order of {self._section.key!r}, each once{pair}"
            raise errors.SourceError(what, hint=statements.HOW, file=self._name)
        if len(keys) == self._most:
            what = "the query gives more rows than :limit"
            raise errors.SourceError(what, hint=statements.HOW, file=self._name)
        if isinstance(key, str):
            self._met.add(key)
        return key

    def _is_known(self, key: keyset.Key) -> bool:
        return key in self._met or key in self._met_before

    def _row(self, row: Sequence[object], found: columns.Found, number: int) -> files.Row | None:
        """Return a row's texts; None where the campaign's `only` leaves it out."""
        if any(isinstance(cell, str | bytes) and len(cell) > files.LIMIT for cell in row):
            return files.Row.of(number, files.TOO_LONG)
        content = dict(zip(found.header, map(plain.value, row), strict=True))
        values = self._objects.values(content)
        if values and not isinstance(values, str) and "id" not in found.at:
            # Without an id of its own the key tells a row from others.
            values = (plain.text(row[self._key]), *values[1:])
        return files.Row.of(number, values) if values else None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What one query gave."""

    #: The key of each row, and what became of those that are not known already.
    keys: Sequence[keyset.Key]
    rows: Sequence[files.Row]
    #: Whether there may be more behind it.
    more: bool
    found: columns.Found

    def has_lost(self, known: frozenset[keyset.Key], last: keyset.Key | None) -> bool:
        """Tell whether none of the known rows is there any more, as in another table."""
        if not known.isdisjoint(self.keys):
            return False
        return not self.more or last is None or keyset.ascends(last, self.keys[-1])


def _again(name: str, what: str) -> errors.Fault:
    hint = "people are recognised by their id; nobody counts twice"
    return _fault("warning", name, f"{what}; the table was read from its start", hint)


def _fault(level: str, name: str, what: str, hint: str = "") -> errors.Fault:
    return errors.Fault(level=level, what=what, hint=hint, file=name)
