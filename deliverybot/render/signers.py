"""The list of names: one lean flow of text, written out as it is read."""

from __future__ import annotations

import html
import itertools
from collections.abc import Iterable, Iterator

from deliverybot import model
from deliverybot.render import vault

#: Names in one paragraph, a line each; the style keeps the line ends (`white-space: pre-line`).
#: One paragraph for all is quadratic in WeasyPrint; `<br>` at each line end costs 1.8 times as
#: much as a line end alone (5,000 names, 15.3 s against 8.2 s on one machine).
NAMES_A_PARAGRAPH = 100
#: No field is printed beyond this; one endless name must not stop the press.
LONGEST = 255
#: First strong isolate and pop directional isolate: each field keeps its own direction.
_OPEN, _CLOSE = "\u2068", "\u2069"


def paragraphs(
    signers: Iterable[model.ListedSigner], fields: tuple[str, ...], withheld: str
) -> Iterator[str]:
    """Yield the list as HTML paragraphs; ``withheld`` stands where a name is empty."""
    rows = iter(signers)
    hidden = f"<i>{html.escape(withheld)}</i>"
    while chunk := list(itertools.islice(rows, NAMES_A_PARAGRAPH)):
        lines = [f"{row.number}\u2002{line(row, fields, hidden)}" for row in chunk]
        yield "<p>" + "\n".join(lines) + "</p>\n"


def line(row: model.ListedSigner, fields: tuple[str, ...], hidden: str = "") -> str:
    """Return what is shown of one signer, as HTML; `hidden` stands where that is nothing."""
    parts = []
    for field in fields:
        if text := getattr(row, field):
            parts.append(_field(text))
        elif field == "name":
            # Without the name the place is withheld too: it could tell who it is.
            return hidden
    return ", ".join(parts) or hidden


def _field(text: str) -> str:
    if text.isascii() and text.isprintable():
        return html.escape(text[:LONGEST])
    clean = html.escape(vault.one_line(text[:LONGEST]))
    # Latin and Cyrillic need no isolation; U+0590 starts the right-to-left scripts.
    return clean if max(clean) < "\u0590" else f"{_OPEN}{clean}{_CLOSE}"
