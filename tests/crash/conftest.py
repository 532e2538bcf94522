"""Fixtures of the crash tests, and their figures at the end of the run."""

from __future__ import annotations

import itertools
import os
import pathlib
from collections.abc import Iterator

import pytest

from crash import bots, postbox


@pytest.fixture(scope="session")
def driver() -> Iterator[bots.Driver]:
    with bots.Driver() as one:
        yield one


@pytest.fixture(scope="session")
def other() -> Iterator[bots.Driver]:
    """A second one, for two bots at the same time."""
    with bots.Driver() as one:
        yield one


@pytest.fixture
def box() -> Iterator[postbox.Postbox]:
    with postbox.Postbox() as one:
        yield one


@pytest.fixture(scope="session")
def kills() -> int:
    """How many kills at each point: CRASH_KILLS raises it for a long run."""
    return int(os.environ.get("CRASH_KILLS", "8"))


@pytest.fixture(scope="session")
def random_kills() -> int:
    """How many kills at random moments: CRASH_RANDOM_KILLS raises it for a long run."""
    return int(os.environ.get("CRASH_RANDOM_KILLS", "30"))


@pytest.fixture(scope="session")
def approved(driver: bots.Driver, tmp_path_factory: pytest.TempPathFactory) -> bots.World:
    """Twenty letters, rendered and approved by a person, with no relay there: for copying.

    The one rendering costs more than a kill and its restart.
    """
    return approve(driver, bots.make(tmp_path_factory.mktemp("approved") / "world"))


@pytest.fixture(scope="session")
def crowd(driver: bots.Driver, tmp_path_factory: pytest.TempPathFactory) -> bots.World:
    """As `approved`, with as many targets as CRASH_TARGETS says: two hundred for a long run."""
    targets = int(os.environ.get("CRASH_TARGETS", "50"))
    return approve(driver, bots.make(tmp_path_factory.mktemp("crowd") / "world", targets=targets))


def approve(driver: bots.Driver, world: bots.World) -> bots.World:
    """Have all letters of a new world rendered and approved."""
    campaign = world.folder / "schedules" / "lens.toml"
    campaign.write_text(campaign.read_text().replace('approval = "none"', 'approval = "each"'))
    assert not driver.start(world).wait()
    numbers = [str(row.id) for row in world.deliveries()]
    assert not driver.start(world, "deliveries", "approve", "--now", *numbers).wait()
    assert world.states() == {"approved": len(numbers)}
    return world


@pytest.fixture
def fresh(approved: bots.World, tmp_path: pathlib.Path) -> bots.Fresh:
    """Gives a copy of `approved` at each call."""
    numbers = itertools.count()
    return lambda: approved.copy(tmp_path / f"world{next(numbers)}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the kills came to, in one table."""
    if not bots.FIGURES:
        return
    terminalreporter.section("kill -9")
    columns = ("kills", "sent", "unsure", "twice", "lost")
    width = max(map(len, bots.FIGURES)) + 2
    terminalreporter.write_line("".ljust(width) + "".join(f"{c:>8}" for c in columns))
    total = bots.Figures()
    for point, found in bots.FIGURES.items():
        numbers = [getattr(found, column) for column in columns]
        for column, number in zip(columns, numbers, strict=True):
            setattr(total, column, getattr(total, column) + number)
        terminalreporter.write_line(point.ljust(width) + "".join(f"{n:>8}" for n in numbers))
    numbers = [getattr(total, column) for column in columns]
    terminalreporter.write_line("together".ljust(width) + "".join(f"{n:>8}" for n in numbers))
