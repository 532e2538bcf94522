"""Volumes bound behind a front into one PDF.

The front (a letter, or the cover of a later part) is WeasyPrint's and stays as
it is.  Behind it go the fonts, then each volume's pages, then the page tree,
bookmarks and page labels.  The volumes' streams are copied, never read.
"""

from __future__ import annotations

import dataclasses
import pathlib
import zlib
from collections.abc import Sequence
from typing import BinaryIO

from deliverybot.pdf import embed, volume, writer

#: Adler-32 works modulo this (RFC 1950).
_ADLER = 65_521


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What one PDF is bound from."""

    #: A finished PDF.
    front: pathlib.Path
    volumes: Sequence[pathlib.Path]
    #: Folder of font files by their hash.
    fonts: pathlib.Path
    #: First line of signers.csv; empty where it is not attached.
    csv: str = ""


def bind(binding: Binding, file: BinaryIO) -> list[volume.Volume]:
    """Write the PDF into an empty file; return the heads of its volumes, without their glyphs.

    Raises LetterError where a volume is damaged.
    """
    out = writer.Writer(binding.front, file)
    library = embed.Library(out, binding.fonts)
    # One head at a time: its glyphs are most of what it takes.
    volumes = [library.add(volume.read(path)) for path in binding.volumes]
    library.write()
    root = out.front.Root
    pages = root.Pages
    nodes = [_volume(out, one, library, pages.objgen[0]) for one in volumes]
    kids = pages.Kids.unparse().removesuffix(b"]") + b"".join(b" %d 0 R" % n for n, _ in nodes)
    front = int(pages.Count)
    count = front + sum(len(one.pages) for one in volumes)
    out.change(pages, {"/Kids": kids + b" ]", "/Count": b"%d" % count})
    entries = {
        "/Outlines": _bookmarks(out, volumes, [first for _, first in nodes]),
        "/PageLabels": _labels(front, volumes),
        "/PageMode": b"/UseOutlines",
    }
    if binding.csv:
        names = root.get("/Names")  # where links within the letter lead
        kept = b"<<" if names is None else names.unparse(resolved=True).removesuffix(b">>")
        entries["/Names"] = kept + b"/EmbeddedFiles %s>>" % _attached(out, volumes, binding.csv)
    out.change(root, entries)
    out.finish()
    return volumes


def _volume(
    out: writer.Writer, one: volume.Volume, library: embed.Library, parent: int
) -> tuple[int, int]:
    """Write a volume's pages; return the number of its node and of its first page."""
    node = out.reserve()
    pages = []
    for content in one.streams():
        stream = out.stream(content, packed=True)
        pages.append(out.put(b"<</Type/Page/Parent %d 0 R/Contents %d 0 R>>" % (node, stream)))
    fonts = b"".join(
        b"/%s %d 0 R" % (font.name.encode(), library.objects[one.number, font.name])
        for font in one.fonts
    )
    width, height = volume.PAPERS[one.paper]
    kids = b" ".join(b"%d 0 R" % page for page in pages)
    out.put(
        b"<</Type/Pages/Parent %d 0 R/Count %d/Kids[%s]/MediaBox[0 0 %g %g]"
        b"/Resources<</Font<<%s>>>>>>" % (parent, len(pages), kids, width, height, fonts),
        node,
    )
    return node, pages[0]


def _bookmarks(
    out: writer.Writer, volumes: Sequence[volume.Volume], firsts: Sequence[int]
) -> bytes:
    """Write a bookmark for the list and, below it, one for each volume."""
    top = out.reserve()
    items = [out.reserve() for _ in volumes]
    for at, (one, first) in enumerate(zip(volumes, firsts, strict=True)):
        beside = b"/Prev %d 0 R" % items[at - 1] if at else b""
        if at + 1 < len(items):
            beside += b"/Next %d 0 R" % items[at + 1]
        body = b"<</Title%s/Parent %d 0 R/Dest[%d 0 R/Fit]%s>>"
        out.put(body % (writer.text(one.span), top, first, beside), items[at])
    outlines = out.front.Root.get("/Outlines")
    root = outlines.objgen[0] if outlines is not None else out.reserve()
    whole = volume.span(volumes[0].first, volumes[-1].last, volumes[0].group)
    body = b"<</Title%s/Parent %d 0 R/Dest[%d 0 R/Fit]/First %d 0 R/Last %d 0 R/Count -%d%s>>"
    before = b""
    if outlines is None:
        out.put(b"<</Type/Outlines/First %d 0 R/Last %d 0 R/Count 1>>" % (top, top), root)
    else:
        last = outlines.Last
        before = b"/Prev %d 0 R" % last.objgen[0]
        count = b"%d" % (int(outlines.get("/Count", 0)) + 1)
        out.change(last, {"/Next": b"%d 0 R" % top})
        out.change(outlines, {"/Last": b"%d 0 R" % top, "/Count": count})
    title = writer.text(whole)
    out.put(body % (title, root, firsts[0], items[0], items[-1], len(items), before), top)
    return b"%d 0 R" % root


def _labels(front: int, volumes: Sequence[volume.Volume]) -> bytes:
    """Number the front's pages from 1, and each volume's as "3-1", "3-2", ..."""
    labels = [b"0<</S/D>>"]
    for one in volumes:
        labels.append(b"%d<</S/D/P(%d-)>>" % (front, one.number))
        front += len(one.pages)
    return b"<</Nums[%s]>>" % b"".join(labels)


def _attached(out: writer.Writer, volumes: Sequence[volume.Volume], first: str) -> bytes:
    """Attach signers.csv: the volumes' parts behind one another, as one deflated stream."""
    head = first.encode()
    packer = zlib.compressobj(wbits=-15)
    parts = [packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)]
    total, check = len(head), zlib.adler32(head)
    for one in volumes:
        parts.append(one.table())
        total += one.csv[1]
        check = _adler_of_both(check, one.csv[2], one.csv[1])
    data = b"\x78\x9c" + b"".join(parts) + b"\x03\x00" + check.to_bytes(4, "big")
    entries = b"/Type/EmbeddedFile/Subtype/text#2Fcsv/Params<</Size %d>>" % total
    stream = out.stream(data, entries, packed=True)
    name = b"(signers.csv)"
    spec = out.put(
        b"<</Type/Filespec/F%s/UF%s/AFRelationship/Data/EF<</F %d 0 R/UF %d 0 R>>>>"
        % (name, name, stream, stream)
    )
    return b"<</Names[%s %d 0 R]>>" % (name, spec)


def _adler_of_both(one: int, two: int, length: int) -> int:
    """Return the Adler-32 of two texts from theirs and the second one's length (RFC 1950)."""
    low = ((one & 0xFFFF) + (two & 0xFFFF) - 1) % _ADLER
    high = ((one >> 16) + (two >> 16) + length * ((one & 0xFFFF) - 1)) % _ADLER
    return high << 16 | low
