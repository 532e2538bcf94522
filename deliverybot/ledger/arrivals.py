"""What platforms bring to our webhooks: stored at once, taken in later, then forgotten."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import exc

from deliverybot.ledger import store, tables

_A, _C = tables.arrivals, tables.campaigns
#: Platforms try again within hours; the keys of what was taken in are kept somewhat longer.
KEPT = dt.timedelta(days=30)


class Stored(NamedTuple):
    """One arrival, encrypted as it was put in."""

    id: int
    at: dt.datetime
    key: bytes
    body: bytes


class Arrivals:
    """The verbs of arrivals; each is one transaction."""

    def __init__(self, database: store.Store) -> None:
        self._db = database

    def put(self, calls: Sequence[tuple[str, bytes, bytes]], now: dt.datetime) -> None:
        """Store calls, on disk: campaign, key, body; one whose key came before is there already.

        Together, since each transaction waits for the disk.  No row of the
        campaign is locked: a long import does not hold it up on PostgreSQL.
        """
        with self._db.write() as tx:
            idents = {slug: _campaign_id(tx, slug) for slug in {slug for slug, _, _ in calls}}
            for slug, key, body in calls:
                row = {"campaign_id": idents[slug], "at": now, "key": key, "body": body}
                query = sa.select(_A.c.id).where(_A.c.campaign_id == idents[slug], _A.c.key == key)
                if tx.scalar(query) is None:
                    # On PostgreSQL another process may store the same at the same time.
                    with contextlib.suppress(exc.IntegrityError), tx.begin_nested():
                        tx.execute(sa.insert(_A), row)

    def waiting(self, slug: str, most: int) -> list[Stored]:
        """Return the first arrivals that are not taken in, oldest first."""
        query = (
            sa.select(_A.c.id, _A.c.at, _A.c.key, _A.c.body)
            .select_from(_A.join(_C))
            .where(_C.c.slug == slug, _A.c.body.is_not(None))
            .order_by(_A.c.id)
            .limit(most)
        )
        with self._db.read() as tx:
            return [
                Stored(row.id, row.at, bytes(row.key), bytes(row.body)) for row in tx.execute(query)
            ]

    def count(self, slug: str) -> int:
        """Count the arrivals that are not taken in."""
        query = (
            sa.select(sa.func.count())
            .select_from(_A.join(_C))
            .where(_C.c.slug == slug, _A.c.body.is_not(None))
        )
        with self._db.read() as tx:
            return int(tx.scalar(query) or 0)

    def done(self, slug: str, ids: Sequence[int], now: dt.datetime) -> None:
        """Forget the contents of arrivals, and the keys of those taken in long ago."""
        with self._db.write() as tx:
            mine = _A.c.campaign_id == _campaign_id(tx, slug)
            tx.execute(sa.update(_A).where(mine, _A.c.id.in_(ids)).values(body=None))
            tx.execute(sa.delete(_A).where(mine, _A.c.body.is_(None), _A.c.at < now - KEPT))


def _campaign_id(tx: sa.Connection, slug: str) -> int:
    query = sa.select(_C.c.id).where(_C.c.slug == slug)
    found = tx.scalar(query)
    if found is None:
        with contextlib.suppress(exc.IntegrityError), tx.begin_nested():
            tx.execute(sa.insert(_C), {"slug": slug})
        found = tx.scalar(query)
    return int(found or 0)
