"""What came back: each mail once, with all that it changes, in one transaction."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa

from deliverybot import errors, model
from deliverybot.ledger import attempts as tries
from deliverybot.ledger import correspondence, queue, records, store, suppressions, tables

_R = correspondence.returns
_M = correspondence.mailboxes
_D = tables.deliveries
_C = tables.campaigns


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One mail that came back, as it is to be written down; see the columns of `returns`."""

    sha256: str
    kind: model.Return
    delivery_id: int | None
    matched: str
    at: dt.datetime
    sender: str
    subject: str
    status: str
    said: str
    path: str
    forward: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One step of a delivery that a mail leads to."""

    new: str
    why: str
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a mail means for one delivery, as it was read."""

    row: records.Delivery
    moves: tuple[Move, ...]
    #: For the audit log where nothing moves.
    note: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """An address that a mail says must not be written to any more."""

    address: str
    #: A `model.Suppression`.
    reason: str
    evidence: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """All that a mail changes."""

    changes: tuple[Change, ...] = ()
    stop: Stop | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A mailbox, and how far it is read once this mail is taken in."""

    mailbox: str
    cursor: str


class Returns:
    """Mails that came back, and the mailboxes that they are read from."""

    def __init__(
        self,
        database: store.Store,
        deliveries: queue.Queue[records.Delivery],
        addresses: suppressions.Suppressions,
    ) -> None:
        self._db = database
        self._deliveries = deliveries
        self._addresses = addresses

    # -- taking in

    def named(self, message_ids: Collection[str]) -> list[records.Delivery]:
        """Return the deliveries whose mail bears one of these Message-IDs."""
        return self._select(_D.c.message_id.in_(message_ids))

    def merged(self, ident: int) -> list[records.Delivery]:
        """Return the deliveries that went with the mail of another one."""
        return self._select(_D.c.merged_into == ident)

    def wrote_to(self, address: str) -> bool:
        """Tell whether a letter has left for an address."""
        gone = _D.c.handed_at.is_not(None)
        query = sa.select(_D.c.id).where(sa.func.lower(_D.c.email) == address.lower(), gone)
        with self._db.read() as tx:
            return bool(address) and tx.scalar(query.limit(1)) is not None

    def untold(self, address: str, since: dt.datetime) -> int:
        """Count copies, since a time, of what came from an address and named no letter."""
        copied = (_R.c.delivery_id.is_(None)) & (_R.c.forward != "") & (_R.c.at > since)
        query = sa.select(sa.func.count()).where(
            sa.func.lower(_R.c.sender) == address.lower(), copied
        )
        with self._db.read() as tx:
            return int(tx.scalar(query) or 0)

    def _select(self, condition: sa.ColumnElement[bool]) -> list[records.Delivery]:
        with self._db.read() as tx:
            ids = list(tx.scalars(sa.select(_D.c.id).where(condition)))
        return self._deliveries.select(ids=ids) if ids else []

    def take(self, arrival: Arrival, meaning: Meaning, place: Place, *, now: dt.datetime) -> bool:
        """Write down a mail, what it changes and how far the mailbox is read; False if known.

        Raises WrongState, and writes nothing, when a delivery has changed since it was read.
        """
        with self._db.change() as tx:
            known = tx.scalar(sa.select(_R.c.id).where(_R.c.sha256 == arrival.sha256))
            if known is None:
                self._insert(tx, arrival, meaning, now)
            _note_mailbox(tx, place.mailbox, {"cursor": place.cursor})
            return known is None

    def _insert(
        self, tx: sa.Connection, arrival: Arrival, meaning: Meaning, now: dt.datetime
    ) -> None:
        row = sa.insert(_R).values(dataclasses.asdict(arrival))
        ident = tx.scalar(row.returning(_R.c.id))
        campaign = next((change.row.campaign for change in meaning.changes), "")
        store.record(
            tx, at=now, who="deliverybot", thing="return", ref=int(ident or 0), campaign=campaign,
            old="", new=arrival.kind, why=arrival.subject,
        )  # fmt: skip
        for change in meaning.changes:
            self._apply(tx, change, now)
        # Last: what is known to have left is not stopped, all else that waits is.
        if stop := meaning.stop:
            self._addresses.add_in(
                tx, stop.address, reason=stop.reason, evidence=stop.evidence,
                who="deliverybot", now=now,
            )  # fmt: skip

    def _apply(self, tx: sa.Connection, change: Change, now: dt.datetime) -> None:
        row = change.row
        state = str(tx.scalar(sa.select(_D.c.state).where(_D.c.id == row.id)))
        if not change.moves:
            store.record(
                tx, at=now, who="deliverybot", thing="delivery", ref=row.id,
                campaign=row.campaign, old=state, new=state, why=change.note,
            )  # fmt: skip
            return
        if state == change.moves[-1].new:
            return  # it went with another one's mail, and has followed that just now
        for move in change.moves:
            row = self._deliveries.move_in(
                tx, row, move.new, values=move.values, who="deliverybot", why=move.why, now=now
            )

    # -- mailboxes

    def mailbox(self, name: str) -> records.Mailbox:
        """Return how far a mailbox is read."""
        with self._db.read() as tx:
            row = tx.execute(sa.select(_M).where(_M.c.name == name)).first()
        if row is None:
            return records.Mailbox(name=name, cursor="", problem="", read_at=None)
        return records.Mailbox.of(row)

    def read(self, name: str, *, now: dt.datetime) -> None:
        """Write down that a mailbox was read to its end."""
        with self._db.write() as tx:
            _note_mailbox(tx, name, {"read_at": now, "problem": ""})

    def failed(self, name: str, problem: str) -> bool:
        """Write down why a mailbox could not be read; False where that was known."""
        with self._db.write() as tx:
            query = sa.select(_M.c.problem).where(_M.c.name == name)
            known = tx.scalar(query) == problem
            _note_mailbox(tx, name, {"problem": problem})
        return not known

    # -- looking

    def all(
        self, *, delivery_id: int | None = None, kind: str | None = None
    ) -> list[records.Return]:
        """Return what came back, oldest first: of one delivery, of one kind, or all."""
        query = _query()
        if delivery_id is not None:
            query = query.where(_R.c.delivery_id == delivery_id)
        if kind is not None:
            query = query.where(_R.c.kind == kind)
        with self._db.read() as tx:
            return [records.Return.of(row) for row in tx.execute(query)]

    def get(self, ident: int) -> records.Return:
        """Return one; a number that does not exist is a usage error."""
        with self._db.read() as tx:
            row = tx.execute(_query().where(_R.c.id == ident)).first()
        if row is None:
            message = f"nothing came back under the number {ident}"
            raise errors.UsageError(message, hint="see `deliverybot returns list`")
        return records.Return.of(row)

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many of each kind came back, by campaign; "" is for what fits to none."""
        query = sa.select(
            sa.func.coalesce(_C.c.slug, "").label("slug"), _R.c.kind, sa.func.count().label("count")
        ).select_from(_joined())
        found: dict[str, dict[str, int]] = {}
        with self._db.read() as tx:
            for row in tx.execute(query.group_by("slug", _R.c.kind).order_by(_R.c.kind)):
                found.setdefault(row.slug, {})[row.kind] = row[2]
        return found

    def attempts(self, ident: int) -> list[records.Attempt]:
        """Return all tries to forward one, oldest first."""
        with self._db.read() as tx:
            return tries.of(tx, "return", ident)

    # -- forwarding

    def forwards(self, *states: str) -> list[records.Return]:
        """Return what is to be forwarded and stands in one of these states, oldest first."""
        with self._db.read() as tx:
            query = _query().where(_R.c.forward.in_(states))
            return [records.Return.of(row) for row in tx.execute(query)]

    def hand_over(self, row: records.Return, *, who: str, now: dt.datetime) -> None:
        """Commit, just before the final dot, that a copy is about to leave.

        Raises LostClaim when another worker is doing it: then nothing may be sent.
        """
        with self._db.change() as tx:
            values = {"forward": "handing_over", "forwarded_at": now}
            if not _forward(tx, row, ("due",), values, who=who, why="", now=now):
                message = f"return {row.id} is forwarded by somebody else"
                raise errors.LostClaim(message)

    def settle(
        self,
        row: records.Return,
        reply: model.Reply,
        new: str,
        *,
        over: bool,
        who: str,
        now: dt.datetime,
    ) -> None:
        """Write down what an attempt to forward came to; nothing where it is settled already.

        `over` says that the final dot was announced.  A worker that was taken
        for dead may still settle its own: it alone knows the answer.
        """
        states = ("handing_over", "unsure") if over else ("due",)
        values = {"forward": new, "forwarded_at": now if over else None}
        with self._db.change() as tx:
            if _forward(tx, row, states, values, who=who, why=str(reply), now=now):
                tries.note(tx, "return", row.id, fence=0, reply=reply, sha256="", now=now)


