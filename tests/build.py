"""What many tests start from: a clock, signers, a working folder, a filled ledger.

Everything is real: files on disk, read by the product's own loaders, and rows
that went through the ledger's own verbs.
"""

# ruff: noqa: ANN401 - factories hand on any field

from __future__ import annotations

import dataclasses
import datetime as dt
import email
import hashlib
import pathlib
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from deliverybot import campaign as campaigns
from deliverybot import config, ledger, milestones, model, steps
from deliverybot.ledger import milestones as verbs
from deliverybot.ledger import queue, records, tables
from deliverybot.mail import built

#: A Monday, 15:00 UTC.
NOW = dt.datetime(2026, 11, 23, 15, 0, tzinfo=dt.UTC)
WORDING = (hashlib.sha256(b"I agree.").hexdigest(), "I agree.")
LEASE = dt.timedelta(minutes=10)


@dataclasses.dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: dt.datetime = NOW

    def __call__(self) -> dt.datetime:
        return self.now

    def forward(self, **by: float) -> dt.datetime:
        self.now += dt.timedelta(**by)
        return self.now


class Silent:
    """A reporter that nobody listens to."""

    def reading(self, slug: str, done: int, size: int) -> None:
        """Say nothing."""

    def rendering(self, slug: str, target: str) -> None:
        """Say nothing."""

    def typesetting(self, slug: str, done: int, upto: int) -> None:
        """Say nothing."""


# --- signers -----------------------------------------------------------------------------------


def key(text: str) -> bytes:
    """Stands for the keyed hash of an id or an address."""
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def signer(n: int, **more: Any) -> model.Signer:
    """The n-th signer: may be named, has an id and an address."""
    known: dict[str, Any] = {
        "key_id": key(f"id {n}"),
        "key_email": key(f"person{n}@mail.example"),
        "name": f"Person {n}",
        "city": f"Town {n}",
        "country": "Nowhere",
        "public": True,
        "to_target": True,
        "mail": True,
        "sms": True,
    }
    return model.Signer(**(known | more))


def signers(count: int, first: int = 1) -> list[model.Signer]:
    return [signer(n) for n in range(first, first + count)]


# --- a working folder --------------------------------------------------------------------------

CONFIG = """\
database = "sqlite:///var/deliverybot.db"
state_dir = "var"
public_url = "https://campaigns.example"
[sender]
name = "Example Campaigns"
address = "letters@campaigns.example"
reply_to = "desk@campaigns.example"
[mail]
transport = "folder"
{mail}
[pdf]
{pdf}
[outlets.news]
kind = "folder"
[outlets.second]
kind = "folder"
"""

PLAN = """\
title = "Stop selling face recognition"
ask = "Stop every sale"
{goal}
url = "https://campaigns.example/p/faces"
letter = "faces"
{source}
[consent]
wording = "consent.txt"
public = true
to_target = true
{milestones}
[signers]
{signers}
[delivery]
{delivery}
"""

SOURCE = """\
[source]
kind = "csv"
path = "{slug}.csv"
every = "5m"
columns = {{ name = "Name", city = "Town", country = "Country", email = "Email", id = "Id" }}
"""

TARGET = """\
[[targets]]
id = "{id}"
name = "Jordan Vale"
role = "Chief Executive"
organisation = "Example Cloud"
email = "{email}"
salutation = "Dear Ms. Vale,"
hours = "Mon-Sun 00:00-24:00"
"""

LETTER = "We ask you to stop. {{ signatures }} people stand behind this.\n"
MAIL = (
    "Subject: {{ signatures }} people ask you to stop\n\n{{ title }}\n\nThe letter is attached.\n"
)
POST = "{{ signatures }} people ask: {{ ask }}. {{ url }}\n"


def settings(folder: pathlib.Path, mail: str = "", pdf: str = "") -> config.Settings:
    """Write config.toml and one letter's folder, and load them."""
    letter = folder / "letters" / "faces"
    letter.mkdir(parents=True, exist_ok=True)
    for name, text in (("letter.md", LETTER), ("mail.txt", MAIL), ("post.txt", POST)):
        if not (letter / name).exists():
            (letter / name).write_text(text)
    file = folder / "config.toml"
    file.write_text(CONFIG.format(mail=mail, pdf=pdf))
    return config.load(file, environ={})


