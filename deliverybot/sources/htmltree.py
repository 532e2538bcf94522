"""A web page as a tree of elements: what a browser would show, within limits.

lxml splits the text into tags; the tree is the standard library's, so that a
page that is built to be slow, deep or huge ends as an error and not as a crash.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from xml.etree import ElementTree as ET

import cssselect2
from lxml import etree

from deliverybot.origins import selecting

#: Elements, attributes and depth of one page; real ones have some thousands, and a depth of 40.
ELEMENTS, ATTRIBUTES, DEPTH = 500_000, 1_000_000, 400
#: Sum of the depths of all elements: what a search among their ancestors costs.
WEIGHT = 20_000_000
_PIECE = 1 << 16
_OFTEN = 1000
_HEAD = 4096

#: Elements that stand within a line; between others there is a blank at least.
_INLINE = frozenset(
    "a abbr b bdi bdo big cite code data del dfn em font i ins kbd label mark q s samp small span "
    "strong sub sup time tt u var wbr".split()
)
#: There is one of each, and it goes to the end of the page.
_WHOLE = frozenset({"html", "body"})
#: Elements whose text nobody sees.
_UNSEEN = frozenset("head script style template noscript title textarea svg".split())
#: What browsers read under these names (WHATWG, Encoding, 4.2).
_LATIN = frozenset("ascii iso8859-1 latin-1 us-ascii".split())
_CHARSET = re.compile(
    rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE
)


class BadPageError(ValueError):
    """The page cannot be read; the text says why, to go on after "the page "."""


def decoded(raw: bytes, charset: str) -> str:
    """Return a page's text: by its mark, as HTTP says, as it says itself, else UTF-8.

    What is no letter in that encoding becomes U+FFFD, as in browsers.
    """
    for mark, name in ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le")):
        if raw.startswith(mark):
            return raw[len(mark) :].decode(name, "replace")
    said = _CHARSET.search(raw[:_HEAD])
    charset = charset or (said[1].decode() if said else "")
    if not charset:
        try:
            return raw.decode()
        except UnicodeDecodeError:
            charset = "cp1252"
    try:
        name = codecs.lookup(charset).name
        return raw.decode("cp1252" if name in _LATIN else name, "replace")
    except (LookupError, ValueError):
        raise BadPageError(f"names an encoding that is not known: {charset[:40]!r}") from None


class Tree:
    """The elements of one page."""

    def __init__(self, text: str, tick: Callable[[], None]) -> None:
        """Read a page; `tick` is called now and then and may raise.

        Raises:
            BadPageError: There is no page in it, or one beyond all measure.
        """
        self._tick = tick
        self._root = _parsed(text, tick)

    def pick(self, selector: str) -> list[Any]:
        """Return the elements that a selector picks, in their order on the page."""
        tests = selecting.tests(selector)
        return self._picked(self._wrapped(self._root).iter_subtree(), tests)

    def inside(self, element: Any, selector: str) -> list[Any]:  # noqa: ANN401 - untyped library
        """Return what a selector picks inside an element."""
        below = (one for one in element.iter_subtree() if one is not element)
        return self._picked(below, selecting.tests(selector))

    @property
    def text(self) -> str:
        """All text that can be seen."""
        return text_of(self._root)

    @property
    def base(self) -> str:
        """What the page says that its links begin from; may be empty."""
        found = self._root.find(".//base[@href]")
        return "" if found is None else found.get("href", "")

    def _wrapped(self, root: ET.Element) -> Any:  # noqa: ANN401
        return cssselect2.ElementWrapper.from_html_root(root)

    def _picked(self, elements: Iterable[Any], tests: Sequence[selecting.Test]) -> list[Any]:
        found = []
        for number, element in enumerate(elements):
            if number % _OFTEN == 0:
                self._tick()
            if any(test(element) for test in tests):
                found.append(element)
        return found


def text_of(element: ET.Element) -> str:
    """Return the text of an element on one line, as a browser would show it."""
    out: list[str] = []
    # Each part is a text, or an element that is still to be opened.
    todo: list[ET.Element | str] = [element]
    while todo:
        part = todo.pop()
        if isinstance(part, str):
            out.append(part)
            continue
        edge = "" if part.tag in _INLINE else " "
        todo.append(edge)
        if part.tag not in _UNSEEN:
            for child in reversed(part):
                todo += [child.tail or "", child]
            todo.append(part.text or "")
        out.append(edge)
    return " ".join("".join(out).split())


def _parsed(text: str, tick: Callable[[], None]) -> ET.Element:
    builder = _Builder()
    parser = etree.HTMLParser(target=builder, encoding="utf-8", huge_tree=True)
    # Whatever the page says of its encoding: it is decoded already.
    raw = text.encode("utf-8", "replace")
    try:
        for start in range(0, len(raw), _PIECE):
            tick()
            parser.feed(raw[start : start + _PIECE])
        root = parser.close()
    except (etree.LxmlError, AttributeError):
        root = None
    if any(one.level_name == "FATAL" for one in parser.error_log):
        raise BadPageError("is not to be read: it is too deep, or a part of it too long")
    if not isinstance(root, ET.Element):
        raise BadPageError("is empty, or no web page")
    _with_bodies(root)
    return root


def _with_bodies(root: ET.Element) -> None:
    """Put the rows of tables into <tbody>, as browsers do: selectors are copied from there."""
    for table in list(root.iter("table")):
        if not any(child.tag == "tr" for child in table):
            continue
        children, body = list(table), None
        for child in children:
            table.remove(child)
        for child in children:
            if child.tag != "tr":
                table.append(child)
                body = None
                continue
            if body is None:
                body = ET.SubElement(table, "tbody")
            body.append(child)


class _Builder:
    """Builds the tree from tags as they come."""

    def __init__(self) -> None:
        self._tree = ET.TreeBuilder()
        self._held: list[str] = []
        self._elements = self._attributes = self._depth = self._weight = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Open an element."""
        if tag in _WHOLE:
            if tag in self._held:
                return
            self._held.append(tag)
        self._elements += 1
        self._attributes += len(attributes)
        self._depth += 1
        self._weight += self._depth
        if self._elements > ELEMENTS or self._attributes > ATTRIBUTES or self._weight > WEIGHT:
            raise BadPageError(f"has more than {ELEMENTS} elements, or as much in other things")
        if self._depth > DEPTH:
            raise BadPageError(f"has elements within elements, more than {DEPTH} deep")
        self._tree.start(tag, dict(attributes))

    def end(self, tag: str) -> None:
        """Close an element; what stands behind the page belongs to it, as in browsers."""
        if tag in _WHOLE:
            return
        self._depth -= 1
        self._tree.end(tag)

    def data(self, text: str) -> None:
        """Add text."""
        self._tree.data(text)

    def comment(self, text: str) -> None:
        """Pass over what is no content."""

    def close(self) -> ET.Element:
        """Return the root."""
        for tag in reversed(self._held):
            self._tree.end(tag)
        return self._tree.close()
