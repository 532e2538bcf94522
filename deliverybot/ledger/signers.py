"""Single signers: look one up, name nobody or somebody again, note what a person saw.

A flag in the table `flags` says why a person is to look; one with `by` has been
looked at.  A flag of the kind ``pair`` is a person's word that two signatures
are two people's.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from deliverybot import errors, model
from deliverybot.ledger import intake, records, store, tables, volumes

_T = tables.signatures
_C = tables.campaigns
_F = tables.flags
_W = tables.wordings
#: The kind of flag that says that two signatures are two people's.
PAIR = "pair"
#: Rows fetched at a time.
_PAGE = 5_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Signature(records.Record):
    """One signer, with all that is held; no address is."""

    number: int
    #: As the source has it; empty where it gave none, or one with an address in it.
    name: str
    city: str
    region: str
    country: str
    postcode: str
    comment: str
    signed_at: dt.datetime | None
    taken_at: dt.datetime
    public: bool
    to_target: bool
    mail: bool
    sms: bool
    state: str
    #: The words that signers saw, their SHA-256 in hex, and since when they are used.
    sha256: str
    words: str
    since: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Flag(records.Record):
    """Why a person is to look at a signer, or was."""

    number: int
    kind: str
    #: Of a pair: the other signature; else 0.
    other: int
    #: Who looked, and when; empty where nobody did.
    by: str
    at: dt.datetime | None


class Signers:
    """The signers of each campaign, one by one."""

    def __init__(self, database: store.Store) -> None:
        self._db = database

    def select(
        self,
        slug: str,
        states: Collection[str],
        *,
        name: str = "",
        after: int = 0,
        most: int | None = None,
    ) -> list[Signature]:
        """Return signers in these states behind a number, in the order of numbers.

        `name` is a part of the name; large and small letters are the same.
        """
        query = _signatures().where(_of(slug), _T.c.state.in_(states), _T.c.number > after)
        if name:
            # SQLite knows the two cases of ASCII alone.
            written = {name, name.lower(), name.upper(), name.title()}
            likes = (_T.c.name.icontains(one, autoescape=True) for one in sorted(written))
            query = query.where(sa.or_(*likes))
        with self._db.read() as tx:
            rows = tx.execute(query.order_by(_T.c.number).limit(most)).all()
        return [Signature.of(row) for row in rows]

    def some(self, slug: str, numbers: Collection[int]) -> list[Signature]:
        """Return the signers with these numbers, as far as there are any."""
        query = _signatures().where(_of(slug), _T.c.number.in_(numbers)).order_by(_T.c.number)
        with self._db.read() as tx:
            return [Signature.of(row) for row in tx.execute(query)]

    def get(self, slug: str, number: int) -> Signature:
        """Return one signer; UsageError where there is none of this number."""
        for found in self.some(slug, [number]):
            return found
        raise nobody(slug, number)

    def flags(self, slug: str, numbers: Collection[int]) -> list[Flag]:
        """Return what was flagged of these signers, and with whom they were compared."""
        rest, found = iter(sorted(set(numbers))), list[Flag]()
        with self._db.read() as tx:
            # A database takes so many values in one question, and no more.
            while part := list(itertools.islice(rest, _PAGE)):
                paired = (_F.c.kind == PAIR) & _F.c.other.in_(part)
                query = sa.select(_F).where(_of(slug, _F), _F.c.number.in_(part) | paired)
                found += map(Flag.of, tx.execute(query))
        unique = {(flag.number, flag.kind, flag.other): flag for flag in found}
        return [flag for _, flag in sorted(unique.items())]

    def flagged(self, slug: str, *, kind: str = "") -> list[int]:
        """Return the numbers of signers who wait for a look, of one kind or of any."""
        query = sa.select(_T.c.number).where(_of(slug), _T.c.state == model.Signature.FLAGGED)
        if kind:
            same = (_F.c.campaign_id == _T.c.campaign_id) & (_F.c.number == _T.c.number)
            query = query.where(sa.exists().where(same, _F.c.kind == kind, _F.c.by == ""))
        with self._db.read() as tx:
            return list(tx.scalars(query.order_by(_T.c.number)))

    def places(self, slug: str) -> Iterator[sa.Row[Any]]:
        """Yield number, name and place of all who count and have a name, a page at a time."""
        wanted = [_T.c[name] for name in ("number", "name", "city", "country", "postcode")]
        last = 0
        while True:
            query = (
                sa.select(*wanted)
                .where(_of(slug), _T.c.number > last, _T.c.name != "")
                .where(_T.c.state.not_in(model.GONE))
                .order_by(_T.c.number)
                .limit(_PAGE)
            )
            with self._db.read() as tx:
                rows = tx.execute(query).all()
            if not rows:
                return
            yield from rows
            last = rows[-1].number

    def move(
        self,
        slug: str,
        numbers: Iterable[int],
        state: model.Signature,
        *,
        who: str,
        why: str,
        now: dt.datetime,
    ) -> dict[int, model.Signature]:
        """Hide, withdraw or restore signatures: all of them or none; return where each stands.

        Whoever is restored and was never looked at waits for that again.
        """
        with self._db.change() as tx:
            campaign_id = _campaign(tx, slug)
            stands = {}
            for number in dict.fromkeys(numbers):
                to = state
                if state == model.Signature.ACTIVE and _waits(tx, campaign_id, number):
                    to = model.Signature.FLAGGED
                turn(tx, campaign_id, slug, number, to, who=who, why=why, now=now)
                stands[number] = to
            return stands

    def clear(
        self,
        slug: str,
        numbers: Iterable[int],
        *,
        kind: str = "",
        who: str,
        why: str,
        now: dt.datetime,
    ) -> dict[int, model.Signature]:
        """Note that a person has looked at these signers: they may be named.

        All of them or none.  `kind` is the one reason that was looked at;
        whoever has another one goes on waiting.
        """
        with self._db.change() as tx:
            campaign_id = _campaign(tx, slug)
            stands = {}
            for number in dict.fromkeys(numbers):
                state = _state(tx, campaign_id, slug, number)
                here = _flags_of(campaign_id, number)
                if kind:
                    here &= _F.c.kind == kind
                if not tx.scalar(sa.select(sa.func.count()).select_from(_F).where(here)):
                    message = f"signature {number} of {slug} is not flagged"
                    raise errors.UsageError(
                        message, hint=f"nothing was changed; see `signatures flagged {slug}`"
                    )
                tx.execute(sa.update(_F).where(here, _F.c.by == "").values(by=who, at=now))
                if state == model.Signature.FLAGGED and not _waits(tx, campaign_id, number):
                    state = model.Signature.ACTIVE
                    turn(tx, campaign_id, slug, number, state, who=who, why=why, now=now)
                stands[number] = state
            return stands

    def flag_again(
        self, slug: str, numbers: Iterable[int], *, who: str, why: str, now: dt.datetime
    ) -> dict[int, model.Signature]:
        """Take back that a person has looked: all of these signers wait again, or none does."""
        with self._db.change() as tx:
            campaign_id = _campaign(tx, slug)
            stands = {}
            for number in dict.fromkeys(numbers):
                state = _state(tx, campaign_id, slug, number)
                query = sa.update(_F).where(_flags_of(campaign_id, number))
                if not tx.execute(query.values(by="", at=None)).rowcount:
                    message = f"signature {number} of {slug} was never flagged"
                    hint = f"nothing was changed; `signatures hide {slug} {number}` names nobody"
                    raise errors.UsageError(message, hint=hint)
                if state == model.Signature.ACTIVE:
                    state = model.Signature.FLAGGED
                    turn(tx, campaign_id, slug, number, state, who=who, why=why, now=now)
                stands[number] = state
            return stands

    def apart(self, slug: str) -> set[tuple[int, int]]:
        """Return the pairs of signatures that a person called two people's, smaller first."""
        query = sa.select(_F.c.number, _F.c.other).where(_of(slug, _F), _F.c.kind == PAIR)
        with self._db.read() as tx:
            return {(row.number, row.other) for row in tx.execute(query)}

    def part(
        self, slug: str, numbers: Sequence[int], *, who: str, why: str, now: dt.datetime
    ) -> None:
        """Note that these signatures are each another person's."""
        pairs = list(itertools.combinations(sorted(set(numbers)), 2))
        with self._db.change() as tx:
            campaign_id = _campaign(tx, slug)
            for number in sorted(set(numbers)):
                _state(tx, campaign_id, slug, number)
            known = {(row.number, row.other) for row in _pairs(tx, campaign_id, numbers)}
            new = [pair for pair in pairs if pair not in known]
            if not new:
                return
            values = {"campaign_id": campaign_id, "kind": PAIR, "by": who, "at": now}
            tx.execute(sa.insert(_F), [{**values, "number": a, "other": b} for a, b in new])
            _note_pair(tx, slug, pairs, "different", who=who, why=why, now=now)

    def unpart(
        self, slug: str, numbers: Sequence[int], *, who: str, why: str, now: dt.datetime
    ) -> None:
        """Take back that these signatures are each another person's."""
        with self._db.change() as tx:
            campaign_id = _campaign(tx, slug)
            found = [(row.number, row.other) for row in _pairs(tx, campaign_id, numbers)]
            if not found:
                told = " and ".join(map(str, numbers))
                message = f"nobody has said that {told} of {slug} are different people"
                hint = f"nothing was changed; see `signatures show {slug} {numbers[0]}`"
                raise errors.UsageError(message, hint=hint)
            tx.execute(sa.delete(_F).where(_among(campaign_id, numbers)))
            _note_pair(tx, slug, found, "undecided", who=who, why=why, now=now)


