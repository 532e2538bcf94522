"""How many letters are on their way and have left within the hour, in all and to each domain."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
from collections.abc import Mapping

import sqlalchemy as sa

from deliverybot import model
from deliverybot.ledger import store, tables

_D, _A = tables.deliveries, tables.attempts
#: What an attempt came to, or where it ended, when the message had been handed over.
_HANDED = sa.and_(
    _A.c.thing == "delivery",
    _A.c.outcome.in_((model.Outcome.DONE, model.Outcome.UNSURE)) | (_A.c.phase == "dot"),
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast letters may leave, whoever sends them; 0 for a domain's hour is no limit."""

    per_hour: int
    per_domain: int
    per_domain_per_hour: int
    #: An hour ago.
    since: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """What is on its way and has left within the hour, against a pace."""

    pace: Pace
    #: Handed over within the hour, or about to be.
    used: int
    on_the_way: Mapping[str, int]
    #: As `used`, by domain; empty where there is no such limit.
    used_by_domain: Mapping[str, int]

    @property
    def is_full(self) -> bool:
        """Tell whether nothing more may leave for now, to whomever."""
        return self.used >= self.pace.per_hour

    def why_not(self, email: str) -> str:
        """Return the setting that keeps a letter to this address back; empty when none does."""
        where, most = domain(email), self.pace.per_domain_per_hour
        if self.is_full:
            return "per_hour is used up"
        if most and self.used_by_domain.get(where, 0) >= most:
            return f"per_domain_per_hour is used up for {where}"
        if self.on_the_way.get(where, 0) >= self.pace.per_domain:
            return f"as many letters as per_domain allows are on their way to {where}"
        return ""


class Pacing:
    """The look at the crowd, for those who only want to know."""

    def __init__(self, database: store.Store) -> None:
        self._db = database

    def crowd(self, pace: Pace) -> Crowd:
        """Count what is on its way and what has left."""
        with self._db.read() as tx:
            return crowd(tx, pace)

    def frees(self, pace: Pace, where: str, now: dt.datetime) -> tuple[dt.datetime, str] | None:
        """Return when a letter to a domain may leave, and why not now; None where it may now."""
        with self._db.read() as tx:
            found = crowd(tx, pace)
            why = found.why_not(f"@{where}")
            if not why:
                return None
            joined = _A.join(_D, _A.c.row_id == _D.c.id)
            query = sa.select(_A.c.at, _D.c.email).select_from(joined)
            lately = query.where(_HANDED, _A.c.at > pace.since).order_by(_A.c.at)
            left = [row for row in tx.execute(lately) if row.at is not None]
        used, most = found.used, pace.per_hour
        if not found.is_full:
            left = [row for row in left if domain(row.email) == where]
            used, most = found.used_by_domain.get(where, 0), pace.per_domain_per_hour
        if used < most or not most:
            return now, why  # it waits for what is on its way
        # So many must be an hour old before there is room for one.
        over = used - most
        at = left[over].at if over < len(left) else now
        return at + (now - pace.since), why


def crowd(tx: sa.Connection, pace: Pace) -> Crowd:
    """Count, inside the transaction that claims a row or only to look.

    Attempts are counted, not rows: one letter may go in several mails.
    """
    emails = tx.scalars(sa.select(_D.c.email).where(_D.c.state.in_(model.IN_HAND)))
    on_the_way = collections.Counter(map(domain, emails))
    lately = _HANDED & (_A.c.at > pace.since)
    left = tx.scalar(sa.select(sa.func.count()).select_from(_A).where(lately)) or 0
    by_domain: collections.Counter[str] = collections.Counter()
    if pace.per_domain_per_hour:
        joined = _A.join(_D, _A.c.row_id == _D.c.id)
        gone = tx.scalars(sa.select(_D.c.email).select_from(joined).where(lately))
        by_domain = on_the_way + collections.Counter(map(domain, gone))
    return Crowd(
        pace=pace,
        used=int(left) + on_the_way.total(),
        on_the_way=on_the_way,
        used_by_domain=by_domain,
    )


def domain(email: str) -> str:
    """Return the domain of an address, in small letters."""
    return email.rpartition("@")[2].lower()
