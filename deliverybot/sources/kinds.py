"""What a kind of source is: one class, made for one campaign and one reading."""

from __future__ import annotations

import abc
import dataclasses
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, NamedTuple, Protocol

from deliverybot import access as accounts
from deliverybot import campaign as campaigns
from deliverybot import errors, origins
from deliverybot.sources import files


class Arrival(NamedTuple):
    """What a platform brought to our webhook."""

    id: int
    at: datetime
    #: As it came.
    body: bytes
    #: What tells it from others, 16 bytes: brought again it is the same.
    key: bytes


class Arrivals(Protocol):
    """What arrived for the campaigns and is not taken in yet."""

    def waiting(self, slug: str, most: int) -> Sequence[Arrival]:
        """Return the first of them, oldest first."""

    def done(self, slug: str, ids: Sequence[int]) -> None:
        """Forget their contents: they are taken in."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a source may use besides its own section."""

    #: Folder for what is kept between two readings; None: nothing is.
    state: pathlib.Path | None = None
    #: Accounts at platforms, by name.
    access: Mapping[str, accounts.Access] = dataclasses.field(default_factory=dict, repr=False)
    #: What arrived at our webhooks; None where no ledger is at hand.
    arrivals: Arrivals | None = None
    #: Where the people who ask can be found; told to every platform that is asked.
    public_url: str = ""
    #: Waits so many seconds before something is asked again.
    sleep: Callable[[float], None] = time.sleep
    #: Seconds of a clock that never steps, for deadlines and how long something took.
    clock: Callable[[], float] = time.monotonic
    #: Raises `hands.Stopped` when the process is to stop.
    pause: Callable[[], None] = lambda: None
    #: Whether nothing may be asked over the network; what was read before counts then.
    offline: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """One reading of one section of one campaign."""

    campaign: campaigns.Campaign
    #: The campaign's [source] or [count].
    section: origins.Section
    #: The key under which people are recognised; for marks that must say nothing to others.
    secret: bytes = dataclasses.field(repr=False)
    now: datetime
    means: Means = Means()
    #: Rows of one page at most.
    most: int = 10_000

    def pause(self) -> None:
        """Raise when the process is to stop: what takes long calls it now and then."""
        self.means.pause()


class Count(NamedTuple):
    """The number that a source says."""

    signatures: int
    #: Text for the next `probe`, such as the validators of a conditional request.
    state: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some rows, oldest first, and where to go on behind them."""

    rows: Sequence[files.Row]
    #: Text for the next `pages`; stored together with what the rows became.
    cursor: str
    #: Rows before the first one, in all readings so far: tells apart rows that have no key.
    before: int = 0
    #: Our fields of consent that these signers were asked for.
    asked: frozenset[str] = frozenset()
    #: Things to tell a person.
    told: tuple[errors.Fault, ...] = ()
    #: How far the reading is, in bytes or rows, and how far it goes; 0: nobody knows.
    position: int = 0
    size: int = 0


class Source(abc.ABC):
    """One kind of source; a subclass gives a count, signers, or both, as its section says.

    Everything that a source says comes from outside and may be false, hostile
    or cut off.  A subclass raises `errors.SourceError` for whatever is not
    certainly a good answer; the reading then counts as failed, the last good
    count stays, and what was given before is kept.
    """

    #: The model of its section.
    Settings: ClassVar[type[origins.Section]]
    #: The campaign's [source] or [count]; a subclass says which model it is.
    section: Any

    def __init__(self, errand: Errand) -> None:
        """Keep the errand; nothing is opened or asked before a method is called."""
        self.errand = errand
        self.campaign = errand.campaign
        self.section = errand.section

    @property
    def name(self) -> str:
        """What is read, for people: a file or an address without secrets."""
        return str(getattr(self.errand.section, "kind", ""))

    def probe(self, state: str) -> Count | None:
        """Ask for the number of signatures; None where it has not changed since `state`.

        `state` is that of the last `Count`, or empty.

        Raises:
            errors.SourceError: There is no certain answer.
        """
        raise NotImplementedError(state)

    def pages(self, cursor: str | None) -> Iterator[Page]:
        """Give what is new since `cursor`, that of the last `Page`; None: from the start.

        A row may be given again, as long as its id, e-mail address or time
        tells that it is the same.  Nothing may be left out.

        Raises:
            errors.SourceError: The source cannot be read, or not any further; the
                pages given before hold what came before that place.
        """
        raise NotImplementedError(cursor)

    def doubts(self, cursor: str) -> list[errors.Fault]:  # noqa: ARG002 - most have none
        """Say what a person should look at in what was taken in up to `cursor`; asks nothing."""
        return []

    @abc.abstractmethod
    def look(self) -> list[errors.Fault]:
        """Say what `check` is to tell: what is found, missing, dropped; takes nothing in."""
