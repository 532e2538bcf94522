"""Files that lie at a web address: fetched into a nameless file, read, and gone.

Nothing of them stays on this machine: they hold e-mail addresses.  The mark
proves what was read before by a few hashes, so the place alone is kept, and the
host's own sign of what it sent (its validators).
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import tempfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, cast

from deliverybot import errors, retry_after
from deliverybot.sources import answers, fetch, files, hosts, kinds

#: Bytes at the start that tell a web page from a list.
_BEGIN = 512


class Download(NamedTuple):
    """A file that was fetched, and what asks for it conditionally once it is read to its end."""

    file: files.File
    state: str


@contextlib.contextmanager
def opened(errand: kinds.Errand, url: str, *, state: str = "") -> Iterator[Download | None]:
    """Fetch a file and open it; None where it is as it was at `state`.

    Raises:
        errors.SourceError: It cannot be fetched, is too large, or is a web page.
    """
    with _nameless(errand.means.state) as raw:
        try:
            with fetch.Door(errand) as door:
                answer = door.download(url, raw, state=state)
        except OSError as error:
            what = f"the file cannot be kept while it is read: {error.strerror}"
            raise errors.SourceError(
                what, hint="make room on the disk", file=hosts.shown(url)
            ) from None
        if answer is None:
            yield None
            return
        size = raw.tell()
        raw.seek(0)
        answer.refuse_page("a list of signatures", begin=raw.read(_BEGIN))
        raw.seek(0)
        if not answer.is_whole:
            raise answer.error("the answer does not say where it ends, so it may be cut off")
        is_settled = _is_settled(errand, answer)
        file = files.File(name=answer.url, raw=raw, size=size, settled=lambda: is_settled)
        # What is still being written is looked at again, even where it stays as it is.
        yield Download(file, answer.state if is_settled else "")


def _is_settled(errand: kinds.Errand, answer: answers.Answer) -> bool:
    """Tell whether nobody seems to be writing it, so that an unfinished last line counts."""
    modified = retry_after.date(answer.headers.get("last-modified", ""))
    return modified is None or (errand.now - modified).total_seconds() >= files.REST


def _nameless(folder: pathlib.Path | None) -> BinaryIO:
    """Open a file that no other account can read, and that ends with this reading."""
    if folder is not None:
        # Not in /tmp, which is small or in memory on many a machine.
        folder.mkdir(parents=True, exist_ok=True)
    return cast("BinaryIO", tempfile.TemporaryFile(dir=folder, buffering=1 << 18))


def dump(mark: str, state: str) -> str:
    """Return the cursor of a file at a web address: its mark, and its state where it ends."""
    return json.dumps({"mark": mark, "state": state}, ensure_ascii=False)


def load(cursor: str | None) -> tuple[str | None, str]:
    """Return mark and state of a cursor, be it one of a file on this machine."""
    try:
        fields = json.loads(cursor or "")
        return str(fields["mark"]), str(fields["state"])
    except (ValueError, TypeError, KeyError):
        return cursor, ""


def pages(
    each: Iterator[kinds.Page], before: str | None, download: Download, state: str
) -> Iterator[kinds.Page]:
    """Give pages with their cursors; the last alone has the state, for it was read to its end.

    A reading that is cut off then meets the file again, not a host that says
    that nothing has changed.
    """
    held: kinds.Page | None = None
    try:
        for page in each:
            if held is not None:
                yield held
            held = dataclasses.replace(page, cursor=dump(page.cursor, ""))
    except errors.SourceError:
        if held is not None:
            yield held
        raise
    mark = before if held is None else load(held.cursor)[0]
    if mark is not None and (held is not None or download.state != state):
        held = held or kinds.Page(rows=(), cursor="")
        yield dataclasses.replace(held, cursor=dump(mark, download.state))
