"""What a host answered, as JSON: exactly, or not at all."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deliverybot import errors
from deliverybot.sources import answers


def answer(raw: bytes, kind: str = "", *, is_whole: bool = True) -> answers.Answer:
    return answers.Answer(
        status=200,
        headers={"content-type": kind} if kind else {},
        url="https://example.org/p",
        raw=raw,
        is_whole=is_whole,
    )


def test_what_may_be_cut_off_is_taken_only_where_it_shows_its_end() -> None:
    assert answer(b'{"count": 7}', is_whole=False).json() == {"count": 7}
    assert answer(b"120").json() == 120
    with pytest.raises(errors.SourceError, match="does not say where it ends"):
        answer(b"12", is_whole=False).json()


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"{'a': 1}", "not JSON"),
        (b'{"a": 1,}', "not JSON"),
        (b'{"a": 1} 2', "not JSON"),
        (b'{"a": 1, "a": 1}', "the key 'a' twice"),
        (b'[{"b": {"a\\u001b": 1, "a\\u001b": 2}}]', r"the key 'a\\x1b' twice"),
        (b"[NaN]", "beyond reason"),
        (b"-Infinity", "beyond reason"),
        (b"1" * 5000, "beyond reason"),
        (b"[" * 5000 + b"]" * 5000, "beyond reason"),
        (b"[" + b"[]," * 600_000 + b"0]", "more than 1,000,000 values"),
        ("{}".encode("utf-16"), "not UTF-8"),
        (b"<!doctype HTML><p>Log in", "web page"),
        (b"\xef\xbb\xbf<html>", "web page"),
    ],
    ids=range(15),
)
def test_json_is_strict(raw: bytes, says: str) -> None:
    with pytest.raises(errors.SourceError, match=says):
        answer(raw).json()


@given(st.binary(max_size=40) | st.text(alphabet='{}[]",:0123456789aeE+-. tfn\\u').map(str.encode))
def test_any_bytes_are_a_value_or_refused(raw: bytes) -> None:
    with contextlib.suppress(errors.SourceError):
        value = answer(raw).json()
        assert json.loads(json.dumps(value)) == value
