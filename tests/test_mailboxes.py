"""One mailbox, however its address is written; and ledgers from before know their people still."""

from __future__ import annotations

import datetime as dt
import pathlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import build
from deliverybot import campaign as campaigns
from deliverybot import erasure, ledger, screen, signatures

KEY = b"k" * 32
NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
SOURCE = """\
[source]
kind = "csv"
path = "faces.csv"
every = "5m"
columns = { name = "name", email = "email", signed_at = "signed_at" }
"""
AT = dt.datetime(2026, 11, 1, 10, tzinfo=dt.UTC)

#: One mailbox a line.
SAME = """\
Ada.Hill@gmail.com adahill@gmail.com ada.hill+news@googlemail.com a.d.a.hill@GMAIL.COM.
ada@icloud.com ADA@me.com ada+x@mac.com
ada.hill@proton.me adahill@pm.me ada-hill@protonmail.com Ada_Hill+x@protonmail.ch
ada@fastmail.com ada+x@fastmail.com shop@ada.fastmail.com news+x@ada.fastmail.com
ada@fastmail.fm shop@ada.fastmail.fm
ada7@yahoo.com ADA7+x@yahoo.com
ada@outlook.com ada+x@outlook.com
ada@hotmail.com ada+x@hotmail.com
ada@live.com ADA+x@live.com
ada@bücher.example ada@xn--bcher-kva.example ada+1@BÜCHER.example.
"""
#: Two people's, each with each.
OTHERS = """\
ada@gmail.com ada@icloud.com ada@proton.me ada@fastmail.com ada@fastmail.fm ada@mail.example
ada.hill@outlook.com adahill@outlook.com ada-hill@outlook.com ada@hotmail.com ada@live.com
mary@yahoo.com mary-ann@yahoo.com mary-lou@yahoo.com mary-lou@yahoo.co.uk
ada-hill@mail.example ada-x@mail.example ada.hill@icloud.com
shop@ada.mail.example ada@shop.fastmail.com ada@me.com.example
"""


def now(address: str) -> str:
    box = screen.mailbox(address)
    assert box is not None
    return box.now


@pytest.mark.parametrize("line", SAME.splitlines())
def test_one_mailbox_has_one_form(line: str) -> None:
    assert len({now(address) for address in line.split()}) == 1


def test_two_peoples_addresses_stay_two() -> None:
    forms = [now(address) for address in OTHERS.split()]
    assert len(set(forms)) == len(forms)


@settings(max_examples=300)
@given(
    st.text(st.sampled_from("aB.+-_ß@1"), min_size=1, max_size=12),
    st.sampled_from("gmail.com me.com pm.me a.fastmail.com yahoo.com mail.example".split()),
)
def test_the_form_is_the_form_of_itself(local: str, domain: str) -> None:
    box = screen.mailbox(f"{local}@{domain}")
    assert (box is None) == (screen.normalise_email(f"{local}@{domain}") is None)
    if box is not None:
        assert box.plain in {box.now, *box.before}
        assert box.now not in box.before
        assert now(box.now) == box.now
        assert all(now(form) == box.now for form in box.before)


# --- ledgers from before -----------------------------------------------------------------------


@pytest.fixture
def book(book: ledger.Ledger) -> ledger.Ledger:
    book.know(KEY)
    return book


@pytest.fixture
def plan(tmp_path: pathlib.Path) -> campaigns.Campaign:
    return build.campaign(tmp_path, source=SOURCE)


def fill(book: ledger.Ledger, addresses: list[str]) -> None:
    """Take signers in as version 0.1.0 did: an address was known by its plain form alone."""
    old = []
    for n, address in enumerate(addresses, 1):
        plain = screen.key(KEY, "faces", "email", screen.normalise_email(address) or "")
        row = screen.key(KEY, "faces", "mailed", f"{plain.hex()}\n{AT}")
        old.append(build.signer(n, key_email=plain, key_id=row))
    build.take(book, old)


async def read(
    book: ledger.Ledger, plan: campaigns.Campaign, folder: pathlib.Path, *addresses: str
) -> tuple[int, int, int]:
    """Import these; new signers, further signatures of known ones, rows met before."""
    file = folder / "more.csv"
    lines = [f"Person {n},{one},{AT:%Y-%m-%dT%H:%M:%SZ}" for n, one in enumerate(addresses)]
    file.write_text("\n".join(["name,email,signed_at", *lines, ""]), encoding="utf-8")
    given = signatures.Import(file=file)
    reading = await signatures.read(book, plan, key=KEY, now=NOW, given=given)
    return reading.new, reading.duplicates, reading.again


EVERY = [address for line in SAME.splitlines() for address in line.split()[:1]]


async def test_a_ledger_from_before_meets_its_rows_again(
    book: ledger.Ledger, plan: campaigns.Campaign, tmp_path: pathlib.Path
) -> None:
    fill(book, EVERY)
    assert await read(book, plan, tmp_path, *EVERY) == (0, 0, len(EVERY))


@pytest.mark.parametrize(
    "pair",
    """\
ada@me.com ada@icloud.com|ada@mac.com ada@me.com|ada@icloud.com ada+x@mac.com
adahill@pm.me ada.hill@proton.me|ada-hill@pm.me ada-hill@protonmail.com
ada@fastmail.com shop@ada.fastmail.com|shop@ada.fastmail.fm ada@fastmail.fm
a.da@gmail.com ada@googlemail.com|ada+x@outlook.com ada@outlook.com""".replace("\n", "|").split(
        "|"
    ),
)
async def test_a_ledger_from_before_counts_nobody_twice(
    book: ledger.Ledger, plan: campaigns.Campaign, tmp_path: pathlib.Path, pair: str
) -> None:
    old, new = pair.split()
    fill(book, [old])
    known = 0 if new != "ada@fastmail.fm" else 1  # the words before the @ may be any
    assert (await read(book, plan, tmp_path, new))[0] == known
    assert book.signatures.standing("faces").held == 1 + known
    assert (await read(book, plan, tmp_path, old, new))[0] == 0


async def test_new_signers_are_known_under_every_spelling(
    book: ledger.Ledger, plan: campaigns.Campaign, tmp_path: pathlib.Path
) -> None:
    for line in SAME.splitlines():
        before = book.signatures.standing("faces").held
        assert (await read(book, plan, tmp_path, *line.split()))[0] == 1
        assert book.signatures.standing("faces").held == before + 1


async def test_whoever_is_erased_is_found_under_every_spelling(
    book: ledger.Ledger, plan: campaigns.Campaign, tmp_path: pathlib.Path
) -> None:
    fill(book, ["ada@mac.com"])
    await read(book, plan, tmp_path, "b.o@pm.me", "ada@icloud.com")
    for address, number in {"ada@me.com": 1, "bo@protonmail.com": 2}.items():
        assert [one.number for one in erasure.find(book, address)] == [number]
