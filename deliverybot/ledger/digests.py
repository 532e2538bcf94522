"""Digests: letters of several campaigns that go to one mailbox in one mail.

One delivery, the carrier, has the mail of them all; the others, its members,
are `merged` and point at it.  What becomes of the mail becomes of each member,
in the same transaction.  As long as none of it may have arrived a digest can be
taken apart: everybody is as before, with the approval of their own letter.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from deliverybot import errors, model
from deliverybot.ledger import records, store, tables

_D = tables.deliveries

#: What the carrier's row had before the mail of all was written into it.
_OWN = (
    "subject", "text", "html", "words", "files", "digest", "approved_digest", "approved_by",
    "agreed_by", "agreed_digest",
)  # fmt: skip
#: What becomes of the carrier and so of its members; in any other state they are `merged`.
_FOLLOWED = frozenset({"sent", "unsure", "refused", "human", "bounced", "answered"})
#: A member in one of these has no way of its own.
_BOUND = frozenset({"merged", "unsure", "refused", "human"})
#: The carrier's own end, or another letter of its own: the others do not share it.
_LEFT = frozenset({"due", "cancelled", "superseded", "suppressed"})
#: From these a digest can be taken apart, unless a try of it may have arrived.
_STILL = frozenset({"held", "approved", "retrying", "human", "refused"})


class Digests:
    """The verbs of the digests station."""

    def __init__(self, database: store.Store) -> None:
        self._db = database

    def members(self, carrier: int) -> list[records.Delivery]:
        """Return the deliveries that go with a carrier's mail, oldest first."""
        with self._db.read() as tx:
            return _members(tx, carrier)

    def merge(
        self,
        rows: Sequence[records.Delivery],
        mail: Mapping[str, Any],
        *,
        approve: bool,
        now: dt.datetime,
    ) -> None:
        """Let approved deliveries go in one mail: the first carries it, held or approved.

        `mail` is subject, text, html, files and digest.  Raises WrongState when
        one of them is not as it was read.
        """
        carrier, *others = rows
        with self._db.change() as tx:
            for row in rows:
                _same(tx, row)
            own = {name: getattr(carrier, name) for name in _OWN}
            own["approved_at"] = carrier.approved_at and carrier.approved_at.isoformat()
            values = {
                "approved_digest": "", "approved_by": "", "approved_at": None, "agreed_by": "",
                "agreed_digest": "", "words": "", "next_try": None, "first_try": None,
                "alone": json.dumps(own), **mail,
            }  # fmt: skip
            why = f"goes in one mail with {', '.join(row.campaign for row in others)}"
            _put(tx, carrier, "held", values, why=why, now=now)
            if approve:
                yes = {
                    "approved_digest": mail["digest"], "approved_by": "deliverybot",
                    "approved_at": now,
                }  # fmt: skip
                held = fresh(tx, carrier.id)
                why = "the campaigns ask for no approval"
                _put(tx, held, "approved", yes, why=why, now=now)
            for row in others:
                why = f"goes in the mail of delivery {carrier.id}"
                _put(tx, row, "merged", {"merged_into": carrier.id}, why=why, now=now)

    def dissolve(self, carrier: int, *, why: str, now: dt.datetime) -> bool:
        """Take a digest apart; False where it is none, is on its way or may have arrived."""
        with self._db.change() as tx:
            row = fresh(tx, carrier)
            if not row.alone or not loose(row):
                return False
            _apart(tx, row, why=why, now=now)
            return True


def loose(carrier: records.Delivery) -> bool:
    """Tell whether a digest can be taken apart: certainly nothing of it has arrived."""
    return carrier.state in _STILL and carrier.handed_at is None


def part(
    tx: sa.Connection,
    carrier: records.Delivery,
    *,
    why: str,
    now: dt.datetime,
    besides: int = 0,
    doubt: bool = False,
) -> None:
    """Give the carrier its own letter back, and its members their own way.

    The carrier's state stays.  With `doubt` the mail may have arrived, and the
    members with it: they are `unsure`.
    """
    for row in _members(tx, carrier.id):
        if row.id == besides or row.state not in _BOUND:
            continue
        state = "approved" if _agreed(row) else "held"
        _put(tx, row, "unsure" if doubt else state, {"merged_into": None}, why=why, now=now)
    own = json.loads(carrier.alone)
    at = own.pop("approved_at")
    own["approved_at"] = dt.datetime.fromisoformat(at) if at else None
    here = sa.update(_D).where(_D.c.id == carrier.id)
    tx.execute(here.values(**own, alone="", problem=""))


