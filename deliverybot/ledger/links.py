"""Links to lists of signers: made with a letter, opened when it leaves, withdrawn, renewed."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Collection
from typing import Any

import sqlalchemy as sa

from deliverybot import errors
from deliverybot.ledger import correspondence, records, store, tables

#: Requests that are noted of one link: whoever has its address could fill the disk.
MOST_VISITS = 10_000

_L, _V = correspondence.links, correspondence.visits
_D, _C = tables.deliveries, tables.campaigns


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The list that a letter's link is to lead to; a `path` of nothing takes the link away."""

    token_sha256: str
    path: str
    sha256: str


class Links:
    """The verbs of links; each is one transaction."""

    def __init__(self, database: store.Store) -> None:
        self._db = database

    # -- reading

    def select(
        self, *, campaign: str | None = None, deliveries: Collection[int] | None = None
    ) -> list[records.Link]:
        """Return links, oldest first, that fit every condition given."""
        query = self._query()
        if campaign is not None:
            query = query.where(_C.c.slug == campaign)
        if deliveries is not None:
            query = query.where(_L.c.delivery_id.in_(deliveries))
        with self._db.read() as tx:
            return [records.Link.of(row) for row in tx.execute(query)]

    def emptied(self) -> list[records.Link]:
        """Return the links whose list was taken away, since somebody in it is erased."""
        with self._db.read() as tx:
            found = tx.execute(self._query().where(_L.c.sha256 == ""))
            return [records.Link.of(row) for row in found]

    def get(self, ident: int) -> records.Link:
        """Return one link; a number that does not exist is a usage error."""
        with self._db.read() as tx:
            return self._fresh(tx, ident)

    def find(self, token_sha256: str) -> records.Link | None:
        """Return the link whose token has this hash."""
        with self._db.read() as tx:
            row = tx.execute(self._query().where(_L.c.token_sha256 == token_sha256)).first()
        return None if row is None else records.Link.of(row)

    def visits(self, ident: int) -> list[records.Visit]:
        """Return who looked, oldest first."""
        query = sa.select(_V).where(_V.c.link_id == ident).order_by(_V.c.id)
        with self._db.read() as tx:
            return [records.Visit.of(row) for row in tx.execute(query)]

    # -- writing

    @staticmethod
    def making(delivery: int, made: Made, now: dt.datetime) -> Callable[[sa.Connection], None]:
        """Give the write that goes with freezing a letter that has not left yet."""

        def write(tx: sa.Connection) -> None:
            values: dict[str, Any] = {"path": made.path, "sha256": made.sha256, "made_at": now}
            here = _L.c.delivery_id == delivery
            if not made.path:
                # What a person has withdrawn stays so.
                old = here & _L.c.withdrawn_at.is_(None)
                tx.execute(sa.delete(_V).where(_V.c.link_id.in_(sa.select(_L.c.id).where(old))))
                tx.execute(sa.delete(_L).where(old))
                return
            same = here & (_L.c.token_sha256 == made.token_sha256)
            if not tx.execute(sa.update(_L).where(same).values(values)).rowcount:
                named = {"delivery_id": delivery, "token_sha256": made.token_sha256}
                tx.execute(sa.insert(_L), named | values)

        return write

    def leaves(self, delivery: int, until: dt.datetime) -> None:
        """Write down, as the letter is about to leave, until when its link works.

        What a person has set to later stays.
        """
        sooner = _L.c.expires_at.is_(None) | (_L.c.expires_at < until)
        with self._db.write() as tx:
            tx.execute(
                sa.update(_L).where(_L.c.delivery_id == delivery, sooner).values(expires_at=until)
            )

    def renew(self, ident: int, path: str, sha256: str, *, now: dt.datetime) -> None:
        """Let a link lead to a list that was made anew, after somebody in the old one is erased."""
        with self._db.change() as tx:
            link = self._open(tx, ident)
            values = {"path": path, "sha256": sha256, "made_at": now}
            tx.execute(sa.update(_L).where(_L.c.id == ident, _L.c.sha256 == "").values(values))
            why = f"a signer in its list is erased; the new one has the SHA-256 {sha256}"
            self._record(tx, link, "renewed", who="deliverybot", why=why, now=now)

    def withdraw(self, ident: int, *, who: str, why: str, now: dt.datetime) -> None:
        """Let a link lead nowhere any more, for good."""
        with self._db.change() as tx:
            link = self._open(tx, ident)
            values = {"withdrawn_at": now, "withdrawn_by": who}
            tx.execute(sa.update(_L).where(_L.c.id == ident).values(values))
            self._record(tx, link, "withdrawn", who=who, why=why, now=now)

    def extend(
        self, ident: int, until: dt.datetime, *, who: str, why: str, now: dt.datetime
    ) -> None:
        """Let a link work until another, later time."""
        with self._db.change() as tx:
            link = self._open(tx, ident)
            if link.expires_at is None:
                message = f"link {ident} has not left yet; its time starts when its letter leaves"
                raise errors.WrongState(message, hint="set link_days under [delivery]")
            if until <= link.expires_at:
                message = f"link {ident} works until {link.expires_at:%Y-%m-%d %H:%M} UTC already"
                raise errors.WrongState(message, hint="name more days, or withdraw it")
            tx.execute(sa.update(_L).where(_L.c.id == ident).values(expires_at=until))
            self._record(tx, link, "extended", who=who, why=why, now=now)

    def visited(self, ident: int, visit: records.Visit) -> None:
        """Write down one request, up to `MOST_VISITS` of a link."""
        noted = sa.select(sa.func.count()).where(_V.c.link_id == ident)
        with self._db.write() as tx:
            if int(tx.scalar(noted) or 0) >= MOST_VISITS:
                return
            tx.execute(sa.insert(_V), {"link_id": ident} | dataclasses.asdict(visit))

    # -- inside a transaction

    @staticmethod
    def _query() -> sa.Select[Any]:
        looked = sa.select(sa.func.count()).where(_V.c.link_id == _L.c.id).scalar_subquery()
        joined = _L.join(_D, _L.c.delivery_id == _D.c.id).join(_C, _D.c.campaign_id == _C.c.id)
        labels = (_C.c.slug.label("campaign"), _D.c.target, looked.label("visits"))
        return sa.select(_L, *labels).select_from(joined).order_by(_L.c.id)

    def _fresh(self, tx: sa.Connection, ident: int) -> records.Link:
        row = tx.execute(self._query().where(_L.c.id == ident)).first()
        if row is None:
            message = f"there is no link number {ident}"
            raise errors.UsageError(message, hint="the numbers stand in `links list`")
        return records.Link.of(row)

    def _open(self, tx: sa.Connection, ident: int) -> records.Link:
        link = self._fresh(tx, ident)
        if link.withdrawn_at is not None:
            message = f"link {ident} is withdrawn already, by {link.withdrawn_by}"
            raise errors.WrongState(message, hint="nothing opens it again")
        return link

    @staticmethod
    def _record(
        tx: sa.Connection, link: records.Link, new: str, *, who: str, why: str, now: dt.datetime
    ) -> None:
        store.record(
            tx, at=now, who=who, thing="link", ref=link.id, campaign=link.campaign,
            old="open", new=new, why=why,
        )  # fmt: skip
