"""``kill -9`` around a post: X keeps no key of ours, so a cut is `unsure`; a folder can tell."""

from __future__ import annotations

import dataclasses
import pathlib
import signal
import threading

import pytest

from crash import bots, newsroom
from deliverybot.ledger import records

OUTLETS = 6
SECRETS = ("consumer_key", "consumer_secret", "access_token", "access_token_secret")
POST = """
[[posts]]
outlet = "{name}"
template = "{name}.txt"
approval = "{approval}"
"""


@pytest.fixture(scope="session")
def written(driver: bots.Driver, tmp_path_factory: pytest.TempPathFactory) -> bots.World:
    """Posts on six accounts of X, written and approved by a person; none is out."""
    wires = [f"wire{n}" for n in range(OUTLETS)]
    world = bots.make(
        tmp_path_factory.mktemp("written") / "world",
        targets=1,
        more="".join(POST.format(name=name, approval="each") for name in wires),
    )
    for name in wires:
        # Each account its own text: so the newsroom can tell them apart.
        world.write(f"letters/lens/{name}.txt", f"{{{{ ask }}}} ({name}) {{{{ url }}}}\n")
        world.add("config.toml", f'\n[outlets.{name}]\nkind = "x"\n')
        for secret in SECRETS:
            world.write(f"secrets/outlets__{name}__{secret}", f"{name}-{secret}")
    hold_letters(world)
    assert not driver.start(world).wait()
    numbers = [str(row.id) for row in world.posts()]
    assert not driver.start(world, "posts", "approve", *numbers).wait()
    assert world.post_states() == {"approved": OUTLETS}
    return world


@pytest.fixture(scope="session")
def foldered(driver: bots.Driver, tmp_path_factory: pytest.TempPathFactory) -> bots.World:
    """One post for the folder outlet, approved and not out yet."""
    world = bots.make(
        tmp_path_factory.mktemp("foldered") / "world",
        targets=1,
        more=POST.format(name="folder", approval="each"),
    )
    world.write("letters/lens/folder.txt", "{{ ask }} {{ url }}\n")
    hold_letters(world)
    assert not driver.start(world).wait()
    (row,) = world.posts()
    assert not driver.start(world, "posts", "approve", str(row.id)).wait()
    return world


def hold_letters(world: bots.World) -> None:
    campaign = world.folder / "schedules" / "lens.toml"
    text = campaign.read_text().replace('approval = "none"', 'approval = "each"', 1)
    campaign.write_text(text)


def point_at(world: bots.World, room: newsroom.Newsroom) -> None:
    config = world.folder / "config.toml"
    config.write_text(config.read_text().replace('kind = "x"', f'kind = "x"\napi = "{room.url}"'))


def settled(world: bots.World) -> list[records.Post]:
    """The posts, but for when they were last looked for."""
    return [dataclasses.replace(row, looked_at=None) for row in world.posts()]


def finish(
    driver: bots.Driver, world: bots.World, room: newsroom.Newsroom, point: str, kills: int
) -> bots.Reckoning:
    """Run to the end, and on: what is in doubt stays so, and nothing is posted twice."""
    room.on_post = lambda _: True
    assert not driver.start(world).wait()
    rows, posted = settled(world), list(room.posted)
    for _ in range(2):
        assert not driver.start(world, late=7200).wait()
    assert settled(world) == rows
    assert room.posted == posted
    states = world.post_states()
    taken = room.by_text()
    assert set(taken) <= {row.text for row in rows}
    found = bots.Reckoning(
        sent=states["posted"],
        unsure=states["unsure"],
        twice=sum(taken[row.text] > 1 for row in rows),
        lost=sum(row.state == "posted" and not taken[row.text] for row in rows),
        waiting=len(rows) - states["posted"] - states["unsure"],
    )
    bots.tell(f"X: {point}", kills, found)
    assert (found.twice, found.lost, found.waiting) == (0, 0, 0)
    assert world.audit_is_whole()
    return found


@pytest.mark.parametrize(
    ("point", "doubtful"),
    [
        ("before the claim", False),
        ("before the request", True),
        ("after the answer", True),
        ("while committing", True),
        ("after the commit", True),
    ],
)
def test_a_kill_around_a_post_on_x(
    point: str, doubtful: bool, driver: bots.Driver, written: bots.World, tmp_path: pathlib.Path
) -> None:
    world = written.copy(tmp_path / "world")
    kills = OUTLETS - 2
    with newsroom.Newsroom() as room:
        point_at(world, room)
        for _ in range(kills):
            driver.start(world, point=f"post: {point}").wait()
        found = finish(driver, world, room, point, kills)
    # The accounts are posted to at the same time, so one kill may meet all of them.
    assert (1 <= found.unsure <= OUTLETS) if doubtful else not found.unsure
    assert found.sent <= len(room.posted) <= found.sent + found.unsure


@pytest.mark.parametrize("take", [True, False], ids=["taken", "dropped"])
def test_a_kill_while_x_has_the_request(
    take: bool, driver: bots.Driver, written: bots.World, tmp_path: pathlib.Path
) -> None:
    world = written.copy(tmp_path / "world")
    kills = OUTLETS - 2
    with newsroom.Newsroom() as room:
        point_at(world, room)
        for _ in range(kills):
            killer = room.on_post = bots.Killer(1, take=take)
            run = driver.start(world)
            killer.aim(run)
            run.wait()
        point = f"before the answer; post {'taken' if take else 'dropped'}"
        found = finish(driver, world, room, point, kills)
    assert 1 <= found.unsure <= OUTLETS
    assert found.sent <= len(room.posted) <= found.sent + (found.unsure if take else 0)


def test_a_stop_while_x_has_the_request_leaves_a_named_doubt(
    driver: bots.Driver, written: bots.World, tmp_path: pathlib.Path
) -> None:
    world = written.copy(tmp_path / "world")
    with newsroom.Newsroom() as room:
        point_at(world, room)
        asked, over = threading.Event(), threading.Event()

        def hang(text: str) -> bool:
            asked.set()
            return over.wait(60) and bool(text)

        room.on_post = hang
        environment = {"DELIVERYBOT_OUTLETS__WIRE0__TIMEOUT": "8"}
        with bots.bot(world, "run", environment=environment) as process:
            assert asked.wait(60)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        assert world.post_states() == {"unsure": OUTLETS}
        over.set()
        found = finish(driver, world, room, "stopped before the answer", 0)
    assert found.unsure == OUTLETS


@pytest.mark.parametrize(
    "point", ["before the file", "after the file", "while committing", "after the commit"]
)
def test_a_post_in_a_folder_is_there_exactly_once(
    point: str, driver: bots.Driver, foldered: bots.World, tmp_path: pathlib.Path
) -> None:
    world = foldered.copy(tmp_path / "world")
    assert driver.start(world, point=f"post: {point}").wait()
    assert not driver.start(world).wait()
    # A post that was certainly not there is tried again after a pause.
    assert not driver.start(world, late=300).wait()
    assert world.post_states() == {"posted": 1}
    (file,) = (world.folder / "var" / "outbox" / "posts").glob("*.txt")
    (row,) = world.posts()
    assert file.read_text(encoding="utf-8") == row.text
    assert row.url == file.as_uri()
    assert world.audit_is_whole()
    bots.tell(f"post folder: {point}", 1, bots.Reckoning(sent=1))
