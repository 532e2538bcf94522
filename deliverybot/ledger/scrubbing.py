"""Taking a signer out of words that people wrote into the ledger by hand, or that came by mail."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from deliverybot import traces
from deliverybot.ledger import correspondence, store, tables

_A, _C, _D, _P = tables.audit, tables.campaigns, tables.deliveries, tables.posts
_R = correspondence.returns
#: What these are about is a signer.
_ABOUT_SIGNERS = ("signature", "comment")


def scrub(
    tx: sa.Connection,
    slug: str,
    person: traces.Traces,
    number: int,
    *,
    who: str,
    now: dt.datetime,
) -> None:
    """Take somebody out of reasons, of mails that came back, and of the audit log."""
    campaign = sa.select(_C.c.id).where(_C.c.slug == slug).scalar_subquery()
    for table in (_D, _P):
        _empty(tx, table, ("why", "problem"), table.c.campaign_id == campaign, person)
    _unquote(tx, campaign)
    ours = sa.select(_D.c.id).where(_D.c.campaign_id == campaign)
    about = _R.c.delivery_id.is_(None) | _R.c.delivery_id.in_(ours)
    _empty(tx, _R, ("subject", "said"), about, person)
    rows = tx.execute(
        sa.select(_A.c.seq, _A.c.thing, _A.c.ref, _A.c.campaign, _A.c.why).where(
            _A.c.why.not_in(("", store.REDACTED)),
            # What deliverybot itself says names nobody; of a mail it is the subject.
            (_A.c.who != "deliverybot") | (_A.c.thing == "return"),
        )
    )
    named = [row.seq for row in rows if _names(row, slug, number, person)]
    store.redact(tx, named, who=who, now=now)


def scrub_all(tx: sa.Connection, slug: str, *, who: str, now: dt.datetime) -> None:
    """Take every signer of a campaign out of what people gave as reasons."""
    _unquote(tx, sa.select(_C.c.id).where(_C.c.slug == slug).scalar_subquery())
    typed = sa.select(_A.c.seq).where(
        _A.c.campaign == slug, _A.c.thing.in_(_ABOUT_SIGNERS), _A.c.who != "deliverybot",
        _A.c.why.not_in(("", store.REDACTED, "erased as asked")), ~_A.c.why.like("% by hand"),
    )  # fmt: skip
    store.redact(tx, list(tx.scalars(typed)), who=who, now=now)


def _unquote(tx: sa.Connection, campaign: sa.ScalarSelect[Any]) -> None:
    """Take out what cannot be drawn: it is quoted with letters around it, so nobody is found."""
    quoting = (_D.c.campaign_id == campaign) & _D.c.problem.contains("“")
    tx.execute(sa.update(_D).where(quoting).values(problem=store.REDACTED))


def _names(row: Any, slug: str, number: int, person: traces.Traces) -> bool:  # noqa: ANN401 - a row
    own = row.thing in _ABOUT_SIGNERS and (row.campaign, row.ref) == (slug, str(number))
    return person.possible(row.why) if own else person.certain(row.why)


def _empty(
    tx: sa.Connection,
    table: sa.Table,
    names: Sequence[str],
    which: sa.ColumnElement[bool],
    person: traces.Traces,
) -> None:
    columns = [table.c[name] for name in names]
    for row in tx.execute(sa.select(table.c.id, *columns).where(which)).all():
        found = {name: store.REDACTED for name in names if person.likely(row._mapping[name])}
        if found:
            tx.execute(sa.update(table).where(table.c.id == row.id).values(found))
