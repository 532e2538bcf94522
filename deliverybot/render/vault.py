"""Values kept out of every parser's sight.

A template prints, in place of each value, a token of letters and digits.
Markdown and HTML are read with the tokens in place; only then each token is
replaced by its value, neutralised for the output at hand.  So a signer called
``*x* <b>`` is never markup, whatever the parsers do.
"""

from __future__ import annotations

import dataclasses
import html
import re
import secrets
from collections.abc import Callable

#: Controls, line and paragraph separators, direction marks and overrides, surrogates.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Markup of our own making, which is printed as it stands."""

    html: str
    #: Printed later, by whoever writes the page out.
    late: bool = False


class Lines(str):
    """A text of several lines, which stay lines in plain text."""

    __slots__ = ()


class Vault:
    """The values of one rendering, each behind a token nobody can guess."""

    def __init__(self) -> None:
        """Start with a nonce of its own; it never reaches the output."""
        self._nonce = f"zq{secrets.token_hex(8)}v"
        self._values: list[str | Piece] = []
        self._token = re.compile(f"{self._nonce}([0-9]+)z")
        self._alone = re.compile(rf"<p>\s*{self._nonce}([0-9]+)z\s*</p>")

    def put(self, value: str | Piece) -> str:
        """Keep a value and return its token."""
        self._values.append(value)
        return f"{self._nonce}{len(self._values) - 1}z"

    def token_of(self, piece: Piece) -> str:
        """Return the token of a piece that was kept."""
        return f"{self._nonce}{self._values.index(piece)}z"

    def keeps(self, piece: Piece) -> bool:
        """Say whether a piece was printed."""
        return piece in self._values

    def __len__(self) -> int:
        """How many values are kept."""
        return len(self._values)

    def holds(self, text: str) -> bool:
        """Say whether a token stands in the text."""
        return self._nonce in text

    def spans(self, text: str, wanted: re.Pattern[str]) -> list[tuple[int, int]]:
        """Find where the text, with its values, matches; as places in the text with tokens.

        A match that begins or ends inside a value is left out.
        """
        whole, edges = "", [(0, 0)]
        at = 0
        for token in self._token.finditer(text):
            whole += text[at : token.start()]
            edges.append((len(whole), token.start()))
            value = self._values[int(token[1])]
            whole += one_line(value) if isinstance(value, str) else ""
            edges.append((len(whole), token.end()))
            at = token.end()
        whole += text[at:]
        found = []
        for match in wanted.finditer(whole):
            start, end = _place(edges, match.start()), _place(edges, match.end())
            if start is not None and end is not None:
                found.append((start, end))
        return found

    def plain(self, text: str) -> str:
        """Put the values back into plain text, one line each unless they are `Lines`."""
        return self._restore(text, _lines)

    def markup(self, text: str) -> str:
        """Put the values back into HTML; a late piece keeps its token."""
        return self._restore(
            self.expand(text), lambda value: html.escape(one_line(value), quote=True)
        )

    def expand(self, text: str) -> str:
        """Put our own pieces in, whose values stay behind tokens."""

        def piece_of(found: re.Match[str]) -> str:
            value = self._values[int(found[1])]
            if not isinstance(value, Piece) or value.late:
                return found[0]
            return self.expand(value.html)

        return self._token.sub(piece_of, self._alone.sub(self._unwrap, text))

    def _unwrap(self, found: re.Match[str]) -> str:
        """Take the paragraph off a piece that stands alone in it."""
        value = self._values[int(found[1])]
        return f"{self._nonce}{found[1]}z" if isinstance(value, Piece) else found[0]

    def _restore(self, text: str, neutral: Callable[[str], str]) -> str:
        def value_of(found: re.Match[str]) -> str:
            value = self._values[int(found[1])]
            return found[0] if isinstance(value, Piece) else neutral(value)

        return self._token.sub(value_of, text)


def _place(edges: list[tuple[int, int]], at: int) -> int | None:
    """Turn a place in the text with values into one with tokens; None inside a value."""
    for index in range(len(edges) - 1, -1, -1):
        shown, kept = edges[index]
        if shown <= at:
            inside_value = index % 2 == 1 and at > shown
            return None if inside_value else kept + at - shown
    return None


def _lines(value: str) -> str:
    if not isinstance(value, Lines):
        return one_line(value)
    return "\n".join(one_line(line) for line in value.split("\n"))


def one_line(value: str) -> str:
    """Return the text without controls and direction characters, on one line."""
    if value.isascii() and value.isprintable():
        return value
    return _UNSEEN.sub("", value.replace("\n", " ").replace("\t", " ").replace("\r", ""))
