"""Reading and verifying the audit log."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator

import sqlalchemy as sa

from deliverybot.ledger import records, store, tables

_A = tables.audit
_PAGE = 2_000


class Audit:
    """The log of every change of state, each row chained to the one before."""

    def __init__(self, database: store.Store) -> None:
        self._db = database

    def since(
        self, time: dt.datetime | None = None, *, thing: str | None = None, ref: str | None = None
    ) -> Iterator[records.AuditRow]:
        """Yield rows from a time on, oldest first, of one thing where it is given."""
        last = 0
        while True:
            query = sa.select(_A).where(_A.c.seq > last).order_by(_A.c.seq).limit(_PAGE)
            if time is not None:
                query = query.where(_A.c.at >= time)
            if thing is not None:
                query = query.where(_A.c.thing == thing, _A.c.ref == ref)
            with self._db.read() as tx:
                rows = tx.execute(query).all()
            if not rows:
                return
            yield from map(records.AuditRow.of, rows)
            last = rows[-1].seq

    def head(self) -> tuple[int, str]:
        """Return number and hash of the newest row; (0, "") for an empty log."""
        query = sa.select(_A.c.seq, _A.c.hash).order_by(_A.c.seq.desc()).limit(1)
        with self._db.read() as tx:
            row = tx.execute(query).first()
        return (row.seq, row.hash) if row else (0, "")

    def hash_of(self, seq: int) -> str:
        """Return the hash of one row; empty where it is not there."""
        with self._db.read() as tx:
            return str(tx.scalar(sa.select(_A.c.hash).where(_A.c.seq == seq)) or "")

    def note(  # noqa: PLR0913 - the columns of one audit row
        self,
        *,
        thing: str,
        ref: str,
        old: str,
        new: str,
        who: str,
        why: str,
        now: dt.datetime,
        campaign: str = "",
    ) -> None:
        """Write down what has no row of its own to be written with."""
        with self._db.change() as tx:
            store.record(
                tx, at=now, who=who, thing=thing, ref=ref, campaign=campaign,
                old=old, new=new, why=why,
            )  # fmt: skip

    def verify(self) -> tuple[int, int | None]:
        """Recompute every hash; return the rows read and the first that is wrong.

        The head is kept apart from the rows, so rows cut off at the end are
        missed too.
        """
        previous, expected = "", 1
        redacted = self._redacted()
        with self._db.read() as tx:
            head = tx.scalar(
                sa.select(tables.meta.c.value).where(tables.meta.c.key == "audit_head")
            )
        newest, _, newest_hash = (head or "0 ").partition(" ")
        for row in self.since():
            right = row.seq == expected
            right &= store.chain(previous, dataclasses.asdict(row)) == row.hash
            # Its hash is of words that are gone; the row behind it was chained to that hash.
            right |= row.seq == expected and row.why == store.REDACTED and str(row.seq) in redacted
            if not right or (row.seq == int(newest) and row.hash != newest_hash):
                return expected - 1, row.seq
            previous, expected = row.hash, expected + 1
        return expected - 1, expected if expected <= int(newest) else None

    def _redacted(self) -> set[str]:
        """Return the numbers of rows whose words were taken out; the log itself says so."""
        query = sa.select(_A.c.ref).where(_A.c.thing == "audit", _A.c.new == "redacted")
        with self._db.read() as tx:
            return set(tx.scalars(query))
