"""Lists that come page by page: where to go on, oldest first, nobody lost and nobody twice.

A list that begins with the oldest signer is read on from where the last
reading ended.  The page at which it ended is asked for again, since it may have
grown; the marks of the last signers tell whether it is still where it was, or
has moved because somebody was taken off the list.

A list that begins with the newest is read from its top to signers that are
known by their marks.  What was found is laid down in a nameless file and given
from its end, so that the oldest comes first and memory holds one page.  New
signers on top move everybody down while it is read; whoever is met twice is
known by the mark.

A mark is a keyed hash of what tells a signer from others.
"""

from __future__ import annotations

import array
import collections
import dataclasses
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any, NamedTuple

from deliverybot import errors
from deliverybot.sources import files, kinds, sealed

#: Rows of one page of ours; the other side's may be smaller.
BATCH = 1_000
#: Marks that a cursor keeps, and pages before the last one to look for them on.
KEPT, TRAIL = 100, 3
#: Pages of one reading; at 25 signers a page that is more than anybody has.
MOST = 200_000
#: Known signers in a row that end the reading of a list with the newest on top: one alone may
#: have been moved there.
RUN = 3
#: Pages in a row that bring nobody new before a list counts as endless.
STALE = 5
#: Marks that are held to know who is met twice while a list moves down.
SEEN = 5_000
#: Answers that mean that a place in a list is there no longer.
_GONE = frozenset({400, 404, 410, 416, 422})


class Entry(NamedTuple):
    """One signer of a list."""

    #: None where it does not count by the campaign's `only`.
    row: files.Row | None
    #: Empty where nothing tells it from others.
    mark: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One page of the other side's list."""

    entries: Sequence[Entry]
    #: What tells this page from others, whoever is on it.
    content: str
    #: How the next page is asked for; None where the page says that it is the last.
    next: str | None
    #: Whether nobody said that there is a next page: it may be asked for in vain.
    is_guessed: bool = False
    #: Whether the next page is asked for by its number, wherever this one ended.
    is_numbered: bool = False
    #: For the next conditional request, where an unchanged page means that nothing is new.
    state: str = ""


class Book(NamedTuple):
    """What is read, and how."""

    #: The address, for people.
    name: str
    #: Gives a page by its place, "" for the first; None where it is as it was at a state.
    turn: Callable[[str, str], Sheet | None]
    #: The consent fields that were met so far.
    asked: Callable[[], frozenset[str]]
    #: Takes what is to be told a person.
    told: Callable[[], tuple[errors.Fault, ...]]
    #: What tells the settings that lead through the list from others.
    settings: str


@dataclasses.dataclass(slots=True, kw_only=True)
class _Place:
    """Where a reading stands."""

    #: The page that was read last, and how many entries of it were taken.
    at: str = ""
    taken: int = 0
    #: Rows taken in all readings.
    rows: int = 0
    #: Entries of a full page, as far as one was surely seen.
    full: int = 0
    #: Of the entries taken last; the last one is the newest.
    marks: list[str] = dataclasses.field(default_factory=list)
    #: The pages before that one.
    trail: list[str] = dataclasses.field(default_factory=list)
    state: str = ""


