"""Action Network: the number, the signatures page by page, and the people one by one.

The API (actionnetwork.org/docs/v2) gives 25 signatures a page and says nothing
of their order.  A reading is a sweep: one question, "created after", whose
pages are followed until one is empty.  Its place is kept with the rows, so a
sweep that was cut off goes on where it was.  Somebody deleted moves those
behind to an earlier place; so a total that falls, and a sweep that goes on,
step back some pages, and what comes again is known.
"""

from __future__ import annotations

import dataclasses
import re
import urllib.parse
import zoneinfo
from collections.abc import Iterator, Mapping
from typing import Any

import typing_extensions

from deliverybot import errors
from deliverybot.origins import platforms as sections
from deliverybot.sources import (
    columns,
    counting,
    fetch,
    files,
    forms,
    kinds,
    objects,
    people,
    rereading,
)

#: Signatures of a page, the most that the API gives.
PER_PAGE = 25
#: Seconds between two questions, as public clients of this API wait.
PACE = 0.25
#: Pages that a sweep steps back when it goes on: so many signatures may have gone meanwhile.
BACK = 4
#: How often one reading does so: a total that goes up and down must not hold it forever.
BACKS = 20
#: Rows that go into the ledger together.
TOGETHER = 500
#: The share of its deadline after which a reading stops of itself; the next one goes on.
ENOUGH = 0.9
_GONE = frozenset({404, 410})
_UTC = zoneinfo.ZoneInfo("UTC")
_ID = "action_network:"


class ActionNetwork(kinds.Source):
    """A petition on Action Network."""

    Settings = sections.ActionNetworkSource
    section: sections.ActionNetworkSource

    @property
    @typing_extensions.override
    def name(self) -> str:
        return f"{self.base}/petitions/{self.section.petition}"

    @property
    def base(self) -> str:
        """Address of the API."""
        return self.section.url.rstrip("/")

    def door(self) -> fetch.Door:
        """Begin to ask, as the section's account."""
        return fetch.Door(self.errand, token_header="OSDI-API-Token")  # noqa: S106 - a header

    @typing_extensions.override
    def probe(self, state: str) -> kinds.Count | None:
        with self.door() as door:
            answer = door.get(self.name, state=state)
        if answer is None:
            return None
        said = _object(answer).get("total_signatures")
        return kinds.Count(counting.whole(said, answer.url), answer.state)

    @typing_extensions.override
    def pages(self, cursor: str | None) -> Iterator[kinds.Page]:
        with self.door() as door:
            yield from _Sweep(self, door, cursor).pages()

    @typing_extensions.override
    def look(self) -> list[errors.Fault]:
        count = self.probe("")
        what = f"Action Network answers: {count.signatures if count else 0} signatures"
        found = [errors.Fault(level="ok", what=what, file=self.name)]
        if not self.section.people and self.section is self.campaign.source:
            what = "signers come without names and places; they count and are not named"
            hint = "people = true under [source] asks for each of them, four in a second"
            found.append(errors.Fault(level="warning", what=what, hint=hint, file=self.name))
        return found


@dataclasses.dataclass(slots=True, kw_only=True)
class _Place(rereading.Place):
    """Where a sweep is."""

    #: The question: signatures created after this; empty: all.
    since: str = ""
    #: The page that comes next.
    page: int = 1
    #: Signatures that the last page spoke of.
    total: int | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Sheet:
    """One page of the API."""

    items: list[Any]
    #: Number of the next page; None: this is the last.
    next: int | None
    total: int | None
    #: Whether it has room for more.
    is_short: bool


