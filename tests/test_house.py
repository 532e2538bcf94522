"""The house rules that a tool can check: sizes, doors, imports, start-up, locks and the wheel."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.resources
import pathlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator

import pytest

import deliverybot

CHECKOUT = pathlib.Path(__file__).parent.parent
PACKAGE = CHECKOUT / "deliverybot"
LOCKS = sorted((CHECKOUT / "requirements").glob("*.lock"))

LONGEST_FUNCTION = 40
LONGEST_FILE = 400

#: Third-party package -> the one place (or, where said so, the places) that may import it.
DOORS = {
    "aiosmtplib": {"mail"},
    "alembic": {"ledger"},
    # In a process of its own.
    "apprise": {"alerts.apprising"},
    "apscheduler": {"daemon"},
    "babel": {"render"},
    "bidi": {"pdf.shaping"},
    "charset_normalizer": {"sources"},
    "click": {"cli"},
    # A selector is checked where a person writes it, and used where a page is read.
    "cssselect2": {"origins.selecting", "sources.htmltree"},
    # Locks what is brought to webhooks; signs for the mail servers, and for the reader.
    "cryptography": {"arrivals", "mail.dkim", "mail.identity", "sources.sealed"},
    "flufl": {"mail"},
    "fontTools": {"pdf.embed", "pdf.fonts"},
    # Parses what sources answer, and opens no connection itself.
    "h11": {"sources.wire"},
    "grapheme": {"outlets.bluesky_record"},
    "holidays": {"hours"},
    "jinja2": {"render"},
    "jmespath": {"expressions"},
    "markdown_it": {"render"},
    "mastodon": {"outlets.mastodon"},
    "lxml": {"sources.htmltree"},
    # Written by one, read again by the other.
    "pikepdf": {"pdf.writer", "pdf.gate"},
    "PIL": {"pdf.embed"},
    # In a process of its own.
    "pyarrow": {"sources.arrow"},
    # What a person wrote is checked where it is read: these are the modules of that.
    "pydantic": {
        *("access", "campaign", "config", "faults", "listening", "mailboxes", "networks"),
        *(
            "notifying",
            "origins",
            "plugins",
            "printing",
            "rules",
            "secret_places",
            "spans",
            "signing",
            "targets",
            "values",
        ),
    },
    "pydantic_core": {"campaign", "faults"},
    "pydantic_settings": {"config"},
    "requests": {
        "outlets.bluesky",
        "outlets.mastodon",
        "outlets.webhook",
        "outlets.wire",
        "outlets.x",
    },
    "pypdfium2": {"pdf.easel", "pdf.gate"},
    "regex": {"origins.selecting"},
    "rich": {"cli"},
    # Our own ledger, and the databases that signatures are read from.
    "sqlalchemy": {"ledger", "sources.database"},
    "starlette": {"web"},
    "tweepy": {"outlets.x"},
    "twitter_text": {"outlets.x"},
    "typing_extensions": {"config", "origins", "outlets", "sources"},
    # Shapes the lines, and cuts the fonts down to what the lines use.
    "uharfbuzz": {"pdf.embed", "pdf.shaping"},
    "uvicorn": {"web"},
    "weasyprint": {"pdf"},
}

#: Importing everything costs 82 times a bare interpreter's start; WeasyPrint alone 47.
HEAVY = {
    *("aiosmtplib", "alembic", "apprise", "apscheduler", "pikepdf", "pyarrow", "sqlalchemy"),
    *("tweepy", "uharfbuzz", "weasyprint"),
}

#: Older ones lack a fix that we rely on.
FLOORS = {
    "aiosmtplib": (5, 1, 2),
    "h11": (0, 16),
    "jinja2": (3, 1, 6),
    "tweepy": (4, 17),
    "weasyprint": (70, 0),
}

MODULES = {
    ".".join(path.relative_to(CHECKOUT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def parse(path: pathlib.Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(tree: ast.Module) -> Iterator[tuple[str, str | None, int]]:
    """Each import, wherever it stands: module, name taken from it, line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((module, alias.name, node.lineno) for alias in node.names)


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


# --- what is tested is what is shipped ----------------------------------------------------------


def test_the_tests_run_on_the_installed_wheel() -> None:
    assert deliverybot.__file__ is not None
    assert pathlib.Path(deliverybot.__file__).parts[-3] == "site-packages"


