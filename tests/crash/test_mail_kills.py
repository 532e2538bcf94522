"""``kill -9`` at each named point of a delivery to twenty targets.

The relay is real and counts.  Whatever happens: nobody gets a letter twice, no letter is
lost, and what cannot be known is `unsure` and stays so.
"""

from __future__ import annotations

import json
import pathlib
import random
import signal
import time
from collections.abc import Iterator

import pytest

from crash import bots, postbox, processes

#: A kill here leaves no doubt: the letter goes out later, or it is known to have gone.
CERTAIN = [
    "while claiming",
    "before connect",
    "after RCPT",
    "in DATA",
    "before the intent",
    "while writing the intent",
    "after the commit",
]
#: Between the intent and the record of the answer: each kill here leaves one letter in doubt.
WINDOW = {"before the dot": False, "after 250": True, "while committing": True}


def restart_until_done(driver: bots.Driver, world: bots.World, box: postbox.Postbox) -> None:
    """Run without a kill, and then twice more: nothing may change any more."""
    bots.calm(box.port)
    box.on_dot = lambda _: True
    environment = bots.mail_to(box)
    assert not driver.start(world, environment=environment).wait()
    rows, taken = world.deliveries(), list(box.taken)
    for _ in range(2):
        assert not driver.start(world, environment=environment, late=7200).wait()
    assert world.deliveries() == rows
    assert box.taken == taken


def settle(world: bots.World, box: postbox.Postbox, point: str, kills: int) -> bots.Reckoning:
    """Reckon at the end, and demand what must hold wherever the kills fell."""
    found = bots.reckon(world.deliveries(), box)
    bots.tell(point, kills, found)
    assert (found.twice, found.lost, found.waiting) == (0, 0, 0)
    assert found.sent + found.unsure == len(world.deliveries())
    assert world.audit_is_whole()
    return found


@pytest.mark.parametrize("point", CERTAIN)
def test_a_kill_that_leaves_no_doubt(
    point: str, kills: int, driver: bots.Driver, fresh: bots.Fresh
) -> None:
    chance = random.Random(point)
    done = 0
    while done < kills:
        world = fresh()
        with postbox.Postbox() as box:
            here = 0
            while done + here < kills and left(world) > 3:
                # One connection carries many letters, so a later one is met at other points only.
                nth = 1 if point == "before connect" else chance.choice((1, 1, 1, 2, 3))
                run = driver.start(world, point=point, nth=nth, environment=bots.mail_to(box))
                assert run.wait()
                here += 1
            restart_until_done(driver, world, box)
            found = settle(world, box, point, here)
        assert found.sent == bots.TARGETS
        done += here


@pytest.mark.parametrize("point", WINDOW)
def test_a_kill_between_intent_and_record_leaves_a_named_doubt(
    point: str, kills: int, driver: bots.Driver, fresh: bots.Fresh
) -> None:
    for here in rounds(kills):
        world = fresh()
        with postbox.Postbox() as box:
            for _ in range(here):
                assert driver.start(world, point=point, environment=bots.mail_to(box)).wait()
            restart_until_done(driver, world, box)
            found = settle(world, box, point, here)
        assert found.unsure == here
        in_doubt = [row.message_id for row in world.deliveries() if row.state == "unsure"]
        assert {box.by_id()[one] for one in in_doubt} == {int(WINDOW[point])}


@pytest.mark.parametrize("take", [True, False], ids=["taken", "dropped"])
def test_a_kill_after_the_dot_before_the_answer(
    take: bool, kills: int, driver: bots.Driver, fresh: bots.Fresh
) -> None:
    for here in rounds(kills):
        world = fresh()
        with postbox.Postbox() as box:
            for _ in range(here):
                killer = box.on_dot = bots.Killer(1, take=take)
                run = driver.start(world, environment=bots.mail_to(box))
                killer.aim(run)
                assert run.wait()
            restart_until_done(driver, world, box)
            point = f"after the dot, before 250; letter {'taken' if take else 'dropped'}"
            found = settle(world, box, point, here)
        assert found.unsure == here
        assert sum(box.by_id().values()) == (bots.TARGETS if take else bots.TARGETS - here)


def test_kills_at_any_time_with_four_connections(
    kills: int, driver: bots.Driver, fresh: bots.Fresh
) -> None:
    chance = random.Random(20)
    done = 0
    while done < 2 * kills:
        world = fresh()
        # The pauses spread the letters over time, so that a kill finds them anywhere.
        with postbox.Postbox(pause=0.005) as box:
            here = 0
            while done + here < 2 * kills and left(world):
                box.greeted.clear()
                run = driver.start(world, environment=bots.mail_to(box, connections=4))
                assert box.greeted.wait(postbox.LAST)
                time.sleep(chance.uniform(0.0, 0.15))
                run.kill()
                here += run.wait()
            box.pause = 0.0
            restart_until_done(driver, world, box)
            found = settle(world, box, "at any time, 4 connections", here)
        assert found.unsure <= 4 * here
        done += here


