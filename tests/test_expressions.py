"""JMESPath in settings: what is taken, what is refused, and what it may cost."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deliverybot import expressions


@pytest.mark.parametrize(
    ("text", "value", "found"),
    [
        ("a.b", {"a": {"b": 5}}, 5),
        ("a.b", {"a": None}, None),
        ("a.b", [1], None),
        ("[0].n", [{"n": 1}], 1),
        ('"Full Name"', {"Full Name": "Ada"}, "Ada"),
        ("join(' ', [first, last])", {"first": "Ada", "last": "Ex"}, "Ada Ex"),
        ("sum([a, b])", {"a": 1, "b": 2}, 3),
        ("a || b", {"a": None, "b": 2}, 2),
        ("a || b", {"a": 0, "b": 2}, 0),
        ("rows[?ok].n | [0]", {"rows": [{"ok": False, "n": 1}, {"ok": True, "n": 2}]}, 2),
        ("not_null(a, b, c)", {"c": 1}, 1),
        ("@", [1], [1]),
    ],
)
def test_what_is_found(text: str, value: object, found: object) -> None:
    expressions.check(text)
    assert expressions.find(text, value) == found


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("a.", "at its end"),
        ("Full name", "from its letter 6 on: 'name'"),
        ("a + b", "from its letter 3 on"),
        ("a[", "at its end"),
        ("nosuch(a)", "no function nosuch()"),
        ("join(a)", "join() takes 2 values, not 1"),
        ("length(a, b)", "length() takes 1 values, not 2"),
        ("a" * 501, "501 letters"),
        (".".join("a" * 99), "parts"),
        ("[@,@][]|[@,@][]|[@,@][]|[@,@][]", "makes 4 lists"),
        ("[" + ",".join("a" * 13) + "]", "more than 12 entries"),
        ("`{`", "backticks"),
    ],
)
def test_what_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        expressions.check(text)


@pytest.mark.parametrize("text", ["!" * 400 + "a", "a[?" * 90 + "b" + "]" * 90])
def test_nesting_is_bounded(text: str) -> None:
    with pytest.raises(ValueError, match=r"nested|parts"):
        expressions.check(text)


@pytest.mark.parametrize("text", ["abs(a)", "sum(a)", "sort(a)", "join(',', a)", "keys(a)"])
@pytest.mark.parametrize("value", [None, "secret", ["secret", 1], 5])
def test_a_function_that_cannot_work_says_so_without_the_value(text: str, value: object) -> None:
    if text == "abs(a)" and value == 5:
        return
    with pytest.raises(ValueError, match="cannot be used") as caught:
        expressions.find(text, {"a": value})
    assert "secret" not in str(caught.value)


def test_what_an_expression_makes_of_an_answer_is_bounded() -> None:
    """The worst that is taken: three times twelve of everything, one in the other."""
    twelve = "[" + ",".join("@" * 12) + "][]"
    found = expressions.find("|".join([twelve] * 3), [1])
    assert isinstance(found, list)
    assert len(found) == 12**3


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=8,
)


@given(st.text(alphabet="ab.[]*?|&@(){}'\"`!=<>,: 01_-\\é\ud800", max_size=30), JSON)
def test_no_text_and_no_answer_breaks_it(text: str, value: object) -> None:
    """A fault in words or a value; never another exception."""
    with contextlib.suppress(ValueError):
        expressions.check(text)
        expressions.find(text, value)