def test_the_checkout_has_modules_to_check() -> None:
    assert {"deliverybot.cli", "deliverybot.daemon", "deliverybot.ledger"} <= MODULES.keys()


# --- sizes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", MODULES)
def test_functions_and_files_are_short(module: str) -> None:
    path = MODULES[module]
    too_long = [
        f"{path}:{node.lineno} {node.name}: {body_lines(node)} body lines"
        for node in ast.walk(parse(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and body_lines(node) > LONGEST_FUNCTION
    ]
    assert not too_long
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


# --- imports ------------------------------------------------------------------------------------


def test_each_package_has_one_door() -> None:
    strays = []
    for module, path in MODULES.items():
        place = module.removeprefix("deliverybot").removeprefix(".")
        for imported, _, line in imports(parse(path)):
            package = imported.partition(".")[0]
            if package in {"", "deliverybot"} or package in sys.stdlib_module_names:
                continue
            doors = DOORS.get(package, set())
            if not any(place == door or place.startswith(door + ".") for door in doors):
                where = " or ".join(sorted(doors)) or "nowhere: give it a door in DOORS"
                strays.append(f"{path}:{line} imports {package}, whose door is {where}")
    assert not strays


def test_every_door_is_in_use() -> None:
    imported = {
        name.partition(".")[0] for path in MODULES.values() for name, _, _ in imports(parse(path))
    }
    assert not DOORS.keys() - imported


@pytest.mark.parametrize("module", MODULES)
def test_our_own_modules_are_imported_whole(module: str) -> None:
    path = MODULES[module]
    names = [
        f"{path}:{line} takes {name} from {imported}; import the module and write module.{name}"
        for imported, name, line in imports(parse(path))
        if name is not None
        and (imported.startswith(".") or imported.partition(".")[0] == "deliverybot")
        and f"{imported}.{name}" not in MODULES
        and not (imported == "deliverybot" and name == "__version__")
    ]
    assert not names


HELP = """
import sys, deliverybot.cli
sys.argv = ["deliverybot", "--help"]
try:
    deliverybot.cli.main()
except SystemExit:
    pass
"""


@pytest.mark.parametrize("start", ["import deliverybot.cli", HELP], ids=["import", "help"])
def test_help_imports_nothing_heavy(start: str) -> None:
    code = f"{start}\nimport sys\nprint('modules:', *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    modules = done.stdout.rpartition("modules:")[2].split()
    assert "deliverybot.cli" in modules
    assert not HEAVY.intersection(modules)


# --- what is installed --------------------------------------------------------------------------


@pytest.mark.parametrize("package", FLOORS)
def test_installed_packages_are_new_enough(package: str) -> None:
    version = importlib.metadata.version(package)
    assert tuple(int(n) for n in re.findall(r"\d+", version)) >= FLOORS[package]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_locks_hold_versions_and_hashes_only(lock: pathlib.Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert "/" not in text
    assert "\\\\" not in text
    requirements = text.replace("\\\n", " ").splitlines()
    assert requirements
    for requirement in requirements:
        pinned, *hashes = requirement.split(" --hash=")
        assert re.fullmatch(r"[a-z0-9._-]+==[0-9a-z.]+( *; .+)?", pinned.strip()), requirement
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", value.strip()) for value in hashes)


def test_locks_agree_and_hold_all_that_we_ask_for() -> None:
    locked = {
        lock.stem: dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", lock.read_text(), re.MULTILINE))
        for lock in LOCKS
    }
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    asked = {re.split(r"[^A-Za-z0-9-]", wanted)[0] for wanted in project["dependencies"]}
    assert asked <= locked["run"].keys()
    assert locked["run"].items() <= locked["demo"].items() <= locked["dev"].items()
    for package in locked["bench"].keys() & locked["dev"].keys():  # it is installed on top
        assert locked["bench"][package] == locked["dev"][package]


@pytest.mark.parametrize(
    "wanted",
    [
        "py.typed",
        "theme/*.css",
        "theme/*.html",
        "ledger/migrations/env.py",
        "ledger/migrations/versions/*.py",
        "examples/config.toml",
        "examples/letters/*/letter.*",
        "examples/schedules/*.toml",
    ],
)
def test_the_wheel_holds_what_is_not_python(wanted: str) -> None:
    with importlib.resources.as_file(importlib.resources.files("deliverybot")) as installed:
        assert list(installed.glob(wanted))
