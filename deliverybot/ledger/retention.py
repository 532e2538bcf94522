"""Retention: all signers of a campaign are erased, so long after its close; sums stay.

A million rows are emptied in batches, each a transaction of its own.  How far
it came stands with the erasure, so a kill costs one batch.
"""

from __future__ import annotations

import datetime as dt
import json

import sqlalchemy as sa

from deliverybot.ledger import correspondence, erasure, records, scrubbing, store, tables

_C, _T, _V = tables.campaigns, tables.signatures, tables.volumes
_E = correspondence.erasures
#: Signers emptied in one transaction; the write-ahead log stays at some megabytes.
ROWS = 5_000


class Retention:
    """The verbs of retention."""

    def __init__(self, database: store.Store, erasures: erasure.Erasures) -> None:
        self._db = database
        self._erasures = erasures

    def begin(
        self, slug: str, files: erasure.Files, *, who: str, now: dt.datetime
    ) -> records.Erasure | None:
        """Name nobody any more and take nothing in any more; None where that was done before.

        From here on the rows are emptied by `empty`.  The count, the history
        and each signature's state stay; of the list, nobody may be named.
        """
        with self._db.change() as tx:
            campaign = tx.execute(sa.select(_C).where(_C.c.slug == slug).with_for_update()).first()
            if campaign is None or campaign.expired_at is not None:
                return None
            scrubbing.scrub_all(tx, slug, who=who, now=now)
            values = {"expired_at": now, "listed": 0}
            tx.execute(sa.update(_C).where(_C.c.id == campaign.id).values(values))
            tx.execute(sa.update(_V).where(_V.c.campaign_id == campaign.id).values(stale=True))
            campaign = tx.execute(sa.select(_C).where(_C.c.slug == slug)).one()
            span = range(1, max(campaign.last_number, 1) + 1)
            why = "all its signers are erased, so long after its close"
            store.record(
                tx, at=now, who=who, thing="campaign", ref=slug, campaign=slug, old="",
                new="expired", why=why,
            )  # fmt: skip
            return self._erasures.begin(tx, campaign, span, files, (), who=who, now=now)

    def empty(self, one: records.Erasure) -> records.Erasure:
        """Empty the next rows of an expired campaign; `todo` says when there are none."""
        with self._db.write() as tx:
            campaign_id = tx.scalar(sa.select(_C.c.id).where(_C.c.slug == one.campaign))
            todo = json.loads(erasure.fresh(tx, one.id).todo)
            after = todo["after"]
            for table in (_T, tables.comments, tables.flags):
                here = (table.c.campaign_id == campaign_id) & (table.c.number > after)
                here &= table.c.number <= after + ROWS
                if table is _T:
                    nothing = {**erasure.NOTHING, "key_id": None, "key_email": None}
                    tx.execute(sa.update(_T).where(here).values(nothing))
                else:
                    tx.execute(sa.delete(table).where(here))
            todo["after"] = after + ROWS if after + ROWS < one.last else None
            if todo["after"] is None:
                self._end(tx, int(campaign_id or 0), todo)
            values = {"todo": json.dumps(todo)}
            tx.execute(sa.update(_E).where(_E.c.id == one.id).values(values))
            # A letter made meanwhile has names of the rows that were not emptied yet.
            revision = {"list_revision": _C.c.list_revision + 1,
                        "comment_revision": _C.c.comment_revision + 1}  # fmt: skip
            tx.execute(sa.update(_C).where(_C.c.id == campaign_id).values(revision))
            return erasure.fresh(tx, one.id)

    @staticmethod
    def _end(tx: sa.Connection, campaign_id: int, todo: dict[str, list[str]]) -> None:
        """Forget the marks of rows that came twice, and volumes that were made meanwhile."""
        for table in (tables.duplicates, tables.arrivals):
            tx.execute(sa.delete(table).where(table.c.campaign_id == campaign_id))
        ours = _V.c.campaign_id == campaign_id
        tx.execute(sa.update(_V).where(ours).values(stale=True))
        paths = tx.scalars(sa.select(_V.c.path).where(ours))
        todo["files"] = sorted({*todo["files"], *paths} - {""})
