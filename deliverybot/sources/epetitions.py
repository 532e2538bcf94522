"""Petitions on a website of the kind that the UK's Parliament, the Senedd and others have.

Their software is public (github.com/alphagov/e-petitions).  `/petitions/N/count.json`
is made to be asked often: it has a Last-Modified and says by max-age how long a
number holds.  Who signed is never public.  A number can fall, since signatures
are found to be false later.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from typing import cast

import typing_extensions

from deliverybot import errors, screen
from deliverybot.origins import web as sections
from deliverybot.sources import counting, fetch, hosts, kinds, shapes

#: Seconds that a number holds at most, whatever the site says.
LONGEST = 3600
#: States in which people can sign.
_OPEN = frozenset({"open", "validated", "sponsored", "pending"})
_ACCEPT = {"Accept": "application/json"}
_SHOWN = 100


class Epetitions(kinds.Source):
    """Asks for the number of one petition."""

    Settings = sections.EpetitionsSource

    def __init__(self, errand: kinds.Errand) -> None:
        """Keep the errand; nothing is asked before a method is called."""
        super().__init__(errand)
        self._page = cast("sections.EpetitionsSource", errand.section).page

    @property
    @typing_extensions.override
    def name(self) -> str:
        return str(hosts.Place.of(self._page))

    @typing_extensions.override
    def probe(self, state: str) -> kinds.Count | None:
        until, validators = _kept(state)
        if self.errand.now < until:
            return None
        with fetch.Door(self.errand) as door:
            answer = door.get(self._counter, headers=_ACCEPT, state=validators)
        if answer is None:
            return None
        count = self._count(answer.json())
        until = self.errand.now + dt.timedelta(seconds=_holds(answer.headers))
        return kinds.Count(count, json.dumps({"until": until.timestamp(), "door": answer.state}))

    @typing_extensions.override
    def look(self) -> list[errors.Fault]:
        with fetch.Door(self.errand) as door:
            answer = door.get(self._page + ".json", headers=_ACCEPT)
        content = cast("fetch.Answer", answer).json()
        count = self._count(content)
        state = shapes.find("data.attributes.state", content, self.name)
        action = shapes.find("data.attributes.action", content, self.name)
        what = f"{_plain(action)}: {count} signatures, {_plain(state)}"
        found = [errors.Fault(level="ok", what=what, file=self.name)]
        if isinstance(state, str) and state not in _OPEN:
            what = f"this petition is {_plain(state)}: nobody can sign it any more"
            hint = "its number stays as it is, or falls; milestones above it are never reached"
            found.append(errors.Fault(level="warning", what=what, hint=hint, file=self.name))
        return found

    @property
    def _counter(self) -> str:
        # What is archived has no counter of its own.
        archived = "/archived/petitions/" in self._page
        return self._page + (".json" if archived else "/count.json")

    def _count(self, content: object) -> int:
        either = "signature_count || data.attributes.signature_count"
        found = shapes.need("count", either, content, self.name)
        return counting.whole(found, self.name)


def _kept(state: str) -> tuple[dt.datetime, str]:
    """Return until when the last number holds, and what the door kept."""
    try:
        kept = json.loads(state)
        return dt.datetime.fromtimestamp(kept["until"], dt.UTC), str(kept["door"])
    except (ValueError, TypeError, KeyError, OverflowError, OSError):
        return dt.datetime.min.replace(tzinfo=dt.UTC), ""


def _holds(headers: Mapping[str, str]) -> int:
    """Return the seconds for which an answer is fresh (RFC 9111, 4.2)."""
    said = headers.get("cache-control", "").lower()
    if re.search(r"\bno-(cache|store)\b", said):
        return 0
    found = re.search(r"(?:^|[\s,])max-age\s*=\s*\"?([0-9]{1,9})", said)
    age = headers.get("age", "")
    old = int(age) if re.fullmatch("[0-9]{1,9}", age) else 0
    return max(0, min(int(found[1]) - old, LONGEST)) if found else 0


def _plain(text: object) -> str:
    return repr(screen.clean(text, _SHOWN)) if isinstance(text, str) else "no word on it"
