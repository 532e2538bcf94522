"""The [source] sections of campaign files: what a person says of each kind of source.

The kinds themselves are in sources/, one module each.  A kind that somebody
else wrote has its section in its own package; see docs/add-a-source.md.
"""

from __future__ import annotations

import importlib.metadata
from typing import Annotated, Any, get_args

import pydantic

from deliverybot.origins import base, files, webhook

Section = base.Section
Listing = base.Listing
Fetched = base.Fetched
SignerField = base.SignerField

#: The sections of our own kinds, in the order of docs/settings.md.
SECTIONS: tuple[type[Section], ...] = (
    files.CsvSource,
    files.JsonlSource,
    webhook.WebhookSource,
)

Source = Annotated[
    files.CsvSource
    | files.JsonlSource
    | webhook.WebhookSource,
    pydantic.Field(discriminator="kind"),
]  # fmt: skip

#: Entry points that name kinds of source: kind = "module:Class", a `sources.kinds.Source`.
GROUP = "deliverybot.sources"


def find(kind: str) -> Any:  # noqa: ANN401 - a class of the floor above, or of somebody else
    """Return the class of a kind of source; None where nothing has this name.

    Our own come first, so nobody's package can take the place of one.
    """
    points = importlib.metadata.entry_points(group=GROUP, name=kind)
    own = [point for point in points if point.value.startswith("deliverybot.")]
    return next((point.load() for point in [*own, *points]), None)


def foreign(kind: str) -> type[Section] | None:
    """Return the section of a kind that is not one of ours; None where nothing has this name."""
    ours = {name for one in SECTIONS for name in get_args(one.model_fields["kind"].annotation)}
    found = None if kind in ours else find(kind)
    return found and found.Settings
