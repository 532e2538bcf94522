"""S/MIME (RFC 8551, RFC 1847): a mail's body, signed for its reader, as multipart/signed.

The signature is over the body with its own fields, read once from disk, and
its time is the mail's own date: with the same key, a retry sends the same
bytes.  With another key it sends others under the same Message-ID, and no
person is asked: what they approved is the same.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Sequence

from deliverybot.mail import built, cms, encoded, identity

TYPE = "application/pkcs7-signature"
MICALG = "sha-256"
_EOL = b"\r\n"


def sign(
    texts: Sequence[bytes],
    files: Sequence[encoded.Encoded],
    signer: identity.Identity,
    date: dt.datetime,
    boundary: str,
) -> list[bytes]:
    """Return the texts of a mail with its signature in them.

    `texts` and `files` as in `built.Built`; no line may begin with the
    boundary.  Reads the files once: call it in a thread.
    """
    hasher = hashlib.sha256()
    for chunk in built.chunks(_parted(texts)[1], files):
        hasher.update(chunk)
    made = cms.signature(
        hasher.digest(),
        at=date,
        issuer=signer.issuer,
        serial=signer.serial,
        certificates=signer.certificates,
        algorithm=signer.algorithm,
        sign=signer.sign,
    )
    return enclose(texts, boundary, made)


def enclose(texts: Sequence[bytes], boundary: str, signature: bytes) -> list[bytes]:
    """Return the texts of a mail whose body is enclosed with this signature of it."""
    head, (first, *rest) = _parted(texts)
    mark = f"--{boundary}".encode()
    before = (
        head
        + f'Content-Type: multipart/signed; protocol="{TYPE}";\r\n'
        f' micalg={MICALG}; boundary="{boundary}"\r\n\r\n'.encode()
        + mark
        + _EOL
    )
    # The line end before a boundary is the boundary's, and not signed.
    after = (
        _EOL
        + mark
        + f'\r\nContent-Type: {TYPE}; name="smime.p7s"\r\n'
        "Content-Transfer-Encoding: base64\r\n"
        'Content-Disposition: attachment; filename="smime.p7s"\r\n\r\n'.encode()
        + encoded.lines(signature)
        + mark
        + b"--\r\n"
    )
    first, *rest = [first, *rest[:-1], rest[-1] + after] if rest else [first + after]
    return [before + first, *rest]


def _parted(texts: Sequence[bytes]) -> tuple[bytes, list[bytes]]:
    """Return the fields that stay at the top, and the texts of the body with its own fields."""
    head, _, start = texts[0].partition(_EOL * 2)
    fields = [field + _EOL for field in re.split(rb"\r\n(?![ \t])", head)]
    own = [field for field in fields if field.lower().startswith(b"content-")]
    top = [field for field in fields if field not in own]
    return b"".join(top), [b"".join(own) + _EOL + start, *texts[1:]]
