from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deliverybot import errors
from deliverybot.sources import counting

WHERE = "https://petitions.example/p/1"
ZEROS = [chr(n) for n in range(0x20000) if unicodedata.decimal(chr(n), None) == 0]
BLANKS = [chr(n) for n in range(0x20000) if unicodedata.category(chr(n)) == "Zs"]
MARKS = [",", ".", "'", "’", "٬", "，", "．", *BLANKS]
NUMBERS = st.integers(0, counting.MOST)


def in_thousands(n: int, mark: str) -> str:
    return f"{n:,}".replace(",", mark)


def in_lakhs(n: int) -> str:
    digits = str(n)
    head, tail = digits[:-3], digits[-3:]
    pairs = [head[max(0, end - 2) : end] for end in range(len(head), 0, -2)][::-1]
    return ",".join([*pairs, tail])


def in_script(text: str, zero: str) -> str:
    return "".join(chr(ord(zero) + int(c)) if c in "0123456789" else c for c in text)


@given(
    NUMBERS,
    st.sampled_from(MARKS),
    st.sampled_from(ZEROS),
    st.sampled_from(["", " ", "\n\t", "\u200e", "\u2067", "\u00a0", "\ufeff"]),
)
def test_a_number_reads_as_itself_in_every_grouping(
    n: int, mark: str, zero: str, margin: str
) -> None:
    for text in (str(n), in_thousands(n, mark), in_lakhs(n)):
        assert counting.written(margin + in_script(text, zero) + margin, WHERE) == n


@given(NUMBERS)
def test_a_whole_number_is_itself_and_so_are_its_digits(n: int) -> None:
    assert counting.whole(n, WHERE) == n
    assert counting.whole(str(n), WHERE) == n


TEXT = st.one_of(
    st.text(),
    st.text(st.sampled_from([*"0123456789,.' -+kKM%/\n", "٣", "३", "²", "½", "\u00a0", "\u200b"])),
    st.from_regex(r"[0-9]{1,3}([,. ][0-9]{1,4}){0,4}", fullmatch=True),
)


@given(TEXT)
@example("1,23,4567")
@example("1,2345")
@example("12,34,567 ")
def test_any_other_text_is_refused_and_nothing_else_happens(text: str) -> None:
    try:
        n = counting.written(text, WHERE)
    except errors.SourceError:
        return
    # What reads must be one of the forms that this very number has.
    cf = "".join(c for c in set(text) if c.isspace() or unicodedata.category(c) == "Cf")
    bare = "".join(str(unicodedata.decimal(c, c)) for c in text.strip(cf))
    forms = {in_thousands(n, mark) for mark in MARKS} | {
        in_lakhs(n),
        in_lakhs(n).replace(",", "，"),
    }
    assert bare in forms or (bare.isascii() and bare.isdigit() and int(bare) == n)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(VALUES)
def test_any_other_value_is_refused_and_nothing_else_happens(value: object) -> None:
    try:
        n = counting.whole(value, WHERE)
    except errors.SourceError:
        return
    assert type(value) in {int, str}
    assert isinstance(value, int) or re.fullmatch("[0-9]+", str(value))
    assert int(str(value)) == n
    assert 0 <= n <= counting.MOST


@pytest.mark.parametrize(
    "text",
    """
    1.2k|1.2|2,5 million|2.5 million|-5|−5|+5|~500|24,845+|1e5|0x10|1_000|24845 of 50000|24,845 845
    1,234.567|1.234,567|1,234,56|1,23|12,3456|1,2345|0,123|01,234|,123|123,|1,,234|1  234|1\t234
    1\n234|24 845 signatures|١٢3|²|½|Ⅻ|五|1\u200b234|NaN|Infinity|12 34|2 000 000 001|1.000.0
    1,00,00|1,00,0000|1.00.000|1 00 000|241 Signatures|99999999999999999999999999999999999999999
    """.strip().replace("\n    ", "|").split("|"),
)  # fmt: skip
def test_what_is_not_one_number_is_refused(text: str) -> None:
    with pytest.raises(errors.SourceError, match="no certain count"):
        counting.written(text, WHERE)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (True, "is true;"),
        (None, "is missing"),
        (1.0, "is 1.0;"),
        (float("nan"), "is nan;"),
        (-1, "is -1;"),
        (10**10 + 1, "is more than 2000000000;"),
        (int.from_bytes(b"9" * 5000), "is more than 2000000000;"),
        (-int.from_bytes(b"9" * 5000), "is less than -2000000000;"),
        ("", "is an empty text;"),
        ("24,845", "is '24,845';"),
        (" 5", "is '5';"),
        ("٣", "is '٣';"),
        ("2" * 30, "is more than 2000000000;"),
        ([1], "is a list;"),
        ({"n": 1}, "is an object;"),
        (b"5", "of the type bytes;"),
    ],
    ids=range(16),
)
def test_the_error_says_what_stood_there(value: object, said: str) -> None:
    with pytest.raises(errors.SourceError) as caught:
        counting.whole(value, WHERE)
    assert said in str(caught.value)
    assert caught.value.file == WHERE
    assert "whole number" in caught.value.hint


def test_the_error_tells_no_private_data_and_not_too_much() -> None:
    text = "write to ada.lovelace@mail.example or +44 20 7946 0000\x1b[2J\u202e" + "x" * 100_000
    with pytest.raises(errors.SourceError) as caught:
        counting.written(text, WHERE)
    said = str(caught.value)
    assert "lovelace" not in said
    assert "7946" not in said
    assert said.isprintable()
    assert len(said) < 200
