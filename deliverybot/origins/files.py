"""Settings of files of signatures."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import pydantic
import typing_extensions

from deliverybot import faults, values
from deliverybot.origins import base


class _File(base.Fetched, base.Listing):
    #: The file, relative to the campaign's own file.
    path: Annotated[str, pydantic.Field(min_length=1)] | None = None
    #: Its web address, instead of `path`.
    url: values.Url | None = None
    #: Largest file at a web address, unpacked; it is on disk while it is read.
    most: values.Size = "1 GB"

    @property
    @typing_extensions.override
    def remote(self) -> bool:
        return self.url is not None

    @pydantic.model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.path is None) == (self.url is None):
            raise faults.wrong(
                "a file has either 'path' or 'url'",
                'path = "signers.csv", or url = "https://example.org/signers.csv"',
            )
        of_url = base.Fetched.model_fields.keys() - base.Section.model_fields.keys()
        if self.path is not None and (given := of_url & self.model_fields_set):
            raise faults.wrong(
                f"{', '.join(map(repr, sorted(given)))} belongs to a file at a web address",
                "leave it out where `path` says which file",
            )
        return self


class _Text(_File):
    #: Such as "utf-8" or "cp1252"; found out by itself where it is not given.
    encoding: values.Encoding | None = None


class CsvSource(_Text):
    """Signatures in a CSV file that grows at its end."""

    #: The kind of source.
    kind: Literal["csv"]
    #: One character; found out by itself where it is not given.
    delimiter: values.Delimiter | None = None
    #: Whose export the file is: fills in `columns`, `only` and `dates` where they are not written
    #: here.
    preset: Literal["action-network", "google-forms", "speakout", "speakout-pro"] | None = None


class JsonlSource(_Text):
    """Signatures in a file of one JSON object a line, growing at its end."""

    #: The kind of source.
    kind: Literal["jsonl"]


class ParquetSource(_File):
    """Signatures in a Parquet file that is written anew as it grows."""

    #: The kind of source; it needs the extra deliverybot[parquet].
    kind: Literal["parquet"]
