"""What else befalls posts: a full disk, an end in the middle of a picture, a larger milestone.

Each with the bot as a process, and a network on loopback that remembers.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import pathlib
import random
import signal
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

import x_fake
from crash import bots, posting
from deliverybot import posts

UPLOAD, POST = "POST /2/media/upload", "POST /2/tweets"
OWN = f"/2/users/{x_fake.USER}/tweets"


@pytest.fixture(scope="module")
def drafted(driver: bots.Driver, tmp_path_factory: pytest.TempPathFactory) -> bots.World:
    return posting.make(driver, tmp_path_factory.mktemp("x") / "world", "x", x_fake.KEYS)


@pytest.fixture
def siege(
    driver: bots.Driver, drafted: bots.World, tmp_path: pathlib.Path
) -> Iterator[posting.Siege]:
    world = drafted.copy(tmp_path / "world")
    with x_fake.running() as fake:
        yield posting.Siege(driver=driver, world=world, network=fake, name="X", clock=fake.set)


def of(siege: posting.Siege) -> x_fake.Fake:
    assert isinstance(siege.network, x_fake.Fake)
    return siege.network


# --- a full disk ----------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A disk of four megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no disk can be mounted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(file: pathlib.Path) -> None:
    """Take all the room that is left on a small disk."""
    with contextlib.suppress(OSError), file.open("ab", buffering=0) as handle:
        while handle.write(bytes(1024)):
            pass


def test_a_disk_that_is_full_when_the_answers_come(
    siege: posting.Siege, small: pathlib.Path
) -> None:
    """The answers wait in the process until there is room; nobody is asked anew."""
    siege.name = "X: the disk is full"
    siege.approve()
    world, fake, full = siege.world, of(siege), threading.Event()
    posting.point_at(world, fake.url)
    for file in (world.folder / "var").glob("deliverybot.db*"):
        small.joinpath(file.name).write_bytes(file.read_bytes())
    os.chmod(small, 0o700)  # noqa: PTH101 - a mount
    config = world.folder / "config.toml"
    here = f"sqlite:///{small / 'deliverybot.db'}"
    config.write_text(config.read_text().replace("sqlite:///var/deliverybot.db", here))
    once, brought = threading.Lock(), list[str]()

    def ask(thing: str) -> bool:
        with once:
            brought.extend([thing] if thing == UPLOAD else [])
            if len(brought) == posting.POSTS and not full.is_set():
                fill(small / "filler")  # all are claimed, none is out
                full.set()
        return thing != POST or full.wait(300)

    fake.on_ask = siege.ticking(ask)
    with bots.bot(world, "run") as process:
        assert full.wait(300)
        bots.until(lambda: "cannot be written down yet" in world.log)
        bots.until(lambda: "no room on the disk" in world.log)
        assert process.poll() is None
        assert "free some space; nothing was lost" in world.log
        bots.until(lambda: len(fake.posts) == posting.POSTS)
        small.joinpath("filler").unlink()
        moved = bots.World(folder=world.folder, database=here)
        bots.until(lambda: moved.post_states() == {"posted": posting.POSTS})
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert fake.asked(OWN) == 0
    assert Counter(fake.texts()) == Counter(row.text for row in moved.posts())
    assert moved.audit_is_whole()


# --- in the middle of a picture -------------------------------------------------------------------


@contextlib.contextmanager
def stalled(fake: x_fake.Fake) -> Iterator[list[socket.socket]]:
    """Have it take some bytes of each call, and wait until the block ends; the calls."""
    calls = fake.stalled = []
    try:
        yield calls
    finally:
        fake.stalled = None
        for one in calls:
            one.close()


def enlarge(world: bots.World) -> None:
    """Give each post a picture that fits into no buffer."""
    chance = random.Random(1)
    with world.book() as book:
        for row in book.posts.select():
            picture = book.news.picture(row.image) + chance.randbytes(3_000_000)
            sha256 = book.news.keep(picture)
            digest = posts.digest(row.outlet, row.text, sha256, row.alt)
            values = {"image": sha256, "alt": row.alt, "digest": digest}
            now = dt.datetime.now(dt.UTC)
            book.posts.freeze(row, values, approve=False, why="enlarged", now=now)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("shown", [True, False], ids=["own posts are shown", "nobody may read"])
def test_an_end_in_the_middle_of_a_picture(
    end: signal.Signals, siege: posting.Siege, *, shown: bool
) -> None:
    """Half of a picture is on the wire; the process ends within seconds, and nothing is lost."""
    siege.name = f"X: {end.name} in a picture"
    world, fake, some = siege.world, of(siege), 3
    enlarge(world)
    siege.approve(some)
    posting.point_at(world, fake.url)
    with stalled(fake) as calls, bots.bot(world, "run") as process:
        bots.until(lambda: len(calls) == some)
        process.send_signal(end)
        assert process.wait(60) == (0 if end == signal.SIGTERM else -end)
        siege.kills += end == signal.SIGKILL
        # SIGTERM leaves a doubt that has a name, SIGKILL one that the next start names.
        left = "unsure" if end == signal.SIGTERM else "sending"
        assert world.post_states()[left] == some
    fake.lag = dt.timedelta() if shown else None
    for siege.late in (900.0, 4000.0):
        siege.run()
    if not shown:
        assert world.post_states() == {"unsure": some, "held": posting.POSTS - some}
        assert not fake.posts
        fake.lag = dt.timedelta()
    siege.finish()


# --- a larger milestone ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("taken", "shown", "small"),
    [(True, True, "posted"), (False, True, "superseded"), (True, False, "unsure"),
     (False, False, "unsure")],
    ids=["it is there", "it is not there", "there, nobody may read", "not there, nobody may read"],
)  # fmt: skip
def test_a_larger_milestone_while_the_smaller_is_in_doubt(
    driver: bots.Driver, tmp_path: pathlib.Path, *, taken: bool, shown: bool, small: str
) -> None:
    """Killed with the smaller one on the wire; as docs/outlets.md says, it is only looked for."""
    rule = '\n[[posts]]\noutlet = "loud"\napproval = "none"\n'
    world = bots.make(tmp_path / "world", targets=1, more=rule)
    campaign = world.folder / "schedules" / "lens.toml"
    campaign.write_text(campaign.read_text().replace("at = [3]", "at = [3, 5]", 1))
    posting.hold_letters(world)
    with x_fake.running() as fake:
        world.add("config.toml", f'\n[outlets.loud]\nkind = "x"\napi = "{fake.url}"\n')
        for key, secret in x_fake.KEYS.items():
            world.write(f"secrets/outlets__loud__{key}", secret)
        siege = posting.Siege(
            driver=driver, world=world, network=fake, name="X: a larger one", clock=fake.set
        )
        assert siege.run(killer=bots.Killer(1, take=taken, wanted=POST))
        assert [row.state for row in world.posts()] == ["sending"]
        lines = "".join(f"Signer {n}\n" for n in range(5))
        world.write("schedules/lens.csv", f"name\n{lines}")
        fake.lag = dt.timedelta() if shown else None
        for siege.late in (900.0, 1800.0, 3600.0, 12000.0):
            assert not siege.run()
        states = {row.milestone: row.state for row in world.posts()}
        assert states == {"3": small, "5": "posted"}
        told = [text.partition(" ")[0] for text in fake.texts()]
        assert told == (["3", "5"] if taken else ["5"])
        assert not fake.duplicates
        # Where it can be read again it is settled; the smaller one is never told after all.
        fake.lag = dt.timedelta()
        assert not siege.run()
        told_again = [text.partition(" ")[0] for text in fake.texts()]
        assert told_again == told
        assert world.audit_is_whole()