def campaign(
    folder: pathlib.Path,
    slug: str = "faces",
    *,
    plan: str = "at = [100]",
    targets: Sequence[str] = ("ceo",),
    posts: Sequence[str] = ("news",),
    goal: int | None = None,
    delivery: str = 'first_reading = "deliver"',
    signers: str = "",
    target: str = "",
    email: str = "",
    post: str = "",
    source: str = "",
) -> campaigns.Campaign:
    """Write a campaign's file, and load it.

    `plan` is the milestones, a section for each line; `target`, `post`,
    `delivery` and `signers` are lines to add to each such section; `source` is
    all sections that say where signatures come from, in place of a CSV file.
    """
    schedules = folder / "schedules"
    schedules.mkdir(parents=True, exist_ok=True)
    (schedules / "consent.txt").write_text(WORDING[1])
    sections = "".join(f"[[milestones]]\n{line}\n" for line in plan.splitlines())
    text = PLAN.format(
        slug=slug,
        goal=f"goal = {goal}" if goal else "",
        milestones=sections,
        delivery=delivery,
        signers=signers,
        source=source or SOURCE.format(slug=slug),
    )
    for name in targets:
        text += TARGET.format(id=name, email=email or f"{name}@cloud.example") + target + "\n"
    for name in posts:
        text += f'[[posts]]\noutlet = "{name}"\n{post}\n'
    file = schedules / f"{slug}.toml"
    file.write_text(text)
    return campaigns.load(file)


def csv(folder: pathlib.Path, count: int, slug: str = "faces") -> pathlib.Path:
    """Write the campaign's signatures, `count` of them."""
    file = folder / "schedules" / f"{slug}.csv"
    lines = [f"{n},Person {n},Town {n},Nowhere,person{n}@mail.example" for n in range(1, count + 1)]
    file.write_text("\n".join(["Id,Name,Town,Country,Email", *lines, ""]))
    return file


def at_once(step: Coroutine[Any, Any, None]) -> None:
    """Do a step that has nothing to wait for, inside a loop or outside of one."""
    try:
        step.send(None)
    except StopIteration:
        return
    step.close()
    raise AssertionError("the step waits for something: await it")


def works(
    book: ledger.Ledger,
    known: Iterable[campaigns.Campaign],
    options: config.Settings,
    clock: Clock,
) -> steps.Works:
    """The daemon's steps, to be called one by one."""
    return steps.Works(
        book, options, {one.slug: one for one in known}, clock=clock, reporter=Silent()
    )


# --- a filled ledger ---------------------------------------------------------------------------


def take(
    book: ledger.Ledger,
    people: Sequence[model.Signer],
    slug: str = "faces",
    *,
    cursor: str | None = None,
    now: dt.datetime = NOW,
) -> records.Standing:
    """Take signers in and write down the reading."""
    book.signatures.take(slug, people, wording=WORDING, cursor=cursor, now=now)
    return book.signatures.read(slug, now=now)


def advance(
    book: ledger.Ledger, plan: campaigns.Campaign, *, now: dt.datetime = NOW
) -> verbs.Decision:
    return milestones.advance(book, plan, domain="campaigns.example", now=now)


def grow(
    book: ledger.Ledger, plan: campaigns.Campaign, to: int, *, now: dt.datetime = NOW
) -> verbs.Decision:
    """Let the list grow to a number, and compare it with the plan."""
    last = book.signatures.standing(plan.slug).last_number
    take(book, signers(to - last, last + 1), plan.slug, now=now)
    return advance(book, plan, now=now)


def shrink(
    book: ledger.Ledger, plan: campaigns.Campaign, to: int, *, now: dt.datetime = NOW
) -> verbs.Decision:
    """Withdraw the latest signatures until a number is left, and compare with the plan."""
    standing = book.signatures.standing(plan.slug)
    last = standing.last_number - standing.withdrawn
    for number in range(last, last - (standing.signatures - to), -1):
        withdraw(book, plan.slug, number, now=now)
    return advance(book, plan, now=now)


