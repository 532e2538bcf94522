"""Header fields folded and encoded by `email.header`, and read back.

The newer folding of `email.policy` loses and doubles spaces in long values
that are not ASCII, and its parser adds some (seen on Python 3.11.7), so it is
given these fields ready made.
"""

from __future__ import annotations

import email.header
import email.message
import email.policy
import email.utils

#: Longest plain name or word before it is folded as encoded words; RFC 5322 asks for lines of 78.
_PLAIN_MAX = 60
_LINE = 76
_EOL = "\r\n"


class Policy(email.policy.EmailPolicy):
    """`email.policy.SMTP` that keeps the fields made here as they are."""

    def header_store_parse(self, name: str, value: object) -> tuple[str, str]:
        """Keep a `Ready` field; let `email` check every other one."""
        if isinstance(value, Ready):
            return name, value
        return super().header_store_parse(name, value)


def policy(*, utf8: bool) -> Policy:
    """Return the policy for a message; `utf8` lets addresses stand in UTF-8 (RFC 6532)."""
    return Policy(
        message_factory=email.message.EmailMessage,
        linesep=_EOL,
        utf8=utf8,
        refold_source="none",
    )


class Ready(str):
    """A field's value as it stands on the wire, folded."""

    __slots__ = ()


def text(name: str, value: str) -> Ready:
    """Return a field of free text."""
    plain = value.isascii() and all(len(word) <= _PLAIN_MAX for word in value.split(" "))
    return Ready(_encode(name, value, "us-ascii" if plain else "utf-8"))


def mailbox(name: str, display: str, address: str) -> Ready:
    """Return a field of one address."""
    if display.isascii() and len(display) <= _PLAIN_MAX:
        shown = email.utils.formataddr((display, "x")).removesuffix("<x>").strip(" ")
        shown = shown if display else ""
    else:
        shown = _encode(name, display, "utf-8")
    if not shown:
        return Ready(address)
    used = len(shown.rpartition(_EOL)[2]) + (0 if _EOL in shown else len(name) + 2)
    gap = " " if used + len(address) + 3 <= _LINE else f"{_EOL} "
    return Ready(f"{shown}{gap}<{address}>")


def read_text(raw: str) -> str:
    """Return the words of a field, as a mail program shows them."""
    unfolded = "".join(raw.splitlines())
    return str(email.header.make_header(email.header.decode_header(unfolded)))


def read_mailboxes(raw: str) -> list[tuple[str, str]]:
    """Return (display name, address) of every address in a field."""
    pairs = email.utils.getaddresses(["".join(raw.splitlines())])
    return [(read_text(display), address) for display, address in pairs]


def _encode(name: str, value: str, charset: str) -> str:
    header = email.header.Header(value, charset, maxlinelen=_LINE, header_name=name)
    return header.encode(linesep=_EOL)
