"""Which encoding a file is in; the only door to charset-normalizer."""

from __future__ import annotations

import codecs
import dataclasses
from collections.abc import Iterator

from deliverybot import errors
from deliverybot.sources import files

#: The longer ones first: the mark of UTF-32 begins like that of UTF-16.
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
#: How packed spreadsheets begin (.xlsx and .ods are ZIP archives), and those of old Excel.
_SPREADSHEETS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
#: Names that mean "with a byte order mark" and what is left when there is none.
_WITHOUT_BOM = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}
#: What a guess may come to: one for each script that signature files are written in.
_USUAL = [
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257",
    "mac_roman", "koi8_r", "shift_jis", "euc_jp", "euc_kr", "gb18030", "big5",
]  # fmt: skip
#: Latin encodings that short samples do not tell apart, and the languages that each is home to.
_LATIN = {
    "cp1250": "pl cs sk hu hr sl ro bs sq",
    "cp1254": "tr az",
    "cp1257": "et lv lt",
    "mac_roman": "",
    "cp1252": "",
}
#: Signs other than letters that names, places and comments really hold.
_SIGNS = frozenset("‘’“”„–—…«»°ªº·´€¿¡\xa0")  # noqa: RUF001
_CHUNK = 1 << 18
_SAMPLE = 1 << 15


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An encoding and how it was found."""

    #: As Python names it; "ascii" if every byte so far is plain ASCII.
    encoding: str
    #: Where the text begins, after a byte order mark.
    start: int = 0
    #: True if it is a guess that a person should look at.
    guessed: bool = False


def find(file: files.File, *, offset: int, configured: str | None, language: str = "") -> Found:
    """Find the encoding of a file from `offset` on.

    In this order: a byte order mark, the configured encoding, UTF-8 where all
    of it is valid UTF-8, a guess from the lines that are not ASCII and the
    campaign's language.

    Raises:
        errors.SourceError: The encoding is unknown to us or cannot be guessed, or it is no text.
    """
    if offset == 0:
        start = file.at(0, 4)
        if start in _SPREADSHEETS:
            what = "this is a spreadsheet (.xlsx, .ods, .xls) or an archive, not text"
            hint = "export it from there as CSV UTF-8, and let the campaign name that file"
            raise errors.SourceError(what, file=file.name, hint=hint)
        for bom, encoding in _BOMS:
            if start.startswith(bom):
                return Found(encoding=encoding, start=len(bom))
    if configured:
        return Found(encoding=_known(configured, file))
    if wide := _wide(file.at(0, files.PROOF)):
        return Found(encoding=wide)
    valid, plain = _is_utf8(file, offset)
    if valid:
        return Found(encoding="ascii" if plain else "utf-8")
    return Found(encoding=_guess(file, offset, language), guessed=True)


def _known(name: str, file: files.File) -> str:
    try:
        found = codecs.lookup(name).name
        newline = files.newline_of(_WITHOUT_BOM.get(found, found))
    except (LookupError, UnicodeError):
        found, newline = "", b""
    if newline.strip(b"\0") != b"\n":
        what = f"the encoding {name!r} cannot be read here"
        raise errors.SourceError(what, file=file.name, hint="save the file as UTF-8")
    return _WITHOUT_BOM.get(found, found)


def _wide(sample: bytes) -> str:
    """Return the UTF-16 form of a text without a byte order mark, or nothing."""
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    enough = len(sample) // 4
    if odd > enough and odd > 4 * even:
        return "utf-16-le"
    return "utf-16-be" if even > enough and even > 4 * odd else ""


def _chunks(file: files.File, offset: int) -> Iterator[bytes]:
    while chunk := file.at(offset, _CHUNK):
        yield chunk
        offset += len(chunk)


def _is_utf8(file: files.File, offset: int) -> tuple[bool, bool]:
    """Tell whether the rest is UTF-8, and whether it is nothing but ASCII."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    plain = True
    for chunk in _chunks(file, offset):
        if plain and chunk.isascii():
            continue
        plain = False
        try:
            decoder.decode(chunk)
        except UnicodeDecodeError:
            return False, False
    # An unfinished last letter is no fault: somebody may be writing it.
    return True, plain


def _guess(file: files.File, offset: int, language: str) -> str:
    # Imported here: it costs 30 ms that no other command should pay.
    import charset_normalizer  # noqa: PLC0415

    sample = bytearray()
    for chunk in _chunks(file, offset):
        for line in chunk.splitlines(keepends=True):
            if not line.isascii():
                sample += line[:_SAMPLE]
        if len(sample) >= _SAMPLE:
            break
    best = charset_normalizer.from_bytes(bytes(sample[:_SAMPLE]), cp_isolation=_USUAL).best()
    if best is None:
        hint = 'set `encoding` under [source], such as encoding = "cp1252", or save it as UTF-8'
        raise errors.SourceError("the encoding cannot be told", file=file.name, hint=hint)
    if best.encoding in _LATIN:
        at_home = [name for name, spoken in _LATIN.items() if language[:2] in spoken.split()]
        for likely in (*at_home, "cp1252"):
            if _is_spelling(bytes(sample), likely):
                return likely
    return best.encoding


def _is_spelling(sample: bytes, encoding: str) -> bool:
    """Tell whether all that is not ASCII comes out as letters: "£ód" is no town."""
    try:
        text = sample.decode(encoding)
    except UnicodeDecodeError:
        return False
    return all(char.isascii() or char.isalpha() or char in _SIGNS for char in text)
