"""A Maildir: one file a mail, in `new` until a mail program has seen it and then in `cur`.

A name begins with the second at which its delivery began, and is good for
ever; what a mail program adds stands behind a colon.  A mail that took long to
write comes in behind younger ones, so names are remembered for a day.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import stat
from collections.abc import Iterator, Sequence
from typing import Any

from deliverybot import errors, inbox

#: Seconds by which a mail may come in behind younger ones.
SLACK = 86_400


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, order=True)
class _File:
    second: int
    #: Without what mail programs add.
    name: str
    path: pathlib.Path


class Maildir:
    """A Maildir on this machine."""

    def __init__(self, name: str, folder: pathlib.Path) -> None:
        self.name = name
        self._folder = folder

    def fetch(self, cursor: str) -> Sequence[inbox.Arrived]:
        """Return the next mails, oldest first."""
        known: dict[str, Any] = json.loads(cursor or '{"upto": 0, "seen": []}')
        upto, seen = int(known["upto"]), {str(name): int(at) for name, at in known["seen"]}
        found: list[inbox.Arrived] = []
        total = 0
        latest = self._latest()
        for file in self._files():
            if file.name in seen or file.second <= upto - SLACK:
                continue
            if len(found) == inbox.MAILS or total >= inbox.BYTES:
                break
            upto = max(upto, min(file.second, latest))
            seen[file.name] = file.second
            seen = {name: at for name, at in seen.items() if at > upto - SLACK}
            after = json.dumps({"upto": upto, "seen": sorted(seen.items())})
            with contextlib.suppress(FileNotFoundError):  # somebody deleted or moved it just now
                raw, note = _content(file.path)
                found.append(inbox.Arrived(raw=raw, cursor=after, note=note))
                total += len(raw)
        return found

    def _latest(self) -> int:
        """Return when the last mail came: a name from a wrong clock must not hide what follows."""
        times = []
        for folder in ("new", "cur"):
            with contextlib.suppress(OSError):  # `_files` says what is wrong
                times.append((self._folder / folder).stat().st_mtime)
        return int(max(times, default=0))

    def check(self) -> list[errors.Fault]:
        """Look whether it can be listed."""
        try:
            count = len(self._files())
        except inbox.Failed as error:
            return [errors.Fault(level="fault", what=str(error), hint=error.hint)]
        what = f"the mailbox {self._folder} can be read and holds {count:,} mails"
        return [errors.Fault(level="ok", what=what)]

    def _files(self) -> list[_File]:
        try:
            return sorted([*_listed(self._folder / "new"), *_listed(self._folder / "cur")])
        except OSError as error:
            message = f"the mailbox {self._folder} cannot be read: {error.strerror}"
            hint = "path in [inbox] names the folder that holds `new` and `cur`"
            raise inbox.Failed(message, hint=hint) from error


def _listed(folder: pathlib.Path) -> Iterator[_File]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or not entry.is_file(follow_symlinks=False):
                continue
            name = entry.name.partition(":")[0]
            second = re.match(r"[0-9]{9,11}(?![0-9])", name)
            try:
                at = int(second[0]) if second else int(entry.stat(follow_symlinks=False).st_mtime)
            except FileNotFoundError:
                continue
            yield _File(second=at, name=name, path=pathlib.Path(entry.path))


def _content(path: pathlib.Path) -> tuple[bytes, str]:
    """Return a mail, or the beginning of a very large one, and a note on that."""
    # Not blocking: what was a file a moment ago may be a pipe by now.
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise FileNotFoundError(path)
        if status.st_size > inbox.MAIL_MAX:
            return file.read(inbox.BEGINNING), inbox.cut(status.st_size)
        return file.read(inbox.MAIL_MAX), ""
