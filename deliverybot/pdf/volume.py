r"""A volume: some thousand signers as finished pages, in a file of our own.

::

    deliverybot volume 1\n
    LENGTH\n                    of the next part, in bytes
    head                        deflated JSON: the numbers, the pages, the glyphs used
    page 1, page 2, ...         deflated content streams, as they go into the PDF
    signers.csv                 raw deflate blocks, where the form asks for them

The same signers, form and fonts give the same bytes.  Nothing in it depends on
another volume or on a milestone, so it is written once and bound many times.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import zlib
from collections.abc import Iterator
from typing import Any

from deliverybot import errors
from deliverybot.pdf import files

_MAGIC = b"deliverybot volume 1\n"
#: Grows whenever other code would set other pages from the same form.
MAKER = 2
#: Bytes of a page's own objects in the finished PDF, and of their entries in its table.
OBJECTS = 160
#: Points: width and height.
PAPERS = {"A4": (595.276, 841.89), "Letter": (612.0, 792.0)}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What a volume's pages look like; all that is not a signer."""

    #: Stands on each page.
    title: str
    #: BCP 47; says how Han is drawn.
    language: str = "en"
    #: "A4" or "Letter".
    paper: str = "A4"
    #: Signers in a full volume.
    size: int = 10_000
    #: What stands where a name is withheld.
    withheld: str
    #: "number", "name" or "place": the order within the volume.
    order: str = "number"
    #: Between thousands, in the head of a page.
    group: str = ","
    #: Names of the fields, in their order.
    fields: tuple[str, ...]
    #: Whether the volume carries its part of signers.csv.
    csv: bool = False

    def fingerprint(self) -> str:
        """Hash the form and the maker's version, as hex."""
        words = json.dumps([MAKER, dataclasses.asdict(self)], sort_keys=True)
        return hashlib.sha256(words.encode()).hexdigest()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One finished page."""

    #: Signers on it.
    count: int
    #: Bytes of its deflated content stream, and their SHA-256 in hex.
    length: int
    sha256: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Font:
    """One font resource of the pages, with the glyphs that they use."""

    #: As the content streams call it.
    name: str
    #: plain (bytes of the code page), glyphs (two bytes, a glyph id) or emoji (a byte each).
    kind: str
    #: SHA-256 of the font's file, and the face's place in it.
    file: str
    index: int
    #: Glyph id to what it says, in thousandths its width; for emoji in the order of their bytes.
    glyphs: dict[int, tuple[str, float]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """The head of a volume, and where its file is."""

    path: pathlib.Path
    number: int
    #: Numbers of its first and last signer.
    first: int
    last: int
    paper: str
    group: str
    pages: tuple[Page, ...]
    fonts: tuple[Font, ...]
    #: Bytes of raw deflate, of text, and the text's Adler-32; all 0 where there is none.
    csv: tuple[int, int, int]
    #: Where the first page starts in the file.
    offset: int

    @property
    def size(self) -> int:
        """Bytes of all its pages."""
        return sum(page.length for page in self.pages)

    @property
    def weight(self) -> int:
        """Bytes that it adds to a PDF, fonts left aside: pages, their objects, its signers.csv."""
        return self.size + len(self.pages) * OBJECTS + self.csv[0]

    @property
    def span(self) -> str:
        """Its numbers, for people: 10,001-20,000 with an en dash."""
        return span(self.first, self.last, self.group)

    def streams(self) -> Iterator[bytes]:
        """Yield each page's content stream, deflated; one that has changed is refused."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            for page in self.pages:
                content = file.read(page.length)
                if hashlib.sha256(content).hexdigest() != page.sha256:
                    raise damaged(self.path)
                yield content

    def table(self) -> bytes:
        """Return its part of signers.csv, as raw deflate."""
        with self.path.open("rb") as file:
            file.seek(self.offset + self.size)
            return file.read(self.csv[0])


def span(first: int, last: int, group: str) -> str:
    """Write two numbers with what stands between thousands: "10,001-20,000", with an en dash.

    One signer alone is one number.
    """
    shown = f"{first:,}" if first == last else f"{first:,}–{last:,}"
    return shown.replace(",", group)


def damaged(path: pathlib.Path) -> errors.LetterError:
    """Say that a volume's file is not what was written."""
    what = f"the volume {path} is damaged or of another version"
    hint = "remove the file; the next run makes it again"
    return errors.LetterError([errors.Fault(level="fault", what=what, hint=hint)])


def page(count: int, stream: bytes) -> Page:
    """Describe a page by its deflated content stream."""
    return Page(count=count, length=len(stream), sha256=hashlib.sha256(stream).hexdigest())


def write(
    folder: pathlib.Path,
    head: dict[str, Any],
    streams: list[bytes],
    table: bytes,
    *,
    draft: pathlib.Path,
) -> tuple[pathlib.Path, str]:
    """Write a volume whole, named by its number and its content; return its path and SHA-256.

    What is not whole yet is in the folder `draft`.
    """
    packed = zlib.compress(json.dumps(head, ensure_ascii=False).encode())
    parts = [_MAGIC, b"%d\n" % len(packed), packed, *streams, table]
    total = hashlib.sha256()
    for part in parts:
        total.update(part)
    path = folder / f"{head['number']:05}-{total.hexdigest()[:16]}.volume"
    with files.whole(path, draft) as file:
        file.writelines(parts)
    return path, total.hexdigest()


def columns(glyphs: dict[int, tuple[str, float]]) -> dict[str, list[Any]]:
    """Write glyphs as three lists, which are read back in a third of the time of a mapping."""
    said = [words for words, _ in glyphs.values()]
    return {"ids": list(glyphs), "said": said, "widths": [width for _, width in glyphs.values()]}


def _font(font: dict[str, Any]) -> Font:
    ids, said, widths = (font.pop(name) for name in ("ids", "said", "widths"))
    return Font(**font, glyphs=dict(zip(ids, zip(said, widths, strict=True), strict=True)))


def read(path: pathlib.Path) -> Volume:
    """Read a volume's head; raises LetterError where the file is none, OSError as open does."""
    with path.open("rb") as file:
        try:
            if file.readline(100) != _MAGIC:
                raise damaged(path)
            packed = file.read(int(file.readline(20)))
            head = json.loads(zlib.decompress(packed))
        except (ValueError, zlib.error):
            raise damaged(path) from None
        offset = file.tell()
    head["pages"] = tuple(Page(**page) for page in head["pages"])
    head["fonts"] = tuple(map(_font, head["fonts"]))
    return Volume(path=path, offset=offset, **head | {"csv": tuple(head["csv"])})
