"""``kill -9`` while a letter is being rendered: no orphan, no half file, and it is done again."""

from __future__ import annotations

import functools
import hashlib
import itertools
import pathlib

import pytest

from crash import bots, processes

#: Enough to render for seconds, so that the kill meets the press at work.
MANY = 3_000


def hashes(world: bots.World) -> dict[str, str]:
    """SHA-256 of each PDF that is there."""
    return {
        str(file.relative_to(world.folder / "var")): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in (world.folder / "var").rglob("*.pdf")
    }


def is_ready(world: bots.World) -> None:
    """Demand that the one letter is there, whole, and is the one in the ledger."""
    (row,) = world.deliveries()
    assert row.state == "held"
    assert not row.problem
    assert hashes(world) == {row.pdf: row.pdf_sha256}
    assert (world.folder / "var" / row.pdf).read_bytes().endswith(b"%%EOF\n")
    assert world.audit_is_whole()


def held(folder: pathlib.Path, signers: int = 3) -> bots.World:
    world = bots.make(folder, targets=1, signers=signers)
    campaign = world.folder / "schedules" / "lens.toml"
    campaign.write_text(campaign.read_text().replace('approval = "none"', 'approval = "each"'))
    return world


def works_or_is_gone(press: int) -> bool:
    return "libpango" in processes.maps_of(press) or processes.is_gone(press)


def test_the_press_dies_with_the_bot_and_leaves_no_half_file(
    driver: bots.Driver, tmp_path: pathlib.Path
) -> None:
    for number in itertools.count():
        world = held(tmp_path / f"world{number}", MANY)
        run = driver.start(world)
        press = processes.child_of(run.pid, "deliverybot.pdf.plate")
        # It is at work once it holds the libraries of WeasyPrint.
        bots.until(functools.partial(works_or_is_gone, press))
        if processes.halt(press):
            break  # else it was too quick for us
        run.kill()
        run.wait()
    run.kill()
    assert run.wait()
    processes.go_on(press)
    bots.until(lambda: processes.is_gone(press))
    assert not hashes(world)
    (row,) = world.deliveries()
    assert row.state == "due"
    assert not driver.start(world).wait()
    is_ready(world)


@pytest.mark.parametrize("point", ["rendered, not yet frozen", "frozen", "crossing"])
def test_a_kill_around_the_freezing(
    point: str, driver: bots.Driver, tmp_path: pathlib.Path
) -> None:
    world = held(tmp_path / "world")
    assert driver.start(world, point=point).wait()
    before = hashes(world)
    assert not driver.start(world).wait()
    is_ready(world)
    # The same input makes the same bytes.
    assert before in ({}, hashes(world))
