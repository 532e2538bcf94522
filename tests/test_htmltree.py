"""Pages taken apart: whatever stands in them ends as a tree or as one kind of error."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deliverybot.sources import htmltree

TAGS = """<li> </li> <table> <tr> </table> <p> <b> </b> <select> <svg> <math> <!-- --> <![CDATA[ ]]>
<html> <head> <body> </body> <frameset> <noframes> <template> </template> <title> </head>"""
ODD = ["\0", "\ud800", "\ufffe", "é", "<", ">", '"', "x", " ", "<script>", "</html>", "<frameset>"]
HALF = ["<a href='", "'>", "<a b=c d>", "&amp;", "&#0;", "&#xD800;", "<?php", "<x:y>"]
PIECES = st.sampled_from([*TAGS.split(), *ODD, *HALF])


@settings(max_examples=500)
@given(st.one_of(st.text(), st.lists(PIECES, max_size=40).map("".join)))
def test_any_text_is_a_tree_or_no_page(text: str) -> None:
    with contextlib.suppress(htmltree.BadPageError):
        tree = htmltree.Tree(text, lambda: None)
        for one in tree.pick("li, tr > td, #x, [href]"):
            assert isinstance(htmltree.text_of(one.etree_element), str)
        assert tree.text == " ".join(tree.text.split())
        assert isinstance(tree.base, str)


@given(st.binary(), st.sampled_from(["", "utf-8", "latin1", "utf-16", "hex", "rot13", "idna", "x"]))
def test_any_bytes_are_a_text_or_no_page(raw: bytes, charset: str) -> None:
    with contextlib.suppress(htmltree.BadPageError):
        assert isinstance(htmltree.decoded(raw, charset), str)


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<td>10<td>241 people", "10 241 people"),
        ("<b>2</b><i>4</i>1", "241"),
        ("<p>a</p>b<br>c", "a b c"),
        ("<ul><li>a</li><li>b</li></ul>", "a b"),
        ("a<script>b</script><style>c</style><template>d</template>e", "a e"),
        ("a<!-- b -->c", "ac"),
        ("<html><body><p>a</body></html><p>b</p><html><body><p>c", "a b c"),
        ("a</html>b", "ab"),
        ("24\u00a0845\u2009x", "24 845 x"),
    ],
)
def test_text_is_what_a_browser_shows(page: str, text: str) -> None:
    assert htmltree.Tree(page, lambda: None).text == text


def test_rows_of_a_table_stand_in_a_body() -> None:
    tree = htmltree.Tree(
        "<table><tr><td>1<tr><td>2<tfoot><tr><td>3</table><table><tbody><tr><td>4", lambda: None
    )
    found = tree.pick("table > tbody > tr > td")
    assert [htmltree.text_of(one.etree_element) for one in found] == ["1", "2", "4"]
    assert len(tree.pick("table > tr")) == 0
    assert [one.etree_element.tag for one in tree.pick("table:first-child > *")] == [
        "tbody",
        "tfoot",
    ]


def test_a_stop_is_heard_while_a_page_is_taken_apart() -> None:
    class Stop(Exception):
        pass

    calls = []

    def tick() -> None:
        calls.append(1)
        if len(calls) > 3:
            raise Stop

    with pytest.raises(Stop):
        htmltree.Tree("<li>x</li>" * 100_000, tick)
