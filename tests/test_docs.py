"""The documentation says all there is, and nothing that is not there."""

from __future__ import annotations

import enum
import pathlib
import re
import subprocess
import sys
import typing
from collections.abc import Iterable, Iterator, Mapping

import click
import pydantic
import pytest

import examples
from deliverybot import campaign, cli, config, model, origins
from deliverybot.render import templates

CHECKOUT = pathlib.Path(__file__).parent.parent
DOCS = CHECKOUT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), CHECKOUT / "README.md", CHECKOUT / "CHANGELOG.md"])

STATES: Mapping[str, type[enum.StrEnum]] = {
    "delivery": model.Delivery,
    "post": model.Post,
    "milestone": model.Milestone,
    "signature": model.Signature,
    "comment": model.Comment,
}


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def rows(text: str) -> list[str]:
    """The words in the first column of every table."""
    return [
        word
        for line in text.splitlines()
        if line.startswith("| `")
        for word in re.findall(r"`([^`]+)`", line.split(" | ")[0])
    ]


# --- settings -----------------------------------------------------------------------------------


def models(start: type[pydantic.BaseModel]) -> Iterator[type[pydantic.BaseModel]]:
    """Every model that a settings file is made of."""
    yield start
    for field in start.model_fields.values():
        waiting: list[object] = [field.annotation]
        while waiting:
            kind = waiting.pop()
            if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
                yield from models(kind)
            else:
                waiting += typing.get_args(kind)


#: A section that stands in two places, such as a kind of source, is told of once.
FIELDS = list(
    dict.fromkeys(
        (one.__name__, field)
        for start in (config.Settings, campaign.Campaign)
        for one in models(start)
        for field, known in one.model_fields.items()
        if not known.exclude
    )
)


def test_the_settings_are_found() -> None:
    assert ("XOutlet", "access_token") in FIELDS
    assert ("Timeouts", "stall") in FIELDS
    assert ("Target", "budget") in FIELDS
    assert len(FIELDS) > 60


def test_each_setting_has_its_line() -> None:
    told = rows(page("settings.md"))
    names = [field for _, field in FIELDS]
    assert sorted(told) == sorted(names)
    empty = [
        line for line in page("settings.md").splitlines() if re.match(r"\| `\w+` \|  \|", line)
    ]
    assert not empty


@pytest.mark.parametrize("name", typing.get_args(origins.SignerField))
def test_each_signer_field_is_named(name: str) -> None:
    assert f"`{name}`" in page("settings.md").rpartition("Our fields are")[2]


# --- commands -----------------------------------------------------------------------------------


def test_the_made_pages_are_up_to_date(tmp_path: pathlib.Path) -> None:
    made = [sys.executable, "-P", str(CHECKOUT / "tools/docs.py"), str(tmp_path)]
    subprocess.run(made, check=True, timeout=60)
    for name in ("commands.md", "settings.md"):
        assert (tmp_path / name).read_text(encoding="utf-8") == page(name), "python tools/docs.py"


def commands(group: click.Group, path: str = "deliverybot") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


KNOWN = dict(commands(cli.cli))


@pytest.mark.parametrize("name", [n for n, c in KNOWN.items() if not isinstance(c, click.Group)])
def test_each_command_and_option_is_told(name: str) -> None:
    part = page("commands.md").partition(f"## {name}\n")[2].partition("\n## ")[0]
    assert part
    for parameter in KNOWN[name].params:
        if isinstance(parameter, click.Option):
            assert parameter.help
            assert all(option in part for option in parameter.opts)


def mentioned() -> Iterator[tuple[str, str]]:
    """Each command line in the pages: (page, words after `deliverybot`)."""
    for file in PAGES:
        text = file.read_text(encoding="utf-8")
        lines = [
            line
            for block in re.findall(r"```\n(.*?)```", text, re.DOTALL)
            for line in block.splitlines()
        ]
        for line in [*lines, *re.findall(r"`([^`\n]+)`", text)]:
            if found := re.match(r"(?:deliverybot|(?=deliveries |posts |milestones )) ?(.+)", line):
                yield file.name, found[1]


