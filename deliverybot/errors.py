"""Every error that deliverybot raises on purpose.

::

    DeliverybotError                 exit 1
    ├── UsageError                   exit 2   the command was called wrongly
    ├── ConfigError                  exit 2   settings or a campaign file are wrong
    ├── LedgerError                  exit 1   the database refuses, or is not ours to write
    │   ├── LedgerLocked             exit 1   another daemon holds this ledger
    │   ├── LostClaim                exit 1   another worker has taken this row over
    │   ├── NotMarked                exit 1   that a letter is about to leave cannot be written
    │   └── WrongState               exit 2   the row is not in a state that allows this move
    ├── SourceError                  exit 1   signatures could not be read
    ├── LetterError                  exit 1   a letter cannot be rendered as it stands
    │   └── ChildEnded               exit 1   somebody ended the process that rendered it
    └── OutgoingError                exit 1   mail or a post could not be built

An error's docstring is its default message, ``hint`` says what to do next.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong (or right) in what a person wrote, for ``check``."""

    #: ``fault`` stops the work, ``warning`` does not, ``ok`` is good news.
    level: str
    #: What is wrong, in one sentence.
    what: str
    #: What to do about it; may be empty.
    hint: str = ""
    #: The file, as the person would name it; None where no file is to blame.
    file: str | None = None
    #: Line in the file, from 1.
    line: int | None = None

    def __str__(self) -> str:
        """``file:line: what (hint)``, as compilers say it."""
        place = f"{self.file}:{self.line}: " if self.file and self.line else ""
        if self.file and not self.line:
            place = f"{self.file}: "
        return f"{place}{self.what}" + (f"\n  hint: {self.hint}" if self.hint else "")


class DeliverybotError(Exception):
    """Something went wrong."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str | None = None, *, hint: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())
        self.hint = hint


class UsageError(DeliverybotError):
    """The command was called wrongly."""

    exit_code = 2


class ConfigError(DeliverybotError):
    """Settings or a campaign file are wrong."""

    exit_code = 2

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


class LedgerError(DeliverybotError):
    """The ledger (the database) cannot be used."""


class LedgerLocked(LedgerError):
    """Another deliverybot is working on this ledger."""


class LostClaim(LedgerError):
    """Another worker has taken this row over."""


class NotMarked(LedgerError):
    """It cannot be written down that a letter or a post is about to leave."""


class WrongState(LedgerError):
    """The row is not in a state that allows this."""

    exit_code = 2


class SourceError(DeliverybotError):
    """The signatures could not be read."""

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        file: str | None = None,
        line: int | None = None,
        retry_after: float | None = None,
        status: int | None = None,
    ) -> None:
        place = f"{file}:{line}: " if file and line else f"{file}: " if file else ""
        super().__init__(place + message, hint=hint)
        self.file = file
        self.line = line
        #: Seconds after which the other side wants to be asked again; None where it said nothing.
        self.retry_after = retry_after
        #: What a host answered in place of a good answer, such as 404; None where none came.
        self.status = status


class LetterError(DeliverybotError):
    """The letter cannot be rendered as it stands.

    Holds every reason at once, so that a person mends them in one go.
    """

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


class ChildEnded(LetterError):
    """The process that rendered was ended from outside; trying again may help."""


class OutgoingError(DeliverybotError):
    """A mail or a post could not be built."""
