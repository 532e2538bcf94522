"""Reading and verifying the audit log."""

from __future__ import annotations

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

    def verify(self) -> tuple[int, int | None]:
        """Recompute every hash; return the rows read and the first that is wrong.

        The head is kept apart from the rows, so rows cut off at the end are
        missed too.
        """
        previous, expected = "", 1
        with self._db.read() as tx:
            head = tx.scalar(
                sa.select(tables.meta.c.value).where(tables.meta.c.key == "audit_head")
            )
        newest, _, newest_hash = (head or "0 ").partition(" ")
        for row in self.since():
            plain = {name: getattr(row, name) for name in (
                "seq", "at", "who", "thing", "ref", "campaign", "old", "new", "why")}  # fmt: skip
            right = row.seq == expected and store.chain(previous, plain) == row.hash
            if not right or (row.seq == int(newest) and row.hash != newest_hash):
                return expected - 1, row.seq
            previous, expected = row.hash, expected + 1
        return expected - 1, expected if expected <= int(newest) else None
