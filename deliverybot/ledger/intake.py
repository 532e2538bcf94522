"""What a batch of signers means for the list: who is new, who signed before, who takes back."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from deliverybot import model
from deliverybot.ledger import bulk, tables, volumes

_T = tables.signatures
_C = tables.campaigns
_PERMISSIONS = ("public", "to_target", "mail", "sms")
#: Of a row: may be named to a target now; a permission can be taken back, and somebody hidden.
NAMED = _T.c.to_target & (_T.c.state == model.Signature.ACTIVE) & (_T.c.name != "")


def named(row: Any) -> bool:  # noqa: ANN401 - a row or a signer
    """Tell whether somebody may be named to a target, and has a name."""
    return bool(row.to_target and row.name)


def listed(signer: model.Signer) -> bool:
    """Tell whether somebody new stands in the list by name at once."""
    return named(signer) and not signer.flags


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parted:
    """A batch, parted into new signers and known ones."""

    fresh: list[model.Signer]
    #: With their numbers on the list.
    known: list[tuple[int, model.Signer]]
    #: Rows of known signers, those met earlier in the same batch among them.
    further: list[model.Signer]
    #: The keys of rows among these that are signatures of their own.
    keys: set[bytes]


class MetBefore(Exception):
    """Somebody in a batch may have signed before."""


def all_new(tx: sa.Connection, campaign: sa.Row[Any], signers: Sequence[model.Signer]) -> Parted:
    """Return a batch as one of new people only; who stands in the ledger, its own rules will tell.

    Raises:
        MetBefore: Somebody stands in the batch twice, or in the ledger under an older key.
    """
    ids = [signer.key_id for signer in signers if signer.key_id]
    emails = [signer.key_email for signer in signers if signer.key_email]
    before = [key for signer in signers if signer.keys_before for key in signer.keys_before]
    once = len({*ids}) == len(ids) and len({*emails, *before}) == len(emails) + len(before)
    if not once or (campaign.last_number and bulk.numbers(tx, campaign.id, "key_email", before)):
        raise MetBefore
    return Parted(fresh=list(signers), known=[], further=[], keys=set())


def split(tx: sa.Connection, campaign: sa.Row[Any], signers: Sequence[model.Signer]) -> Parted:
    """Part new signers from known ones."""
    by_id, by_email = dict[bytes | None, int](), dict[bytes | None, int]()
    if campaign.last_number:
        ids = [signer.key_id for signer in signers if signer.key_id]
        emails = [signer.key_email for signer in signers if signer.key_email]
        emails += [key for signer in signers if signer.keys_before for key in signer.keys_before]
        by_id = bulk.numbers(tx, campaign.id, "key_id", ids)
        by_email = bulk.numbers(tx, campaign.id, "key_email", emails)
    fresh: list[model.Signer] = []
    known: list[tuple[int, model.Signer]] = []
    for signer in signers:
        key_id, key_email = signer[:2]
        number = by_id.get(key_id)
        if number is None:
            number = by_email.get(key_email)
        if number is None and signer.keys_before:
            number = next((by_email[key] for key in signer.keys_before if key in by_email), None)
        if number is not None:
            known.append((number, signer))
            continue
        fresh.append(signer)
        position = -len(fresh)  # negative: a place in `fresh`, not a number of the list
        if key_id:
            by_id[key_id] = position
        if key_email:
            by_email[key_email] = position
    further = [signer for _, signer in known]
    return Parted(
        fresh=_narrow_fresh(fresh, known),
        known=[(number, signer) for number, signer in known if number > 0],
        further=further,
        keys={s.key_id for s in further if s.key_id and s.key_id not in by_id},
    )


def duplicates(tx: sa.Connection, campaign_id: int, parted: Parted) -> int:
    """Count the rows of people who signed before, and remember each by its own key.

    A source that is read again from its start brings the same rows; only a
    row without a key of its own cannot be told from a second signature.
    """
    table = tables.duplicates
    query = sa.select(table.c.key_id).where(
        table.c.campaign_id == campaign_id, table.c.key_id.in_(parted.keys)
    )
    met = {bytes(key) for key in tx.scalars(query)} if parted.keys else set[bytes]()
    new = [(campaign_id, key) for key in parted.keys - met]
    if new:
        bulk.insert(tx, table, ("campaign_id", "key_id"), new)
    return len(new) + sum(not signer.key_id for signer in parted.further)


def _narrow_fresh(
    fresh: list[model.Signer], known: list[tuple[int, model.Signer]]
) -> list[model.Signer]:
    """Apply a later, narrower permission to somebody new in the same batch."""
    for number, again in known:
        if number < 0:
            first = fresh[-number - 1]
            kept = {n: getattr(first, n) and getattr(again, n) for n in _PERMISSIONS}
            if any(kept[n] != getattr(first, n) for n in _PERMISSIONS):
                fresh[-number - 1] = first._replace(**kept)
    return fresh


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Narrowed:
    rows: int
    #: Of these, lines of the list that say something else now.
    lines: int
    listed: int


def narrow(tx: sa.Connection, campaign_id: int, known: list[tuple[int, model.Signer]]) -> _Narrowed:
    """Take back permissions that a known signer no longer gives; never widen."""
    later: dict[int, set[str]] = {}
    for number, signer in known:
        if denied := {n for n in _PERMISSIONS if not getattr(signer, n)}:
            later.setdefault(number, set()).update(denied)
    if not later:
        return _Narrowed(rows=0, lines=0, listed=0)
    query = sa.select(_T).where(_T.c.campaign_id == campaign_id, _T.c.number.in_(later))
    rows = listed = 0
    changed: list[int] = []
    for row in tx.execute(query).all():
        now_false = [n for n in _PERMISSIONS if row._mapping[n] and n in later[row.number]]
        if not now_false:
            continue
        tx.execute(
            sa.update(_T)
            .where(_T.c.campaign_id == campaign_id, _T.c.number == row.number)
            .values(dict.fromkeys(now_false, False))
        )
        rows += 1
        if "to_target" in now_false:
            changed.append(row.number)
            listed += named(row) and row.state == "active"
    volumes.unseal(tx, campaign_id, changed)
    return _Narrowed(rows=rows, lines=len(changed), listed=listed)


def insert(
    tx: sa.Connection,
    campaign: sa.Row[Any],
    fresh: list[model.Signer],
    wording_id: int,
    now: dt.datetime,
) -> None:
    """Give each new signer the next number."""
    if not fresh:
        return
    rows = _rows(campaign.id, campaign.last_number, fresh, wording_id, now)
    bulk.insert(tx, _T, _COLUMNS, rows)
    # Permissions never widen, so nobody else's comment can ever be printed.
    keys = [
        (campaign.id, number)
        for number, signer in enumerate(fresh, campaign.last_number + 1)
        if signer.comment and signer.name and signer.to_target
    ]
    if keys:
        bulk.insert(tx, tables.comments, ("campaign_id", "number"), keys)
    flags = [
        (campaign.id, number, kind)
        for number, signer in enumerate(fresh, campaign.last_number + 1)
        if signer.flags
        for kind in signer.flags
    ]
    if flags:
        bulk.insert(tx, tables.flags, ("campaign_id", "number", "kind"), flags)


#: What `_rows` gives, in its order.
_COLUMNS = (
    "campaign_id", "number", "key_id", "key_email", "name", "city", "region", "country",
    "postcode", "comment", "signed_at", "public", "to_target", "mail", "sms", "taken_at",
    "wording_id", "state",
)  # fmt: skip


#: Permissions as numbers, which each driver takes as they are.
_BITS = {flags: tuple(map(int, flags)) for flags in itertools.product((False, True), repeat=4)}


def _rows(
    campaign_id: int, last: int, fresh: list[model.Signer], wording_id: int, now: dt.datetime
) -> list[tuple[Any, ...]]:
    """Return the rows of new signers, as the database takes them."""
    taken_at, text = tables.text(now), tables.text
    active, flagged = str(model.Signature.ACTIVE), str(model.Signature.FLAGGED)
    return [
        (campaign_id, number, key_id and bytearray(key_id), key_email and bytearray(key_email),
         name, city, region, country, postcode, comment, text(at) if at else None,
         *_BITS[public, to_target, mail, sms], taken_at, wording_id,
         flagged if flags else active)
        for number, (
            key_id, key_email, name, city, region, country, postcode, comment, at,
            public, to_target, mail, sms, flags, _,
        ) in enumerate(fresh, last + 1)
    ]  # fmt: skip
