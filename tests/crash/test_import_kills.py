"""``kill -9`` while signatures are taken in: nobody is lost, nobody counts twice."""

from __future__ import annotations

import pathlib

import pytest

from crash import bots

#: Three batches of the size that sources give.
ROWS = 25_000


@pytest.fixture
def world(tmp_path: pathlib.Path) -> bots.World:
    """A campaign far from its milestone; its rows have neither id nor address.

    So nothing but the cursor keeps a signer from counting twice.
    """
    return bots.make(tmp_path / "world", targets=1, signers=ROWS, at=10_000_000)


def names(world: bots.World) -> list[tuple[int, str]]:
    with world.book() as book:
        upto = book.signatures.standing("lens").last_number
        return [(one.number, one.name) for one in book.signatures.lines("lens", upto)]


def count(world: bots.World) -> tuple[int, int]:
    with world.book() as book:
        standing = book.signatures.standing("lens")
        return standing.signatures, standing.duplicates


@pytest.mark.parametrize(
    ("point", "nths"),
    [
        ("import: before a batch", (1, 2, 2)),
        ("import: in a batch", (1, 2, 2)),
        ("import: after a batch", (1, 1, 1)),
    ],
)
def test_each_signer_has_one_number(
    point: str, nths: tuple[int, ...], driver: bots.Driver, world: bots.World
) -> None:
    for nth in nths:
        assert driver.start(world, point=point, nth=nth).wait()
        so_far, _ = count(world)
        assert names(world) == [(n + 1, f"Signer {n}") for n in range(so_far)]
    assert not driver.start(world).wait()
    assert count(world) == (ROWS, 0)
    assert names(world) == [(n + 1, f"Signer {n}") for n in range(ROWS)]
    # The cursor stands at the end: what is added is taken, and nothing else.
    world.add("schedules/lens.csv", f"Signer {ROWS}\n")
    assert not driver.start(world).wait()
    assert count(world) == (ROWS + 1, 0)
    bots.tell(point, len(nths), bots.Reckoning())


def test_the_key_that_recognises_signers_outlives_a_kill(
    driver: bots.Driver, tmp_path: pathlib.Path
) -> None:
    world = bots.make(tmp_path / "other", targets=1, signers=3, at=1000)
    assert driver.start(world, point="import: before a batch").wait()
    key = (world.folder / "var" / "recognition.key").read_bytes()
    assert not driver.start(world).wait()
    assert (world.folder / "var" / "recognition.key").read_bytes() == key
    assert count(world) == (3, 0)
