"""Consent: which words each signer saw, when, and what was agreed to."""

from __future__ import annotations

import dataclasses
import datetime as dt

import sqlalchemy as sa

from deliverybot import model
from deliverybot.ledger import records, signers, store, tables

_C, _T, _W = tables.campaigns, tables.signatures, tables.wordings


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Consent(records.Record):
    """What one signer agreed to.

    A permission may be narrower than the source once said: it can be taken
    back, and never comes again.
    """

    number: int
    #: A `model.Signature`; of somebody erased no permission is left.
    state: str
    #: The words that the signer saw: their SHA-256 in hex, and themselves.
    version: str
    words: str
    #: When these words were first met.
    since: dt.datetime
    #: As the source says it; None where it says nothing.
    signed_at: dt.datetime | None
    taken_at: dt.datetime
    #: May be listed in public, be named to the target, get mail, get texts.
    public: bool
    to_target: bool
    mail: bool
    sms: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wording(records.Record):
    """One version of the words, and what those who saw it and count agreed to."""

    version: str
    words: str
    since: dt.datetime
    signers: int
    #: The first and the last number in the list; None where nobody counts.
    first: int | None
    last: int | None
    public: int
    to_target: int
    mail: int
    sms: int


class Consents:
    """What a campaign's signers agreed to."""

    def __init__(self, database: store.Store) -> None:
        self._db = database

    def record(self, slug: str, number: int) -> Consent:
        """Return what one signer agreed to; a number that is not there is a usage error."""
        both = _T.join(_W, _T.c.wording_id == _W.c.id).join(_C, _T.c.campaign_id == _C.c.id)
        query = sa.select(_T, _W.c.sha256.label("version"), _W.c.words, _W.c.since)
        query = query.select_from(both).where(_C.c.slug == slug, _T.c.number == number)
        with self._db.read() as tx:
            row = tx.execute(query).first()
        if row is None:
            raise signers.nobody(slug, number)
        return Consent.of(row)

    def wordings(self, slug: str) -> list[Wording]:
        """Return each version of the words, oldest first, with what came of it."""
        counted = (_T.c.wording_id == _W.c.id) & _T.c.state.not_in(model.GONE)
        # By its campaign, too: that is the first column of the key of signatures.
        counted &= _T.c.campaign_id == _W.c.campaign_id
        sums = [
            sa.func.coalesce(sa.func.sum(sa.case((_T.c[name], 1), else_=0)), 0).label(name)
            for name in ("public", "to_target", "mail", "sms")
        ]
        ends = [sa.func.min(_T.c.number).label("first"), sa.func.max(_T.c.number).label("last")]
        query = (
            sa.select(
                _W.c.sha256.label("version"), _W.c.words, _W.c.since,
                sa.func.count(_T.c.number).label("signers"), *ends, *sums,
            )
            .select_from(_W.join(_C).outerjoin(_T, counted))
            .where(_C.c.slug == slug)
            .group_by(_W.c.id, _W.c.sha256, _W.c.words, _W.c.since)
            .order_by(_W.c.id)
        )  # fmt: skip
        with self._db.read() as tx:
            return [Wording.of(row) for row in tx.execute(query)]
