"""What an operator was told: one text, written by whoever has read it last."""

from __future__ import annotations

from deliverybot.ledger import store

_KEY = "alerts"


class Alerts:
    """One entry, changed by compare-and-set; it holds numbers of rows and times, no words."""

    def __init__(self, database: store.Store) -> None:
        self._db = database

    def read(self) -> str:
        """Return what is known; empty when nothing is."""
        with self._db.read() as tx:
            return store.entry(tx, _KEY)

    def swap(self, old: str, new: str) -> bool:
        """Write `new` if `old` is still what is there; False if somebody was faster."""
        with self._db.change() as tx:
            return store.swap(tx, _KEY, old, new)
