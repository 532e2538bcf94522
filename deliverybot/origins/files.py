"""Settings of files of signatures."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from deliverybot import values
from deliverybot.origins import base


class _File(base.Listing):
    #: The file, relative to the campaign's own file.
    path: Annotated[str, pydantic.Field(min_length=1)]
    #: Such as "utf-8" or "cp1252"; found out by itself where it is not given.
    encoding: values.Encoding | None = None


class CsvSource(_File):
    """Signatures in a CSV file that grows at its end."""

    #: The kind of source.
    kind: Literal["csv"]
    #: One character; found out by itself where it is not given.
    delimiter: values.Delimiter | None = None
    #: Whose export the file is: fills in `columns`, `only` and `dates` where they are not written
    #: here.
    preset: Literal["action-network", "google-forms", "speakout", "speakout-pro"] | None = None


class JsonlSource(_File):
    """Signatures in a file of one JSON object a line, growing at its end."""

    #: The kind of source.
    kind: Literal["jsonl"]
