"""Reading TOML files, and where in them a key stands."""

from __future__ import annotations

import difflib
import pathlib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping

from deliverybot import errors

#: Keys and list positions that lead to a value.
Path = tuple[str | int, ...]

_TOKEN = re.compile(
    r'(?P<long>"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5})'
    r'|(?P<quoted>"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\')'
    r"|(?P<comment>#[^\n]*)|(?P<end>\n)|(?P<bare>[A-Za-z0-9_-]+)|(?P<sign>.)",
    re.DOTALL,
)


def locate(text: str, path: Path) -> int:
    """Return the line, from 1, of `path` in a TOML text, or of the nearest thing around it."""
    lines = _lines(text)
    return next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), 1)


def stands_in(text: str, path: Path) -> bool:
    """Tell whether a TOML text has this very key or section."""
    return path in _lines(text)


def _lines(text: str) -> dict[Path, int]:
    """Return the line of every key and table header; inline tables count as their key."""
    lines: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    for line, brackets, keys in _statements(text):
        if not brackets:
            for n in range(1, len(keys) + 1):
                lines.setdefault((*table, *keys[:n]), line)
            continue
        table = ()
        for at, name in enumerate(keys):
            table = (*table, name)
            lines.setdefault(table, line)
            if brackets > 1 and at == len(keys) - 1:
                counts[table] = counts.get(table, -1) + 1
            if table in counts:
                table = (*table, counts[table])
        lines[table] = line
    return lines


def _statements(text: str) -> Iterator[tuple[int, int, Path]]:
    """Yield (line, opening brackets of a header or 0, keys) for each statement."""
    line, start, brackets, depth = 1, 1, 0, 0
    keys: list[str] = []
    in_value = False
    for token in _TOKEN.finditer(text):
        kind, word = token.lastgroup, token.group()
        if kind == "end" and (depth <= 0 or not in_value):
            if keys:
                yield start, brackets, tuple(keys)
            keys, brackets, depth, in_value = [], 0, 0, False
        elif in_value:
            depth += (word in "[{") - (word in "]}")
        elif kind in {"bare", "quoted"}:
            start = start if keys else line
            keys.append(_unquoted(word))
        elif word == "=":
            in_value = True
        elif word == "[" and not keys:
            brackets += 1
        line += word.count("\n")
    if keys:
        yield start, brackets, tuple(keys)


def _unquoted(word: str) -> str:
    if word[0] not in "\"'":
        return word
    try:
        return str(tomllib.loads(f"k = {word}")["k"])
    except tomllib.TOMLDecodeError:
        return word[1:-1]


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that `word` was probably meant to be."""
    options = {option.casefold(): option for option in known}
    found = difflib.get_close_matches(word.casefold(), options, n=1, cutoff=0.6)
    return options[found[0]] if found else None


def read(path: pathlib.Path, missing: str = "") -> str:
    """Return a file's text; raise `errors.ConfigError` if there is none, `missing` as its hint."""
    try:
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        what, hint = "this file is not UTF-8 text", "save it as UTF-8"
    except OSError as error:
        line, what, hint = None, f"this file cannot be read: {error.strerror}", missing
    raise errors.ConfigError(
        [errors.Fault(level="fault", what=what, hint=hint, file=str(path), line=line)]
    )


def parse(text: str, file: str) -> dict[str, object]:
    """Read TOML, lists as tuples; a mistake in the writing is a `ConfigError` with its line."""
    try:
        data = tomllib.loads(text)
        return {name: _frozen(value) for name, value in data.items()}
    except RecursionError:
        message = "it is nested too deeply"
    except ValueError as error:
        # tomllib's own, or Python's for a number of thousands of digits.
        own = isinstance(error, tomllib.TOMLDecodeError)
        message = str(error) if own else "a number has too many digits"
    raise _untoml(message, text, file)


#: What goes wrong most often when TOML is written by hand; its reader says what, and seldom why.
_HABITS = (
    'texts stand in straight quotes, "like this", and end on their line; a path is written with /; '
    "yes and no are true and false; numbers are written 1000 and 0.20; lists stand in [ ]; "
    "each key stands once, a section that comes several times as [[posts]]"
)


def _untoml(message: str, text: str, file: str) -> errors.ConfigError:
    found = re.search(r"\s*\(at line (\d+), column \d+\)$", message)
    line = int(found[1]) if found else text.count("\n") + 1
    what = message[: found.start()] if found else message.removesuffix(" (at end of document)")
    fault = errors.Fault(
        level="fault",
        what=f"this is not TOML: {what[:1].lower()}{what[1:]}",
        hint=_HABITS,
        file=file,
        line=line,
    )
    return errors.ConfigError([fault])


def _frozen(value: object) -> object:
    if isinstance(value, dict):
        return {name: _frozen(inner) for name, inner in value.items()}
    return tuple(_frozen(inner) for inner in value) if isinstance(value, list) else value


def step(data: object, part: str | int) -> object:
    """Return what one key or position leads to; None where there is nothing."""
    if isinstance(data, Mapping):
        return data.get(part)
    if isinstance(data, tuple) and isinstance(part, int) and part < len(data):
        return data[part]
    return None


def value_at(data: object, path: Path) -> object:
    """Return the value at `path`; None where there is none."""
    for part in path:
        data = step(data, part)
    return data


def sections(data: object) -> Iterator[Mapping[str, object]]:
    """Return the sections of an array of tables; an empty one for whatever is none."""
    entries = data if isinstance(data, tuple) else ()
    return (entry if isinstance(entry, Mapping) else {} for entry in entries)
