"""Progress of long work: a bar on a terminal, log lines elsewhere."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from typing import Any

log = logging.getLogger("deliverybot.progress")

#: A bar, what it is of and the time that is left need this many columns.
_NARROW = 80


class Lines:
    """Says in the log what is being done; every tenth of a long reading."""

    def __init__(self) -> None:
        """Nothing said yet."""
        self._said: dict[str, int] = {}
        self._set: dict[str, int] = {}

    def reading(self, slug: str, done: int, size: int) -> None:
        """Tell how many bytes of a source are read."""
        tenth = done * 10 // size if size else 10
        if tenth > self._said.get(slug, 0):
            self._said[slug] = tenth
            log.info("%s: %d%% of the signatures read", slug, tenth * 10)

    def rendering(self, slug: str, target: str) -> None:
        """Tell that a letter is being made."""
        log.info("%s: rendering the letter to %s", slug, target)

    def typesetting(self, slug: str, done: int, upto: int) -> None:
        """Tell how many signers of a list are set."""
        tenth = done * 10 // upto if upto else 10
        if tenth != self._set.get(slug, 0):
            self._set[slug] = tenth
            log.info("%s: %d%% of the list typeset", slug, tenth * 10)


class Bars:
    """Shows the same on a terminal."""

    def __init__(self, bars: Any) -> None:  # noqa: ANN401 - rich is imported late
        """Draw into a `rich.progress.Progress`."""
        self._bars = bars
        self._tasks: dict[str, Any] = {}

    def reading(self, slug: str, done: int, size: int) -> None:
        """Move the bar of a source."""
        if slug not in self._tasks:
            self._tasks[slug] = self._bars.add_task(f"reading {slug}", total=size)
        self._bars.update(self._tasks[slug], completed=done, total=size)

    def rendering(self, slug: str, target: str) -> None:
        """Show that a letter is being made."""
        for task in self._tasks.values():
            self._bars.update(task, visible=False)
        self._tasks = {"": self._bars.add_task(f"rendering {slug} to {target}", total=None)}

    def typesetting(self, slug: str, done: int, upto: int) -> None:
        """Move the bar of a list."""
        key = f"typesetting {slug}"
        if key not in self._tasks:
            self._tasks[key] = self._bars.add_task(key, total=upto)
        self._bars.update(self._tasks[key], completed=done, total=upto)


@contextlib.contextmanager
def reporter() -> Iterator[Lines | Bars]:
    """Give a reporter that suits standard error."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    from rich import console, progress

    screen = console.Console(stderr=True)
    columns = progress.Progress.get_default_columns()
    if screen.width < _NARROW:
        columns = columns[:-1]  # the time that is left would be cut to "0:00:…"
    with progress.Progress(*columns, console=screen, transient=True) as bars:
        yield Bars(bars)
