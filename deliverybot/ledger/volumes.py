"""Which volumes of the signer list are sealed, and which of them no longer hold."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from deliverybot.ledger import records, store, tables

_V = tables.volumes
_C = tables.campaigns


class Volumes:
    """The sealed volumes of each campaign's list."""

    def __init__(self, database: store.Store) -> None:
        self._db = database

    def sealed(self, slug: str) -> list[records.Volume]:
        """Return a campaign's volumes that still hold, in their order."""
        query = sa.select(_V).join(_C).where(_C.c.slug == slug, ~_V.c.stale).order_by(_V.c.number)
        with self._db.read() as tx:
            return [records.Volume.of(row) for row in tx.execute(query)]

    def seal(
        self, slug: str, values: dict[str, Any], *, revision: int, now: dt.datetime
    ) -> str | None:
        """Write down a volume that is on disk; return the file it takes the place of, or "".

        `values` are the columns number, first, last, form, path, sha256 and
        pages.  `revision` is the list's when its signers were read: if a line
        has changed since, nothing is sealed, and None says so.
        """
        with self._db.change() as tx:
            campaign = tx.execute(sa.select(_C).where(_C.c.slug == slug).with_for_update()).one()
            if campaign.list_revision != revision:
                return None
            ours = _V.c.campaign_id == campaign.id
            here = ours & (_V.c.number == values["number"])
            old = tx.execute(sa.select(_V.c.edition, _V.c.path).where(here)).first()
            row = values | {"stale": False, "edition": old.edition + 1 if old else 1}
            if old:
                tx.execute(sa.update(_V).where(here).values(row))
            else:
                tx.execute(sa.insert(_V), row | {"campaign_id": campaign.id})
            # Volumes of another size share signers with this one under other numbers.
            shared = (_V.c.first <= row["last"]) & (_V.c.last >= row["first"])
            tx.execute(sa.update(_V).where(ours, shared, ~here).values(stale=True))
            why = f"signers {row['first']} to {row['last']}, edition {row['edition']}"
            store.record(
                tx, at=now, who="deliverybot", thing="volume", ref=row["number"], campaign=slug,
                old="sealed" if old else "", new="sealed", why=f"{why}, SHA-256 {row['sha256']}",
            )  # fmt: skip
        return old.path if old and old.path != row["path"] else ""


def unseal(tx: sa.Connection, campaign_id: int, numbers: Collection[int]) -> None:
    """Note, with a change of these signers' lines, that their volumes no longer hold."""
    for number in numbers:
        tx.execute(
            sa.update(_V)
            .where(_V.c.campaign_id == campaign_id, _V.c.first <= number, _V.c.last >= number)
            .values(stale=True)
        )
