"""Two bots on one PostgreSQL: they share the work, and the rows of a dead one are taken over.

What a lease says is a matter of clocks: `late` lets a bot come hours after the kill.
"""

from __future__ import annotations

import pathlib
import random

import pytest

import http_server
import postgres
from crash import bots, postbox

#: Beyond every lease.
HOURS = 7200.0


@pytest.fixture(scope="session")
def rendered(
    driver: bots.Driver, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> bots.World:
    """Twenty approved letters on PostgreSQL: for copying."""
    folder = tmp_path_factory.mktemp("rendered") / "world"
    world = bots.make(folder, database=postgres.fresh_database(postgres_url))
    # Nobody listens there, nor can anybody: the letters are rendered and approved, and stay.
    with http_server.nobody() as port:
        closed = bots.mail_to_port(port)
        assert not driver.start(world, environment=closed).wait()
    assert world.states() == {"approved": bots.TARGETS}
    return world


@pytest.fixture
def shared(rendered: bots.World, tmp_path: pathlib.Path) -> bots.World:
    return rendered.copy(tmp_path / "world")


def workers(world: bots.World) -> set[str]:
    """Who has claimed letters."""
    with world.book() as book:
        return {row.who for row in book.audit.since() if row.new == "sending"}


def settled(world: bots.World, box: postbox.Postbox, point: str, kills: int) -> bots.Reckoning:
    found = bots.reckon(world.deliveries(), box)
    bots.tell(f"two bots: {point}", kills, found)
    assert (found.twice, found.lost, found.waiting) == (0, 0, 0)
    assert world.audit_is_whole()
    return found


def test_two_bots_share_the_letters(
    driver: bots.Driver, other: bots.Driver, shared: bots.World, box: postbox.Postbox
) -> None:
    environment = bots.mail_to(box)
    # The relay was away a moment ago; it is left alone for some minutes.
    gate = box.gate("data")
    first = driver.start(shared, late=600, environment=environment)
    gate.wait_until_reached()
    assert not other.start(shared, late=600, environment=environment).wait()
    assert shared.states() == {"sent": bots.TARGETS - 1, "sending": 1}
    gate.open()
    assert not first.wait()
    assert settled(shared, box, "no kill", 0).sent == bots.TARGETS
    assert len(workers(shared)) == 3


@pytest.mark.parametrize(
    ("point", "state"), [("in DATA", "sending"), ("after 250", "handing_over")]
)
def test_the_rows_of_a_dead_bot_are_taken_over_when_its_lease_is_over(
    point: str,
    state: str,
    driver: bots.Driver,
    other: bots.Driver,
    shared: bots.World,
    box: postbox.Postbox,
) -> None:
    environment = bots.mail_to(box)
    assert driver.start(shared, late=600, point=point, environment=environment).wait()
    assert not other.start(shared, late=600, environment=environment).wait()
    # While the lease lasts nobody else may touch it: its worker might be alive.
    assert shared.states() == {"sent": bots.TARGETS - 1, state: 1}
    assert not other.start(shared, late=HOURS, environment=environment).wait()
    found = settled(shared, box, point, 1)
    assert found.unsure == (state == "handing_over")
    rows = shared.deliveries()
    assert not driver.start(shared, late=3 * HOURS, environment=environment).wait()
    assert shared.deliveries() == rows


def test_a_bot_that_was_taken_for_dead_sends_nothing(
    driver: bots.Driver, other: bots.Driver, shared: bots.World, box: postbox.Postbox
) -> None:
    environment = bots.mail_to(box)
    gate = box.gate("data")
    slow = driver.start(shared, late=600, environment=environment)
    gate.wait_until_reached()
    assert not other.start(shared, late=HOURS, environment=environment).wait()
    assert shared.states() == {"sent": bots.TARGETS}
    gate.open()
    assert not slow.wait()
    assert set(box.by_id().values()) == {1}
    assert "taken over by another worker" in shared.log
    assert settled(shared, box, "a slow one is taken over", 0).sent == bots.TARGETS


def test_a_bot_that_was_taken_for_dead_may_tell_how_it_ended(
    driver: bots.Driver, other: bots.Driver, shared: bots.World, box: postbox.Postbox
) -> None:
    environment = bots.mail_to(box)
    gate = box.gate("dot")
    slow = driver.start(shared, late=600, environment=environment)
    gate.wait_until_reached()
    assert not other.start(shared, late=HOURS, environment=environment).wait()
    assert shared.states() == {"sent": bots.TARGETS - 1, "unsure": 1}
    gate.open()
    assert not slow.wait()
    assert settled(shared, box, "a slow one answers", 0).sent == bots.TARGETS


def test_kills_of_one_of_two_bots(
    driver: bots.Driver, other: bots.Driver, shared: bots.World, box: postbox.Postbox
) -> None:
    chance = random.Random(4)
    points = ["after RCPT", "in DATA", "before the dot", "after 250", "while committing"]
    kills, late = 0, 600.0
    while shared.states()["sent"] + shared.states()["unsure"] < bots.TARGETS:
        environment = bots.mail_to(box, connections=2)
        nth = chance.choice((1, 2, 3))
        one = driver.start(
            shared, late=late, point=chance.choice(points), nth=nth, environment=environment
        )
        two = other.start(
            shared, late=late, point=chance.choice(points), nth=nth, environment=environment
        )
        kills += one.wait() + two.wait()
        late += HOURS
    found = settled(shared, box, "kills of both, 2 connections each", kills)
    assert kills
    assert found.unsure <= 2 * kills
