"""What a source gave lately: a reading looks back a little, and gives nothing of it twice.

A platform may show a signature later than one that was made after it: its
servers are several, and a copy of its database lags behind.  So a reading
begins some minutes before the newest signature that was seen.  What comes
again is known by marks that say nothing to anybody without our key.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Self

#: Marks of the last minutes that are kept at most: what is beyond is given again, and known.
MOST = 1000
#: Marks that are kept whatever their time: a reading that goes on steps back a little.
LAST = 150


@dataclasses.dataclass(slots=True, kw_only=True)
class Place:
    """Where a reading is; kept as JSON."""

    #: The page or petition that it is about.
    of: str
    #: The newest signature, and those given lately, as `Recent.kept` returns them.
    top: str = ""
    known: dict[str, str] = dataclasses.field(default_factory=dict)
    #: Fields of consent met so far.
    asked: list[str] = dataclasses.field(default_factory=list)

    @classmethod
    def load(cls, cursor: str | None, of: str) -> Self:
        """Read a cursor; that of another page or source is worth nothing."""
        try:
            place = cls(**json.loads(cursor or ""))
        except (ValueError, TypeError):
            return cls(of=of)
        return place if place.of == of else cls(of=of)

    def dump(self, recent: Recent, asked: Collection[str]) -> str:
        """Return the cursor, with what was given lately and the fields of consent met by now."""
        self.top, self.known = recent.kept()
        self.asked = sorted(asked)
        return json.dumps(dataclasses.asdict(self), separators=(",", ":"))


class Recent:
    """The rows that were given lately, by id."""

    def __init__(
        self,
        secret: bytes,
        *,
        seconds: int,
        now: dt.datetime,
        top: str = "",
        known: Mapping[str, str] | None = None,
    ) -> None:
        """Begin with what `kept` returned; `seconds` is how far a reading looks back."""
        self._key = hashlib.blake2b(secret).digest()
        self._back = dt.timedelta(seconds=seconds)
        self._now = now
        #: Time of the newest row.
        self._top = dt.datetime.fromisoformat(top) if top else None
        #: Mark -> time, in the order in which they were given.
        self._known = dict(known or {})

    def knows(self, id_: str) -> bool:
        """Tell whether this row was given lately."""
        return self._mark(id_) in self._known

    def add(self, id_: str, at: dt.datetime | None) -> None:
        """Remember a row that is given; `at` is when it was signed, None where nobody knows.

        A time to come would hide all that is signed until then, so it is taken for now.
        """
        if at is not None:
            at = min(at, self._now)
            self._top = at if self._top is None else max(at, self._top)
        self._known[self._mark(id_)] = at.isoformat() if at else ""
        if len(self._known) > 2 * (MOST + LAST):
            self._prune()

    @property
    def since(self) -> dt.datetime | None:
        """Where the next reading begins; None: at the start."""
        return self._top and (self._top - self._back).replace(microsecond=0)

    def kept(self) -> tuple[str, dict[str, str]]:
        """Return what to keep until the next reading: `top` and `known`."""
        self._prune()
        return (self._top.isoformat() if self._top else "", dict(self._known))

    def _prune(self) -> None:
        since = self.since
        last = set(list(self._known)[-LAST:])
        times = {mark: dt.datetime.fromisoformat(at) for mark, at in self._known.items() if at}
        late = [mark for mark, at in times.items() if since is not None and at >= since]
        late.sort(key=times.__getitem__)
        kept = last | set(late[-MOST:])
        self._known = {mark: at for mark, at in self._known.items() if mark in kept}

    def _mark(self, id_: str) -> str:
        return hashlib.blake2b(id_.encode(), key=self._key, digest_size=8).hexdigest()
