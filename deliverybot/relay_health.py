"""Whether the relay as a whole works: one that keeps failing is left alone, and probed.

What is known stands in the ledger, so that all workers and processes share it
and a restart forgets nothing.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import json
from typing import Self

from deliverybot import config, ledger, mail, model

#: Minutes between two probes; the last one repeats until the relay is back.
STEPS = (5, 10, 20, 40, 60)
_LEAVING = 421
#: What ends here has not met the relay.
_AT_HOME = frozenset({"build", "stop", "crash", "file", "mark"})


class Sign(enum.StrEnum):
    """What a reply says of the relay."""

    WELL = "well"  #: it takes letters, or says why not this one
    TROUBLE = "trouble"  #: an error that may pass
    HARD = "hard"  #: an error that a person must mend: account, certificate, permission
    NOTHING = "nothing"  #: it was not asked


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What is known of one relay."""

    #: Which relay, and as whom: another one starts afresh.
    relay: str
    #: Errors in a row.
    failures: int = 0
    #: While it is left alone: since when, the next probe, probes in vain, the last error.
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    probes: int = 0
    why: str = ""

    @property
    def paused(self) -> bool:
        """Tell whether the relay is left alone."""
        return self.since is not None

    def may_try(self, now: dt.datetime) -> bool:
        """Tell whether a letter may go: any, or the one that probes."""
        return self.until is None or now >= self.until

    def after(self, reply: model.Reply, *, most: int, now: dt.datetime) -> Health:
        """Return what is known after a reply; `most` errors in a row begin a pause."""
        sign = read(reply)
        if sign is Sign.NOTHING:
            # A probe that did not get there says nothing; the next one may go.
            return dataclasses.replace(self, until=now) if self.paused else self
        if sign is Sign.WELL:
            return Health(relay=self.relay)
        failed = dataclasses.replace(self, failures=self.failures + 1, why=str(reply))
        if not self.paused and sign is not Sign.HARD and failed.failures < most:
            return failed
        pause = dt.timedelta(minutes=STEPS[min(self.probes, len(STEPS) - 1)])
        return dataclasses.replace(
            failed, since=self.since or now, until=now + pause, probes=self.probes + 1
        )

    def probing(self, now: dt.datetime) -> Health:
        """Return what is known while one letter probes: it alone may, even if it dies."""
        pause = dt.timedelta(minutes=STEPS[min(self.probes, len(STEPS) - 1)])
        return dataclasses.replace(self, until=now + pause)

    def said(self) -> str:
        """Say since when and why the relay is left alone; empty when it is not."""
        if self.since is None or self.until is None:
            return ""
        return (
            f"mailing is paused since {self.since:%Y-%m-%d %H:%M} UTC, after"
            f" {self.failures} error{'s' * (self.failures > 1)} in a row: {self.why};"
            f" the next try is at {self.until:%H:%M} UTC"
        )

    def dump(self) -> str:
        """Return it as the ledger keeps it."""
        return json.dumps(dataclasses.asdict(self), default=dt.datetime.isoformat, sort_keys=True)

    @classmethod
    def load(cls, text: str, relay: str) -> Self:
        """Return what the ledger keeps of this relay."""
        known = json.loads(text) if text else {}
        if known.get("relay") != relay:
            return cls(relay=relay)
        times = {name: dt.datetime.fromisoformat(known[name]) for name in _TIMES if known[name]}
        return cls(**(known | times))


_TIMES = ("since", "until")


def read(reply: model.Reply) -> Sign:
    """Return what a reply says of the relay."""
    if reply.phase in _AT_HOME:
        return Sign.NOTHING
    unsaid = reply.code == 0
    if mail.about_relay(reply) and reply.outcome is not model.Outcome.DONE:
        return Sign.HARD if reply.outcome is model.Outcome.HUMAN else Sign.TROUBLE
    if reply.outcome is model.Outcome.HUMAN and unsaid:
        return Sign.NOTHING  # a refusal of our own
    if reply.outcome is model.Outcome.UNSURE or unsaid or reply.code == _LEAVING:
        return Sign.TROUBLE
    return Sign.WELL


def of(book: ledger.Ledger, settings: config.Mail) -> Health:
    """Return what is known of the relay in config.toml."""
    return Health.load(book.relay.read(), _name(settings))


def note(
    book: ledger.Ledger, settings: config.Mail, reply: model.Reply, now: dt.datetime
) -> tuple[Health, Health]:
    """Write down what a reply says of the relay; return what was known before and after."""
    while True:
        text = book.relay.read()
        before = Health.load(text, _name(settings))
        after = before.after(reply, most=settings.pause_after, now=now)
        if after == before or book.relay.swap(text, after.dump(), _move(before, after), now=now):
            return before, after


def probe(book: ledger.Ledger, settings: config.Mail, now: dt.datetime) -> bool:
    """Be the one whose letter may try the relay: always while it works, else alone."""
    text = book.relay.read()
    before = Health.load(text, _name(settings))
    if not before.paused:
        return True
    return before.may_try(now) and book.relay.swap(text, before.probing(now).dump(), None, now=now)


def probe_now(book: ledger.Ledger, settings: config.Mail, now: dt.datetime) -> None:
    """Let the next letter probe at once: somebody has just mended something, or hopes so."""
    text = book.relay.read()
    before = Health.load(text, _name(settings))
    if before.paused:
        book.relay.swap(text, dataclasses.replace(before, until=now).dump(), None, now=now)


def _name(settings: config.Mail) -> str:
    if settings.transport != "smtp":
        return settings.transport
    return f"{settings.host}:{settings.port} {settings.security} {settings.username}"


def _move(before: Health, after: Health) -> tuple[str, str, str] | None:
    """Return old state, new state and reason for the audit log, where the state is another."""
    if before.paused == after.paused:
        return None
    if after.paused:
        return "working", "paused", f"{after.failures} in a row: {after.why}"
    return "paused", "working", "it takes letters again"