def test_each_command_that_a_page_shows_is_real() -> None:
    seen = list(mentioned())
    assert len(seen) > 20
    for name, line in seen:
        words = line.split("#")[0].split()
        command: click.Command = cli.cli
        while words and isinstance(command, click.Group):
            assert words[0] in command.commands, (name, line)
            command = command.commands[words.pop(0)]
        options = {option for parameter in command.params for option in parameter.opts}
        unknown = {word for word in words if word.startswith("-")} - options
        assert not unknown, (name, line)


# --- states and templates -----------------------------------------------------------------------


@pytest.mark.parametrize("noun", STATES)
def test_each_state_has_its_line(noun: str) -> None:
    part = page("flow.md").partition(f"### Of a {noun}\n")[2].partition("\n### ")[0]
    assert rows(part) == [state.value for state in STATES[noun]]


def test_each_variable_and_filter_has_its_line() -> None:
    told = rows(page("templates.md"))
    assert set(told) >= templates.VARIABLES
    assert set(told) >= {f"{name}(...)" for name in templates.FIGURES}
    assert set(templates.Templates.__init__.__globals__["_FILTERS"]) <= set(told)
    assert all(f"`{name}(...)`" in page("templates.md") for name in templates.CALLS)
    for record, parts in templates.RECORDS.items():
        assert all(f"`{record}.{part}`" in page("templates.md") for part in parts)


# --- the code -----------------------------------------------------------------------------------

CODE = CHECKOUT / "deliverybot"


def reading() -> str:
    return page("flow.md").partition("## Reading the code in an evening\n")[2]


def length(files: Iterable[pathlib.Path]) -> int:
    return sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)


def test_what_is_to_be_read_is_there_and_fits_an_evening() -> None:
    lines = [line.split(" | ") for line in reading().splitlines() if re.match(r"\| \d\d? \|", line)]
    order = [(int(cells[0][2:]), re.findall(r"`([^`]+)`", cells[1])) for cells in lines]
    assert [number for number, _ in order] == list(range(1, len(order) + 1))
    assert order
    files = [CODE / f"{name}.py" for _, names in order for name in names]
    said = re.search(r"About ([0-9,]+) lines", reading())
    assert said is not None
    assert abs(length(files) - number_of(said[1])) < 0.2 * length(files)


def test_each_package_is_told_with_its_size() -> None:
    told = {
        name: number_of(lines)
        for lines, name in re.findall(r"^\| ([0-9,]+) \| `?([a-z ]+)`? \|", reading(), re.MULTILINE)
    }
    real = {
        file.parent.name: length(file.parent.rglob("*.py")) for file in CODE.glob("*/__init__.py")
    }
    real["no package"] = length(CODE.glob("*.py"))
    assert told.keys() == real.keys()
    wrong = [name for name in real if abs(told[name] - real[name]) > 0.25 * real[name]]
    assert not wrong, {name: real[name] for name in wrong}


def number_of(text: str) -> int:
    return int(text.replace(",", ""))


# --- links --------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_links_lead_somewhere(file: pathlib.Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", file.read_text(encoding="utf-8")):
        if not target.startswith("https://") and target != "map.svg":
            assert (file.parent / target).is_file(), target


@pytest.mark.parametrize("file", sorted(examples.PAGES.glob("*.md")), ids=lambda file: file.name)
def test_each_source_that_a_page_shows_is_read(file: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """As a campaigner would paste it; a page may show a piece of config.toml, too."""
    (tmp_path / "signatures.sql").write_text(SELECT)
    for block in examples.blocks(file.name):
        if re.search(r"^\[source\]", block, re.MULTILINE):
            rest = examples.REST if "[delivery]" in block else REST
            campaign = examples.campaign(tmp_path, block, rest=rest)
            assert campaign.source.kind in block


SELECT = "SELECT id, name FROM signers WHERE id > :cursor ORDER BY id LIMIT :limit"
REST = f'{examples.REST}[delivery]\nsigners = "none"\n'


def test_the_readme_leads_to_every_page() -> None:
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    assert all(f"(docs/{file.name})" in readme for file in DOCS.glob("*.*"))
    index = page("sources.md")
    for one in origins.SECTIONS:
        assert f"| `{typing.get_args(one.model_fields['kind'].annotation)[0]}` |" in index
    assert all(f"(sources/{file.name})" in index for file in (DOCS / "sources").iterdir())


def test_the_changelog_has_a_place_for_the_next_change() -> None:
    assert "\n## [Unreleased]\n" in (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")
