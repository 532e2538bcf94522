"""A detached signature in CMS (RFC 5652), from the SHA-256 of what is signed.

What is signed need not be in memory for it.  Only DER is written here (X.690
section 10) and none is read: the few types that a signature needs are less
than a library for all of ASN.1 would ask for in care.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Sequence

_INTEGER, _OCTETS, _NULL, _OID, _UTC, _TIME = 0x02, 0x04, 0x05, 0x06, 0x17, 0x18
_SEQUENCE, _SET, _TAG_0 = 0x30, 0x31, 0xA0

_DATA = "1.2.840.113549.1.7.1"
_SIGNED_DATA = "1.2.840.113549.1.7.2"
_CONTENT_TYPE = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
_SIGNING_TIME = "1.2.840.113549.1.9.5"
_SHA256 = "2.16.840.1.101.3.4.2.1"
#: RFC 3370 section 3.2 (the key's own name stands for it, with NULL), RFC 5754 section 3.3.
_ALGORITHMS = {"rsa": "1.2.840.113549.1.1.1", "ecdsa": "1.2.840.10045.4.3.2"}
#: RFC 5652 section 11.3: from then on the year has four digits.
_LONG_YEARS = 2050
_LONG_LENGTH = 0x80


def signature(
    sha256: bytes,
    *,
    at: dt.datetime,
    issuer: bytes,
    serial: int,
    certificates: Sequence[bytes],
    algorithm: str,
    sign: Callable[[bytes], bytes],
) -> bytes:
    """Return the signature over content of this SHA-256, made at `at`, in DER.

    `issuer` (in DER) and `serial` name the signer's certificate; `certificates`
    go along.  `sign` signs bytes with its key by SHA-256, an "rsa" or "ecdsa" one.
    """
    attributes = _set_of(
        _attribute(_CONTENT_TYPE, _oid(_DATA)),
        _attribute(_SIGNING_TIME, _time(at)),
        _attribute(_MESSAGE_DIGEST, _tlv(_OCTETS, sha256)),
    )
    null = _tlv(_NULL) if algorithm == "rsa" else b""
    signer = _sequence(
        _integer(1),
        _sequence(issuer, _integer(serial)),
        _sequence(_oid(_SHA256)),
        _tlv(_TAG_0, attributes),
        _sequence(_oid(_ALGORITHMS[algorithm]), null),
        # Over the attributes as the SET OF that they are, not with the tag above (section 5.4).
        _tlv(_OCTETS, sign(_tlv(_SET, attributes))),
    )
    data = _sequence(
        _integer(1),
        _tlv(_SET, _sequence(_oid(_SHA256))),
        _sequence(_oid(_DATA)),
        _tlv(_TAG_0, _set_of(*certificates)),
        _tlv(_SET, signer),
    )
    return _sequence(_oid(_SIGNED_DATA), _tlv(_TAG_0, data))


def _attribute(kind: str, value: bytes) -> bytes:
    return _sequence(_oid(kind), _tlv(_SET, value))


def _tlv(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    if len(content) < _LONG_LENGTH:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, _LONG_LENGTH | len(length)]) + length + content


def _sequence(*contents: bytes) -> bytes:
    return _tlv(_SEQUENCE, *contents)


def _set_of(*members: bytes) -> bytes:
    """Return the members in the order of DER (X.690 section 11.6), without the tag."""
    return b"".join(sorted(members))


def _integer(number: int) -> bytes:
    return _tlv(_INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True))


def _oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    return _tlv(_OID, *map(_base128, itertools.chain([first * 40 + second], rest)))


def _base128(number: int) -> bytes:
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append(number & 0x7F | 0x80)
    return bytes(reversed(digits))


def _time(at: dt.datetime) -> bytes:
    at = at.astimezone(dt.UTC)
    if at.year < _LONG_YEARS:
        return _tlv(_UTC, f"{at:%y%m%d%H%M%SZ}".encode())
    return _tlv(_TIME, f"{at:%Y%m%d%H%M%SZ}".encode())
