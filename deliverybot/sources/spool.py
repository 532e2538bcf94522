"""Rows of a long list, kept on disk while it is read from its newest row on."""

from __future__ import annotations

import array
import json
import tempfile
from typing import Self


class Spool:
    """Rows in a nameless temporary file, found by their place; gone when it is closed."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=1 << 18)  # noqa: SIM115 - closed by __exit__
        self._begins = array.array("Q", [0])

    def __enter__(self) -> Self:
        """The file is open already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file; the system forgets it."""
        self._file.close()

    def __len__(self) -> int:
        """Rows so far."""
        return len(self._begins) - 1

    def add(self, values: tuple[str, ...]) -> None:
        """Add a row at the end."""
        raw = json.dumps(values).encode()
        self._file.seek(self._begins[-1])
        self._file.write(raw)
        self._begins.append(self._begins[-1] + len(raw))

    def row(self, place: int) -> tuple[str, ...]:
        """Return the row at a place, from 0."""
        self._file.seek(self._begins[place])
        return tuple(json.loads(self._file.read(self._begins[place + 1] - self._begins[place])))
