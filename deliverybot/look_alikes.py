"""One form for all spellings that a reader takes for the same name.

Case, accents, the difference between letters that look alike and all that is
no letter or digit count for nothing.  For comparing only, never for showing:
the form itself is no word.
"""

from __future__ import annotations

import re
import unicodedata

#: Letters of other scripts, and rare Latin ones, that look like a Latin letter: after Unicode's
#: table of confusables (UTS 39, 15.1), those of single letters that `NFKD` leaves as they are.
#: "l" stands under "i": the large I and the small l look alike.
_LIKE = {
    "a": "ɑΑαАаᎪꓮꭺ",
    "b": "ƄƅΒβВЬвьᏏᏴᏼꓐꞴꞵꮟ",
    "c": "СсᏟᴄⲤⲥꓚꮯϲϹ",
    "d": "ԁᎠᏧꓒꓓꭰꮷ",
    "e": "ΕεЕеҽᎬꓰꬲꭼ",
    "f": "ϜϝքꓝꞘꞙꬵ",
    "g": "ƍɡԌԍցᏀᏳᏻᶃꓖꮐ",
    "h": "ΗηНнһհᎻᏂⲎⲏꓧꮋꮒ",
    "i": "ıƖǀɩɪΙιІіӀӏᎥᏞⲒⲓⳐⳑꓡꓲꙇꭵꮮ",
    "j": "ʝͿϳЈјᎫꓙꞲꭻ",
    "k": "ΚκКкᏦⲔⲕꓗꮶĸ",
    "m": "ΜμϺϻМмᎷⲘⲙꓟꮇ",
    "n": "ΝոռⲚⲛꓠŋ",
    "o": "ΟοσςОоՕօᴏᴑⲞⲟꓳꬽ",
    "p": "ΡρРрᏢⲢⲣꓑꮲ",
    "q": "ԛգզ",
    "r": "ƦʀгᎡᏒᴦⲅꓣꭇꭈꭱꮁꮢ",
    "s": "ƽЅѕՏտᏕᏚꓢꜱꮥꮪ",
    "t": "ΤτТтᎢⲦⲧꓔꭲ",
    "u": "ʋυՍսᴜꓴꞟꭎꭒ",
    "v": "νѴѵᏙᴠꓦꮩ",
    "w": "ɯѡԜԝաᎳᏔᴡꓪꮃꮤ",
    "x": "ΧχХхⲬⲭꓫꞳꭓ",
    "y": "ɣʏΥγУуҮүᎩᎽᶌỿⲨⲩꓬꭚꭹꮍ",
    "z": "ΖζᏃᴢꓜꮓ",
    # Letters with a stroke, and two in one: written without them where a keyboard has none.
    "ae": "æ",
    "oe": "œ",
    "th": "þ",
}
_STROKES = dict(zip("øłđħŧðɨɓɗƙə", "oidhtdibdke", strict=True))
_TABLE = str.maketrans({one: plain for plain, many in _LIKE.items() for one in many} | _STROKES)
#: The same one for one, in the case in which they are written; for what is not compared.
_LATIN = str.maketrans(
    {
        one: plain.upper() if one.isupper() else plain
        for plain, many in _LIKE.items()
        for one in many
        if len(plain) == 1
    }
)
#: After all else: what is hard to tell apart in plain letters.
_PLAIN = str.maketrans("l1|0", "iiio")
#: Accents, and the points of Hebrew and Arabic that few write.  The vowel signs of Indic, Thai
#: and kindred scripts are no accents: another sign is another name.
_ACCENTS = re.compile(
    "[\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u064b-\u065f"
    "\u0670\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
)


def fold(text: str) -> str:
    """Return the letters and digits of `text` in the one form, without blanks between them."""
    if not text.isascii():
        # A small letter may look like none where its capital does, so both steps come twice.
        text = _ACCENTS.sub("", unicodedata.normalize("NFKD", text)).translate(_TABLE)
        text = text.casefold().translate(_TABLE)
    text = text.lower().translate(_PLAIN)
    if not text.isalnum():
        # What falls out may have kept two marks from their right order.
        text = unicodedata.normalize("NFKD", "".join(char for char in text if _is_kept(char)))
    # Set close together, as in "rnarvel".
    return text.replace("rn", "m").replace("vv", "w")


def latin(text: str) -> str:
    """Return a text with Latin letters where others look like them; as long, in the same case."""
    return text if text.isascii() else text.translate(_LATIN)


def words(text: str) -> tuple[str, ...]:
    """Return the words of a name in the one form, in the order in which they are written."""
    parts = (fold(part) for part in _BETWEEN.split(text))
    return tuple(part for part in parts if part)


#: Between two words; a point ends one ("J.Vale"), an apostrophe does not.
_BETWEEN = re.compile(r"[\s.,;:/()\[\]\"„“”«»_-]+")


def _is_kept(char: str) -> bool:
    return char.isalnum() or unicodedata.category(char)[0] == "M"
