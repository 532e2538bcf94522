"""``kill -9`` around a post in a folder: the file is there or not, so it is there exactly once.

Each network has a module of its own beside this one.
"""

from __future__ import annotations

import pathlib

import pytest

from crash import bots, posting

POST = """
[[posts]]
outlet = "folder"
template = "folder.txt"
approval = "each"
"""


@pytest.fixture(scope="session")
def foldered(driver: bots.Driver, tmp_path_factory: pytest.TempPathFactory) -> bots.World:
    """One post for the folder outlet, approved and not out yet."""
    world = bots.make(tmp_path_factory.mktemp("foldered") / "world", targets=1, more=POST)
    world.write("letters/lens/folder.txt", "{{ ask }} {{ url }}\n")
    posting.hold_letters(world)
    assert not driver.start(world).wait()
    (row,) = world.posts()
    assert not driver.start(world, "posts", "approve", str(row.id)).wait()
    return world


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