def _joined() -> sa.FromClause:
    joined = _R.join(_D, _R.c.delivery_id == _D.c.id, isouter=True)
    return joined.join(_C, _D.c.campaign_id == _C.c.id, isouter=True)


def _query() -> sa.Select[Any]:
    campaign = sa.func.coalesce(_C.c.slug, "").label("campaign")
    target = sa.func.coalesce(_D.c.target, "").label("target")
    return sa.select(_R, campaign, target).select_from(_joined()).order_by(_R.c.id)


def _note_mailbox(tx: sa.Connection, name: str, values: Mapping[str, Any]) -> None:
    done = tx.execute(sa.update(_M).where(_M.c.name == name).values(values))
    if done.rowcount == 0:
        tx.execute(sa.insert(_M).values({"name": name, "cursor": "", **values}))


def _forward(
    tx: sa.Connection,
    row: records.Return,
    states: tuple[str, ...],
    values: Mapping[str, Any],
    *,
    who: str,
    why: str,
    now: dt.datetime,
) -> bool:
    """Move a copy on by compare-and-set, with its audit row; False where it stood elsewhere."""
    current = tx.scalar(sa.select(_R.c.forward).where(_R.c.id == row.id))
    same = (_R.c.id == row.id) & (_R.c.forward == current)
    if current not in states:
        return False
    if tx.execute(sa.update(_R).where(same).values(values)).rowcount != 1:
        return False
    if current != values["forward"]:
        store.record(
            tx, at=now, who=who, thing="return", ref=row.id, campaign=row.campaign,
            old=current, new=values["forward"], why=why,
        )  # fmt: skip
    return True
