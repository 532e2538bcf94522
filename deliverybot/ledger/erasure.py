"""Erasing signers: nothing of the person stays but keyed marks, which stop a second taking in.

What lies in files is not the ledger's; it keeps a list of what is still to be
taken away, so that a kill in the middle is made good at the next start.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from deliverybot import model, traces
from deliverybot.ledger import (
    correspondence,
    digests,
    intake,
    queue,
    records,
    scrubbing,
    signers,
    store,
    tables,
    volumes,
)

_C, _T, _D, _M = tables.campaigns, tables.signatures, tables.deliveries, tables.milestones
_E, _L, _V = correspondence.erasures, correspondence.links, tables.volumes
#: Somebody sends it just now: nothing is taken away from under a sender.
_BUSY = model.IN_HAND
#: In these a letter has not left, or goes again.
_MAKEABLE = ("held", "approved", "retrying")
#: What is left of a row once its signer is erased; the number, the marks and the state stay.
NOTHING: Mapping[str, Any] = {
    **dict.fromkeys(("name", "city", "region", "country", "postcode", "comment"), ""),
    **dict.fromkeys(("public", "to_target", "mail", "sms"), False),
    "signed_at": None,
}
_ANEW: Mapping[str, Any] = {
    **queue.UNAPPROVED, "digest": "", "inputs": "", "problem": "", "next_try": None,
}  # fmt: skip
_MAKING = "a signer in it is erased; `deliverybot run` makes it anew"
#: Of a mail with several campaigns' letters that may have arrived once.
_STUCK = "a letter in this mail was made anew, since a signer is erased: cancel it"

#: Gives the files below state_dir of letters, and of mails that carry one of them among others.
Files = Callable[[Sequence[records.Delivery], Sequence[records.Delivery]], Iterable[str]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One signature of a person."""

    slug: str
    number: int
    #: A `model.Signature`.
    state: str


