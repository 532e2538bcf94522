"""What a letter, a mail or a post may say, and the words for it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import html
from collections.abc import Callable, Iterable, Iterator, Sequence

from deliverybot import errors, model
from deliverybot.render import lint, templates, vault, words

#: What stands where a name is withheld is repeated for each such signer.
LONGEST_WITHHELD = 100


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a letter, a mail or a post may say."""

    title: str
    ask: str
    url: str
    #: Signatures aimed at; None for an open end.
    goal: int | None = None
    language: str = "en"
    #: "we" or "I".
    voice: str = "we"
    sender_name: str
    sender_address: str
    reply_to: str = ""
    #: Whom this copy goes to.
    target: model.Target
    #: Whom this letter names as addressees: one, or all.
    targets: tuple[model.Target, ...]
    figures: model.Figures
    #: The list in its order; None where the letter names nobody, or its names are in volumes.
    signers: Iterable[model.ListedSigner] | None = None
    #: Volumes that are bound behind the letter, and the number of their last signer.
    volumes: int = 0
    upto: int = 0
    #: "number", "name" or "place": what the list is sorted by.
    order: str = "number"
    #: Fields of a signer that are printed, in this order.
    fields: tuple[str, ...] = ("name", "city", "country")
    #: Comments that a person approved, as many as a letter prints.
    comments: Sequence[model.ApprovedComment] = ()
    #: "A4" or "Letter".
    paper: str = "A4"
    #: The letter's date, in the target's time zone.
    date: dt.date
    public_url: str = ""
    #: Where the target finds the list, and the last day of that; empty where the letter has it.
    signers_url: str = ""
    signers_until: dt.date | None = None
    #: Signatures by day, and by country or region; counted when a figure asks for them.
    days: Callable[[], Sequence[model.Day]] = tuple
    places: Callable[[str], Sequence[model.Place]] = lambda _: ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Person:
    """What templates may know of a target: never an address."""

    name: str
    role: str
    organisation: str
    salutation: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Sender:
    name: str
    address: str
    reply_to: str


def values(facts: Facts) -> dict[str, object]:
    """Return the variables of every template."""
    figures = facts.figures
    found: dict[str, object] = {
        "title": facts.title,
        "ask": facts.ask,
        "url": facts.url,
        "goal": facts.goal,
        "language": facts.language,
        "direction": words.direction(facts.language),
        "voice": facts.voice,
        "sender": sender(facts.sender_name, facts.sender_address, facts.reply_to),
        "target": person(facts.target),
        "targets": [person(target) for target in facts.targets],
        "milestone": figures.milestone,
        "signatures": figures.signatures,
        "listed": figures.listed,
        "withheld": figures.withheld,
        "named": facts.signers is not None or facts.volumes > 0,
        "volumes": facts.volumes,
        "order": facts.order,
        "comments": len(facts.comments),
        "as_of": as_of(facts),
        "date": facts.date,
        "public_url": facts.public_url,
        "signers_url": facts.signers_url,
        "signers_until": facts.signers_until,
    }
    missing = templates.VARIABLES ^ found.keys()
    if missing:
        message = f"variables promised and given differ: {missing}"
        raise LookupError(message)
    return found


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One of several PDFs that a letter is parted into, so that each fits into a mail.

    Where it is the only one, it is the whole list.
    """

    #: Which, of how many.
    part: int
    parts: int
    #: Its first and last volume, and signer.
    volumes: tuple[int, int]
    signers: tuple[int, int]


def of_part(facts: Facts, part: Part) -> dict[str, object]:
    """Return the variables of a part's first page and of its mail."""
    return {
        "part": part.part,
        "parts": part.parts,
        "numbers": words.span(*part.signers, facts.language),
        "first_volume": part.volumes[0],
        "last_volume": part.volumes[1],
    }


def as_of(facts: Facts) -> dt.date:
    """Return the day of the reading; in UTC it may be tomorrow, yet never after the letter's."""
    return min(facts.figures.as_of.date(), facts.date)


def sender(name: str, address: str, reply_to: str) -> _Sender:
    """Return what templates may know of the sender."""
    return _Sender(name=name, address=address, reply_to=reply_to)


def person(target: model.Target) -> _Person:
    """Return what templates may know of a target."""
    return _Person(
        name=target.name,
        role=target.role,
        organisation=target.organisation,
        salutation=target.salutation,
    )


def faults(facts: Facts) -> Iterator[errors.Fault]:
    """Name what is wrong with the settings' own words: placeholders, an unknown language."""
    try:
        words.locale(facts.language)
    except ValueError as error:
        hint = "write a code such as en, en-US, de or pt-BR"
        yield errors.Fault(level="fault", what=str(error), hint=hint)
    said = {
        "the campaign's title": facts.title,
        "the campaign's ask": facts.ask,
        "the sender's name": facts.sender_name,
    }
    for target in facts.targets:
        for part in ("name", "role", "organisation", "salutation"):
            said[f"the {part} of the target '{target.id}'"] = getattr(target, part)
    for whose, text in said.items():
        if left := lint.placeholder(text):
            what = f"{whose} still says {left}"
            yield errors.Fault(level="fault", what=what, hint="write what belongs there")


class Names:
    """The signer list as a template asks for it: ``{{ names("Name withheld") }}``."""

    def __init__(self, facts: Facts) -> None:
        """Nothing asked for yet; of names in volumes, the letter itself has only the numbers."""
        span = words.span(1, facts.upto, facts.language)
        self.piece = vault.Piece(html="", late=True)
        if facts.volumes:
            self.piece = vault.Piece(html=f"<p>{html.escape(span)}</p>")
        self.withheld: str | None = None

    def __call__(self, withheld: str) -> vault.Piece:
        """Print the list here, with these words where a name is withheld."""
        if self.withheld is not None:
            message = "the list of names is printed twice"
            raise ValueError(message)
        if not isinstance(withheld, str) or len(withheld) > LONGEST_WITHHELD:
            message = f"names() wants a few words, {LONGEST_WITHHELD} letters at most"
            raise ValueError(message)
        self.withheld = vault.one_line(withheld)
        return self.piece
