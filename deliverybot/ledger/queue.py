"""Deliveries and posts: claimed with a fencing number, settled by row count.

Every verb is one transaction; a row that is no longer in the state the caller
saw, or claimed by somebody else since, changes nothing and raises.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from deliverybot import errors, model
from deliverybot.ledger import attempts as tries
from deliverybot.ledger import digests, pacing, records, rows, suppressions, tables

_C = tables.campaigns

#: The columns of a row that has nobody's yes, not even the first of two.
UNAPPROVED: Mapping[str, Any] = {
    "approved_digest": "",
    "approved_by": "",
    "approved_at": None,
    "agreed_by": "",
    "agreed_digest": "",
}
#: Why a row is superseded that was in hand when the newer milestone was crossed.
OUTRUN = "a newer milestone took its place"
_AT_ONCE = dt.timedelta(0)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to work on one row; worthless once the fence has moved on."""

    id: int
    fence: int
    #: For a dead worker's row: the state it was seen in, and worthless in any other.
    seen: str = ""
    #: When it was given.
    at: dt.datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """At most `most` rows of one e-mail address handed over since a time."""

    most: int
    since: dt.datetime


class Queue(rows.Rows[rows.Row]):
    """One table of work: a person's word, claims and answers."""

    # -- freezing and a person's word

    def freeze(
        self,
        row: rows.Row,
        values: Mapping[str, Any],
        *,
        approve: bool,
        why: str,
        now: dt.datetime,
        also: Callable[[sa.Connection], None] = lambda _: None,
    ) -> None:
        """Write down the frozen bytes (or the problem); the row is held.

        With `approve` and no problem it is approved at once, by deliverybot
        itself, because the campaign says that nobody needs to be asked.  `also`
        writes what belongs to it in the same transaction.
        """
        cleared = {**UNAPPROVED, "next_try": None, "first_try": None}
        with self._db.change() as tx:
            self._move(tx, row, "held", {**cleared, **values}, who="deliverybot", why=why, now=now)
            also(tx)
            if approve and not values.get("problem"):
                agreed = {
                    "approved_digest": values["digest"],
                    "approved_by": "deliverybot",
                    "approved_at": now,
                }
                held = self._fresh(tx, row.id)
                why = "the campaign asks for no approval"
                self._move(tx, held, "approved", agreed, who="deliverybot", why=why, now=now)

    def note(self, row: rows.Row, **values: Any) -> None:  # noqa: ANN401 - a column's own
        """Write down what moves nothing: the inputs, the price, a look; the state stays.

        Nothing is written where the row has moved since it was read.
        """
        t = self._t
        same = (t.c.id == row.id) & (t.c.state == row.state) & (t.c.fence == row.fence)
        with self._db.write() as tx:
            tx.execute(sa.update(t).where(same).values(values))

    def approve(
        self,
        row: rows.Row,
        *,
        who: str,
        now: dt.datetime,
        approvers: int = 1,
        undo: dt.timedelta = _AT_ONCE,
    ) -> bool:
        """Record a person's yes to the digest of this row as it was read.

        The row is refused when its digest has changed since.  Where two must
        agree, the first yes leaves it held, and False says so; the second must
        be somebody else's.  The row is ready once `undo` has passed.
        """
        with self._db.change() as tx:
            current = self._fresh(tx, row.id)
            self._approvable(current, row)
            first = current.agreed_by if current.agreed_digest == current.digest else ""
            if approvers > 1 and not first:
                why = f"{who} said yes; waits for a second person"
                one = {"agreed_by": who, "agreed_digest": current.digest}
                self._move(tx, current, "held", one, who=who, why=why, now=now)
                return False
            if approvers > 1 and _same_person(first, who):
                message = f"{self._thing} {row.id} has the yes of {first} already"
                raise errors.WrongState(message, hint="the second yes must be somebody else's")
            agreed: dict[str, Any] = {
                "approved_digest": current.digest,
                "approved_by": f"{first} and {who}" if approvers > 1 else who,
                "approved_at": now,
            }
            if current.handed_at is None:
                # A new yes is a new start: old tries no longer count against it.  What may
                # be there already keeps its date, for a second copy is the very same mail.
                agreed |= {"first_try": None, "next_try": None}
            if undo:
                agreed["next_try"] = now + undo
            self._move(tx, current, "approved", agreed, who=who, why="approved", now=now)
            return True

    def _approvable(self, current: rows.Row, seen: rows.Row) -> None:
        """Refuse a yes to what is not ready for one, or is not what was looked at."""
        what = f"{self._thing} {current.id}"
        if current.problem:
            message = f"{what} cannot be approved: {current.problem}"
            raise errors.WrongState(message, hint="mend it; the next run renders it again")
        if current.state != "held":
            self._refuse(current, "approved")
        if current.digest != seen.digest:
            message = f"{what} has changed since you looked at it"
            raise errors.WrongState(message, hint="look at it again, then approve")
        if not current.digest:
            message = f"{what} is not made yet"
            raise errors.WrongState(message, hint="`deliverybot run` makes it; then look at it")

    def move(
        self,
        row: rows.Row,
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
        row: rows.Row,
        *,
        owner: str,
        lease: dt.timedelta,
        now: dt.datetime,
        quotas: Sequence[Quota] = (),
        pace: pacing.Pace | None = None,
        spend: int | None = None,
    ) -> Claim | None:
        """Move a ready row to `sending` under a new fencing number.

        None when somebody else was faster, other bytes were approved since, a
        newer milestone has taken the row's place, its address is suppressed, or
        one of `quotas`, `pace` or `spend` is used up (all checked in the same transaction,
        for all who work on this ledger).
        """
        with self._db.change() as tx:
            current = self._fresh(tx, row.id)
            same = current.state == row.state and current.fence == row.fence
            if not same or current.approved_digest != row.approved_digest:
                return None
            if ended := self._ended(tx, current):
                state, why = ended
                self._move(tx, current, state, {}, who="deliverybot", why=why, now=now)
                return None
            if not self._whole(tx, current):
                return None
            # A letter counts once, and is not left half sent.
            if not _begun(current) and any(self._used(tx, current, one) for one in quotas):
                return None
            fast = pace is not None and self._too_fast(tx, current, pace)
            if fast or (spend is not None and self._too_dear(tx, current, spend)):
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
                # A post has no dot to hold: from here on it may be there, if not from before.
                values["handed_at"] = current.handed_at or now
            self._move(tx, current, "sending", values, who=owner, why="claimed", now=now)
            return Claim(id=row.id, fence=current.fence + 1, at=now)

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

        Raises LostClaim when the row is no longer ours, or its address was
        suppressed meanwhile: then nothing may be sent.
        """
        with self._db.change() as tx:
            current = self._own(tx, claim, ("sending",))
            if stop := self._suppression(tx, current):
                raise errors.LostClaim(f"{self._thing} {claim.id} may not go: {stop}")
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
        working = (claim.seen,) if claim.seen else (*model.IN_HAND, "unsure")
        with self._db.change() as tx:
            current = self._own(tx, claim, working)
            tries.note(
                tx, self._thing, claim.id, fence=claim.fence, reply=reply, sha256=sha256, now=now
            )
            if current.state == new:
                return  # taken for dead, and no wiser than whoever did so
            common = {"reply": str(reply), "lease_until": None, "owner": ""}
            clean = new not in {"sent", "posted", "unsure"} and not reply.done
            if (
                clean
                and not _begun(current)
                and not tries.doubted(tx, self._thing, claim.id, before=claim.fence)
            ):
                common["handed_at"] = None  # certainly not taken, now or before
            self._move(
                tx, current, new, {**common, **(values or {})}, who=who, why=str(reply), now=now
            )

    def outrun(self, row: rows.Row) -> bool:
        """Tell whether a later milestone's row for the same aim is alive."""
        with self._db.read() as tx:
            return self._outrun(tx, row)

    def orphans(self, now: dt.datetime, *, alone: bool, owner: str) -> list[rows.Row]:
        """Return rows in work whose worker is gone.

        `alone` says that no other process can be working on this ledger, so
        every row that is not `owner`'s is orphaned, whatever its lease says.
        """
        table = self._t
        gone = table.c.lease_until < now
        if alone:
            gone |= table.c.owner != owner
        query = self._query().where(table.c.state.in_(model.IN_HAND), gone)
        with self._db.read() as tx:
            return [self._record.of(row) for row in tx.execute(query)]

    # -- inside a transaction

    def _own(self, tx: sa.Connection, claim: Claim, states: Sequence[str]) -> rows.Row:
        current = self._fresh(tx, claim.id)
        if current.fence != claim.fence or current.state not in states:
            message = f"{self._thing} {claim.id} is {current.state} and no longer ours"
            raise errors.LostClaim(message)
        return current

    def _ended(self, tx: sa.Connection, row: rows.Row) -> tuple[str, str] | None:
        """Return the state that a row must go to instead of out, and why."""
        if not _begun(row) and not _may_be_posted(row) and self._outrun(tx, row):
            return "superseded", OUTRUN
        stop = self._suppression(tx, row)
        return None if stop is None else ("suppressed", str(stop))

    def _whole(self, tx: sa.Connection, row: rows.Row) -> bool:
        """Tell whether a letter goes alone, or all that go in its mail still may."""
        carries = isinstance(row, records.Delivery) and row.alone
        members = digests.whole(tx, row.id) if carries else []
        fresh = (self._fresh(tx, member.id) for member in members or ())
        return members is not None and not any(self._outrun(tx, one) for one in fresh)

    def _suppression(self, tx: sa.Connection, row: rows.Row) -> records.Suppression | None:
        if not isinstance(row, records.Delivery):
            return None
        return suppressions.standing(tx, self._db.secret, row.email)

    def _outrun(self, tx: sa.Connection, row: rows.Row) -> bool:
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

    def _too_fast(self, tx: sa.Connection, row: rows.Row, pace: pacing.Pace) -> bool:
        email = row.email if isinstance(row, records.Delivery) else ""
        return bool(pacing.crowd(tx, pace).why_not(email))

    def _too_dear(self, tx: sa.Connection, row: rows.Row, spend: int) -> bool:
        if not isinstance(row, records.Post):
            return False
        return self._spent(tx, row.campaign, row.outlet, row.id) + row.cost > spend

    def _used(self, tx: sa.Connection, row: rows.Row, quota: Quota) -> bool:
        if not isinstance(row, records.Delivery):
            return False
        return len(self._mailed(tx, row.email, quota.since, besides=row.id)) >= quota.most


def _same_person(one: str, other: str) -> bool:
    """Tell whether two names are one, however they are typed."""
    return _letters(one) == _letters(other)


def _letters(name: str) -> str:
    plain = unicodedata.normalize("NFKC", name).casefold()
    return "".join(char for char in plain if char.isalnum())


def _begun(row: records.Delivery | records.Post) -> bool:
    """Tell whether a letter in several mails has left with one of them."""
    return isinstance(row, records.Delivery) and row.part > 1


def _may_be_posted(row: records.Delivery | records.Post) -> bool:
    """Tell whether a post may be there: then the network is asked before it is given up."""
    return isinstance(row, records.Post) and row.handed_at is not None
