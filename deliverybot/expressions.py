"""JMESPath (jmespath.org): the words with which a person says where in a JSON answer a thing is.

An expression is compiled where the settings are read, so that a slip of the
pen is a fault with its line.  What an expression may cost is bounded by what
it may hold: its length, its parts, and the lists that it makes of its own,
since only those can make more of an answer than is in it.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, cast

import jmespath
from jmespath import exceptions, functions

#: Letters and parts of one expression; enough for every answer that was ever seen.
LONGEST, MOST_PARTS = 500, 80
#: Lists and objects that it may make, and their entries: the product bounds what it can blow up.
MOST_MADE, MOST_ENTRIES = 3, 12


class _Parsed(Protocol):
    parsed: Mapping[str, Any]

    def search(self, value: object) -> object:
        """Return what is found."""


def check(text: str) -> None:
    """Raise `ValueError`, with words for a person, unless a text can be used as an expression."""
    _compiled(text)


def find(text: str, value: object) -> object:
    """Return what an expression finds in a JSON value; None where there is nothing.

    Raises:
        ValueError: A function in it cannot work on what is there; the words do
            not tell what that is.
    """
    try:
        return _compiled(text).search(value)
    except exceptions.JMESPathTypeError as error:
        kinds = ", ".join(error.expected_types)
        given = f"it needs {kinds}, and finds {error.actual_type}"
        raise ValueError(f"{error.function_name}() cannot be used there: {given}") from None
    except (exceptions.JMESPathError, ArithmeticError, TypeError, ValueError, RecursionError):
        raise ValueError("it cannot be used on what is there") from None


@functools.lru_cache(maxsize=256)
def _compiled(text: str) -> _Parsed:
    if not text.strip():
        raise ValueError("it is empty")
    if len(text) > LONGEST:
        raise ValueError(f"it has {len(text)} letters; {LONGEST} are the most")
    try:
        with warnings.catch_warnings():
            # It takes a literal that is no JSON for a text, and calls that outdated.
            warnings.simplefilter("error")
            compiled = cast("_Parsed", jmespath.compile(text))
        parts = list(_parts(compiled.parsed))
    except exceptions.ParseError as error:
        raise ValueError(f"it cannot be read {_place(text, error.lex_position)}") from None
    except exceptions.LexerError as error:
        raise ValueError(f"it cannot be read {_place(text, error.lexer_position)}") from None
    except Warning:
        raise ValueError("what stands in backticks there is no JSON") from None
    except (exceptions.JMESPathError, ValueError):
        raise ValueError("it cannot be read") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    _measure(parts)
    for part in parts:
        if part["type"] == "function_expression":
            _check_function(part["value"], len(part["children"]))
    return compiled


def _place(text: str, position: int) -> str:
    if position >= len(text):
        return "at its end: something is missing there"
    return f"from its letter {position + 1} on: {text[position : position + 20]!r}"


def _parts(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for child in node.get("children", ()):
        if isinstance(child, Mapping):
            yield from _parts(child)


def _measure(parts: list[Mapping[str, Any]]) -> None:
    if len(parts) > MOST_PARTS:
        raise ValueError(f"it has {len(parts)} parts; {MOST_PARTS} are the most")
    made = [part for part in parts if part["type"] in {"multi_select_list", "multi_select_dict"}]
    if len(made) > MOST_MADE:
        raise ValueError(f"it makes {len(made)} lists or objects; {MOST_MADE} are the most")
    if any(len(part["children"]) > MOST_ENTRIES for part in made):
        raise ValueError(f"it makes a list or object of more than {MOST_ENTRIES} entries")


def _check_function(name: str, given: int) -> None:
    known = functions.Functions.FUNCTION_TABLE.get(name)
    if known is None:
        raise ValueError(f"there is no function {name}()")
    signature = known["signature"]
    needed = len(signature)
    if given != needed and not (given > needed and signature[-1].get("variadic")):
        raise ValueError(f"{name}() takes {needed} values, not {given}")
