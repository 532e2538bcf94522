"""Who signs letters for their readers: the certificate of config.toml and its key."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import itertools
import pathlib
import re

from cryptography import exceptions, x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import oid

from deliverybot import config, errors, signing
from deliverybot.mail import mailbox

_BITS = 2048
#: RFC 8551 section 2.2 asks every reader for P-256; P-384 is as common.
_CURVES = (ec.SECP256R1, ec.SECP384R1)
#: Not RSASSA-PSS: a certificate for that may sign in no other way.
_KINDS = (oid.PublicKeyAlgorithmOID.RSAES_PKCS1_v1_5, oid.PublicKeyAlgorithmOID.EC_PUBLIC_KEY)
#: `check` warns so long before the certificate ends: a new one takes days, not hours.
NOTICE = dt.timedelta(days=30)
_RENEW = "get a new one for the sender's address (docs/signing.md says how), and start again"
_BEGIN = re.compile(r"-----BEGIN (?:X509 )?CERTIFICATE-----")
_ORDER = "one PEM file: the sender's certificate first, then each one that issued the one before"

_Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A certificate with what is needed to sign in its name."""

    #: The file, and the line in it where the signer's certificate begins.
    file: str
    line: int
    #: In DER, the signer's first.
    certificates: tuple[bytes, ...] = dataclasses.field(repr=False)
    #: Names the signer's certificate: its issuer in DER and its number there.
    issuer: bytes = dataclasses.field(repr=False)
    serial: int
    issuer_shown: str
    #: Mail addresses that it speaks for, in small letters.
    addresses: frozenset[str]
    #: When all certificates are valid.
    begins: dt.datetime
    ends: dt.datetime
    key: _Key = dataclasses.field(repr=False)

    @property
    def algorithm(self) -> str:
        """The key's algorithm: rsa or ecdsa."""
        return "rsa" if isinstance(self.key, rsa.RSAPrivateKey) else "ecdsa"

    def sign(self, data: bytes) -> bytes:
        """Return the signature of these bytes, by SHA-256, always the same one."""
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        # RFC 6979: a common ECDSA signature is another one each time.
        return self.key.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))

    def lapsed(self, now: dt.datetime) -> str:
        """Say why nothing can be signed now; empty where it can."""
        if now < self.begins:
            return f"the S/MIME certificate is not valid before {self.begins:%Y-%m-%d %H:%M} UTC"
        if now > self.ends:
            return f"the S/MIME certificate has expired on {self.ends:%Y-%m-%d %H:%M} UTC"
        return ""

    def predated(self, date: dt.datetime) -> str:
        """Say why a letter of this date cannot be signed any more; empty where it can."""
        if date >= self.begins:
            return ""
        return (
            f"the letter has the date of its first try, {date:%Y-%m-%d %H:%M} UTC, and the"
            f" S/MIME certificate is valid from {self.begins:%Y-%m-%d %H:%M} UTC on;"
            " `deliveries resolve ID --resend` and a new yes give it a new date"
        )

    def unfit(self, sender: str) -> str:
        """Say why a letter of this sender cannot be signed; empty where it can."""
        if mailbox.address(sender).lower() in self.addresses:
            return ""
        return f"the S/MIME certificate is not for {sender}, who sends this letter"


def load(settings: config.Settings) -> Identity | None:
    """Read the certificate that config.toml names; raise ConfigError where it cannot be used.

    That it has expired is no error here: the posts go on.
    """
    section = settings.mail.smime
    if not section.certificate:
        return None
    file = settings.path(section.certificate)
    chain, line = _certificates(file)
    signer = chain[0]
    wrong = functools.partial(_wrong, file=str(file), line=line)
    place = str(settings.path(section.key_file)) if section.key_file else "key of [mail.smime]"
    text = section.key.get_secret_value().encode()
    key = _key(settings.path(section.key_file).read_bytes() if section.key_file else text, place)
    if signer.public_key_algorithm_oid not in _KINDS or signer.public_key() != key.public_key():
        what = f"the certificate in {file} is not of this key"
        raise _wrong(what, "name the key that the certificate was asked for with", file=place)
    addresses = _addresses(signer)
    if mailbox.address(settings.sender.address).lower() not in addresses:
        what = f"the certificate is not for the sender's address {settings.sender.address}"
        said = f"it is for {', '.join(sorted(addresses))}" if addresses else "it is for no address"
        raise wrong(what, f"{said}; a reader's program would say that it does not fit")
    if signer.issuer.public_bytes() not in signer.tbs_certificate_bytes:
        # Readers look for the certificate by these very bytes.
        raise wrong("the issuer's name is written in a form that is not common", _RENEW)
    if forbidden := _forbidden(signer):
        raise wrong(f"the certificate may not sign mail: {forbidden}", _RENEW)
    return Identity(
        file=str(file),
        line=line,
        certificates=tuple(one.public_bytes(serialization.Encoding.DER) for one in chain),
        issuer=signer.issuer.public_bytes(),
        serial=signer.serial_number,
        issuer_shown=_shown(signer.issuer),
        addresses=frozenset(addresses),
        begins=max(one.not_valid_before_utc for one in chain),
        ends=min(one.not_valid_after_utc for one in chain),
        key=key,
    )


