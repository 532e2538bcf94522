"""What each address was told and when: pure, and kept as JSON in the ledger.

A thing is told once.  It is forgotten when it is over, so that it is told again
when it comes again; one that comes and goes all day, once a day at most.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Iterable, Mapping
from typing import Any, Self

from deliverybot.alerts import things

#: What passes and comes again is not told again within so long.
QUIET = dt.timedelta(days=1)
#: How long a claim stands: a message's own time, and some more.
CLAIM = dt.timedelta(seconds=90)
#: Minutes until an address that did not take a message is tried again, and until one that took
#: some in a row gets the next; the last one repeats.
STEPS = (1, 5, 15, 60)
#: Messages that follow each other within so long are in a row.
_ROW = dt.timedelta(minutes=2 * STEPS[-1])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of one thing."""

    #: Since when it is there; None while it is over and yet remembered.
    since: dt.datetime | None
    #: When it was told last; None where it was not since it is there.
    told: dt.datetime | None = None
    #: It is not told before.
    quiet: dt.datetime | None = None

    def hushed(self, now: dt.datetime) -> bool:
        """Whether it is not told now; a time further ahead is of a clock that was wrong."""
        return self.quiet is not None and now < self.quiet <= now + QUIET


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What one address was told, and how it answers."""

    #: By the thing's key.
    known: Mapping[str, Known] = dataclasses.field(default_factory=dict)
    #: Messages in a row that it did not take, and before when it is left alone.
    failures: int = 0
    until: dt.datetime | None = None
    #: When it took the last message, and how many in a row it has taken by then.
    sent: dt.datetime | None = None
    row: int = 0
    #: Somebody is telling it, until then; where many processes work.
    claimed: dt.datetime | None = None

    @property
    def holds(self) -> bool:
        """Whether it was told of anything that is not over."""
        return any(one.told is not None for one in self.known.values())

    def seen(self, there: Iterable[things.Thing], now: dt.datetime) -> Memory:
        """Return what is known once one has looked: what is new, and without what is over."""
        keys = {one.key for one in there}
        known = {}
        for key, one in self.known.items():
            if key in keys:
                known[key] = one
            elif one.hushed(now):
                known[key] = Known(since=None, quiet=one.quiet)
        for key in keys:
            if key not in known or known[key].since is None:
                quiet = known[key].quiet if key in known else None
                known[key] = Known(since=now, quiet=quiet)
        return dataclasses.replace(self, known=dict(sorted(known.items())))

    def due(
        self,
        there: Iterable[things.Thing],
        now: dt.datetime,
        *,
        after: int,
        again: int | None,
    ) -> list[things.Thing]:
        """Return what is to be told now; `after` and `again` in seconds, as the settings say.

        What still waits goes along once half of `again` is over, so that things
        of different hours come to be reminded of in one message.
        """
        those = list(there)
        due = [one for one in those if self._is_due(one, now, after, again)]
        if again is None or not due:
            return due
        return [one for one in those if self._is_due(one, now, after, again // 2)]

    def _is_due(self, one: things.Thing, now: dt.datetime, after: int, again: int | None) -> bool:
        known = self.known.get(one.key)
        if known is None or known.since is None:
            return False
        if known.hushed(now):
            return False
        if known.told is None:
            return abs(now - known.since) >= dt.timedelta(seconds=after)
        # A clock that was set back must not make it silent for good.
        late = again is not None and abs(now - known.told) >= dt.timedelta(seconds=again)
        return late and one.waits

    def may(self, now: dt.datetime, *, alone: bool, anyway: bool) -> bool:
        """Tell whether a message may go now.

        `alone`: no other process is at work, so a claim is of one that was
        killed.  `anyway`: however short ago it took one, or none.
        """
        claimed = self.claimed is not None and now < self.claimed <= now + CLAIM and not alone
        longest = dt.timedelta(minutes=STEPS[-1])
        early = self.until is not None and now < self.until <= now + longest
        return not claimed and (anyway or not (early or self._paced(now)))

    def _paced(self, now: dt.datetime) -> bool:
        """Whether it has just taken a message: letters that come one by one are told together."""
        if self.sent is None or not self.row:
            return False
        pause = dt.timedelta(minutes=STEPS[min(self.row, len(STEPS)) - 1])
        return self.sent <= now < self.sent + pause

    def told(self, those: Iterable[things.Thing], now: dt.datetime) -> Memory:
        """Return what is known once these were told."""
        known = dict(self.known)
        for one in those:
            since = known[one.key].since if one.key in known else now
            quiet = now + QUIET if one.passing else None
            known[one.key] = Known(since=since, told=now, quiet=quiet)
        in_row = self.sent is not None and abs(now - self.sent) <= _ROW
        return dataclasses.replace(
            self, known=known, failures=0, until=None, claimed=None, sent=now,
            row=self.row + 1 if in_row else 1,
        )  # fmt: skip

    def failed(self, now: dt.datetime) -> Memory:
        """Return what is known once a message was not taken."""
        pause = dt.timedelta(minutes=STEPS[min(self.failures, len(STEPS) - 1)])
        return dataclasses.replace(
            self, failures=self.failures + 1, until=now + pause, claimed=None
        )

    def dump(self) -> dict[str, Any]:
        """Return it as JSON can say it."""
        return {
            "failures": self.failures,
            "until": _text(self.until),
            "claimed": _text(self.claimed),
            "sent": _text(self.sent),
            "row": self.row,
            "known": {
                key: [_text(one.since), _text(one.told), _text(one.quiet)]
                for key, one in self.known.items()
            },
        }

    @classmethod
    def load(cls, kept: Mapping[str, Any]) -> Self:
        """Return what `dump` gave."""
        known = {
            key: Known(since=_time(since), told=_time(told), quiet=_time(quiet))
            for key, (since, told, quiet) in kept["known"].items()
        }
        until, claimed = _time(kept["until"]), _time(kept["claimed"])
        return cls(
            known=known, failures=kept["failures"], until=until, claimed=claimed,
            sent=_time(kept["sent"]), row=kept["row"],
        )  # fmt: skip


def load(text: str) -> dict[str, Memory]:
    """Return what the ledger keeps, by address, as it is known there."""
    return {name: Memory.load(kept) for name, kept in json.loads(text or "{}").items()}


def dump(memories: Mapping[str, Memory]) -> str:
    """Return it as the ledger keeps it."""
    kept = {name: one.dump() for name, one in sorted(memories.items())}
    return json.dumps(kept, separators=(",", ":"))


def _text(time: dt.datetime | None) -> str:
    return "" if time is None else time.isoformat()


def _time(text: str) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None
