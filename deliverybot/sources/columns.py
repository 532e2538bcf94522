"""Which of their columns is which of our fields."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from deliverybot import campaign as campaigns
from deliverybot import places, screen

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
)
#: The fields that say what a signer allows.
CONSENT = ("public", "to_target", "mail", "sms")
#: The fields that tell two people of one name apart.
KEYS = ("id", "email", "signed_at")


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

    @property
    def dropped(self) -> tuple[str, ...]:
        """The columns that end at the door."""
        used = set(self.at.values())
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


def match(header: Sequence[str], source: campaigns.Source) -> Found:
    """Match a heading: what the campaign maps comes first, then equal names."""
    wanted = {str(field): column for field, column in source.columns.items()}
    plain = [_plain(name) for name in header]
    at: dict[str, int] = {}
    missing: dict[str, str] = {}
    twice: list[str] = []
    for field in FIELDS:
        column = wanted.get(field, field)
        found = [place for place, name in enumerate(header) if name == column]
        found = found or [place for place, name in enumerate(plain) if name == _plain(column)]
        if found:
            at[field] = found[0]
        elif field in wanted:
            missing[field] = column
        if len(found) > 1:
            twice.append(header[found[0]])
    return Found(header=tuple(header), at=at, missing=missing, twice=tuple(dict.fromkeys(twice)))


def listed(names: Sequence[str], most: int = 20) -> str:
    """Write names in a row, the first `most` of them."""
    # A file without a heading has a person's data in its place.
    shown = [repr(screen.without_private(screen.clean(name, 60))) for name in names if name]
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more


def _plain(name: str) -> str:
    return name.strip().casefold().replace(" ", "_").replace("-", "_")
