"""ActionKit: the number from the list of actions, the signers by a query of its reports.

A query (docs.actionkit.com, "Running an ad-hoc query") gives a signature with
its person and its own fields in one answer, some hundred at a time, by their
rising numbers: what is deleted meanwhile moves nothing.  The only values that
go into a query are integers.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import itertools
import json
import operator
import zoneinfo
from collections.abc import Iterator, Sequence
from typing import Any

import typing_extensions

from deliverybot import errors
from deliverybot.origins import platforms as sections
from deliverybot.sources import (
    columns,
    counting,
    fetch,
    files,
    kinds,
    objects,
    people,
    rereading,
)

#: Signatures of one query.
TOGETHER = 500
#: The share of its deadline after which a reading stops of itself; the next one goes on.
ENOUGH = 0.9
#: The person may be gone, and the signature may have no fields of its own: both are LEFT JOINs.
QUERY = """\
SELECT a.id, a.created_at, u.first_name, u.last_name, u.email, u.city, u.state, u.region,
 u.country, u.postal, f.name, f.value
FROM (SELECT id, created_at, user_id FROM core_action
 WHERE page_id = {page:d} AND status = 'complete' AND id > {after:d}
 ORDER BY id LIMIT {limit:d}) a
LEFT JOIN core_user u ON u.id = a.user_id
LEFT JOIN core_actionfield f ON f.parent_id = a.id
ORDER BY a.id, f.id"""
_WIDTH = 12
_UTC = zoneinfo.ZoneInfo("UTC")
_JSON = {"Content-Type": "application/json"}


class ActionKit(kinds.Source):
    """A petition's page of ActionKit."""

    Settings = sections.ActionKitSource
    section: sections.ActionKitSource

    @property
    def base(self) -> str:
        """Address of the API."""
        return self.section.url.rstrip("/") + "/rest/v1"

    @property
    @typing_extensions.override
    def name(self) -> str:
        return f"{self.base}/petitionpage/{self.section.page}/"

    @typing_extensions.override
    def probe(self, state: str) -> kinds.Count | None:
        url = f"{self.base}/petitionaction/?page={self.section.page}&_limit=1"
        with fetch.Door(self.errand) as door:
            answer = door.get(url, state=state)
        if answer is None:
            return None
        content = answer.json()
        meta = content.get("meta") if isinstance(content, dict) else None
        if not isinstance(meta, dict):
            raise answer.error("the answer has another form than ActionKit's")
        return kinds.Count(counting.whole(meta.get("total_count"), answer.url), answer.state)

    @typing_extensions.override
    def pages(self, cursor: str | None) -> Iterator[kinds.Page]:
        with fetch.Door(self.errand) as door:
            yield from _Sweep(self, door, cursor).pages()

    @typing_extensions.override
    def look(self) -> list[errors.Fault]:
        count = self.probe("")
        what = f"ActionKit answers: {count.signatures if count else 0} signatures"
        found = [errors.Fault(level="ok", what=what, file=self.name)]
        if self.section is self.campaign.source:
            with fetch.Door(self.errand) as door:
                rows = _Sweep(self, door, None).ask(limit=1)
            what = f"its reports answer: {'a signer' if rows else 'nobody yet'} was found"
            found.append(errors.Fault(level="ok", what=what, file=self.name))
        return found


@dataclasses.dataclass(slots=True, kw_only=True)
class _Place(rereading.Place):
    """How far the numbers were read."""

    #: Number of the action to go on behind.
    after: int = 0

    def __post_init__(self) -> None:
        """Refuse what a query cannot be made of."""
        if type(self.after) is not int:
            raise TypeError(self.after)


