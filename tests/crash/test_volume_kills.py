"""``kill -9`` while volumes are made: what is sealed stays, and the bytes come out the same."""

from __future__ import annotations

import collections
import contextlib
import hashlib
import itertools
import os
import pathlib
import random
import signal
import time

import pytest

from crash import bots, processes

#: Twelve full volumes and half a one.
SIZE, FULL, SIGNERS = 400, 12, 5_000
#: Kills of each kind at least; two kinds of them.
KILLS = 21
BENCH, PLATE = "deliverybot.pdf.bench", "deliverybot.pdf.plate"
#: As in test_stop.
SECONDS = 60.0


@pytest.fixture(scope="session")
def read(driver: bots.Driver, tmp_path_factory: pytest.TempPathFactory) -> bots.World:
    """Five thousand signers in the ledger, and a letter due to be made from them: for copying.

    The milestone is crossed already, so that all letters are of one day.
    """
    world = bots.make(
        tmp_path_factory.mktemp("read") / "world", targets=1, signers=SIGNERS, at=10 * SIGNERS
    )
    world.add("config.toml", f"[pdf]\nvolume = {SIZE}\nnames_in_letter = 0\n")
    assert not driver.start(world).wait()
    campaign = world.folder / "schedules" / "lens.toml"
    text = campaign.read_text().replace('approval = "none"', 'approval = "each"')
    campaign.write_text(text.replace(f"at = [{10 * SIGNERS}]", f"at = [{SIGNERS}]"))
    assert driver.start(world, point="before the press").wait()
    assert world.states() == {"due": 1}
    return world


class Undisturbed:
    """A run that nobody killed: what it made, and how long it took."""

    def __init__(self, driver: bots.Driver, world: bots.World) -> None:
        begin = time.monotonic()
        assert not driver.start(world).wait()
        #: Kills are spread over this time; what they must leave does not depend on it.
        self.seconds = time.monotonic() - begin
        self.sealed = sealed(world)
        self.pdf = is_ready(world)


@pytest.fixture(scope="session")
def undisturbed(
    driver: bots.Driver, read: bots.World, tmp_path_factory: pytest.TempPathFactory
) -> Undisturbed:
    return Undisturbed(driver, read.copy(tmp_path_factory.mktemp("undisturbed") / "world"))


@pytest.fixture
def fresh(read: bots.World, tmp_path: pathlib.Path) -> bots.Fresh:
    numbers = itertools.count()
    return lambda: read.copy(tmp_path / f"world{next(numbers)}")


def sealed(world: bots.World) -> dict[int, str]:
    """Number and hash of each sealed volume; its file is as the ledger says."""
    with world.book() as book:
        found = book.volumes.sealed("lens")
    for one in found:
        content = (world.folder / "var" / one.path).read_bytes()
        assert hashlib.sha256(content).hexdigest() == one.sha256
        assert one.edition == 1, "it was sealed before"
    return {one.number: one.sha256 for one in found}


def seals(world: bots.World) -> collections.Counter[str]:
    """How often each volume was sealed, by the audit log."""
    with world.book() as book:
        return collections.Counter(row.ref for row in book.audit.since() if row.thing == "volume")


def is_ready(world: bots.World) -> bytes:
    """Demand that the letter is there, and nothing that nobody needs; return its PDF."""
    (row,) = world.deliveries()
    assert (row.state, row.problem) == ("held", "")
    state = world.folder / "var"
    content = (state / row.pdf).read_bytes()
    assert hashlib.sha256(content).hexdigest() == row.pdf_sha256
    assert list((state / "letters").rglob("*.pdf")) == [state / row.pdf]
    assert set(sealed(world)) == set(range(1, FULL + 1))
    assert len(list((state / "volumes" / "lens").iterdir())) == FULL
    assert not list(state.rglob(".*"))
    assert world.audit_is_whole()
    return content


def is_the_same(world: bots.World, undisturbed: Undisturbed) -> None:
    """Demand the bytes of a run that nobody killed, and no volume made twice."""
    assert is_ready(world) == undisturbed.pdf
    assert sealed(world) == undisturbed.sealed
    assert set(seals(world).values()) == {1}