def leave(
    tx: sa.Connection, row: records.Delivery, new: str, *, why: str, now: dt.datetime
) -> bool:
    """Take apart the digest that a row is about to leave by its own move.

    True where the row was a member of it.  Raises WrongState where the mail
    decides: it is on its way, or may have arrived.
    """
    if row.alone and new in _LEFT:
        # Made anew is only what certainly was not taken.
        doubt = new != model.Delivery.DUE and row.handed_at is not None
        part(tx, row, why=f"delivery {row.id} is {new}: {why}", now=now, doubt=doubt)
        return False
    if row.merged_into is None or row.state not in _BOUND:
        return False
    carrier = fresh(tx, row.merged_into)
    if row.state != "merged" or not loose(carrier):
        message = f"delivery {row.id} went in the mail of delivery {carrier.id}"
        raise errors.WrongState(message, hint=f"settle delivery {carrier.id}; this one follows")
    why = f"delivery {row.id} is {new}: {why}"
    _apart(tx, carrier, why=why, now=now, besides=row.id)
    return True


def loosen(tx: sa.Connection, which: sa.ColumnElement[bool], *, why: str, now: dt.datetime) -> None:
    """Take apart every digest that these deliveries are in, where that can be done."""
    query = sa.select(sa.func.coalesce(_D.c.merged_into, _D.c.id)).where(
        which, _D.c.merged_into.is_not(None) | (_D.c.alone != "")
    )
    for ident in sorted(set(tx.scalars(query))):
        carrier = fresh(tx, ident)
        if carrier.alone and loose(carrier):
            _apart(tx, carrier, why=why, now=now)


def out(which: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Ask for those of these deliveries that went, or may have gone, in another one's mail."""
    carrier = _D.alias("carrier")
    gone = carrier.c.state.in_(model.DELIVERY_OUT) | carrier.c.handed_at.is_not(None)
    return sa.select(_D.c.id).join(carrier, _D.c.merged_into == carrier.c.id).where(which, gone)


def _apart(
    tx: sa.Connection, carrier: records.Delivery, *, why: str, now: dt.datetime, besides: int = 0
) -> None:
    """Take a digest apart; the carrier waits with its own letter, approved if that was."""
    part(tx, carrier, why=why, now=now, besides=besides)
    own = fresh(tx, carrier.id)
    state = "approved" if _agreed(own) else "held"
    if own.state != state:
        _put(tx, own, state, {"next_try": None, "first_try": None}, why=why, now=now)


def follow(
    tx: sa.Connection,
    carrier: records.Delivery,
    new: str,
    values: Mapping[str, Any],
    *,
    who: str,
    now: dt.datetime,
) -> None:
    """Move the members of a digest as its mail has moved."""
    state = new if new in _FOLLOWED else model.Delivery.MERGED.value
    for row in _members(tx, carrier.id):
        if row.state == state:
            continue
        columns = {name: values[name] for name in ("sent_at", "reply") if name in values}
        why = f"as delivery {carrier.id}, in whose mail it goes"
        _put(tx, row, state, columns, who=who, why=why, now=now)


def whole(tx: sa.Connection, carrier: int) -> list[records.Delivery] | None:
    """Return the members of a digest that is as it was made; None where it is not."""
    members = _members(tx, carrier)
    return members if all(row.state == "merged" for row in members) else None


def _agreed(row: records.Delivery) -> bool:
    return bool(row.digest) and row.approved_digest == row.digest and not row.problem


def _members(tx: sa.Connection, carrier: int) -> list[records.Delivery]:
    query = store.work(_D).where(_D.c.merged_into == carrier).order_by(_D.c.id)
    return [records.Delivery.of(row) for row in tx.execute(query)]


def fresh(tx: sa.Connection, ident: int) -> records.Delivery:
    """Return a delivery as this transaction sees it."""
    return records.Delivery.of(tx.execute(store.work(_D).where(_D.c.id == ident)).one())


def _same(tx: sa.Connection, row: records.Delivery) -> None:
    now = fresh(tx, row.id)
    same = ("state", "fence", "digest", "approved_digest", "merged_into", "alone", "next_try")
    if now.state != "approved" or any(getattr(now, n) != getattr(row, n) for n in same):
        message = f"delivery {row.id} was changed by somebody else just now"
        raise errors.WrongState(message)


def _put(
    tx: sa.Connection,
    row: records.Delivery,
    new: str,
    values: Mapping[str, Any],
    *,
    who: str = "deliverybot",
    why: str,
    now: dt.datetime,
) -> None:
    """Change the state of a row that this transaction has read, with its audit row."""
    tx.execute(sa.update(_D).where(_D.c.id == row.id).values({"why": why, **values, "state": new}))
    store.record(
        tx, at=now, who=who, thing="delivery", ref=row.id, campaign=row.campaign,
        old=row.state, new=new, why=why,
    )  # fmt: skip
