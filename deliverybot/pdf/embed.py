"""Fonts in the finished PDF: one subset a face for all volumes, and what its glyphs say.

Subsets keep their glyph ids, so the volumes' streams are copied as they are.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import pathlib
from collections.abc import Iterator
from typing import Any

import uharfbuzz as hb
from fontTools import ttLib
from fontTools.ttLib.tables import _c_m_a_p

from deliverybot import disk, errors
from deliverybot.pdf import plain, volume, writer

#: Pixels of an emoji's height: 600 a inch at the list's type.
_EMOJI_HEIGHT = 72
#: Entries in one block of a CMap (Adobe Technical Note 5411).
_BLOCK = 100


@dataclasses.dataclass(slots=True)
class _Group:
    """Glyphs of one face that say the same in all volumes of the group."""

    glyphs: dict[int, tuple[str, float]]
    volumes: set[tuple[int, str]]


class Library:
    """The font resources of a set of volumes, written once."""

    def __init__(self, out: writer.Writer, folder: pathlib.Path) -> None:
        """Write into a PDF; `folder` holds the font files by their hash."""
        self._out = out
        self._folder = folder
        self._whole: set[str] = set()
        self._faces: dict[tuple[str, int], list[volume.Font]] = {}
        self._groups: dict[tuple[str, int], list[_Group]] = {}
        self._emoji: list[tuple[tuple[int, str], volume.Font]] = []
        self._plain: dict[tuple[str, int], set[tuple[int, str]]] = {}
        #: (volume, resource name) to the font's object.
        self.objects: dict[tuple[int, str], int] = {}

    def add(self, one: volume.Volume) -> volume.Volume:
        """Note the fonts of one volume; return it without its glyphs, which are noted here."""
        for font in one.fonts:
            face, user = (font.file, font.index), (one.number, font.name)
            if font.kind == "emoji":
                self._emoji.append((user, font))
            elif font.kind == "plain":
                self._plain.setdefault(face, set()).add(user)
                self._groups.setdefault(face, [])
            else:
                self._join(self._groups.setdefault(face, []), font, user)
        light = (dataclasses.replace(font, glyphs={}) for font in one.fonts)
        return dataclasses.replace(one, fonts=tuple(light))

    def _join(self, groups: list[_Group], font: volume.Font, user: tuple[int, str]) -> None:
        """Put a volume's glyphs where they say what they say there; else into a new group."""
        for group in groups:
            both = group.glyphs | font.glyphs
            if both == font.glyphs | group.glyphs:  # neither overrides the other
                break
        else:
            group, both = _Group({}, set()), font.glyphs
            groups.append(group)
        group.glyphs = both
        group.volumes.add(user)

    def write(self) -> None:
        """Write all fonts."""
        for key, groups in self._groups.items():
            face = _Embedded(self._out, self._path(key[0]), key[1])
            used = {glyph for group in groups for glyph in group.glyphs}
            is_plain = key in self._plain
            face.embed(used, is_plain=is_plain)
            if is_plain:
                number = face.simple()
                self.objects |= dict.fromkeys(self._plain[key], number)
            for group in groups:
                self.objects |= dict.fromkeys(group.volumes, face.composite(group.glyphs))
        pictures: dict[tuple[str, int], _Pictures] = {}
        for user, font in self._emoji:
            key = (font.file, font.index)
            if key not in pictures:
                pictures[key] = _Pictures(self._out, self._path(font.file), font.index)
            self.objects[user] = pictures[key].font(font.glyphs)

    def _path(self, name: str) -> pathlib.Path:
        """Return a font's file; raises LetterError where it is not the one that was set in."""
        path = self._folder / name
        with contextlib.suppress(FileNotFoundError):
            if name in self._whole or disk.sha256(path) == name:
                self._whole.add(name)
                return path
        what = f"the font {name}, in which volumes of the list are set, is missing or damaged"
        hint = "remove the folder volumes in state_dir; the next start makes all anew"
        raise errors.LetterError([errors.Fault(level="fault", what=what, hint=hint)])


