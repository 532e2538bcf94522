"""Rows of work, read and moved; the verbs that a station needs are in ``queue``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from typing import Any, Generic, TypeVar

import sqlalchemy as sa

from deliverybot import errors, model, screen
from deliverybot.ledger import attempts as tries
from deliverybot.ledger import digests, records, store, tables

Row = TypeVar("Row", records.Delivery, records.Post)
_C = tables.campaigns


#: Where a person asks for a move that a state does not allow: what can be done instead.
_HINTS: Mapping[str, str] = {
    "due": "it is not made yet; `deliverybot run` makes it",
    "sending": "it is on its way just now; look again in a minute",
    "handing_over": "it is on its way just now; look again in a minute",
    "retrying": "it goes again by itself; `hold` or `cancel` stops that",
    "unsure": "settle it with `resolve`",
    "merged": "it goes in another one's mail; `hold` or `cancel` takes it out of that",
    "human": "`resolve` or `cancel` it",
    "refused": "mend what was refused, then `hold` it, then `approve`",
    **dict.fromkeys(("sent", "posted"), "it is gone and cannot be called back"),
    **dict.fromkeys(("cancelled", "superseded"), "nothing moves it on from there"),
}


class Rows(Generic[Row]):
    """One table of work with its allowed moves."""

    def __init__(
        self,
        database: store.Store,
        *,
        thing: str,
        table: sa.Table,
        record: type[Row],
        moves: Mapping[str, frozenset[str]],
    ) -> None:
        self._db = database
        self._thing = thing
        self._t = table
        self._record: type[Row] = record
        self._moves = moves
        self._aim = table.c.target if thing == "delivery" else table.c.outlet

    # -- reading

    def select(
        self,
        *,
        ids: Collection[int] | None = None,
        states: Collection[str] | None = None,
        campaign: str | None = None,
        pdf: str | None = None,
    ) -> list[Row]:
        """Return rows, oldest first, that fit every condition given."""
        query = self._query()
        if ids is not None:
            query = query.where(self._t.c.id.in_(ids))
        if states is not None:
            query = query.where(self._t.c.state.in_(states))
        if campaign is not None:
            query = query.where(_C.c.slug == campaign)
        if pdf is not None:
            query = query.where(self._t.c.pdf == pdf)
        with self._db.read() as tx:
            return [self._record.of(row) for row in tx.execute(query)]

    def get(self, ident: int) -> Row:
        """Return one row; a number that does not exist is a usage error."""
        rows = self.select(ids=[ident])
        if not rows:
            message = f"there is no {self._thing} number {ident}"
            raise errors.UsageError(message, hint="the numbers stand in the list command")
        return rows[0]

    def attempts(self, ident: int) -> list[records.Attempt]:
        """Return all tries of one row, oldest first."""
        with self._db.read() as tx:
            return tries.of(tx, self._thing, ident)

    def doubtful(self, row: Row) -> bool:
        """Tell whether a try may have arrived, and no person has said since that it did not.

        Each claim takes a fencing number and leaves a try with it; a person's
        `resolve` takes one and leaves none.
        """
        tried: dict[int, bool] = {}
        for one in self.attempts(row.id):
            unsure = one.outcome == model.Outcome.UNSURE
            tried[one.fence] = tried.get(one.fence, False) or unsure
        fence = row.fence
        while fence in tried:
            if tried[fence]:
                return True
            fence -= 1
        return False

    def ready(
        self,
        now: dt.datetime,
        *,
        after: int = 0,
        most: int | None = None,
        longest: dt.timedelta | None = None,
    ) -> list[Row]:
        """Return the rows that a worker may claim now, longest waiting first.

        `most` of those behind the row `after`, for who takes them page by page.
        What would have to wait more than the `longest` wait there is was written
        while the clock was ahead.
        """
        next_try = self._t.c.next_try
        due = next_try.is_(None) | (next_try <= now)
        if longest is not None:
            due |= next_try > now + longest
        query = self._query().where(
            self._t.c.state.in_(("approved", "retrying")), self._t.c.id > after, due
        )
        query = query.limit(most)
        with self._db.read() as tx:
            return [self._record.of(row) for row in tx.execute(query)]

    def addressed(self, states: Collection[str]) -> list[tuple[int, str]]:
        """Return the numbers and addresses of rows in these states."""
        t = self._t
        query = sa.select(t.c.id, t.c.email).where(t.c.state.in_(states)).order_by(t.c.id)
        with self._db.read() as tx:
            return [(row.id, row.email) for row in tx.execute(query)]

    def mailed(self, address: str, since: dt.datetime, now: dt.datetime) -> list[dt.datetime]:
        """Return when mails to one mailbox were handed over since a time; `now` for one in work."""
        with self._db.read() as tx:
            return [at or now for at in self._mailed(tx, address, since)]

    def person_approved(self, campaign: str, aim: str, *, before: int) -> bool:
        """Tell whether a person approved an earlier milestone's row for a target or outlet."""
        query = (
            sa.select(self._t.c.id)
            .join(_C, self._t.c.campaign_id == _C.c.id)
            .where(
                _C.c.slug == campaign,
                self._aim == aim,
                self._t.c.milestone_id < before,
                self._t.c.state != "cancelled",
                ~self._t.c.approved_by.in_(("", "deliverybot")),
            )
            .limit(1)
        )
        with self._db.read() as tx:
            return tx.scalar(query) is not None

    def spent(self, campaign: str, outlet: str, *, besides: int = 0) -> int:
        """Return what a campaign's posts on an outlet cost, in millionths of a dollar."""
        with self._db.read() as tx:
            return self._spent(tx, campaign, outlet, besides)

    # -- inside a transaction

    def _spent(self, tx: sa.Connection, campaign: str, outlet: str, besides: int) -> int:
        """Add up what is there, or may be: a post that was certainly not taken costs nothing."""
        t = self._t
        query = (
            sa.select(sa.func.coalesce(sa.func.sum(t.c.cost), 0))
            .join(_C, t.c.campaign_id == _C.c.id)
            .where(_C.c.slug == campaign, self._aim == outlet, t.c.id != besides)
            .where(t.c.handed_at.is_not(None) | (t.c.state == "posted"))
        )
        return int(tx.scalar(query) or 0)

    def move_in(
        self,
        tx: sa.Connection,
        row: Row,
        new: str,
        *,
        values: Mapping[str, Any],
        who: str,
        why: str,
        now: dt.datetime,
    ) -> Row:
        """Move a row inside a transaction of another part of the ledger; the row as it is then.

        On the evidence of what came back, which allows `model.EVIDENCE_MOVES` as well.
        """
        shown = new in {"sent", "approved"} and row.state in model.EVIDENCE_MOVES
        move = self._write if shown else self._move
        move(tx, row, new, values, who=who, why=why, now=now)
        return self._fresh(tx, row.id)

    def _mailed(
        self, tx: sa.Connection, address: str, since: dt.datetime, *, besides: int = 0
    ) -> list[dt.datetime | None]:
        """Return when mails to a mailbox were handed over since a time; None for one in work.

        Addresses are compared as `screen` does: case and plus tags count for nothing.
        """
        t = self._t
        box = screen.normalise_email(address) or ""
        in_hand = t.c.state.in_(model.IN_HAND)
        domain = sa.or_(
            *(sa.func.lower(t.c.email).like(f"%@{name}") for name in screen.domains(address))
        )
        query = sa.select(t.c.email, t.c.state, t.c.handed_at).where(
            domain, t.c.id != besides, in_hand | (t.c.handed_at > since)
        )
        return [
            None if row.state in model.IN_HAND else row.handed_at
            for row in tx.execute(query)
            if screen.normalise_email(row.email) == box
        ]

    def _query(self) -> sa.Select[Any]:
        return store.work(self._t).order_by(self._t.c.id)

    def _fresh(self, tx: sa.Connection, ident: int) -> Row:
        row = tx.execute(self._query().where(self._t.c.id == ident)).first()
        if row is None:
            message = f"there is no {self._thing} number {ident}"
            raise errors.UsageError(message)
        return self._record.of(row)

    def _refuse(self, row: Row, new: str) -> None:
        if row.state == new:
            message = f"{self._thing} {row.id} is {new} already"
        else:
            message = f"{self._thing} {row.id} is {row.state}; it cannot become {new}"
        raise errors.WrongState(message, hint=_HINTS.get(row.state, ""))

    def _move(
        self,
        tx: sa.Connection,
        row: Row,
        new: str,
        values: Mapping[str, Any],
        *,
        who: str,
        why: str,
        now: dt.datetime,
    ) -> None:
        """Make a move that is allowed."""
        if new not in self._moves[row.state]:
            self._refuse(row, new)
        self._write(tx, row, new, values, who=who, why=why, now=now)

    def _write(
        self,
        tx: sa.Connection,
        row: Row,
        new: str,
        values: Mapping[str, Any],
        *,
        who: str,
        why: str,
        now: dt.datetime,
    ) -> None:
        """Change the state by compare-and-set, with its audit row."""
        t = self._t
        digest = self._digest(tx, row)
        if digest is not None and digests.leave(tx, digest, new, why=why, now=now):
            values = {**values, "merged_into": None}
        same = (t.c.id == row.id) & (t.c.state == row.state) & (t.c.fence == row.fence)
        done = tx.execute(sa.update(t).where(same).values({"why": why, **values, "state": new}))
        if done.rowcount != 1:
            message = f"{self._thing} {row.id} was changed by somebody else just now"
            raise errors.WrongState(message, hint="look again, then repeat the command")
        store.record(
            tx, at=now, who=who, thing=self._thing, ref=row.id, campaign=row.campaign,
            old=row.state, new=new, why=why,
        )  # fmt: skip
        if digest is not None:
            digests.follow(tx, digest, new, values, who=who, now=now)

    def _digest(self, tx: sa.Connection, row: Row) -> records.Delivery | None:
        """Return a delivery as it is by now, where it carries others or goes in another's mail."""
        t = self._t
        if self._thing != "delivery":
            return None
        bound = (t.c.merged_into.is_not(None)) | (t.c.alone != "")
        if tx.scalar(sa.select(t.c.id).where(t.c.id == row.id, bound)) is None:
            return None
        current = self._fresh(tx, row.id)
        return current if isinstance(current, records.Delivery) else None
