"""How long another machine asks to be left alone: the values that standards name, and odd ones."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies as st

import build
from deliverybot import retry_after

NOW = build.NOW.timestamp()
EPOCH = int(NOW)
RESET = "x-rate-limit-reset"


@pytest.mark.parametrize(
    ("asked", "wait"),
    [
        ("120", 120),
        (" 120\t", 120),
        ("007", 7),
        ("0", 1),
        ("86400", 86_400),
        ("86401", 86_400),
        ("3153600000", 86_400),
        ("9" * 25, 86_400),
        # The three forms of a date (RFC 9110, 5.6.7), of which the first is written today.
        ("Mon, 23 Nov 2026 15:01:30 GMT", 90),
        ("Monday, 23-Nov-26 15:01:30 GMT", 90),
        ("Mon Nov 23 15:01:30 2026", 90),
        ("Mon, 23 Nov 2026 14:00:00 GMT", 1),
        ("Mon, 23 Nov 2126 15:00:00 GMT", 86_400),
        ("Mon, 23 Nov 2026 16:01:30 +0100", 90),
        ("9" * 26, None),
        ("9" * 5000, None),
        ("-5", None),
        ("+5", None),
        ("1.5", None),
        ("1e3", None),
        ("0x10", None),
        ("1_000", None),
        ("120, 240", None),
        ("120s", None),
        ("٣٠", None),
        ("²", None),
        ("", None),
        ("soon", None),
        ("2026-11-23T15:05:00Z", None),
        ("Mon, 99 Nov 2026 15:00:00 GMT", None),
        ("Mon, 23 Nov 2026 25:00:00 GMT", None),
        ("Mon, 23 Nov 99999 15:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(asked: str, wait: float | None) -> None:
    assert retry_after.seconds({"retry-after": asked}, NOW) == wait


@pytest.mark.parametrize(
    ("reset", "wait"),
    [
        (str(EPOCH + 900), 900),
        (f" {EPOCH + 900} ", 900),
        (str(EPOCH), 1),
        ("1", 1),
        ("9" * 20, 86_400),
        ("2026-11-23T15:05:00.000Z", 300),
        ("2026-11-23T15:05:00.123456Z", 300.123456),
        ("2026-11-23T16:05:00+01:00", 300),
        ("2026-11-23T14:00:00Z", 1),
        ("9999-12-31T23:59:59-23:59", 86_400),
        ("0001-01-01T00:00:00+23:59", 1),
        ("2026-11-23T15:05:00", None),
        ("2026-11-23", None),
        ("9" * 2000, None),
        ("-1", None),
        ("tomorrow", None),
        ("", None),
    ],
)
def test_a_networks_own_field_is_a_time(reset: str, wait: float | None) -> None:
    found = retry_after.seconds({RESET: reset}, NOW, RESET)
    assert found == (None if wait is None else pytest.approx(wait))
    assert retry_after.seconds({RESET: reset}, NOW) is None


@pytest.mark.parametrize(
    ("asked", "reset", "wait"),
    [("7", 300, 300), ("300", 7, 300), ("soon", 7, 7), ("7", -9, 7), ("0", -9, 1)],
)
def test_of_two_waits_the_longer_counts(asked: str, reset: int, wait: float) -> None:
    headers = {"retry-after": asked, RESET: str(EPOCH + reset)}
    assert retry_after.seconds(headers, NOW, RESET) == wait


@hypothesis.given(asked=st.text(), reset=st.text())
def test_whatever_is_said_a_wait_has_its_bounds(asked: str, reset: str) -> None:
    found = retry_after.seconds({"retry-after": asked, RESET: reset}, NOW, RESET)
    assert found is None or retry_after.LEAST <= found <= retry_after.MOST
