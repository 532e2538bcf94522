"""Settings from outside config.toml: the environment and secret files.

Both name a setting by its path, ``mail__password`` for ``password`` in
``[mail]``; what they hold is text, turned into what the setting wants.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
import shlex
import stat
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import pydantic

from deliverybot import errors, faults, places

PREFIX = "deliverybot_"
#: Variables that bear our prefix and are no settings: the path of config.toml (``-c``).
NOT_SETTINGS = frozenset({"deliverybot_config"})
#: Where containers put secrets.
RUN_SECRETS = pathlib.Path("/run/secrets")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What stands outside config.toml."""

    environment: dict[str, Any] = dataclasses.field(default_factory=dict, repr=False)
    files: dict[str, Any] = dataclasses.field(default_factory=dict, repr=False)
    #: The variable or file that a value came from.
    origins: dict[places.Path, str] = dataclasses.field(default_factory=dict)
    faults: list[errors.Fault] = dataclasses.field(default_factory=list)
    #: The folder that secrets_dir names, where there is none.
    gone: list[pathlib.Path] = dataclasses.field(default_factory=list)


def gather(
    model: type[pydantic.BaseModel],
    overrides: Mapping[str, object],
    environ: Mapping[str, str],
    data: Mapping[str, object],
    root: pathlib.Path,
) -> Found:
    """Read the environment and the secret files; the origins of `overrides` win."""
    found = Found()
    named_sections = _sections(data, overrides, environ)
    variables = {
        _path(name, named_sections): (name, value)
        for name, value in environ.items()
        if name.lower().startswith(PREFIX) and name.lower() not in NOT_SETTINGS
    }
    variable = variables.get(("secrets_dir",), ("", None))[1]
    choices = (overrides.get("secrets_dir"), variable, data.get("secrets_dir"))
    named = next((choice for choice in choices if isinstance(choice, str)), "")
    folders = _folders(root, named, environ, found)
    for file, path, text in _files(model, folders, named_sections, data):
        wrong = _unreadable(file) if text is None else _misplaced(model, named_sections, path)
        _put(found, found.files, (path, text, str(file)), wrong, _wanted(model, path, data))
    for path, (name, text) in sorted(variables.items()):
        wanted = _wanted(model, path, data) or _wanted(model, path, found.environment)
        wrong = _misplaced(model, named_sections, path)
        _put(found, found.environment, (path, text, name), wrong, wanted)
    found.origins.update(dict.fromkeys(_leaves(overrides), "the command line"))
    return found


_UNREADABLE = ("this secret cannot be read as UTF-8 text", "check its owner and its content")
_A_FOLDER = (
    "this is a folder, and a secret stands in a file of this name",
    "take it away, and write the secret into a file; Docker makes a folder where that is missing",
)
_wanted = faults.annotation_at


def _unreadable(file: pathlib.Path) -> tuple[str, str]:
    return _A_FOLDER if file.is_dir() else _UNREADABLE


#: Sections of many names, such as [outlets.NAME], and the key of a variable that makes one.
_NAMED = {"outlets": "kind", "access": "host"}
_SAID = {"outlets": "outlet", "access": "account"}
_Names = Mapping[str, list[str]]


def _sections(
    data: Mapping[str, object], overrides: Mapping[str, object], environ: Mapping[str, str]
) -> _Names:
    """Return the names of all outlets and accounts; some variables make one, too."""
    found = {}
    for section, key in _NAMED.items():
        made = (re.fullmatch(rf"{PREFIX}{section}__(.+)__{key}", name.lower()) for name in environ)
        found[section] = [
            *_names(data.get(section)),
            *_names(overrides.get(section)),
            *(match[1].replace("_", "-") for match in made if match),
        ]
    return found


def _names(section: object) -> list[str]:
    return list(section) if isinstance(section, Mapping) else []


def _path(name: str, named: _Names) -> places.Path:
    """Return the path of a nested name; the dashes of one of many may be written as "_"."""
    parts = name.lower().removeprefix(PREFIX).split("__")
    if len(parts) > 1 and parts[0] in named and parts[1] not in named[parts[0]]:
        parts[1] = parts[1].replace("_", "-")
    return tuple(parts)


def _folders(
    root: pathlib.Path, named: str, environ: Mapping[str, str], found: Found
) -> Iterator[tuple[pathlib.Path, bool]]:
    """Yield the folders of secret files, the weakest first, and whether all in it is ours."""
    yield RUN_SECRETS, False
    if credentials := environ.get("CREDENTIALS_DIRECTORY"):
        yield pathlib.Path(credentials), False
    if named:
        folder = root / named
        if not folder.is_dir():
            found.gone.append(folder)
        yield folder, True


