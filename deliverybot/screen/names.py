"""Names: as the list may show them, and in what order."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from deliverybot.screen import texts

_TITLES = frozenset("dr prof mr mrs ms mx rev sir dame fr hon herr frau mme mlle sr sra".split())
_SUFFIXES = frozenset("jr sr ii iii iv phd md esq mbe obe".split())


def shown_name(name: str, style: str) -> str:
    """Return a clean name as the list may show it: ``full``, ``initial`` or ``first``.

    ``initial`` keeps the given names and the first letter of the last word
    ("Ada L."), ``first`` the first word; titles and "Jr." are left out and
    "Lovelace, Ada" is turned round.  A single word stays.  East Asian names
    begin with the family name and often have no blank: both styles show the
    first character and two circles, as newspapers there do.
    """
    if style == "full" or not name:
        return name
    if texts.IDEOGRAPH.match(name) or texts.EAST_ASIAN.match(name):
        return texts.first_grapheme(name) + "○○"
    words = _words(name)
    if style == "first" or len(words) == 1:
        return words[0]
    return " ".join([*words[:-1], texts.first_grapheme(words[-1]) + "."])


def _words(name: str) -> list[str]:
    """Split into given names and family name, without titles; at least one word."""
    family, comma, given = name.partition(",")
    if comma and given.strip() and _bare(given) not in _SUFFIXES:
        name = f"{given} {family}"
    words = name.replace(",", " ").split() or [name]
    while len(words) > 1 and _bare(words[0]) in _TITLES:
        del words[0]
    while len(words) > 1 and _bare(words[-1]) in _SUFFIXES:
        del words[-1]
    return words


def _bare(word: str) -> str:
    return word.strip().replace(".", "").casefold()


def sorting(fields: Sequence[str], order: str) -> tuple[bool, list[str]]:
    """Return what a line of the list is sorted by: name, or place and then name.

    Accents and case count for nothing, as in an index; lines that show
    nothing come last.
    """
    folded = [
        "".join(
            char
            for char in unicodedata.normalize("NFKD", field.casefold())
            if not unicodedata.combining(char)
        )
        for field in fields
    ]
    return not folded, folded if order == "name" else [*reversed(folded[1:]), *folded[:1]]
