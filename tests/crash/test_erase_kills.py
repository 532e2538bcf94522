"""``kill -9`` while somebody is erased: nothing has happened yet, or the next start goes on."""

from __future__ import annotations

import contextlib
import json
import pathlib

import pytest

import test_erasure
from crash import bots

NAME, ADDRESS = "Wilhelmina Quennell", "willa@quennell.example"
TO_FOLDER = {"DELIVERYBOT_MAIL__TRANSPORT": "folder"}
ERASE = ("--no-input", "signatures", "erase", ADDRESS)


@pytest.fixture(scope="module")
def sent(driver: bots.Driver, tmp_path_factory: pytest.TempPathFactory) -> bots.World:
    """A letter that has left with her name in it: for copying."""
    world = bots.make(tmp_path_factory.mktemp("sent") / "world", targets=1)
    campaign = world.folder / "schedules" / "lens.toml"
    columns = 'columns = { name = "name", email = "mail" }'
    campaign.write_text(campaign.read_text().replace('columns = { name = "name" }', columns))
    rows = f"name,mail\nAda,ada@mail.example\n{NAME},{ADDRESS}\nBen,ben@mail.example\n"
    world.write("schedules/lens.csv", rows)
    assert not driver.start(world, environment=TO_FOLDER).wait()
    assert world.states() == {"sent": 1}
    assert found(world)
    return world


def found(world: bots.World) -> list[str]:
    files = (world.folder / "var").rglob("*")
    return [str(file) for file in files if file.is_file() and names_her(file)]


def names_her(file: pathlib.Path) -> bool:
    with contextlib.suppress(FileNotFoundError):  # a running bot's files come and go
        return any(test_erasure.holds(file, w) for w in ("Wilhelmina", "Quennell", "willa"))
    return False


def settled(world: bots.World) -> bool:
    with world.book() as book:
        return not book.erasures.open()


@pytest.mark.parametrize("point", ["erase: before it is written", "erase: while it is written"])
def test_before_it_is_written_nothing_has_happened(
    point: str, driver: bots.Driver, sent: bots.World, tmp_path: pathlib.Path
) -> None:
    world = sent.copy(tmp_path / "world")
    before = world.deliveries()
    assert driver.start(world, *ERASE, point=point, environment=TO_FOLDER).wait()
    assert world.deliveries() == before
    assert all((world.folder / "var" / row.pdf).exists() for row in before)
    assert not driver.start(world, *ERASE, environment=TO_FOLDER).wait()
    assert found(world) == []
    assert world.audit_is_whole()


@pytest.mark.parametrize(
    "point",
    [
        "erase: written",
        "erase: files are gone",
        "erase: before the rewriting",
        "erase: in the rewriting",
        "erase: before the end",
    ],
)
def test_after_it_the_next_start_does_the_rest(
    point: str, driver: bots.Driver, sent: bots.World, tmp_path: pathlib.Path
) -> None:
    world = sent.copy(tmp_path / "world")
    (before,) = world.deliveries()
    assert driver.start(world, *ERASE, point=point, environment=TO_FOLDER).wait()
    assert not settled(world)
    assert not driver.start(world, environment=TO_FOLDER).wait()
    assert settled(world)
    assert found(world) == []
    (after,) = world.deliveries()
    assert (after.state, after.pdf_sha256) == ("sent", before.pdf_sha256)
    assert list((world.folder / "var" / "outbox").rglob("*.eml")) == [], "and nothing goes twice"
    assert world.audit_is_whole()
    with world.book() as book:
        (entry,) = [one for one in book.audit.since() if one.new == "erased"]
        assert json.dumps(entry.why) == '"erased as asked"'
        assert book.signatures.standing("lens").held == 2


def test_beside_a_running_bot_nothing_is_left(sent: bots.World, tmp_path: pathlib.Path) -> None:
    world = sent.copy(tmp_path / "world")
    with bots.bot(world, "run", "--no-web", environment=TO_FOLDER) as running:
        bots.until(lambda: "running; campaigns" in world.log)
        done = bots.say(world, *ERASE, environment=TO_FOLDER)
        assert done.returncode == 0, done.stderr
        assert "signature 2 of lens is erased" in done.stdout
        bots.until(lambda: settled(world))
        assert found(world) == []
        assert running.poll() is None
    assert world.states() == {"sent": 1}


def test_retention_goes_on_where_it_was_killed(driver: bots.Driver, tmp_path: pathlib.Path) -> None:
    world = bots.make(tmp_path / "world", targets=1, signers=12_000, at=10_000_000)
    assert not driver.start(world).wait()
    campaign = world.folder / "schedules" / "lens.toml"
    kept = "closes = 2026-01-01\n" + campaign.read_text().replace(
        "[[milestones]]", '[signers]\nkeep = "1 month"\n[[milestones]]', 1
    )
    campaign.write_text(kept)
    for _ in range(2):
        assert driver.start(world, point="expire: in a batch").wait()
        assert not settled(world)
    assert not driver.start(world).wait()
    assert settled(world)
    files = [file for file in (world.folder / "var").rglob("*") if file.is_file()]
    assert [str(file) for file in files if b"Signer 1" in file.read_bytes()] == []
    with world.book() as book:
        assert book.signatures.standing("lens").held == 12_000
    assert world.audit_is_whole()
