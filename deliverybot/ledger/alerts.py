"""What an operator was told: one text, written by whoever has read it last."""

from __future__ import annotations

import sqlalchemy as sa

from deliverybot.ledger import store, tables

_KEY = "alerts"


class Alerts:
    """One entry, changed by compare-and-set; it holds numbers of rows and times, no words."""

    def __init__(self, database: store.Store) -> None:
        self._db = database

    def read(self) -> str:
        """Return what is known; empty when nothing is."""
        with self._db.read() as tx:
            return _read(tx)

    def swap(self, old: str, new: str) -> bool:
        """Write `new` if `old` is still what is there; False if somebody was faster."""
        t = tables.meta
        with self._db.change() as tx:
            if _read(tx) != old:
                return False
            tx.execute(sa.delete(t).where(t.c.key == _KEY))
            if new:
                tx.execute(sa.insert(t), {"key": _KEY, "value": new})
            return True


def _read(tx: sa.Connection) -> str:
    t = tables.meta
    return str(tx.scalar(sa.select(t.c.value).where(t.c.key == _KEY)) or "")
