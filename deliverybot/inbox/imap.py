"""A mailbox on an IMAP server, by the standard library's `imaplib`, in a thread.

It is opened by EXAMINE and read by BODY.PEEK: no mail is deleted, moved or
marked as read.  The cursor is UIDVALIDITY and the last UID (RFC 3501 section
2.3.1.1); where the server counts anew, all is read again, and what is known is
known by its hash.
"""

from __future__ import annotations

import contextlib
import imaplib
import json
import re
import ssl
from collections.abc import Iterator, Sequence

from deliverybot import errors, inbox, mailboxes, screen

_HINT = "look at host, port, security and username in [inbox], and at the password's secret file"
_SIZE = re.compile(
    rb"UID (\d{1,10}) RFC822\.SIZE (\d{1,15})|RFC822\.SIZE (\d{1,15}) UID (\d{1,10})"
)
#: A server that announces more than was asked for is not believed.
_LITERAL_MAX = inbox.MAIL_MAX + 1_000_000


class _Capped:
    """Reads no literal that is larger than any mail that is asked for."""

    def read(self, size: int) -> bytes:
        """Read so many bytes of the server's answer."""
        if size > _LITERAL_MAX:
            raise imaplib.IMAP4.abort(f"the server announced {size} bytes")
        return super().read(size)  # type: ignore[misc,no-any-return]


class _Plain(_Capped, imaplib.IMAP4):
    """A connection that is, or begins, in the clear."""


class _Safe(_Capped, imaplib.IMAP4_SSL):
    """A connection in TLS from its start."""


class Imap:
    """One folder of an account."""

    def __init__(self, settings: mailboxes.Imap, *, context: ssl.SSLContext | None = None) -> None:
        """`context` replaces the system's certificates."""
        self._settings = settings
        self._context = context
        self.name = settings.name

    def fetch(self, cursor: str) -> Sequence[inbox.Arrived]:
        """Return the next mails, oldest first."""
        known = json.loads(cursor) if cursor else {"validity": 0, "uid": 0}
        with self._open() as server:
            validity = _validity(server)
            after = int(known["uid"]) if known["validity"] == validity else 0
            return list(_mails(server, validity, after))

    def check(self) -> list[errors.Fault]:
        """Log in and open the folder."""
        place = f"{self._settings.username} at {self._settings.host}:{self._settings.port}"
        try:
            with self._open() as server:
                _validity(server)
        except inbox.Failed as error:
            return [errors.Fault(level="fault", what=str(error), hint=error.hint)]
        what = f"the mailbox {self._settings.folder} of {place} can be read"
        return [errors.Fault(level="ok", what=what)]

    @contextlib.contextmanager
    def _open(self) -> Iterator[imaplib.IMAP4]:
        """Connect, log in and open the folder for looking alone."""
        try:
            server = self._connect()
            try:
                if self._settings.security == "starttls":
                    server.starttls(self._tls())  # raises where it is not offered
                self._log_in(server)
                _good(server.select(_quoted(self._settings.folder), readonly=True))
                yield server
            finally:
                with contextlib.suppress(imaplib.IMAP4.error, OSError):
                    server.logout()
        except (imaplib.IMAP4.error, OSError, ValueError) as error:
            raise inbox.Failed(self._said(error), hint=_HINT) from None

    def _connect(self) -> imaplib.IMAP4:
        one = self._settings
        if one.security == "tls":
            return _Safe(one.host, one.port, ssl_context=self._tls(), timeout=one.timeout)
        return _Plain(one.host, one.port, timeout=one.timeout)

    def _tls(self) -> ssl.SSLContext:
        return self._context or ssl.create_default_context()

    def _log_in(self, server: imaplib.IMAP4) -> None:
        one = self._settings
        secret = one.password.get_secret_value()
        if "AUTH=PLAIN" in server.capabilities:
            plain = f"\0{one.username}\0{secret}".encode()
            server.authenticate("PLAIN", lambda _: plain)
        else:
            server.login(_quoted(one.username), secret)

    def _said(self, error: Exception) -> str:
        """Say what went wrong, without the password, which a server may say back."""
        secret = self._settings.password.get_secret_value()
        said = str(error).removeprefix("b'").removesuffix("'")
        said = screen.clean(screen.unsaid(said, self._settings.username, secret), 300)
        return f"the mailbox at {self._settings.host}:{self._settings.port} cannot be read: {said}"


def _mails(server: imaplib.IMAP4, validity: int, after: int) -> Iterator[inbox.Arrived]:
    """Yield the mails behind a UID, with their cursors."""
    lines = _good(server.uid("SEARCH", f"UID {after + 1}:*"))
    found = {int(uid) for line in lines if isinstance(line, bytes) for uid in line.split()}
    # The range always holds the last mail, whatever its UID.
    uids = sorted(uid for uid in found if uid > after)[: inbox.MAILS]
    if not uids:
        return
    total = 0
    sizes = _sizes(server, uids)
    for uid in uids:
        size = sizes.get(uid, 0)
        if total >= inbox.BYTES:
            return
        part = f"<0.{inbox.BEGINNING}>" if size > inbox.MAIL_MAX else ""
        raw = _literal(_good(server.uid("FETCH", str(uid), f"(BODY.PEEK[]{part})")))
        if raw is None:
            continue  # deleted by somebody just now
        cursor = json.dumps({"validity": validity, "uid": uid})
        yield inbox.Arrived(raw=raw, cursor=cursor, note=inbox.cut(size) if part else "")
        total += len(raw)


def _sizes(server: imaplib.IMAP4, uids: Sequence[int]) -> dict[int, int]:
    listed = ",".join(map(str, uids))
    found = {}
    for line in _good(server.uid("FETCH", listed, "(RFC822.SIZE)")):
        for match in _SIZE.findall(line if isinstance(line, bytes) else b""):
            uid, size = (match[0], match[1]) if match[0] else (match[3], match[2])
            found[int(uid)] = int(size)
    return found


def _literal(answer: Sequence[object]) -> bytes | None:
    for one in answer:
        if isinstance(one, tuple) and isinstance(one[1], bytes):
            return one[1]
    return None


def _validity(server: imaplib.IMAP4) -> int:
    (value, *_) = server.response("UIDVALIDITY")[1]
    if not isinstance(value, bytes) or not value.isdigit():
        raise imaplib.IMAP4.error("the server tells no UIDVALIDITY")
    return int(value)


def _good(answer: tuple[str, Sequence[object]]) -> list[object]:
    status, data = answer
    if status != "OK":
        said = data[0].decode("utf-8", "replace") if data and isinstance(data[0], bytes) else status
        raise imaplib.IMAP4.error(said)
    return list(data)


def _quoted(text: str) -> str:
    """Return a string as IMAP has it; what is not ASCII in its own UTF-7 (RFC 3501, 5.1.3)."""
    coded = "".join(_utf7(part) for part in re.findall(r"[ -~]+|[^ -~]+", text))
    escaped = coded.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _utf7(part: str) -> str:
    if part.isascii():
        return part.replace("&", "&-")
    coded = part.encode("utf-7").decode().strip("+-")
    return f"&{coded.replace('/', ',')}-"
