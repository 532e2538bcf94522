"""What the modules of file formats give: the rows of one file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from deliverybot.sources import columns, files


class Reading(Protocol):
    """The rows of a file after a mark."""

    @property
    def mark(self) -> files.Mark:
        """Where the rows begin."""

    @property
    def guessed(self) -> bool:
        """Whether the encoding is a guess that a person should look at."""

    @property
    def found(self) -> columns.Found:
        """Their columns, matched to our fields."""

    @property
    def present(self) -> frozenset[str]:
        """Our fields that the source has, the fields of consent at least."""

    def rows(self) -> Iterator[files.Row]:
        """Give each row after the mark."""

    def note(self, mark: files.Mark) -> files.Mark:
        """Add to a mark what was learnt on the way."""