# --- at random ----------------------------------------------------------------------------------


def kill_the_bot(run: bots.Run, chance: random.Random, seconds: float) -> int:
    """Kill the bot at a random moment; return 1 if it was still at work."""
    time.sleep(chance.uniform(0, seconds))
    run.kill()
    return int(run.wait())


def kill_its_children(run: bots.Run, chance: random.Random, seconds: float) -> int:
    """Kill one to three children of the bot at random moments; return how many."""
    kills = 0
    for _ in range(chance.choice((1, 2, 3))):
        moment = time.monotonic() + chance.uniform(0, seconds / 2)
        found: list[int] = []

        def met(moment: float = moment, found: list[int] = found) -> bool:
            found[:] = processes.children(run.pid) if time.monotonic() > moment else []
            return bool(found) or not processes.is_alive(run.pid)

        bots.until(met)
        if not found:
            break
        kills += processes.kill(found[0])
    assert not run.wait()
    # The bot lives on: it clears up behind them at once.
    assert not list((run.world.folder / "var").rglob(".*"))
    return kills


@pytest.mark.parametrize("whom", ["the bot", "its children"])
def test_kills_at_random_moments(
    whom: str,
    kills: int,
    driver: bots.Driver,
    fresh: bots.Fresh,
    undisturbed: Undisturbed,
) -> None:
    chance = random.Random(whom)
    kill = kill_the_bot if whom == "the bot" else kill_its_children
    done, world = 0, fresh()
    before: dict[int, str] = {}
    while done < max(KILLS, kills):
        run = driver.start(world)
        done += kill(run, chance, undisturbed.seconds)
        now = sealed(world)
        assert before.items() <= now.items(), "what was sealed is gone"
        assert now.items() <= undisturbed.sealed.items()
        before = now
        if [row.digest for row in world.deliveries()] not in ([""], []):
            is_the_same(after_a_start(driver, world), undisturbed)
            world, before = fresh(), {}
    is_the_same(after_a_start(driver, world), undisturbed)
    bots.tell(f"volumes: {whom}", done, bots.Reckoning())


def after_a_start(driver: bots.Driver, world: bots.World) -> bots.World:
    assert not driver.start(world).wait()
    return world


# --- at a known moment ----------------------------------------------------------------------------


def met_at_work(world: bots.World, pid: int) -> int | None:
    """Stop the child that typesets when a volume is sealed, and others are not; its number.

    None where it was too quick for us.
    """
    bench = processes.child_of(pid, BENCH)
    while processes.halt(bench):
        if sealed(world):
            return bench if len(sealed(world)) < FULL else None
        processes.go_on(bench)
    return None


def met(world: bots.World, pid: int, module: str) -> int | None:
    """Stop a child where it is: that which typesets at work; None where it was too quick for us."""
    if module == BENCH:
        return met_at_work(world, pid)
    child = processes.child_of(pid, module)
    return child if processes.halt(child) else None


def caught(
    driver: bots.Driver, fresh: bots.Fresh, module: str = BENCH
) -> tuple[bots.World, bots.Run, int]:
    """Start bots until the child of one is met."""
    while True:
        world = fresh()
        run = driver.start(world)
        child = met(world, run.pid, module)
        if child is not None:
            return world, run, child
        run.kill()
        run.wait()


@pytest.mark.parametrize("module", [PLATE, BENCH])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_killed_child_did_is_done_again_in_the_same_run(
    module: str,
    number: int,
    driver: bots.Driver,
    fresh: bots.Fresh,
    undisturbed: Undisturbed,
) -> None:
    world, run, child = caught(driver, fresh, module)
    os.kill(child, number)
    with contextlib.suppress(ProcessLookupError):  # SIGKILL needs no more than itself
        os.kill(child, signal.SIGCONT)
    assert not run.wait()
    assert "it is done again" in world.log
    is_the_same(world, undisturbed)
    bots.tell("volumes: a child at work", 1, bots.Reckoning())


