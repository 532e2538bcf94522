"""How letters and lists are made: the section [pdf] of config.toml."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import pydantic

from deliverybot import faults, values

#: A day at most: what is longer overflows somewhere.
_Seconds = Annotated[int, pydantic.Field(gt=0, le=86_400)]
#: Bytes of address space in which a renderer does not even start.
_SMALLEST_MEMORY = 256_000_000


class Pdf(values.Section):
    """How letters and lists are made, and what one process of that may take."""

    #: Size of the page.
    paper: Literal["A4", "Letter"] = "A4"
    #: Seconds of processor time.
    cpu: _Seconds = 900
    #: Address space, such as "4 GB".
    memory: values.Size = "4 GB"
    #: Seconds on the wall clock.
    time: _Seconds = 1800
    #: Names that may stand in the letter itself; a longer list is bound behind it, in volumes.
    names_in_letter: Annotated[int, pydantic.Field(ge=0, le=5_000)] = 2_000
    #: Signers in a volume; another number makes all volumes anew.
    volume: Annotated[int, pydantic.Field(ge=100, le=50_000)] = 10_000

    @property
    def memory_bytes(self) -> int:
        """`memory` in bytes."""
        return values.size(self.memory)

    @pydantic.model_validator(mode="after")
    def _enough(self) -> Self:
        if self.memory_bytes < _SMALLEST_MEMORY:
            raise faults.wrong(
                f"no letter can be rendered in {self.memory!r} (memory)",
                'the least is "256 MB"; long lists want "4 GB"',
            )
        return self
