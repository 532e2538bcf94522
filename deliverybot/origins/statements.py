"""SQL queries as a campaigner writes them: where their parameters stand, and what they lack.

Nothing here understands SQL.  It tells words and parameters from what is
quoted or remarked, so that ":cursor" in a comment is no parameter.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
    (?P<remark> --[^\n]* | /\*.*?(?:\*/|\Z) )
    | (?P<quoted> '(?:[^']|'')*' | "(?:[^"]|"")*" | `[^`]*` | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ )
    | (?P<cast> :: )
    | (?P<bind> :[A-Za-z_]\w* )
    | (?P<end> ; )
    | (?P<word> [^\W\d]\w* )
    | (?P<other> \w+ | . )
    """,
    re.DOTALL | re.VERBOSE,
)
_ORDER = re.compile(r"\bORDER\s+BY\b", re.IGNORECASE)
#: What follows the first column that a query is ordered by.
_BEHIND = re.compile(r",|\b(?:ASC|NULLS|LIMIT|FETCH|OFFSET)\b", re.IGNORECASE)
_EXAMPLE = (
    "SELECT id, name, city, email, signed_at FROM signatures "
    "WHERE id > :cursor ORDER BY id LIMIT :limit"
)
HOW = f"such as: {_EXAMPLE}"
#: Parameters that we give; all others are the campaign's.
OURS = frozenset({"cursor", "limit"})


class Bind(NamedTuple):
    """A place where a parameter's value goes."""

    name: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One query: its text in pieces, with the parameters between them."""

    pieces: tuple[str | Bind, ...]
    #: Words outside of quotes and remarks, in capital letters, in their order.
    words: tuple[str, ...]
    #: Line that it begins on, from 1.
    line: int

    @property
    def names(self) -> frozenset[str]:
        """The names of its parameters."""
        return frozenset(piece.name for piece in self.pieces if isinstance(piece, Bind))

    @property
    def lists(self) -> bool:
        """Whether it asks for signers and not for their number."""
        return bool(self.names & OURS)

    def written(self, style: str, values: Mapping[str, object]) -> tuple[str, object]:
        """Return text and parameters as a driver wants them; `style` is its PEP 249 paramstyle."""
        shapes = {
            "qmark": "?",
            "format": "%s",
            "pyformat": "%({0})s",
            "named": ":{0}",
            "numeric": ":{1}",
            "numeric_dollar": "${1}",
        }
        text, order = "", list[object]()
        for piece in self.pieces:
            if isinstance(piece, Bind):
                order.append(values[piece.name])
                text += shapes[style].format(piece.name, len(order))
            else:
                text += piece.replace("%", "%%") if "format" in style else piece
        by_name = {name: values[name] for name in self.names}
        return text, by_name if style in {"pyformat", "named"} else tuple(order)

    def problems(
        self, parameters: Collection[str], key: str | None = None
    ) -> list[tuple[str, str]]:
        """Say what keeps it from being asked: pairs of what and hint; `key` orders its rows."""
        found = []
        if self.words[:1] not in {("SELECT",), ("WITH",)}:
            found.append(("a query must be a SELECT; deliverybot only reads", HOW))
        if self.lists:
            found += [
                (f"the query does not use :{name}, so it cannot be read piece by piece", HOW)
                for name in sorted(OURS - self.names)
            ]
            if ("ORDER", "BY") not in itertools.pairwise(self.words):
                found.append(("the query has no ORDER BY, so rows would be lost", HOW))
            elif key is not None and not self._is_ordered_by(key):
                what = f"the query is not ordered by its key {key!r}, so rows would be lost"
                found.append((what, f"ORDER BY {key} LIMIT :limit at its end"))
            if "OFFSET" in self.words:
                what = "the query uses OFFSET; rows that come meanwhile would shift the pages"
                found.append((what, HOW))
        for name in sorted(self.names - OURS - set(parameters)):
            hint = f"give it under [source], such as parameters = {{ {name} = 7 }}"
            found.append((f"the query's parameter :{name} has no value", hint))
        return found

    def _is_ordered_by(self, key: str) -> bool:
        """Tell whether what it is ordered by is a column of that name, or one by its place."""
        text = "".join(piece if isinstance(piece, str) else ":" for piece in self.pieces)
        first = _BEHIND.split(_ORDER.split(text)[-1])[0]
        name = first.rpartition(".")[2].strip('"`[] \t\r\n')
        return name.isdecimal() or name.casefold() == key.casefold()


def split(text: str) -> list[Statement]:
    """Cut a text into its queries; remarks are left out."""
    found, pieces, words = list[Statement](), list[str | Bind](), list[str]()
    line, begin = 1, 0
    for token in _TOKEN.finditer(f"{text};"):
        kind, said = token.lastgroup, token.group()
        if kind == "end":
            if begin:
                found.append(Statement(pieces=_joined(pieces), words=tuple(words), line=begin))
            pieces, words, begin = [], [], 0
        else:
            if kind != "remark" and said.strip():
                begin = begin or line
            pieces.append(Bind(said[1:]) if kind == "bind" else " " if kind == "remark" else said)
            words += [said.upper()] if kind == "word" else []
        line += said.count("\n")
    return found


def _joined(pieces: list[str | Bind]) -> tuple[str | Bind, ...]:
    """Put texts that follow each other together; without blanks at both ends."""
    joined = list[str | Bind]()
    for piece in pieces:
        last = joined[-1] if joined else None
        if isinstance(piece, str) and isinstance(last, str):
            joined[-1] = last + piece
        else:
            joined.append(piece)
    return tuple(joined)