class Erasures:
    """The verbs of erasing; each is one transaction."""

    def __init__(self, database: store.Store, deliveries: queue.Queue[records.Delivery]) -> None:
        self._db = database
        self._deliveries = deliveries

    # -- reading

    def campaigns(self) -> list[str]:
        """Return every campaign that the ledger knows, also those without a file by now."""
        with self._db.read() as tx:
            return list(tx.scalars(sa.select(_C.c.slug).order_by(_C.c.slug)))

    def find(self, keys: Mapping[str, Collection[bytes]]) -> list[Found]:
        """Return a person's signatures; `keys` has the marks of the address in each campaign."""
        found = []
        with self._db.read() as tx:
            for slug, marks in keys.items():
                query = sa.select(_T.c.number, _T.c.state).join(_C).order_by(_T.c.number)
                rows = tx.execute(query.where(_C.c.slug == slug, _T.c.key_email.in_(marks)))
                found += [Found(slug=slug, number=row.number, state=row.state) for row in rows]
        return found

    def get(self, slug: str, number: int) -> Found:
        """Return one signature; a number that is not there is a usage error."""
        with self._db.read() as tx:
            state = tx.scalar(_signer(slug, number, _T.c.state))
        if state is None:
            raise signers.nobody(slug, number)
        return Found(slug=slug, number=number, state=state)

    def traces(self, slug: str, number: int) -> traces.Traces:
        """Return what looks for a signer in texts."""
        with self._db.read() as tx:
            row = tx.execute(_signer(slug, number, _T.c.name, _T.c.comment)).one()
        return traces.Traces(row.name, row.comment)

    def letters(self, slug: str, first: int) -> list[records.Delivery]:
        """Return the deliveries whose list goes to a number or further, and that have a file."""
        with self._db.read() as tx:
            ids = list(tx.scalars(_reaching(slug, first)))
        return self._deliveries.select(ids=ids) if ids else []

    def emptied(self) -> set[int]:
        """Return the deliveries whose files were taken away and that were not made anew."""
        with self._db.read() as tx:
            return set(tx.scalars(sa.select(_D.c.id).where(_D.c.erased_at.is_not(None))))

    def open(self) -> list[records.Erasure]:
        """Return the erasures of which something is still to be done, oldest first."""
        with self._db.read() as tx:
            query = _erasures().where(_E.c.done_at.is_(None))
            return [records.Erasure.of(row) for row in tx.execute(query)]

    def of(self, ident: int) -> records.Erasure:
        """Return one."""
        with self._db.read() as tx:
            return fresh(tx, ident)

    # -- writing

    def erase(
        self, found: Found, files: Files, also: Collection[str], *, who: str, now: dt.datetime
    ) -> records.Erasure | None:
        """Leave nothing of one signer in the ledger; None where it was done before.

        Its letters that have not left are held, to be made anew.  `files` says
        what is on disk of letters, `also` names further files with the person
        in them: they are noted as to be taken away, in the same transaction.
        """
        with self._db.change() as tx:
            campaign = tx.execute(
                sa.select(_C).where(_C.c.slug == found.slug).with_for_update()
            ).one()
            here = (_T.c.campaign_id == campaign.id) & (_T.c.number == found.number)
            row = tx.execute(sa.select(_T).where(here)).one()
            if row.state == model.Signature.ERASED:
                return None
            scrubbing.scrub(
                tx, found.slug, traces.Traces(row.name, row.comment), found.number,
                who=who, now=now,
            )  # fmt: skip
            tx.execute(sa.update(_T).where(here).values(**NOTHING, state=model.Signature.ERASED))
            _count_out(tx, campaign, row)
            for table in (tables.comments, tables.flags):
                mine = table.c.number == found.number
                if "other" in table.c:
                    mine |= table.c.other == found.number
                tx.execute(sa.delete(table).where(table.c.campaign_id == campaign.id, mine))
            volumes.unseal(tx, campaign.id, [found.number])
            store.record(
                tx, at=now, who=who, thing="signature", ref=found.number, campaign=found.slug,
                old=row.state, new=model.Signature.ERASED, why="erased as asked",
            )  # fmt: skip
            span = range(found.number, found.number + 1)
            return self.begin(tx, campaign, span, files, also, who=who, now=now)

    def begin(
        self,
        tx: sa.Connection,
        campaign: sa.Row[Any],
        span: range,
        files: Files,
        also: Collection[str],
        *,
        who: str,
        now: dt.datetime,
    ) -> records.Erasure:
        """Take the letters back and note what is to be done, in the transaction of an erasure."""
        stale = _V.c.campaign_id == campaign.id
        stale &= (_V.c.first <= span[-1]) & (_V.c.last >= span[0])
        paths = [*also, *tx.scalars(sa.select(_V.c.path).where(stale))]
        ids = list(tx.scalars(_reaching(campaign.slug, span[0])))
        waiting, gone = self._take_back(tx, ids, files, now)
        row = {
            "campaign_id": campaign.id, "first": span[0], "last": span[-1], "by": who, "at": now,
            "todo": _todo([*paths, *gone], waiting, 0 if campaign.expired_at else None),
        }  # fmt: skip
        ident = tx.scalar(sa.insert(_E).values(row).returning(_E.c.id))
        return fresh(tx, int(ident or 0))

    def go_on(self, erasure: records.Erasure, files: Files, now: dt.datetime) -> records.Erasure:
        """Take back the letters that were on their way and have come to something by now."""
        with self._db.change() as tx:
            todo = json.loads(fresh(tx, erasure.id).todo)
            waiting, gone = self._take_back(tx, todo["deliveries"], files, now, again=True)
            values = {"todo": _todo([*todo["files"], *gone], waiting, todo["after"])}
            tx.execute(sa.update(_E).where(_E.c.id == erasure.id).values(values))
            return fresh(tx, erasure.id)

    def removed(
        self, erasure: records.Erasure, paths: Collection[str], there: int
    ) -> records.Erasure:
        """Write down that files are gone; `there` of them were there before."""
        with self._db.write() as tx:
            todo = json.loads(fresh(tx, erasure.id).todo)
            left = [path for path in todo["files"] if path not in paths]
            values = {
                "todo": _todo(left, todo["deliveries"], todo["after"]),
                "removed": _E.c.removed + there,
            }
            tx.execute(sa.update(_E).where(_E.c.id == erasure.id).values(values))
            return fresh(tx, erasure.id)

    def done(self, erasure: records.Erasure, now: dt.datetime) -> records.Erasure:
        """Write down that nothing is left to do."""
        with self._db.write() as tx:
            tx.execute(sa.update(_E).where(_E.c.id == erasure.id).values(done_at=now))
            return fresh(tx, erasure.id)

    # -- inside a transaction

    def _take_back(
        self,
        tx: sa.Connection,
        ids: Sequence[int],
        files: Files,
        now: dt.datetime,
        *,
        again: bool = False,
    ) -> tuple[list[int], list[str]]:
        """Let no letter of these go as it is; return those on their way, and the files of others.

        `again` is for those that were on their way when it was first tried.

        What has left stays what it is.  What may have arrived, or has begun to
        leave in several mails, is never approved by a rule once it is made anew.
        """
        if not ids:
            return [], []
        why = "a signer in it is erased"
        digests.loosen(tx, _D.c.id.in_(ids), why=why, now=now)
        rows = [digests.fresh(tx, ident) for ident in ids]
        carriers = {
            row.merged_into: digests.fresh(tx, row.merged_into) for row in rows if row.merged_into
        }
        busy = {row.id for row in rows if row.state in _BUSY}
        busy |= {r.id for r in rows if r.merged_into and carriers[r.merged_into].state in _BUSY}
        # A mark keeps what they have of these bytes from going once more, or in a next mail.
        marked = sa.update(_D).where(_D.c.id.in_(busy)).values(erased_at=now)
        if not again:
            tx.execute(marked)
        # What was on its way and was made anew since has left nothing but its mails.
        anew = [row for row in rows if again and row.id not in busy and row.erased_at is None]
        taken = [row for row in rows if row.id not in busy and row not in anew]
        for row in taken:
            if again or row.erased_at is None or row.state in _MAKEABLE:
                self._hold(tx, row, why, now)
        done = [row.id for row in taken]
        paths = list(tx.scalars(sa.select(_L.c.path).where(_L.c.delivery_id.in_(done))))
        tx.execute(sa.update(_L).where(_L.c.delivery_id.in_(done)).values(sha256=""))
        mails = [one for one in carriers.values() if one.state not in _BUSY and one.id not in done]
        for carrier in mails:
            self._stop(tx, carrier, why, now)
        return sorted(busy), [*paths, *files(taken, [*mails, *anew])]

    def _stop(self, tx: sa.Connection, row: records.Delivery, why: str, now: dt.datetime) -> None:
        """Hold a mail of several letters that may have arrived, and would go again as it was."""
        if row.state in _MAKEABLE:
            values = {**_ANEW, "problem": _STUCK}
            self._deliveries.move_in(
                tx, row, "held", values=values, who="deliverybot", why=why, now=now
            )

    def _hold(self, tx: sa.Connection, row: records.Delivery, why: str, now: dt.datetime) -> None:
        values: dict[str, Any] = {"erased_at": now}
        if row.state in _MAKEABLE:
            # Held without a problem, a person may hold it: that stays.
            by_hand = row.state == "held" and not row.problem
            problem = _STUCK if row.alone else "" if by_hand else _MAKING
            values |= {**_ANEW, "problem": problem}
            self._deliveries.move_in(
                tx, row, "held", values=values, who="deliverybot", why=f"{why}; it is made anew",
                now=now,
            )  # fmt: skip
            return
        if row.state in {"due", "suppressed"}:
            values |= _ANEW
        tx.execute(sa.update(_D).where(_D.c.id == row.id).values(values))
        store.record(
            tx, at=now, who="deliverybot", thing="delivery", ref=row.id, campaign=row.campaign,
            old=row.state, new=row.state,
            why=f"{why}: its files are removed; its PDF had the SHA-256 {row.pdf_sha256}",
        )  # fmt: skip


