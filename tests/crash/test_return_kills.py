"""``kill -9`` while mails that came back are taken in and passed on: each once, none lost."""

from __future__ import annotations

import collections
import random

import pytest

import returns as samples
from crash import bots, postbox
from deliverybot.mail import verp

TAKING = [
    "return: on disk",
    "return: while it is written",
    "return: before the end",
    "return: after the commit",
]
#: A kill at one of these leaves no doubt about a copy; at the others it does.
PASSING = {
    "before the intent": False,
    "copy: while writing the intent": False,
    "copy: after the commit": False,
    "before the dot": True,
    "after 250": True,
    "copy: while committing": True,
}


def reading(world: bots.World, box: postbox.Postbox) -> dict[str, str]:
    return bots.mail_to(box) | {
        "DELIVERYBOT_INBOX__KIND": "maildir",
        "DELIVERYBOT_INBOX__PATH": str(world.folder / "Maildir"),
        "DELIVERYBOT_INBOX__FORWARD_TO": "mira@campaigns.example",
    }


def come_back(driver: bots.Driver, world: bots.World, box: postbox.Postbox) -> None:
    """Send all letters; answers to half of them come in, and bounces of the others."""
    assert not driver.start(world, environment=bots.mail_to(box)).wait()
    folder = world.folder / "Maildir"
    for name in ("tmp", "new", "cur"):
        (folder / name).mkdir(parents=True)
    for row in world.deliveries():
        assert row.state == "sent"
        token = verp.token(row.id, row.part, row.message_id)
        raw = samples.sample(
            "answer_top_posted" if row.id % 2 else "bounce_exim", message_id=row.message_id,
            verp=f"b+{token}@campaigns.example", envid=token,
        )  # fmt: skip
        raw = raw.replace(b"ceo@cloud.example", row.email.encode())
        (folder / "new" / f"{1795532400 + row.id}.M{row.id}.here").write_bytes(raw)


def settle(world: bots.World, box: postbox.Postbox) -> tuple[int, int]:
    """Demand that each mail was taken in and passed on once; return copies sent and unsure."""
    rows = world.deliveries()
    assert {row.state for row in rows if row.id % 2} == {"answered"}
    assert {row.state for row in rows if not row.id % 2} == {"bounced"}
    with world.book() as book:
        back = book.returns.all()
        log = list(book.audit.since())
    ends = [one for one in log if one.thing == "delivery" and one.new in {"answered", "bounced"}]
    moves = collections.Counter((one.ref, one.new) for one in ends)
    stopped = [one for one in log if one.thing == "address"]
    assert sorted(one.delivery_id or 0 for one in back) == sorted(row.id for row in rows)
    assert set(moves.values()) == {1}
    assert len(stopped) == len(rows) // 2
    copies = {key: n for key, n in box.by_id().items() if key.startswith("<return.")}
    assert set(copies.values()) <= {1}
    states = collections.Counter(one.forward for one in back)
    assert set(states) <= {"sent", "unsure"}
    sent = {f"<return.{one.sha256[:32]}@" for one in back if one.forward == "sent"}
    assert sent <= {key.partition("@")[0] + "@" for key in copies}
    assert world.audit_is_whole()
    return states["sent"], states["unsure"]


def killed(point: str, kills: int, driver: bots.Driver, fresh: bots.Fresh) -> tuple[int, int]:
    """Kill the bot at a point, let it end its work; how many copies are sent, and unsure."""
    chance = random.Random(point)
    world = fresh()
    with postbox.Postbox() as box:
        come_back(driver, world, box)
        for _ in range(kills):
            run = driver.start(
                world, point=point, nth=chance.choice((1, 1, 2)), environment=reading(world, box)
            )
            assert run.wait()
        for _ in range(2):
            assert not driver.start(world, environment=reading(world, box)).wait()
        return settle(world, box)


@pytest.mark.parametrize("point", TAKING)
def test_each_mail_is_taken_in_once(
    point: str, kills: int, driver: bots.Driver, fresh: bots.Fresh
) -> None:
    sent, unsure = killed(point, kills, driver, fresh)
    assert (sent, unsure) == (bots.TARGETS, 0)
    bots.tell(point, kills, bots.Reckoning(sent=sent))


@pytest.mark.parametrize("point", PASSING)
def test_each_copy_goes_once(
    point: str, kills: int, driver: bots.Driver, fresh: bots.Fresh
) -> None:
    sent, unsure = killed(point, kills, driver, fresh)
    assert unsure == (kills if PASSING[point] else 0)
    assert sent == bots.TARGETS - unsure
    bots.tell(
        f"copy: {point.removeprefix('copy: ')}", kills, bots.Reckoning(sent=sent, unsure=unsure)
    )