@pytest.mark.timeout(3600)
def test_kills_at_random_with_eight_connections(
    random_kills: int, driver: bots.Driver, crowd: bots.World, tmp_path: pathlib.Path
) -> None:
    chance = random.Random(200)
    targets, done, unsure = len(crowd.deliveries()), 0, 0
    while done < random_kills:
        world = crowd.copy(tmp_path / f"world{done}")
        # Slow and dripping, so that a kill meets letters in every phase.
        with postbox.Postbox(pause=0.01, drip=2) as box:
            environment, here = bots.mail_to(box, connections=8), 0
            while done + here < random_kills and left(world) > 0:
                box.greeted.clear()
                run = driver.start(world, environment=environment)
                assert box.greeted.wait(postbox.LAST)
                upto = len(box.taken) + chance.choice((0, 1, 2, 4))
                wait_until_taken(upto, box, run)
                # Long enough that the kill has nothing to do with the letter just taken.
                time.sleep(chance.uniform(0.0, 0.4))
                run.kill()
                here += run.wait()
            box.pause = 0.0
            restart_until_done(driver, world, box)
            found = settle(world, box, f"at random, {targets} targets, 8 connections", here)
        assert found.unsure == len(listed_as_unsure(world))
        assert found.unsure <= 8 * here, "more than were on their way"
        done, unsure = done + here, unsure + found.unsure
    if done >= 500:
        # Of a few kills on a busy machine the mean says little.
        assert unsure <= 3 * done


def wait_until_taken(upto: int, box: postbox.Postbox, run: bots.Run) -> None:
    """Let the bot work: by what it has done, so that the machine's speed does not matter."""
    bots.until(lambda: len(box.taken) >= upto or processes.is_gone(run.pid))


def listed_as_unsure(world: bots.World) -> list[str]:
    """Whom the commands name to a person as in doubt."""
    listed = json.loads(bots.say(world, "deliveries", "list", "--json").stdout)
    names = [one["target"] for one in listed if one["state"] == "unsure"]
    standing = json.loads(bots.say(world, "status", "--json").stdout)
    assert standing["waiting"] == len(names)
    (campaign,) = standing["campaigns"]
    for name in names:
        assert any(f"to {name} is unsure" in why for why in campaign["reasons"])
    return names


def test_the_daemon_itself_killed_and_started_again(
    fresh: bots.Fresh, box: postbox.Postbox
) -> None:
    world = fresh()
    gate = box.gate("dot")
    for _ in range(2):
        with bots.bot(world, "run", environment=bots.mail_to(box)) as process:
            gate.wait_until_reached()
            process.kill()
        gate.open()
        gate = box.gate("dot")
    gate.open()
    with bots.bot(world, "run", environment=bots.mail_to(box)) as process:
        bots.until(lambda: world.states() == {"sent": bots.TARGETS - 2, "unsure": 2})
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert settle(world, box, "`run`, after the dot", 2).unsure == 2


@pytest.mark.parametrize(
    "point",
    [
        "while writing the intent",
        "before the file has its name",
        "after the file has its name",
        "while committing",
    ],
)
def test_a_folder_can_tell_so_nothing_stays_in_doubt(
    point: str, driver: bots.Driver, fresh: bots.Fresh
) -> None:
    world = fresh()
    environment = {"DELIVERYBOT_MAIL__TRANSPORT": "folder", "DELIVERYBOT_MAIL__CONNECTIONS": "1"}
    for _ in range(3):
        assert driver.start(world, point=point, nth=2, environment=environment).wait()
    assert not driver.start(world, environment=environment).wait()
    assert world.states() == {"sent": bots.TARGETS}
    files = list((world.folder / "var" / "outbox" / "mail").glob("*.eml"))
    texts = [file.read_text(encoding="utf-8") for file in files]
    assert len(texts) == bots.TARGETS
    for row in world.deliveries():
        assert sum(row.message_id in text for text in texts) == 1
    assert world.audit_is_whole()
    bots.tell(f"mail folder: {point}", 3, bots.Reckoning(sent=bots.TARGETS))


def left(world: bots.World) -> int:
    """How many letters will still go out."""
    states = world.states()
    return states["approved"] + states["sending"] + states["retrying"]


def rounds(kills: int) -> Iterator[int]:
    """Share kills out, at most one for each target of a world."""
    while kills > 0:
        yield min(kills, bots.TARGETS)
        kills -= bots.TARGETS