class _Sweep:
    """The queries of one reading."""

    def __init__(self, source: ActionKit, door: fetch.Door, cursor: str | None) -> None:
        self._source = source
        self._section = source.section
        self._door = door
        self._cursor = cursor
        self._place = place = _Place.load(cursor, source.name)
        errand = source.errand
        self._recent = rereading.Recent(
            errand.secret, seconds=self._section.overlap_seconds, now=errand.now,
            top=place.top, known=place.known,
        )  # fmt: skip
        layout = columns.Layout.of(self._section, source.campaign.language)
        self._turn = objects.Objects(layout)
        self._turn.asked |= frozenset(place.asked)
        #: Numbers and times of the latest actions of this reading.
        self._latest: list[tuple[int, Any]] = []

    def pages(self) -> Iterator[kinds.Page]:
        """Give what each query brings; behind the last one, look back a little."""
        limit = min(TOGETHER, self._source.errand.most)
        told: list[errors.Fault] = []
        ended = False
        while not ended:
            actions = self.ask(limit=limit)
            rows = [row for row in map(self._row, actions) if row and row.values != ()]
            if len(actions) < limit:
                self._look_back()
                ended = True
            elif self._door.left() <= (1 - ENOUGH) * self._section.deadline_seconds:
                told.append(self._late())
                ended = True
            cursor = self._dump()
            if rows or cursor != self._cursor:
                self._cursor = cursor
                yield kinds.Page(rows=rows, cursor=cursor, asked=self._turn.asked, told=tuple(told))

    def ask(self, *, limit: int) -> list[list[list[Any]]]:
        """Ask for the next actions; each is its rows, one a field of its own, at least one."""
        query = QUERY.format(page=self._section.page, after=self._place.after, limit=limit)
        # Answers are kept on their side unless they are asked not to be.
        body = json.dumps({"query": query, "refresh": True, "cache_duration": 1}).encode()
        url = f"{self._source.base}/report/run/sql/"
        answer = self._door.post(url, body, headers=_JSON, again=True)
        content = answer.json()
        if not isinstance(content, list) or not all(map(_is_row, content)):
            hint = "may this account run queries? ActionKit calls it a permission for reports"
            raise answer.error("the answer is no list of lists as ActionKit gives it", hint)
        actions = [list(group) for _, group in itertools.groupby(content, operator.itemgetter(0))]
        numbers = [self._place.after, *(group[0][0] for group in actions)]
        if any(later <= one for one, later in itertools.pairwise(numbers)) or len(actions) > limit:
            raise answer.error("the signatures do not come in the order that was asked for")
        return actions

    def _row(self, action: Sequence[Sequence[Any]]) -> files.Row | None:
        """Make a row of an action; None where it was given lately."""
        number, at, first, last, email, city, state, region, country, postal, *_ = action[0]
        id_ = f"actionkit:{number}"
        signed_at = _time(at)
        when = people.when(signed_at, _UTC)
        self._place.after = number
        self._latest.append((number, when))
        if len(self._latest) > 2 * rereading.MOST:
            del self._latest[: -rereading.MOST]
        if self._recent.knows(id_):
            return None
        self._recent.add(id_, when)
        content = {
            **_fields(action),
            "id": id_, "signed_at": signed_at, "email": email,
            "first_name": first, "last_name": last,
            "city": city, "region": region or state, "country": country, "postcode": postal,
        }  # fmt: skip
        return files.Row.of(number, self._turn.values(content))

    def _look_back(self) -> None:
        """Let the next reading begin before the first action of the last minutes."""
        since = self._recent.since
        late = [number for number, at in self._latest if at and since and at >= since]
        if late:
            self._place.after = min(late) - 1

    def _late(self) -> errors.Fault:
        what = f"stopped after {self._section.deadline}, with action {self._place.after}"
        hint = "the next reading goes on there; `deadline` says how long one may take"
        return errors.Fault(
            level="warning", what=what, hint=hint, file=self._source.name, line=self._place.after
        )

    def _dump(self) -> str:
        return self._place.dump(self._recent, self._turn.asked)


def _is_row(row: object) -> bool:
    # A number that is true or 1.0 is no number of an action.
    return isinstance(row, list) and len(row) == _WIDTH and type(row[0]) is int


def _fields(action: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Return an action's own fields; one that stands there several times is a list of choices."""
    found: dict[str, Any] = {}
    for *_, name, value in action:
        if isinstance(name, str) and isinstance(value, str):
            found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _time(at: object) -> str:
    """Return a time as text: those of ActionKit are UTC and do not say so."""
    text = at if isinstance(at, str) else ""
    with contextlib.suppress(ValueError):
        time = dt.datetime.fromisoformat(text)
        return text if time.tzinfo else time.replace(tzinfo=dt.UTC).isoformat()
    return text
