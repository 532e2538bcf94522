"""Crossing milestones, once for ever, and what a crossing sets off."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from deliverybot import errors, model
from deliverybot.ledger import digests, records, store, tables

_M = tables.milestones
_C = tables.campaigns
_D = tables.deliveries

#: Work in these states has not left the house and never will once replaced.
_REPLACEABLE = {
    "delivery": ("due", "held", "approved", "retrying", "human"),
    "post": ("due", "held", "approved", "retrying"),
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One place in the plan that the count has reached."""

    #: "1000", or "on:2026-12-01T09:00:00Z" for a date.
    key: str
    #: at, every, percent or on.
    kind: str
    threshold: int | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """One target or outlet for which a crossing makes a row."""

    #: The target's id or the outlet's name.
    name: str
    email: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the count means, as the milestones station worked it out."""

    #: The count that is now believed; None leaves it.
    baseline: int | None = None
    #: A count that is not believed yet, and how many readings saw it.
    jump: int | None = None
    jump_readings: int = 0
    #: Whether a person's yes to an earlier reading of the jump still stands.
    jump_accepted: bool = False
    #: The milestone to deliver, and the smaller ones passed on the way.
    cross: Point | None = None
    passed: tuple[Point, ...] = ()
    #: A person must approve what follows, whatever the campaign says.
    ask: bool = False
    #: Milestones above the count: withdrawn if nothing has gone out.
    withdraw: tuple[records.Milestone, ...] = ()
    why: str = ""


Decide = Callable[[records.Standing, Sequence[records.Milestone]], Decision]


class Milestones:
    """The milestones of all campaigns."""

    def __init__(self, database: store.Store) -> None:
        self._db = database

    def all(self, slug: str | None = None) -> list[records.Milestone]:
        """Return milestones, of one campaign or all, in the order of crossing."""
        with self._db.read() as tx:
            return _all(tx, slug)

    def advance(
        self,
        slug: str,
        decide: Decide,
        *,
        targets: Sequence[Aim],
        outlets: Sequence[Aim],
        message_id: Callable[[int, int, str], str],
        now: dt.datetime,
    ) -> Decision:
        """Compare the count with the plan and write down what follows, as one.

        `decide` is called inside the transaction with where the campaign
        stands, so that two pollers cannot act on the same count.
        `message_id(milestone id, version, target)` names the mail that a
        delivery will be, for all its attempts.
        """
        with self._db.change() as tx:
            query = sa.select(_C).where(_C.c.slug == slug).with_for_update()
            row = tx.execute(query).first()
            if row is None:
                message = f"campaign {slug} has not been read yet"
                raise errors.LedgerError(message)
            standing = records.Standing.of(row)
            decision = decide(standing, _all(tx, slug))
            work = _Work(tx, standing, now, targets, outlets, message_id)
            _jump(tx, standing, decision, now)
            for milestone in decision.withdraw:
                work.withdraw(milestone, decision.why)
            for point in decision.passed:
                work.put(point, model.Milestone.PASSED, decision)
            if decision.cross is not None:
                work.cross(decision.cross, decision)
            return decision

    def accept_jump(self, slug: str, *, who: str, now: dt.datetime) -> int:
        """Take a person's word that the count is right; return the count."""
        with self._db.change() as tx:
            row = tx.execute(sa.select(_C).where(_C.c.slug == slug).with_for_update()).first()
            if row is None or row.jump is None:
                message = f"no jump of the count waits in campaign {slug}"
                raise errors.WrongState(message)
            tx.execute(sa.update(_C).where(_C.c.id == row.id).values(jump_accepted=True))
            store.record(
                tx, at=now, who=who, thing="campaign", ref=slug, campaign=slug,
                old="jump", new="accepted", why=f"{row.baseline} to {row.jump} signatures",
            )  # fmt: skip
            return int(row.jump)


def _all(tx: sa.Connection, slug: str | None) -> list[records.Milestone]:
    query = sa.select(_M, _C.c.slug.label("campaign")).join(_C).order_by(_C.c.slug, _M.c.id)
    if slug is not None:
        query = query.where(_C.c.slug == slug)
    return [records.Milestone.of(row) for row in tx.execute(query)]


def _jump(
    tx: sa.Connection, standing: records.Standing, decision: Decision, now: dt.datetime
) -> None:
    values: dict[str, Any] = {
        "jump": decision.jump,
        "jump_readings": decision.jump_readings,
        "jump_since": (standing.jump_since or now) if decision.jump is not None else None,
        "jump_accepted": decision.jump_accepted,
    }
    if decision.baseline is not None:
        values["baseline"] = decision.baseline
    tx.execute(sa.update(_C).where(_C.c.id == standing.id).values(values))
    if decision.jump is not None and standing.jump is None:
        store.record(
            tx, at=now, who="deliverybot", thing="campaign", ref=standing.slug,
            campaign=standing.slug, old="", new="jump", why=decision.why,
        )  # fmt: skip


