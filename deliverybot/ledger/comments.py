"""What signers wrote, and which of it a person lets a letter print.

A comment is never changed once it was taken in, so what a person approved is
what is printed.  Only signers who agreed to be named to the target have a row
here: nobody else's comment can ever be printed, so nobody has to read it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable

import sqlalchemy as sa

from deliverybot import errors, model
from deliverybot.ledger import intake, records, store, tables

_K = tables.comments
_T = tables.signatures
_C = tables.campaigns
_BOTH = _K.join(_T, (_K.c.campaign_id == _T.c.campaign_id) & (_K.c.number == _T.c.number))
_PLACES = ("city", "region", "country")


class Comments:
    """The comments of each campaign's signers."""

    def __init__(self, database: store.Store) -> None:
        self._db = database

    def select(
        self, slug: str, states: Collection[str], *, after: int = 0, most: int | None = None
    ) -> list[records.Comment]:
        """Return comments in these states behind a number, in the order of numbers.

        Of those that wait, only what can be printed: there is nothing to
        decide on the comment of somebody hidden.
        """
        signer = [_T.c[name] for name in ("name", *_PLACES, "postcode", "comment")]
        columns = [_K.c.number, _K.c.state, _K.c.by, _K.c.at, *signer, intake.NAMED.label("named")]
        found = list[records.Comment]()
        with self._db.read() as tx:
            # A query for each: the index gives one state in the order of numbers, page by page.
            for state in states:
                query = (
                    sa.select(*columns)
                    .select_from(_BOTH)
                    .where(_of(slug), _K.c.state == state, _K.c.number > after)
                    .order_by(_K.c.number)
                    .limit(most)
                )
                if state == model.Comment.WAITING:
                    query = query.where(intake.NAMED)
                found += map(records.Comment.of, tx.execute(query))
        return sorted(found, key=lambda row: row.number)[:most]

    def waiting(self, slug: str, most: int) -> int:
        """Count the comments that wait for a person, up to `most`."""
        some = (
            sa.select(_K.c.number)
            .select_from(_BOTH)
            .where(_of(slug), _K.c.state == model.Comment.WAITING, intake.NAMED)
            .limit(most)
        )
        with self._db.read() as tx:
            return int(tx.scalar(sa.select(sa.func.count()).select_from(some.subquery())) or 0)

    def approved(
        self, slug: str, upto: int, *, most: int, fields: Iterable[str]
    ) -> list[model.ApprovedComment]:
        """Return the comments that a letter prints, in the order of their numbers.

        Of more than `most`, those of the latest signers up to the number `upto`.
        """
        wanted = [name for name in ("name", *_PLACES) if name in set(fields)]
        query = (
            sa.select(_K.c.number, _T.c.comment, *(_T.c[name] for name in wanted))
            .select_from(_BOTH)
            .where(_of(slug), _K.c.state == model.Comment.APPROVED, _K.c.number <= upto)
            .where(intake.NAMED)
            .order_by(_K.c.number.desc())
            .limit(most)
        )
        with self._db.read() as tx:
            rows = tx.execute(query).all()
        found = []
        for row in reversed(rows):
            shown = {"name": ""} | {name: row._mapping[name] for name in wanted}
            signer = model.ListedSigner(number=row.number, **shown)
            found.append(model.ApprovedComment(signer=signer, text=row.comment))
        return found

    def decide(
        self,
        slug: str,
        numbers: Iterable[int],
        state: model.Comment,
        *,
        who: str,
        why: str,
        now: dt.datetime,
    ) -> None:
        """Approve the comments of these signers, or withhold them: all of them or none.

        Letters that were not sent yet notice; the list's volumes hold no
        comments and stay as they are.
        """
        with self._db.change() as tx:
            campaign = sa.select(_C.c.id).where(_C.c.slug == slug).with_for_update()
            campaign_id = tx.scalar(campaign)
            moved = 0
            for number in dict.fromkeys(numbers):
                here = (_K.c.campaign_id == campaign_id) & (_K.c.number == number)
                old = tx.scalar(sa.select(_K.c.state).where(here))
                if old is None:
                    raise _undecidable(tx, slug, campaign_id, number)
                if old == state:
                    continue
                moved += 1
                tx.execute(sa.update(_K).where(here).values(state=state, by=who, at=now))
                store.record(
                    tx, at=now, who=who, thing="comment", ref=number, campaign=slug,
                    old=old, new=state, why=why,
                )  # fmt: skip
            if moved:
                revision = {"comment_revision": _C.c.comment_revision + 1}
                tx.execute(sa.update(_C).where(_C.c.id == campaign_id).values(revision))


def _of(slug: str) -> sa.ColumnElement[bool]:
    return _K.c.campaign_id == sa.select(_C.c.id).where(_C.c.slug == slug).scalar_subquery()


def _undecidable(
    tx: sa.Connection, slug: str, campaign_id: int | None, number: int
) -> errors.UsageError:
    """Say why there is no comment to decide on."""
    here = (_T.c.campaign_id == campaign_id) & (_T.c.number == number)
    text = tx.scalar(sa.select(_T.c.comment).where(here))
    why = f"{slug} has no signature number {number}"
    if text:
        why = f"signature {number} of {slug} may not be named, so its comment is never printed"
    elif text is not None:
        why = f"signature {number} of {slug} has no comment"
    hint = f"nothing was changed; see `deliverybot signatures comments {slug}`"
    return errors.UsageError(why, hint=hint)
