"""Which installation a ledger belongs to, and whether it is as far as that one has come.

A mark beside the ledger, in state_dir, says how far the ledger was when a letter or a
post last left.  It is written before the final dot, so no kill leaves it behind what is
out; it is brought to the disk between two looks at the queue, since the time between
`handing_over` and the dot is when a crash leaves a letter unsure:

    the ledger is behind its mark    it was restored from a backup
    no mark, or another one          it was cloned, or moved without its state_dir

Then what the ledger takes for unsent may have been sent long ago, and nothing
leaves before a person has said `deliverybot db confirm`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import fcntl
import hashlib
import json
import logging
import os
import pathlib
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from deliverybot import disk, errors, ledger

log = logging.getLogger(__name__)

#: The mark's file below state_dir, and the ledger's key for the installation's id.
FILE, KEY = "installation.mark", "installation"
#: The ledger's key for when a person last took it for the truth.
_CONFIRMED = "confirmed_at"
#: Bytes of a slot, which a disk writes whole or not at all; two of them take turns.
_SLOT = 512
_MACHINE = (pathlib.Path("/etc/machine-id"), pathlib.Path("/var/lib/dbus/machine-id"))
CONFIRM = "look what happened; `deliverybot db confirm` lets things go on"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How far an installation's ledger had come."""

    #: Random; the ledger has the same.
    installation: str
    #: Keyed hash of the machine's id; empty where it has none.
    host: str
    #: The newest row of the audit log, and its hash; 0 while nothing has left.
    seq: int
    hash: str
    at: str
    #: Of the writing: the slot with the higher one is the newer.
    turn: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A ledger and the state_dir beside it."""

    book: ledger.Ledger
    state: pathlib.Path
    #: As `host` gives it.
    host: str

    @property
    def file(self) -> pathlib.Path:
        """Where the mark is."""
        return self.state / FILE


def host() -> str:
    """Return what tells this machine from others; empty where nothing does.

    The name is no help: a container gets another one at each start.
    """
    for path in _MACHINE:
        with contextlib.suppress(OSError, UnicodeError):
            if text := path.read_text(encoding="ascii").strip():
                return hashlib.sha256(f"deliverybot host {text}".encode()).hexdigest()[:16]
    return ""


def doubt(place: Place) -> str:
    """Say why this ledger may not be as far as its letters; empty where it is.  Writes nothing."""
    try:
        mark = _read(place.file)
    except errors.LedgerError as error:
        return str(error)
    known = place.book.recall(KEY)
    if mark is None:
        if known is None:  # nothing has ever left, or the mark would have come first
            return ""
        return (
            f"the ledger {place.book.shown} was in use elsewhere: {place.state} has no {FILE};"
            " it was cloned, or moved without its state_dir"
        )
    if mark.seq == 0:
        return "" if known in {None, mark.installation} else _foreign(place)
    if known != mark.installation:
        return _foreign(place)
    return _behind(place, mark) or _moved(place, mark)


def of(book: ledger.Ledger, state: pathlib.Path) -> str:
    """Return the doubt about a ledger with this state_dir, on this machine."""
    return doubt(Place(book=book, state=state, host=host()))


def begin(place: Place, now: dt.datetime) -> str:
    """Return the doubt; where all is new, make the mark.

    1. Write the mark into state_dir.
    2. Write its id into the ledger.

    A crash between leaves a mark under which nothing has left; the next start takes it.
    """
    if said := doubt(place):
        return said
    if place.book.recall(KEY) is None:
        with contextlib.suppress(FileExistsError):  # another process was faster: its id counts
            mark = Mark(
                installation=uuid.uuid4().hex, host=place.host, seq=0, hash="",
                at=_text(now), turn=0,
            )  # fmt: skip
            disk.put(place.file, _slot(mark) + bytes(_SLOT))
        made = _read(place.file)
        if made is not None:
            place.book.remember(KEY, made.installation)
    return ""


def advance(place: Place, now: dt.datetime, known: str | None = None) -> None:
    """Move the mark to where the ledger is; `sync` brings it to the disk.

    For the moment when a letter's state is committed and its last byte has not
    left.  `known` is the ledger's id, where it was looked up before.

    Raises LedgerError where the ledger is behind its mark, and OSError: then
    nothing may leave.
    """
    with _locked(place.file) as handle:
        mark = _newest(os.pread(handle, 2 * _SLOT, 0))
        if mark is None or mark.installation != (known or place.book.recall(KEY)):
            raise errors.LedgerError(f"{place.file} is not this ledger's mark", hint=CONFIRM)
        seq, digest = place.book.audit.head()
        if seq < mark.seq:
            raise errors.LedgerError(_behind(place, mark), hint=CONFIRM)
        new = dataclasses.replace(
            mark, host=place.host, seq=seq, hash=digest, at=_text(now), turn=mark.turn + 1
        )
        _put(handle, new)


def confirm(place: Place, *, who: str, now: dt.datetime) -> None:
    """Take the ledger as it is for the truth, on a person's word.

    1. Write that into the audit log, and when it was.
    2. Write a mark of where the ledger is now.

    A crash between leaves the doubt; the person says it again.
    """
    said = doubt(place)
    kept = place.book.remember(KEY, uuid.uuid4().hex)
    place.book.audit.note(
        thing="ledger", ref="installation", old="doubted", new="confirmed", who=who, why=said,
        now=now,
    )  # fmt: skip
    place.book.replace(_CONFIRMED, now.isoformat())
    seq, digest = place.book.audit.head()
    place.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        disk.put(place.file, bytes(2 * _SLOT))
    with _locked(place.file) as handle:
        old = _newest(os.pread(handle, 2 * _SLOT, 0))
        mark = Mark(
            installation=kept, host=place.host, seq=seq, hash=digest, at=_text(now),
            turn=old.turn + 1 if old else 1,
        )  # fmt: skip
        _put(handle, mark)
    sync(place)


def confirmed_at(book: ledger.Ledger) -> dt.datetime | None:
    """Return when a person last took a doubted ledger for the truth; None: nobody ever had to.

    What is older may have happened without this ledger's knowing of it.
    """
    said = book.recall(_CONFIRMED)
    return None if said is None else dt.datetime.fromisoformat(said)


class Gate:
    """Lets letters and posts leave, while the ledger is as far as those before them."""

    def __init__(self, place: Place, clock: Callable[[], dt.datetime]) -> None:
        self._place = place
        self._clock = clock
        #: Why it is shut, as it was last said.
        self._said = ""
        #: The ledger's id, which stays.
        self._known: str | None = None
        #: Whether the mark was moved since it was brought to the disk.
        self._moved = False

    def shut(self) -> bool:
        """Tell whether nothing may leave; asked each time, so that a person's word counts."""
        if self._moved:
            self._moved = False
            sync(self._place)
        why = begin(self._place, self._clock())
        if why and why != self._said:
            log.error("nothing is sent or posted: %s; %s", why, CONFIRM)
        self._said = why
        return bool(why)

    def leaving(self) -> None:
        """Have it written how far the ledger is, just before something leaves.

        Raises NotMarked where that cannot be: then it must not leave.
        """
        try:
            self._known = self._known or self._place.book.recall(KEY)
            advance(self._place, self._clock(), self._known)
            self._moved = True
        except (errors.LedgerError, OSError) as error:
            raise errors.NotMarked(f"{self._place.file}: {error}") from error


