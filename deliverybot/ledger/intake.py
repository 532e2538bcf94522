"""What a batch of signers means for the list: who is new, who signed before, who takes back."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from deliverybot import model
from deliverybot.ledger import tables, volumes

_T = tables.signatures
_C = tables.campaigns
_PERMISSIONS = ("public", "to_target", "mail", "sms")


def named(row: Any) -> bool:  # noqa: ANN401 - a row or a signer
    """Tell whether somebody may be named to a target, and has a name."""
    return bool(row.to_target and row.name)


def listed(signer: model.Signer) -> bool:
    """Tell whether somebody new stands in the list by name at once."""
    return named(signer) and not signer.flags


def split(
    tx: sa.Connection, campaign_id: int, signers: Sequence[model.Signer]
) -> tuple[list[model.Signer], list[tuple[int, model.Signer]]]:
    """Part new signers from known ones; the known come with their number or 0.

    0 stands for somebody met earlier in the same batch.
    """
    by_id = _known(tx, campaign_id, "key_id", [s.key_id for s in signers if s.key_id])
    by_email = _known(tx, campaign_id, "key_email", [s.key_email for s in signers if s.key_email])
    fresh: list[model.Signer] = []
    known: list[tuple[int, model.Signer]] = []
    for signer in signers:
        number = by_id.get(signer.key_id)
        if number is None:
            number = by_email.get(signer.key_email)
        if number is not None:
            known.append((number, signer))
            continue
        fresh.append(signer)
        position = -len(fresh)  # negative: a place in `fresh`, not a number of the list
        if signer.key_id:
            by_id[signer.key_id] = position
        if signer.key_email:
            by_email[signer.key_email] = position
    return _narrow_fresh(fresh, known), [(n, s) for n, s in known if n > 0]


def duplicates(
    tx: sa.Connection,
    campaign_id: int,
    signers: Sequence[model.Signer],
    fresh: Sequence[model.Signer],
) -> int:
    """Count the rows of people who signed before, and remember each by its own key.

    A source that is read again from its start brings the same rows; only a
    row without a key of its own cannot be told from a second signature.
    """
    table = tables.duplicates
    keys = {signer.key_id for signer in signers if signer.key_id}
    stored = set(_known(tx, campaign_id, "key_id", list(keys))) | {s.key_id for s in fresh}
    query = sa.select(table.c.key_id).where(
        table.c.campaign_id == campaign_id, table.c.key_id.in_(keys - stored)
    )
    met = {bytes(key) for key in tx.scalars(query)} if keys - stored else set()
    new = [{"campaign_id": campaign_id, "key_id": key} for key in keys - stored - met]
    if new:
        tx.execute(sa.insert(table), new)
    keyless = sum(not s.key_id for s in signers) - sum(not s.key_id for s in fresh)
    return len(new) + keyless


def _narrow_fresh(
    fresh: list[model.Signer], known: list[tuple[int, model.Signer]]
) -> list[model.Signer]:
    """Apply a later, narrower permission to somebody new in the same batch."""
    for number, again in known:
        if number < 0:
            first = fresh[-number - 1]
            kept = {n: getattr(first, n) and getattr(again, n) for n in _PERMISSIONS}
            if any(kept[n] != getattr(first, n) for n in _PERMISSIONS):
                fresh[-number - 1] = dataclasses.replace(first, **kept)
    return fresh


def _known(
    tx: sa.Connection, campaign_id: int, column: str, keys: list[bytes]
) -> dict[bytes | None, int]:
    if not keys:
        return {}
    query = sa.select(_T.c[column], _T.c.number).where(
        _T.c.campaign_id == campaign_id, _T.c[column].in_(keys)
    )
    return {bytes(key): number for key, number in tx.execute(query)}


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
    rows = [
        _row(campaign.id, campaign.last_number + place, signer, wording_id, now)
        for place, signer in enumerate(fresh, 1)
    ]
    tx.execute(sa.insert(_T), rows)
    # Permissions never widen, so nobody else's comment can ever be printed.
    keys = [
        {"campaign_id": row["campaign_id"], "number": row["number"]}
        for row in rows
        if row["comment"] and row["name"] and row["to_target"]
    ]
    if keys:
        tx.execute(sa.insert(tables.comments), keys)
    flags = [
        {"campaign_id": row["campaign_id"], "number": row["number"], "kind": kind}
        for row, signer in zip(rows, fresh, strict=True)
        for kind in signer.flags
    ]
    if flags:
        tx.execute(sa.insert(tables.flags), flags)


def _row(
    campaign_id: int, number: int, signer: model.Signer, wording_id: int, now: dt.datetime
) -> dict[str, Any]:
    return {
        "campaign_id": campaign_id,
        "number": number,
        "key_id": signer.key_id,
        "key_email": signer.key_email,
        "name": signer.name,
        "city": signer.city,
        "region": signer.region,
        "country": signer.country,
        "postcode": signer.postcode,
        "comment": signer.comment,
        "signed_at": signer.signed_at,
        "taken_at": now,
        "public": signer.public,
        "to_target": signer.to_target,
        "mail": signer.mail,
        "sms": signer.sms,
        "wording_id": wording_id,
        "state": model.Signature.FLAGGED if signer.flags else model.Signature.ACTIVE,
    }
