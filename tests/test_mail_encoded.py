"""Attachments on disk: encoded once, shared, made again when damaged, never in memory."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import email
import email.policy
import hashlib
import os
import random
import stat
import tracemalloc
from concurrent import futures
from pathlib import Path

import pytest

import build
import smtp_server
import smtp_tools
from deliverybot import errors, ledger, letters, mail
from deliverybot.mail import encoded, message, smtp


def write(path: Path, size: int) -> message.Attachment:
    content = b"%PDF-1.7\n" + random.Random(size).randbytes(size)
    path.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    return message.Attachment(path=path, name=path.name, sha256=sha256)


def letter(*attachments: message.Attachment, number: int = 1) -> message.Letter:
    return message.Letter(
        from_name="Example Campaigns",
        from_address="letters@campaigns.example",
        to_name="Jordan Vale",
        to_address=f"ceo{number}@cloud.example",
        reply_to="desk@campaigns.example",
        subject="Stop selling face recognition",
        text=f"Dear Ms. Vale,\n\n.a dot\n..\n.\n{base64.b64encode(b'x' * 300).decode()}\n",
        html="<p>Dear Ms. Vale,</p>\n",
        attachments=attachments,
        message_id=message.message_id(
            "campaigns.example", "face", number, 1, "cloud-ceo", secret=b""
        ),
        date=dt.datetime(2026, 3, 1, 9, 30, tzinfo=dt.UTC),
        language="en",
    )


def whole(one: message.Letter) -> bytes:
    made = message.build(one, ())
    content = b"".join(made.chunks())
    assert made.size == len(content)
    assert made.sha256 == hashlib.sha256(content).hexdigest()
    assert made.message_id == one.message_id
    return content


def forms(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.b64"))


@pytest.mark.parametrize("sizes", [(), (1,), (57, 56), (58, 100_000, 0), (3_000_000,)], ids=str)
def test_every_attachment_comes_out_as_it_went_in(sizes: tuple[int, ...], tmp_path: Path) -> None:
    pdfs = [write(tmp_path / f"part-{n}.pdf", size) for n, size in enumerate(sizes)]
    content = whole(letter(*pdfs))
    assert content.count(b"\r\n") == content.count(b"\n") == content.count(b"\r")
    assert max(map(len, content.split(b"\r\n"))) <= 78
    read = email.message_from_bytes(content, policy=email.policy.default)
    assert [part.defects for part in read.walk() if part.defects] == []
    got = [(part.get_filename(), part.get_content()) for part in read.iter_attachments()]
    assert got == [(pdf.name, pdf.path.read_bytes()) for pdf in pdfs]
    kind = "multipart/mixed" if pdfs else "multipart/alternative"
    assert read.get_content_type() == kind
    assert whole(letter(*pdfs)) == content


def test_the_bytes_are_those_of_the_library(tmp_path: Path) -> None:
    pdf = write(tmp_path / "one.pdf", 5_000)
    one = letter(pdf)
    assert whole(one) == message._assemble(one, [pdf.path.read_bytes()]).as_bytes()


def test_a_text_like_a_stand_in_is_no_attachment(tmp_path: Path) -> None:
    pdf = write(tmp_path / "one.pdf", 100)
    stand_in = encoded.lines(message._stand_in(0, pdf)).decode().replace("\r\n", "\n")
    one = dataclasses.replace(letter(pdf), text=f"Look:\n{stand_in}\n", html=f"<p>{stand_in}</p>")
    read = email.message_from_bytes(whole(one), policy=email.policy.default)
    plain = read.get_body(("plain",))
    assert plain is not None
    assert stand_in.splitlines()[0] in plain.get_content()
    assert [part.get_content() for part in read.iter_attachments()] == [pdf.path.read_bytes()]


def test_one_form_is_made_for_all_letters_and_is_ours_alone(tmp_path: Path) -> None:
    pdf = write(tmp_path / "one.pdf", 400_000)
    with futures.ThreadPoolExecutor(8) as threads:
        all_of_them = [letter(pdf, number=n) for n in range(1, 17)]
        made = list(threads.map(lambda one: message.build(one, ()), all_of_them))
    (form,) = forms(tmp_path)
    assert {file.path for one in made for file in one.files} == {form}
    assert stat.S_IMODE(form.stat().st_mode) == 0o600
    assert pdf.sha256[:32] in form.name
    before = form.stat()
    message.build(letter(pdf, number=99), ())
    assert form.stat().st_ino == before.st_ino


def damage(form: Path, kind: str) -> None:
    content = form.read_bytes()
    if kind == "gone":
        form.unlink()
    elif kind == "cut":
        form.write_bytes(content[:-78])
    elif kind == "changed":
        form.write_bytes(content[:100] + b"A" + content[101:])
    elif kind == "line ends":
        form.write_bytes(content.replace(b"\r\n", b"\n\n", 1))
    elif kind == "no base64":
        form.write_bytes(b"A" + b"\r\n")
    # The clock of a file system is coarse: this makes sure that the file looks changed.
    if form.exists():
        os.utime(form, (1, 1))


@pytest.mark.parametrize("kind", ["gone", "cut", "changed", "line ends", "no base64"])
def test_a_damaged_form_is_made_again(kind: str, tmp_path: Path) -> None:
    one = letter(write(tmp_path / "one.pdf", 10_000))
    content = whole(one)
    (form,) = forms(tmp_path)
    damage(form, kind)
    assert whole(one) == content
    damage(form, kind)
    (tmp_path / "one.pdf").write_bytes(b"another")
    with pytest.raises(errors.OutgoingError, match="frozen"):
        message.build(one, ())


def test_nothing_half_made_is_left(tmp_path: Path) -> None:
    pdf = write(tmp_path / "one.pdf", 10_000)
    with pytest.raises(errors.OutgoingError, match="frozen"):
        message.build(letter(dataclasses.replace(pdf, sha256="0" * 64)), ())
    assert [file.name for file in tmp_path.iterdir()] == ["one.pdf"]


async def test_a_form_that_is_gone_in_between_is_for_later(tmp_path: Path) -> None:
    made = message.build(letter(write(tmp_path / "one.pdf", 10_000)), ())
    encoded.forget(tmp_path / "one.pdf")
    assert forms(tmp_path) == []
    announced: list[bool] = []
    with smtp_server.running() as server:
        courier = smtp.Courier(smtp_tools.mail_settings(server.port))
        reply = await courier.hand_over(
            made, sender="a@campaigns.example", recipient="b@c.example", token="",
            on_handing_over=lambda: announced.append(True),
        )  # fmt: skip
        await courier.close()
    assert (reply.outcome, reply.phase) == (smtp_tools.LATER, "body")
    assert not mail.about_relay(reply)
    assert (announced, server.accepted) == ([], [])


async def test_the_wire_has_the_very_bytes(tmp_path: Path) -> None:
    pdfs = [write(tmp_path / f"{n}.pdf", 700_000 + n) for n in range(2)]
    made = message.build(letter(*pdfs), ())
    with smtp_server.running() as server:
        courier = smtp.Courier(smtp_tools.mail_settings(server.port))
        reply = await courier.hand_over(
            made, sender="a@campaigns.example", recipient="b@c.example", token="",
            on_handing_over=lambda: None,
        )  # fmt: skip
        await courier.close()
    assert reply.outcome is smtp_tools.DONE
    (got,) = server.accepted
    assert got != b"".join(made.chunks())
    assert got.replace(b"\r\n..", b"\r\n.") == b"".join(made.chunks())
    assert b"SIZE=%d" % made.size in b" ".join(server.commands)


def test_memory_does_not_grow_with_the_attachment(tmp_path: Path) -> None:
    def peak(size: int) -> int:
        one = letter(write(tmp_path / f"{size}.pdf", size))
        tracemalloc.start()
        try:
            lengths = [len(chunk) for chunk in message.build(one, ()).chunks()]
            assert sum(lengths) > size
            assert max(lengths) <= 256 * 1024
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1000)  # what is made once
    assert peak(16_000_000) < peak(2_000_000) + 500_000 < 4_000_000


def test_a_form_goes_with_its_pdf_or_with_the_last_letter_that_needs_it(
    book: ledger.Ledger, tmp_path: Path
) -> None:
    settings = build.settings(tmp_path)
    build.grow(book, build.campaign(tmp_path), 100)
    (row,) = book.deliveries.select()
    folder = settings.state / "letters" / "faces"
    folder.mkdir(parents=True)
    row = build.approved(book, row, folder)
    pdf = folder / Path(row.pdf).name
    build.put(book, "delivery", row.id, pdf=str(pdf.relative_to(settings.state)))
    encoded.ready(pdf, row.pdf_sha256)
    letters.tidy(book, settings)
    assert len(forms(folder)) == 1
    build.put(book, "delivery", row.id, state="sent")
    letters.tidy(book, settings)
    assert forms(folder) == []
    encoded.ready(pdf, row.pdf_sha256)
    build.put(book, "delivery", row.id, pdf="")
    letters.forget(book, str(pdf.relative_to(settings.state)), settings)
    assert list(folder.iterdir()) == []
