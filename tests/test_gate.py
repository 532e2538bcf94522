"""The gate: what it lets through, and each fault that it refuses."""

# ruff: noqa: ANN401 - the pages of pikepdf have no type to name

from __future__ import annotations

import pathlib
import re
import zlib
from collections.abc import Callable
from typing import Any

import pikepdf
import pytest

from deliverybot import errors, model
from deliverybot.pdf import bindery, child, gate, volume

FORM = volume.Form(title="A list", size=100, withheld="Withheld", fields=("name",))


async def bound(folder: pathlib.Path, count: int = 250) -> tuple[pathlib.Path, list[volume.Volume]]:
    """A letter of one page with volumes behind it, and those."""
    made: list[bindery.Made] = []
    signers = (model.ListedSigner(number=n, name=f"Person {n}") for n in range(1, count + 1))
    await bindery.typeset(
        signers, FORM, folder=folder / "volumes", fonts=folder / "fonts",
        limits=child.Limits(), made=made.append,
    )  # fmt: skip
    # The last one's news comes with the report.
    files = sorted((folder / "volumes").glob("*.volume"))
    assert [one.path for one in made] == files
    with pikepdf.new() as pdf:
        pdf.add_blank_page()
        pdf.save(folder / "front.pdf", object_stream_mode=pikepdf.ObjectStreamMode.disable)
    out = folder / "out.pdf"
    await bindery.bind(
        folder / "front.pdf", files, out, fonts=folder / "fonts", limits=child.Limits()
    )
    return out, [volume.read(file) for file in files]


def lost(pages: Any) -> None:
    del pages[2]


def twice(pages: Any) -> None:
    pages.insert(2, pages[2])


def swapped(pages: Any) -> None:
    pages.reverse()
    pages.insert(0, pages[-1])
    del pages[-1]


def changed(pages: Any) -> None:
    pages[2].obj.Contents.write(b"BT /F0 7 Tf (1)Tj ET")


def no_front(pages: Any) -> None:
    del pages[0]


def behind(pages: Any) -> None:
    pages.append(pages[0])


def nothing(pages: Any) -> None:
    pages[0].obj.Contents = pages[0].obj.Contents


@pytest.mark.parametrize("damage", [lost, twice, swapped, changed, no_front, behind])
async def test_pages_that_are_not_those_that_were_set_are_refused(
    damage: Callable[[Any], None], tmp_path: pathlib.Path
) -> None:
    out, volumes = await bound(tmp_path)
    assert gate.bound(out, volumes) == 4
    for name, change in (("same.pdf", nothing), ("other.pdf", damage)):
        with pikepdf.open(out) as pdf:
            pdf.pages[0].obj.Contents = pdf.make_stream(b"q Q")
            change(pdf.pages)
            pdf.save(tmp_path / name, compress_streams=False)
    assert gate.bound(tmp_path / "same.pdf", volumes) == 4
    with pytest.raises(errors.LetterError, match=r"not the pages?") as caught:
        gate.bound(tmp_path / "other.pdf", volumes)
    assert "nothing was sent" in caught.value.faults[0].hint


async def test_a_file_that_is_no_pdf_or_carries_too_much_is_refused(tmp_path: pathlib.Path) -> None:
    out, volumes = await bound(tmp_path, 100)
    with pytest.raises(errors.LetterError, match="the files that it was bound from"):
        gate.bound(out, volumes, files=1)
    content = out.read_bytes()
    out.write_bytes(b"no PDF at all, not even a little\n" * 9)
    with pytest.raises(errors.LetterError, match="cannot be read"):
        gate.bound(out, volumes)
    out.write_bytes(content)
    assert gate.bound(out, volumes) == 2


UNREADABLE = (
    b"q 1 0 0 1 0 0 cm frobnicate Q",
    *(b"q %s w Q" % number for number in (b"1.2.3", b"1..2", b"--1", b"1-2", b"1e5", b".", b"NaN")),
    b"BT (not closed Tj ET",
    b"q [1 2 w Q",
    b"BT <41zz> Tj ET",
)


@pytest.mark.parametrize("content", UNREADABLE)
async def test_a_letter_that_others_might_not_read_is_refused(
    content: bytes, tmp_path: pathlib.Path
) -> None:
    with pikepdf.new() as pdf:
        pdf.add_blank_page()
        pdf.pages[0].obj.Contents = pdf.make_stream(content)
        pdf.save(tmp_path / "out.pdf")
    with pytest.raises(errors.LetterError, match=r"unknown operator|cannot be read"):
        gate.bound(tmp_path / "out.pdf", [])
    with pytest.raises(errors.LetterError, match=r"unknown operator|cannot be read"):
        gate.numbers(content)


async def test_each_number_is_counted_once_on_the_pages_themselves(tmp_path: pathlib.Path) -> None:
    _, volumes = await bound(tmp_path, 100)
    (content,) = (zlib.decompress(page) for page in volumes[0].streams())
    found = gate.numbers(content)
    gate.complete(found, range(1, 101), "volume 1")
    line = re.search(rb"\(\x01*42\x02[^)]*\)'\n?", content)
    assert line is not None
    without = content.replace(line[0], b"")
    with pytest.raises(errors.LetterError, match=r"99 of 100 signers: number 42 and 0 more"):
        gate.complete(gate.numbers(without), range(1, 101), "volume 1")
    again = content.replace(line[0], line[0] * 2)
    with pytest.raises(errors.LetterError, match=r"101 of 100 signers: some are twice"):
        gate.complete(gate.numbers(again), range(1, 101), "volume 1")
    other = content.replace(line[0], line[0].replace(b"42\x02", b"43\x02"))
    with pytest.raises(errors.LetterError, match="number 42"):
        gate.complete(gate.numbers(other), range(1, 101), "volume 1")


def hidden(folder: pathlib.Path) -> list[pathlib.Path]:
    return list(folder.rglob(".*"))


async def test_a_volume_changed_on_disk_is_not_bound(tmp_path: pathlib.Path) -> None:
    out, volumes = await bound(tmp_path, 200)
    before = out.read_bytes()
    path = volumes[1].path
    content = bytearray(path.read_bytes())
    content[volumes[1].offset + 20] ^= 1
    path.write_bytes(content)
    with pytest.raises(errors.LetterError, match="damaged"):
        await bindery.bind(
            tmp_path / "front.pdf", [one.path for one in volumes], out,
            fonts=tmp_path / "fonts", limits=child.Limits(),
        )  # fmt: skip
    assert out.read_bytes() == before
    assert not hidden(tmp_path)
