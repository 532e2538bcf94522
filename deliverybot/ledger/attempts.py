"""The log of tries: what each came to, and whether one of them may have arrived."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

from deliverybot import model
from deliverybot.ledger import records, tables

_T = tables.attempts


def note(
    tx: sa.Connection,
    thing: str,
    ident: int,
    *,
    fence: int,
    reply: model.Reply,
    sha256: str,
    now: dt.datetime,
) -> None:
    """Write down one try and what was said."""
    values = {
        "thing": thing,
        "row_id": ident,
        "fence": fence,
        "at": now,
        "outcome": reply.outcome,
        "phase": reply.phase,
        "code": reply.code,
        "enhanced": reply.enhanced,
        "text": reply.text,
        "sha256": sha256,
    }
    tx.execute(sa.insert(_T), values)


def of(tx: sa.Connection, thing: str, ident: int) -> list[records.Attempt]:
    """Return all tries of one row, oldest first."""
    query = sa.select(_T).where(_T.c.thing == thing, _T.c.row_id == ident).order_by(_T.c.id)
    return [records.Attempt.of(row) for row in tx.execute(query)]


def doubted(tx: sa.Connection, thing: str, ident: int, *, before: int) -> bool:
    """Tell whether a try under an earlier fence may have arrived: nothing later takes that back."""
    query = sa.select(_T.c.id).where(
        _T.c.thing == thing,
        _T.c.row_id == ident,
        _T.c.fence < before,
        _T.c.outcome == model.Outcome.UNSURE,
    )
    return tx.scalar(query.limit(1)) is not None