class _Embedded:
    """One face in the PDF: its file, its descriptor, its ways of use."""

    def __init__(self, out: writer.Writer, path: pathlib.Path, index: int) -> None:
        self._out = out
        self._face: Any = hb.Face(hb.Blob.from_file_path(str(path)), index)
        self._font: Any = hb.Font(self._face)
        self._scale = 1000 / self._face.upem
        self._name = _postscript_name(self._face)
        self._descriptor = 0
        self._cff = "CFF " in self._face.table_tags
        self._plain: dict[int, tuple[int, str]] = {}

    def embed(self, used: set[int], *, is_plain: bool) -> None:
        """Write the subset of these glyphs, and of the code page where it is asked for."""
        if is_plain:
            for byte in sorted(plain.SHOWN):
                if glyph := plain.glyph(byte, self._font):
                    self._plain[byte] = (glyph, plain.CODE_PAGE.get(byte, " "))
        subset = _subset(self._face, used | {glyph for glyph, _ in self._plain.values()})
        if self._cff:
            data = hb.Face(hb.Blob(subset)).reference_table("CFF ").data
            file = b"/FontFile3 %d 0 R" % self._out.stream(data, b"/Subtype/CIDFontType0C")
        else:
            data = _with_code_page(
                subset, {byte: glyph for byte, (glyph, _) in self._plain.items()}
            )
            file = b"/FontFile2 %d 0 R" % self._out.stream(data, b"/Length1 %d" % len(data))
        self._descriptor = self._out.put(
            b"<</Type/FontDescriptor/FontName/%s/Flags 4/FontBBox[%s]/ItalicAngle 0/Ascent %d"
            b"/Descent %d/CapHeight 700/StemV 80%s>>" % (self._name, *self._box(), file)
        )

    def _box(self) -> tuple[bytes, int, int]:
        """Return the box around all glyphs, roughly, and how far they go up and down."""
        extents = self._font.get_font_extents("ltr")
        up, down = int(extents.ascender * self._scale), int(extents.descender * self._scale)
        return b"-1000 %d 3000 %d" % (down, up), up, down

    def simple(self) -> int:
        """Write the font of one byte a letter."""
        widths = b" ".join(
            _number(self._advance(self._plain[byte][0])) if byte in self._plain else b"0"
            for byte in range(1, 256)
        )
        said = {byte: words for byte, (_, words) in self._plain.items()}
        return self._out.put(
            b"<</Type/Font/Subtype/TrueType/BaseFont/%s/FirstChar 1/LastChar 255/Widths[%s]"
            b"/FontDescriptor %d 0 R/ToUnicode %d 0 R>>"
            % (self._name, widths, self._descriptor, self._out.stream(_to_unicode(said, 1)))
        )

    def composite(self, glyphs: dict[int, tuple[str, float]]) -> int:
        """Write the font of two bytes a glyph, with what its glyphs say."""
        widths = b"".join(b"%d[%s]" % (g, _number(glyphs[g][1])) for g in sorted(glyphs))
        kind = b"CIDFontType0" if self._cff else b"CIDFontType2/CIDToGIDMap/Identity"
        cid = self._out.put(
            b"<</Type/Font/Subtype/%s/BaseFont/%s/CIDSystemInfo<</Registry(Adobe)"
            b"/Ordering(Identity)/Supplement 0>>/FontDescriptor %d 0 R/DW 0/W[%s]>>"
            % (kind, self._name, self._descriptor, widths)
        )
        said = {glyph: words for glyph, (words, _) in glyphs.items()}
        return self._out.put(
            b"<</Type/Font/Subtype/Type0/BaseFont/%s/Encoding/Identity-H/DescendantFonts[%d 0 R]"
            b"/ToUnicode %d 0 R>>" % (self._name, cid, self._out.stream(_to_unicode(said, 2)))
        )

    def _advance(self, glyph: int) -> float:
        return float(self._font.get_glyph_h_advance(glyph) * self._scale)


class _Pictures:
    """Colour emoji: a Type 3 font whose glyphs are pictures, each written once."""

    def __init__(self, out: writer.Writer, path: pathlib.Path, index: int) -> None:
        self._out = out
        self._face: Any = hb.Face(hb.Blob.from_file_path(str(path)), index)
        self._font: Any = hb.Font(self._face)
        self._scale = 1000 / self._face.upem
        self._drawn: dict[int, tuple[int, int]] = {}

    def font(self, glyphs: dict[int, tuple[str, float]]) -> int:
        """Write the font of one volume, a byte a glyph in the order of first use."""
        drawn = {glyph: self._picture(glyph, width) for glyph, (_, width) in glyphs.items()}
        names = {glyph: b"g%d" % glyph if glyph >= 0 else b"u%x" % -glyph for glyph in glyphs}
        procedures = b"".join(b"/%s %d 0 R" % (names[g], drawn[g][0]) for g in glyphs)
        pictures = b"".join(b"/g%d %d 0 R" % (g, drawn[g][1]) for g in glyphs if drawn[g][1])
        widths = b" ".join(_number(width) for _, width in glyphs.values())
        said = {byte: words for byte, (words, _) in enumerate(glyphs.values(), 1)}
        last = len(glyphs) + 1
        # Readers guess the size of a Type 3 font's letters from its m.
        return self._out.put(
            b"<</Type/Font/Subtype/Type3/FontBBox[0 -300 1300 1000]/FontMatrix[.001 0 0 .001 0 0]"
            b"/CharProcs<<%s/m %d 0 R>>/Encoding<</Type/Encoding/Differences[1%s/m]>>/FirstChar 1"
            b"/LastChar %d/Widths[%s 600]/Resources<</XObject<<%s>>>>/ToUnicode %d 0 R>>"
            % (
                procedures, self._out.stream(b"600 0 d0"),
                b"".join(b"/" + name for name in names.values()), last, widths, pictures,
                self._out.stream(_to_unicode(said, 1)),
            )
        )  # fmt: skip

    def _picture(self, glyph: int, width: float) -> tuple[int, int]:
        """Write a glyph's procedure and its picture, or nothing where the font has none."""
        if glyph not in self._drawn:
            blob = hb.ot_color_glyph_get_png(self._font, glyph) if glyph >= 0 else None
            content = b"%s 0 d0" % _number(width)
            image = 0
            if blob and len(blob.data):
                image = self._image(blob.data)
                box = self._font.get_glyph_extents(glyph)
                place = [box.width, -box.height, box.x_bearing, box.y_bearing + box.height]
                numbers = [_number(value * self._scale) for value in place]
                content += b" q %s 0 0 %s %s %s cm" % tuple(numbers) + b" /g%d Do Q" % glyph
            self._drawn[glyph] = (self._out.stream(content), image)
        return self._drawn[glyph]

    def _image(self, png: bytes) -> int:
        from PIL import Image  # noqa: PLC0415 - only emoji need it

        with Image.open(io.BytesIO(png)) as opened:
            size = (round(opened.width * _EMOJI_HEIGHT / opened.height), _EMOJI_HEIGHT)
            picture = opened.convert("RGBA").resize(size, Image.Resampling.LANCZOS)
        shape = b"/Type/XObject/Subtype/Image/Width %d/Height %d/BitsPerComponent 8" % size
        mask = self._out.stream(
            picture.getchannel("A").tobytes(), shape + b"/ColorSpace/DeviceGray"
        )
        entries = shape + b"/ColorSpace/DeviceRGB/SMask %d 0 R" % mask
        return self._out.stream(picture.convert("RGB").tobytes(), entries)


