"""What the [source] section of every kind of source has."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

import pydantic
import typing_extensions

from deliverybot import faults, values

# fmt: off
SignerField = Literal[
    "id", "name", "first_name", "last_name", "email", "phone", "city", "region", "country",
    "postcode", "comment", "signed_at", "public", "to_target", "mail", "sms", "anonymous",
]
# fmt: on
#: Values of one of their columns.
_Values = Annotated[tuple[str, ...], pydantic.Field(min_length=1)]


#: Headers that belong to the connection, not to what is asked.
_OURS = frozenset(
    (
        "host connection content-length transfer-encoding accept-encoding te upgrade range expect"
    ).split()
)


class Section(values.Section):
    """When a source is read."""

    #: Time between readings such as "5m"; instead of `cron`.
    every: values.Duration | None = None
    #: Five cron fields, read in UTC, 0 is Monday; instead of `every`.
    cron: values.Cron | None = None

    @pydantic.model_validator(mode="after")
    def _one_clock(self) -> Self:
        if self.every is not None and self.cron is not None:
            raise faults.wrong(
                "'every' and 'cron' cannot both be meant",
                'how often to read: every = "5m", or cron = "*/5 * * * *"',
            )
        return self

    @property
    def lists(self) -> bool:
        """Whether such a source gives signers."""
        return False

    @property
    def counts(self) -> bool:
        """Whether such a source says a number; if not, it is that of the signers it gave."""
        return False

    @property
    def remote(self) -> bool:
        """Whether such a source is asked over the network."""
        return False

    @property
    def every_seconds(self) -> int | None:
        """Seconds between readings; None where `cron` says when."""
        return None if self.every is None else values.seconds(self.every)


class Fetched(Section):
    """A source that is asked over the network."""

    #: Name of an [access.NAME] section of config.toml: the account to ask as.
    access: values.Name | None = None
    #: Further headers of each request; secrets belong into [access.NAME].
    headers: dict[str, str] = pydantic.Field(default={})
    #: Whether its host may be inside your own network; one that is written as a number or as
    #: "localhost" may be.
    private: bool = False
    #: Time that a whole reading may take.
    deadline: values.Duration = "10m"
    #: Largest answer, unpacked.
    most: values.Size = "50 MB"

    @property
    @typing_extensions.override
    def remote(self) -> bool:
        return True

    @property
    def deadline_seconds(self) -> int:
        """`deadline` in seconds."""
        return values.seconds(self.deadline)

    @property
    def most_bytes(self) -> int:
        """`most` in bytes."""
        return values.size(self.most)

    @pydantic.field_validator("headers")
    @classmethod
    def _no_secret(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not re.fullmatch(r"[A-Za-z0-9-]{1,64}", name) or not value.isprintable():
                raise faults.wrong(f"{name!r} is no header", 'such as { Accept = "text/html" }')
            if name.lower() in _OURS or name.lower().startswith("if-"):
                raise faults.wrong(f"deliverybot itself sets the header {name!r}", "leave it out")
            if re.search(r"auth|cookie|token|secret|key", name, re.IGNORECASE):
                raise faults.wrong(
                    f"the header {name!r} seems to be a secret",
                    'make a section [access.NAME] in config.toml and write access = "NAME" here',
                )
        return headers


class Listing(Section):
    """A source that gives signers, as rows of named values."""

    #: Our field = their column.
    columns: dict[SignerField, str] = pydantic.Field(default={})
    #: Their column = the values of it that count, such as { Confirmed = ["yes"] }; rows with
    #: another value are passed over.
    only: dict[str, _Values] = pydantic.Field(default={})
    #: Which of two numbers is the month where a time is written like 11/05/2026; without it such
    #: a time is left out, since it can be two days.
    dates: Literal["month-first", "day-first"] | None = None

    @property
    @typing_extensions.override
    def lists(self) -> bool:
        return True
