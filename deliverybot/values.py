"""The small languages of the settings: durations, sizes, budgets, cron, addresses, words.

Each is a function that returns a meaning or raises `faults.wrong`, and a type
that the models use.
"""

from __future__ import annotations

import codecs
import datetime as dt
import inspect
import ipaddress
import re
import urllib.parse
import zoneinfo
from typing import Annotated

import pydantic

from deliverybot import faults, hours, places, screen

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_PORT_MAX, _IPV4 = 65535, 4
#: Ten years; beyond, adding to a date fails some day.
_LONGEST = 3650 * 86400
_SIZES = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}
_PERIODS = {"hour": 3600, "day": 86400, "week": 604800, "month": 30 * 86400}


def seconds(text: str) -> int:
    """Return the seconds of "30s", "5m", "2h", "1d" or "1w"."""
    found = re.fullmatch(r"([1-9][0-9]{0,6})\s*([smhdw])", text.strip())
    if not found:
        raise faults.wrong(
            f"{text!r} is no length of time", 'a number and a unit: "30s", "5m", "2h", "1d" or "1w"'
        )
    total = int(found[1]) * _UNITS[found[2]]
    if total > _LONGEST:
        raise faults.wrong(f"{text!r} is longer than ten years", "a year is 52w")
    return total


def delay(text: str) -> int:
    """Return the seconds of a length of time that may be none: "10m", "0s"."""
    return 0 if re.fullmatch(r"0\s*[smhdw]", text.strip()) else seconds(text)


def size(text: str) -> int:
    """Return the bytes of "20 MB" or "512 kB", in any case; 1 MB is 1,000,000 bytes."""
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)\s*([kmg]?b)", text.strip().lower())
    amount = round(float(found[1]) * _SIZES[found[2]]) if found else 0
    if amount <= 0:
        raise faults.wrong(f"{text!r} is no size", 'a number and a unit: "512 kB", "20 MB", "4 GB"')
    return amount


def dollars(text: str) -> int:
    """Return the millionths of a dollar of "5.00"."""
    found = re.fullmatch(r"([0-9]{1,6})(?:\.([0-9]{1,6}))?", text.strip())
    if not found:
        raise faults.wrong(f"{text!r} is no sum in dollars", 'digits and a point: "5.00"')
    return int(found[1]) * 1_000_000 + int((found[2] or "").ljust(6, "0"))


def budget(text: str) -> tuple[int, int]:
    """Return (mails, seconds) of "1/week"; a month is 30 days."""
    found = re.fullmatch(r"([1-9][0-9]{0,4})\s*/\s*(hour|day|week|month)", text.strip())
    if not found:
        raise faults.wrong(
            f"{text!r} is no budget", 'a number for each hour, day, week or month: "1/week"'
        )
    return int(found[1]), _PERIODS[found[2]]


_CRON = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 6))
_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
_DAYS = "mon tue wed thu fri sat sun".split()
_CRON_HINT = 'five fields in UTC: minute hour day month weekday, such as "*/5 * * * *"'


def cron(text: str) -> str:
    """Return the text if it is five cron fields as APScheduler reads them (0 is Monday)."""
    fields = text.split()
    if len(fields) != len(_CRON):
        raise faults.wrong(f"{text!r} has {len(fields)} cron fields, not 5", _CRON_HINT)
    for field, (name, low, high) in zip(fields, _CRON, strict=True):
        words = {"month": _MONTHS, "weekday": _DAYS}.get(name, [])
        if not all(_cron_part(part.lower(), low, high, words) for part in field.split(",")):
            raise faults.wrong(
                f"{field!r} is no cron {name}", f"{_CRON_HINT}; a {name} is {low} to {high}"
            )
    return text


def _cron_part(part: str, low: int, high: int, words: list[str]) -> bool:
    base, slash, step = part.partition("/")
    if slash and not re.fullmatch(r"[1-9][0-9]{0,3}", step):
        return False
    if base == "*":
        return not slash or int(step) <= high - low
    first, _, last = base.partition("-")
    numbers = [
        words.index(end) + low if end in words else int(end) if end.isdecimal() else -1
        for end in ([first, last] if "-" in base else [first])
    ]
    return (
        all(low <= number <= high for number in numbers)
        and numbers[0] <= numbers[-1]
        and (not slash or int(step) <= numbers[-1] - numbers[0])
    )


def address(text: str) -> str:
    """Return the text if it is one bare e-mail address."""
    if has_risk(text) or not text.isascii():
        raise faults.wrong(
            "an e-mail address is plain ASCII without control characters", "type it by hand"
        )
    if "<" in text or " " in text:
        raise faults.wrong(
            f"{text!r} is not a bare e-mail address", "leave out the name and the brackets"
        )
    local, _, domain = text.rpartition("@")
    dots = (
        ".." in text or local.startswith(".") or local.endswith(".") or domain.endswith((".", "-"))
    )
    if dots or screen.normalise_email(text) is None:
        raise faults.wrong(f"{text!r} is no e-mail address", "it looks like desk@example.org")
    return text


