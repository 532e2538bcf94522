"""Two kinds of source as a stranger would write them: a number, and pages of signers.

`install` makes them known to this process the way a package does, by entry points.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any, Literal, cast

import pytest

from deliverybot import errors, origins, plugins
from deliverybot.sources import columns, counting, fetch, files, kinds, objects


class Number(origins.Fetched):
    kind: Literal["number"]
    url: str

    @property
    def counts(self) -> bool:
        return True


class Paged(origins.Listing, origins.Fetched):  # type: ignore[misc] # pydantic.mypy
    kind: Literal["paged"]
    url: str


class NumberSource(kinds.Source):
    """{"count": 12} at an address."""

    Settings = Number

    section: Number

    def probe(self, state: str) -> kinds.Count | None:
        with fetch.Door(self.errand) as door:
            answer = door.get(self.section.url, state=state)
        if answer is None:
            return None
        value = answer.json()
        if not isinstance(value, dict) or set(value) != {"count"}:
            raise answer.error("there is no count")
        return kinds.Count(counting.whole(value["count"], answer.url), answer.state)

    def look(self) -> list[errors.Fault]:
        self.probe("")
        return []


class PagedSource(kinds.Source):
    """{"people": [...], "next": "address of the next page"}."""

    Settings = Paged

    def pages(self, cursor: str | None) -> Iterator[kinds.Page]:
        section = cast("Paged", self.errand.section)
        layout = columns.Layout.of(section, self.campaign.language)
        rows_of = objects.Objects(layout)
        url, before = cursor or section.url, 0
        with fetch.Door(self.errand) as door:
            while url:
                answer = door.get(url)
                if answer is None:
                    raise TypeError("nothing was asked conditionally")
                value = cast("dict[str, Any]", answer.json())
                rows = [
                    files.Row(0, n, n, cast("Any", rows_of.values(person)), "")
                    for n, person in enumerate(value["people"], 1)
                ]
                url = value.get("next") or ""
                yield kinds.Page(rows=rows, cursor=url or section.url, before=before)
                before += len(rows)

    def look(self) -> list[errors.Fault]:
        return []


def install(monkeypatch: pytest.MonkeyPatch, folder: pathlib.Path) -> None:
    """Write what an installed package would have, and put it on the path."""
    info = folder / "site" / "strangers-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strangers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[{plugins.SOURCES}]\n"
        "number = counted_source:NumberSource\n"
        "paged = counted_source:PagedSource\n"
    )
    monkeypatch.syspath_prepend(str(info.parent))
