"""Cleaning: other people's text becomes printable lines, to a fixed point."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

#: Combining marks that may stand on one base; Vietnamese, Thai, Hebrew need three at most.
MARKS = 4
#: Marks kept before normalising: CPython sorts a run of marks in quadratic time (UAX 15 names 30).
_RAW_MARKS = 30

_DROPPED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
JOINERS = "\u200c\u200d"
_ZWJ = "\u200d"
#: Letters, marks and symbols that print as nothing: fillers, braille blank, object replacement.
_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufffc\U0001d159\U00016fe4")
_LINE_ENDS = re.compile("\r\n|[\n\r\v\f\x85\u2028\u2029]")
#: Scripts whose spelling uses the joiners: Arabic to Lao, Tibetan and Burmese, Khmer and Mongolian,
#: Balinese and its kin, Saurashtra to Meetei Mayek, Arabic forms, Adlam, the Brahmic supplements.
_JOINING = re.compile(
    "[\u0600-\u0eff\u0f00-\u109f\u1780-\u18af\u1a00-\u1aaf\u1b00-\u1c4f\ua800-\uabff"
    "\ufb50-\ufdff\ufe70-\ufefc\U0001e900-\U0001e95f\U00010d00-\U00010d3f\U00011000-\U00011fff]"
)
IDEOGRAPH = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
EAST_ASIAN = re.compile("[\u1100-\u11ff\u3041-\u30ff\u3130-\u318f\u31f0-\u31ff\uac00-\ud7ff]")
_SKIN = re.compile("[\U0001f3fb-\U0001f3ff]")
_FLAG = re.compile("[\U0001f1e6-\U0001f1ff]")
_JAMO_TAIL = re.compile("[\u1160-\u11ff\ud7b0-\ud7ff]")


def clean(text: str, limit: int = 255) -> str:
    """Return `text` as one printable line of at most `limit` code points.

    NFC; no controls, direction characters, surrogates, private or unassigned
    code points; invisible characters only where spelling needs them; at most
    `MARKS` marks a base; single blanks; cut between graphemes with "…".
    """
    if len(text) <= limit and _is_plain(text):
        return text
    return _settle(text, lambda raw: _cut(_line(raw), limit))


def clean_block(text: str, limit: int = 5000) -> str:
    """Return `text` cleaned line by line; at most one empty line in a row."""
    return _settle(text, lambda raw: _cut(_block(raw), limit))


def _settle(text: str, once: Callable[[str], str]) -> str:
    """Repeat `once` until nothing changes; ends, since each round only removes or composes."""
    while (result := once(text)) != text:
        text = result
    return text


#: Set aside when asking whether a name is letters only.
_BETWEEN_LETTERS = str.maketrans("", "", " -'.’")


def _is_plain(text: str) -> bool:
    """Tell whether nothing needs doing; a million rows go through here, most of them plain.

    Printable Latin below the combining marks is always NFC; elsewhere letters
    that are NFC already and no fillers are plain, too.
    """
    if not text.isprintable() or "  " in text or text[:1] == " " or text[-1:] == " ":
        return False
    if text.isascii() or max(text) < "\u0300":
        return True
    return (
        text.translate(_BETWEEN_LETTERS).isalpha()
        and _FILLERS.isdisjoint(text)
        and unicodedata.is_normalized("NFC", text)
    )


def _block(text: str) -> str:
    lines = [_line(line) for line in _LINE_ENDS.split(text)]
    return re.sub("\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


def _line(text: str) -> str:
    if _is_plain(text):
        return text
    normal = unicodedata.normalize("NFC", _printable(text))
    return " ".join(_in_context(normal).split())


def _printable(text: str) -> str:
    """Drop what never prints, turn every white space into a blank, shorten endless mark runs."""
    out: list[str] = []
    marks = 0
    for char in text:
        category = unicodedata.category(char)
        if char in JOINERS:
            out.append(char)
        elif category[0] == "Z" or char in "\t\n\r\v\f\x85":
            out.append(" ")
            marks = 0
        elif category in _DROPPED or char in _FILLERS:
            continue
        elif category[0] == "M":
            marks += 1
            if marks <= _RAW_MARKS:
                out.append(char)
        else:
            out.append(char)
            marks = 0
    return "".join(out)


def _in_context(text: str) -> str:
    """Keep marks, joiners and variation selectors only where their neighbours give them a use."""
    out: list[str] = []
    marks = 0
    for at, char in enumerate(text):
        before = out[-1] if out else " "
        if char in JOINERS:
            if _joins(char, before, text[at + 1 : at + 2]):
                out.append(char)
        elif _is_selector(char):
            if _selects(char, before):
                out.append(char)
        elif not _is_mark(char):
            out.append(char)
            marks = 0
        elif before != " ":
            marks += unicodedata.category(char) != "Mc"
            if marks <= MARKS:
                out.append(char)
    return "".join(out)


def _is_mark(char: str) -> bool:
    return unicodedata.category(char)[0] == "M"


def _is_selector(char: str) -> bool:
    return (
        "\ufe00" <= char <= "\ufe0f"
        or "\u180b" <= char <= "\u180f"
        or "\U000e0100" <= char <= "\U000e01ef"
    )


def _is_symbol(char: str) -> bool:
    return unicodedata.category(char) == "So"


def _selects(char: str, before: str) -> bool:
    """Tell whether a variation selector changes the look of the character before it."""
    if char in "\ufe0e\ufe0f":
        return _is_symbol(before) or before in "#*0123456789\u203c\u2049\u2194\u2934\u2935"
    if "\u180b" <= char <= "\u180f":
        return "\u1820" <= before <= "\u18aa"
    return IDEOGRAPH.match(before) is not None


def _joins(char: str, before: str, after: str) -> bool:
    """Tell whether a joiner does something: in Arabic, Indic and kindred spelling, or in emoji."""
    if _JOINING.match(before) and (_is_mark(before) or before.isalpha()):
        if after and _JOINING.match(after) and (_is_mark(after) or after.isalpha()):
            return True
        # Malayalam names written before Unicode 5.1 end in virama + ZWJ.
        return char == _ZWJ and unicodedata.combining(before) == 9  # noqa: PLR2004
    emoji = _is_symbol(before) or before == "\ufe0f" or _SKIN.match(before) is not None
    return char == _ZWJ and emoji and bool(after) and _is_symbol(after)


def _is_boundary(text: str, at: int) -> bool:
    """Tell whether a person would see two characters at `at`, not one cut in half."""
    before, after = text[at - 1], text[at]
    if before in JOINERS or after in JOINERS or _is_mark(after) or _is_selector(after):
        return False
    if _SKIN.match(after) or _JAMO_TAIL.match(after) or unicodedata.combining(before) == 9:  # noqa: PLR2004
        return False
    if _FLAG.match(before) and _FLAG.match(after):
        run = len(text[:at]) - len(text[:at].rstrip("".join(map(chr, range(0x1F1E6, 0x1F200)))))
        return run % 2 == 0
    return True


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    if limit <= 0:
        return ""
    at = limit - 1
    while at > 0 and not _is_boundary(text, at):
        at -= 1
    return text[:at].rstrip() + "…"


def first_grapheme(text: str) -> str:
    """Return what a person sees as the first character of a text."""
    return next((text[:at] for at in range(1, len(text)) if _is_boundary(text, at)), text)
