"""The one entrance for other people's text.

Names, places and comments are cleaned here once, to a fixed point, before
anything else sees them: ``clean(clean(x)) == clean(x)`` for every string,
broken ones included.  What is unassigned in the running Python's Unicode tables
counts as unprintable.  E-mail addresses become keyed hashes here.

Outputs still neutralise for themselves (`formula_safe`, `for_terminal`,
`has_header_risk`): what is harmless on paper may be an order elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from collections.abc import Callable, Sequence

#: Combining marks that may stand on one base; Vietnamese, Thai, Hebrew need three at most.
MARKS = 4
#: Marks kept before normalising: CPython sorts a run of marks in quadratic time (UAX 15 names 30).
_RAW_MARKS = 30

#: Of an answer with several lines; the SMTP library takes 32 kB of them.
_SAID_MAX = 40_000

_DROPPED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_JOINERS = "\u200c\u200d"
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
_IDEOGRAPH = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_EAST_ASIAN = re.compile("[\u1100-\u11ff\u3041-\u30ff\u3130-\u318f\u31f0-\u31ff\uac00-\ud7ff]")
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
        if char in _JOINERS:
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
        if char in _JOINERS:
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
    return _IDEOGRAPH.match(before) is not None


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
    if before in _JOINERS or after in _JOINERS or _is_mark(after) or _is_selector(after):
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


def _first_grapheme(text: str) -> str:
    return next((text[:at] for at in range(1, len(text)) if _is_boundary(text, at)), text)


_TITLES = frozenset("dr prof mr mrs ms mx rev sir dame fr hon herr frau mme mlle sr sra".split())
_SUFFIXES = frozenset("jr sr ii iii iv phd md esq mbe obe".split())


def shown_name(name: str, style: str) -> str:
    """Return a clean name as the list may show it: ``full``, ``initial`` or ``first``.

    ``initial`` keeps the given names and the first letter of the last word
    ("Ada L."), ``first`` the first word; titles and "Jr." are left out and
    "Lovelace, Ada" is turned round.  A single word stays.  East Asian names
    begin with the family name and often have no blank: both styles show the
    first character and two circles, as newspapers there do.
    """
    if style == "full" or not name:
        return name
    if _IDEOGRAPH.match(name) or _EAST_ASIAN.match(name):
        return _first_grapheme(name) + "○○"
    words = _words(name)
    if style == "first" or len(words) == 1:
        return words[0]
    return " ".join([*words[:-1], _first_grapheme(words[-1]) + "."])


def _words(name: str) -> list[str]:
    """Split into given names and family name, without titles; at least one word."""
    family, comma, given = name.partition(",")
    if comma and given.strip() and _bare(given) not in _SUFFIXES:
        name = f"{given} {family}"
    words = name.replace(",", " ").split() or [name]
    while len(words) > 1 and _bare(words[0]) in _TITLES:
        del words[0]
    while len(words) > 1 and _bare(words[-1]) in _SUFFIXES:
        del words[-1]
    return words


def _bare(word: str) -> str:
    return word.strip().replace(".", "").casefold()


_LOCAL = re.compile(r"[^\s\x00-\x1f\x7f@<>()\[\],;:\\\"]{1,64}")
_DOMAIN = re.compile(r"(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]+")
_GMAIL = frozenset({"gmail.com", "googlemail.com"})


def normalise_email(address: str) -> str | None:
    """Return the form of an address that tells whether two are the same person's, or None.

    For comparing only, never for sending: case, plus tags and Gmail's dots are
    gone.  The result is as personal as the address itself; hash it with `key`.
    """
    if len(address) > 320:  # noqa: PLR2004 - RFC 5321: 64 + 1 + 255
        return None
    folded = address.strip() if address.isascii() else unicodedata.normalize("NFKC", address)
    local, at, domain = folded.strip().casefold().rpartition("@")
    if not domain.isascii():
        try:
            domain = domain.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    domain = domain.removesuffix(".")
    if not at or not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain):
        return None
    local = local.partition("+")[0] or local
    if domain in _GMAIL:
        local, domain = local.replace(".", "") or local, "gmail.com"
    return f"{local}@{domain}"


def domains(address: str) -> tuple[str, ...]:
    """Return the domains under which the same mailbox may be written, in small letters."""
    domain = (normalise_email(address) or "").rpartition("@")[2]
    return tuple(sorted(_GMAIL)) if domain in _GMAIL else (domain,)


def masked(address: str) -> str:
    """Return an address as a person may be shown it: ``c…o@cloud.example``."""
    local, _, domain = (normalise_email(address) or "").rpartition("@")
    ends = (local[:1], local[-1:]) if len(local) > 2 else ("", "")  # noqa: PLR2004 - "ab" is no secret
    return f"{ends[0]}…{ends[1]}@{domain}"


def key(secret: bytes, campaign: str, kind: str, value: str) -> bytes:
    """Return 16 bytes that stand for `value` in one campaign and say nothing without `secret`.

    BLAKE2b, keyed; each part goes in with its length before it, so that no two
    triples run together to the same bytes.
    """
    if not secret:
        message = "the secret of a keyed hash is empty"
        raise ValueError(message)
    if len(secret) > hashlib.blake2b.MAX_KEY_SIZE:
        secret = hashlib.blake2b(secret).digest()
    digest = hashlib.blake2b(digest_size=16, key=secret, person=b"deliverybot/key")
    for part in (campaign, kind, value):
        raw = part.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.digest()


_PRIVATE = re.compile(
    r"""[^\s@]{1,64}@[^\s@]{1,255}\.[^\s@]{1,63} | (?<!\d)(?:\d{1,3}\.){3}\d{1,3}(?!\d)
    | (?<![0-9a-f:])(?:[0-9a-f]{1,4}:{1,2}){3,}[0-9a-f]{0,4}
    | (?<!\d)[(+]{0,2}\d(?:[ ()./-]{0,2}\d){7,}""",
    re.IGNORECASE | re.VERBOSE,
)


#: Without one of these there is nothing to look for; nearly all names have none.
_HINT = re.compile(r"[@\d]")


def has_private(text: str) -> bool:
    """Tell whether an e-mail address, a phone number or an IP address stands in a clean text."""
    if text.isascii() and not _HINT.search(text):
        return False
    return _PRIVATE.search(unicodedata.normalize("NFKC", text)) is not None


def without_private(text: str) -> str:
    """Return a clean text with "[…]" for each e-mail address, phone number and IP address."""
    if not has_private(text):
        return text
    return _PRIVATE.sub("[…]", unicodedata.normalize("NFKC", text))


_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def formula_safe(text: str) -> str:
    """Return `text` for a CSV cell: a spreadsheet takes it as text, never as a formula."""
    risky = text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA)
    return f"'{text}" if risky else text


def sorting(fields: Sequence[str], order: str) -> tuple[bool, list[str]]:
    """Return what a line of the list is sorted by: name, or place and then name.

    Accents and case count for nothing, as in an index; lines that show
    nothing come last.
    """
    folded = [
        "".join(
            char
            for char in unicodedata.normalize("NFKD", field.casefold())
            if not unicodedata.combining(char)
        )
        for field in fields
    ]
    return not folded, folded if order == "name" else [*reversed(folded[1:]), *folded[:1]]


def for_terminal(text: str) -> str:
    r"""Return `text` with whatever could steer a terminal written out, such as ``\x1b``."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in _JOINERS else char.encode("unicode_escape").decode()
        for char in text
    )


def unsaid(text: str, user: str, password: str) -> str:
    """Return an answer's lines without the password, however it is written.

    A server that was given the password may say it back with any answer.  The
    lines are cleaned first: an invisible letter in its middle would hide it.
    """
    text = clean_block(text, _SAID_MAX)
    if not password:
        return text
    plain = password.encode("utf-8", "surrogatepass")
    whole = b"\0" + user.encode("utf-8", "surrogatepass") + b"\0" + plain
    forms = [password, *(base64.b64encode(form).decode() for form in (whole, plain))]
    for form in sorted({*forms, clean(password, _SAID_MAX)}, key=len, reverse=True):
        text = text.replace(form, "***") if form else text
    return text


def has_header_risk(text: str) -> bool:
    """Tell whether `text` could become more than text in a mail header.

    Control characters end a header; ``=?`` opens an encoded word, which Python's
    `email` decodes to line ends (CVE-2024-6923).
    """
    return "=?" in text or any(
        unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} for char in text
    )
