"""Lists that show the newest first and have no ids: which of the names are new.

Names repeat, names are withdrawn, names turn up late in the middle.  So what is
kept of such a list is a run: the marks of the newest `RUN` names, in order.
The list that is read later is laid beside it so that most of it makes sense:
new names come at the top and cost nothing, a name that stands in both is
evidence, the more so the rarer it is, and a name that was withdrawn or came in
the middle counts against it.  (Known in biology as an overlap alignment.)  A
name of the list without a partner is new; one of the run without a partner was
withdrawn.
"""

from __future__ import annotations

import array
import base64
import collections
import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from typing import Self

#: Names whose marks are kept; of these some must still stand there.
RUN = 500
#: Evidence in bits that two stretches are the same: a chance of one in 16 million.
CERTAIN = 24.0
#: What a name counts against it, in bits, that was withdrawn or came in the middle.
GAP = 8.0
#: Of a list up to so long, most names may be withdrawn at once.
SHORT = 10
#: Names that are laid beside the run at most: all known ones are among the last of them.
_LONG = 4000

_VERSION = 1
_END, _PAIR, _EXTRA, _MISSING = range(4)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a list: the marks of its newest names, and how many were given."""

    #: The newest first; keyed, so that they tell nobody's name.
    run: tuple[int, ...] = ()
    #: Whether these are all names of the list.
    is_all: bool = True
    #: Names given so far; the number of the last one.
    given: int = 0
    #: What the page was at, for the next conditional request.
    state: str = ""
    #: The section's `anew`.
    anew: str = ""

    def dump(self) -> str:
        """Write it as JSON."""
        fields = dataclasses.asdict(self) | {"version": _VERSION}
        fields["run"] = base64.b64encode(array.array("Q", self.run).tobytes()).decode()
        return json.dumps(fields, sort_keys=True, separators=(",", ":"))

    @classmethod
    def load(cls, text: str) -> Self | None:
        """Read it back; None if the text is nothing of ours."""
        try:
            fields = json.loads(text)
            if fields.pop("version") != _VERSION:
                return None
            run = array.array("Q", base64.b64decode(fields.pop("run"), validate=True))
            return cls(**fields, run=tuple(run))
        except (ValueError, TypeError, KeyError, AttributeError):
            return None


class Comparison:
    """A list, read from its newest name on, beside the run that is known of it."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._marks = array.array("Q")
        self._counts = collections.Counter(known.run)
        #: What speaks at most for a place that is known.
        self._hope = 0.0

    @property
    def marks(self) -> Sequence[int]:
        """The marks of the list so far."""
        return self._marks

    def add(self, marks: Sequence[int]) -> None:
        """Go on with the list."""
        run = set(self._known.run)
        self._hope += sum(self._weight(one) for one in marks if one in run)
        self._marks.extend(marks)
        if not run:
            self._counts.update(marks)

    def _weight(self, mark: int) -> float:
        """Return the evidence in bits that lies in one name: little, if many have it."""
        return math.log2(max(self._counts.total(), 2) / max(self._counts[mark], 1))

    def is_enough(self) -> bool:
        """Tell whether the list was read so far that what is new is certain.

        A known stretch is found; no more of the run seems to be withdrawn than
        still stands there; and the last name is known, or the run has ended.
        """
        if self._hope < CERTAIN:
            return False
        found = self._found(at_end=False)
        if not found or sum(self._weight(self._marks[place]) for place, _ in found) < CERTAIN:
            return False
        last, in_run = found[-1]
        at_edge = last == len(self._marks) - 1 or in_run == len(self._known.run) - 1
        return in_run + 1 - len(found) <= len(found) and at_edge

    def result(self, *, at_end: bool) -> Result | None:
        """Return what is new; None where too little of what is known stands there any more.

        `at_end` tells that the list was read to its end.
        """
        known = self._known
        found = self._found(at_end=at_end)
        last, in_run = found[-1] if found else (-1, -1)
        withdrawn = (len(known.run) if at_end else in_run + 1) - len(found)
        if known.run and (not found or (withdrawn > len(found) and len(known.run) > SHORT)):
            return None
        # Below what is known of a longer list there is nobody new.
        end = len(self._marks) if known.is_all else last + 1
        met = [place for place, _ in found]
        unmet = sorted(set(range(end)).difference(met)) if met else range(end)
        return Result(
            marks=self._marks,
            fresh=array.array("Q", unmet),
            met=met,
            behind=() if at_end else known.run[in_run + 1 :],
            is_all=known.is_all or at_end,
        )

    def _found(self, *, at_end: bool) -> list[tuple[int, int]]:
        """Return the places in list and run that belong together."""
        if not self._known.run:
            return []
        start = max(0, len(self._marks) - _LONG)
        found = laid_beside(
            self._marks[start:], self._known.run, self._weight,
            goes_on=not self._known.is_all, at_end=at_end,
        )  # fmt: skip
        return [(start + place, in_run) for place, in_run in found]

    def joined(
        self, marks: Sequence[int], back: int, *, is_moved: bool = False
    ) -> tuple[int, int] | None:
        """Find where a page goes on that overlaps the end of the list, within its last `back`.

        One that `is_moved` may begin with names that came since.
        Return how many of the page's names are in the list already, and how
        many of the list stand behind the page; None where nothing overlaps.
        """
        tail = self._marks[max(0, len(self._marks) - back) :]
        found = laid_beside(
            tail, marks, self._weight, begins_anew=is_moved, goes_on=True, at_end=False
        )
        if is_moved and sum(self._weight(marks[place]) for _, place in found) < GAP:
            return None
        if not found:
            return None
        in_tail, last = found[-1]
        behind = len(tail) - in_tail - 1 if last == len(marks) - 1 else 0
        return last + 1, behind


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a list holds beyond what is known."""

    #: The marks of the list, the newest first.
    marks: Sequence[int]
    #: Places of the new names in the list, the newest first, and of the known ones.
    fresh: Sequence[int]
    met: Sequence[int]
    #: Known marks that follow, further down than the list was read.
    behind: Sequence[int]
    #: Whether these are all.
    is_all: bool

    def known(self, before: Known, given: int) -> Known:
        """Return what is known once the oldest `given` of the new names were given."""
        waiting = len(self.fresh) - given
        # Whatever lies below the last one that waits is known.
        start = self.fresh[waiting - 1] + 1 if waiting else 0
        run = [self.marks[place] for place in self.met if place < start]
        run += self.marks[start : start + RUN + 1]
        run += self.behind
        return dataclasses.replace(
            before,
            run=tuple(run[:RUN]),
            is_all=self.is_all and len(run) <= RUN,
            given=before.given + given,
        )


def laid_beside(
    seen: Sequence[int],
    run: Sequence[int],
    weight: Callable[[int], float],
    *,
    begins_anew: bool = False,
    goes_on: bool,
    at_end: bool,
) -> list[tuple[int, int]]:
    """Lay the end of a list beside the beginning of a run; return what belongs together.

    Pairs of places, ascending in both.  `begins_anew` tells that the run may
    begin with names of its own, `goes_on` that names may follow below the run,
    `at_end` that none follow below the list.
    """
    missing = 0.0 if begins_anew else GAP
    steps, ends, last = _scores(seen, run, weight, missing)
    height, width = len(seen), len(run)
    # The list may end anywhere in the run.  Where it has ended for good, what follows is withdrawn.
    lost = GAP if at_end else 0.0
    final = [(score - lost * (width - j), height, j) for j, score in enumerate(last)]
    if goes_on:
        # The run may end anywhere in the list; of equal places the one furthest down.
        final += [(score, i, width) for i, score in enumerate(ends)]
    _, i, j = max(final)
    found = []
    while (step := steps[i][j]) != _END:
        if step == _PAIR:
            found.append((i - 1, j - 1))
        i, j = i - (step != _MISSING), j - (step != _EXTRA)
    return found[::-1]


def _scores(
    seen: Sequence[int], run: Sequence[int], weight: Callable[[int], float], missing: float
) -> tuple[list[bytearray], list[float], list[float]]:
    """Return the best step to each place, and the scores where the run or the list ends.

    `missing` is what a name at the beginning of the run costs that the list lacks.
    """
    width = len(run)
    above = [-missing * j for j in range(width + 1)]
    steps = [bytearray([_END]) + bytearray([_MISSING]) * width]
    ends = [above[-1]]
    for mark in seen:
        # New names at the top cost nothing.
        here, line, left = [0.0], bytearray(width + 1), 0.0
        gain = weight(mark)
        for j in range(1, width + 1):
            best, step = above[j] - GAP, _EXTRA
            if left - GAP > best:
                best, step = left - GAP, _MISSING
            if run[j - 1] == mark and above[j - 1] + gain >= best:
                best, step = above[j - 1] + gain, _PAIR
            here.append(best)
            line[j], left = step, best
        steps.append(line)
        ends.append(here[-1])
        above = here
    return steps, ends, above
