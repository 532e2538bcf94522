"""Kinds of sources and of outlets: ours, and those that somebody else's package brings.

All are found in the same way, by the entry points of the installed packages:
the group says whether it is a source or an outlet, the name is the `kind`, and
what is loaded is a class with its section of settings in `Settings`.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable
from typing import Any, get_args

import pydantic

SOURCES = "deliverybot.sources"
OUTLETS = "deliverybot.outlets"


def find(group: str, kind: str) -> Any:  # noqa: ANN401 - a class of a floor above, or of somebody else
    """Return the class of a kind; None where nothing has this name.

    Our own come first, so nobody's package can take the place of one.
    """
    points = importlib.metadata.entry_points(group=group, name=kind)
    own = [point for point in points if point.value.startswith("deliverybot.")]
    return next((point.load() for point in [*own, *points]), None)


def foreign(
    group: str, kind: object, sections: Iterable[type[pydantic.BaseModel]]
) -> tuple[type[pydantic.BaseModel] | None, str]:
    """Return the section of a kind that is not one of ours, `sections`; and why there is none.

    Both are empty for our own kinds and for what is no kind at all.
    """
    ours = {name for one in sections for name in get_args(one.model_fields["kind"].annotation)}
    if not isinstance(kind, str) or kind in ours:
        return None, ""
    try:
        found = find(group, kind)
        settings = None if found is None else found.Settings
    except Exception as error:  # noqa: BLE001 - whatever somebody else's module raises
        return None, f"the kind {kind!r} cannot be loaded: {type(error).__name__}: {error}"
    if settings is None or (
        isinstance(settings, type) and issubclass(settings, pydantic.BaseModel)
    ):
        return settings, ""
    return None, f"the kind {kind!r} cannot be loaded: its Settings are no model of a section"
