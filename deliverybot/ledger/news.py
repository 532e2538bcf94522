"""What stands beside posts: their pictures, and outlets that are left alone for a while."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json

import sqlalchemy as sa

from deliverybot.ledger import correspondence, records, store, tables

_P, _R = correspondence.pictures, correspondence.rests
#: Under it: of each outlet its account, as a hash, and since when, empty for always.
_ACCOUNTS = "accounts"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rest(records.Record):
    """An outlet that nothing is posted on now."""

    outlet: str
    #: None: until a person says so, or its section in config.toml changes.
    until: dt.datetime | None
    since: dt.datetime
    why: str
    #: Hash of the section that was refused, in hex.
    section: str


class News:
    """The verbs; each is one transaction."""

    def __init__(self, database: store.Store) -> None:
        self._db = database

    def keep(self, png: bytes) -> str:
        """Keep a picture; return its SHA-256 in hex, by which it is found again.

        Another one that stands under this hash, by somebody's hand, gives way.
        """
        sha256 = hashlib.sha256(png).hexdigest()
        same = _P.c.sha256 == sha256
        with self._db.write() as tx:
            there = tx.scalar(sa.select(_P.c.png).where(same))
            if there is None:
                tx.execute(sa.insert(_P), {"sha256": sha256, "png": png})
            elif bytes(there) != png:
                tx.execute(sa.update(_P).where(same).values(png=png))
        return sha256

    def picture(self, sha256: str) -> bytes:
        """Return a picture; empty where none has this hash."""
        with self._db.read() as tx:
            return bytes(tx.scalar(sa.select(_P.c.png).where(_P.c.sha256 == sha256)) or b"")

    def sweep(self) -> int:
        """Drop pictures that no post shows any more; return how many.

        Only where nobody else keeps one: between `keep` and the row it belongs
        to no post shows it.
        """
        shown = sa.select(tables.posts.c.image)
        with self._db.write() as tx:
            return tx.execute(sa.delete(_P).where(_P.c.sha256.not_in(shown))).rowcount

    def anothers(self, url: str, row: records.Post) -> bool:
        """Tell whether an address is known to be that of another post with the same words."""
        t = tables.posts
        query = sa.select(t.c.id).where(t.c.url == url, t.c.text == row.text, t.c.id != row.id)
        with self._db.read() as tx:
            return tx.scalar(query.limit(1)) is not None

    def account(self, outlet: str, account: str, now: dt.datetime) -> None:
        """Keep which account an outlet is, and since when it is another one than before."""
        with self._db.read() as tx:
            if _accounts(store.entry(tx, _ACCOUNTS)).get(outlet, ("", ""))[0] == account:
                return
        with self._db.change() as tx:
            old = store.entry(tx, _ACCOUNTS)
            kept = _accounts(old)
            if kept.get(outlet, ("", ""))[0] == account:
                return  # another process was faster
            since = _after_all(tx, outlet, now).isoformat() if outlet in kept else ""
            kept[outlet] = (account, since)
            store.swap(tx, _ACCOUNTS, old, json.dumps(kept))

    def moved(self, row: records.Post) -> bool:
        """Tell whether an outlet is another account by now than when a post may have left."""
        with self._db.read() as tx:
            since = _accounts(store.entry(tx, _ACCOUNTS)).get(row.outlet, ("", ""))[1]
        when = dt.datetime.fromisoformat(since) if since else None
        return when is not None and row.handed_at is not None and row.handed_at < when

    def rests(self) -> dict[str, Rest]:
        """Return the outlets that are left alone, by name, whether or not their time is over."""
        with self._db.read() as tx:
            return {row.outlet: Rest.of(row) for row in tx.execute(sa.select(_R))}

    def rest(self, rest: Rest) -> bool:
        """Leave an outlet alone; True where that is news.

        It is none where it was left alone before for the like: asked to wait
        again, or refused again with the same account.
        """
        with self._db.change() as tx:
            before = tx.execute(sa.select(_R).where(_R.c.outlet == rest.outlet)).first()
            tx.execute(sa.delete(_R).where(_R.c.outlet == rest.outlet))
            tx.execute(sa.insert(_R), dataclasses.asdict(rest))
            news = before is None or _kind(Rest.of(before)) != _kind(rest)
            if news:
                old = "" if before is None else "resting"
                self._record(tx, rest.outlet, old, "resting", rest.why, rest.since)
        return news

    def resume(self, outlet: str, *, who: str, why: str, now: dt.datetime) -> bool:
        """Use an outlet again; False where it was not left alone."""
        with self._db.change() as tx:
            gone = tx.execute(sa.delete(_R).where(_R.c.outlet == outlet)).rowcount
            if gone:
                self._record(tx, outlet, "resting", "", why, now, who)
        return bool(gone)

    @staticmethod
    def _record(
        tx: sa.Connection,
        outlet: str,
        old: str,
        new: str,
        why: str,
        now: dt.datetime,
        who: str = "deliverybot",
    ) -> None:
        store.record(
            tx, at=now, who=who, thing="outlet", ref=outlet, campaign="", old=old, new=new, why=why
        )


def _accounts(entry: str) -> dict[str, tuple[str, str]]:
    return {name: (account, since) for name, (account, since) in json.loads(entry or "{}").items()}


def _after_all(tx: sa.Connection, outlet: str, now: dt.datetime) -> dt.datetime:
    """Return a time behind each try that may be there, by whatever clock that was written."""
    t = tables.posts
    over = ("posted", "superseded", "cancelled")
    query = sa.select(sa.func.max(t.c.handed_at)).where(t.c.outlet == outlet)
    last = tx.scalar(query.where(t.c.state.not_in(over)))
    return now if last is None else max(now, last + dt.timedelta(microseconds=1))


def _kind(rest: Rest) -> str:
    """Return what tells one rest from another: a wait, or the account that is refused."""
    return "wait" if rest.until is not None else rest.section
