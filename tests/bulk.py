"""Letters that are too big for a mail: signers whose names hardly pack, and a relay of any size."""

# ruff: noqa: ANN401 - factories hand on any field

from __future__ import annotations

import contextlib
import dataclasses
import email
import email.message
import email.policy
import io
import pathlib
import random
import re
import shutil
import string
from collections.abc import Iterator
from typing import Any

import pypdfium2

import build
import smtp_server
from deliverybot import campaign as campaigns
from deliverybot import config, ledger, model, steps
from deliverybot.ledger import records
from deliverybot.pdf import bindery

#: Signers of the list, and in a volume.
SIGNERS, SIZE = 1250, 100


def wordy(count: int = SIGNERS, letters: int = 14) -> list[model.Signer]:
    """Signers whose lines can hardly be packed, so that the volumes outweigh the fonts."""
    dice = random.Random(7)

    def word() -> str:
        return "".join(dice.choices(string.ascii_letters, k=letters))

    return [
        build.signer(n, name=f"{word()} {word()}", city=word(), country=word())
        for n in range(1, count + 1)
    ]


def message_of(pdf: float) -> int:
    """Bytes of the largest mail that has room for a PDF of this size and no more."""
    return int(pdf * bindery._ENCODED + bindery._WORDS)


@dataclasses.dataclass
class Bulk:
    """A campaign with a long list, and the daemon's steps."""

    book: ledger.Ledger
    folder: pathlib.Path
    plan: campaigns.Campaign
    clock: build.Clock = dataclasses.field(default_factory=build.Clock)
    #: Settings besides those of every test.
    environ: dict[str, str] = dataclasses.field(default_factory=dict)
    names_in_letter: int = 0

    @property
    def settings(self) -> config.Settings:
        pdf = f"volume = {SIZE}\nnames_in_letter = {self.names_in_letter}"
        build.settings(self.folder, pdf=pdf)
        return config.load(self.folder / "config.toml", environ=self.environ)

    @property
    def works(self) -> steps.Works:
        """The steps of a daemon that has just started."""
        return build.works(self.book, [self.plan], self.settings, self.clock)

    @property
    def row(self) -> records.Delivery:
        return self.book.deliveries.select()[0]

    def relay(self, server: smtp_server.Server) -> None:
        """Mail to this server from now on."""
        for key, value in (
            ("TRANSPORT", "smtp"), ("HOST", "127.0.0.1"), ("PORT", str(server.port)),
            ("SECURITY", "none"), ("CONNECTIONS", "1"),
        ):  # fmt: skip
            self.environ[f"DELIVERYBOT_MAIL__{key}"] = value

    def most(self, size: float) -> None:
        """Set max_message to so many bytes."""
        self.environ["DELIVERYBOT_MAIL__MAX_MESSAGE"] = f"{size / 1000:.3f} kB"

    def approve(self) -> None:
        for row in self.book.deliveries.select(states=["held"]):
            self.book.deliveries.approve(row, who="mira", now=self.clock())

    async def freeze(self) -> records.Delivery:
        await self.works.freeze()
        return self.row

    async def send(self) -> records.Delivery:
        await self.works.send()
        return self.row


@contextlib.contextmanager
def of(
    folder: pathlib.Path, count: int = SIGNERS, *, letters: int = 14, **plan: Any
) -> Iterator[Bulk]:
    """Give a campaign whose milestone has just been crossed."""
    plan = {"plan": f"at = [{count}]", "posts": ()} | plan
    with contextlib.closing(ledger.open_ledger(build.settings(folder).database_url)) as book:
        one = build.campaign(folder, **plan)
        build.take(book, wordy(count, letters))
        build.advance(book, one)
        yield Bulk(book=book, folder=folder, plan=one)


@contextlib.contextmanager
def again(made: pathlib.Path, folder: pathlib.Path) -> Iterator[Bulk]:
    """Give a copy of a campaign's folder as `of` and the steps after it left it."""
    shutil.copytree(made, folder, dirs_exist_ok=True)
    one = campaigns.load(folder / "schedules" / "faces.toml")
    url = config.load(folder / "config.toml", environ={}).database_url
    with contextlib.closing(ledger.open_ledger(url)) as book:
        yield Bulk(book=book, folder=folder, plan=one)


def read(message: bytes) -> email.message.EmailMessage:
    """Read a message as its recipient's program does; dots are still doubled."""
    plain = message.replace(b"\r\n..", b"\r\n.")
    found = email.message_from_bytes(plain, policy=email.policy.default)
    if not isinstance(found, email.message.EmailMessage):
        raise TypeError
    return found


def text(message: email.message.EmailMessage) -> str:
    body = message.get_body(("plain",))
    return str(body.get_content()) if body else ""


def pdf(message: email.message.EmailMessage) -> tuple[str, bytes]:
    """The name and the bytes of the PDF that a mail carries."""
    (one,) = message.iter_attachments()
    return str(one.get_filename()), bytes(one.get_payload(decode=True))


def numbers(pdf_: bytes) -> list[int]:
    """The numbers of the signers on the pages of volumes, as they stand there."""
    with contextlib.closing(pypdfium2.PdfDocument(io.BytesIO(pdf_))) as document:
        pages = [page.get_textpage().get_text_range() for page in document]
    bound = [page for page in pages if re.match(r"[0-9,]+(–[0-9,]+)?\s*\n", page)]
    lines = [line for page in bound for line in page.splitlines()]
    return [int(found[1]) for line in lines if (found := re.match(r"\s*([0-9]+)\s", line))]
