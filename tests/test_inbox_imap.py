"""The mailbox on an IMAP server: a real Dovecot, and a server that lies."""

# ruff: noqa: ANN401 - factories hand on any field

from __future__ import annotations

import base64
import imaplib
import json
import pathlib
import shutil
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

import dovecot
import http_server
import smtp_server
from deliverybot import inbox, mailboxes
from deliverybot.inbox import imap


@pytest.fixture(scope="module")
def running() -> Iterator[dovecot.Server]:
    with dovecot.running() as server:
        yield server


@pytest.fixture
def server(running: dovecot.Server) -> dovecot.Server:
    running.clear()
    return running


def mail(n: int) -> bytes:
    return f"From: a@b.example\r\nSubject: mail {n}\r\n\r\nBody {n}\r\n".encode()


def options(port: int, **more: Any) -> mailboxes.Imap:
    known: dict[str, Any] = {
        "kind": "imap", "host": "127.0.0.1", "port": port, "username": dovecot.USER,
        "password": dovecot.PASSWORD, "timeout": 30.0,
    }  # fmt: skip
    return mailboxes.Imap.model_validate(known | more, strict=False)


def box(server: dovecot.Server, **more: Any) -> imap.Imap:
    security = str(more.pop("security", "tls"))
    port = server.safe if security == "tls" else server.plain
    return imap.Imap(options(port, security=security, **more), context=server.context)


def flags(server: dovecot.Server) -> list[bytes]:
    with imaplib.IMAP4_SSL("127.0.0.1", server.safe, ssl_context=server.context) as client:
        client.authenticate("PLAIN", lambda _: f"\0{dovecot.USER}\0{dovecot.PASSWORD}".encode())
        client.select("INBOX", readonly=True)
        return [line for line in client.fetch("1:*", "(FLAGS)")[1] if isinstance(line, bytes)]


@pytest.mark.parametrize("security", ["tls", "starttls", "none"])
def test_mails_are_read_as_they_came(server: dovecot.Server, security: str) -> None:
    for n in range(3):
        server.put(f"179553246{n}.M{n}.here", mail(n))
    found = box(server, security=security).fetch("")
    assert [one.raw for one in found] == [mail(n) for n in range(3)]


def test_nothing_in_the_mailbox_is_changed(server: dovecot.Server) -> None:
    for n in range(2):
        server.put(f"179553246{n}.M{n}.here", mail(n))
    one = box(server)
    one.fetch("")
    one.check()
    seen = flags(server)
    assert len(seen) == 2
    assert not any(b"\\Seen" in line or b"\\Deleted" in line for line in seen)
    # Still recent: not even that somebody has looked is written down.
    assert all(b"\\Recent" in line for line in seen)


def test_each_reading_goes_on_behind_the_last_mail(server: dovecot.Server) -> None:
    one = box(server)
    assert one.fetch("") == []
    server.put("1795532461.M1.here", mail(1))
    (first,) = one.fetch("")
    assert one.fetch(first.cursor) == []
    server.put("1795532462.M2.here", mail(2))
    (second,) = one.fetch(first.cursor)
    assert second.raw == mail(2)


def test_long_mailboxes_are_read_in_pieces(
    server: dovecot.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(5):
        server.put(f"179553246{n}.M{n}.here", mail(n))
    monkeypatch.setattr(inbox, "MAILS", 2)
    one, cursor, raw = box(server), "", []
    while found := one.fetch(cursor):
        assert len(found) <= 2
        raw += [each.raw for each in found]
        cursor = found[-1].cursor
    assert raw == [mail(n) for n in range(5)]


def test_a_server_that_counts_anew_is_read_anew(server: dovecot.Server) -> None:
    server.put("1795532461.M1.here", mail(1))
    one = box(server)
    (first,) = one.fetch("")
    for file in server.mail.glob("dovecot*"):
        file.unlink()
    other = json.dumps(json.loads(first.cursor) | {"validity": 1})
    (again,) = one.fetch(other)
    assert again.raw == mail(1)


def test_of_a_very_large_mail_the_beginning_is_read(
    server: dovecot.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = mail(1) + b"x" * 76 + b"\r\n" + b"y" * 3000 + b"\r\n"
    server.put("1795532461.M1.here", raw)
    monkeypatch.setattr(inbox, "MAIL_MAX", 2_000)
    monkeypatch.setattr(inbox, "BEGINNING", 100)
    (one,) = box(server).fetch("")
    assert one.raw == raw[:100]
    assert one.note == f" (of {len(raw):,} bytes only the beginning was read)"


@pytest.mark.parametrize("name", ["Answers", "Antworten & mehr", "Gr\u00fc\u00dfe", 'a "b" \\c'])
def test_another_folder_is_read(server: dovecot.Server, name: str) -> None:
    server.put("1795532461.M1.here", mail(1))
    coded = imap._quoted(name)[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    server.put("1795532462.M2.here", mail(2), folder=f".{coded}")
    assert [one.raw for one in box(server, folder=name).fetch("")] == [mail(2)]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"password": "s3cret-wrong"}, "Authentication failed"),
        ({"folder": "No such folder"}, "doesn't exist"),
    ],
)
def test_what_hinders_is_said(server: dovecot.Server, more: dict[str, str], said: str) -> None:
    one = box(server, **more)
    with pytest.raises(inbox.Failed, match=said) as caught:
        one.fetch("")
    assert "s3cret-wrong" not in str(caught.value)
    (fault,) = one.check()
    assert fault.level == "fault"
    assert said in fault.what


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_certificate_that_nobody_vouches_for_is_refused(
    server: dovecot.Server, security: str, tmp_path: pathlib.Path
) -> None:
    _, stranger = smtp_server.certificate(tmp_path, "IP:127.0.0.1")
    port = server.safe if security == "tls" else server.plain
    one = imap.Imap(options(port, security=security), context=stranger)
    with pytest.raises(inbox.Failed, match="certificate"):
        one.fetch("")