def turn(  # noqa: PLR0913 - one change of state and its audit row
    tx: sa.Connection,
    campaign_id: int,
    slug: str,
    number: int,
    state: model.Signature,
    *,
    who: str,
    why: str,
    now: dt.datetime,
) -> None:
    """Move one signature to a state; keep the sums, and let its volume be set anew."""
    here = (_T.c.campaign_id == campaign_id) & (_T.c.number == number)
    row = tx.execute(sa.select(_T.c.state, _T.c.to_target, _T.c.name).where(here)).first()
    if row is None:
        raise nobody(slug, number)
    if row.state == state:
        return
    if model.Signature.ERASED in {row.state, state}:
        message = f"signature {number} of {slug} is {row.state}; it cannot become {state}"
        hint = "`deliverybot signatures erase` erases one, and nothing brings it back"
        raise errors.WrongState(message, hint=hint)
    tx.execute(sa.update(_T).where(here).values(state=state))
    volumes.unseal(tx, campaign_id, [number])
    listed = (state == "active") - (row.state == "active") if intake.named(row) else 0
    gone, hidden, flagged = (
        (state == one) - (row.state == one) for one in ("withdrawn", "hidden", "flagged")
    )
    tx.execute(
        sa.update(_C)
        .where(_C.c.id == campaign_id)
        .values(
            signatures=_C.c.signatures - gone,
            hidden=_C.c.hidden + hidden,
            flagged=_C.c.flagged + flagged,
            withdrawn=_C.c.withdrawn + gone,
            listed=_C.c.listed + listed,
            list_revision=_C.c.list_revision + 1,
        )
    )
    store.record(
        tx, at=now, who=who, thing="signature", ref=number, campaign=slug,
        old=row.state, new=state, why=why,
    )  # fmt: skip


