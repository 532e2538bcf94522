"""What is known of the relay: one text, written by whoever has read it last."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

from deliverybot.ledger import store, tables

_KEY = "relay"


class Relay:
    """One entry, changed by compare-and-set."""

    def __init__(self, database: store.Store) -> None:
        self._db = database

    def read(self) -> str:
        """Return what is known; empty when nothing is."""
        with self._db.read() as tx:
            return _read(tx)

    def swap(
        self, old: str, new: str, move: tuple[str, str, str] | None, *, now: dt.datetime
    ) -> bool:
        """Write `new` if `old` is still what is there; False if somebody was faster.

        `move` (old state, new state, reason) goes into the audit log with it.
        """
        t = tables.meta
        with self._db.change() as tx:
            if _read(tx) != old:
                return False
            if old:
                tx.execute(sa.update(t).where(t.c.key == _KEY).values(value=new))
            else:
                tx.execute(sa.insert(t).values(key=_KEY, value=new))
            if move is not None:
                was, becomes, why = move
                store.record(
                    tx, at=now, who="deliverybot", thing="relay", ref="", campaign="",
                    old=was, new=becomes, why=why,
                )  # fmt: skip
            return True


def _read(tx: sa.Connection) -> str:
    t = tables.meta
    return str(tx.scalar(sa.select(t.c.value).where(t.c.key == _KEY)) or "")