class Pager:
    """Reads one list once."""

    def __init__(self, errand: kinds.Errand, book: Book) -> None:
        self._secret = errand.secret
        self._most = min(errand.most, BATCH)
        self._book = book
        self._told: tuple[errors.Fault, ...] = ()
        self._places: set[str] = set()
        self._contents: set[str] = set()

    def load(self, cursor: str | None) -> tuple[_Place, frozenset[str]]:
        """Return where to go on, and the consent fields met by then."""
        if cursor is None:
            return _Place(), frozenset()
        kept = sealed.open_(cursor, self._secret)
        if kept is None or kept.pop("of", "") != self._book.settings:
            self._tell("the settings that say how to read the list have changed")
            return _Place(), frozenset()
        asked = frozenset(kept.pop("asked"))
        return _Place(**kept), asked

    def oldest(self, cursor: str | None, begin: _Place) -> Iterator[kinds.Page]:
        """Give what is behind a place of a list that begins with the oldest signer."""
        place = begin
        found = self._resumed(place)
        batch = list[files.Row]()
        problem: errors.SourceError | None = None
        first = place.rows
        while found is not None:
            self._contents.add(found.content)
            place.state = ""
            for entry in found.entries[place.taken :]:
                self._take(place, entry, batch)
                if len(batch) >= self._most:
                    yield self._page(batch, first, place)
                    batch, first = [], place.rows
            place.state = found.state
            try:
                found = self._following(place, found)
            except errors.SourceError as error:
                problem, found = error, None
        page = self._page(batch, first, place)
        if batch or self._told or page.cursor != cursor:
            yield page
        if problem is not None:
            raise problem

    def newest(self, cursor: str | None, begin: _Place) -> Iterator[kinds.Page]:
        """Give who is above the known ones in a list that begins with the newest signer.

        The marks move on with the last page alone: who came while the list was
        read may have been met among elders, so a reading that is cut off before
        is done again.
        """
        with tempfile.TemporaryFile(buffering=1 << 18) as file:
            pile = _Pile(file)
            state = self._collect(pile, begin)
            if state is None:
                return
            place = dataclasses.replace(begin, marks=list(begin.marks), state=state)
            begin.state = ""
            batch = list[files.Row]()
            first = place.rows
            for entry in pile.backwards():
                if len(batch) >= self._most:
                    begin.rows = place.rows
                    yield self._page(batch, first, begin)
                    batch, first = [], place.rows
                self._take(place, entry, batch)
        page = self._page(batch, first, place)
        if batch or self._told or page.cursor != cursor:
            yield page

    def _take(self, place: _Place, entry: Entry, batch: list[files.Row]) -> None:
        place.taken += 1
        place.marks = [*place.marks[-KEPT + 1 :], entry.mark]
        if entry.row is not None:
            place.rows += 1
            batch.append(entry.row)

    def _page(self, batch: list[files.Row], first: int, place: _Place) -> kinds.Page:
        told, self._told = (*self._told, *self._book.told()), ()
        asked = self._book.asked()
        kept: Mapping[str, Any] = {
            **dataclasses.asdict(place),
            "of": self._book.settings,
            "asked": sorted(asked),
        }
        return kinds.Page(
            rows=tuple(batch), cursor=sealed.close(kept, self._secret), before=first,
            asked=asked, told=told, position=place.rows,
        )  # fmt: skip

    def _turn(self, at: str, state: str = "") -> Sheet | None:
        if at in self._places:
            raise self._error("its pages go round in a circle")
        if len(self._places) >= MOST:
            raise self._error(f"it has more than {MOST:,} pages")
        self._places.add(at)
        return self._book.turn(at, state)

    # --- the oldest first -----------------------------------------------------------------------

    def _resumed(self, place: _Place) -> Sheet | None:
        """Return the page to go on with, and set in `place` how much of it is known."""
        if not place.marks:
            place.at, place.taken = "", 0
            return self._turn("")
        for at in (place.at, *reversed(place.trail)):
            try:
                sheet = self._turn(at, place.state if at == place.at else "")
            except errors.SourceError as error:
                if error.status not in _GONE:
                    raise
                continue
            if sheet is None:
                return None
            known = _known(sheet.entries, place)
            if known >= 0:
                if at != place.at:
                    place.trail = place.trail[: place.trail.index(at)]
                place.at, place.taken = at, known
                self._places = {at}
                return sheet
        self._tell("the list is no longer as it was where the last reading ended")
        self._places.clear()
        place.at, place.taken, place.rows, place.full = "", 0, 0, 0
        place.marks, place.trail = [], []
        return self._turn("")

    def _following(self, place: _Place, sheet: Sheet) -> Sheet | None:
        """Return the next page; None at the end.  An empty one is the end."""
        if sheet.next is None or not sheet.entries:
            return None
        found = self._next(sheet)
        if found is None or not found.entries:
            return None
        if found.content in self._contents:
            raise self._error("it gives the same page again")
        if (grown := self._grown(place, sheet)) is not None:
            self._places.discard(sheet.next)
            return grown
        place.trail = [*place.trail[-TRAIL + 1 :], place.at]
        place.at, place.taken = sheet.next, 0
        return found

    def _grown(self, place: _Place, sheet: Sheet) -> Sheet | None:
        """Return a numbered page again that was not full, and has grown before the next was asked.

        Who came meanwhile stands on both, and the next one alone would lose some.
        """
        count = len(sheet.entries)
        if not (sheet.is_guessed and sheet.is_numbered) or count >= place.full > 0:
            return None
        self._places.discard(place.at)
        again = self._turn(place.at)
        if again is not None and len(again.entries) > count:
            return again
        place.full = max(place.full, count)
        return None

    # --- the newest first -----------------------------------------------------------------------

    def _collect(self, pile: _Pile, place: _Place) -> str | None:
        """Lay down what is above the known ones; None where the first page has not changed."""
        known = _Known(place.marks)
        stale = 0
        sheet = self._turn("", place.state)
        state = sheet.state if sheet else None
        while sheet is not None and sheet.entries:
            fresh = known.above(sheet.entries)
            pile.put(fresh)
            stale = 0 if fresh or known.run else stale + 1
            if stale > STALE:
                raise self._error(f"{STALE} pages in a row bring nobody new")
            if known.is_reached or sheet.next is None:
                break
            sheet = self._next(sheet)
        return state

    def _next(self, sheet: Sheet) -> Sheet | None:
        """Return the page behind one; None where there is none after all."""
        try:
            return self._turn(sheet.next or "")
        except errors.SourceError as error:
            if sheet.is_guessed and error.status in _GONE:
                return None
            raise

    def _tell(self, why: str) -> None:
        self._told = (
            errors.Fault(
                level="warning",
                what=f"{why}; it was read from its start",
                hint="people are recognised by id, e-mail address or time of signing; "
                "who has none of these is recognised by the place in the list",
                file=self._book.name,
            ),
        )

    def _error(self, what: str) -> errors.SourceError:
        hint = "look at its second page: is `next`, `page`, `pages`, `offset` or `cursor` right?"
        return errors.SourceError(what, hint=hint, file=self._book.name)


