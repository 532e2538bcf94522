"""What is known of the relay: one text, written by whoever has read it last."""

from __future__ import annotations

import datetime as dt

from deliverybot.ledger import store

_KEY = "relay"


class Relay:
    """One entry, changed by compare-and-set."""

    def __init__(self, database: store.Store) -> None:
        self._db = database

    def read(self) -> str:
        """Return what is known; empty when nothing is."""
        with self._db.read() as tx:
            return store.entry(tx, _KEY)

    def swap(
        self, old: str, new: str, move: tuple[str, str, str] | None, *, now: dt.datetime
    ) -> bool:
        """Write `new` if `old` is still what is there; False if somebody was faster.

        `move` (old state, new state, reason) goes into the audit log with it.
        """
        with self._db.change() as tx:
            if not store.swap(tx, _KEY, old, new):
                return False
            if move is not None:
                was, becomes, why = move
                store.record(
                    tx, at=now, who="deliverybot", thing="relay", ref="", campaign="",
                    old=was, new=becomes, why=why,
                )  # fmt: skip
            return True
