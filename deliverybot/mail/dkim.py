"""DKIM (RFC 6376, RFC 8463): the mail signed with the keys of config.toml, relaxed/simple.

Everything in a signature comes from the mail and the settings, its time is
the mail's own date and both algorithms are deterministic: a retry sends the
same bytes.
"""

from __future__ import annotations

import base64
import collections
import dataclasses
import datetime as dt
import hashlib
import re
from collections.abc import Iterable, Sequence

from cryptography import exceptions
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from deliverybot import config, errors, signing
from deliverybot.mail import built, encoded

_BITS = 2048
#: Signed once more than they are there, so that nobody can add one (RFC 6376 section 8.15).
_SEALED = (
    *("From", "To", "Cc", "Subject", "Date", "Message-ID", "Reply-To", "In-Reply-To"),
    *("References", "MIME-Version", "Content-Type", "Content-Transfer-Encoding"),
    *("Content-Disposition", "Content-Language", "Disposition-Notification-To"),
    *("List-Id", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Help", "List-Owner"),
    *("List-Subscribe", "List-Post", "List-Archive"),
)
#: Signed where they are there.
_SIGNED = ("Auto-Submitted",)
_WIDTH = 74
_EOL = b"\r\n"
_HOW = "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out dkim.pem"

_Key = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """One key, and where its public half can be found."""

    domain: str
    selector: str
    key: _Key = dataclasses.field(repr=False)

    @property
    def algorithm(self) -> str:
        """The key's algorithm as DNS has it: rsa or ed25519."""
        return "rsa" if isinstance(self.key, rsa.RSAPrivateKey) else "ed25519"

    @property
    def name(self) -> str:
        """Name of the TXT record that must be published."""
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def record(self) -> str:
        """Value of the TXT record."""
        form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        if self.algorithm == "ed25519":
            form = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        public = base64.b64encode(self.key.public_key().public_bytes(*form)).decode()
        return f"v=DKIM1; k={self.algorithm}; p={public}"

    def sign(self, data: bytes) -> bytes:
        """Return the signature of these bytes."""
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        return self.key.sign(hashlib.sha256(data).digest())


def load(settings: config.Settings) -> tuple[Signer, ...]:
    """Read the keys that config.toml names; raise ConfigError where one cannot be used."""
    section = settings.mail.dkim
    given = (
        (section.selector, section.key, section.key_file, "key"),
        (section.second_selector, section.second_key, section.second_key_file, "second_key"),
    )
    found = []
    for selector, secret, file, name in given:
        if not selector:
            continue
        place = str(settings.path(file)) if file else f"{name} of [mail.dkim]"
        text = secret.get_secret_value().encode()
        content = settings.path(file).read_bytes() if file else text
        found.append(Signer(domain=section.domain, selector=selector, key=_key(content, place)))
    return tuple(found)


def check(settings: config.Settings) -> list[errors.Fault]:
    """Name the records that must be published, or what is wrong with the keys."""
    try:
        signers = load(settings)
    except errors.ConfigError as error:
        return error.faults
    found = [
        errors.Fault(
            level="ok",
            what=f"mails are signed for {one.domain} ({one.algorithm}); DNS must have this TXT"
            f"\n    {one.name}\n    {one.record}",
        )
        for one in signers
    ]
    if signers and all(one.algorithm != "rsa" for one in signers):
        what = "mails are signed with ed25519 alone, which many mail servers cannot verify"
        hint = f"add an RSA key: {_HOW}"
        found.append(errors.Fault(level="warning", what=what, hint=hint))
    section = settings.mail.dkim
    keys = (section.key_file, section.second_key_file)
    return found + signing.exposed(*(settings.path(file) for file in keys if file))


def sign(
    texts: Sequence[bytes],
    files: Sequence[encoded.Encoded],
    signers: Sequence[Signer],
    date: dt.datetime,
) -> bytes:
    """Return the fields to put before a mail, one for each key.

    `texts` and `files` as in `built.Built`.  Reads the files once: call it in a
    thread.
    """
    if not signers:
        return b""
    head, gap, start = texts[0].partition(_EOL * 2)
    body = _body_hash([start, *texts[1:]], files)
    headers = _headers(head + gap)
    return b"".join(_field(headers, body, signer, int(date.timestamp())) for signer in signers)


def _field(headers: Sequence[tuple[bytes, bytes]], body: str, signer: Signer, at: int) -> bytes:
    names, values = _covered(headers)
    tags = (
        f"v=1; a={signer.algorithm}-sha256; c=relaxed/simple; d={signer.domain};",
        f" s={signer.selector}; t={at};",
        *_folded(" h=", (f"{name}:" for name in names), ";"),
        f" bh={body};",
        " b=",
    )
    unsigned = b"DKIM-Signature: " + _EOL.join(tag.encode() for tag in tags)
    name, _, value = unsigned.partition(b":")
    signature = base64.b64encode(signer.sign(b"".join(values) + _relaxed(name, value))).decode()
    pieces = (signature[at : at + _WIDTH - 4] for at in range(0, len(signature), _WIDTH - 4))
    return unsigned + f"{_EOL.decode()}  ".join(pieces).encode() + _EOL


def _folded(before: str, words: Iterable[str], after: str) -> list[str]:
    """Set words in lines of a header; the last colon gives way to `after`."""
    lines = [before]
    for word in words:
        if len(lines[-1]) + len(word) > _WIDTH:
            lines.append("  ")
        lines[-1] += word
    lines[-1] = lines[-1].removesuffix(":") + after
    return lines


def _covered(headers: Sequence[tuple[bytes, bytes]]) -> tuple[list[str], list[bytes]]:
    """Return the names of h= and the lines that are signed, in the same order."""
    there: dict[str, list[bytes]] = collections.defaultdict(list)
    for field, value in headers:
        there[field.decode().lower()].append(_relaxed(field, value) + _EOL)
    names: list[str] = []
    lines: list[bytes] = []
    for name in (*_SEALED, *_SIGNED):
        found = there[name.lower()]
        # From the last to the first (RFC 6376 section 5.4.2).
        lines += reversed(found)
        names += [name] * (len(found) + (name in _SEALED))
    return names, lines


def _headers(head: bytes) -> list[tuple[bytes, bytes]]:
    unfolded = re.sub(rb"\r\n([ \t])", rb"\1", head)
    parted = (line.partition(b":") for line in unfolded.split(_EOL) if line)
    return [(name, value) for name, _, value in parted]


def _relaxed(name: bytes, value: bytes) -> bytes:
    """RFC 6376 section 3.4.2, without the line end."""
    words = re.sub(rb"[ \t]+", b" ", value.replace(_EOL, b"")).strip(b" ")
    return name.strip(b" \t").lower() + b":" + words


def _body_hash(texts: Sequence[bytes], files: Sequence[encoded.Encoded]) -> str:
    """Hash the body with its empty lines at the end made one line end, in base64."""
    last = texts[-1].rstrip(_EOL)
    last += _EOL if last or not files else b""
    hasher = hashlib.sha256()
    for chunk in built.chunks([*texts[:-1], last], files):
        hasher.update(chunk)
    return base64.b64encode(hasher.digest()).decode()


def _key(content: bytes, place: str) -> _Key:
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError, exceptions.UnsupportedAlgorithm):
        # Not `from`: the library's words may quote the key.
        raise errors.ConfigError(
            [_fault(place, "this is no private key in PEM without a passphrase")]
        ) from None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < _BITS:
        what = f"this RSA key has {key.key_size} bits, and {_BITS} are the least"
        raise errors.ConfigError([_fault(place, what)])
    if not isinstance(key, _Key):
        raise errors.ConfigError([_fault(place, "this key is neither RSA nor ed25519")])
    return key


def _fault(place: str, what: str) -> errors.Fault:
    return errors.Fault(level="fault", what=what, hint=f"make one: {_HOW}", file=place)
