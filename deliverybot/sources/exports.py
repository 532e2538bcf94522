"""Presets: how the exports are written that people have from platforms.

A preset fills in what the campaign's file leaves out; what stands there wins.
Encoding and delimiter are in none of them: both are found in the file, also
after somebody opened it in a spreadsheet and saved it another way.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from deliverybot import origins


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """How one platform writes its files."""

    #: Our field -> names of their column, the first that is there counts; none need be there.
    columns: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    #: Their column -> the values of it that count; it must be there.
    only: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    #: "month-first" or "day-first", as the setting `dates`.
    dates: str | None = None
    #: Stands before their ids, which else would be those of any other list from 1 to n.
    prefix: str = ""
    #: Whether all values stand in quotes and quotes in values are not escaped.
    raw_quotes: bool = False


#: Where no preset is named.
PLAIN = Export()

#: Read in the public source of both plugins: includes/csv.php of "speakout" and "speakoutpro".
#: The free one writes "..." where a petition asks for no confirmation; both give times without
#: a zone and the newest signature first, and a site in another language has other headings.
_SPEAKOUT = {
    "email": ("Email Address",),
    "region": ("State",),
    "comment": ("Custom Message",),
    "signed_at": ("Date Signed",),
    "mail": ("Email Opt-in",),
}

PRESETS: Mapping[str, Export] = {
    # Column names as several public scripts read them; who exports picks the columns.  Whether
    # somebody is subscribed to the group's mails says nothing of ours, so it is not read.
    "action-network": Export(
        columns={
            "id": ("uuid",),
            "city": ("can2_user_city",),
            "region": ("can2_state_abbreviated", "can2_user_state"),
            "postcode": ("zip_code",),
            "comment": ("comments",),
        },
        prefix="action_network:",
    ),
    # The columns are the questions, in the words of whoever made the form.
    "google-forms": Export(
        columns={
            "name": ("Full name", "Your name", "Your full name"),
            "email": ("Email Address", "E-mail address", "Username"),
            "postcode": ("Post code", "Postal code", "ZIP code"),
            "signed_at": ("Timestamp",),
        },
        dates="month-first",
    ),
    "speakout": Export(
        columns={**_SPEAKOUT, "postcode": ("Post Code",)},
        only={"Confirmed": ("confirmed", "...")},
        raw_quotes=True,
    ),
    "speakout-pro": Export(
        columns={
            **_SPEAKOUT,
            "id": ("Signature ID",),
            "postcode": ("Postal Code",),
            # In other languages of the plugin, too: somebody named by mistake stays named.
            "anonymous": ("Anonymous", "Anonym", "Anonyme", "Anónimo", "Anonimo", "Anoniem"),
        },
        only={"Confirmed": ("Y",)},
        prefix="so:",
        raw_quotes=True,
    ),
}


def of(section: origins.Section) -> Export:
    """Return what the preset of a section says; what the section itself says of it wins."""
    export = PRESETS.get(getattr(section, "preset", None) or "", PLAIN)
    said: dict[str, Any] = {}
    # An empty `only` that somebody wrote is meant: each row counts.
    if (only := getattr(section, "only", {})) or "only" in section.model_fields_set:
        said["only"] = only
    if dates := getattr(section, "dates", None):
        said["dates"] = dates
    return dataclasses.replace(export, **said)
