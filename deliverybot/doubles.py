"""Doubtful pairs: signatures that may be one person's, for a person to look at.

The same address counts once by itself.  Two signatures with the same name and
the same place, and not the same address, may be one person's or two people's,
such as father and son; nobody but a person can tell, so they are never merged.

Nothing is kept for this while signatures come in.  The list is read once from
end to end into a temporary file that the system takes back, which costs some
seconds for a million signers and next to no memory.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from deliverybot import ledger, look_alikes

#: One name in one place more often than that is a heap: its first ones are shown.
MOST_ALIKE = 50
_POSTCODE, _CITY = "postcode", "city"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Signatures that may be one person's; two in most groups."""

    #: In the order of the list.
    numbers: tuple[int, ...]
    #: What besides the name is the same: postcode, city, or both.
    same: str


def find(book: ledger.Ledger, slug: str, *, most: int | None = None) -> list[Group]:
    """Return groups that a person has not decided on, in the order of the list, up to `most`.

    A name counts as the same whatever its case, its accents, the order of its
    words and letters that look alike.  The place is the postcode or the city;
    those in two countries are two.  A name of one word is compared by
    postcode alone: cities have many Marias.
    """
    apart = book.signers.apart(slug)
    found: list[Group] = []
    # On disk, without a name: gone when it is closed, even by a crash.
    with contextlib.closing(sqlite3.connect("", isolation_level=None)) as heap:
        heap.execute("PRAGMA journal_mode = OFF")
        heap.execute("CREATE TABLE met (mark INTEGER, number INTEGER, same TEXT)")
        heap.execute("BEGIN")
        heap.executemany("INSERT INTO met VALUES (?, ?, ?)", _marks(book.signers.places(slug)))
        heap.execute("COMMIT")
        query = (
            "SELECT group_concat(number), same, min(number) FROM met"
            " GROUP BY mark HAVING count(*) > 1 ORDER BY 3, same DESC"
        )
        for numbers, same, _ in heap.execute(query):
            group = _undecided(sorted(map(int, numbers.split(","))), apart)
            if not group:
                continue
            both = same
            if found and found[-1].numbers[0] == group[0]:
                # Met by postcode just before, and by city again.
                before = found.pop()
                group = tuple(sorted({*before.numbers, *group}))
                both = f"{before.same} and {same}"
            elif len(found) == most:
                break
            found.append(Group(numbers=group[:MOST_ALIKE], same=both))
    return found


def _marks(rows: Iterable[Any]) -> Iterator[tuple[int, int, str]]:
    """Yield a mark for each name in each place, to be met again or not.

    Python's own hash of 64 bits: of a million signers two fall together by
    chance once in a million times, and a person would see it.
    """
    for number, written, *place in rows:
        name, (city, country, code) = _name(written), map(_fold, place)
        if name and code:
            yield hash((name, country, _POSTCODE, code)), number, _POSTCODE
        if city and ("\n" in name or name > _HANGUL):
            yield hash((name, country, _CITY, city)), number, _CITY


#: From here on scripts need no blank between the family name and the given one.
_HANGUL = "\u1100"


def _name(name: str) -> str:
    """Return the words of a name in the one form and in one order."""
    return "\n".join(sorted([word for part in name.split() for word in _words(part)]))


# The same words and places come again and again.
_words = functools.lru_cache(1 << 16)(look_alikes.words)
_fold = functools.lru_cache(1 << 14)(look_alikes.fold)


def _undecided(numbers: Sequence[int], apart: set[tuple[int, int]]) -> tuple[int, ...]:
    """Return those whom nobody has told apart from every other one."""
    if len(numbers) > MOST_ALIKE:
        # Nobody goes through a heap pair by pair; whoever was looked at stays out.
        known = {number for pair in apart for number in pair}
        return tuple(number for number in numbers if number not in known)
    open_ = {n for pair in itertools.combinations(numbers, 2) if pair not in apart for n in pair}
    return tuple(number for number in numbers if number in open_)