class _Sweep:
    """One sweep through the pages, or a part of one."""

    def __init__(self, source: ActionNetwork, door: fetch.Door, cursor: str | None) -> None:
        self._source = source
        self._section = source.section
        self._door = door
        self._cursor = cursor
        self._place = place = _Place.load(cursor, source.name)
        #: The page that this reading must come beyond.
        self._goal = place.page
        place.page = max(1, place.page - BACK)
        self._backs = BACKS
        self._was_short = False
        errand = source.errand
        self._recent = rereading.Recent(
            errand.secret, seconds=self._section.overlap_seconds, now=errand.now,
            top=place.top, known=place.known,
        )  # fmt: skip
        language = source.campaign.language
        self._turn = objects.Objects(columns.Layout.of(self._section, language))
        self._turn.asked |= frozenset(place.asked)
        self._waits = 0.0
        self._told: list[errors.Fault] = []

    def pages(self) -> Iterator[kinds.Page]:
        """Give the rows, what came before an error before the error."""
        rows: list[files.Row] = []
        together = 1 if self._section.people else min(TOGETHER, self._source.errand.most)
        ended = False
        problem: errors.SourceError | None = None
        while not ended and problem is None:
            try:
                ended = self._step(rows)
            except errors.SourceError as error:
                problem = error
            if len(rows) >= together or ended or problem:
                cursor = self._dump()
                if rows or (cursor != self._cursor and not problem):
                    yield self._page(rows, cursor)
                rows = []
        if problem is not None:
            raise problem

    def _step(self, rows: list[files.Row]) -> bool:
        """Read one page; tell whether the reading is at its end."""
        place = self._place
        sheet = self._sheet()
        if self._has_shifted(sheet):
            return False
        taken = []
        for number, item in enumerate(sheet.items, (place.page - 1) * PER_PAGE + 1):
            id_ = _id(item)
            if not id_ or not self._recent.knows(id_):
                taken.append((id_, item, self._row(id_, item, number)))
        # All of them or none: an error in the middle leaves the whole page for the next reading.
        for id_, item, row in taken:
            if id_:
                self._recent.add(id_, people.when(str(item.get("created_date")), _UTC))
            if row.values != ():
                rows.append(row)
        if not sheet.items or sheet.next is None:
            self._end()
            return True
        place.page = sheet.next
        return self._is_late()

    def _has_shifted(self, sheet: _Sheet) -> bool:
        """Step back where a page that was read has others on it now.

        Signatures that went since then let those behind move up; a page that
        was not full has been filled up if there is something behind it.
        """
        place = self._place
        fallen = (place.total or 0) - sheet.total if sheet.total is not None else 0
        filled, self._was_short = self._was_short and bool(sheet.items), sheet.is_short
        place.total = sheet.total
        if not (fallen > 0 or filled) or place.page == 1 or not self._backs:
            return False
        self._backs -= 1
        self._was_short = False
        place.page = max(1, place.page - 1 - max(0, fallen) // PER_PAGE)
        return True

    def _end(self) -> None:
        """Let the next reading begin a new sweep, a little before the end of this one."""
        since = self._recent.since
        self._place.since = since.strftime("%Y-%m-%dT%H:%M:%SZ") if since else ""
        self._place.page, self._place.total = 1, None

    def _is_late(self) -> bool:
        """Tell whether the time is nearly over; what is left waits for the next reading."""
        left = self._door.left()
        if self._place.page <= self._goal or left > (1 - ENOUGH) * self._section.deadline_seconds:
            return False
        what = f"stopped after {self._section.deadline}, with page {self._place.page} to go on with"
        hint = "the next reading goes on there; `deadline` says how long one may take"
        self._told.append(self._warning(what, hint))
        return True

    def _sheet(self) -> _Sheet:
        """Ask for the page that comes next."""
        place = self._place
        asked: dict[str, Any] = {"page": place.page, "per_page": PER_PAGE}
        if place.since:
            asked["filter"] = f"created_date gt '{place.since}'"
        query = urllib.parse.urlencode(asked, quote_via=urllib.parse.quote)
        answer = self._ask(f"{self._source.name}/signatures?{query}")
        content = _object(answer)
        items = _inside(content, "_embedded", "osdi:signatures")
        if not isinstance(items, list):
            raise answer.error("the answer holds no list of signatures as Action Network gives it")
        total = content.get("total_records")
        return _Sheet(
            items=items,
            next=_next(content, place.page, answer),
            total=None if total is None else counting.whole(total, answer.url),
            is_short=len(items) < PER_PAGE,
        )

    def _ask(self, url: str) -> fetch.Answer:
        self._source.errand.means.sleep(self._waits)
        self._waits = PACE
        answer = self._door.get(url)
        if answer is None:
            raise TypeError("nothing was asked conditionally")
        return answer

    def _row(self, id_: str, item: Any, number: int) -> files.Row:  # noqa: ANN401 - JSON
        """Make a row of a signature; its values are empty where it does not count."""
        if not id_:
            return files.Row.of(number, "it has no id of Action Network")
        content = {
            "id": id_,
            "signed_at": item.get("created_date"),
            "comment": item.get("comments"),
        }
        if self._section.people:
            content = {**self._person(item.get(f"{_ID}person_id"), number), **content}
        return files.Row.of(number, self._turn.values(content))

    def _person(self, id_: object, number: int) -> Mapping[str, Any]:
        """Ask who somebody is; whoever is gone, or cannot be read, has no name and counts."""
        if not isinstance(id_, str) or not re.fullmatch(r"[0-9a-f-]{36}", id_):
            return {}
        try:
            content = self._ask(f"{self._source.base}/people/{id_}").json()
        except errors.SourceError as error:
            if error.status in _GONE:
                return {}
            raise
        try:
            return forms.person(content)  # type: ignore[arg-type]
        except (TypeError, AttributeError, KeyError, ValueError):
            what = "a person has another form than Action Network's; they count and have no name"
            self._told.append(self._warning(what, line=number))
            return {}

    def _page(self, rows: list[files.Row], cursor: str) -> kinds.Page:
        told, self._told, self._cursor = tuple(self._told), [], cursor
        done = (self._place.page - 1) * PER_PAGE
        return kinds.Page(
            rows=rows, cursor=cursor, asked=self._turn.asked, told=told,
            position=done, size=max(done, self._place.total or 0),
        )  # fmt: skip

    def _dump(self) -> str:
        return self._place.dump(self._recent, self._turn.asked)

    def _warning(self, what: str, hint: str = "", *, line: int = 1) -> errors.Fault:
        return errors.Fault(
            level="warning", what=what, hint=hint, file=self._source.name, line=line
        )


def _id(item: Any) -> str:  # noqa: ANN401 - JSON
    """Return the id of a signature; empty where it has none of Action Network's."""
    ids = item.get("identifiers") if isinstance(item, dict) else None
    found = (one for one in ids or () if isinstance(one, str) and one.startswith(_ID))
    return next(found, "")


def _object(answer: fetch.Answer) -> dict[str, Any]:
    content = answer.json()
    if not isinstance(content, dict):
        raise answer.error("the answer has another form than Action Network's")
    return content


def _inside(content: object, *keys: str) -> object:
    """Return what stands under these keys, one inside the other; None where nothing does."""
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    return content


def _next(content: dict[str, Any], page: int, answer: fetch.Answer) -> int | None:
    """Return the number of the page that `_links.next` leads to."""
    link = _inside(content, "_links", "next", "href")
    if not isinstance(link, str):
        return None
    number = urllib.parse.parse_qs(urllib.parse.urlsplit(link).query).get("page", [""])[0]
    if number != str(page + 1):
        raise answer.error(f"behind page {page} it leads to page {number[:20]!r}")
    return page + 1
