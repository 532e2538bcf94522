"""How far a table was read: its last key, and the keys shortly before it that came already."""

from __future__ import annotations

import bisect
import dataclasses
import datetime as dt
import decimal
import hashlib
import json
import re
import uuid
from collections.abc import Sequence
from typing import Any

from deliverybot import errors
from deliverybot.origins import sql as sections
from deliverybot.origins import statements

Key = int | str | bytes | dt.datetime | uuid.UUID

#: How far back a reading looks where the campaign does not say: identity values of a database
#: become visible when their transaction ends, not when they are given out.
_BACK_KEYS, _BACK_TIME = 1000, dt.timedelta(minutes=10)
#: Keys that are remembered; of a longer stretch, the older ones are given again.
_REMEMBERED = 5000
#: Texts that every database sorts alike: digits and small letters, of one length.
_EVERYWHERE = re.compile(r"[0-9a-z]+|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LONGEST = 200
#: Above any identifier; the integers of databases end at 2**63.
_MOST = 10**30
#: Versions of UUIDs whose order says nothing about time (RFC 9562, section 5).
_UNORDERED = range(1, 6)
_VERSION = 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How far a table was read."""

    #: Tells one table and query from another.
    about: str
    #: The highest key; None: nothing was read yet.
    last: Key | None = None
    #: Rows given so far.
    rows: int = 0
    #: The keys, ascending, that came already and are looked at again.
    seen: tuple[Key, ...] = ()

    def begin(self, section: sections.SqlSource) -> Key:
        """Return the first value of :cursor of a reading."""
        if self.last is None:
            number = re.fullmatch(r"-?[0-9]{1,18}", section.start)
            return int(section.start) if number else section.start
        back = section.back
        if back is None:
            back = _BACK_KEYS if isinstance(self.last, int) else _BACK_TIME
        if isinstance(self.last, int) and isinstance(back, int):
            return self.last - back
        if isinstance(self.last, dt.datetime) and isinstance(back, dt.timedelta):
            return self.last - back
        return self.last

    def known(self, section: sections.SqlSource) -> frozenset[Key]:
        """Return the keys that a reading will meet again, unless their rows are gone."""
        begin = _native(self.begin(section))
        return frozenset(key for key in self.seen if _native(key) > begin)

    def after(self, keys: Sequence[Key], rows: int, section: sections.SqlSource) -> Mark:
        """Return the mark behind some more keys, ascending, of which `rows` rows were given."""
        last = self.last
        if keys and (last is None or ascends(last, keys[-1])):
            last = keys[-1]
        ahead = dataclasses.replace(self, last=last, rows=self.rows + rows)
        begin = ahead.begin(section)
        if begin == last or last is None:
            return dataclasses.replace(ahead, seen=())
        near = sorted({*self.seen, *keys[-_REMEMBERED:]}, key=_native)
        near = near[bisect.bisect_right(near, _native(begin), key=_native) :]
        return dataclasses.replace(ahead, seen=tuple(near[-_REMEMBERED:]))


def _native(key: Key) -> Any:  # noqa: ANN401 - keys of one table are of one kind
    return key


def about(
    secret: bytes, name: str, query: statements.Statement, section: sections.SqlSource
) -> str:
    """Return what tells one table and query from another, and nothing else."""
    text = " ".join("".join(map(str, query.pieces)).split())
    parts = [name, text, section.key, section.start, sorted(section.parameters.items())]
    key = hashlib.blake2b(secret).digest()
    return hashlib.blake2b(json.dumps(parts).encode(), key=key, digest_size=16).hexdigest()


def dump(mark: Mark) -> str:
    """Write a mark as JSON; the keys that came already as their distance from the last one."""
    near = [_distance(mark.last, key) for key in mark.seen]
    fields = {"version": _VERSION, "kind": "sql", "about": mark.about, "rows": mark.rows}
    fields |= {"last": _written(mark.last), "seen": near}
    return json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def load(text: str, about: str) -> Mark | None:
    """Read a mark back; None if it is of another table or query, or no mark."""
    try:
        fields = json.loads(text)
        if (fields["version"], fields["kind"], fields["about"]) != (_VERSION, "sql", about):
            return None
        last = _read(fields["last"])
        seen = tuple(_behind(last, distance) for distance in fields["seen"])
        return Mark(about=about, last=last, rows=int(fields["rows"]), seen=seen)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _written(key: Key | None) -> list[str | int] | None:
    if key is None or isinstance(key, int):
        return None if key is None else ["number", key]
    if isinstance(key, bytes):
        return ["bytes", key.hex()]
    if isinstance(key, dt.datetime):
        return ["time", key.isoformat()]
    return ["uuid" if isinstance(key, uuid.UUID) else "text", str(key)]


def _read(written: list[Any] | None) -> Key | None:
    if written is None:
        return None
    kind, text = written
    reads: dict[str, Any] = {
        "number": int,
        "bytes": bytes.fromhex,
        "time": dt.datetime.fromisoformat,
        "uuid": uuid.UUID,
        "text": str,
    }
    key: Key = reads[kind](text)
    return key


def _distance(last: Key | None, key: Key) -> int:
    """Return how far a key lies before the last one, in ones or in microseconds."""
    if isinstance(last, dt.datetime) and isinstance(key, dt.datetime):
        return (last - key) // dt.timedelta(microseconds=1)
    return last - key if isinstance(last, int) and isinstance(key, int) else 0


def _behind(last: Key | None, distance: int) -> Key:
    if isinstance(last, dt.datetime):
        return last - dt.timedelta(microseconds=distance)
    if isinstance(last, int):
        return last - distance
    raise ValueError


def of(value: object, column: str, file: str) -> Key:
    """Return a value of the key's column as a key.

    Raises:
        errors.SourceError: It cannot be one.
    """
    key = _plain(value)
    if isinstance(key, str) and ("@" in key or len(key) > _LONGEST or not key.isprintable()):
        raise _unfit(column, file, "some hold more than an identifier")
    if key is None or key != key:  # noqa: PLR0124 - a number that is none
        raise _unfit(column, file, "some are empty, or neither numbers, texts nor times")
    if _is_random(key):
        raise _unfit(column, file, "they are UUIDs in no order of time")
    return key


def number(value: object) -> object:
    """Return a whole number that a database gives with a point or as bytes as an int."""
    key = _plain(value)
    return key if isinstance(key, int) else value


def _plain(value: object) -> Key | None:
    if isinstance(value, bytearray | memoryview):
        value = bytes(value)
    if isinstance(value, decimal.Decimal) and value.is_finite() and abs(value) < _MOST:
        value = int(value) if value == value.to_integral_value() else None
    good = isinstance(value, int | str | bytes | dt.datetime | uuid.UUID)
    return value if good and not isinstance(value, bool) else None  # type: ignore[return-value]


def _is_random(key: Key) -> bool:
    if isinstance(key, str) and len(key) == len(str(uuid.UUID(int=0))):
        try:
            key = uuid.UUID(key)
        except ValueError:
            return False
    return isinstance(key, uuid.UUID) and key.version in _UNORDERED


def _unfit(column: str, file: str, why: str) -> errors.SourceError:
    return errors.SourceError(
        f"the values of {column!r} cannot be what the reading goes by: {why}",
        hint="`key` names a column that is unique and grows with each signature, such as a number",
        file=file,
    )


def ascends(before: Key, key: Key) -> bool:
    """Tell whether a key lies behind another one.

    Texts are sorted differently by different databases; where they may be, it
    can only be told that they are not the same.
    """
    if isinstance(before, str) and isinstance(key, str):
        alike = len(before) == len(key) and all(map(_EVERYWHERE.fullmatch, (before, key)))
        return before < key if alike else before != key
    try:
        return bool(_native(before) < _native(key))
    except TypeError:
        return False
