"""What a person is told to look at twice in a comment."""

from __future__ import annotations

import pytest

from deliverybot import cautions


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Please stop. Now! It is 2026, and 3 of 4 agree (75 %).", []),
        ("Ça suffit… 请停止 توقفوا 🛑", []),
        ("They said no.So I sign.", ["link"]),
        ("Write to ada@mail.example", ["address or phone"]),
        ("ada (at) mail (dot) example", ["address or phone"]),
        ("ada ＠ mail", []),
        ("Call 0301 234 5678", ["address or phone", "long number"]),
        ("Call ٠٣٠١٢٣٤", ["long number"]),
        ("0 3 0 - 1 2 3", ["long number"]),
        ("See https://bad.example/x", ["link"]),
        ("See www.bad.example, or bad.example/x", ["link"]),
        ("Follow @ada_l", ["account"]),
        ("I wrote to […] twice", ["something was taken out"]),
    ],
)
def test_what_is_found(text: str, found: list[str]) -> None:
    assert cautions.of(text) == found


def test_the_signers_own_name_and_postcode_are_found() -> None:
    text = "Yours, ADA LOVELACE, hu1 2ab"
    assert cautions.of(text, name="Ada Lovelace", postcode="HU1 2AB") == [
        "own name", "own postcode",
    ]  # fmt: skip
    assert cautions.of("Ada is 12", name="Ada", postcode="12") == []