class _Work:
    """The writes of one crossing, inside one transaction."""

    def __init__(
        self,
        tx: sa.Connection,
        standing: records.Standing,
        now: dt.datetime,
        targets: Sequence[Aim],
        outlets: Sequence[Aim],
        message_id: Callable[[int, int, str], str],
    ) -> None:
        self._tx = tx
        self._standing = standing
        self._now = now
        self._targets = targets
        self._outlets = outlets
        self._message_id = message_id

    def put(self, point: Point, state: model.Milestone, decision: Decision) -> tuple[int, int]:
        """Record a milestone in a state; return its id and version."""
        old = self._tx.execute(
            sa.select(_M).where(_M.c.campaign_id == self._standing.id, _M.c.key == point.key)
        ).first()
        row = {
            "state": state,
            "version": old.version + 1 if old else 1,
            "signatures": self._standing.signatures,
            "listed": self._standing.listed,
            "upto": self._standing.last_number,
            "crossed_at": self._now,
            "ask": decision.ask,
        }
        if old is None:
            row |= {
                "campaign_id": self._standing.id,
                "key": point.key,
                "kind": point.kind,
                "threshold": point.threshold,
            }
            done = self._tx.execute(sa.insert(_M), row)
            ident = _key(done)
        else:
            ident = old.id
            self._tx.execute(sa.update(_M).where(_M.c.id == ident).values(row))
        why = f"{self._standing.signatures} signatures, {self._standing.listed} listed"
        self._audit("milestone", point.key, old.state if old else "", state, why)
        return ident, old.version + 1 if old else 1

    def cross(self, point: Point, decision: Decision) -> None:
        """Record the milestone to deliver, and a due row for each target and outlet."""
        ident, version = self.put(point, model.Milestone.CROSSED, decision)
        self._supersede(ident, point)
        common = {
            "campaign_id": self._standing.id,
            "milestone_id": ident,
            "version": version,
            "state": "due",
        }
        for target in self._targets:
            row = {
                "target": target.name,
                "email": target.email,
                "message_id": self._message_id(ident, version, target.name),
            }
            self._due("delivery", tables.deliveries, common | row, f"milestone {point.key}")
        for outlet in self._outlets:
            key = f"{self._standing.slug}.m{ident}.v{version}.{outlet.name}"
            row = {"outlet": outlet.name, "key": key}
            self._due("post", tables.posts, common | row, f"milestone {point.key}")

    def withdraw(self, milestone: records.Milestone, why: str) -> None:
        """Un-cross a milestone, unless any of it may have gone out."""
        for table, out in (
            (tables.deliveries, model.DELIVERY_OUT),
            (tables.posts, model.POST_OUT),
        ):
            # By `handed_at` too: what a person has resent or given up may be there all the same.
            gone = table.c.state.in_(out) | table.c.handed_at.is_not(None)
            here = (table.c.milestone_id == milestone.id) & (table.c.version == milestone.version)
            if self._tx.scalar(sa.select(table.c.id).where(here, gone).limit(1)) is not None:
                return
        here = (_D.c.milestone_id == milestone.id) & (_D.c.version == milestone.version)
        if self._tx.scalar(digests.out(here).limit(1)) is not None:
            return
        query = sa.update(_M).where(_M.c.id == milestone.id, _M.c.state == "crossed")
        if not self._tx.execute(query.values(state="withdrawn")).rowcount:
            return
        self._audit("milestone", milestone.key, "crossed", "withdrawn", why)
        for thing, table in (("delivery", tables.deliveries), ("post", tables.posts)):
            here = (table.c.milestone_id == milestone.id) & (table.c.version == milestone.version)
            self._replace(thing, table, here, "cancelled", why)

    def _supersede(self, ident: int, point: Point) -> None:
        """Replace older work that has not left the house, for the same aims only."""
        why = f"milestone {point.key} took its place"
        for thing, table, aims, column in (
            ("delivery", tables.deliveries, self._targets, "target"),
            ("post", tables.posts, self._outlets, "outlet"),
        ):
            names = [aim.name for aim in aims]
            here = (
                (table.c.campaign_id == self._standing.id)
                & (table.c.milestone_id != ident)
                & table.c[column].in_(names)
            )
            self._replace(thing, table, here, "superseded", why)

    def _replace(
        self, thing: str, table: sa.Table, here: sa.ColumnElement[bool], state: str, why: str
    ) -> None:
        open_ = here & table.c.state.in_(_REPLACEABLE[thing])
        if thing == "delivery":
            digests.loosen(self._tx, here, why=why, now=self._now)
            # A digest that may have arrived stays what it was.
            open_ &= table.c.alone == ""
            # Who has the first of several mails gets the others, too.
            open_ &= table.c.part == 1
        else:
            # What may be there is looked for, and then given up or known to be posted.
            open_ &= table.c.handed_at.is_(None)
        for row in self._tx.execute(sa.select(table.c.id, table.c.state).where(open_)).all():
            self._tx.execute(
                sa.update(table).where(table.c.id == row.id).values(state=state, why=why)
            )
            self._audit(thing, row.id, row.state, state, why)

    def _due(self, thing: str, table: sa.Table, row: dict[str, Any], why: str) -> None:
        done = self._tx.execute(sa.insert(table), row)
        self._audit(thing, _key(done), "", "due", why)

    def _audit(self, thing: str, ref: str | int, old: str, new: str, why: str) -> None:
        store.record(
            self._tx, at=self._now, who="deliverybot", thing=thing, ref=ref,
            campaign=self._standing.slug, old=old, new=new, why=why,
        )  # fmt: skip


def _key(done: sa.CursorResult[Any]) -> int:
    """Return the number that an inserted row was given."""
    key = done.inserted_primary_key
    if key is None:
        message = "the database did not say which number it gave"
        raise errors.LedgerError(message)
    return int(key[0])