class _Known:
    """Who was met before, in the last reading and in this one."""

    def __init__(self, marks: Sequence[str]) -> None:
        self._before = set(marks) - {""}
        self._now = collections.OrderedDict[str, None]()
        #: Known ones in a row that were met last.
        self.run = 0

    @property
    def is_reached(self) -> bool:
        """Whether what follows is known."""
        return self.run >= min(RUN, len(self._before)) > 0

    def above(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return who is new on a page, down to the known ones."""
        fresh = list[Entry]()
        for entry in entries:
            if entry.mark in self._before:
                self.run += 1
                if self.is_reached:
                    break
                continue
            self.run = 0
            if entry.mark not in self._now:
                fresh.append(entry)
            if entry.mark:
                self._now[entry.mark] = None
        while len(self._now) > SEEN:
            self._now.popitem(last=False)
        return fresh


def _known(entries: Sequence[Entry], place: _Place) -> int:
    """Return how many entries of a page are known; -1 where none of them is certainly known."""
    last = entries[place.taken - 1] if 0 < place.taken <= len(entries) else None
    if last is not None and last.mark == place.marks[-1]:
        return place.taken
    kept = {mark for mark in place.marks if is_certain(mark)}
    return max((n for n, entry in enumerate(entries, 1) if entry.mark in kept), default=-1)


def is_certain(mark: str) -> bool:
    """Tell whether a mark is that of one signer alone, and not of all of one name and place."""
    return mark.startswith("+")


class _Pile:
    """Pages of entries in a file, given back from the last entry to the first."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._ends = array.array("Q", [0])

    def put(self, entries: Sequence[Entry]) -> None:
        """Lay a page on top."""
        if entries:
            self._file.write(json.dumps(entries).encode())
            self._ends.append(self._file.tell())

    def backwards(self) -> Iterator[Entry]:
        """Take everything from the top."""
        while len(self._ends) > 1:
            end = self._ends.pop()
            self._file.seek(self._ends[-1])
            for row, mark in reversed(json.loads(self._file.read(end - self._ends[-1]))):
                yield Entry(row and _row(*row), mark)


def _row(end: int, end_line: int, line: int, values: list[str] | None, problem: str) -> files.Row:
    return files.Row(end, end_line, line, None if values is None else tuple(values), problem)
