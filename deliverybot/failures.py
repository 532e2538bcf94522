"""Failed readings: when a source is asked again, when a person is told, and in which words."""

from __future__ import annotations

import datetime as dt
import random
import re

from deliverybot import errors, origins
from deliverybot.ledger import records

#: Seconds after the first failure; each further one waits twice as long, up to an hour or the
#: time between two readings, if that is longer.
FIRST, LONGEST = 60, 3_600
#: Seconds that a source may make us wait at most, whatever it says.
ASKED = 86_400
#: Failures in a row at which a lasting trouble is said again: after hours, a day, some days.
TOLD = frozenset(amount * 10**power for power in range(1, 9) for amount in (1, 3))
_DICE = random.SystemRandom()
#: What stands in quotation marks; an apostrophe within a word begins none.
_QUOTED = re.compile(r"""\"[^"]*"|(?<!\w)'.*?'(?!\w)""", re.DOTALL)


def next_try(
    error: errors.SourceError, failures: int, section: origins.Section, now: dt.datetime
) -> dt.datetime:
    """Return before when a source is not asked again, after so many failures in a row.

    The time is spread by a fifth, so that sources that failed together are
    not asked together; what the other side asked for is never cut short.
    """
    every = section.every_seconds or LONGEST
    own = min(min(FIRST, every) * 2.0 ** min(failures - 1, 20), max(LONGEST, every))
    asked = min(error.retry_after or 0.0, ASKED)
    return now + dt.timedelta(seconds=max(own * _DICE.uniform(0.8, 1.2), asked))


def is_news(before: records.Standing, after: records.Standing) -> bool:
    """Tell whether a failed reading is to be said: the first, another trouble, or a lasting one."""
    return _bare(before.problem) != _bare(after.problem) or after.failures in TOLD


def said(standing: records.Standing, since: dt.datetime | None) -> str:
    """Say since when and how often a source has failed, why, and when it is asked again."""
    if not standing.problem:
        return ""
    many = f", {standing.failures} times in a row" if standing.failures > 1 else ""
    text = "the last reading failed"
    if since is not None:
        text = f"the source cannot be read since {since:%Y-%m-%d %H:%M} UTC{many}"
    if standing.not_before is not None:
        text += f", and is asked again at {standing.not_before:%Y-%m-%d %H:%M} UTC"
    return f"{text}: {standing.problem}"


def outside(standing: records.Standing, since: dt.datetime | None) -> str:
    """Say it where others read it, too: without what was read, which may be a signer.

    A list without a heading has its first signer there, and a database quotes the value
    that it stumbles over: all that stands in quotation marks is left out, and so is the hint.
    """
    what = standing.problem.partition(" (hint: ")[0]
    text = "the source cannot be read"
    if since is not None:
        text += f" since {since:%Y-%m-%d %H:%M} UTC"
    return f"{text}: {_QUOTED.sub('[…]', what)}"


def _bare(problem: str) -> str:
    """Return a problem without its numbers, which may differ from reading to reading."""
    return re.sub(r"[0-9]+", "#", problem)
