"""JSON at a web address: a number, a list of signers, or both."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import re
import urllib.parse
from collections.abc import Iterator
from typing import Any, cast

import typing_extensions

from deliverybot import errors
from deliverybot.origins import web as sections
from deliverybot.sources import (
    columns,
    counting,
    fetch,
    hosts,
    kinds,
    paging,
    roster,
    shapes,
)

#: Letters of the place of the next page, as an answer names it.
_LONGEST = 4_000
#: Names in an expression.
_WORDS = re.compile(r'(?<=")[^"]+(?=")|\w+')
#: Settings that lead through a list; where one changes, it is read from its start.
_LEADING = (
    "url", "post", "signers", "order", "next", "cursor", "page", "first_page", "offset",
)  # fmt: skip


class HttpJson(kinds.Source):
    """Asks one address, and the pages behind it."""

    Settings = sections.HttpJsonSource
    section: sections.HttpJsonSource

    @property
    @typing_extensions.override
    def name(self) -> str:
        return str(hosts.Place.of(self.section.url))

    @typing_extensions.override
    def probe(self, state: str) -> kinds.Count | None:
        with fetch.Door(self.errand) as door:
            answer = self._ask(door, "", state)
        if answer is None:
            return None
        content = self._content(answer)
        found = shapes.need("count", self.section.count or "", content, self.name)
        return kinds.Count(counting.whole(found, self.name), answer.state)

    @typing_extensions.override
    def pages(self, cursor: str | None) -> Iterator[kinds.Page]:
        signers = self._roster()
        with fetch.Door(self.errand) as door:
            book = paging.Book(
                name=self.name,
                turn=lambda at, state: self._sheet(door, signers, at, state),
                asked=lambda: signers.asked,
                told=signers.told,
                settings=self._leading(),
            )
            pager = paging.Pager(self.errand, book)
            place, asked = pager.load(cursor)
            signers.know(asked)
            read = pager.newest if self.section.order == "newest" else pager.oldest
            yield from read(cursor, place)

    @typing_extensions.override
    def look(self) -> list[errors.Fault]:
        with fetch.Door(self.errand) as door:
            answer = self._ask(door, "", "")
        content = self._content(cast("fetch.Answer", answer))
        found = []
        if self.section.count is not None:
            value = shapes.need("count", self.section.count, content, self.name)
            count = counting.whole(value, self.name)
            found.append(self._fault("ok", f"the address answers: {count} signatures"))
        if self.section.signers is not None:
            found += self._look_at(self._listed(content), content)
        return found

    def _look_at(self, listed: list[object], content: object) -> list[errors.Fault]:
        """Say what the first page of the list holds."""
        if not listed:
            return [self._fault("warning", "there is no signer on the list yet")]
        signers = self._roster()
        items = [item for item in listed if isinstance(item, dict)]
        found = [self._fault("ok", f"the first page lists {len(listed)} signers")]
        entries = signers.entries(listed)
        if items:
            found += self._fields(signers, items)
        if self.section.only and not any(map(signers.counts, items)):
            what = "no signer of the first page counts by `only`"
            found.append(self._fault("warning", what, f"a signer's {shapes.keys(items[0])}"))
        bad = [entry.row for entry in entries if entry.row and entry.row.problem]
        if bad:
            what = f"of these, {len(bad)} would be left out: {bad[0].problem}"
            found.append(self._fault("warning", what))
        if signers.is_upside_down(entries):
            what = f"the times on the first page run against order = {self.section.order!r}"
            hint = "look whether the first signer of the list is the oldest or the newest"
            found.append(self._fault("warning", what, hint))
        found += signers.told()
        if self._next(content, "", len(listed)) == (None, False):
            what = "it is the only page, as far as is said"
            hint = "if there are more, say how to come to them: `next`, `page` or `offset`"
            found.append(self._fault("ok", what, hint))
        return found

    def _fields(self, signers: roster.Roster, items: list[dict[str, object]]) -> list[errors.Fault]:
        """Say which of our fields the signers have, and what is dropped."""
        wanted = self.section.columns
        flat = [signers.flat(item) for item in items]
        # Real values: an expression that joins two keys finds nothing in an empty object.
        match = signers.match({key: item[key] for item in items for key in item})
        found = []
        at = {
            field: wanted.get(cast("Any", field), match.header[place])
            for field, place in match.at.items()
        }
        empty = [field for field in at if all(item.get(field) is None for item in flat)]
        empty = [field for field in empty if field in wanted]
        for field in empty:
            what = f"no signer of the first page has what {at[field]!r} finds, for {field!r}"
            found.append(self._fault("warning", what, f"a signer's {shapes.keys(items[0])}"))
        if not {"name", "first_name", "last_name"} & (at.keys() - set(empty)):
            hint = (
                f'such as columns = {{ name = "full_name" }}; a signer\'s {shapes.keys(items[0])}'
            )
            found.append(self._fault("fault", "no field holds the signers' names", hint))
        pairs = ", ".join(f"{field} from {at[field]!r}" for field in at if field not in empty)
        found.append(self._fault("ok", f"fields found: {pairs}"))
        used = set(at.values()).union(*map(_WORDS.findall, wanted.values()))
        dropped = [key for key in roster.keys_of(items) if key not in used]
        if dropped:
            what = f"dropped at the door, never stored: {columns.listed(dropped)}"
            found.append(self._fault("ok", what))
        return found

    # --- one page -----------------------------------------------------------------------------

    def _sheet(
        self, door: fetch.Door, signers: roster.Roster, at: str, state: str
    ) -> paging.Sheet | None:
        answer = self._ask(door, at, state)
        if answer is None:
            return None
        content = self._content(answer)
        listed = self._listed(content)
        following, is_guessed = self._next(content, at, len(listed))
        is_newest = self.section.order == "newest"
        return paging.Sheet(
            entries=signers.entries(listed),
            content=roster.content_mark(listed),
            next=following,
            is_guessed=is_guessed,
            is_numbered=self.section.page is not None,
            # An unchanged page with a next one says nothing about that.
            state=answer.state if is_newest or following is None else "",
        )

    def _ask(self, door: fetch.Door, at: str, state: str) -> fetch.Answer | None:
        """Ask for a page; None where it is as it was at `state`."""
        section = self.section
        parameter, value = self._parameter(at)
        accept = {"Accept": "application/json"}
        if section.post is not None:
            body = copy.deepcopy(section.post)
            if parameter is not None:
                _put(body, parameter, value)
            accept["Content-Type"] = "application/json"
            return door.post(section.url, json.dumps(body).encode(), headers=accept, again=True)
        url = at if section.next and not section.cursor and at else section.url
        if parameter is not None:
            url = _with(url, parameter, str(value))
        return door.get(url, headers=accept, state=state)

    def _parameter(self, at: str) -> tuple[str | None, object]:
        """Return the parameter that leads to a page, and its value."""
        section = self.section
        if section.page is not None:
            return section.page, int(at or section.first_page)
        if section.offset is not None:
            return section.offset, int(at or 0)
        if section.cursor is not None and at:
            return section.cursor, json.loads(at)
        return None, None

    def _content(self, answer: fetch.Answer) -> object:
        content = answer.json()
        if self.section.post is not None:
            shapes.refuse_errors(content, self.name)
        return content

    def _listed(self, content: object) -> list[object]:
        expression = self.section.signers or ""
        found = shapes.need("signers", expression, content, self.name)
        if not isinstance(found, list):
            what = f"`signers`: {expression!r} finds something that is no list"
            raise errors.SourceError(what, hint=shapes.keys(content), file=self.name)
        return found

    def _next(self, content: object, at: str, count: int) -> tuple[str | None, bool]:
        """Return the place of the next page, and whether nobody said that there is one."""
        section = self.section
        if section.offset is not None:
            return str(int(at or 0) + count), True
        if section.page is not None:
            number = int(at or section.first_page) + 1
            if section.pages is None:
                return str(number), True
            pages = counting.whole(
                shapes.need("pages", section.pages, content, self.name), self.name
            )
            return (str(number) if number < pages + section.first_page else None), False
        found = section.next and shapes.find(section.next, content, self.name)
        if found is None or found is False or found in ("", [], {}):
            return None, False
        if section.cursor is not None:
            return self._value(found), False
        return self._address(found, at), False

    def _value(self, found: object) -> str:
        if isinstance(found, bool) or not isinstance(found, str | int):
            raise errors.SourceError("`next` finds neither a text nor a number", file=self.name)
        written = json.dumps(found)
        if len(written) > _LONGEST:
            raise errors.SourceError("what `next` finds is too long", file=self.name)
        return written

    def _address(self, found: object, at: str) -> str:
        """Return the next page's address, which must be on the same host."""
        if not isinstance(found, str) or len(found) > _LONGEST:
            hint = 'cursor = "after", say, where it is a word for a parameter of the address'
            raise errors.SourceError("`next` finds no address", hint=hint, file=self.name)
        home = hosts.Place.of(self.section.url)
        place = hosts.Place.of((hosts.Place.of(at) if at else home).joined(found))
        if place.host == home.host and (home.scheme, place.scheme) == ("https", "http"):
            # Behind a proxy a platform may take itself for one without TLS.
            place = dataclasses.replace(place, scheme="https", port=home.port)
        if place.host != home.host or hosts.may_lead(home, place):
            what = f"the next page is said to be at {place}, which is not asked"
            hint = "a list is read from one host only, since another could add anybody to it"
            raise errors.SourceError(what, hint=hint, file=self.name)
        return place.url

    # --- the rest -----------------------------------------------------------------------------

    def _roster(self) -> roster.Roster:
        return roster.Roster(self.campaign, self.section, self.errand.secret, name=self.name)

    def _leading(self) -> str:
        settings = {name: getattr(self.section, name) for name in _LEADING}
        text = json.dumps(settings, sort_keys=True).encode()
        return hashlib.blake2b(text, digest_size=8).hexdigest()

    def _fault(self, level: str, what: str, hint: str = "") -> errors.Fault:
        return errors.Fault(level=level, what=what, hint=hint, file=self.name)


def _with(url: str, parameter: str, value: str) -> str:
    """Return an address with a parameter set; the others stay as they are written."""
    parts = urllib.parse.urlsplit(url)
    kept = [
        pair
        for pair in parts.query.split("&")
        if pair and urllib.parse.unquote_plus(pair.partition("=")[0]) != parameter
    ]
    name = urllib.parse.quote(parameter, safe="[]")
    query = "&".join([*kept, f"{name}={urllib.parse.quote(value, safe='')}"])
    return urllib.parse.urlunsplit(parts._replace(query=query, fragment=""))


def _put(body: dict[str, Any], path: str, value: object) -> None:
    """Set what lies behind dots in what is sent; sections on the way are made."""
    *way, last = path.split(".")
    for part in way:
        body = body.setdefault(part, {})
    body[last] = value