def each_is_killed(run: bots.Run) -> bool:
    """Kill each child that typesets; False where one was too quick for us."""
    known = set[int]()
    for _ in range(3):
        bench = processes.child_of(run.pid, BENCH, besides=known)
        known.add(bench)
        if not processes.halt(bench):
            return False
        processes.kill(bench)
    return True


def test_a_child_that_is_killed_each_time_holds_the_letter_until_the_next_start(
    driver: bots.Driver, fresh: bots.Fresh, undisturbed: Undisturbed
) -> None:
    while True:
        world = fresh()
        run = driver.start(world)
        if each_is_killed(run):
            break
        run.kill()
        run.wait()
    assert not run.wait()
    (row,) = world.deliveries()
    assert row.state == "held"
    assert "was ended by signal 9" in row.problem
    assert "short of memory" in row.problem
    assert not list((world.folder / "var").rglob(".*"))
    is_the_same(after_a_start(driver, world), undisturbed)
    bots.tell("volumes: a child each time", 3, bots.Reckoning())


def test_a_killed_bot_takes_its_child_along_and_leaves_what_is_sealed(
    driver: bots.Driver, fresh: bots.Fresh, undisturbed: Undisturbed
) -> None:
    world, run, bench = caught(driver, fresh)
    run.kill()
    assert run.wait()
    bots.until(lambda: processes.is_gone(bench))
    assert sealed(world).items() <= undisturbed.sealed.items()
    is_the_same(after_a_start(driver, world), undisturbed)
    bots.tell("volumes: the bot at work", 1, bots.Reckoning())


def test_a_volume_that_was_not_sealed_yet_is_gone_with_the_next_start(
    driver: bots.Driver, fresh: bots.Fresh
) -> None:
    world = fresh()
    run = driver.start(world, point="volume on disk")
    assert run.wait()
    folder = world.folder / "var" / "volumes" / "lens"
    (left,) = folder.glob("00001-*.volume")
    assert not sealed(world)
    # Somebody in it asks not to be named before the next start.
    assert not driver.start(world, "signatures", "hide", "lens", "7").wait()
    is_ready(after_a_start(driver, world))
    assert not left.exists()
    bots.tell("volumes: on disk, not sealed", 1, bots.Reckoning())


# --- asked to stop -------------------------------------------------------------------------------


def test_a_stop_while_volumes_are_made_keeps_what_is_sealed(
    driver: bots.Driver, fresh: bots.Fresh, undisturbed: Undisturbed
) -> None:
    bench = None
    while bench is None:
        world = fresh()
        with bots.bot(world, "run") as process:
            bench = met_at_work(world, process.pid)
            if bench is None:
                continue
            before = sealed(world)
            process.send_signal(signal.SIGTERM)
            assert process.wait(SECONDS) == 0
    child = bench
    bots.until(lambda: processes.is_gone(child))
    assert before
    after = sealed(world)
    # What the child had told of before it was met may still be sealed, and all of it stays.
    assert before.items() <= after.items() <= undisturbed.sealed.items()
    assert not list((world.folder / "var").rglob(".*"))
    assert "Traceback" not in world.log
    is_the_same(after_a_start(driver, world), undisturbed)


@pytest.mark.parametrize("module", [PLATE, BENCH])
def test_an_interrupted_preview_leaves_nothing_behind(module: str, fresh: bots.Fresh) -> None:
    while not is_interrupted(world := fresh(), module):
        pass
    assert not list((world.folder / "shown").iterdir())
    assert not list((world.folder / "passing").iterdir())
    assert "Traceback" not in world.log
    assert not sealed(world)


def is_interrupted(world: bots.World, module: str) -> bool:
    """Interrupt a preview while its child is there; False where that was too quick for us."""
    before = set((world.folder / "var").rglob("*"))
    passing, shown = world.folder / "passing", world.folder / "shown"
    passing.mkdir()
    words = ("preview", "lens", "--as", "pdf", "-o", str(shown / "letter.pdf"))
    with bots.bot(world, *words, environment={"TMPDIR": str(passing)}) as process:
        child = processes.child_of(process.pid, module)
        if not processes.halt(child):
            return False
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 130
    bots.until(lambda: processes.is_gone(child))
    assert set((world.folder / "var").rglob("*")) == before
    return True