def _signer(slug: str, number: int, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    query = sa.select(*columns).select_from(_T.join(_C))
    return query.where(_C.c.slug == slug, _T.c.number == number)


def _reaching(slug: str, first: int) -> sa.Select[Any]:
    """Ask for the deliveries whose list goes to a number or further, and that have files."""
    joined = _D.join(_C, _D.c.campaign_id == _C.c.id).join(_M, _D.c.milestone_id == _M.c.id)
    made = (_D.c.pdf != "") | (_D.c.linked != "")
    query = sa.select(_D.c.id).select_from(joined).order_by(_D.c.id)
    return query.where(_C.c.slug == slug, _M.c.upto >= first, made)


def _erasures() -> sa.Select[Any]:
    slug = _C.c.slug.label("campaign")
    return sa.select(_E, slug).select_from(_E.join(_C)).order_by(_E.c.id)


def fresh(tx: sa.Connection, ident: int) -> records.Erasure:
    """Return an erasure as this transaction sees it."""
    return records.Erasure.of(tx.execute(_erasures().where(_E.c.id == ident)).one())


def _todo(files: Iterable[str], waiting: Iterable[int], after: int | None) -> str:
    """Write down what is to be done; `after`: of a whole campaign, the number emptied last."""
    todo = {"files": sorted(set(files) - {""}), "deliveries": sorted(waiting), "after": after}
    return json.dumps(todo)


def _count_out(tx: sa.Connection, campaign: sa.Row[Any], row: sa.Row[Any]) -> None:
    """Take one signer out of the sums."""
    counted = int(row.state not in model.GONE)
    named = int(intake.named(row) and row.state == model.Signature.ACTIVE)
    values = {
        "signatures": _C.c.signatures - counted,
        "withdrawn": _C.c.withdrawn + counted,
        "hidden": _C.c.hidden - int(row.state == model.Signature.HIDDEN),
        "flagged": _C.c.flagged - int(row.state == model.Signature.FLAGGED),
        "listed": _C.c.listed - named,
        "list_revision": _C.c.list_revision + 1,
        "comment_revision": _C.c.comment_revision + 1,
    }
    tx.execute(sa.update(_C).where(_C.c.id == campaign.id).values(values))
