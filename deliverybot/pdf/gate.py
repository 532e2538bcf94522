"""The gate: every listed signer's number is on the finished pages, and every page can be read.

Some engines lose a signer in some thousand without a word, so what was made is
read again by another program than the one that wrote it, whatever the engine.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import pathlib
import re
import unicodedata
import warnings
from collections.abc import Sequence
from typing import Any

import pikepdf

from deliverybot import errors
from deliverybot.pdf import volume

#: A signer's first line: blanks as wide as a digit, the number, the gap (`setter`, `plain`).
_NUMBER = re.compile(rb"\x01*([0-9]+)\x02")
#: All operators of content streams (ISO 32000-1, table 51).
_OPERATORS = frozenset(
    "b B b* B* BDC BMC BT BX c cm CS cs d d0 d1 Do DP EMC ET EX f F f* G g gs h i j J K k l m M MP "
    "n q Q re RG rg ri s S SC sc SCN scn sh T* Tc Td TD Tf Tj TJ TL Tm Tr Ts Tw Tz v w W W* y "
    "' \"".split()
) | {"INLINE IMAGE"}
#: A number at the start of a line of extracted text; beside names from right to left, at its end.
_LISTED = re.compile(r"^\s*([0-9]+)(?=\s)", re.MULTILINE)
_AT_THE_END = re.compile(r"([0-9]+)\s*$", re.MULTILINE)
_RIGHT_TO_LEFT = re.compile(
    "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]"
)


def numbers(page: bytes) -> list[int]:
    """Parse a page of a volume, not deflated, and return the numbers of its signers.

    Raises LetterError where an operator cannot be read.
    """
    with pikepdf.new() as holder:
        lines = [
            bytes(operands[0])
            for operands, operator in _parsed(pikepdf.Stream(holder, page))
            if operator == "'"
        ]
        heads = map(_NUMBER.match, lines)
        return [int(head[1]) for head in heads if head]


def complete(found: Sequence[int], wanted: range, what: str) -> None:
    """Raise LetterError unless each wanted number was found exactly once."""
    if sorted(found) == list(wanted):
        return
    lost = sorted(set(wanted) - set(found))
    told = f"number {lost[0]} and {len(lost) - 1} more are not" if lost else "some are twice"
    raise _closed(f"{what} has {len(found)} of {len(wanted)} signers: {told} on its pages")


def bound(path: pathlib.Path, volumes: Sequence[volume.Volume], files: int = 0) -> int:
    """Read a finished PDF: the front's pages parse, the volumes' pages are those that were counted.

    `files` is how many files it carries.  Returns its number of pages; raises
    LetterError where anything differs.
    """
    for one, after in itertools.pairwise(volumes):
        if after.first != one.last + 1:
            raise _closed(f"volume {after.number} does not follow volume {one.number}")
    with _opened(path) as pdf:
        listed = [page for one in volumes for page in one.pages]
        front = len(pdf.pages) - len(listed)
        if front < 1 or len(pdf.attachments) != files:
            raise _closed("the finished PDF has not the pages or the files that it was bound from")
        for at, page in enumerate(pdf.pages):
            if at < front:
                page.contents_coalesce()
                _parsed(page.obj.Contents)
                continue
            content = page.obj.Contents.read_raw_bytes()
            if hashlib.sha256(content).hexdigest() != listed[at - front].sha256:
                raise _closed(f"page {at + 1} is not the page that was typeset")
        return len(pdf.pages)


def printed(path: pathlib.Path, count: int) -> None:
    """Read the text of a PDF that is typeset as a whole: the numbers 1 to `count` are in its list.

    Raises LetterError where one is missing.
    """
    import pypdfium2  # noqa: PLC0415 - only letters with a list in them need it

    with contextlib.closing(pypdfium2.PdfDocument(path)) as document:
        pages = []
        for page in document:
            with contextlib.closing(page.get_textpage()) as text:
                pages.append(text.get_text_range())
    # Readers take a mark in its own place for a word of its own, before a number or behind it.
    whole = "".join(char for char in "\n".join(pages) if unicodedata.category(char)[0] != "M")
    found = set(_LISTED.findall(whole))
    if _RIGHT_TO_LEFT.search(whole):
        found.update(_AT_THE_END.findall(whole))
    lost = [number for number in range(1, count + 1) if str(number) not in found]
    if lost:
        more = f" and {len(lost) - 1} more are" if len(lost) > 1 else " is"
        raise _closed(f"number {lost[0]} of {count} signers{more} not on its pages")


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Any:  # noqa: ANN401 - pikepdf's document
    try:
        with pikepdf.open(path) as pdf:
            yield pdf
    except pikepdf.PdfError as error:
        raise _closed(f"the finished PDF cannot be read: {error}") from error


def _parsed(page: pikepdf.Stream) -> list[tuple[Any, str]]:
    """Parse a page into operands and operators; a word that is no operator is refused.

    Of a stream, not of a page, pikepdf warns where it ends within a string or an operation.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = pikepdf.parse_content_stream(page)
        parsed = [(one.operands, str(one.operator)) for one in found]
    except (pikepdf.PdfError, UserWarning) as error:
        raise _closed(f"a page cannot be read: {error}") from error
    if unknown := {operator for _, operator in parsed} - _OPERATORS:
        raise _closed(f"a page has the unknown operator {min(unknown)!r}")
    return parsed


def _closed(what: str) -> errors.LetterError:
    hint = "this is a fault in deliverybot, please report it; nothing was sent"
    return errors.LetterError([errors.Fault(level="fault", what=what, hint=hint)])
