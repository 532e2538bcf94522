"""What a clean text may still do elsewhere: give somebody away, or be an order to a program."""

from __future__ import annotations

import base64
import re
import unicodedata

from deliverybot.screen import texts

#: Of an answer with several lines; the SMTP library takes 32 kB of them.
_SAID_MAX = 40_000

_PRIVATE = re.compile(
    r"""[^\s@]{1,64}@[^\s@]{1,255}\.[^\s@]{1,63} | (?<!\d)(?:\d{1,3}\.){3}\d{1,3}(?!\d)
    | (?<![0-9a-f:])(?:[0-9a-f]{1,4}:{1,2}){3,}[0-9a-f]{0,4}
    | (?<!\d)[(+]{0,2}\d(?:[ ()./-]{0,2}\d){7,}""",
    re.IGNORECASE | re.VERBOSE,
)


#: Without one of these there is nothing to look for; nearly all names have none.
_HINT = re.compile(r"[@\d]")
#: And in less than this only where there is one of these: a postcode holds too few digits.
_FEWEST, _SIGNS = 8, re.compile("[@.:]")
#: An IP address may be of letters and colons.
_ANY = re.compile(r"[@:\d]")


def has_private(text: str) -> bool:
    """Tell whether an e-mail address, a phone number or an IP address stands in a clean text."""
    if text.isascii():
        if not _HINT.search(text) or (len(text) < _FEWEST and not _SIGNS.search(text)):
            return False
    else:
        text = unicodedata.normalize("NFKC", text)
        if not _ANY.search(text):
            return False
    return _PRIVATE.search(text) is not None


def without_private(text: str) -> str:
    """Return a clean text with "[…]" for each e-mail address, phone number and IP address."""
    # What is left may look like an address again, as "[…]@[…]" does; each round has fewer signs.
    while has_private(text):
        text = _PRIVATE.sub("[…]", unicodedata.normalize("NFKC", text))
    return text


_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def formula_safe(text: str) -> str:
    """Return `text` for a CSV cell: a spreadsheet takes it as text, never as a formula."""
    risky = text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA)
    return f"'{text}" if risky else text


#: Blanks in numbers such as "1 000" and "49 %", which no line is to be broken at.
_BLANKS = frozenset("\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}")


def for_terminal(text: str) -> str:
    r"""Return `text` with whatever could steer a terminal written out, such as ``\x1b``."""
    if text.isprintable():
        return text
    return "".join(
        char
        if char.isprintable() or char in texts.JOINERS or char in _BLANKS
        else char.encode("unicode_escape").decode()
        for char in text
    )


def unsaid(text: str, user: str, password: str) -> str:
    """Return an answer's lines without the password, however it is written.

    A server that was given the password may say it back with any answer.  The
    lines are cleaned first: an invisible letter in its middle would hide it.
    """
    text = texts.clean_block(text, _SAID_MAX)
    if not password:
        return text
    plain = password.encode("utf-8", "surrogatepass")
    whole = b"\0" + user.encode("utf-8", "surrogatepass") + b"\0" + plain
    forms = [password, *(base64.b64encode(form).decode() for form in (whole, plain))]
    for form in sorted({*forms, texts.clean(password, _SAID_MAX)}, key=len, reverse=True):
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
