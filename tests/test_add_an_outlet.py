"""The package of docs/add-an-outlet.md: installed into a folder, posted with."""

from __future__ import annotations

import importlib
import pathlib
import re
import sys
from collections.abc import Iterator, Mapping

import pytest

import build
import http_server
from deliverybot import config, errors, model, outlets

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "add-an-outlet.md"
MODULE = "noticeboard_outlet"
TOKEN = {"DELIVERYBOT_OUTLETS__TOWN__TOKEN": "a token"}
ABOUT = "Metadata-Version: 2.1\nName: noticeboard-outlet\nVersion: 1.0\n"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture
def site(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pathlib.Path]:
    """A folder on the path, with the module and the entry point that the page shows."""
    folder = tmp_path / "site"
    about = folder / "noticeboard_outlet-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / f"{MODULE}.py").write_text(blocks("python")[0])
    (about / "METADATA").write_text(ABOUT)
    _, _, section = blocks("toml")[0].partition("[project.entry-points.")
    (about / "entry_points.txt").write_text("[" + section.replace('"', ""))
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    sys.modules.pop(MODULE, None)
    importlib.invalidate_caches()


def load(folder: pathlib.Path, section: str, environ: Mapping[str, str] = TOKEN) -> config.Settings:
    build.settings(folder)
    file = folder / "config.toml"
    file.write_text(file.read_text() + section)
    return config.load(file, environ=environ)


def section_for(server: http_server.Server) -> str:
    return blocks("toml")[1].replace("https://noticeboard.example", server.url("").rstrip("/"))


class Board:
    """The network, as the page says."""

    def __init__(self) -> None:
        self.notes: dict[str, str] = {}
        self.lose = False
        self.quiet = ""

    def __call__(self, request: http_server.Request) -> http_server.Reply:
        if request.headers.get("authorization") != "Bearer a token":
            return http_server.text("who?", status=401)
        if self.quiet:
            return http_server.Answer(status=429, headers={"Retry-After": self.quiet})
        if request.method == "GET":
            known = request.path in self.notes
            return http_server.text("", status=200 if known else 404)
        self.notes[request.path] = request.body.decode()
        return http_server.sends(b"") if self.lose else http_server.text("", status=201)


def draft() -> outlets.Draft:
    return outlets.Draft(key="faces.m1.v1.town", text="Zoë asks", campaign="faces")


async def test_the_outlet_of_the_page_posts(site: pathlib.Path, tmp_path: pathlib.Path) -> None:
    board = Board()
    with http_server.running(board) as server:
        one = outlets.open_outlet("town", load(tmp_path, section_for(server)))
        assert (await one.find(draft())).there is False
        reply = await one.publish(draft())
        assert reply.outcome is model.Outcome.DONE
        assert board.notes == {"/notes/faces.m1.v1.town": "Zoë asks"}
        assert await one.find(draft()) == outlets.Evidence(there=True, url=reply.url)
        board.lose = True
        assert (await one.publish(draft())).outcome is model.Outcome.UNSURE


async def test_the_outlet_of_the_page_waits_as_long_as_it_is_asked(
    site: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    board = Board()
    board.quiet = "90"
    with http_server.running(board) as server:
        reply = await outlets.open_outlet("town", load(tmp_path, section_for(server))).publish(
            draft()
        )
    assert (reply.outcome, reply.retry_after, reply.account) == (model.Outcome.LATER, 90, True)


async def test_a_token_that_is_not_taken_is_the_accounts(
    site: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with http_server.running(Board()) as server:
        one = outlets.open_outlet("town", load(tmp_path, section_for(server), {}))
        assert (await one.publish(draft())).account
        (fault,) = await one.check()
        assert fault.what == "outlet town has no token"


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("import requests\n", "import no_such_module\n", "cannot be loaded: ModuleNotFoundError"),
        ("    Settings = Settings\n", "    Settings = 5\n", "no model of a section"),
        ("class Noticeboard(", "class Other(", "cannot be loaded: AttributeError"),
    ],
)
def test_a_broken_package_is_a_fault_with_its_line(
    site: pathlib.Path, tmp_path: pathlib.Path, old: str, new: str, what: str
) -> None:
    module = site / f"{MODULE}.py"
    assert old in module.read_text()
    module.write_text(module.read_text().replace(old, new))
    with pytest.raises(errors.ConfigError) as caught:
        load(tmp_path, blocks("toml")[1])
    (fault,) = [fault for fault in caught.value.faults if what in fault.what]
    assert (fault.file or "").endswith("config.toml")
    assert fault.line


def test_a_wrong_key_in_its_section_is_named(site: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        load(tmp_path, blocks("toml")[1] + 'colour = "red"\n')
    assert "unknown key 'colour'" in str(caught.value)


def test_its_secret_has_no_place_in_the_file(site: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        load(tmp_path, blocks("toml")[1] + 'token = "in the open"\n')
    assert "is a secret" in str(caught.value)
    assert "in the open" not in str(caught.value)