def _subset(face: Any, glyphs: set[int]) -> bytes:  # noqa: ANN401 - uharfbuzz has no types
    wanted = hb.SubsetInput()
    wanted.sets(hb.SubsetInputSets.GLYPH_INDEX).set(sorted(glyphs | {0}))
    wanted.flags = (
        hb.SubsetFlags.RETAIN_GIDS | hb.SubsetFlags.NO_HINTING | hb.SubsetFlags.NO_LAYOUT_CLOSURE
    )
    done = hb.subset(face, wanted)
    data: bytes = done.blob.data
    return data


def _with_code_page(subset: bytes, page: dict[int, int]) -> bytes:
    """Give a TrueType font the one table of codes that our simple font asks (9.6.6.4)."""
    with ttLib.TTFont(io.BytesIO(subset), lazy=True, recalcTimestamp=False) as font:
        for tag in set("cmap name post OS/2 GSUB GPOS GDEF STAT".split()) & set(font.keys()):
            del font[tag]
        if page:
            order = font.getGlyphOrder()
            table = ttLib.newTable("cmap")
            table.tableVersion = 0
            table.tables = []
            for platform, base, form in ((1, 0, 6), (3, 0xF000, 4)):
                codes = _c_m_a_p.CmapSubtable.newSubtable(form)
                codes.platformID, codes.platEncID, codes.language = platform, 0, 0
                codes.cmap = {base + byte: order[glyph] for byte, glyph in page.items()}
                table.tables.append(codes)
            font["cmap"] = table
        out = io.BytesIO()
        font.save(out, reorderTables=True)
    return out.getvalue()


def _to_unicode(said: dict[int, str], size: int) -> bytes:
    """Write the CMap that says what each code says (9.10.3)."""
    lines = [
        b"/CIDInit/ProcSet findresource begin 12 dict begin begincmap",
        b"/CIDSystemInfo<</Registry(Adobe)/Ordering(UCS)/Supplement 0>>def",
        b"/CMapName/Adobe-Identity-UCS def/CMapType 2 def",
        b"1 begincodespacerange<%s><%s>endcodespacerange" % (b"00" * size, b"ff" * size),
    ]
    pairs = [
        b"<%0*x><%s>" % (size * 2, code, words.encode("utf-16-be").hex().encode())
        for code, words in sorted(said.items())
        if words
    ]
    for block in _blocks(pairs):
        lines += [b"%d beginbfchar" % len(block), *block, b"endbfchar"]
    lines.append(b"endcmap CMapName currentdict/CMap defineresource pop end end")
    return b"\n".join(lines)


def _blocks(pairs: list[bytes]) -> Iterator[list[bytes]]:
    for at in range(0, len(pairs), _BLOCK):
        yield pairs[at : at + _BLOCK]


def _number(value: float) -> bytes:
    """Write a number as short as it is exact enough."""
    return f"{value:.2f}".rstrip("0").rstrip(".").encode()


def _postscript_name(face: Any) -> bytes:  # noqa: ANN401 - uharfbuzz has no types
    names = [face.get_name(hb.OTNameIdPredefined.POSTSCRIPT_NAME) or "Font"]
    plain_name = "".join(
        char for char in names[0] if char.isascii() and (char.isalnum() or char == "-")
    )
    return b"DELIVR+" + plain_name.encode()
