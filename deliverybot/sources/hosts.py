"""Addresses on the network: which may be asked, and how they are named to people.

Hosts are of two classes.  Some are part of a network of our own: numbers,
"localhost", names without a dot or with an ending kept for such networks.  The
others are public names.  No redirect leads from one class to the other, and a
public name never leads to a number that is not of the public network: that is
checked on the number that is connected to, so an answer of the name service
that changes between two looks changes nothing.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import urllib.parse
from typing import Self

from deliverybot import errors, values

_IP = ipaddress.IPv4Address | ipaddress.IPv6Address
_PORTS = {"http": 80, "https": 443}
#: Endings that are kept for networks of one's own (RFC 2606, 6761, 6762, 8375, and custom).
_OWN = (
    *(".localhost", ".local", ".internal", ".lan", ".home", ".corp", ".intranet", ".home.arpa"),
    *(".test", ".invalid"),
)
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*", re.ASCII)
#: The old and the new rule for names make different hosts of these letters.
_TWO_WAYS = frozenset("ßς\u200c\u200d")
_LONGEST_HOST = 253
#: Numbers that carry one of the old kind inside (RFC 6052).
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
#: Letters of a path that an error shows.
_SHOWN = 120


class NotAsked(errors.SourceError):
    """An address that cannot be asked: why, and how it may be shown."""

    def __init__(self, why: str, url: str) -> None:
        bare = re.sub(r"[?#].*", "?…", url, count=1, flags=re.DOTALL)
        bare = re.sub(r"(?<=//)[^/]*@", "…@", bare)
        #: Without what may be secret or steers a terminal.
        self.shown = "".join(sign if sign.isprintable() else "…" for sign in bare)[:_SHOWN]
        self.why = why
        super().__init__(
            f"this address is not asked: {why}",
            hint="an address such as https://example.org/petition.json",
            file=self.shown,
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """One address that can be asked."""

    scheme: str
    #: In the form that the wire has.
    host: str
    port: int
    #: Path and query.
    target: str

    @classmethod
    def of(cls, url: str) -> Self:
        """Read a web address; raises `NotAsked` for whatever is none of ours."""
        _check_signs(url)
        try:
            parts = urllib.parse.urlsplit(url)
            port = parts.port
        except ValueError:
            raise NotAsked("it is no web address", url) from None
        if parts.scheme not in _PORTS:
            raise NotAsked("only http and https addresses are asked", url)
        if "@" in parts.netloc:
            raise NotAsked("it holds a user name or password", url)
        if port == 0 or not parts.hostname:
            raise NotAsked("it is no web address", url)
        target = urllib.parse.quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
        if parts.query:
            target += "?" + urllib.parse.quote(parts.query, safe="/%:@!$&'()*+,;=~-._?[]")
        return cls(parts.scheme, _host(parts.hostname, url), port or _PORTS[parts.scheme], target)

    def __str__(self) -> str:
        """Return the address as people may see it: the query may hold a secret."""
        path, query, _ = self.target.partition("?")
        path = path if len(path) <= _SHOWN else path[:_SHOWN] + "…"
        return f"{self.scheme}://{self.authority}{path}" + ("?…" if query else "")

    @property
    def authority(self) -> str:
        """Host and port, as the header Host has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The whole address."""
        return f"{self.scheme}://{self.authority}{self.target}"

    @property
    def origin(self) -> tuple[str, str, int]:
        """What one connection serves."""
        return self.scheme, self.host, self.port

    @property
    def is_spelled_own(self) -> bool:
        """Whether it is written as a number or as "localhost": whoever wrote it meant it."""
        return _number(self.host) is not None or values.is_loopback(self.host)

    @property
    def is_public(self) -> bool:
        """Whether it is a name of the public network, by how it is written."""
        host = "." + self.host
        return not (self.is_spelled_own or host.count(".") == 1 or host.endswith(_OWN))

    def joined(self, reference: str) -> str:
        """Return the address that a reference in an answer of this place means."""
        # Before it is joined: that takes some of them away.
        _check_signs(reference)
        try:
            return urllib.parse.urljoin(self.url, reference)
        except ValueError:
            raise NotAsked("it is no web address", reference) from None


def shown(url: str) -> str:
    """Return an address as people may see it, whether it can be asked or not."""
    try:
        return str(Place.of(url))
    except NotAsked as error:
        return error.shown


def _check_signs(url: str) -> None:
    # Blanks, braces and bars are no better, but platforms write them in links; they are quoted.
    if any(sign < " " or sign in '\x7f\\<>"`' for sign in url):
        raise NotAsked("it holds a character that no web address may hold", url)


def may_lead(old: Place, new: Place) -> str:
    """Return why an answer of one place may not send us to another; empty where it may."""
    if old.scheme == "https" and new.scheme != "https":
        return "it leads from https to http"
    if old.host == new.host:
        ports = (old.port, new.port)
        upgraded = old.scheme != new.scheme and ports == (80, 443)
        return "" if old.port == new.port or upgraded else "it leads to another port"
    if not (old.is_public and new.is_public):
        return "it leads to a host of another kind"
    if new.scheme != "https" or new.port != _PORTS["https"]:
        return "it leads to another host without https"
    return ""


def is_global(text: str) -> bool:
    """Tell whether a number belongs to the public network, and so does what it carries inside."""
    number = _number(text)
    if number is None:
        return False
    if isinstance(number, ipaddress.IPv6Address):
        inside = number.ipv4_mapped or number.sixtofour
        if inside is None and number.teredo is not None:
            inside = number.teredo[1]
        if inside is None and number in _NAT64:
            inside = ipaddress.IPv4Address(int(number) & 0xFFFFFFFF)
        if inside is not None:
            return is_global(str(inside))
        if number.is_site_local or int(number) < 1 << 96:
            return False
    return number.is_global and not number.is_multicast and not number.is_reserved


def _number(host: str) -> _IP | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _host(name: str, url: str) -> str:
    """Return the host in the form that the wire has."""
    if "%" in name:
        raise NotAsked("its host is no host", url)
    if (number := _number(name)) is not None:
        return str(number)
    if _TWO_WAYS & set(name):
        raise NotAsked("its host has a letter that two rules read differently", url)
    try:
        host = name if name.isascii() else name.encode("idna").decode()
    except UnicodeError:
        raise NotAsked("its host is no host", url) from None
    host = host.lower().removesuffix(".")
    if not _NAME.fullmatch(host) or len(host) > _LONGEST_HOST:
        raise NotAsked("its host is no host", url)
    last = host.rpartition(".")[2]
    if last.isdecimal() or re.fullmatch(r"0x[0-9a-f]*", last):
        raise NotAsked("its host is a number in an unusual spelling", url)
    return host
