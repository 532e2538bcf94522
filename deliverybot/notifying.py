"""Who is told when something waits or failed: the section [alerts] of config.toml."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import pydantic

from deliverybot import faults, values

#: What an operator may want to be told of.
Kind = Literal["waiting", "trouble"]
#: Two with a comma between them, which a service would take for one with odd parts.
_TWO = re.compile(r"[,;][a-z][a-z0-9-]*://", re.IGNORECASE)
#: Seconds; a source that fails once is asked again within them.
_AFTER = 300
#: More is a mailing list.
_MOST = 20


def split(text: str) -> list[str]:
    """Return the addresses in a text: one a line, or with spaces between; "#" begins a comment."""
    lines = (line.strip() for line in text.splitlines())
    return [word for line in lines if not line.startswith("#") for word in line.split()]


def _addresses(urls: pydantic.SecretStr) -> pydantic.SecretStr:
    """Return them if each looks like one; which is named by its place, as it may hold a token."""
    found = split(urls.get_secret_value())
    for n, one in enumerate(found, 1):
        kind, sign, rest = one.partition("://")
        if _TWO.search(one):
            raise faults.wrong(
                f"number {n} of them seems to be two",
                "put a space or a new line between them, and no comma",
            )
        if not sign or not kind.replace("-", "").isalnum() or not rest:
            raise faults.wrong(
                f"number {n} of them is no address of Apprise's",
                'such as "ntfys://ntfy.example/topic"; one a line, without spaces in it',
            )
    if len(found) > _MOST:
        raise faults.wrong(f"{len(found)} addresses are too many", f"{_MOST} at most")
    return urls


class Alerts(values.Section):
    """Who is told when something waits or failed; without this section nobody is."""

    #: Where to, as addresses of Apprise, one a line; it needs the extra deliverybot[alerts].  From
    #: DELIVERYBOT_ALERTS__URLS or a secret file, never from config.toml, as they hold tokens.
    urls: Annotated[pydantic.SecretStr, pydantic.AfterValidator(_addresses)] = pydantic.SecretStr(
        ""
    )
    #: What is told: what waits for a person, and what went wrong.
    about: Annotated[tuple[Kind, ...], pydantic.Field(min_length=1)] = ("waiting", "trouble")
    #: How long something must last before it is told, such as "5m"; not given: 5m, and with
    #: `run --once` at once.
    after: values.Delay | None = None
    #: What still waits for a person after so long is told again, and again; not given: once.
    again: values.Duration | None = None

    @property
    def addresses(self) -> list[str]:
        """Where to; secrets."""
        return list(dict.fromkeys(split(self.urls.get_secret_value())))

    @property
    def again_seconds(self) -> int | None:
        """`again` in seconds."""
        return None if self.again is None else values.seconds(self.again)

    def after_seconds(self, *, once: bool) -> int:
        """Return `after` in seconds, for `run --once` or for `run` without end."""
        if self.after is None:
            return 0 if once else _AFTER
        return values.delay(self.after)
