"""The envelope's token: there and back, and nothing else taken for one."""

from __future__ import annotations

import hashlib

import hypothesis
import hypothesis.strategies as st
import pytest

from deliverybot.mail import mailbox, verp

ID = "<face.m100.v1.0123456789abcdef@campaigns.example>"
HASH = hashlib.sha256(ID.encode()).hexdigest()[:10]
SENDER = f"bounces+d12.3.{HASH}@campaigns.example"


def test_the_sender_names_delivery_part_and_message() -> None:
    assert verp.sender("bounces@campaigns.example", 12, 3, ID) == SENDER
    assert verp.token(12, 3, ID) == f"d12.3.{HASH}"
    assert mailbox.address(SENDER) == SENDER


@pytest.mark.parametrize(
    "text", [SENDER, f"<{SENDER}>", SENDER.upper(), f" {SENDER} ", SENDER.replace("s+", "s+x+")]
)
def test_an_address_that_came_back_is_read(text: str) -> None:
    token = verp.parse(text)
    assert token == verp.Token(ident=12, part=3, check=HASH)
    assert token.fits(ID)
    assert not token.fits(ID.replace("v1", "v2"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "bounces@campaigns.example",
        f"d12.3.{HASH}@campaigns.example",
        f"+d12.3.{HASH}@campaigns.example",
        f"bounces+d12.3.{HASH}",
        f"bounces+d0.3.{HASH}@campaigns.example",
        f"bounces+d012.3.{HASH}@campaigns.example",
        f"bounces+d-1.3.{HASH}@campaigns.example",
        f"bounces+d12.{HASH}@campaigns.example",
        f"bounces+d12.3.{HASH}0@campaigns.example",
        f"bounces+d12.3.{HASH[:-1]}g@campaigns.example",
        f"bounces+d\u0661.3.{HASH}@campaigns.example",
        f"bounces+d{'9' * 40}.3.{HASH}@campaigns.example",
    ],
)
def test_any_other_address_names_nothing(text: str) -> None:
    assert verp.parse(text) is None


@hypothesis.settings(database=None)
@hypothesis.given(
    ident=st.integers(1, 2**63 - 1), part=st.integers(0, 999_999), message_id=st.text(max_size=80)
)
def test_every_token_comes_back(ident: int, part: int, message_id: str) -> None:
    text = verp.token(ident, part, message_id)
    token = verp.read(text)
    assert token is not None
    assert (token.ident, token.part, token.fits(message_id)) == (ident, part, True)
    assert verp.parse(verp.sender("b@c.example", ident, part, message_id)) == token
    assert len(f"bounces+{text}") <= 64


@hypothesis.settings(database=None)
@hypothesis.given(st.text())
def test_no_text_is_too_wild(text: str) -> None:
    assert verp.read(text) is None
    assert verp.parse(text + "@c.example") is None