def test_check_says_that_it_can_be_read(server: dovecot.Server) -> None:
    (fault,) = box(server).check()
    assert fault.level == "ok"


def test_a_port_where_nobody_listens(server: dovecot.Server) -> None:
    with http_server.nobody() as port, pytest.raises(inbox.Failed, match="refused"):
        imap.Imap(options(port, security="none")).fetch("")


# --- a server that lies --------------------------------------------------------------------------

HEAD: Mapping[str, bytes] = {
    "CAPABILITY": b"* CAPABILITY IMAP4rev1\r\n",
    "EXAMINE": b"* 1 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n",
    "SEARCH": b"* SEARCH 1\r\n",
    "SIZE": b"* 1 FETCH (UID 1 RFC822.SIZE 5)\r\n",
    "BODY": b"* 1 FETCH (UID 1 BODY[] {5}\r\nhello)\r\n",
}


class Liar(threading.Thread):
    """Answers each command with what is written down for it, and OK."""

    def __init__(self, **answers: bytes) -> None:
        super().__init__(daemon=True)
        self.answers = {**HEAD, **answers}
        self.heard: list[str] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        self.start()

    def run(self) -> None:
        with self.listener:
            connection, _ = self.listener.accept()
        with connection, connection.makefile("rwb") as file:
            file.write(b"* OK here\r\n")
            file.flush()
            for line in file:
                tag, _, rest = line.decode().strip().partition(" ")
                self.heard.append(rest)
                known = next((word for word in self.answers if word in rest.upper()), "")
                answer = self.answers.get(known, b"")
                end = b"" if answer.endswith(b"!") else f"{tag} OK done\r\n".encode()
                file.write(answer.removesuffix(b"!") + end)
                file.flush()


def test_a_server_without_plain_is_logged_in_by_login() -> None:
    liar = Liar()
    (one,) = imap.Imap(options(liar.port, security="none", password='a"b')).fetch("")
    assert one.raw == b"hello"
    assert f'LOGIN "{dovecot.USER}" "a\\"b"' in liar.heard
    assert not any("STORE" in line or "SELECT" in line for line in liar.heard)


@pytest.mark.parametrize(
    "answers",
    [
        {"BODY": b"* 1 FETCH (UID 1 BODY[] {99999999999}\r\n!"},
        {"EXAMINE": b"* 1 EXISTS\r\n"},
        {"EXAMINE": b"* OK [UIDVALIDITY lots] ok\r\n"},
        {"SEARCH": b"* SEARCH 1 two 3\r\n"},
        {"SIZE": b"\xff\xfe nonsense\r\n"},
        {"LOGIN": b"* BYE no\r\n!"},
    ],
    ids=["a literal of 100 GB", "no validity", "no number", "no uid", "nonsense", "leaves"],
)
def test_a_server_that_lies_is_a_mailbox_that_fails(answers: dict[str, bytes]) -> None:
    liar = Liar(**answers)
    with pytest.raises(inbox.Failed):
        imap.Imap(options(liar.port, security="none", timeout=2.0)).fetch("")


@pytest.mark.parametrize("before", [b"", b"x" * 275])
@pytest.mark.parametrize(
    "said",
    [
        b"s3cret-word",
        base64.b64encode(b"s3cret-word"),
        base64.b64encode(f"\0{dovecot.USER}\0s3cret-word".encode()),
    ],
)
def test_a_server_that_says_the_password_back(before: bytes, said: bytes) -> None:
    """Whole or in base64; and no half of it is left where the words are cut."""
    liar = Liar(LOGIN=b"* BYE " + before + said + b" is wrong\r\n!")
    one = imap.Imap(options(liar.port, security="none", password="s3cret-word"))
    with pytest.raises(inbox.Failed) as caught:
        one.fetch("")
    assert said[:5].decode() not in str(caught.value)
    assert "***" in str(caught.value) or before


def test_starttls_that_is_not_offered_is_no_clear_text() -> None:
    liar = Liar()
    one = imap.Imap(options(liar.port, security="starttls"), context=ssl.create_default_context())
    with pytest.raises(inbox.Failed, match="TLS"):
        one.fetch("")
    assert not any("LOGIN" in line for line in liar.heard)


def test_dovecot_is_where_the_setup_puts_it() -> None:
    assert shutil.which("dovecot", path="/usr/sbin:/usr/bin")