def _signatures() -> sa.Select[Any]:
    both = _T.join(_W, _T.c.wording_id == _W.c.id)
    return sa.select(_T, _W.c.sha256, _W.c.words, _W.c.since).select_from(both)


def _of(slug: str, table: sa.Table = _T) -> sa.ColumnElement[bool]:
    return table.c.campaign_id == sa.select(_C.c.id).where(_C.c.slug == slug).scalar_subquery()


def _flags_of(campaign_id: int, number: int) -> sa.ColumnElement[bool]:
    return (_F.c.campaign_id == campaign_id) & (_F.c.number == number) & (_F.c.kind != PAIR)


def _campaign(tx: sa.Connection, slug: str) -> int:
    """Return the id of a campaign, its row locked; 0 for one without signatures."""
    return tx.scalar(sa.select(_C.c.id).where(_C.c.slug == slug).with_for_update()) or 0


def _state(tx: sa.Connection, campaign_id: int, slug: str, number: int) -> model.Signature:
    here = (_T.c.campaign_id == campaign_id) & (_T.c.number == number)
    state = tx.scalar(sa.select(_T.c.state).where(here))
    if state is None:
        raise nobody(slug, number)
    return model.Signature(state)


def _waits(tx: sa.Connection, campaign_id: int, number: int) -> bool:
    """Tell whether something of a signer was flagged and not looked at."""
    query = sa.select(_F.c.kind).where(_flags_of(campaign_id, number), _F.c.by == "").limit(1)
    return tx.scalar(query) is not None


def _among(campaign_id: int, numbers: Collection[int]) -> sa.ColumnElement[bool]:
    inside = _F.c.number.in_(numbers) & _F.c.other.in_(numbers)
    return (_F.c.campaign_id == campaign_id) & (_F.c.kind == PAIR) & inside


def _pairs(tx: sa.Connection, campaign_id: int, numbers: Collection[int]) -> list[sa.Row[Any]]:
    query = sa.select(_F.c.number, _F.c.other).where(_among(campaign_id, numbers))
    return list(tx.execute(query))


def _note_pair(
    tx: sa.Connection,
    slug: str,
    pairs: Iterable[tuple[int, int]],
    said: str,
    *,
    who: str,
    why: str,
    now: dt.datetime,
) -> None:
    """Write into the log of each signer whom it was compared with."""
    others: dict[int, list[int]] = {}
    for one, other in pairs:
        others.setdefault(one, []).append(other)
        others.setdefault(other, []).append(one)
    for number, those in sorted(others.items()):
        told = f"compared with {', '.join(map(str, sorted(those)))}: {why}"
        store.record(
            tx, at=now, who=who, thing="signature", ref=number, campaign=slug,
            old="", new=said, why=told,
        )  # fmt: skip


def nobody(slug: str, number: int) -> errors.UsageError:
    """Say that a campaign has no signature of this number."""
    message = f"{slug} has no signature number {number}"
    return errors.UsageError(message, hint="numbers stand in the letter's list")
