"""Settings of the platforms whose API is asked for signatures."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import pydantic
import typing_extensions

from deliverybot import faults, values
from deliverybot.origins import base


class _Platform(base.Fetched, base.Listing):
    #: How far back each reading looks again, for signatures that show late.
    overlap: values.Duration = "10m"

    @property
    @typing_extensions.override
    def counts(self) -> bool:
        return True

    @property
    def overlap_seconds(self) -> int:
        """`overlap` in seconds."""
        return values.seconds(self.overlap)


class ActionNetworkSource(_Platform):
    """Signatures of a petition on Action Network."""

    #: The kind of source.
    kind: Literal["actionnetwork"]
    #: Where the API is.
    url: values.Url = "https://actionnetwork.org/api/v2"
    #: The petition's id in the API: 32 letters and digits with dashes between them.
    petition: str
    #: Whether each signer is asked for, by one more request each: without it they have no names.
    people: bool = False

    @pydantic.field_validator("petition")
    @classmethod
    def _is_id(cls, text: str) -> str:
        if not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text):
            raise faults.wrong(
                f"{text!r} is no petition's id",
                "it looks like 1b4e28ba-2fa1-11d2-883f-0016d3cca427 and stands on the petition's "
                "page under Sponsor API; the address of the page is none",
            )
        return text


class ActionKitSource(_Platform):
    """Signatures of a page of ActionKit."""

    #: The kind of source.
    kind: Literal["actionkit"]
    #: Where your ActionKit is, such as "https://act.example.org".
    url: values.Url
    #: Number of the petition's page.
    page: Annotated[int, pydantic.Field(gt=0, le=2_000_000_000)]
