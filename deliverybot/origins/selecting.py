"""What picks things on a web page, checked where a person writes it: selectors and patterns."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import cssselect2
import pydantic
import regex

from deliverybot import faults

#: Seconds that a pattern may look at one page: some need longer than the world will last.
PATIENCE = 1.0
#: Places of one page that a pattern may find.
PLACES = 1000

#: Tells whether an element of `tree` is picked.
Test = Callable[[Any], bool]

#: Strings and what stands in brackets: a "~" in them is no sign between two elements.
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'|\[[^\]]*\]")
_ATTRIBUTE = re.compile(r"(.*?)(?:@([A-Za-z_][A-Za-z0-9_.:-]{0,100}))?", re.DOTALL)


@functools.lru_cache(maxsize=100)
def tests(selector: str) -> tuple[Test, ...]:
    """Return what tells the elements that a CSS selector picks; raises ValueError for others."""
    found = cssselect2.compile_selector_list(selector)
    if any(one.never_matches or one.pseudo_element for one in found):
        raise ValueError(selector)
    return tuple(one.test for one in found)


def selector(text: str) -> str:
    """Return the text if it is a CSS selector that can pick something on a page at rest."""
    if "~" in _QUOTED.sub("", text):
        raise faults.wrong('"~" between two elements is not read', 'a class, or ">" and "+"')
    try:
        tests(text)
    except (ValueError, RecursionError):
        hint = 'such as ".signature-count", "ul.signatures > li" or "a[rel=next]"'
        raise faults.wrong(f"{text[:100]!r} is no CSS selector", hint) from None
    return text


def parts(text: str) -> tuple[str, str]:
    """Split "selector@attribute" into its two parts, either of which may be empty."""
    found = _ATTRIBUTE.fullmatch(text.strip())
    return (found[1].strip(), found[2] or "") if found else (text, "")


def place(text: str) -> str:
    """Return the text if it is a selector, "selector@attribute" or "@attribute"."""
    picked, attribute = parts(text)
    if picked or not attribute:
        selector(picked)
    return text


def pattern(text: str) -> str:
    """Return the text if it is a regular expression with one group, the number."""
    try:
        groups = regex.compile(text).groups
    except (regex.error, RecursionError, OverflowError):
        groups = None
    if groups != 1:
        what = "this is no regular expression" if groups is None else f"it has {groups} groups"
        hint = "one pair of round brackets around the number, such as '([0-9.,]+) signatures'"
        raise faults.wrong(what, hint)
    return text


def found(expression: str, text: str) -> Iterator[str]:
    """Give what the group of a pattern holds at each place where it fits.

    Raises:
        TimeoutError: It takes too long.
    """
    each = regex.compile(expression).finditer(text, timeout=PATIENCE, concurrent=True)
    for one in itertools.islice(each, PLACES):
        yield one[1] or ""


Selector = Annotated[str, pydantic.AfterValidator(selector)]
Place = Annotated[str, pydantic.AfterValidator(place)]
Pattern = Annotated[str, pydantic.AfterValidator(pattern)]
