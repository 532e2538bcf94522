"""Deliveries and posts: claimed with a fencing number, settled by row count.

Every verb is one transaction; a row that is no longer in the state the caller
saw, or claimed by somebody else since, changes nothing and raises.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Generic, TypeVar

import sqlalchemy as sa

from deliverybot import errors, model
from deliverybot.ledger import attempts as tries
from deliverybot.ledger import records, store, tables

Row = TypeVar("Row", records.Delivery, records.Post)
_C = tables.campaigns
_M = tables.milestones


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to work on one row; worthless once the fence has moved on."""

    id: int
    fence: int
    #: For a dead worker's row: the state it was seen in, and worthless in any other.
    seen: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """At most `most` rows of one e-mail address handed over since a time."""

    most: int
    since: dt.datetime


#: Where a person asks for a move that a state does not allow: what can be done instead.
_HINTS: Mapping[str, str] = {
    "due": "it is not made yet; `deliverybot run` makes it",
    "sending": "it is on its way just now; look again in a minute",
    "handing_over": "it is on its way just now; look again in a minute",
    "retrying": "it goes again by itself; `hold` or `cancel` stops that",
    "unsure": "settle it with `resolve`",
    "human": "`resolve` or `cancel` it",
    "refused": "mend what was refused, then `hold` it, then `approve`",
    **dict.fromkeys(("sent", "posted"), "it is gone and cannot be called back"),
    **dict.fromkeys(("cancelled", "superseded"), "nothing moves it on from there"),
}


