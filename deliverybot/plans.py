"""What is wrong between the sections of a campaign's file, and with the words that signers saw."""

from __future__ import annotations

import dataclasses
import datetime as dt
import pathlib
import zoneinfo
from collections.abc import Mapping

from deliverybot import errors, faults, hours, places


def faults_of(data: Mapping[str, object], origin: faults.Origin) -> list[errors.Fault]:
    """Return what is wrong between sections, whether or not each of them is well formed."""
    found = []
    for n, milestone in enumerate(places.sections(data.get("milestones"))):
        if "percent" in milestone and data.get("goal") is None:
            path = ("milestones", n, "percent")
            found.append(origin.fault(path, "'percent' of what? 'goal' is missing", "goal = 10000"))
    for section, key in (("targets", "id"), ("posts", "outlet")):
        seen: set[object] = set()
        for n, entry in enumerate(places.sections(data.get(section))):
            word = entry.get(key)
            if isinstance(word, str) and word in seen:
                what = f"two [[{section}]] have the {key} {word!r}"
                found.append(origin.fault((section, n, key), what, "give each its own"))
            seen.add(word if isinstance(word, str) else None)
    source = places.value_at(data, ("source", "path"))
    if isinstance(source, str) and source and "\0" not in source:
        folder = (pathlib.Path(origin.file).parent / source).parent
        if not folder.is_dir():
            what = f"'path': there is no folder {str(folder)!r}"
            found.append(origin.fault(("source", "path"), what, "the path begins at this file"))
    printed = places.value_at(data, ("signers", "comments")) == "approved"
    if printed and places.value_at(data, ("delivery", "signers")) == "none":
        what = "a comment stands beside its signer's name, and the letter is to name nobody"
        hint = 'use comments = "none" here, or signers = "attach" under [delivery]'
        found.append(origin.fault(("signers", "comments"), what, hint))
    return found


def wording(
    data: Mapping[str, object], path: pathlib.Path, origin: faults.Origin
) -> tuple[str, list[errors.Fault]]:
    """Return the words that signers saw, or why they cannot be read."""
    name = places.value_at(data, ("consent", "wording"))
    if not isinstance(name, str) or not name:
        return "", []
    where: places.Path = ("consent", "wording")
    hint = "put the words that signers saw into this file, as UTF-8 text"
    try:
        text = (path.parent / name).read_bytes().decode()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        what = f"'wording': {name!r} cannot be read: {reason}"
        return "", [origin.fault(where, what, hint)]
    if not text.strip():
        return "", [origin.fault(where, f"'wording': {name!r} is empty", hint)]
    return text, []


def unlinked(origin: faults.Origin, *, public: bool, served: bool) -> list[errors.Fault]:
    """Name what config.toml lacks for letters that lead to their list by a link."""
    found = []
    if not public:
        hint = 'such as public_url = "https://campaigns.example.org" in config.toml'
        what = 'signers = "link" needs public_url, the address that targets reach this machine at'
        found.append(origin.fault(("delivery", "signers"), what, hint))
    if not served:
        hint = '[web] in config.toml, with listen = "127.0.0.1:8080" behind a proxy'
        what = 'signers = "link" needs the section [web] in config.toml: nobody would answer'
        found.append(origin.fault(("delivery", "signers"), what, hint))
    return found


def end(closes: dt.datetime | dt.date | None, timezone: str) -> dt.datetime | None:
    """Return a close as a UTC instant; a day closes at its end."""
    if closes is None:
        return None
    if not isinstance(closes, dt.datetime):
        closes = dt.datetime.combine(closes + dt.timedelta(days=1), dt.time())
    if closes.tzinfo is not None:
        return closes.astimezone(dt.UTC)
    return hours.to_utc(closes, zoneinfo.ZoneInfo(timezone))


def endless(origin: faults.Origin) -> errors.Fault:
    """Say that signers are kept until a close that nobody has named."""
    what = "'keep' counts from the campaign's close, and the campaign does not say when that is"
    hint = "closes = 2027-06-30 at the top of the file; until then nobody is erased by itself"
    fault = origin.fault(("signers", "keep"), what, hint)
    return dataclasses.replace(fault, level="warning")
