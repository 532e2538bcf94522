"""Signatures on web pages: their number, and a list of names that shows the newest first.

The list has no ids, it moves while it is read, and two people may have one
name.  newest.py tells what is new in it.  Here the pages are joined to one
list: a page is taken for the continuation of the one before it only if that
one, asked again afterwards, is what it was.  Where it is not, the list has
moved, and it is found again where the reading had come to.

What is new is kept on disk until its oldest name is known, and given from
there on, each page with the cursor that says so: a reading that is cut off
goes on behind the last page that was stored.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterator
from typing import cast

import typing_extensions

from deliverybot import errors
from deliverybot.origins import htmlpage as sections
from deliverybot.sources import (
    columns,
    fetch,
    files,
    hosts,
    htmltree,
    kinds,
    newest,
    onepage,
    spool,
)

#: How often a list may move between the same two pages.
MOVES = 10
#: Names further up among which a page that has moved is looked for.
_BACK = 500
#: Seconds between two looks whether the process is to stop.
_SLICE = 0.5
_RULES = ("count", "pattern", "signers", "next", "page", "columns", "url", "path", "order")


class HtmlPage(kinds.Source):
    """A page that shows the number of signatures, a list of signers, or both."""

    Settings = sections.HtmlSource
    section: sections.HtmlSource

    @property
    @typing_extensions.override
    def name(self) -> str:
        if self.section.url is None:
            return str(self.campaign.file.parent / (self.section.path or ""))
        return str(hosts.Place.of(self.section.url))

    @typing_extensions.override
    def probe(self, state: str) -> kinds.Count | None:
        with self._reader() as reader:
            raw = reader.raw(self.section.url or "", self._state_of(state))
            if raw is None:
                return None
            number = reader.count(raw, reader.tree(raw))
        if number is None:
            raise errors.SourceError("nothing says where the number stands", file=raw.name)
        return kinds.Count(number, self._with_rules(raw.state))

    @typing_extensions.override
    def pages(self, cursor: str | None) -> Iterator[kinds.Page]:
        known = self._known(cursor)
        is_anew = cursor is not None and known.anew != self.section.anew
        compared = newest.Comparison(known)
        with self._reader() as reader, spool.Spool() as rows:
            walk = _Walk(self.errand, reader, compared, rows)
            state = "" if is_anew else self._state_of(known.state)
            if not walk.start(state):
                return
            while not walk.at_end and not self._is_enough(walk, is_anew=is_anew):
                walk.go_on()
            walk.turn(known, is_over=self.section.order == "oldest")
            if is_anew:
                yield self._anew(walk, known)
            elif len(rows):
                yield from self._new(walk, known, cursor)

    def _is_enough(self, walk: _Walk, *, is_anew: bool) -> bool:
        """Tell whether the list was read far enough from its beginning."""
        if self.section.order == "oldest":
            return False
        return len(walk.rows) >= newest.RUN if is_anew else walk.compared.is_enough()

    def _new(self, walk: _Walk, known: newest.Known, cursor: str | None) -> Iterator[kinds.Page]:
        """Give what is new, oldest first."""
        result = walk.compared.result(at_end=walk.at_end)
        if result is None:
            what = f"none of the {len(known.run)} newest signers that are known is on the page"
            hint = (
                "if the page was rebuilt, look at the list and write anew = "
                f'"{self.errand.now:%Y-%m-%d}" in this section: whoever stands there then counts '
                "as known, and whoever comes after is taken"
            )
            raise errors.SourceError(what, hint=hint, file=self.name)
        total, done = len(result.fresh), 0
        while True:
            count = min(self.errand.most, total - done)
            end = total - done
            places = result.fresh[end - count : end]
            numbers = range(known.given + done + 1, known.given + done + count + 1)
            rows = [
                self._row(walk.row(place), number)
                for place, number in zip(reversed(places), numbers, strict=True)
            ]
            done += count
            after = self._marked(result.known(known, done), walk.state if done == total else "")
            if rows or after != cursor:
                yield kinds.Page(
                    rows=rows, cursor=after, before=known.given + done - count,
                    asked=self._asked, position=done, size=total,
                )  # fmt: skip
            if done == total:
                return

    def _anew(self, walk: _Walk, known: newest.Known) -> kinds.Page:
        """Take whoever is on the page as known."""
        run = tuple(walk.compared.marks[: newest.RUN])
        after = newest.Known(
            run=run, is_all=walk.at_end and len(walk.rows) <= newest.RUN, given=known.given
        )
        what = (
            f"`anew` has changed: the {len(walk.rows)} newest signers on the page count as known; "
            f"{known.given} were taken before"
        )
        told = errors.Fault(level="warning", what=what, file=self.name, line=1)
        return kinds.Page(rows=(), cursor=self._marked(after, ""), told=(told,))

    @property
    def _asked(self) -> frozenset[str]:
        return frozenset(self.section.columns) & frozenset(columns.CONSENT)

    def _row(self, values: tuple[str, ...], number: int) -> files.Row:
        if not values[0]:
            values = (f"page:{number}", *values[1:])
        return files.Row.of(number, values)

    def _known(self, cursor: str | None) -> newest.Known:
        if cursor is None:
            return newest.Known(anew=self.section.anew)
        known = newest.Known.load(cursor)
        if known is None:
            what = "where the list was read to is written in a way that is not known here"
            hint = "another version of deliverybot, or another kind of source, wrote it"
            raise errors.SourceError(what, hint=hint, file=self.name)
        return known

    def _marked(self, known: newest.Known, state: str) -> str:
        state = self._with_rules(state)
        return dataclasses.replace(known, state=state, anew=self.section.anew).dump()

    @property
    def _rules(self) -> str:
        """Stands for all that decides what is seen on a page."""
        said = [str(getattr(self.section, name)) for name in (*_RULES, "preset")]
        return hashlib.blake2b(json.dumps(said).encode(), digest_size=8).hexdigest()

    def _with_rules(self, state: str) -> str:
        return f"{self._rules} {state}" if state else ""

    def _state_of(self, text: str) -> str:
        """Return what the page was at, if it was read by the same settings."""
        rules, _, state = text.partition(" ")
        return state if rules == self._rules else ""

    @contextlib.contextmanager
    def _reader(self) -> Iterator[onepage.Reader]:
        if self.section.url is None:
            yield onepage.Reader(self.errand, None)
            return
        with fetch.Door(self.errand) as door:
            yield onepage.Reader(self.errand, door)

    @typing_extensions.override
    def look(self) -> list[errors.Fault]:
        with self._reader() as reader:
            raw = reader.raw(self.section.url or "")
            if raw is None:
                return []
            tree = reader.tree(raw)
            return [
                *self._look_count(reader, raw, tree),
                *self._look_signers(reader, raw, tree),
            ]

    def _look_count(
        self, reader: onepage.Reader, raw: onepage.Raw, tree: htmltree.Tree
    ) -> list[errors.Fault]:
        if not self.section.counts:
            return []
        number = reader.count(raw, tree)
        return [self._says("ok", f"the page shows the number {number}")]

    def _look_signers(
        self, reader: onepage.Reader, raw: onepage.Raw, tree: htmltree.Tree
    ) -> list[errors.Fault]:
        if not self.section.lists:
            return []
        seen = reader.seen(raw, tree, 1)
        found = [self._says("ok", f"signers on the first page: {len(seen.signers)}")]
        if seen.comments:
            what = f"{seen.comments} elements of `signers` stand among comments and are passed over"
            hint = "make `signers` narrower: name the list, such as ul.signatures > li"
            found.append(self._says("warning", what, hint))
        empty = [
            field
            for field in self.section.columns
            if field in columns.FIELDS
            and not any(one.values[columns.FIELDS.index(field)] for one in seen.signers)
        ]
        if empty:
            what = f"no signer on the first page has {', '.join(empty)} where `columns` says"
            found.append(self._says("warning", what, "look at one signer's element in a browser"))
        if not seen.next:
            what = "there is no next page: the list ends with the first one"
            hint = "if the list goes over several pages, say so with `next` or `page`"
            found.append(self._says("warning" if self.section.url else "ok", what, hint))
        return found

    def _says(self, level: str, what: str, hint: str = "") -> errors.Fault:
        return errors.Fault(level=level, what=what, hint=hint, file=self.name, line=1)


class _Walk:
    """A list on several pages, read from its newest name on and joined to one."""

    def __init__(
        self,
        errand: kinds.Errand,
        reader: onepage.Reader,
        compared: newest.Comparison,
        rows: spool.Spool,
    ) -> None:
        self.compared = compared
        self.rows = rows
        #: Whether there is no page after the last one read.
        self.at_end = False
        #: What the first page was at.
        self.state = ""
        self._errand = errand
        self._section = cast("sections.HtmlSource", errand.section)
        self._reader = reader
        self._number = 1
        #: Addresses of the pages that were read.
        self._asked: set[str] = set()
        self._is_over = False
        #: Names at the end of what was read that stand behind `_page` now.
        self._behind = 0

    def start(self, state: str) -> bool:
        """Read the first page; False where it is as it was at `state`."""
        page = self._reader.look(self._section.url or "", 1, state)
        if page is None:
            return False
        self._page, self.state = page, page.state
        self._asked.add(page.url)
        self._add(page.signers)
        self.at_end = not page.next or not page.signers
        return True

    def go_on(self) -> None:
        """Read the next page.

        Raises:
            errors.SourceError: It cannot be read, there are too many, or the
                list moves too fast to be read.
        """
        for _ in range(MOVES):
            if not self._page.next or self._number >= self._section.most_pages:
                break
            after = self._fresh(self._page.next, self._number + 1)
            again = self._get(self._page.url, self._number, self._page.state)
            if again is None or again.marks == self._page.marks:
                if self._append(after):
                    self._number += 1
                    return
            elif not self._found_again(again):
                break
        if not self._page.next:
            self.at_end = True
            return
        raise self._stuck()

    def turn(self, known: newest.Known, *, is_over: bool) -> None:
        """End the reading; turn a list over that shows the oldest first."""
        self._is_over = is_over
        if not is_over:
            return
        marks = self.compared.marks[::-1]
        self.compared = newest.Comparison(known)
        self.compared.add(marks)
        if self._number > 1:
            # Whoever is new stands on the last page: the first one tells nothing.
            self.state = ""

    def row(self, place: int) -> tuple[str, ...]:
        """Return the row at a place of the list, from the newest on."""
        return self.rows.row(len(self.rows) - 1 - place if self._is_over else place)

    def _append(self, after: onepage.Seen) -> bool:
        """Add the page after the last one; False where it does not go on from there."""
        if not after.signers or (self._section.page and after.marks == self._page.marks):
            # Behind the last page, sites show an empty page, or the last one again.
            self.at_end = True
            return True
        if after.url in self._asked or (
            len(set(after.marks)) > 1 and after.marks == self._page.marks
        ):
            raise self._circle()
        old = 0
        if self._behind:
            joined = self.compared.joined(after.marks, self._behind)
            if joined is None:
                return False
            old, self._behind = joined
        self._add(after.signers[old:])
        self._page = after
        self._asked.add(after.url)
        self.at_end = not after.next
        return True

    def _found_again(self, again: onepage.Seen) -> bool:
        """Find the place of a page that has moved; False where nothing of it is known."""
        joined = self.compared.joined(again.marks, _BACK, is_moved=True)
        if joined is None:
            return False
        old, self._behind = joined
        self._add(again.signers[old:])
        self._page = again
        return True

    def _circle(self) -> errors.SourceError:
        number = self._number + 1
        what = f"page {number} shows what a page before it shows: its pages go round in a circle"
        hint = "open the link that `next` finds: it must lead to other names on each page"
        return errors.SourceError(what, hint=hint, file=self._page.name)

    def _stuck(self) -> errors.SourceError:
        if self._number >= self._section.most_pages:
            what = f"after {self._number} pages the list has not come to its end, or to known names"
            hint = "`most_pages` and `deadline` in this section say how far one reading goes"
        else:
            what = f"the list moves faster than it can be read (page {self._number})"
            hint = "the next reading tries again; a shorter `between` helps"
        return errors.SourceError(what, hint=hint, file=self._page.name)

    def _fresh(self, url: str, number: int) -> onepage.Seen:
        page = self._get(url, number)
        if page is None:
            raise AssertionError("nothing was asked conditionally")
        return page

    def _get(self, url: str, number: int, state: str = "") -> onepage.Seen | None:
        """Ask for a page after a decent time."""
        left = float(self._section.between_seconds)
        while left > 0:
            self._errand.pause()
            self._errand.means.sleep(min(left, _SLICE))
            left -= _SLICE
        return self._reader.look(url, number, state)

    def _add(self, signers: list[onepage.Name]) -> None:
        for one in signers:
            self.rows.add(one.values)
        self.compared.add([one.mark for one in signers])