def withdraw(book: ledger.Ledger, slug: str, number: int, *, now: dt.datetime = NOW) -> None:
    book.signers.move(
        slug, [number], model.Signature.WITHDRAWN, who="tester", why="asked to", now=now
    )


def freeze(
    book: ledger.Ledger,
    row: records.Delivery,
    state_dir: pathlib.Path,
    *,
    approve: bool = False,
    now: dt.datetime = NOW,
    size: int = 0,
) -> records.Delivery:
    """Freeze a delivery with a PDF on disk, `size` bytes or a few, as the letters station would."""
    from deliverybot.mail import frozen, message

    name = f"letter-{row.id}.pdf"
    state_dir.mkdir(parents=True, exist_ok=True)
    (state_dir / name).write_bytes(b"%PDF-1.7 of delivery " + str(row.id).encode().ljust(size))
    words: dict[str, Any] = {
        "subject": f"Letter {row.id}",
        "text": "Please read it.\n",
        "html": "<p>Please read it.</p>\n",
        "from_name": "Example Campaigns",
        "from_address": "letters@campaigns.example",
        "reply_to": "desk@campaigns.example",
        "to_name": "Jordan Vale",
        "pdf": name,
        "pdf_sha256": hashlib.sha256((state_dir / name).read_bytes()).hexdigest(),
        "pages": 1,
        "inputs": "0" * 64,
    }
    letter = frozen.letter(dataclasses.replace(row, **words), state_dir, now)
    words["digest"] = message.digest(letter)
    book.deliveries.freeze(row, words, approve=approve, why="rendered", now=now)
    return book.deliveries.get(row.id)


def approved(
    book: ledger.Ledger,
    row: records.Delivery,
    state_dir: pathlib.Path,
    *,
    now: dt.datetime = NOW,
    size: int = 0,
) -> records.Delivery:
    """Freeze a delivery, and have a person approve it."""
    held = freeze(book, row, state_dir, now=now, size=size)
    book.deliveries.approve(held, who="mira", now=now)
    return book.deliveries.get(row.id)


def claimed(
    book: ledger.Ledger, row: records.Delivery, *, owner: str = "w1", now: dt.datetime = NOW
) -> queue.Claim:
    claim = book.deliveries.claim(row, owner=owner, lease=LEASE, now=now)
    if claim is None:
        raise LookupError(f"delivery {row.id} could not be claimed")
    return claim


def handed(
    book: ledger.Ledger, row: records.Delivery, *, owner: str = "w1", now: dt.datetime = NOW
) -> queue.Claim:
    """Claim a delivery and write down that its last byte is about to leave."""
    claim = claimed(book, row, owner=owner, now=now)
    book.deliveries.hand_over(claim, lease=LEASE, who=owner, sha256="0" * 64, now=now)
    return claim


def mail(content: bytes) -> built.Built:
    """Return bytes as a mail that is ready to be handed over."""
    headers = email.message_from_bytes(content)
    return built.of(str(headers["Message-ID"] or ""), [content])


def reply(outcome: model.Outcome = model.Outcome.DONE, **more: Any) -> model.Reply:
    known: dict[str, Any] = {"outcome": outcome, "phase": "dot", "code": 250}
    return model.Reply(**(known | more))


# --- behind the ledger's back --------------------------------------------------------------------


def sql(book: ledger.Ledger, text: str, **values: Any) -> None:
    """Write to the database without the ledger knowing."""
    with book._db.engine.begin() as tx:
        tx.execute(sa.text(text), values)


def put(book: ledger.Ledger, thing: str, ident: int, **values: Any) -> None:
    """Set columns of a delivery or a post."""
    table = tables.deliveries if thing == "delivery" else tables.posts
    with book._db.engine.begin() as tx:
        tx.execute(sa.update(table).where(table.c.id == ident).values(values))


def audit(book: ledger.Ledger, thing: str = "", ref: object = "") -> list[tuple[str, str]]:
    """The moves in the audit log: (old, new)."""
    return [
        (row.old, row.new)
        for row in book.audit.since()
        if (not thing or row.thing == thing) and (not ref or row.ref == str(ref))
    ]
