"""What `check` says about a source: found, missing, dropped, doubtful."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from deliverybot import errors
from deliverybot.sources import columns, files, people
from deliverybot.sources import reading as readings

#: Rows at the start that are tried, and bad ones among them that are shown.
TRIED, _SHOWN = 1000, 3
_EMPTY = "there is no signature in it yet"
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


def changed(name: str) -> errors.Fault:
    """Say that a file was read from its start again."""
    return errors.Fault(
        level="warning",
        what="what was read before has changed, or the settings that say how to read it; "
        "the file was read from its start",
        hint="people are recognised by id, e-mail address or time of signing; a file without "
        "these must only grow at its end, since its rows are recognised by their place",
        file=name,
        line=1,
    )


def look(file: files.File, reading: readings.Reading, clerk: people.Clerk) -> list[errors.Fault]:
    """Say what a reading of this file would find."""
    found, name = reading.found, file.name
    faults = [_fault("ok", name, f"the file is there: {_form(reading)}")]
    if reading.guessed:
        what = f"the encoding {reading.mark.encoding} is a guess"
        hint = f'look at the names in a preview; then set encoding = "{reading.mark.encoding}"'
        faults.append(_fault("warning", name, what, hint))
    if not found.header:
        return [*faults, _fault("warning", name, _EMPTY)]
    faults += fields(name, found)
    if not any(field in found.at or field in found.missing for field in columns.KEYS):
        what = "no id, e-mail address or time of signing: people of one name cannot be told apart"
        hint = (
            "each row counts as one signer, by its place in the file, so the file must only grow "
            "at its end; better map `id`, `email` or `signed_at` under [source]"
        )
        faults.append(_fault("warning", name, what, hint))
    if found.problems():
        return faults
    rows = list(itertools.islice(reading.rows(), TRIED))
    faults += tried(name, rows, only=bool(found.only))
    for number, row in enumerate(rows, 1):
        clerk.signer(row, number, reading.present)
    return faults + [
        _fault("warning", name, what, hint, line=line) for line, what, hint in clerk.notices
    ]


def fields(name: str, found: columns.Found) -> list[errors.Fault]:
    """Say which columns are read, missing, dropped; `name` is the file or the address."""
    problems = found.problems()
    faults = [_fault("fault", name, what, hint) for what, hint in problems]
    if found.at:
        pairs = (f"{field} from {found.header[place]!r}" for field, place in found.at.items())
        faults.append(_fault("ok", name, f"fields found: {', '.join(pairs)}"))
    if found.dropped and not problems:
        what = f"dropped at the door, never stored: {columns.listed(found.dropped)}"
        faults.append(_fault("ok", name, what))
    return faults


def tried(name: str, rows: Sequence[files.Row], *, only: bool) -> list[errors.Fault]:
    """Say which of the first rows would be left out."""
    if not rows and only:
        what = "there is no signature in it that counts by `only`"
        hint = "if all of its rows should count, write only = {} under [source]"
        return [_fault("warning", name, what, hint)]
    if not rows:
        return [_fault("warning", name, _EMPTY)]
    bad = [row for row in rows if row.values is None]
    faults = [
        _fault("warning", name, f"this row would be left out: {row.problem}", line=row.line)
        for row in bad[:_SHOWN]
    ]
    if len(bad) > _SHOWN:
        what = f"of the first {len(rows)} rows, {len(bad)} would be left out"
        faults.append(_fault("warning", name, what))
    return faults


def _form(reading: readings.Reading) -> str:
    mark = reading.mark
    if mark.kind == "csv":
        signs = _DELIMITERS.get(mark.delimiter, repr(mark.delimiter))
        return f"CSV in {mark.encoding}, values separated by {signs}"
    if mark.kind == "parquet":
        return "Parquet"
    return f"JSON lines in {mark.encoding}"


def _fault(level: str, name: str, what: str, hint: str = "", *, line: int = 1) -> errors.Fault:
    return errors.Fault(level=level, what=what, hint=hint, file=name, line=line)
