"""What a person should look at twice before a comment is printed.

E-mail addresses, phone and IP numbers are taken out where a comment comes in
(`screen.without_private`); people find other ways to write them.  A hint only:
a person decides.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from deliverybot import screen

_LINK = re.compile(
    r"https?:|www\.|(?<![\w@.])(?:[a-z0-9-]{2,63}\.)+[a-z]{2,24}(?![\w.])", re.IGNORECASE
)
_ACCOUNT = re.compile(r"(?<![\w.])@\w{2,}")
#: "ada (at) mail.example"; the dot may be spelled out, too.
_SPELLED = re.compile(r"\w ?[\[({<] ?(?:at|ät|arroba|dot|punkt) ?[\])}>] ?\w", re.IGNORECASE)
#: Six digits or more, whatever stands between two of them.
_NUMBER = re.compile(r"\d(?:[\W_]{0,3}\d){5,}")
_TAKEN_OUT = "[…]"


def of(comment: str, *, name: str = "", postcode: str = "") -> list[str]:
    """Return what might have to stay out of print, in words; empty where nothing was found.

    `name` and `postcode` are the signer's: the list may show less than both.
    """
    found = list(_found(unicodedata.normalize("NFKC", comment), name, postcode))
    return [*found, "something was taken out"] if _TAKEN_OUT in comment else found


def _found(text: str, name: str, postcode: str) -> Iterator[str]:
    if screen.has_private(text) or _SPELLED.search(text):
        yield "address or phone"
    if _LINK.search(text):
        yield "link"
    if _ACCOUNT.search(text):
        yield "account"
    if _NUMBER.search(text):
        yield "long number"
    folded = text.casefold()
    if " " in name and name.casefold() in folded:
        yield "own name"
    if len(postcode) > 3 and postcode.casefold() in folded:  # noqa: PLR2004 - "12" is anywhere
        yield "own postcode"
