"""The package of docs/add-a-source.md: built, installed into a folder, read with."""

from __future__ import annotations

import importlib
import pathlib
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator

import pytest

import build
import http_server
from deliverybot import campaign as campaigns
from deliverybot import errors, ledger, signatures, sources

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "add-a-source.md"
KEY = b"k" * 32
MODULE = "townhall_source"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The package as its own build makes it."""
    folder = tmp_path_factory.mktemp("townhall")
    (folder / "pyproject.toml").write_text(blocks("toml")[0])
    (folder / f"{MODULE}.py").write_text(blocks("python")[0])
    subprocess.run(
        [sys.executable, "-P", "-m", "hatchling", "build", "-t", "wheel"],
        cwd=folder, check=True, capture_output=True, timeout=100,
    )  # fmt: skip
    (found,) = (folder / "dist").glob("*.whl")
    return found


@pytest.fixture
def site(
    wheel: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[pathlib.Path]:
    """A folder on the path that the package is installed in."""
    folder = tmp_path / "site"
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder)
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    sys.modules.pop(MODULE, None)
    importlib.invalidate_caches()


def plan(folder: pathlib.Path, url: str, more: str = "") -> campaigns.Campaign:
    section = blocks("toml")[1].replace("https://townhall.example/p/12", url)
    return build.campaign(folder, source=section + more)


class TownHall:
    """The platform, as the page says."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.instead: http_server.Reply | None = None

    def __call__(self, request: http_server.Request) -> http_server.Reply:
        if request.path.endswith("/count"):
            return http_server.json({"total": self.count})
        after = int(request.query["after"])
        if after and self.instead:
            return self.instead
        last = min(after + 100, self.count)
        return http_server.json(
            [{"id": n, "who": f"Person {n}", "town": "Hull"} for n in range(after + 1, last + 1)]
        )


async def test_the_package_reads(
    site: pathlib.Path, tmp_path: pathlib.Path, book: ledger.Ledger
) -> None:
    hall = TownHall(250)
    with http_server.running(hall) as server:
        one = plan(tmp_path, server.url("/p/12"))
        assert type(one.source).__module__ == MODULE
        said = sources.look(one, now=build.NOW)
        assert [fault.what for fault in said] == ["Town Hall tells of 250 signatures"]
        hall.instead = http_server.json([{"id": 1}])
        found = await signatures.read(book, one, key=KEY, now=build.NOW)
        assert "no list of signers with rising ids" in found.problem
        assert found.new == 100
        hall.instead, hall.count = None, 260
        found = await signatures.read(book, one, key=KEY, now=build.NOW)
    assert (found.problem, found.new, found.standing.said) == ("", 160, 260)
    assert [line.name for line in book.signatures.lines("faces", 999)] == [
        f"Person {n}" for n in range(1, 261)
    ]


async def test_a_count_that_is_none_is_a_failed_reading(
    site: pathlib.Path, tmp_path: pathlib.Path, book: ledger.Ledger
) -> None:
    with http_server.running(lambda _: http_server.json({"total": "1.2k"})) as server:
        one = plan(tmp_path, server.url("/p/12"))
        found = await signatures.read(book, one, key=KEY, now=build.NOW)
    assert "'1.2k'" in found.problem


def test_a_wrong_key_is_named_with_its_line(site: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        plan(tmp_path, "https://townhall.example/p/12", "adress = 5\n")
    (fault,) = caught.value.faults
    assert "adress" in fault.what
    text = (tmp_path / "schedules" / "faces.toml").read_text().splitlines()
    assert fault.line == text.index("adress = 5") + 1


def test_a_wrong_value_is_named(site: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.ConfigError, match="no web address"):
        plan(tmp_path, "townhall.example")


def test_a_kind_that_nobody_brings_is_a_fault(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.ConfigError, match="townhall"):
        plan(tmp_path, "https://townhall.example/p/12")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import nothing_of_this_name\n", "ModuleNotFoundError: No module named 'nothing_of"),
        ("def broken(:\n", "SyntaxError"),
        ("raise ZeroDivisionError('at import')\n", "ZeroDivisionError: at import"),
        ("", "AttributeError"),
        ("class TownHall:\n    pass\n", "Settings"),
        ("class TownHall:\n    Settings = 5\n", "no model of a section"),
    ],
    ids=["import", "syntax", "raises", "no class", "no settings", "wrong settings"],
)
def test_a_broken_package_is_a_fault_of_the_campaign(
    site: pathlib.Path, tmp_path: pathlib.Path, code: str, said: str
) -> None:
    (site / f"{MODULE}.py").write_text(code)
    importlib.invalidate_caches()
    with pytest.raises(errors.ConfigError) as caught:
        plan(tmp_path, "https://townhall.example/p/12")
    faults = [fault for fault in caught.value.faults if "cannot be loaded" in fault.what]
    assert len(faults) == 1
    assert said in faults[0].what
    assert faults[0].line
    assert "'townhall'" in faults[0].what


def test_nobody_takes_the_place_of_a_kind_of_ours(
    site: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    points = next(site.glob("*.dist-info")) / "entry_points.txt"
    points.write_text(points.read_text().replace("townhall =", "csv ="))
    one = build.campaign(tmp_path)
    assert type(one.source).__module__ == "deliverybot.origins.files"
