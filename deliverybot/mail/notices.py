"""Which notices a relay is asked for (RFC 3461), as words of MAIL and RCPT."""

from __future__ import annotations

#: Printable ASCII that stands for itself in xtext (RFC 3461 section 4).
_PLAIN = frozenset(range(ord("!"), ord("~") + 1)) - frozenset(b"+=")


def of_mail(token: str) -> list[bytes]:
    """Return the words of MAIL: send headers only, and name the mail by its token."""
    return [b"RET=HDRS", b"ENVID=" + _xtext(token)]


def of_rcpt(recipient: str, *, receipts: bool) -> list[bytes]:
    """Return the words of RCPT; `receipts` asks for a notice of success as well."""
    wanted = b"SUCCESS,FAILURE,DELAY" if receipts else b"FAILURE,DELAY"
    words = [b"NOTIFY=" + wanted]
    if recipient.isascii():
        words.append(b"ORCPT=rfc822;" + _xtext(recipient))
    return words


def _xtext(text: str) -> bytes:
    return b"".join(
        b"%c" % byte if byte in _PLAIN else b"+%02X" % byte for byte in text.encode("ascii")
    )
