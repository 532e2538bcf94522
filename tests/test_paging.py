"""Lists page by page, whatever happens between and within the readings: nobody is lost."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import build
from deliverybot import campaign as campaigns
from deliverybot import errors
from deliverybot.sources import files, kinds, paging


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> campaigns.Campaign:
    return build.campaign(tmp_path_factory.mktemp("paging"))


@dataclasses.dataclass
class Shelf:
    """A platform's list, and a reader of it that keeps what a ledger would keep."""

    plan: campaigns.Campaign
    newest: bool
    size: int
    #: Whether the platform says where the list ends.
    told: bool
    people: list[int] = dataclasses.field(default_factory=list)
    cursor: str | None = None
    taken: list[int] = dataclasses.field(default_factory=list)
    last: int = 0
    turns: int = 0
    #: How many come before the second page, and the page that fails, of the reading in hand.
    meanwhile: int = 0
    fails: int = 0

    def grow(self, count: int) -> None:
        self.people += range(self.last + 1, self.last + count + 1)
        self.last += count

    def shrink(self, places: list[int]) -> None:
        gone = {place % len(self.people) for place in places} if self.people else set()
        self.people = [one for place, one in enumerate(self.people) if place not in gone]

    def turn(self, at: str, state: str) -> paging.Sheet | None:
        self.turns += 1
        if self.turns == 2:
            self.grow(self.meanwhile)
        if self.turns == self.fails:
            raise errors.SourceError("the line was cut")
        rows = self.people[::-1] if self.newest else self.people
        begin = int(at or 0)
        part = rows[begin : begin + self.size]
        more = begin + self.size < len(rows) or not self.told
        return paging.Sheet(
            entries=[self.entry(one) for one in part],
            content=repr(part),
            next=str(begin + self.size) if more else None,
            is_guessed=not self.told,
            is_numbered=True,
        )

    def entry(self, one: int) -> paging.Entry:
        return paging.Entry(files.Row(0, one, one, (str(one),)), f"+{one}")

    def read(self, *, batch: int, stop: int = 0, meanwhile: int = 0, fails: int = 0) -> None:
        """Read once; what comes behind `stop` batches is lost, as in a crash."""
        self.turns, self.meanwhile, self.fails = 0, meanwhile, fails
        errand = kinds.Errand(
            campaign=self.plan, section=self.plan.source, secret=b"k" * 32, now=build.NOW,
            most=batch,
        )  # fmt: skip
        book = paging.Book("list", self.turn, frozenset, tuple, "the same")
        pager = paging.Pager(errand, book)
        place, _ = pager.load(self.cursor)
        reading = (pager.newest if self.newest else pager.oldest)(self.cursor, place)
        try:
            for page in itertools.islice(reading, stop or None):
                self.taken += [row.line for row in page.rows if row.line not in self.taken]
                self.cursor = page.cursor
        except errors.SourceError as error:
            assert fails, error  # noqa: PT017 - it must be the one that was asked for


def steps() -> st.SearchStrategy[list[tuple[int, list[int], int, int, int]]]:
    """What happens before a reading, and in it: who comes, who goes, who comes within, cuts."""
    one = st.tuples(
        st.integers(0, 9), st.lists(st.integers(0, 50), max_size=3), st.integers(0, 7),
        st.integers(0, 5), st.integers(0, 3),
    )  # fmt: skip
    return st.lists(one, min_size=1, max_size=8)


@settings(max_examples=300)
@given(
    newest=st.booleans(), size=st.integers(1, 5), told=st.booleans(), batch=st.integers(1, 8),
    happens=steps(),
)  # fmt: skip
def test_nobody_is_lost_whatever_happens(
    plan: campaigns.Campaign,
    newest: bool,
    size: int,
    told: bool,
    batch: int,
    happens: list[tuple[int, list[int], int, int, int]],
) -> None:
    shelf = Shelf(plan, newest=newest, size=size, told=told)
    for come, go, meanwhile, fails, stop in happens:
        shelf.grow(come)
        shelf.shrink(go)
        shelf.read(batch=batch, stop=stop, meanwhile=meanwhile, fails=fails)
    shelf.read(batch=batch)
    assert set(shelf.people) <= set(shelf.taken)


@settings(max_examples=100)
@given(
    newest=st.booleans(), size=st.integers(1, 5), batch=st.integers(1, 8),
    comes=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), min_size=1, max_size=6),
)  # fmt: skip
def test_the_order_is_that_of_signing(
    plan: campaigns.Campaign, newest: bool, size: int, batch: int, comes: list[tuple[int, int]]
) -> None:
    """Also where a reading was cut; nobody who comes within a reading is given before an elder."""
    shelf = Shelf(plan, newest=newest, size=size, told=True)
    for come, fails in comes:
        shelf.grow(come)
        shelf.read(batch=batch, fails=fails)
    shelf.read(batch=batch)
    assert shelf.taken == shelf.people


def test_a_long_list_costs_one_page_when_it_is_read_again(plan: campaigns.Campaign) -> None:
    for newest in (True, False):
        shelf = Shelf(plan, newest=newest, size=25, told=True)
        shelf.grow(2000)
        shelf.read(batch=1000)
        assert shelf.turns == 80
        shelf.grow(3)
        shelf.read(batch=1000)
        assert shelf.turns <= 2
        assert shelf.taken == shelf.people
