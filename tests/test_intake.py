"""A million rows go a quick way: what comes of it is what the plainest way gives, row by row."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import itertools
import pathlib
import unicodedata
import zoneinfo
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import build
import postgres
from deliverybot import campaign as campaigns
from deliverybot import errors, ledger, model, screen, sources, suspicions
from deliverybot.ledger import bulk, tables
from deliverybot.screen import outputs
from deliverybot.sources import people

SECRET = b"k" * 32
PERMISSIONS = ("public", "to_target", "mail", "sms")
QUICKLY = settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
_slugs = (f"c{number}" for number in itertools.count())


url = postgres.each_url


# --- from signers to the list ------------------------------------------------------------------


@dataclasses.dataclass
class Plain:
    """The list as one would keep it in Python."""

    people: list[model.Signer] = dataclasses.field(default_factory=list)
    met: set[bytes] = dataclasses.field(default_factory=set)
    duplicates: int = 0

    def take(self, batch: list[model.Signer]) -> None:
        further = []
        for signer in batch:
            place = self._place(signer)
            if place is None:
                self.people.append(signer)
                continue
            further.append(signer)
            first = self.people[place]
            kept = {name: getattr(first, name) and getattr(signer, name) for name in PERMISSIONS}
            self.people[place] = first._replace(**kept)
        ids = {one.key_id for one in self.people}
        new = {one.key_id for one in further if one.key_id} - ids - self.met
        self.met |= {key for key in new if key}
        self.duplicates += len(new) + sum(one.key_id is None for one in further)

    def _place(self, signer: model.Signer) -> int | None:
        for field in ("key_id", "key_email"):
            key = getattr(signer, field)
            for place, one in enumerate(self.people):
                if key and getattr(one, field) == key:
                    return place
        return None


def a_signer() -> st.SearchStrategy[model.Signer]:
    keys = st.none() | st.integers(0, 9).map(lambda n: build.key(str(n)))
    texts = st.sampled_from(["", "Ada", "Zoë \\ Ñ", "\\N", "O'Neil; --", "名"])
    return st.builds(
        model.Signer,
        key_id=keys,
        key_email=keys,
        name=texts,
        city=texts,
        region=texts,
        country=texts,
        postcode=texts,
        comment=texts | st.just("one\n\ttwo\\."),
        signed_at=st.none() | st.just(build.NOW),
        public=st.booleans(),
        to_target=st.booleans(),
        mail=st.booleans(),
        sms=st.booleans(),
        flags=st.sampled_from([(), (), ("formula",), ("address", "target")]),
    )


def stored(book: ledger.Ledger, slug: str) -> list[tuple[Any, ...]]:
    columns = [tables.signatures.c[name] for name in (*model.Signer._fields[:13], "state")]
    query = (
        sa.select(tables.signatures.c.number, *columns)
        .join(tables.campaigns)
        .where(tables.campaigns.c.slug == slug)
        .order_by(tables.signatures.c.number)
    )
    with book._db.read() as tx:
        return [tuple(row) for row in tx.execute(query)]


def numbered(book: ledger.Ledger, slug: str, table: sa.Table) -> list[int]:
    query = sa.select(table.c.number).join(tables.campaigns).where(tables.campaigns.c.slug == slug)
    with book._db.read() as tx:
        return sorted(tx.scalars(query))


@QUICKLY
@given(st.lists(st.lists(a_signer(), max_size=8), min_size=1, max_size=4))
def test_batches_make_the_list_that_the_plainest_way_makes(
    book: ledger.Ledger, batches: list[list[model.Signer]]
) -> None:
    slug, plain = next(_slugs), Plain()
    for batch in batches:
        # Nobody can tell a signer without any key from another.
        batch[:] = [one for one in batch if one.key_id or one.key_email]
        build.take(book, batch, slug)
        plain.take(batch)
    expected = [
        (number, *one[:13], "flagged" if one.flags else "active")
        for number, one in enumerate(plain.people, 1)
    ]
    assert stored(book, slug) == expected
    standing = book.signatures.standing(slug)
    everybody = list(enumerate(plain.people, 1))
    named = [number for number, one in everybody if one.to_target and one.name and not one.flags]
    assert standing.signatures == standing.last_number == len(everybody)
    assert (standing.listed, standing.duplicates) == (len(named), plain.duplicates)
    flags = [number for number, one in everybody for _ in one.flags]
    assert numbered(book, slug, tables.flags) == flags


def test_known_signers_are_found_among_more_than_one_question_asks(book: ledger.Ledger) -> None:
    build.take(book, build.signers(1_700))
    again = book.signatures.take(
        "faces", build.signers(1_600, 200), wording=build.WORDING, cursor=None, now=build.NOW
    )
    assert (again.new, again.again, again.duplicates) == (99, 1_501, 0)


def test_a_known_signer_among_new_ones_leaves_no_gap(book: ledger.Ledger) -> None:
    """The first try, as if all were new, is taken back as a whole."""
    build.take(book, build.signers(5))
    for first in (6, 9, 12):
        build.take(book, [*build.signers(3, first), build.signer(2, to_target=False)])
    lines = list(book.signatures.lines("faces", 99))
    assert [line.number for line in lines] == list(range(1, 15))
    assert [line.name for line in lines] == [
        "" if number == 2 else f"Person {number}" for number in range(1, 15)
    ]
    standing = book.signatures.standing("faces")
    assert (standing.signatures, standing.listed, standing.duplicates) == (14, 13, 0)


def test_what_the_database_refuses_names_nobody(book: ledger.Ledger) -> None:
    """PostgreSQL quotes the row that COPY stopped at."""
    twice = [(1, build.key("x")), (1, build.key("x"))]
    build.take(book, [])
    with pytest.raises(errors.LedgerError) as caught, book._db.write() as tx:
        bulk.insert(tx, tables.duplicates, ("campaign_id", "key_id"), twice)
    assert build.key("x").hex() not in repr(caught.value) + str(caught.value)


# --- from rows to signers ----------------------------------------------------------------------

HEADING = (
    "Id",
    "Name",
    "Email",
    "Town",
    "Country",
    "Postcode",
    "Comment",
    "Signed",
    "Show",
    "Tell",
)
SECTION = """\
title = "Stop selling face recognition"
ask = "Stop every sale"
url = "https://campaigns.example/p/faces"
letter = "faces"
timezone = "Europe/Berlin"
[source]
kind = "csv"
path = "faces.csv"
every = "5m"
[source.columns]
id = "Id"
name = "Name"
email = "Email"
city = "Town"
country = "Country"
postcode = "Postcode"
comment = "Comment"
signed_at = "Signed"
public = "Show"
to_target = "Tell"
[consent]
wording = "consent.txt"
[[milestones]]
at = [100]
[[targets]]
id = "ceo"
name = "Jordan Vale"
email = "ceo@cloud.example"
salutation = "Dear Ms. Vale,"
"""


@pytest.fixture
def campaign(tmp_path: pathlib.Path) -> campaigns.Campaign:
    (tmp_path / "consent.txt").write_text("I agree.")
    (tmp_path / "faces.toml").write_text(SECTION)
    return campaigns.load(tmp_path / "faces.toml")


def texts() -> st.SearchStrategy[str]:
    known = st.sampled_from([
        "Ada Example", "Ada  Example ", "Олена Щербенко", "Zoe\u0308", "\u202eAda", "नेहा", "山田",
        "ada@inbox.example", "call 030 1234 5678 90", "10.0.0.1", "fe80:1:2:3:", "Leeds", "A0 1XY",
        "１２３４５６７８９", "Jordan Vale", "=cmd()", "x.example/y", "12345678", "a:b:c:d:",
    ])  # fmt: skip
    return known | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"))


def a_row() -> st.SearchStrategy[tuple[str, ...]]:
    mails = st.sampled_from([
        "", "ada@inbox.example", "Ada+x@Inbox.example ", "a.d.a@gmail.com", "ada@bücher.example",
        "ada@inbox.example.", "no address", "ada@-x.example", "ＡＤＡ@inbox.example", "a b@c.test",
    ])  # fmt: skip
    times = st.sampled_from([
        "", "2026-11-22T00:50:00Z", "2026-11-22 00:50", "1795302600", "20261122", "22.11.2026 9:00",
        "11/22/2026 9:00 PM", "1066-10-14", "2026-11-22T00:50:00+01:00", "soon", "²",
    ])  # fmt: skip
    answers = st.sampled_from(["", "yes", " Ja ", "no", "perhaps", "✓", "да"])
    ids = st.sampled_from(["", " ", "7", " 7 ", "ü8"])
    return st.tuples(
        ids, texts(), mails, texts(), texts(), texts(), texts(), times, answers, answers
    )


def hashed(kind: str, value: str) -> bytes:
    digest = hashlib.blake2b(digest_size=16, key=SECRET, person=b"deliverybot/key")
    for part in ("faces", kind, value):
        raw = part.encode()
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.digest()


def shown(text: str) -> str:
    """A clean text that may be printed, by the whole rule and no short cut."""
    if text.isascii() and not any(char == "@" or char.isdecimal() for char in text):
        return text
    return "" if outputs._PRIVATE.search(unicodedata.normalize("NFKC", text)) else text


def plainly(row: tuple[str, ...], number: int, watch: suspicions.Watch) -> model.Signer | None:
    """A row's signer, made with no memory and no short cut."""
    id_, name, email, town, country, code, comment, signed, show, tell = row
    if not (name.strip() or id_.strip() or email.strip() or signed.strip()):
        return None
    at = people.when(signed, zoneinfo.ZoneInfo("Europe/Berlin"))
    address = screen.normalise_email(email)
    key_email = hashed("email", address) if address else None
    clean = [screen.clean(text) for text in (name, town)]
    clean += [screen.clean(code, 32), screen.clean(country)]
    if id_.strip():
        key_id: bytes | None = hashed("id", id_.strip())
    elif key_email:
        key_id = hashed("mailed", f"{key_email.hex()}\n{at}") if at else None
    elif at is None:
        key_id = hashed("row", str(number))
    else:
        key_id = hashed("seen", "\n".join([*clean, at.isoformat()]))
    public, to_target = (
        word.strip().casefold() in {"yes", "ja", "✓", "да"} for word in (show, tell)
    )
    return model.Signer(
        key_id=key_id,
        key_email=key_email,
        name=shown(clean[0]),
        city=shown(clean[1]),
        country=shown(clean[3]),
        postcode=shown(clean[2]),
        comment=screen.without_private(screen.clean_block(comment)),
        signed_at=at,
        public=public,
        to_target=to_target,
        flags=suspicions.of(shown(clean[0]), targets=watch) if public or to_target else (),
    )


@QUICKLY
@given(st.lists(a_row(), min_size=1, max_size=12), st.integers(1, 5))
def test_rows_make_the_signers_that_the_plainest_way_makes(
    campaign: campaigns.Campaign, rows: list[tuple[str, ...]], page: int
) -> None:
    file = campaign.file.parent / "faces.csv"
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened, quoting=csv.QUOTE_ALL)
        writer.writerows([HEADING, *rows])
    batches = sources.read(
        campaign, cursor=None, secret=SECRET, now=build.NOW.replace(year=2099), batch=page
    )
    found = [signer for batch in batches for signer in batch.signers]
    watch = suspicions.watch(campaign.targets)
    full = [row for row in rows if any(cell.strip() for cell in row)]
    expected = [plainly(row, number, watch) for number, row in enumerate(full, 1)]
    assert found == [signer for signer in expected if signer]