def check(settings: config.Settings, now: dt.datetime) -> list[errors.Fault]:
    """Say as whom letters are signed and until when, or what is wrong with the certificate."""
    try:
        one = load(settings)
    except errors.ConfigError as error:
        return error.faults
    if one is None:
        return []
    if lapsed := one.lapsed(now):
        what, level, hint = f"{lapsed}: no letter leaves", "fault", _RENEW
    elif now > one.ends - NOTICE:
        level, hint = "warning", _RENEW
        what = f"the S/MIME certificate expires on {one.ends:%Y-%m-%d}: no letter leaves after that"
    else:
        level, hint = "ok", ""
        what = (
            f"letters are signed (S/MIME) as {settings.sender.address}, vouched for by"
            f" {one.issuer_shown}, until {one.ends:%Y-%m-%d}"
        )
    said = errors.Fault(level=level, what=what, hint=hint, file=one.file, line=one.line)
    file = settings.mail.smime.key_file
    return [said, *signing.exposed(*([settings.path(file)] if file else []))]


def _certificates(file: pathlib.Path) -> tuple[list[x509.Certificate], int]:
    """Return the certificates of a file, the signer's first, and the line where that begins."""
    content = file.read_bytes()
    lines = content.decode("latin-1").splitlines()
    begins = [n for n, line in enumerate(lines, 1) if _BEGIN.search(line)]
    try:
        chain = x509.load_pem_x509_certificates(content)
    except ValueError as error:
        line = begins[0] if begins else None
        raise _wrong("this is no certificate in PEM", _ORDER, file=str(file), line=line) from error
    for (one, issuer), line in zip(itertools.pairwise(chain), begins[1:], strict=False):
        try:
            one.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, exceptions.InvalidSignature) as error:
            what = f"this certificate, of {_shown(issuer.subject)}, did not issue the one before it"
            raise _wrong(what, _ORDER, file=str(file), line=line) from error
    return chain, begins[0]


def _key(content: bytes, place: str) -> _Key:
    hint = "openssl pkcs12 -in FILE.p12 -nocerts -noenc -out smime.key writes the one of a .p12"
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except TypeError:
        what = "this key has a passphrase, and nobody is there to type it"
        hint = "write it without one, for its owner alone: openssl pkey -in OLD -out smime.key"
        # Not `from`, here and below: the library's words may quote the key.
        raise _wrong(what, hint, file=place) from None
    except (ValueError, exceptions.UnsupportedAlgorithm):
        raise _wrong("this is no private key in PEM", hint, file=place) from None
    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size < _BITS:
            what = f"this RSA key has {key.key_size} bits, and {_BITS} are the least"
            raise _wrong(what, _RENEW, file=place)
        return key
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, _CURVES):
        raise _wrong("this key is neither RSA nor EC on P-256 or P-384", _RENEW, file=place)
    try:
        ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    except exceptions.UnsupportedAlgorithm:
        what = "this EC key would sign each try with other bytes: OpenSSL here is older than 3.2"
        raise _wrong(what, "take an RSA key, or a newer OpenSSL", file=place) from None
    return key


def _addresses(signer: x509.Certificate) -> set[str]:
    """Return the mail addresses of a certificate, in small letters.

    Those of its names alone (RFC 8550 section 3): readers' programs look there.
    """
    try:
        names = signer.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return set()
    return {one.lower() for one in names.get_values_for_type(x509.RFC822Name)}


def _forbidden(signer: x509.Certificate) -> str:
    """Say what keeps a certificate from signing mail (RFC 8550 section 4.4); empty if nothing."""
    try:
        extensions = {one.oid: one.value for one in signer.extensions}
    except ValueError:
        return "what it may be used for cannot be read"
    usage = extensions.get(x509.KeyUsage.oid)
    if isinstance(usage, x509.KeyUsage) and not (
        usage.digital_signature or usage.content_commitment
    ):
        return "its key usage has no digitalSignature"
    wider = extensions.get(x509.ExtendedKeyUsage.oid)
    mail = {
        oid.ExtendedKeyUsageOID.EMAIL_PROTECTION,
        oid.ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    }
    if isinstance(wider, x509.ExtendedKeyUsage) and not mail & set(wider):
        return "its extended key usage has no emailProtection"
    return ""


def _shown(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(oid.NameOID.COMMON_NAME) or list(name)
    return str(found[0].value) if found else "nobody"


def _wrong(what: str, hint: str, *, file: str, line: int | None = None) -> errors.ConfigError:
    fault = errors.Fault(level="fault", what=what, hint=hint, file=file, line=line)
    return errors.ConfigError([fault])
