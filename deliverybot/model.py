"""Records, states and the moves between them.

Every station speaks in these words and the ledger refuses every move that is
not listed here.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from datetime import date, datetime
from typing import NamedTuple, Protocol


class Delivery(enum.StrEnum):
    """Where one letter to one target stands; beside each, who moves it on.

    A letter in several mails is one row; the states are those of the mail that
    goes next.
    """

    DUE = "due"  #: the letters station renders and freezes it
    HELD = "held"  #: a person approves it
    APPROVED = "approved"  #: a courier claims it in the target's hours
    SENDING = "sending"  #: the courier that claimed it; after a crash, recovery
    HANDING_OVER = "handing_over"  #: the relay's answer; after a crash, recovery
    MERGED = "merged"  #: the delivery in whose mail it goes
    SENT = "sent"  #: a bounce or an answer
    RETRYING = "retrying"  #: a courier, not before `next_try`
    REFUSED = "refused"  #: nobody: the address is dead
    HUMAN = "human"  #: a person: resolve or cancel
    UNSURE = "unsure"  #: evidence, or a person: resolve
    SUPERSEDED = "superseded"  #: nobody: a newer milestone took its place
    CANCELLED = "cancelled"  #: nobody
    SUPPRESSED = "suppressed"  #: nobody; a person takes it up again: hold
    BOUNCED = "bounced"  #: nobody
    ANSWERED = "answered"  #: nobody


class Post(enum.StrEnum):
    """Where one post on one outlet stands; beside each, who moves it on."""

    DUE = "due"  #: the posts station writes its text
    HELD = "held"  #: a person approves it
    APPROVED = "approved"  #: the posts station claims it
    SENDING = "sending"  #: the network's answer; after a crash, recovery
    POSTED = "posted"  #: nobody
    RETRYING = "retrying"  #: the posts station, not before `next_try`
    REFUSED = "refused"  #: a person: hold (mend and approve again) or cancel
    UNSURE = "unsure"  #: evidence, or a person: resolve
    CANCELLED = "cancelled"  #: nobody
    SUPERSEDED = "superseded"  #: nobody


class Milestone(enum.StrEnum):
    """Where one milestone stands."""

    CROSSED = "crossed"  #: its letters and posts are due; a falling count withdraws it
    PASSED = "passed"  #: nobody: a larger one was crossed in the same reading
    WITHDRAWN = "withdrawn"  #: a rising count crosses it again


class Signature(enum.StrEnum):
    """Whether one signature counts and may be named."""

    ACTIVE = "active"  #: the signer or a person hides or withdraws it
    FLAGGED = "flagged"  #: counts, is not named until a person has looked at it
    HIDDEN = "hidden"  #: counts, is not named
    WITHDRAWN = "withdrawn"  #: neither counts nor is named; its number stays taken
    ERASED = "erased"  #: nobody: as withdrawn, and nothing is left of the signer


class Suppression(enum.StrEnum):
    """Why no letter may go to an address any more; a person alone lifts it."""

    ASKED = "asked"  #: whoever reads mail there asked us to stop
    BOUNCED = "bounced"  #: the address is dead
    COMPLAINED = "complained"  #: a letter was reported as spam
    BY_HAND = "by-hand"  #: a person here said so


class Comment(enum.StrEnum):
    """Whether a signer's comment may be printed; beside each, who moves it on."""

    WAITING = "waiting"  #: a person approves or withholds it
    APPROVED = "approved"  #: a person withholds it
    WITHHELD = "withheld"  #: a person approves it


class Return(enum.StrEnum):
    """What a mail that came back is."""

    BOUNCE = "bounce"  #: the letter was not delivered, and nobody tries any more
    DELAY = "delay"  #: a server on the way is still trying
    RECEIPT = "receipt"  #: the letter was delivered, handed on or shown
    AUTOMATIC = "automatic"  #: a machine answered, such as an out-of-office notice
    ANSWER = "answer"  #: a person wrote
    COMPLAINT = "complaint"  #: the recipient called it unwanted
    UNKNOWN = "unknown"  #: nothing can be made of it


