"""Taking signatures in and giving the list out."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from deliverybot import errors, model, sweeping
from deliverybot.ledger import intake, records, store, tables

_T = tables.signatures
_C = tables.campaigns
#: Rows fetched at a time when the list is read.
PAGE = 5_000
#: Batches that are looked up after one with known people in it.
_WARY = 10


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of one batch."""

    new: int
    #: Further signatures of somebody who has signed already, met for the first time.
    duplicates: int
    #: Rows that were taken, or counted as duplicates, before.
    again: int
    #: Of these, signers whose permission to be shown was taken back.
    narrowed: int


class Signatures:
    """The append-only list of each campaign."""

    def __init__(self, database: store.Store) -> None:
        self._db = database
        #: Campaign -> batches yet to be looked up: who brought known people brings more.
        self._met: dict[str, int] = {}

    def standing(self, slug: str) -> records.Standing:
        """Return where a campaign stands; all zero before its first reading."""
        with self._db.read() as tx:
            row = tx.execute(sa.select(_C).where(_C.c.slug == slug)).first()
        if row is not None:
            return records.Standing.of(row)
        with self._db.write() as tx:
            return records.Standing.of(_campaign(tx, slug))

    def take(
        self,
        slug: str,
        signers: Sequence[model.Signer],
        *,
        wording: tuple[str, str],
        cursor: str | None,
        now: dt.datetime,
    ) -> Taken:
        """Give each new signer the next number, and move the source's cursor.

        `wording` is the consent's version (SHA-256 in hex) and its words.
        `cursor` None leaves the cursor where it is (an import by hand).  The
        signers, the counts and the cursor are one transaction: a crash takes
        the whole batch back and the next reading meets it again.

        Most batches hold new people only.  To insert them at once and see
        whether the database objects costs a fifth less than to look them up;
        if it objects, the transaction is taken back and they are looked up.
        """
        hopeful = not self._met.get(slug)
        if not hopeful:
            self._met[slug] -= 1
        take = functools.partial(self._take, slug, signers, wording=wording, cursor=cursor, now=now)
        try:
            return take(hopeful=hopeful)
        except intake.MetBefore:
            self._met[slug] = _WARY
        return take(hopeful=False)

    def _take(
        self,
        slug: str,
        signers: Sequence[model.Signer],
        *,
        wording: tuple[str, str],
        cursor: str | None,
        now: dt.datetime,
        hopeful: bool,
    ) -> Taken:
        with self._db.write() as tx, sweeping.paused():
            campaign = _campaign(tx, slug)
            if campaign.expired_at is not None:
                message = f"the signers of {slug} were erased on {campaign.expired_at:%Y-%m-%d}"
                hint = "nobody is taken in again; a new campaign file has a list of its own"
                raise errors.WrongState(message, hint=hint)
            if hopeful:
                parted = intake.all_new(tx, campaign, signers)
            else:
                parted = intake.split(tx, campaign, signers)
            fresh = parted.fresh
            narrowed = intake.narrow(tx, campaign.id, parted.known)
            wording_id = _wording(tx, campaign.id, wording, now)
            try:
                intake.insert(tx, campaign, fresh, wording_id, now)
            except exc.IntegrityError:
                if hopeful:
                    raise intake.MetBefore from None
                raise
            duplicates = intake.duplicates(tx, campaign.id, parted)
            named = sum(map(intake.listed, fresh))
            values: dict[str, Any] = {
                "last_number": _C.c.last_number + len(fresh),
                "signatures": _C.c.signatures + len(fresh),
                "listed": _C.c.listed + named - narrowed.listed,
                "flagged": _C.c.flagged + sum(bool(signer.flags) for signer in fresh),
                "duplicates": _C.c.duplicates + duplicates,
                "list_revision": _C.c.list_revision + (1 if narrowed.lines else 0),
            }
            if cursor is not None:
                values["cursor"] = cursor
            tx.execute(sa.update(_C).where(_C.c.id == campaign.id).values(values))
        again = len(signers) - len(fresh) - duplicates
        return Taken(new=len(fresh), duplicates=duplicates, again=again, narrowed=narrowed.rows)

    def read(
        self,
        slug: str,
        *,
        now: dt.datetime,
        said: int | None = None,
        state: str = "",
        problem: str = "",
        not_before: dt.datetime | None = None,
    ) -> records.Standing:
        """Write down that the source was read, or why it could not be.

        `said` is the number that the source itself says, None where it says
        none; `state` is for its next probe.  A failed reading keeps the last
        good count and may say when the next one is.  A row goes into the
        history when something differs from the reading before.
        """
        with self._db.write() as tx:
            campaign = _campaign(tx, slug)
            table = tables.readings
            values: dict[str, Any] = {"problem": problem, "not_before": not_before}
            if problem:
                values["failures"] = campaign.failures + 1
            else:
                values |= {"read_at": now, "failures": 0, "said": said, "count_state": state}
            tx.execute(sa.update(_C).where(_C.c.id == campaign.id).values(values))
            kept = ("signatures", "listed", "hidden", "flagged", "withdrawn", "duplicates")
            row = {
                "campaign_id": campaign.id,
                **{name: campaign._mapping[name] for name in kept},
                "said": campaign.said if problem else said,
                "outcome": "failed" if problem else "taken",
                "why": problem,
            }
            last = tx.execute(
                sa.select(table)
                .where(table.c.campaign_id == campaign.id)
                .order_by(table.c.id.desc())
                .limit(1)
            ).first()
            if last is None or any(last._mapping[name] != row[name] for name in row):
                tx.execute(sa.insert(table), {**row, "at": now})
            return records.Standing.of(_campaign(tx, slug))

    def failing_since(self, slug: str) -> dt.datetime | None:
        """Return the time of the first of the failed readings since the last good one."""
        table, earlier = tables.readings, tables.readings.alias()
        ident = sa.select(_C.c.id).where(_C.c.slug == slug).scalar_subquery()
        good = sa.select(sa.func.coalesce(sa.func.max(earlier.c.id), 0)).where(
            earlier.c.campaign_id == ident, earlier.c.outcome == "taken"
        )
        query = (
            sa.select(table.c.at)
            .where(table.c.campaign_id == ident, table.c.outcome == "failed")
            .where(table.c.id > good.scalar_subquery())
            .order_by(table.c.id)
            .limit(1)
        )
        with self._db.read() as tx:
            return tx.scalar(query)

    def pace(self, slug: str, *, since: dt.datetime) -> float | None:
        """Return new signatures a second from a time, or the first reading, to the last one.

        A reading that brought nothing leaves no row, yet it ends the line: a
        quiet week is a slow one.  None where there are not two readings.
        """
        table = tables.readings
        query = (
            sa.select(
                table.c.at,
                sa.func.coalesce(table.c.said, table.c.signatures).label("signatures"),
                _C.c.read_at,
            )
            .join(_C, table.c.campaign_id == _C.c.id)
            .where(_C.c.slug == slug, table.c.outcome == "taken")
            .order_by(table.c.id)
        )
        with self._db.read() as tx:
            rows = tx.execute(query).all()
        if not rows:
            return None
        begin = next((row for row in reversed(rows) if row.at <= since), rows[0])
        seconds = (rows[-1].read_at - max(begin.at, since)).total_seconds()
        return (rows[-1].signatures - begin.signatures) / seconds if seconds > 0 else None

    def lines(
        self,
        slug: str,
        upto: int,
        *,
        first: int = 1,
        fields: Iterable[str] = ("name", "city", "country"),
    ) -> Iterator[model.ListedSigner]:
        """Yield the target's list from number `first` to `upto`, a page at a time.

        Somebody who may not be named keeps the number and has an empty name.
        Flat in memory; each page is a read of its own, so a writer never waits.
        """
        with self._db.read() as tx:
            campaign_id = tx.scalar(sa.select(_C.c.id).where(_C.c.slug == slug))
        wanted = [name for name in ("name", "city", "region", "country") if name in set(fields)]
        last = first - 1
        while last < upto:
            query = (
                sa.select(_T.c.number, _T.c.to_target, _T.c.state, *(_T.c[n] for n in wanted))
                .where(_T.c.campaign_id == campaign_id, _T.c.number > last, _T.c.number <= upto)
                .order_by(_T.c.number)
                .limit(PAGE)
            )
            with self._db.read() as tx:
                rows = tx.execute(query).all()
            if not rows:
                return
            for row in rows:
                shown = row.to_target and row.state == model.Signature.ACTIVE
                named = row._mapping
                values = {name: named[name] for name in wanted} if shown else {}
                yield model.ListedSigner(number=row.number, **{"name": "", **values})
            last = rows[-1].number

    def listed(self, slug: str, upto: int) -> int:
        """Count the signers up to a number who may be named to a target now."""
        standing = self.standing(slug)
        if upto >= standing.last_number:
            return standing.listed
        query = (
            sa.select(sa.func.count())
            .select_from(_T.join(_C))
            .where(_C.c.slug == slug, _T.c.number <= upto, intake.NAMED)
        )
        with self._db.read() as tx:
            return int(tx.scalar(query) or 0)


def _campaign(tx: sa.Connection, slug: str) -> sa.Row[Any]:
    """Return the campaign's row, locked for this transaction; make it if need be."""
    query = sa.select(_C).where(_C.c.slug == slug).with_for_update()
    row = tx.execute(query).first()
    if row is None:
        # Two pollers on PostgreSQL may both find it missing; the second waits, then reads.
        with contextlib.suppress(exc.IntegrityError), tx.begin_nested():
            tx.execute(sa.insert(_C), {"slug": slug})
        row = tx.execute(query).one()
    return row


def _wording(
    tx: sa.Connection, campaign_id: int, wording: tuple[str, str], now: dt.datetime
) -> int:
    table = tables.wordings
    version, words = wording
    query = sa.select(table.c.id).where(
        table.c.campaign_id == campaign_id, table.c.sha256 == version
    )
    found = tx.scalar(query)
    if found is None:
        row = {"campaign_id": campaign_id, "sha256": version, "words": words, "since": now}
        tx.execute(sa.insert(table), row)
        found = tx.scalar(query)
    return int(found or 0)
