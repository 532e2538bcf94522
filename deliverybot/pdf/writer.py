"""New objects after the end of a finished PDF: an incremental update (ISO 32000-1, 7.5.6).

What WeasyPrint made stays as it is, byte for byte; objects are written as they
come and are not kept, so memory does not follow the size of the file.
"""

from __future__ import annotations

import hashlib
import pathlib
import shutil
import zlib
from collections.abc import Mapping
from typing import Any, BinaryIO

import pikepdf

_CHUNK = 1_000_000


class Writer:
    """Appends to a copy of a PDF."""

    def __init__(self, front: pathlib.Path, file: BinaryIO) -> None:
        """Copy `front` and get ready to add to it."""
        with front.open("rb") as source:
            shutil.copyfileobj(source, file, _CHUNK)
        self._file = file
        self._places: dict[int, int] = {}
        #: The finished PDF, for reading its objects.
        self.front: Any = pikepdf.open(front)
        trailer = self.front.trailer
        self._next = int(trailer.Size)
        self._root = trailer.Root.objgen[0]
        self._info = trailer.Info.objgen[0] if "/Info" in trailer else 0
        self._previous = _last_startxref(front)
        self._seed = hashlib.sha256()

    def reserve(self) -> int:
        """Return the number of an object that is written later."""
        self._next += 1
        return self._next - 1

    def put(self, body: bytes, number: int = 0) -> int:
        """Write an object, a new one or a new version, and return its number."""
        number = number or self.reserve()
        self._places[number] = self._file.tell()
        self._file.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
        return number

    def stream(self, content: bytes, entries: bytes = b"", *, packed: bool = False) -> int:
        """Write a stream, deflated here unless it is so already."""
        data = content if packed else zlib.compress(content)
        # What is in the streams tells this file from any other.
        self._seed.update(hashlib.sha256(data).digest())
        head = b"<</Length %d/Filter/FlateDecode%s>>stream\n" % (len(data), entries)
        return self.put(head + data + b"\nendstream")

    def change(self, thing: Any, entries: Mapping[str, bytes]) -> None:  # noqa: ANN401 - pikepdf's objects have no common type
        """Write a new version of one of the front's dictionaries, with these entries."""
        for name in entries.keys() & set(thing.keys()):
            del thing[name]
        kept = thing.unparse(resolved=True).removesuffix(b">>")
        added = b"".join(name.encode() + b" " + value for name, value in sorted(entries.items()))
        self.put(kept + added + b">>", thing.objgen[0])

    def finish(self) -> None:
        """Write the cross-reference stream and the end of the file."""
        number = self.reserve()
        at = self._places[number] = self._file.tell()
        numbers = sorted(self._places)
        index = " ".join(f"{first} {count}" for first, count in _sections(numbers))
        entries = b"".join(b"\x01" + self._places[n].to_bytes(5, "big") + b"\0" for n in numbers)
        data = zlib.compress(entries)
        name = self._seed.hexdigest()[:32].encode()
        info = b"/Info %d 0 R" % self._info if self._info else b""
        self._file.write(
            b"%d 0 obj\n<</Type/XRef/Size %d/Root %d 0 R%s/Prev %d/ID[<%s><%s>]/W[1 5 1]/Index[%s]"
            b"/Length %d/Filter/FlateDecode>>stream\n%s\nendstream\nendobj\n"
            b"startxref\n%d\n%%%%EOF\n"
            % (
                number, self._next, self._root, info, self._previous, name, name,
                index.encode(), len(data), data, at,
            )
        )  # fmt: skip
        self.front.close()


def _last_startxref(front: pathlib.Path) -> int:
    with front.open("rb") as file:
        file.seek(max(0, front.stat().st_size - 100))
        return int(file.read().rpartition(b"startxref")[2].split()[0])


def _sections(numbers: list[int]) -> list[tuple[int, int]]:
    """Return (first, how many) of each run of consecutive numbers."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and number == sum(found[-1]):
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((number, 1))
    return found


def text(value: str) -> bytes:
    """Write a text string of a dictionary, in UTF-16 (7.9.2.2)."""
    return b"<" + (b"\xfe\xff" + value.encode("utf-16-be")).hex().encode() + b">"
