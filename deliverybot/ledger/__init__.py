"""The ledger: the one place where it is written what has happened.

``open_ledger`` gives a ``Ledger``; its parts are the verbs of the stations::

    ledger.signatures   take, read, lines
    ledger.signers      select, flagged, move, clear, part
    ledger.comments     select, waiting, approved, decide
    ledger.arrivals     put, waiting, count, done
    ledger.tallies      days, places
    ledger.volumes      sealed, seal
    ledger.milestones   advance (cross, pass, withdraw), accept_jump
    ledger.deliveries   freeze, approve, claim, hand_over, settle, move
    ledger.posts        the same
    ledger.news         keep, picture, rests, rest, resume
    ledger.links        select, find, leaves, withdraw, extend, visited
    ledger.digests      members, merge, dissolve
    ledger.suppressions add, of, all, lift
    ledger.pacing       crowd
    ledger.relay        read, swap
    ledger.alerts       read, swap
    ledger.returns      take, mailbox, forwards
    ledger.consents     record, wordings
    ledger.erasures     find, erase, go_on, removed, done
    ledger.retention    begin, empty
    ledger.audit        since, verify

SQLite and PostgreSQL run the same code; ``tests/test_ledger.py`` is the
contract that both keep.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator

import sqlalchemy as sa

from deliverybot import model
from deliverybot.ledger import (
    alerts,
    arrivals,
    audit,
    comments,
    consents,
    digests,
    erasure,
    links,
    lock,
    migrate,
    milestones,
    news,
    pacing,
    queue,
    records,
    relay,
    retention,
    returns,
    signatures,
    signers,
    store,
    suppressions,
    tables,
    tallies,
    volumes,
)

Made = links.Made


class Ledger:
    """One database, in the words of the product."""

    def __init__(self, database: store.Store) -> None:
        self._db = database
        self.signatures = signatures.Signatures(database)
        self.signers = signers.Signers(database)
        self.comments = comments.Comments(database)
        self.arrivals = arrivals.Arrivals(database)
        self.tallies = tallies.Tallies(database)
        self.volumes = volumes.Volumes(database)
        self.milestones = milestones.Milestones(database)
        self.deliveries: queue.Queue[records.Delivery] = queue.Queue(
            database,
            thing="delivery",
            table=tables.deliveries,
            record=records.Delivery,
            moves=model.DELIVERY_MOVES,
        )
        self.posts: queue.Queue[records.Post] = queue.Queue(
            database,
            thing="post",
            table=tables.posts,
            record=records.Post,
            moves=model.POST_MOVES,
        )
        self.news = news.News(database)
        self.digests = digests.Digests(database)
        self.suppressions = suppressions.Suppressions(database)
        self.relay = relay.Relay(database)
        self.alerts = alerts.Alerts(database)
        self.pacing = pacing.Pacing(database)
        self.returns = returns.Returns(database, self.deliveries, self.suppressions)
        self.links = links.Links(database)
        self.consents = consents.Consents(database)
        self.erasures = erasure.Erasures(database, self.deliveries)
        self.retention = retention.Retention(database, self.erasures)
        self.audit = audit.Audit(database)

    @property
    def single_process(self) -> bool:
        """Tell whether one daemon at a time may work here (SQLite)."""
        return self._db.sqlite

    @property
    def shown(self) -> str:
        """The database's address without a password."""
        return self._db.shown

    def know(self, key: bytes) -> None:
        """Take the installation's key, which lies beside the ledger and never in it."""
        self._db.secret = key

    @property
    def secret(self) -> bytes:
        """The installation's key; empty where it was not taken."""
        return self._db.secret

    @property
    def revision(self) -> str:
        """The migration that the tables stand at."""
        return migrate.revision(self._db) or ""

    @contextlib.contextmanager
    def only_daemon(self, now: dt.datetime) -> Iterator[None]:
        """Be the only daemon on this ledger while the block runs.

        On SQLite a second one is refused (LedgerLocked names the first); on
        PostgreSQL many may work, kept apart by claims and leases.
        """
        if self._db.file is None:
            yield
            return
        with lock.only_one(self._db.file, now):
            yield

    def remember(self, key: str, value: str) -> str:
        """Keep a value under a key the first time; return what is kept."""
        table = tables.meta
        query = sa.select(table.c.value).where(table.c.key == key)
        with self._db.change() as tx:
            kept = tx.scalar(query)
            if kept is None:
                tx.execute(sa.insert(table), {"key": key, "value": value})
                kept = value
            return str(kept)

    def replace(self, key: str, value: str) -> None:
        """Keep another value under a key."""
        table = tables.meta
        with self._db.write() as tx:
            tx.execute(sa.delete(table).where(table.c.key == key))
            tx.execute(sa.insert(table), {"key": key, "value": value})

    def recall(self, key: str) -> str | None:
        """Return what `remember` keeps under a key; None where it was never called."""
        table = tables.meta
        with self._db.read() as tx:
            return tx.scalar(sa.select(table.c.value).where(table.c.key == key))

    def compact(self) -> bool:
        """Leave nothing of what was deleted in the database's files; see `Store.compact`."""
        return self._db.compact()

    def addressed(self) -> set[str]:
        """Return every address that any letter was ever made for."""
        query = sa.select(tables.deliveries.c.email).distinct()
        with self._db.read() as tx:
            return set(tx.scalars(query))

    def close(self) -> None:
        """Close every connection."""
        self._db.close()


def open_ledger(url: str) -> Ledger:
    """Open the ledger at an SQLAlchemy URL, brought up to this version's tables.

    Raises LedgerError when the database cannot be used, was made by a newer
    deliverybot, or is no ledger.
    """
    database = store.Store(url)
    try:
        migrate.upgrade(database)
    except BaseException:
        database.close()
        raise
    return Ledger(database)
