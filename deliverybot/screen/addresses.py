"""E-mail addresses: whose they are, told by a keyed hash."""

from __future__ import annotations

import functools
import hashlib
import re
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

_LOCAL = re.compile(r"[^\s\x00-\x1f\x7f@<>()\[\],;:\\\"]{1,64}")
_DOMAIN = re.compile(r"(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]+")
_GMAIL = frozenset({"gmail.com", "googlemail.com"})


def normalise_email(address: str) -> str | None:
    """Return the form of an address that tells whether two are the same person's, or None.

    For comparing only, never for sending: case, plus tags and Gmail's dots are
    gone.  The result is as personal as the address itself; hash it with `key`.
    """
    if len(address) > 320:  # noqa: PLR2004 - RFC 5321: 64 + 1 + 255
        return None
    folded = address if address.isascii() else unicodedata.normalize("NFKC", address)
    local, _, written = folded.strip().casefold().rpartition("@")
    domain = _domain(written)
    if not domain or not _LOCAL.fullmatch(local):
        return None
    if "+" in local:
        local = local.partition("+")[0] or local
    if domain in _GMAIL:
        local, domain = local.replace(".", "") or local, "gmail.com"
    return f"{local}@{domain}"


@functools.lru_cache(maxsize=4096)  # a few providers have nearly all addresses
def _domain(written: str) -> str:
    """Return a domain as the wire has it; empty where it is none."""
    if not written.isascii():
        try:
            written = written.encode("idna").decode("ascii")
        except UnicodeError:
            return ""
    domain = written.removesuffix(".")
    return domain if _DOMAIN.fullmatch(domain) else ""


class Mailbox(NamedTuple):
    """Whose an address is, in the forms that keyed hashes are made from."""

    #: By the rules of its provider: what is written down now.
    now: str
    #: What `normalise_email` makes of the address as it was given.
    plain: str
    #: Further forms of the same mailbox, `plain` among them: what an older ledger may hold.
    before: tuple[str, ...] = ()


def mailbox(address: str) -> Mailbox | None:
    """Return the mailbox of an address by its provider's own rules; None where it is no address.

    Only rules that a provider has written down: two people must never be one.
    Yahoo's "base-keyword" addresses are no such rule, since a dash may stand in
    anybody's name there: mary-ann and mary-lou stay two.
    """
    plain = normalise_email(address)
    if plain is None:
        return None
    local, _, domain = plain.rpartition("@")
    rule = _rule(domain)
    if rule is None:
        return Mailbox(plain, plain)
    now, *others = dict.fromkeys((*rule(local, domain), plain))
    return Mailbox(now, plain, tuple(others))


_Rule = Callable[[str, str], tuple[str, ...]]

#: Whoever has one of the older ones has the first, too: https://support.apple.com/118230
_APPLE = ("icloud.com", "me.com", "mac.com")
#: A name is one account's under all of these, and its dots, dashes and underscores are ignored:
#: https://proton.me/support/addresses-and-aliases, https://proton.me/support/change-username
_PROTON = ("proton.me", "protonmail.com", "protonmail.ch", "pm.me")
_PROTON_IGNORES = str.maketrans("", "", ".-_")
#: anything@name.fastmail.com is name@fastmail.com: https://www.fastmail.help/hc/en-us/articles/360060591053
_FASTMAIL = ("fastmail.com", "fastmail.fm")


@functools.lru_cache(maxsize=4096)
def _rule(domain: str) -> _Rule | None:
    """Return what is known of a domain's addresses, beyond what holds for all."""
    if domain in _APPLE:
        return _apple
    if domain in _PROTON:
        return _proton
    if domain.partition(".")[2] in _FASTMAIL:
        return _fastmail
    return None


def _apple(local: str, _: str) -> tuple[str, ...]:
    return tuple(f"{local}@{one}" for one in _APPLE)


def _proton(local: str, _: str) -> tuple[str, ...]:
    bare = local.translate(_PROTON_IGNORES) or local
    return tuple(f"{name}@{one}" for name in (bare, local) for one in _PROTON)


def _fastmail(_: str, domain: str) -> tuple[str, ...]:
    name, _, rest = domain.partition(".")
    return (f"{name}@{rest}",)


def domains(address: str) -> tuple[str, ...]:
    """Return the domains under which the same mailbox may be written, in small letters."""
    domain = (normalise_email(address) or "").rpartition("@")[2]
    return tuple(sorted(_GMAIL)) if domain in _GMAIL else (domain,)


def masked(address: str) -> str:
    """Return an address as a person may be shown it: ``c…o@cloud.example``."""
    local, _, domain = (normalise_email(address) or "").rpartition("@")
    ends = (local[:1], local[-1:]) if len(local) > 2 else ("", "")  # noqa: PLR2004 - "ab" is no secret
    return f"{ends[0]}…{ends[1]}@{domain}"


def key(secret: bytes, campaign: str, kind: str, value: str) -> bytes:
    """Return 16 bytes that stand for `value` in one campaign and say nothing without `secret`.

    BLAKE2b, keyed; each part goes in with its length before it, so that no two
    triples run together to the same bytes.
    """
    return keyed(secret, campaign, kind)(value)


def keyed(secret: bytes, campaign: str, kind: str) -> Callable[[str], bytes]:
    """Return `key` for values of one kind: what they have in common is hashed only once."""
    if not secret:
        message = "the secret of a keyed hash is empty"
        raise ValueError(message)
    if len(secret) > hashlib.blake2b.MAX_KEY_SIZE:
        secret = hashlib.blake2b(secret).digest()
    begun = hashlib.blake2b(digest_size=16, key=secret, person=b"deliverybot/key")
    for part in (campaign, kind):
        begun.update(_measured(part))

    def of(value: str) -> bytes:
        digest = begun.copy()
        digest.update(_measured(value))
        return digest.digest()

    return of


def _measured(text: str) -> bytes:
    raw = text.encode("utf-8", "surrogatepass")
    return len(raw).to_bytes(8, "big") + raw