class Queue(Generic[Row]):
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

    def ready(self, now: dt.datetime) -> list[Row]:
        """Return the rows that a worker may claim now, longest waiting first."""
        query = self._query().where(
            self._t.c.state.in_(("approved", "retrying")),
            sa.or_(self._t.c.next_try.is_(None), self._t.c.next_try <= now),
        )
        with self._db.read() as tx:
            return [self._record.of(row) for row in tx.execute(query)]

    def handed_since(self, since: dt.datetime) -> list[dt.datetime]:
        """Return when rows were handed over since a time, in order; for the rate."""
        query = (
            sa.select(self._t.c.handed_at)
            .where(self._t.c.handed_at > since)
            .order_by(self._t.c.handed_at)
        )
        with self._db.read() as tx:
            return [at for at in tx.scalars(query) if at is not None]

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

    # -- freezing and a person's word

    def freeze(
        self, row: Row, values: Mapping[str, Any], *, approve: bool, why: str, now: dt.datetime
    ) -> None:
        """Write down the frozen bytes (or the problem); the row is held.

        With `approve` and no problem it is approved at once, by deliverybot
        itself, because the campaign says that nobody needs to be asked.
        """
        cleared = {"approved_digest": "", "approved_by": "", "next_try": None, "first_try": None}
        with self._db.change() as tx:
            self._move(tx, row, "held", {**cleared, **values}, who="deliverybot", why=why, now=now)
            if approve and not values.get("problem"):
                agreed = {"approved_digest": values["digest"], "approved_by": "deliverybot"}
                held = self._fresh(tx, row.id)
                why = "the campaign asks for no approval"
                self._move(tx, held, "approved", agreed, who="deliverybot", why=why, now=now)

    def note_inputs(self, row: Row, inputs: str) -> None:
        """Write down that other inputs came to the same bytes; the state stays."""
        t = self._t
        same = (t.c.id == row.id) & (t.c.state == row.state) & (t.c.fence == row.fence)
        with self._db.write() as tx:
            tx.execute(sa.update(t).where(same).values(inputs=inputs))

    def approve(self, row: Row, *, who: str, now: dt.datetime) -> None:
        """Record a person's yes to the digest of this row as it was read.

        The row is refused when its digest has changed since.
        """
        with self._db.change() as tx:
            current = self._fresh(tx, row.id)
            if current.problem:
                message = f"{self._thing} {row.id} cannot be approved: {current.problem}"
                raise errors.WrongState(message, hint="mend it; the next run renders it again")
            if current.state != "held":
                self._refuse(current, "approved")
            if current.digest != row.digest:
                message = f"{self._thing} {row.id} has changed since you looked at it"
                raise errors.WrongState(message, hint="look at it again, then approve")
            if not current.digest:
                message = f"{self._thing} {row.id} is not made yet"
                raise errors.WrongState(message, hint="`deliverybot run` makes it; then look at it")
            agreed: dict[str, Any] = {"approved_digest": row.digest, "approved_by": who}
            if current.handed_at is None:
                # A new yes is a new start: old tries no longer count against it.  What may
                # be there already keeps its date, for a second copy is the very same mail.
                agreed["first_try"] = None
            self._move(tx, current, "approved", agreed, who=who, why="approved", now=now)

    def move(
        self,
        row: Row,
        new: str,
        *,
        who: str,
        why: str,
        now: dt.datetime,
        values: Mapping[str, Any] | None = None,
    ) -> None:
        """Move a row that nobody has claimed, on a person's or the clock's word."""
        with self._db.change() as tx:
            self._move(tx, row, new, values or {}, who=who, why=why, now=now)

    # -- work

    def claim(
        self,
        row: Row,
        *,
        owner: str,
        lease: dt.timedelta,
        now: dt.datetime,
        quota: Quota | None = None,
    ) -> Claim | None:
        """Move a ready row to `sending` under a new fencing number.

        None when somebody else was faster, other bytes were approved since, a
        newer milestone has taken the row's place, or `quota` is used up (checked
        in the same transaction).
        """
        with self._db.change() as tx:
            current = self._fresh(tx, row.id)
            if current.state != row.state or current.fence != row.fence:
                return None
            if current.approved_digest != row.approved_digest:
                return None
            if self._outrun(tx, current):
                why = "a newer milestone took its place"
                self._move(tx, current, "superseded", {}, who="deliverybot", why=why, now=now)
                return None
            if quota is not None and self._used(tx, current, quota):
                return None
            values = {
                "fence": current.fence + 1,
                "owner": owner,
                "lease_until": now + lease,
                "attempts": current.attempts + 1,
                "first_try": current.first_try or now,
                "next_try": None,
            }
            if self._thing == "post":
                # A post has no dot to hold: from here on it may be there.
                values["handed_at"] = now
            self._move(tx, current, "sending", values, who=owner, why="claimed", now=now)
            return Claim(id=row.id, fence=current.fence + 1)

    def hand_over(
        self,
        claim: Claim,
        *,
        lease: dt.timedelta,
        who: str,
        sha256: str,
        now: dt.datetime,
        by: str = "smtp",
    ) -> None:
        """Commit, just before the irreversible byte, that it is about to leave `by` a transport.

        Raises LostClaim when the row is no longer ours: then nothing may be sent.
        """
        with self._db.change() as tx:
            current = self._own(tx, claim, ("sending",))
            values = {"handed_at": now, "lease_until": now + lease}
            why = f"message {sha256} by {by}"
            self._move(tx, current, "handing_over", values, who=who, why=why, now=now)

    def settle(
        self,
        claim: Claim,
        reply: model.Reply,
        new: str,
        *,
        who: str,
        now: dt.datetime,
        values: Mapping[str, Any] | None = None,
        sha256: str = "",
    ) -> None:
        """Write down what an attempt came to.

        A worker that was taken for dead may still settle its own `unsure` row:
        it alone knows the answer.  Raises LostClaim when somebody else has
        settled the row.
        """
        working = (claim.seen,) if claim.seen else ("sending", "handing_over", "unsure")
        with self._db.change() as tx:
            current = self._own(tx, claim, working)
            tries.note(
                tx, self._thing, claim.id, fence=claim.fence, reply=reply, sha256=sha256, now=now
            )
            if current.state == new:
                return  # taken for dead, and no wiser than whoever did so
            common = {"reply": str(reply), "lease_until": None, "owner": ""}
            clean = new not in {"sent", "posted", "unsure"}
            if clean and not tries.doubted(tx, self._thing, claim.id, before=claim.fence):
                common["handed_at"] = None  # certainly not taken, now or before
            self._move(
                tx, current, new, {**common, **(values or {})}, who=who, why=str(reply), now=now
            )

    def orphans(self, now: dt.datetime, *, alone: bool, owner: str) -> list[Row]:
        """Return rows in work whose worker is gone.

        `alone` says that no other process can be working on this ledger, so
        every row that is not `owner`'s is orphaned, whatever its lease says.
        """
        table = self._t
        gone = table.c.lease_until < now
        if alone:
            gone |= table.c.owner != owner
        query = self._query().where(table.c.state.in_(("sending", "handing_over")), gone)
        with self._db.read() as tx:
            return [self._record.of(row) for row in tx.execute(query)]

    # -- inside a transaction

    def _query(self) -> sa.Select[Any]:
        t = self._t
        labels = (_C.c.slug.label("campaign"), _M.c.key.label("milestone"))
        joined = t.join(_C, t.c.campaign_id == _C.c.id).join(_M, t.c.milestone_id == _M.c.id)
        return sa.select(t, *labels).select_from(joined).order_by(t.c.id)

    def _fresh(self, tx: sa.Connection, ident: int) -> Row:
        row = tx.execute(self._query().where(self._t.c.id == ident)).first()
        if row is None:
            message = f"there is no {self._thing} number {ident}"
            raise errors.UsageError(message)
        return self._record.of(row)

    def _own(self, tx: sa.Connection, claim: Claim, states: Sequence[str]) -> Row:
        current = self._fresh(tx, claim.id)
        if current.fence != claim.fence or current.state not in states:
            message = f"{self._thing} {claim.id} is {current.state} and no longer ours"
            raise errors.LostClaim(message)
        return current

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
        """Change the state by compare-and-set, with its audit row."""
        if new not in self._moves[row.state]:
            self._refuse(row, new)
        t = self._t
        same = (t.c.id == row.id) & (t.c.state == row.state) & (t.c.fence == row.fence)
        done = tx.execute(sa.update(t).where(same).values({"why": why, **values, "state": new}))
        if done.rowcount != 1:
            message = f"{self._thing} {row.id} was changed by somebody else just now"
            raise errors.WrongState(message, hint="look again, then repeat the command")
        store.record(
            tx, at=now, who=who, thing=self._thing, ref=row.id, campaign=row.campaign,
            old=row.state, new=new, why=why,
        )  # fmt: skip

    def _outrun(self, tx: sa.Connection, row: Row) -> bool:
        """Tell whether a later milestone's row for the same aim is alive."""
        t = self._t
        aim = row.target if isinstance(row, records.Delivery) else row.outlet
        query = sa.select(t.c.id).where(
            t.c.campaign_id
            == sa.select(_C.c.id).where(_C.c.slug == row.campaign).scalar_subquery(),
            self._aim == aim,
            # By row, not by milestone: one that is crossed again keeps its old number.
            t.c.id > row.id,
            ~t.c.state.in_(("cancelled", "superseded", "suppressed")),
        )
        return tx.scalar(query.limit(1)) is not None

    def _used(self, tx: sa.Connection, row: Row, quota: Quota) -> bool:
        t = self._t
        email = row.email if isinstance(row, records.Delivery) else ""
        in_work = t.c.state.in_(("sending", "handing_over"))
        query = sa.select(sa.func.count()).where(
            sa.func.lower(t.c.email) == email.lower(),
            t.c.id != row.id,
            in_work | (t.c.handed_at > quota.since),
        )
        return int(tx.scalar(query) or 0) >= quota.most
