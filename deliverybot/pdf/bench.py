"""The child process of the bindery: sets volumes, or binds them, as `bindery` asks.

Run as ``python -m deliverybot.pdf.bench`` by ``deliverybot.pdf.bindery`` only.
"""

from __future__ import annotations

import dataclasses
import html
import itertools
import pathlib
import shutil
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from deliverybot import disk, errors, inside, screen
from deliverybot.pdf import (
    binder,
    files,
    fonts,
    gate,
    glyphs,
    plain,
    setter,
    shaping,
    volume,
)

#: A signer as it comes: the number, each field that is shown, and the line of signers.csv.
Signer = tuple[int, list[str], str]


def main() -> int:
    """Read the job, limit this process, work, report."""
    job = inside.confined()
    try:
        report = TASKS[job["task"]](job)
    except errors.LetterError as error:
        report = {"faults": [dataclasses.asdict(fault) for fault in error.faults]}
    except OSError as error:
        report = {"error": f"{error.strerror}: {error.filename or job['folder']}"}
    inside.tell(report | inside.used())
    return 0


def typeset(job: dict[str, Any]) -> dict[str, Any]:
    """Set the signers on standard input into volumes, and tell of each that is on disk."""
    form = volume.Form(**job["form"] | {"fields": tuple(job["form"]["fields"])})
    desk = _Desk(form, job)
    rows = _signers(job["csv"])
    while signers := list(itertools.islice(rows, form.size)):
        inside.tell(desk.volume(signers))
    return {}


def _signers(csv: bool) -> Iterator[Signer]:  # noqa: FBT001 - one switch, as in the job
    """Read signers as `bindery` writes them: tabs between fields, a line each."""
    for line in sys.stdin.buffer:
        number, *fields = line.decode().rstrip("\n").split("\t")
        table = fields.pop() if csv else ""
        yield int(number), fields, table


class _Desk:
    """Sets one volume after another with the same fonts in hand."""

    def __init__(self, form: volume.Form, job: dict[str, Any]) -> None:
        self._form = form
        self._folder, self._draft, self._kept = (
            pathlib.Path(job[place]) for place in ("folder", "draft", "fonts")
        )
        self._case = fonts.at_hand(form.language)
        self._shaper = shaping.Shaper(self._case)
        self._plain = plain.Plain(self._case.main)
        self._hashes: dict[pathlib.Path, str] = {}

    def volume(self, signers: list[Signer]) -> dict[str, Any]:
        """Set, count and write one volume; return what `bindery` is to know of it."""
        self._preflight(signers)
        first, last = signers[0][0], signers[-1][0]
        number = (first - 1) // self._form.size + 1
        table = _table(signers) if self._form.csv else (b"", 0, 0)
        in_order = _in_order(signers, self._form.order)
        by_number = ((number, list(filter(None, shown))) for number, shown, _ in in_order)
        hand = setter.Setter(self._shaper, self._plain, self._form, number, last)
        pages, streams, found = list[volume.Page](), list[bytes](), list[int]()
        for count, content in hand.pages(by_number):
            found += gate.numbers(content)
            streams.append(zlib.compress(content))
            pages.append(volume.page(count, streams[-1]))
        gate.complete(found, range(first, last + 1), f"volume {number}")
        # Fontconfig may think better of a font than HarfBuzz does; glyph 0 is a box.
        boxes = [used.glyphs[0][0] for used in hand.fonts if 0 in used.glyphs]
        if boxes:
            raise _undrawn(set("".join(boxes)) or {"\ufffd"}, signers)
        head = {
            "number": number, "first": first, "last": last, "paper": self._form.paper,
            "group": self._form.group, "pages": [dataclasses.asdict(page) for page in pages],
            "fonts": [self._font(used) for used in hand.fonts], "csv": [len(table[0]), *table[1:]],
        }  # fmt: skip
        path, sha256 = volume.write(self._folder, head, streams, table[0], draft=self._draft)
        return {
            "path": str(path), "number": number, "first": first, "last": last,
            "pages": len(pages), "sha256": sha256,
        }  # fmt: skip

    def _preflight(self, signers: list[Signer]) -> None:
        """Raise LetterError where a character has no glyph in any font here."""
        text = set("".join(itertools.chain.from_iterable(signer[1] for signer in signers)))
        ours = self._form.title + self._form.withheld + self._form.group + setter.SIGNS
        if missing := self._case.missing("".join(text) + ours):
            raise _undrawn(missing, signers)

    def _font(self, used: setter.Used) -> dict[str, Any]:
        """Describe a font resource, and keep its file: it is needed whenever this is bound."""
        file = used.face.file
        if file not in self._hashes:
            self._hashes[file] = disk.sha256(file)
            kept = self._kept / self._hashes[file]
            if not kept.exists():
                with file.open("rb") as source, files.whole(kept, self._draft) as copy:
                    shutil.copyfileobj(source, copy)
        return {
            "name": used.name.decode(), "kind": used.kind, "file": self._hashes[file],
            "index": used.face.index, **volume.columns(used.glyphs),
        }  # fmt: skip


def _undrawn(missing: set[str], signers: list[Signer]) -> errors.LetterError:
    """Say which characters have no glyph, and in which lines they stand."""
    lines = [" ".join(filter(None, signer[1])) for signer in signers]
    near = [line for line in lines if not missing.isdisjoint(line)]
    page = "".join(f"<p>{html.escape(line)}</p>" for line in near)
    return errors.LetterError(glyphs.faults(map(ord, missing), page))


def _in_order(signers: list[Signer], order: str) -> list[Signer]:
    """Sort a volume's signers; those without a name come last."""
    if order == "number":
        return signers
    return sorted(signers, key=lambda signer: screen.sorting(signer[1], order))


def _table(signers: list[Signer]) -> tuple[bytes, int, int]:
    """Return the volume's part of signers.csv: raw deflate, its bytes before, their Adler-32."""
    text = "".join(f"{line}\r\n" for _, _, line in signers).encode()
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(text) + packer.flush(zlib.Z_FULL_FLUSH), len(text), zlib.adler32(text)


def bind(job: dict[str, Any]) -> dict[str, Any]:
    """Bind volumes behind a front, and read the whole again."""
    out = pathlib.Path(job["out"])
    binding = binder.Binding(
        front=pathlib.Path(job["front"]), volumes=list(map(pathlib.Path, job["volumes"])),
        fonts=pathlib.Path(job["fonts"]), csv=job["csv"],
    )  # fmt: skip
    with files.whole(out) as file:
        volumes = binder.bind(binding, file)
        file.flush()
        pages = gate.bound(pathlib.Path(file.name), volumes, files=bool(job["csv"]))
    return {"pages": pages, "sha256": disk.sha256(out), "size": out.stat().st_size}


TASKS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"typeset": typeset, "bind": bind}

if __name__ == "__main__":
    sys.exit(main())
