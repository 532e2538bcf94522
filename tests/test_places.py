from __future__ import annotations

import pathlib
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deliverybot import errors, places

TEXT = '''\
# [not] a table
title = "x"            # title = "y"
"quoted key" = 1
'literal' = 2
long = """
[mail]
port = 1 ] " still inside
"""
raw = \'\'\'
[also.not]
\'\'\'
list = [
  1, # ] a comment
  "]",
]
after = { inner = [1, 2], "x" = "}" }
a.b.c = 3

[mail]
port = 25
  [mail.timeouts]
  connect = 3
[ outlets . "x-main" ]
kind = "x"

[[targets]]
id = "one"
[[targets]]
id = "two"
email = "a@b.example"
[targets.more]
deep = 1
[[targets.notes]]
text = "first"
[[targets.notes]]
text = "second"
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), 2),
        (("quoted key",), 3),
        (("literal",), 4),
        (("long",), 5),
        (("raw",), 9),
        (("list",), 12),
        (("list", 1), 12),
        (("after",), 16),
        (("after", "inner", 0), 16),
        (("a", "b", "c"), 17),
        (("a", "b"), 17),
        (("mail",), 19),
        (("mail", "port"), 20),
        (("mail", "host"), 19),
        (("mail", "timeouts"), 21),
        (("mail", "timeouts", "connect"), 22),
        (("outlets", "x-main", "kind"), 24),
        (("outlets", "x-main", "gone"), 23),
        (("targets", 0), 26),
        (("targets", 0, "email"), 26),
        (("targets", 1, "email"), 30),
        (("targets", 1, "more", "deep"), 32),
        (("targets", 1, "notes", 1, "text"), 36),
        (("targets", 7, "email"), 26),
        (("nothing",), 1),
        ((), 1),
    ],
)
def test_a_key_is_found_where_it_stands(path: places.Path, line: int) -> None:
    assert tomllib.loads(TEXT)
    assert places.locate(TEXT, path) == line


@given(st.text(st.sampled_from("[]{}=.,#\"'\\\n ab1"), max_size=60))
def test_any_text_can_be_searched(text: str) -> None:
    assert 1 <= places.locate(text, ("a", "b")) <= text.count("\n") + 1


@given(
    st.dictionaries(
        st.text(st.sampled_from("ab.]\"'# -"), min_size=1, max_size=5),
        st.text(st.sampled_from("ab[]=\"'#{}\\"), max_size=8),
        min_size=1,
        max_size=6,
    )
)
def test_every_key_of_a_written_text_is_found_on_its_line(table: dict[str, str]) -> None:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    text = "[ t ]\n" + "".join(f"{quoted(k)} = {quoted(v)}\n" for k, v in table.items())
    assert tomllib.loads(text)["t"] == table
    for at, name in enumerate(table):
        assert places.locate(text, ("t", name)) == at + 2


@pytest.mark.parametrize(
    ("word", "meant"),
    [("adress", "address"), ("Adress", "address"), ("prot", "port"), ("zzz", None), ("", None)],
)
def test_the_nearest_word(word: str, meant: str | None) -> None:
    assert places.nearest(word, ["address", "port", "host"]) == meant


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('a = 1\nb = "open\n', 2),
        ("a = 1\na = 2\n", 2),
        ("a = 1\n\n[mail\n", 3),
        ("x = yes\n", 1),
        ("a = [1,\n2", 2),
    ],
)
def test_broken_toml_is_one_fault_with_its_line(text: str, line: int) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        places.parse(text, "config.toml")
    (fault,) = caught.value.faults
    assert (fault.file, fault.line) == ("config.toml", line)
    assert fault.what.startswith("this is not TOML: ")
    assert fault.hint
    assert "(at line" not in fault.what


def test_lists_become_tuples_everywhere() -> None:
    assert places.parse("a = [1, [2]]\nb = {c = [3]}", "f") == {"a": (1, (2,)), "b": {"c": (3,)}}


def test_a_file_that_is_not_there_is_a_fault_with_the_hint(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        places.read(tmp_path / "config.toml", missing="deliverybot init writes one")
    assert caught.value.faults[0].hint == "deliverybot init writes one"


def test_a_file_in_another_encoding_is_a_fault_with_its_line(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b'a = 1\nname = "M\xfcller"\n')
    with pytest.raises(errors.ConfigError) as caught:
        places.read(file)
    assert (caught.value.faults[0].line, caught.value.faults[0].hint) == (2, "save it as UTF-8")


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b"\xef\xbb\xbfa = 1\r\nb = 2\r\n")
    text = places.read(file)
    assert places.parse(text, "f") == {"a": 1, "b": 2}
    assert places.locate(text, ("b",)) == 2
