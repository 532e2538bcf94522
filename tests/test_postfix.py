"""The whole way through a real Postfix: out by STARTTLS, into a Maildir, and what comes back."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import email
import email.message
import email.policy
import hashlib
import pathlib
import smtplib
import socket
import subprocess
import threading
from collections.abc import Iterator

import dkim
import pytest

import build
import postfix
from deliverybot import config, daemon, ledger, model, steps
from deliverybot.ledger import records
from deliverybot.mail import built, pool, verp
from deliverybot.mail import dkim as signing

CEO, GONE = "ceo@cloud.example", "gone@cloud.example"
BOUNCES, MIRA = "bounces@campaigns.example", "mira@campaigns.example"
SECTIONS = """
[inbox]
kind = "maildir"
path = "{maildir}"
address = "bounces@campaigns.example"
forward_to = "mira@campaigns.example"
[mail.dkim]
domain = "campaigns.example"
selector = "letters1"
key_file = "dkim.pem"
second_selector = "letters2"
second_key_file = "dkim2.pem"
"""

if why := postfix.why_not():
    pytest.skip(f"no Postfix: {why}", allow_module_level=True)


@pytest.fixture(scope="module")
def running() -> Iterator[postfix.Server]:
    with postfix.running(CEO, BOUNCES, MIRA) as server:
        yield server


@pytest.fixture
def server(running: postfix.Server, monkeypatch: pytest.MonkeyPatch) -> postfix.Server:
    running.clear()
    monkeypatch.setenv("SSL_CERT_FILE", str(running.authority))
    return running


class Wire:
    """Passes bytes on to the relay, and of its answers none any more once `cut` is set."""

    def __init__(self, port: int) -> None:
        self.cut = threading.Event()
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                relay = socket.create_connection(("127.0.0.1", self._to))
                self._open += [client, relay]
                for one, other, answers in ((client, relay, False), (relay, client, True)):
                    thread = threading.Thread(target=self._pump, args=(one, other, answers))
                    thread.start()
                    self._threads.append(thread)

    def _pump(self, one: socket.socket, other: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                if not (answers and self.cut.is_set()):
                    other.sendall(data)
            other.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        for one in [self._listener, *self._open]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join()


@dataclasses.dataclass
class Installation:
    folder: pathlib.Path
    server: postfix.Server
    settings: config.Settings
    clock: build.Clock
    book: ledger.Ledger
    works: steps.Works

    async def once(self) -> None:
        await daemon.once(self.works)

    def rows(self) -> dict[str, records.Delivery]:
        return {row.email: row for row in self.book.deliveries.select()}

    def back(self, kind: model.Return) -> list[records.Return]:
        return self.book.returns.all(kind=kind)

    async def until_back(self, count: int, address: str = BOUNCES) -> None:
        await asyncio.to_thread(self.server.wait, lambda: len(self.server.mails(address)) >= count)


@contextlib.contextmanager
def installation(
    folder: pathlib.Path, server: postfix.Server, *targets: str, port: int = 0, done: float = 600
) -> Iterator[Installation]:
    build.settings(folder)
    for name, kind in (("dkim.pem", ("RSA",)), ("dkim2.pem", ("ed25519",))):
        command = ["openssl", "genpkey", "-algorithm", *kind, "-out", str(folder / name)]
        subprocess.run(command, check=True, capture_output=True)
        (folder / name).chmod(0o600)
    file = folder / "config.toml"
    file.write_text(file.read_text() + SECTIONS.format(maildir=server.boxes[BOUNCES]))
    environment = {
        "TRANSPORT": "smtp", "HOST": "127.0.0.1", "PORT": str(port or server.port),
        "SECURITY": "starttls", "PER_HOUR": "1000", "BOUNCES": BOUNCES, "RECEIPTS": "true",
        "TIMEOUTS__DONE": str(done),
    }  # fmt: skip
    settings = config.load(
        file, environ={f"DELIVERYBOT_MAIL__{name}": text for name, text in environment.items()}
        | {"DELIVERYBOT_SENDER__REPLY_TO": BOUNCES},
    )  # fmt: skip
    plan = build.campaign(
        folder, targets=targets, delivery='first_reading = "deliver"\napproval = "none"',
        post='approval = "none"',
    )  # fmt: skip
    build.csv(folder, 120)
    clock = build.Clock()
    with contextlib.closing(ledger.open_ledger(settings.database_url)) as book:
        works = build.works(book, [plan], settings, clock)
        yield Installation(folder, server, settings, clock, book, works)


def read(raw: bytes) -> email.message.EmailMessage:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, email.message.EmailMessage)
    return message


# --- out, and back ------------------------------------------------------------------------------


async def test_a_letter_arrives_and_another_one_bounces(
    server: postfix.Server, tmp_path: pathlib.Path
) -> None:
    with installation(tmp_path, server, "ceo", "gone") as here:
        await here.once()
        assert [row.state for row in here.rows().values()] == ["sent", "sent"]
        # A receipt for the one, a bounce for the other, each to an address of its own.
        await here.until_back(2)
        row = here.rows()[GONE]
        token = verp.token(row.id, row.part, row.message_id)
        notices = [read(raw) for raw in server.mails(BOUNCES)]
        assert f"bounces+{token}@campaigns.example" in {one["Delivered-To"] for one in notices}
        assert any(f"Original-Envelope-Id: {token}" in str(one) for one in notices)
        await here.once()
        assert {mail: row.state for mail, row in here.rows().items()} == {
            CEO: "sent", GONE: "bounced",
        }  # fmt: skip
        (bounce,) = here.back(model.Return.BOUNCE)
        assert (bounce.status, bounce.matched, bounce.target) == ("5.1.1", "verp", "gone")
        assert here.rows()[GONE].why.startswith("bounce (hard): 5.1.1 ")
        suppressed = here.book.suppressions.of(GONE)
        assert suppressed is not None
        assert suppressed.reason == "bounced"
        assert here.book.suppressions.of(CEO) is None
        (receipt,) = here.back(model.Return.RECEIPT)
        assert (receipt.target, receipt.status) == ("ceo", "2.0.0")
        # The person here is told, by the same relay.
        await here.until_back(1, MIRA)
        (copy,) = map(read, server.mails(MIRA))
        assert copy["Subject"].startswith("Not delivered: Undelivered Mail")
        before = len(here.book.returns.all())
        await here.once()
        assert len(here.book.returns.all()) == before
        assert len(server.mails(MIRA)) == 1


async def test_the_mail_that_arrives_is_the_one_that_was_made_and_its_signatures_are_good(
    server: postfix.Server, tmp_path: pathlib.Path
) -> None:
    with installation(tmp_path, server, "ceo") as here:
        await here.once()
        await asyncio.to_thread(server.wait, lambda: len(server.mails(CEO)) == 1)
        (raw,) = server.mails(CEO)
        row = here.rows()[CEO]
        (attempt,) = here.book.deliveries.attempts(row.id)
        # What Postfix puts before a mail ends where ours begins.
        ours = b"DKIM-Signature:" + raw.partition(b"DKIM-Signature:")[2]
        wire = ours.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        assert hashlib.sha256(wire).hexdigest() == attempt.sha256
        message = read(raw)
        (pdf,) = message.iter_attachments()
        assert hashlib.sha256(pdf.get_content()).hexdigest() == row.pdf_sha256
        assert "with ESMTPS id" in message["Received"]
        records_ = {
            f"{one.name}.".encode(): one.record.encode() for one in signing.load(here.settings)
        }
        looker = dkim.DKIM(raw.replace(b"\n", b"\r\n"))
        for index in range(2):
            assert looker.verify(index, dnsfunc=lambda name, timeout=5: records_.get(name))
        broken = dkim.DKIM(raw.replace(b"people", b"peoples").replace(b"\n", b"\r\n"))
        with pytest.raises(dkim.ValidationError, match="mismatch"):
            broken.verify(0, dnsfunc=lambda name, timeout=5: records_.get(name))


async def test_an_answer_marks_the_letter_and_reaches_the_person(
    server: postfix.Server, tmp_path: pathlib.Path
) -> None:
    with installation(tmp_path, server, "ceo") as here:
        await here.once()
        await asyncio.to_thread(server.wait, lambda: len(server.mails(CEO)) == 1)
        letter = read(server.mails(CEO)[0])
        answer = email.message.EmailMessage()
        answer["From"] = "Kim Oyelaran <kim@cloud.example>"
        answer["To"] = str(letter["Reply-To"])
        answer["Subject"] = f"Re: {letter['Subject']}"
        answer["Message-ID"] = "<answer.1@cloud.example>"
        answer["In-Reply-To"] = str(letter["Message-ID"])
        answer.set_content("We will stop.\nGr\u00fc\u00dfe\n")
        with smtplib.SMTP("127.0.0.1", server.port) as client:
            client.starttls(context=server.context)
            client.send_message(answer)
        await here.until_back(2)
        await here.once()
        assert here.rows()[CEO].state == "answered"
        assert here.rows()[CEO].why == "answer from kim@cloud.example"
        await here.until_back(1, MIRA)
        copy = read(server.mails(MIRA)[0])
        assert copy["Reply-To"] == "kim@cloud.example"
        (attached,) = copy.iter_attachments()
        assert attached.get_content()["Message-ID"] == "<answer.1@cloud.example>"
        assert dkim.verify(
            server.mails(MIRA)[0].replace(b"\n", b"\r\n"),
            dnsfunc=lambda name, timeout=5: {
                f"{one.name}.".encode(): one.record.encode() for one in signing.load(here.settings)
            }.get(name),
        )


async def test_a_receipt_settles_what_nobody_could_know(
    server: postfix.Server, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire = Wire(server.port)
    try:
        with installation(tmp_path, server, "ceo", port=wire.port, done=1) as here:
            hand_over = here.book.deliveries.hand_over

            def cut(*args: object, **more: object) -> None:
                hand_over(*args, **more)  # type: ignore[arg-type]
                wire.cut.set()

            monkeypatch.setattr(here.book.deliveries, "hand_over", cut)
            await here.once()
            row = here.rows()[CEO]
            assert row.state == "unsure"
            assert row.sent_at is None
            wire.cut.clear()
            await here.until_back(1)
            await here.once()
            row = here.rows()[CEO]
            assert (row.state, row.sent_at) == ("sent", row.handed_at)
            assert row.why.startswith("it has left: receipt: ")
            assert len(server.mails(CEO)) == 1
    finally:
        wire.close()


# --- too large -----------------------------------------------------------------------------------


async def test_a_mail_that_is_larger_than_the_relay_takes_is_not_begun(
    server: postfix.Server,
) -> None:
    options = config.Mail.model_validate(
        {"transport": "smtp", "host": "127.0.0.1", "port": server.port, "security": "starttls"}
    )
    large = built.of("<large@campaigns.example>", [b"Subject: x\r\n\r\n" + b"y\r\n" * 100_000])
    courier = pool.Pool(options)
    announced: list[bool] = []
    reply = await courier.hand_over(
        large, sender=BOUNCES, recipient=CEO, token="d1.1.0123456789",
        on_handing_over=lambda: announced.append(True),
    )  # fmt: skip
    found = await courier.check()
    await courier.close()
    assert (reply.outcome, reply.enhanced, announced) == (model.Outcome.HUMAN, "5.3.4", [])
    assert f"{postfix.SIZE:,}" in reply.text
    assert {fault.level for fault in found} == {"ok", "warning"}
    # And it is Postfix's own word, not ours alone.
    with smtplib.SMTP("127.0.0.1", server.port) as client:
        client.starttls(context=server.context)
        client.ehlo()
        code, said = client.mail(BOUNCES, [f"SIZE={large.size}"])
    assert (code, said[:5]) == (552, b"5.3.4")


async def test_a_relay_that_nobody_vouches_for_gets_nothing(
    running: postfix.Server, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.clear()
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with installation(tmp_path, running, "ceo") as here:
        await here.once()
        assert here.rows()[CEO].state == "approved"
        assert "certificate" in here.rows()[CEO].reply
    assert running.mails(CEO) == []