class Forward(enum.StrEnum):
    """Where the copy for the campaigner stands; beside each, who moves it on."""

    DUE = "due"  #: the returns station sends it
    HANDING_OVER = "handing_over"  #: the relay's answer; after a crash, recovery
    SENT = "sent"  #: nobody
    UNSURE = "unsure"  #: nobody: it may have arrived; `returns show` has the mail
    REFUSED = "refused"  #: nobody: the relay does not take it; `returns show` has the mail


#: A signature in one of these does not count.
GONE = frozenset({"withdrawn", "erased"})
#: In one of these a delivery or post is on its way just now, in somebody's hand.
IN_HAND = ("sending", "handing_over")

#: From each state of a delivery, the states it may move to.
#:
#: `sending`, `handing_over` or `unsure` to `due`: the mail was too large and the letter is made
#: anew, in smaller ones.  `handing_over`, `unsure` or `human` to `approved`: this mail of several
#: has arrived, the next one may go.
DELIVERY_MOVES: Mapping[str, frozenset[str]] = {
    "due": frozenset({"held", "superseded", "cancelled", "suppressed"}),
    "held": frozenset({"held", "approved", "superseded", "cancelled", "suppressed"}),
    "approved": frozenset({"held", "sending", "merged", "superseded", "cancelled", "suppressed"}),
    "sending": frozenset({"handing_over", "approved", "retrying", "refused", "human", "due"}),
    "handing_over": frozenset(
        {"sent", "approved", "retrying", "refused", "human", "unsure", "due"}
    ),
    "retrying": frozenset({"held", "sending", "human", "superseded", "cancelled", "suppressed"}),
    "human": frozenset({"held", "sent", "approved", "merged", "cancelled", "superseded"}),
    "unsure": frozenset(
        {"sent", "approved", "held", "merged", "retrying", "refused", "human", "due"}
    ),
    "refused": frozenset({"held", "merged", "cancelled"}),
    # On its own way again, or wherever the mail that it goes in has come to.
    "merged": frozenset(
        "held approved sent unsure refused human superseded cancelled suppressed".split()
    ),
    "sent": frozenset({"bounced", "answered"}),
    "bounced": frozenset({"answered"}),
    "answered": frozenset(),
    "superseded": frozenset(),
    "cancelled": frozenset(),
    # When the suppression is lifted; the claim looks again.
    "suppressed": frozenset({"held"}),
}

#: From these, too, what came back leads to `sent`, or to the next of several mails: an
#: earlier, doubtful try arrived.
EVIDENCE_MOVES = frozenset({"held", "approved", "sending", "retrying"})

#: From each state of a post, the states it may move to.
POST_MOVES: Mapping[str, frozenset[str]] = {
    "due": frozenset({"held", "superseded", "cancelled"}),
    "held": frozenset({"held", "approved", "superseded", "cancelled"}),
    "approved": frozenset({"held", "sending", "superseded", "cancelled"}),
    "sending": frozenset({"posted", "retrying", "refused", "unsure", "superseded", "cancelled"}),
    "retrying": frozenset({"held", "sending", "superseded", "cancelled"}),
    "refused": frozenset({"held", "cancelled"}),
    "unsure": frozenset({"posted", "retrying", "refused"}),
    "posted": frozenset(),
    "superseded": frozenset(),
    "cancelled": frozenset(),
}

#: Once a delivery has been in one of these, something may have left the house.
DELIVERY_OUT = frozenset({"sending", "handing_over", "sent", "unsure", "bounced", "answered"})
#: Once a post has been in one of these, something may have left the house.
POST_OUT = frozenset({"sending", "posted", "unsure"})