def open_to_all(folder: pathlib.Path) -> list[errors.Fault]:
    """Warn where every account of this machine may go into our own folder and read a secret."""
    if not folder.stat().st_mode & stat.S_IXOTH:
        return []
    files = (file for file in folder.glob("[!.]*") if file.is_file())
    read = any(file.stat().st_mode & stat.S_IROTH for file in files)
    what = "every account on this machine can read the secrets in this folder"
    hint = f"chmod 700 {shlex.quote(str(folder))}"
    return [errors.Fault(level="warning", what=what, hint=hint, file=str(folder))] if read else []


def in_quotes(folder: pathlib.Path) -> list[errors.Fault]:
    """Warn of secret files whose text stands in quotes, as in TOML: they count as part of it."""
    return [
        errors.Fault(
            level="warning",
            what="the quotes around this secret count as part of it",
            hint="take them out: the file holds the secret and nothing else",
            file=str(file),
        )
        for file in sorted(folder.glob("[!.]*"))
        if file.is_file() and re.fullmatch(rb"(['\"]).*\1\s*", file.read_bytes(), re.DOTALL)
    ]


def _files(
    model: type[pydantic.BaseModel],
    folders: Iterator[tuple[pathlib.Path, bool]],
    named: _Names,
    data: Mapping[str, object],
) -> Iterator[tuple[pathlib.Path, places.Path, str | None]]:
    """Yield (file, path of the setting, text); other programs' files are passed over."""
    for folder, ours in folders:
        for file in sorted(folder.glob("[!.]*")) if folder.is_dir() else []:
            path = _path(file.name, named)
            meant = ours or file.name.lower().startswith(PREFIX) or faults.knows(model, path, data)
            if file.is_dir() and _wanted(model, path, data) is pydantic.SecretStr:
                yield file, path, None
            if not meant or not file.is_file():
                continue
            try:
                text = file.read_bytes().decode("utf-8-sig").rstrip("\r\n")
            except (OSError, UnicodeDecodeError):
                yield file, path, None
            else:
                yield file, path, text


def _misplaced(
    model: type[pydantic.BaseModel], named: _Names, path: places.Path
) -> tuple[str, str] | None:
    """Say why a name that is well formed still leads nowhere."""
    field = model.model_fields.get(str(path[0]))
    if field is not None and field.exclude:
        return f"'{path[0]}' is no setting", "leave it out"
    names = named.get(str(path[0]), [])
    if path[0] in named and len(path) > 1 and path[1] not in names:
        close = places.nearest(str(path[1]), names)
        known = f"known {_SAID[str(path[0])]}s: {', '.join(names) or 'none'}"
        what = f"config.toml has no {_SAID[str(path[0])]} '{path[1]}'"
        return what, f"did you mean '{close}'? {known}" if close else known
    return None


def _put(
    found: Found,
    into: dict[str, Any],
    setting: tuple[places.Path, str | None, str],
    wrong: tuple[str, str] | None,
    wanted: object,
) -> None:
    """Set one value at its path, or note what is wrong with it."""
    path, text, place = setting
    inner: Any = into
    for part in path[:-1] if not wrong else ():
        inner = inner.setdefault(part, {})
        if not isinstance(inner, dict):
            wrong = (f"'{part}' is a single value and no section", "leave out what follows it")
            break
    if wrong or text is None:
        what, hint = wrong or _UNREADABLE
        found.faults.append(errors.Fault(level="fault", what=what, hint=hint, file=place))
        return
    inner[path[-1]] = _typed(wanted, text)
    found.origins[path] = place


def _typed(annotation: object, text: str) -> object:
    """Return text as the number or truth value that a setting wants; else as it is."""
    for kind in (bool, int, float):
        if annotation is kind or kind in typing.get_args(annotation):
            try:
                return pydantic.TypeAdapter(kind).validate_python(text)
            except pydantic.ValidationError:
                return text
    return text


def _leaves(data: Mapping[str, object], path: places.Path = ()) -> Iterator[places.Path]:
    for name, value in data.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name)


def secrets_in(
    model: type[pydantic.BaseModel], data: Mapping[str, object]
) -> Iterator[places.Path]:
    """Yield the paths at which `data` holds a secret."""
    return (
        path
        for path in _leaves(data)
        if faults.annotation_at(model, path, data) is pydantic.SecretStr
    )
