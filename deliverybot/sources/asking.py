"""What one reading says to the hosts it asks: who we are, as whom, and what we know already."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping

import deliverybot
from deliverybot import errors, origins, retry_after, values
from deliverybot.sources import hosts, kinds, unpack

#: The entity tags that are kept (RFC 9110, 8.8.3), and letters of a date.
_ETAG = re.compile(r'(W/)?"[\x21\x23-\x7e]{0,500}"')
_LONGEST_DATE = 100


class Asker:
    """The words of one reading."""

    def __init__(self, errand: kinds.Errand, section: origins.Fetched, header: str) -> None:
        self._errand = errand
        self._section = section
        #: Where the token of the account stands.
        self._header = header
        self._prefix = "Bearer " if header.lower() == "authorization" else ""
        #: The first address that is asked: the campaign's own.
        self.home: hosts.Place | None = None
        self._question = section.model_dump_json(exclude={"every", "cron", "deadline", "most"})

    def begin(self, place: hosts.Place) -> None:
        """Check an address that is asked for: the first is the campaign's, it leads the others.

        Raises:
            errors.SourceError: It, or the account for it, is not to be used.
        """
        if self.home is None:
            self.home = place
            self._check_account(place)
        elif why := hosts.may_lead(self.home, place):
            what = f"{self.home} names an address that is not asked: {why}"
            raise errors.SourceError(what, file=str(place))

    def is_own(self, place: hosts.Place) -> bool:
        """Tell whether a place may be part of a network of our own."""
        home = self.home or place
        return place.host == home.host and (self._section.private or place.is_spelled_own)

    def headers(
        self,
        place: hosts.Place,
        more: Mapping[str, str],
        conditions: Mapping[str, str],
        *,
        has_left: bool,
    ) -> dict[str, str]:
        """Return the headers of one request; who was sent to another host gives the general ones.

        `more` are the source's own, `has_left` tells that a redirect led away
        from the host that was asked, be it back to it.
        """
        contact = self._errand.means.public_url
        agent = f"deliverybot/{deliverybot.__version__}" + (f" (+{contact})" if contact else "")
        headers = {
            "Host": place.authority,
            "User-Agent": agent,
            "Accept": "*/*",
            "Accept-Encoding": unpack.ACCEPTED,
        }
        own: dict[str, str] = {}
        if not has_left and place.host == (self.home or place).host:
            own |= self._section.headers
        if not has_left:
            own |= {**more, **self._credentials(place)}
        for name, value in {**own, **conditions}.items():
            headers = {key: kept for key, kept in headers.items() if key.lower() != name.lower()}
            headers[name] = value
        return headers

    def conditions(self, asked: hosts.Place, place: hosts.Place, state: str) -> dict[str, str]:
        """Return the headers of a conditional request, where `state` is of this very question."""
        try:
            kept = json.loads(state) if state else {}
        except ValueError:
            return {}
        if not isinstance(kept, dict):
            return {}
        if (kept.get("of"), kept.get("at")) != (self._mark(asked), self._mark(place)):
            return {}
        found = {"If-None-Match": kept.get("etag"), "If-Modified-Since": kept.get("modified")}
        return {name: str(value) for name, value in found.items() if value}

    def state(self, asked: hosts.Place, place: hosts.Place, headers: Mapping[str, str]) -> str:
        """Return the validators of an answer, bound to the question; empty where it has none.

        Another address, section or account is another question: the answer to
        the one is no answer to the other, though the host may think so.
        """
        kept: dict[str, str] = {}
        if _ETAG.fullmatch(etag := headers.get("etag", "")):
            kept["etag"] = etag
        modified = headers.get("last-modified", "")
        if len(modified) <= _LONGEST_DATE and retry_after.date(modified) is not None:
            kept["modified"] = modified
        marks = {"of": self._mark(asked), "at": self._mark(place)}
        return json.dumps(marks | kept) if kept else ""

    def seconds(self, headers: Mapping[str, str]) -> float | None:
        """Return for how long a host asks to be left alone; None where it does not."""
        return retry_after.seconds(headers, self._errand.now.timestamp())

    def account_hint(self, place: hosts.Place) -> str:
        """Say which secret to look at, and where it stands, when a host does not let us in."""
        name = self._section.access
        if name is None:
            return (
                f'if it asks for an account: [access.NAME] with host = "{place.host}" in '
                'config.toml, and access = "NAME" in this section'
            )
        account = self._errand.means.access.get(name)
        kind = "password" if account and account.username else "token"
        secret = getattr(account, kind, None)
        state = "is not taken" if secret and secret.get_secret_value() else "is missing"
        variable = f"DELIVERYBOT_ACCESS__{name.upper().replace('-', '_')}__{kind.upper()}"
        return (
            f"the {kind} of [access.{name}] {state}: put the right one into the environment as "
            f"{variable}, or into a secret file"
        )

    def _mark(self, place: hosts.Place) -> str:
        """Return what tells this question from others, and tells nobody what was asked."""
        text = f"{self._question}\n{place.url}".encode()
        return hashlib.blake2b(text, key=self._errand.secret[:64], digest_size=16).hexdigest()

    def _check_account(self, place: hosts.Place) -> None:
        name = self._section.access
        if name is None:
            return
        account = self._errand.means.access.get(name)
        if account is None:
            what, hint = f"there is no section [access.{name}]", "write it into config.toml"
        elif not account.host:
            what = f"[access.{name}] names no host, so its secrets go nowhere"
            hint = f'host = "{place.host}" in that section'
        elif not self._is_of_account(place):
            what = f"[access.{name}] is an account at {account.host}, not here"
            hint = "mend `host` there or the address here"
        elif place.scheme != "https" and not values.is_loopback(place.host):
            what, hint = "an account is not sent over plain http", "write https:// in the address"
        else:
            return
        raise errors.SourceError(what, hint=hint, file=str(place))

    def _is_of_account(self, place: hosts.Place) -> bool:
        account = self._errand.means.access[self._section.access or ""]
        host, colon, port = account.host.lower().partition(":")
        if place.host != host.removesuffix("."):
            return False
        return str(place.port) == port if colon else place.port == (self.home or place).port

    def _credentials(self, place: hosts.Place) -> dict[str, str]:
        """Return the header of the account, for its own host alone."""
        safe = place.scheme == "https" or values.is_loopback(place.host)
        if self._section.access is None or not safe or not self._is_of_account(place):
            return {}
        account = self._errand.means.access[self._section.access]
        if token := account.token.get_secret_value():
            return {self._header: self._prefix + token}
        if account.username:
            pair = f"{account.username}:{account.password.get_secret_value()}".encode()
            return {"Authorization": "Basic " + base64.b64encode(pair).decode()}
        return {}