class Signer(NamedTuple):
    """One signature as a source delivers it, cleaned and screened.

    Neither an e-mail address nor a phone number nor an IP address has a field
    here: they end at the door as `key_email`.

    A tuple, since a million of them are made in one reading, and a frozen
    dataclass takes four times as long to make.
    """

    #: Keyed hash of the platform's id of this signature, 16 bytes.
    key_id: bytes | None
    #: Keyed hash of the normalised e-mail address, 16 bytes.
    key_email: bytes | None
    name: str
    city: str = ""
    region: str = ""
    country: str = ""
    postcode: str = ""
    comment: str = ""
    signed_at: datetime | None = None
    #: May be listed in public, be named to the target, get mail, get texts.
    public: bool = False
    to_target: bool = False
    mail: bool = False
    sms: bool = False
    #: Why a person is to look before this signer is named; empty for nearly everybody.
    flags: tuple[str, ...] = ()
    #: Keyed hashes of other spellings of the address, which an older ledger may hold.
    keys_before: tuple[bytes, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ListedSigner:
    """One line of the list that a target gets."""

    #: Place in the append-only list, from 1; never changes.
    number: int
    #: As it may be printed; empty means "name withheld".
    name: str
    city: str = ""
    region: str = ""
    country: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ApprovedComment:
    """A comment that a person approved, as a target gets it."""

    #: Who wrote it, as in the list; has a name.
    signer: ListedSigner
    #: Clean text of one line or more.
    text: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Whom a letter is for."""

    id: str
    name: str
    email: str
    role: str = ""
    organisation: str = ""
    salutation: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The numbers that stand in a letter or a post, and the time they are of."""

    #: The milestone's own number; None for a milestone set by date.
    milestone: int | None
    #: Signatures that count.
    signatures: int
    #: Signers whose names may stand in the letter.
    listed: int
    #: Time of the reading, UTC.
    as_of: datetime

    @property
    def withheld(self) -> int:
        """Signatures that count and stand in no list."""
        return max(0, self.signatures - self.listed)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One day on which somebody signed, in UTC."""

    day: date
    #: Signatures that count, from the first to the last of this day.
    signatures: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One country or region as signers wrote it, and how many of those who count did."""

    #: Empty for those who told none.
    name: str
    #: Those who may be named to a target, and those who may not.
    named: int
    unnamed: int


class Outcome(enum.StrEnum):
    """What an attempt to hand something over came to."""

    DONE = "done"  #: a clean positive answer
    LATER = "later"  #: certainly not taken; trying again can help
    REFUSED = "refused"  #: certainly not taken; the address or account is dead
    HUMAN = "human"  #: certainly not taken; a person must change something
    UNSURE = "unsure"  #: nobody can know


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An outcome and what was said, as it goes into the attempt log."""

    outcome: Outcome
    #: Where it happened: connect, greeting, starttls, auth, mail, rcpt, data, body, dot, post;
    #: at home: build, certificate, look, mark, stop, crash, file.
    phase: str
    #: SMTP or HTTP status; 0 where there was no answer.
    code: int = 0
    #: RFC 3463 enhanced status such as "5.1.1"; empty where none was given.
    enhanced: str = ""
    #: The other side's words or our own reason, one line, no secret.
    text: str = ""
    #: Address of the post on the network, once posted.
    url: str = ""
    #: Seconds after which the other side wants to be asked again.
    retry_after: float | None = None
    #: Where the mail was refused as too large: bytes that the next one should stay below; else 0.
    room: int = 0
    #: Of a post: it is the account that is refused or asked to wait, so no other post would do
    #: better.
    account: bool = False

    @property
    def done(self) -> bool:
        """Tell whether this is a clean yes."""
        return self.outcome is Outcome.DONE

    def __str__(self) -> str:
        """One line: ``rcpt 550 5.1.1 no such user``."""
        parts = [self.phase, str(self.code) if self.code else "", self.enhanced, self.text]
        return " ".join(part for part in parts if part)


class Reporter(Protocol):
    """Hears what happens, for a person who looks on."""

    def reading(self, slug: str, done: int, size: int) -> None:
        """Tell how many bytes of a source are read."""

    def rendering(self, slug: str, target: str) -> None:
        """Tell that a letter is being made."""

    def typesetting(self, slug: str, done: int, upto: int) -> None:
        """Tell how many signers of a list are set."""
