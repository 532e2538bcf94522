"""What is wrong between a campaign's sources, its other sections and the installation."""

from __future__ import annotations

from collections.abc import Collection

from deliverybot import errors, faults, places
from deliverybot.origins import base


def unlisted(
    source: base.Section, count: base.Section | None, signers: str, origin: faults.Origin
) -> list[errors.Fault]:
    """Name what sources lack: signers to list, a number to say; `signers` is that of [delivery]."""
    found = []
    if not source.lists and signers != "none":
        what = f"a source of the kind {_kind(source)!r} says how many signed and not who"
        hint = 'signers = "none" under [delivery]: the letter tells the number and names nobody'
        found.append(origin.fault(("source", "kind"), what, hint))
    if count is not None and not count.counts:
        what = f"a source of the kind {_kind(count)!r} says no number"
        hint = "leave out [count]: the number is that of the signers who were read"
        found.append(origin.fault(("count", "kind"), what, hint))
    return found


def against(
    source: base.Section,
    count: base.Section | None,
    accounts: Collection[str],
    *,
    served: bool,
    origin: faults.Origin,
) -> list[errors.Fault]:
    """Name what config.toml lacks: an account, or the web server that a webhook needs."""
    found = []
    for name, section in (("source", source), ("count", count)):
        account = getattr(section, "access", None)
        if account is not None and account not in accounts:
            close = places.nearest(account, accounts)
            hint = f"did you mean '{close}'?" if close else f"add [access.{account}] there"
            what = f"config.toml has no [access.{account}]"
            found.append(origin.fault((name, "access"), what, hint))
    if _kind(source) == "webhook" and not served:
        hint = '[web] in config.toml, with listen = "127.0.0.1:8080" behind a proxy'
        what = 'kind = "webhook" needs the section [web] in config.toml: nobody would answer'
        found.append(origin.fault(("source", "kind"), what, hint))
    return found


def _kind(section: base.Section) -> str:
    return str(getattr(section, "kind", ""))
