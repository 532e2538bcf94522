"""What the ledger hands out: frozen copies of rows."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any, Self

import sqlalchemy as sa


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A frozen copy of one row."""

    @classmethod
    def of(cls, row: sa.Row[Any]) -> Self:
        """Build from a row that has at least the columns of this record."""
        named = row._mapping
        return cls(**{field.name: named[field.name] for field in dataclasses.fields(cls)})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Standing(Record):
    """Where one campaign stands."""

    id: int
    slug: str
    cursor: str | None
    last_number: int
    #: What the source itself says; None where it gives signers alone.
    said: int | None
    #: Signatures on the list that count, of them those that may be named to a target.
    held: int
    listed: int
    #: Of those that count: hidden by a person, and waiting for a person's look.
    hidden: int
    flagged: int
    withdrawn: int
    duplicates: int
    list_revision: int
    comment_revision: int
    read_at: dt.datetime | None
    problem: str
    #: Failed readings since the last good one, and the time before which there is no other.
    failures: int
    not_before: dt.datetime | None
    #: When all its signers were erased; nothing is taken in any more.
    expired_at: dt.datetime | None
    count_state: str
    baseline: int | None
    jump: int | None
    jump_since: dt.datetime | None
    jump_readings: int
    jump_accepted: bool

    @classmethod
    def of(cls, row: sa.Row[Any]) -> Self:
        """Build from a row of `campaigns`, whose `signatures` are those on the list."""
        named = row._mapping
        names = {field.name for field in dataclasses.fields(cls)} - {"held"}
        return cls(held=row.signatures, **{name: named[name] for name in names})

    @property
    def signatures(self) -> int:
        """The number that counts: the source's own, or else that of the list."""
        return self.held if self.said is None else self.said

    @property
    def unnamed(self) -> int:
        """Signers on the list who count and are not named, for whatever reason."""
        return self.held - self.listed


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Comment(Record):
    """What a signer wrote, and what a person decided on it."""

    number: int
    #: The signer, as the source has it.
    name: str
    city: str
    region: str
    country: str
    postcode: str
    comment: str
    state: str
    by: str
    at: dt.datetime | None
    #: Whether the signer may be named now; if not, the comment is not printed.
    named: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Milestone(Record):
    """One milestone that was crossed, passed or withdrawn."""

    id: int
    campaign: str
    key: str
    kind: str
    threshold: int | None
    state: str
    version: int
    signatures: int
    listed: int
    upto: int
    crossed_at: dt.datetime
    ask: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Volume(Record):
    """One sealed volume of the signer list."""

    number: int
    #: One higher each time that it had to be made anew.
    edition: int
    #: Numbers of its first and last signer.
    first: int
    last: int
    form: str
    #: The file below state_dir, and its SHA-256 in hex.
    path: str
    sha256: str
    pages: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Work(Record):
    id: int
    campaign: str
    milestone_id: int
    #: The milestone's key, such as "1000".
    milestone: str
    version: int
    state: str
    why: str
    problem: str
    inputs: str
    digest: str
    approved_digest: str
    approved_by: str
    approved_at: dt.datetime | None
    #: Where two must agree: who was the first, and to which digest.
    agreed_by: str
    agreed_digest: str
    fence: int
    owner: str
    lease_until: dt.datetime | None
    attempts: int
    first_try: dt.datetime | None
    next_try: dt.datetime | None
    handed_at: dt.datetime | None
    reply: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Delivery(_Work):
    """One letter to one target."""

    target: str
    email: str
    message_id: str
    subject: str
    text: str
    html: str
    language: str
    from_name: str
    from_address: str
    reply_to: str
    to_name: str
    pdf: str
    pdf_sha256: str
    pages: int
    #: Where the list is in several volumes: JSON, a list for each mail of its files.
    files: str
    #: Of several mails: JSON, subject, text and HTML of each after the first.
    words: str
    #: Where the letter leads to its list by a link: JSON, the file of that.
    linked: str
    #: The mail that goes next, from 1.
    part: int
    #: Bytes that a mail may have since one was refused as too large; 0: as config.toml says.
    room: int
    #: The delivery whose mail this letter goes with.
    merged_into: int | None
    #: Of a delivery that carries others: JSON, what it was before their mail was written into it.
    alone: str
    sent_at: dt.datetime | None
    #: When its files were taken away, since somebody in them is erased; None once made anew.
    erased_at: dt.datetime | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Post(_Work):
    """One post on one outlet."""

    outlet: str
    key: str
    #: When its milestone was crossed.
    crossed_at: dt.datetime
    text: str
    #: SHA-256 of its picture, empty where it has none; what that shows, in words.
    image: str
    alt: str
    language: str
    #: What the network charges for it, in millionths of a dollar.
    cost: int
    #: When a doubtful one was last looked for.
    looked_at: dt.datetime | None
    url: str
    posted_at: dt.datetime | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Return(Record):
    """One mail that came back."""

    id: int
    sha256: str
    kind: str
    delivery_id: int | None
    #: Of the delivery; empty where nothing tells which.
    campaign: str
    target: str
    #: What told: verp, envelope-id, message-id or references.
    matched: str
    at: dt.datetime
    sender: str
    subject: str
    status: str
    said: str
    #: The mail as it came, below state_dir.
    path: str
    #: Where its copy for the campaigner stands; empty where there is to be none.
    forward: str
    forwarded_at: dt.datetime | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox(Record):
    """How far one mailbox is read."""

    name: str
    cursor: str
    #: Why the last reading failed; empty when it did not.
    problem: str
    read_at: dt.datetime | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Link(Record):
    """An address under which a target finds the list of signers."""

    id: int
    delivery_id: int
    campaign: str
    target: str
    token_sha256: str
    #: The PDF below state_dir, and its SHA-256 in hex.
    path: str
    sha256: str
    made_at: dt.datetime
    #: None until the letter has left.
    expires_at: dt.datetime | None
    withdrawn_at: dt.datetime | None
    withdrawn_by: str
    #: Requests so far.
    visits: int

    def state(self, now: dt.datetime) -> str:
        """Return where it stands: new, open, expired or withdrawn."""
        if self.withdrawn_at is not None:
            return "withdrawn"
        if self.expires_at is None:
            return "new"
        return "open" if now < self.expires_at else "expired"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Erasure(Record):
    """Signers who were erased, and what of them is still to be taken away."""

    id: int
    campaign: str
    #: Numbers of the first and the last.
    first: int
    last: int
    by: str
    at: dt.datetime
    #: JSON: `files` below state_dir, and `deliveries` on their way whose files wait.
    todo: str
    #: Files that were taken away.
    removed: int
    #: When nothing was left to do.
    done_at: dt.datetime | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Visit(Record):
    """One request for a list: never who asked, as far as an address tells."""

    at: dt.datetime
    #: HTTP status, first byte and number of bytes sent.
    status: int
    first: int
    bytes: int
    #: What the browser calls itself, cut short.
    agent: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Attempt(Record):
    """One try to hand something over, and what was said."""

    fence: int
    at: dt.datetime
    outcome: str
    phase: str
    code: int
    enhanced: str
    text: str
    sha256: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Suppression(Record):
    """One address that no letter may go to, unless it was lifted."""

    id: int
    #: The address with its middle left out.
    shown: str
    reason: str
    evidence: str
    by: str
    at: dt.datetime
    lifted_by: str
    lifted_at: dt.datetime | None

    def __str__(self) -> str:
        """One line for people: ``asked not to be written to, since 2026-11-26``."""
        return f"{_SAID[self.reason]}, since {self.at:%Y-%m-%d} (suppression {self.id})"


#: What each reason means, in the words that a campaigner reads.
_SAID = {
    "asked": "asked not to be written to",
    "bounced": "cannot be reached: the address is dead",
    "complained": "reported a letter as spam",
    "by-hand": "is not to be written to, a person said so",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow(Record):
    """One change of state: who, when, why."""

    seq: int
    at: dt.datetime
    who: str
    thing: str
    ref: str
    campaign: str
    old: str
    new: str
    why: str
    hash: str
