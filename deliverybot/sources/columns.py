"""Which of their columns is which of our fields."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Self

from deliverybot import origins, places, screen
from deliverybot.sources import exports

#: Our fields, in the order of a row's values.
FIELDS = (
    "id",
    "name",
    "first_name",
    "last_name",
    "email",
    "city",
    "region",
    "country",
    "postcode",
    "comment",
    "signed_at",
    "public",
    "to_target",
    "mail",
    "sms",
    "anonymous",
)
#: The fields that say what a signer allows.
CONSENT = ("public", "to_target", "mail", "sms")
#: The fields that tell two people of one name apart.
KEYS = ("id", "email", "signed_at")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a campaign's rows are written, as far as a person said so."""

    #: Our field -> their column.
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    #: How the platform writes its exports, with the campaign's own `only` and `dates`.
    export: exports.Export = exports.PLAIN
    encoding: str | None = None
    delimiter: str | None = None
    #: The campaign's; tells which encodings are likely.
    language: str = "en"

    @property
    def only(self) -> Mapping[str, tuple[str, ...]]:
        """Their column -> the values of it that count."""
        return self.export.only

    def names(self, field: str) -> tuple[str, ...]:
        """Return what a column for one of our fields may be called, the likeliest first."""
        if field in self.columns:
            return (self.columns[field],)
        return (*self.export.columns.get(field, ()), field)

    @classmethod
    def of(cls, section: origins.Section, language: str) -> Self:
        """Return what a section says."""
        return cls(
            columns={str(ours): theirs for ours, theirs in getattr(section, "columns", {}).items()},
            export=exports.of(section),
            encoding=getattr(section, "encoding", None),
            delimiter=getattr(section, "delimiter", None),
            language=language,
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Their columns, matched."""

    header: tuple[str, ...]
    #: Our field -> place in their heading, from 0.
    at: Mapping[str, int]
    #: Our field -> the column that the campaign names and the file does not have.
    missing: Mapping[str, str]
    #: Columns that two places claim: their name stands twice in the heading.
    twice: tuple[str, ...]
    #: Places of the columns that say whether a row counts, and their values that say so.
    only: tuple[tuple[int, frozenset[str]], ...] = ()
    #: Such columns that the campaign names and the file does not have.
    unfound: tuple[str, ...] = ()

    def counts(self, values: Sequence[object]) -> bool:
        """Tell whether a row counts by what stands in those columns."""
        return all(_said(values[place]) in wanted for place, wanted in self.only)

    @property
    def dropped(self) -> tuple[str, ...]:
        """The columns that end at the door."""
        used = {*self.at.values(), *(place for place, _ in self.only)}
        return tuple(name for place, name in enumerate(self.header) if name and place not in used)

    @property
    def named(self) -> bool:
        """Whether a signer's name can be found."""
        return any(field in self.at for field in ("name", "first_name", "last_name"))

    def problems(self) -> list[tuple[str, str]]:
        """Say what keeps this file from being read: pairs of what and hint."""
        found = []
        for field, column in self.missing.items():
            near = places.nearest(column, self.header)
            meant = f"did you mean {near!r}? " if near else ""
            hint = (
                f"{meant}name one of the file's columns as {field!r} in the campaign's "
                f"[source.columns], or take the line out; the columns are: {listed(self.header)}"
            )
            found.append((f"there is no column {column!r}, which {field!r} is mapped to", hint))
        for column in self.unfound:
            hint = (
                "name one of the file's columns in `only` under [source], or write only = {} "
                "so that each row counts; "
                f"the columns are: {listed(self.header)}"
            )
            found.append((f"there is no column {column!r}, which `only` asks for", hint))
        for column in self.twice:
            hint = "give each column that is used a name of its own"
            found.append((f"the column {column!r} stands twice in the heading", hint))
        if not self.named and not {"name", "first_name", "last_name"} & set(self.missing):
            hint = (
                'say which column it is under [source], such as columns = { name = "Full name" }; '
                f"the columns are: {listed(self.header)}"
            )
            found.append(("no column holds the signers' names", hint))
        return found


def match(header: Sequence[str], layout: Layout) -> Found:
    """Match a heading: what the campaign maps comes first, then equal names."""
    wanted = layout.columns
    plain = [_plain(name) for name in header]
    at: dict[str, int] = {}
    missing: dict[str, str] = {}
    twice: list[str] = []
    for field in FIELDS:
        tried = (_places(name, header, plain) for name in layout.names(field))
        found: list[int] = next(filter(None, tried), [])
        if found:
            at[field] = found[0]
        elif field in wanted:
            missing[field] = wanted[field]
        if len(found) > 1:
            twice.append(header[found[0]])
    asked = {column: _places(column, header, plain) for column in layout.only}
    return Found(
        header=tuple(header),
        at=at,
        missing=missing,
        twice=tuple(dict.fromkeys(twice)),
        only=tuple(
            (found[0], frozenset(map(_said, layout.only[column])))
            for column, found in asked.items()
            if found
        ),
        unfound=tuple(column for column, found in asked.items() if not found),
    )


def _places(column: str, header: Sequence[str], plain: Sequence[str]) -> list[int]:
    """Return where a column stands: under just this name, else under one like it."""
    found = [place for place, name in enumerate(header) if name == column]
    return found or [place for place, name in enumerate(plain) if name == _plain(column)]


def _said(value: object) -> str:
    """Return a value as `only` compares it: "Yes", " yes" and JSON's true and 1 as they look."""
    text = str(value).casefold() if isinstance(value, bool | int | float | str) else ""
    return text.strip().casefold()


def listed(names: Sequence[str], most: int = 20) -> str:
    """Write names in a row, the first `most` of them."""
    # A file without a heading has a person's data in its place.
    shown = [repr(screen.without_private(screen.clean(name, 60))) for name in names if name]
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more


def _plain(name: str) -> str:
    return name.strip().casefold().replace(" ", "_").replace("-", "_")
