"""What stands where in a JSON answer; what is missing is told by keys, never by values."""

from __future__ import annotations

from collections.abc import Mapping

from deliverybot import errors, expressions, screen
from deliverybot.sources import columns

#: Letters of somebody else's error message that we repeat.
_SHOWN = 200


def find(expression: str, content: object, where: str) -> object:
    """Return what an expression finds in an answer, None where there is nothing.

    Raises:
        errors.SourceError: The expression cannot be used on this answer.
    """
    try:
        return expressions.find(expression, content)
    except ValueError as error:
        raise errors.SourceError(f"{expression!r}: {error}", file=where) from None


def need(name: str, expression: str, content: object, where: str) -> object:
    """Return what an expression finds, which must be something; `name` is its setting.

    Raises:
        errors.SourceError: There is nothing; the keys that are there are told.
    """
    value = find(expression, content, where)
    if value is None:
        what = f"`{name}`: {expression!r} finds nothing in the answer"
        hint = f"{keys(content)}; open the address yourself, and mend `{name}` or `url`"
        raise errors.SourceError(what, hint=hint, file=where)
    return value


def keys(content: object) -> str:
    """Say which keys an answer has, and those one floor below."""
    if isinstance(content, list):
        within = f" of {len(content)}; {keys(content[0])}" if content else ", an empty one"
        return f"the answer is a list{within}"
    if not isinstance(content, Mapping):
        return "the answer is one single value"
    names = []
    for key, value in content.items():
        inner = value if isinstance(value, Mapping) else {}
        names += [key, *(f"{key}.{one}" for one in inner)]
    return f"its keys are {columns.listed(names)}" if names else "the answer has no keys"


def refuse_errors(content: object, where: str) -> None:
    """Raise `errors.SourceError` where an answer of GraphQL says that something went wrong.

    It comes with the status 200, and with data that may be a part of the truth.
    """
    said = content.get("errors") if isinstance(content, Mapping) else None
    if not said:
        return
    first = said[0] if isinstance(said, list) else said
    message = first.get("message") if isinstance(first, Mapping) else first
    words = screen.without_private(screen.clean(str(message or "no reason"), _SHOWN))
    hint = "it does not take the query as it stands, or not from us"
    raise errors.SourceError(f"it answers with an error: {words}", hint=hint, file=where)
