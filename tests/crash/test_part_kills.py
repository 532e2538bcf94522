"""``kill -9`` while letters of several mails are sent: each mail once, in order, none forgotten."""

from __future__ import annotations

import pathlib
import random
import string

import pytest

from crash import bots, postbox
from deliverybot.ledger import records
from deliverybot.mail import frozen, message

TARGETS = 4
CERTAIN = ["before connect", "in DATA", "before the intent", "while writing the intent"]
#: Points in the window, and whether the mail is there by then.
WINDOW = {"before the dot": False, "after 250": True, "while going on": True}
LIMITS = {
    "DELIVERYBOT_PDF__VOLUME": "100",
    "DELIVERYBOT_PDF__NAMES_IN_LETTER": "0",
    "DELIVERYBOT_MAIL__MAX_MESSAGE": "330 kB",
}


@pytest.fixture(scope="module")
def parted(driver: bots.Driver, tmp_path_factory: pytest.TempPathFactory) -> bots.World:
    """Four letters of several mails each, made and approved, with no relay there."""
    folder = tmp_path_factory.mktemp("parted") / "world"
    world = bots.make(folder, targets=TARGETS, signers=0, at=1250)
    dice = random.Random(7)
    words = ["".join(dice.choices(string.ascii_letters, k=110)) for _ in range(2500)]
    rows = "".join(f"{words[n]} {words[n + 1]}\n" for n in range(0, 2500, 2))
    world.write("schedules/lens.csv", f"name\n{rows}")
    campaign = world.folder / "schedules" / "lens.toml"
    campaign.write_text(campaign.read_text().replace('approval = "none"', 'approval = "each"'))
    assert not driver.start(world, environment=LIMITS).wait()
    numbers = [str(row.id) for row in world.deliveries()]
    assert not driver.start(world, "deliveries", "approve", "--now", *numbers).wait()
    assert world.states() == {"approved": TARGETS}
    assert all(frozen.parts(row) > 2 for row in world.deliveries())
    return world


@pytest.fixture
def world(parted: bots.World, tmp_path: pathlib.Path) -> bots.World:
    return parted.copy(tmp_path / "world")


def mails(rows: list[records.Delivery]) -> list[str]:
    """The Message-IDs of all mails, in the order in which they must come for each letter."""
    return [
        message.message_id_of(row.message_id, part)
        for row in rows
        for part in range(1, frozen.parts(row) + 1)
    ]


def run(driver: bots.Driver, world: bots.World, box: postbox.Postbox, point: str, nth: int) -> bool:
    environment = {**LIMITS, **bots.mail_to(box)}
    return driver.start(world, point=point, nth=nth, environment=environment).wait()


def finish(driver: bots.Driver, world: bots.World, box: postbox.Postbox) -> None:
    """Run without a kill, twice; then every mail was taken once, in the order of its letter."""
    for _ in range(2):
        assert not run(driver, world, box, "", 1)
    rows = world.deliveries()
    assert [(row.state, row.part) for row in rows] == [("sent", frozen.parts(rows[0]))] * TARGETS
    wanted = mails(rows)
    assert box.by_id() == dict.fromkeys(wanted, 1)
    for row in rows:
        taken = [one.message_id for one in box.taken if one.recipient == row.email]
        assert taken == mails([row])
    assert world.audit_is_whole()


@pytest.mark.parametrize("point", [*CERTAIN, "after the commit"])
def test_a_kill_that_leaves_no_doubt(
    point: str, kills: int, driver: bots.Driver, world: bots.World
) -> None:
    chance = random.Random(point)
    with postbox.Postbox() as box:
        for _ in range(kills):
            assert run(driver, world, box, point, 1 if point == "before connect" else
                       chance.choice((1, 1, 2)))  # fmt: skip
        finish(driver, world, box)
    told = bots.Reckoning(sent=TARGETS)
    bots.tell(f"mails of one letter: {point}", kills, told)


@pytest.mark.parametrize("point", WINDOW)
def test_a_doubt_is_about_one_mail_and_a_person_lets_the_letter_go_on(
    point: str, kills: int, driver: bots.Driver, world: bots.World
) -> None:
    with postbox.Postbox() as box:
        for _ in range(kills):
            # The start settles what the kill before left; then it is killed at another letter.
            assert run(driver, world, box, point, 1)
            settle(world, box, there=WINDOW[point])
        assert not run(driver, world, box, "", 1)
        settle(world, box, there=WINDOW[point])
        finish(driver, world, box)
    told = bots.Reckoning(sent=TARGETS)
    bots.tell(f"mails of one letter: {point}", kills, told)


def settle(world: bots.World, box: postbox.Postbox, *, there: bool) -> None:
    """Say of each letter in doubt what the postbox knows of its mail."""
    for row in world.deliveries():
        if row.state == "unsure":
            assert box.by_id()[message.message_id_of(row.message_id, row.part)] == int(there)
            answer = "--sent" if there else "--resend"
            done = bots.say(world, "--no-input", "deliveries", "resolve", str(row.id), answer)
            assert done.returncode == 0, done.stderr