def gate(book: ledger.Ledger, state: pathlib.Path, clock: Callable[[], dt.datetime]) -> Gate:
    """Return the gate of the ledger with this state_dir, on this machine."""
    return Gate(Place(book=book, state=state, host=host()), clock)


def _foreign(place: Place) -> str:
    return (
        f"{place.file} is the mark of another ledger than {place.book.shown}:"
        " what that one has sent is not known here"
    )


def _behind(place: Place, mark: Mark) -> str:
    """Say that the ledger lacks what it had when something last left."""
    if place.book.audit.hash_of(mark.seq) == mark.hash:
        return ""
    seq, _ = place.book.audit.head()
    return (
        f"the ledger {place.book.shown} is not the one that letters last left from: its log had"
        f" row {mark.seq:,} at {mark.at}, and has {seq:,} rows now; it was restored from a backup"
        if seq < mark.seq
        else f"the ledger {place.book.shown} is not the one that letters last left from:"
        f" row {mark.seq:,} of its log is another than at {mark.at}; it was restored from a"
        " backup, and has worked since"
    )


def _moved(place: Place, mark: Mark) -> str:
    """Say that this is another machine; on PostgreSQL several may share one state_dir."""
    if not place.book.single_process or not (mark.host and place.host):
        return ""
    if mark.host == place.host:
        return ""
    return (
        f"the ledger {place.book.shown} was last in use on another machine, at {mark.at}:"
        " it was moved here, or is a copy that the other one goes on with"
    )


def _text(now: dt.datetime) -> str:
    return now.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


@contextlib.contextmanager
def _locked(file: pathlib.Path) -> Iterator[int]:
    handle = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def _put(handle: int, mark: Mark) -> None:
    """Write a mark over the older one; in place, since this comes before every dot."""
    os.pwrite(handle, _slot(mark), mark.turn % 2 * _SLOT)


def sync(place: Place) -> None:
    """Bring the mark to the disk."""
    with _locked(place.file) as handle:
        os.fdatasync(handle)


def _slot(mark: Mark) -> bytes:
    plain = dataclasses.asdict(mark)
    text = json.dumps(plain | {"check": _check(plain)})
    return text.ljust(_SLOT - 1).encode("ascii") + b"\n"


def _check(plain: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def _read(file: pathlib.Path) -> Mark | None:
    """Return the mark; None where there is none, LedgerError where it cannot be read."""
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise errors.LedgerError(f"{file} cannot be read: {error.strerror}") from error
    mark = _newest(content)
    if mark is None:
        raise errors.LedgerError(f"{file} is damaged: how far the ledger was is not known")
    return mark


def _newest(content: bytes) -> Mark | None:
    marks = [_parse(content[start : start + _SLOT]) for start in (0, _SLOT)]
    return max(filter(None, marks), key=lambda mark: mark.turn, default=None)


def _parse(slot: bytes) -> Mark | None:
    """Read a slot; None where it was never written, or only in part."""
    try:
        plain = json.loads(slot)
        check = plain.pop("check")
        return Mark(**plain) if check == _check(plain) else None
    except (ValueError, TypeError, AttributeError, KeyError):
        return None
