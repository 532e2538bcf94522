"""Addresses that no letter may go to any more, whatever the campaign.

An address is kept as a keyed hash only: a stolen database is no list of those
who complained.  What asks for the key and has none is an error as soon as
anybody is suppressed; nobody is written to for want of a key.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
from collections.abc import Callable

import sqlalchemy as sa

from deliverybot import errors, model, screen
from deliverybot.ledger import correspondence, digests, records, store, tables

_S = correspondence.suppressions
_D = tables.deliveries
#: Keeps these hashes apart from all others under the same key.
_DOMAIN = b"deliverybot suppression\0"
#: What deliverybot itself signs with: a machine lifts nothing.
_MACHINES = frozenset({"", "deliverybot"})
#: Nothing has left for certain from these, or a second copy would.
_OPEN = ("due", "held", "approved", "retrying")


class Suppressions:
    """Who must not be written to, and since when."""

    def __init__(self, database: store.Store) -> None:
        self._db = database

    def add(
        self, address: str, reason: str, evidence: str, who: str, now: dt.datetime
    ) -> records.Suppression:
        """Let no letter go to an address any more; `reason` is a `model.Suppression`.

        All that waits for it is `suppressed` in the same transaction.  What is
        suppressed for the same reason already stays as it is.
        """
        with self._db.change() as tx:
            return self.add_in(tx, address, reason=reason, evidence=evidence, who=who, now=now)

    def add_in(
        self,
        tx: sa.Connection,
        address: str,
        *,
        reason: str,
        evidence: str,
        who: str,
        now: dt.datetime,
    ) -> records.Suppression:
        """As `add`, inside a transaction of another part of the ledger."""
        why = model.Suppression(reason)
        same = _S.c.key == key(self._db.secret, address)
        standing = sa.select(_S).where(same, _S.c.lifted_at.is_(None), _S.c.reason == why)
        kept = tx.execute(standing.order_by(_S.c.id).limit(1)).first()
        if kept is None:
            values = {
                "key": key(self._db.secret, address),
                "shown": screen.masked(address),
                "reason": why.value,
                "evidence": evidence,
                "by": who,
                "at": now,
            }
            ident = int(tx.scalar(sa.insert(_S).values(values).returning(_S.c.id)) or 0)
            store.record(
                tx, at=now, who=who, thing="address", ref=ident, campaign="",
                old="", new=why.value, why=evidence or why.value,
            )  # fmt: skip
            kept = tx.execute(sa.select(_S).where(_S.c.id == ident)).one()
        found = records.Suppression.of(kept)
        _stop(tx, found, address, who=who, now=now)
        return found

    def of(self, address: str) -> records.Suppression | None:
        """Return why an address must not be written to; None where it may."""
        with self._db.read() as tx:
            return standing(tx, self._db.secret, address)

    def look(self) -> Callable[[str], records.Suppression | None]:
        """Give the test for many addresses, from one reading."""
        with self._db.read() as tx:
            rows = tx.execute(_S.select().where(_S.c.lifted_at.is_(None)).order_by(_S.c.id)).all()
        found = {row.key: records.Suppression.of(row) for row in reversed(rows)}
        secret = self._db.secret
        return lambda address: found.get(key(secret, address)) if found else None

    def all(self) -> list[records.Suppression]:
        """Return all that were ever suppressed, oldest first, lifted ones too."""
        with self._db.read() as tx:
            return [
                records.Suppression.of(row) for row in tx.execute(_S.select().order_by(_S.c.id))
            ]

    def lift(self, ident: int, who: str, why: str, now: dt.datetime) -> records.Suppression:
        """Allow mail to an address again, on a person's word; `who` is never a machine.

        What was suppressed stays so; `hold` takes it up again.
        """
        if who in _MACHINES:
            raise errors.UsageError("only a person lifts a suppression")
        with self._db.change() as tx:
            row = tx.execute(sa.select(_S).where(_S.c.id == ident)).first()
            if row is None:
                message = f"there is no suppression number {ident}"
                raise errors.UsageError(message, hint="see `deliverybot suppressions list`")
            if row.lifted_at is not None:
                message = f"suppression {ident} of {row.shown} was lifted by {row.lifted_by}"
                raise errors.WrongState(message)
            lifted = {"lifted_by": who, "lifted_at": now}
            tx.execute(sa.update(_S).where(_S.c.id == ident).values(lifted))
            store.record(
                tx, at=now, who=who, thing="address", ref=ident, campaign="",
                old=row.reason, new="lifted", why=why,
            )  # fmt: skip
            return records.Suppression.of(tx.execute(sa.select(_S).where(_S.c.id == ident)).one())


def key(secret: bytes, address: str) -> str:
    """Return the keyed hash of an address, in hex; a plus tag is the same mailbox.

    Raises UsageError for what is no address, LedgerError without a key.
    """
    normal = screen.normalise_email(address)
    if normal is None:
        raise errors.UsageError(f"{address!r} is no e-mail address")
    if not secret:
        message = "the installation's key is not at hand, so suppressed addresses cannot be told"
        raise errors.LedgerError(message, hint="recognition.key lies in state_dir")
    return hmac.new(secret, _DOMAIN + normal.encode(), hashlib.sha256).hexdigest()


def standing(tx: sa.Connection, secret: bytes, address: str) -> records.Suppression | None:
    """Return what forbids mail to an address in this transaction; the oldest, if several do."""
    active = sa.select(_S).where(_S.c.lifted_at.is_(None)).order_by(_S.c.id).limit(1)
    if not address or tx.execute(active).first() is None:
        return None
    row = tx.execute(active.where(_S.c.key == key(secret, address))).first()
    return None if row is None else records.Suppression.of(row)


def _stop(
    tx: sa.Connection, found: records.Suppression, address: str, *, who: str, now: dt.datetime
) -> None:
    """Suppress what waits for an address; what is on its way to the relay goes its way."""
    normal = screen.normalise_email(address)
    waiting = sa.select(_D.c.id, _D.c.email).where(_D.c.state.in_((*_OPEN, "merged")))
    idents = [
        row.id
        for row in tx.execute(waiting.order_by(_D.c.id))
        if screen.normalise_email(row.email) == normal
    ]
    why = str(found)
    digests.loosen(tx, _D.c.id.in_(idents), why=why, now=now)
    for ident in idents:
        row = digests.fresh(tx, ident)
        if row.state not in _OPEN:
            continue
        digests.leave(tx, row, "suppressed", why=why, now=now)
        values = {"state": "suppressed", "why": why, "fence": _D.c.fence + 1}
        tx.execute(sa.update(_D).where(_D.c.id == ident).values(values))
        store.record(
            tx, at=now, who=who, thing="delivery", ref=ident, campaign=row.campaign,
            old=row.state, new="suppressed", why=why,
        )  # fmt: skip