def optional_address(text: str) -> str:
    """Return the text if it is empty or one bare e-mail address."""
    return address(text) if text else ""


def optional_url(text: str) -> str:
    """Return the text if it is empty or a web address."""
    return url(text) if text else ""


def has_risk(text: str) -> bool:
    """Tell whether a text is dangerous in a mail header."""
    return screen.has_header_risk(text)


_LEFT_OVER = re.compile(
    r"\[[^\[\]]{0,80}\b(?:your|name|here|insert|title|company|target)\b[^\[\]]{0,80}\]"
    r"|<[A-Za-z][^<>]*>|\bTODO\b|\bTBD\b|\bFIXME\b|\bXXX\b|\bLorem ipsum\b|\{\{|\{%",
    re.IGNORECASE,
)


_MOST_WORDS = 2000


def words(text: str) -> str:
    """Return the text if it can stand in a letter's head: one line, finished, harmless."""
    if len(text) > _MOST_WORDS:
        raise faults.wrong(f"this text has {len(text)} letters; {_MOST_WORDS} are the most")
    if has_risk(text):
        raise faults.wrong(
            'this text holds a control character, a line end or "=?"',
            "a mail header could be forged with it; write plain words on one line",
        )
    if found := _LEFT_OVER.search(text):
        raise faults.wrong(
            f"{found[0]!r} looks like a placeholder that was left over", "write the real words"
        )
    if screen.clean(text, limit=max(len(text), 1)) != " ".join(text.split()):
        raise faults.wrong(
            "this text holds invisible or direction characters", "type it again as plain text"
        )
    return text


def some_words(text: str) -> str:
    """Return the text if it is `words` and not blank."""
    if not text.strip():
        raise faults.wrong("this text is empty", "write it")
    return words(text)


def name(text: str) -> str:
    """Return the text if it is a name for machines: a-z, 0-9 and dashes."""
    if not re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?", text):
        raise faults.wrong(
            f"{text!r} cannot be used as a name here", "small letters a-z, digits and dashes"
        )
    return text


#: RFC 3986 has no place for these; mail programs and networks end an address at them.
_NO_URL = re.compile(r"[\s<>\"`{}|\\^]|=\?")


def url(text: str) -> str:
    """Return the text if it is an http or https address."""
    try:
        parts = urllib.parse.urlsplit(text)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or _NO_URL.search(text) or screen.clean(text, len(text) + 1) != text:
        raise faults.wrong("this is no web address", 'it looks like "https://example.org/p/name"')
    if parts.username or parts.password:
        raise faults.wrong("a web address here holds no user name or password", "leave them out")
    return text


def timezone(text: str) -> str:
    """Return the text if the system knows this time zone."""
    try:
        zoneinfo.ZoneInfo(text)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        known = zoneinfo.available_timezones()
        cities = {zone.rpartition("/")[2]: zone for zone in sorted(known)}
        close = places.nearest(text, known) or cities.get(
            places.nearest(text.rpartition("/")[2].replace(" ", "_"), cities) or ""
        )
        # What looks like BST, CEST or AEDT is another hour.
        close = None if re.fullmatch("[A-Z]{2,5}", text) else close
        hint = f"did you mean '{close}'?" if close else 'names such as "Europe/London" or "UTC"'
        raise faults.wrong(f"unknown time zone {text!r}", hint) from None
    return text


def office_hours(text: str) -> str:
    """Return the text if `hours` can read it."""
    try:
        hours.Hours.parse(text)
    except ValueError as error:
        raise faults.wrong(str(error), 'such as "Mon-Fri 09:00-17:00"') from None
    return text


def holidays(text: str) -> str:
    """Return the text if it is empty or names countries whose public holidays are known."""
    try:
        hours.holiday_codes(text)
    except ValueError as error:
        hint = 'a country such as "US", a part of it such as "US-CA", several, or "" for none'
        raise faults.wrong(str(error), hint) from None
    return text


def encoding(text: str) -> str:
    """Return the text if Python can decode it."""
    try:
        codecs.lookup(text)
        "".encode(text)
    except (LookupError, ValueError):
        raise faults.wrong(f"unknown encoding {text!r}", '"utf-8", "cp1252", "utf-16"') from None
    return text


def delimiter(text: str) -> str:
    """Return the text if it can part the columns of a CSV file."""
    if len(text) != 1 or text in "\"\r\n\0'" or text.isalnum():
        raise faults.wrong(
            "a delimiter is one character", r'"," or ";" or "\t"; leave it out to have it found'
        )
    return text


_INVENTED = (".example", ".test", ".invalid", ".localhost")
_INVENTED_DOMAINS = ("example.com", "example.net", "example.org")


