"""Signatures counted by day and by place, for the figures of a letter."""

from __future__ import annotations

import datetime as dt
import itertools

import sqlalchemy as sa

from deliverybot import model
from deliverybot.ledger import intake, store, tables

_T = tables.signatures
_C = tables.campaigns
#: Places that are given out, the largest; a field of free text may hold as many as signers.
MOST_PLACES = 1_000


class Tallies:
    """What the database counts itself: a million rows come out as a few hundred.

    Each looks at the signers from number 1 to `upto` who count now, so that
    nothing that came after a milestone can change what is drawn for it.
    """

    def __init__(self, database: store.Store) -> None:
        self._db = database

    def days(self, slug: str, upto: int) -> list[model.Day]:
        """Return each day on which somebody signed, with the signatures until then.

        The time is the one the source gave.  Where there is none, or one that
        lies after the signature was taken in, it is the time of taking in.
        """
        signed = sa.case((_T.c.signed_at <= _T.c.taken_at, _T.c.signed_at), else_=_T.c.taken_at)
        day = sa.func.substr(sa.type_coerce(signed, sa.String), 1, len("2026-11-22")).label("day")
        query = sa.select(day, sa.func.count().label("new")).select_from(_T.join(_C))
        # By the label's name: PostgreSQL takes the expression with other parameters for another.
        query = query.where(*_counted(slug, upto)).group_by("day").order_by("day")
        with self._db.read() as tx:
            rows = tx.execute(query).all()
        until = itertools.accumulate(row.new for row in rows)
        return [
            model.Day(day=dt.date.fromisoformat(row.day), signatures=count)
            for row, count in zip(rows, until, strict=True)
        ]

    def places(self, slug: str, upto: int, *, by: str) -> list[model.Place]:
        """Return the largest places, the most signers first; `by` is country or region."""
        place = {"country": _T.c.country, "region": _T.c.region}[by]
        listed = sa.func.sum(sa.case((intake.NAMED, 1), else_=0)).label("listed")
        whole = sa.func.count().label("whole")
        query = (
            sa.select(place.label("place"), whole, listed)
            .select_from(_T.join(_C))
            .where(*_counted(slug, upto))
            .group_by(place)
            .order_by(whole.desc(), place)
            .limit(MOST_PLACES)
        )
        with self._db.read() as tx:
            return [
                model.Place(name=row.place, named=int(row.listed), unnamed=row.whole - row.listed)
                for row in tx.execute(query)
            ]


def _counted(slug: str, upto: int) -> tuple[sa.ColumnElement[bool], ...]:
    return (_C.c.slug == slug, _T.c.number <= upto, ~_T.c.state.in_(model.GONE))
