"""What a post is on Bluesky: its name, its text with links and tags, its picture.

The shapes are those of the lexicons app.bsky.feed.post, app.bsky.richtext.facet
and app.bsky.embed.images.  The same draft always makes the same record, byte
for byte: that is how the network knows it again.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re
import struct
import unicodedata
from collections.abc import Iterator, Mapping

import grapheme

from deliverybot import outlets

COLLECTION = "app.bsky.feed.post"
#: A text has so many graphemes at most, and so many bytes.
GRAPHEMES, BYTES = 300, 3000
#: The largest picture of a post; older servers (0.4.217) refuse it above half of this.
IMAGE_MAX = 2_000_000
#: The longest tag.
_TAG_GRAPHEMES, _TAG_BYTES = 64, 640

_SORTABLE = "234567abcdefghijklmnopqrstuvwxyz"
_TID_LETTERS = 13
#: CIDv1, raw bytes, SHA-256 of 32 bytes (multiformats/cid).
_RAW_SHA256 = bytes((0x01, 0x55, 0x12, 0x20))
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_HEAD = struct.Struct(">16xII")

#: Blanks, quotes and brackets end an address.  So do the scripts that are written without
#: blanks, their punctuation, and emoji: there the next word stands right behind it.
_ENDS = (
    r"\s<>\"`{}|\\^\u00ab\u00bb\u00ad\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff"
    r"\u2000-\u206f\u2190-\u2bff\u2e80-\ua4cf\uac00-\ud7ff\ufe00-\ufe4f\uff00-\uffef"
    r"\U0001f000-\U0003ffff"
)
_LINK = re.compile(rf"(?<![A-Za-z0-9])https?://(?![{_ENDS}])[\w\[][^{_ENDS}]*", re.IGNORECASE)
#: As Bluesky's own app finds tags (@atproto/api, rich-text/util), but also right behind an
#: emoji or a bracket, and up to the next sentence where no blank is between.
_TAG = re.compile(
    r"(?<![\w&/#\uff03])[#\uff03](?!\ufe0f)"
    r"([^\s#\uff03\u00ad\u2060\u200a-\u200d\u20e2\u3000-\u303f\uff01-\uff0f\uff1a-\uff20]+)"
)
_CLOSING = {")": "(", "]": "["}


def length(text: str) -> int:
    """Count a text so that 300 is the most: graphemes, or ten bytes for one where that is more."""
    return max(int(grapheme.length(text)), -(-len(text.encode()) // (BYTES // GRAPHEMES)))


def unfit(post: outlets.Draft) -> str:
    """Say why Bluesky cannot take a post as it stands; empty where it can."""
    if (long := grapheme.length(post.text)) > GRAPHEMES:
        return f"the text counts {long} on Bluesky, which takes {GRAPHEMES}"
    if (large := len(post.text.encode())) > BYTES:
        return f"the text has {large} bytes, and Bluesky takes {BYTES}"
    if len(post.image) > IMAGE_MAX:
        return f"the picture has {len(post.image)} bytes, and Bluesky takes {IMAGE_MAX}"
    if post.crossed_at is None:
        return "the time at which the milestone was crossed is not known; the post is named by it"
    return ""


def name(post: outlets.Draft) -> str:
    """Return the record key of a post, a TID (atproto.com/specs/tid) that is its own for ever.

    The milliseconds are those of the crossing.  Three more digits and ten bits
    come from the post's key: two posts of one account that are due to the same
    moment share a name once in a million.
    """
    assert post.crossed_at is not None  # noqa: S101 - `unfit` has looked
    moment = (post.crossed_at - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(
        milliseconds=1
    )
    own = int.from_bytes(hashlib.sha256(post.key.encode()).digest()[:8], "big")
    number = (moment * 1000 + own % 1000) << 10 | own // 1000 % 1024
    digits = (number >> 5 * place & 31 for place in reversed(range(_TID_LETTERS)))
    return "".join(_SORTABLE[digit] for digit in digits)


def cid(data: bytes) -> str:
    """Return the content identifier of a blob, as text."""
    plain = _RAW_SHA256 + hashlib.sha256(data).digest()
    return "b" + base64.b32encode(plain).decode().lower().rstrip("=")


def record(post: outlets.Draft) -> dict[str, object]:
    """Return the record of a post; its picture must be there before it."""
    assert post.crossed_at is not None  # noqa: S101 - `unfit` has looked
    made = post.crossed_at.astimezone(dt.UTC).isoformat(timespec="milliseconds")
    content: dict[str, object] = {
        "$type": COLLECTION,
        "text": post.text,
        "createdAt": made.replace("+00:00", "Z"),
    }
    if post.language:
        content["langs"] = [post.language]
    if found := facets(post.text):
        content["facets"] = found
    if post.image:
        content["embed"] = _embed(post)
    return content


def _embed(post: outlets.Draft) -> dict[str, object]:
    picture: dict[str, object] = {
        "$type": "blob",
        "ref": {"$link": cid(post.image)},
        "mimeType": "image/png",
        "size": len(post.image),
    }
    image: dict[str, object] = {"alt": post.alt, "image": picture}
    if post.image.startswith(_PNG) and len(post.image) >= _PNG_HEAD.size:
        width, height = _PNG_HEAD.unpack_from(post.image)
        image["aspectRatio"] = {"width": width, "height": height}
    return {"$type": "app.bsky.embed.images", "images": [image]}


def is_same(content: Mapping[str, object], post: outlets.Draft) -> bool:
    """Tell whether a record that is there says what a post says and shows what it shows."""
    return content.get("text") == post.text and _pictures(content.get("embed")) == (
        [cid(post.image)] if post.image else []
    )


def _pictures(embed: object) -> list[str]:
    """Return the content identifiers of all that a record shows."""
    if embed is None:
        return []
    images = embed.get("images") if isinstance(embed, dict) else None
    found = []
    for one in images if isinstance(images, list) else [None]:
        for step in ("image", "ref", "$link"):
            one = one.get(step) if isinstance(one, dict) else None  # noqa: PLW2901 - step by step
        found.append(str(one))
    return found


def facets(text: str) -> list[dict[str, object]]:
    """Return what makes links and tags of a text work; its places are counted in UTF-8 bytes."""
    found = sorted(_features(text), key=lambda one: one[0])
    return [
        {
            "index": {
                "byteStart": len(text[:start].encode()),
                "byteEnd": len(text[:end].encode()),
            },
            "features": [feature],
        }
        for start, end, feature in found
    ]


def _features(text: str) -> Iterator[tuple[int, int, dict[str, str]]]:
    """Yield start, end and kind of each link and tag; a tag inside a link is none."""
    covered: set[int] = set()
    for link in _LINK.finditer(text):
        uri = _without_end(link[0])
        end = link.start() + len(uri)
        covered.update(range(link.start(), end))
        yield link.start(), end, {"$type": "app.bsky.richtext.facet#link", "uri": uri}
    for tag in _TAG.finditer(text):
        word = tag[1]
        while word and unicodedata.category(word[-1]).startswith("P"):
            word = word[:-1]
        short = grapheme.length(word) <= _TAG_GRAPHEMES and len(word.encode()) <= _TAG_BYTES
        if tag.start() in covered or not short or not _names_something(word):
            continue
        feature = {"$type": "app.bsky.richtext.facet#tag", "tag": word}
        yield tag.start(), tag.start() + 1 + len(word), feature


def _without_end(uri: str) -> str:
    """Take away what belongs to the sentence around an address."""
    while uri:
        last = uri[-1]
        opening = _CLOSING.get(last)
        if last in ".,;:!?'" or (opening and uri.count(last) > uri.count(opening)):
            uri = uri[:-1]
        else:
            break
    return uri


def _names_something(word: str) -> bool:
    """Tell whether a tag has more than digits and punctuation."""
    return any(not (one.isdigit() or unicodedata.category(one).startswith("P")) for one in word)