def is_invented(mail_address: str) -> bool:
    """Tell whether an address lies in a domain kept for examples (RFC 2606)."""
    # In the form that the wire has: full-width letters and dots are others of the same domain.
    domain = (screen.normalise_email(mail_address) or mail_address).rpartition("@")[2].lower()
    return f".{domain}".endswith((*_INVENTED, *(f".{name}" for name in _INVENTED_DOMAINS)))


def listen(text: str) -> str:
    """Return the text if it is an address of this machine with a port."""
    host, _, port = text.rpartition(":")
    try:
        version = ipaddress.ip_address(host.strip("[]")).version
        good = port.isascii() and port.isdigit() and 0 <= int(port) <= _PORT_MAX
        good &= host == (host.strip("[]") if version == _IPV4 else f"[{host.strip('[]')}]")
    except ValueError:
        good = False
    if not good:
        hint = '"127.0.0.1:8080" for a proxy on this machine, "0.0.0.0:8080" for everybody'
        raise faults.wrong(f"{text!r} is no address with a port", hint)
    return text


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine by its own name or number."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def file_name(text: str) -> str:
    """Return the text if it names one file or folder and leads nowhere else."""
    if not re.fullmatch(r"[\w][\w .-]{0,99}", text):
        raise faults.wrong(f"{text!r} is no name of a file or folder", "a name, not a path")
    return text


def language(text: str) -> str:
    """Return the text if it is formed like a language tag (RFC 5646)."""
    if not re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*", text):
        raise faults.wrong(f"{text!r} is no language tag", 'such as "en", "de" or "pt-BR"')
    return text


class Section(pydantic.BaseModel):
    """One section of a file that a person writes: nothing unknown, nothing converted."""

    model_config = pydantic.ConfigDict(
        extra="forbid", strict=True, frozen=True, hide_input_in_errors=True, allow_inf_nan=False
    )


def schema(*models: type[pydantic.BaseModel]) -> dict[str, object]:
    """Return the JSON Schema of the first model; the ``#:`` comments of all are descriptions."""
    whole = models[0].model_json_schema()
    for model in models:
        part = whole if model is models[0] else whole["$defs"].get(model.__name__, {})
        described = _comments(model)
        for key, field in model.model_fields.items():
            if field.exclude:
                part.get("properties", {}).pop(key, None)
            elif key in part.get("properties", {}):
                part["properties"][key].setdefault("description", described.get(key, ""))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **whole}


def _comments(model: type[pydantic.BaseModel]) -> dict[str, str]:
    """Return the ``#:`` comment above each field, base classes included."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if not issubclass(base, pydantic.BaseModel) or base.__module__.startswith("pydantic"):
            continue
        lines: list[str] = []
        for line in inspect.getsource(base).splitlines():
            if comment := re.match(r"\s+#: ?(.*)", line):
                lines.append(comment[1])
            elif field := re.match(r"    (\w+):", line):
                found.update({field[1]: " ".join(lines)} if lines else {})
                lines = []
    return found


#: Near the ends of the calendar a time zone leads out of it.
_YEARS = range(2000, 2101)


def moment(time: dt.datetime) -> dt.datetime:
    """Return the time if it lies in a year that a campaign can mean."""
    if time.year not in _YEARS:
        hint = f"years from {_YEARS[0]} to {_YEARS[-1]}"
        raise faults.wrong(f"it lies in the year {time.year}", hint)
    return time


def day(date: dt.date) -> dt.date:
    """Return the day if it lies in a year that a campaign can mean."""
    moment(dt.datetime.combine(date, dt.time()))
    return date


def _checked(function: object) -> pydantic.AfterValidator:
    return pydantic.AfterValidator(lambda text: (function(text), text)[1])  # type: ignore[operator]


#: More than there are people; the integers of PostgreSQL end soon after.
Count = Annotated[int, pydantic.Field(gt=0, le=2_000_000_000)]
Moment = Annotated[dt.datetime, pydantic.AfterValidator(moment)]
Day = Annotated[dt.date, pydantic.AfterValidator(day)]
Duration = Annotated[str, _checked(seconds)]
Delay = Annotated[str, _checked(delay)]
Size = Annotated[str, _checked(size)]
Dollars = Annotated[str, _checked(dollars)]
Budget = Annotated[str, _checked(budget)]
Cron = Annotated[str, _checked(cron)]
Address = Annotated[str, _checked(address)]
OptionalAddress = Annotated[str, _checked(optional_address)]
Words = Annotated[str, _checked(words)]
SomeWords = Annotated[str, _checked(some_words)]
Name = Annotated[str, _checked(name)]
Url = Annotated[str, _checked(url)]
OptionalUrl = Annotated[str, _checked(optional_url)]
Timezone = Annotated[str, _checked(timezone)]
OfficeHours = Annotated[str, _checked(office_hours)]
Holidays = Annotated[str, _checked(holidays)]
Encoding = Annotated[str, _checked(encoding)]
Delimiter = Annotated[str, _checked(delimiter)]
Listen = Annotated[str, _checked(listen)]
FileName = Annotated[str, _checked(file_name)]
Language = Annotated[str, _checked(language)]
