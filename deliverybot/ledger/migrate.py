"""Bringing a database to this version's tables, with Alembic."""

from __future__ import annotations

import pathlib

import sqlalchemy as sa

from deliverybot import errors
from deliverybot.ledger import store

#: The migration that this version's tables stand at.
HEAD = "0008"


def upgrade(database: store.Store) -> None:
    """Apply the migrations that are missing; do nothing when all are there.

    Raises LedgerError for a database of a newer deliverybot, or one that holds
    other tables than ours.
    """
    with database.read() as tx:
        if _revision(tx) == HEAD:
            return
    # Alembic is loaded only when there is something for it to do.
    from alembic import command, config, script  # noqa: PLC0415

    alembic = config.Config()
    folder = pathlib.Path(__file__).parent / "migrations"
    alembic.set_main_option("script_location", str(folder).replace("%", "%%"))
    known = {r.revision for r in script.ScriptDirectory.from_config(alembic).walk_revisions()}
    with database.write() as tx:
        if not database.sqlite:
            # Two processes may start on an empty database at once.
            tx.execute(sa.text("SELECT pg_advisory_xact_lock(7237129)"))
        _refuse(tx, _revision(tx), known, database.shown)
        alembic.attributes["connection"] = tx
        command.upgrade(alembic, HEAD)


def revision(database: store.Store) -> str | None:
    """Return the migration that a database stands at."""
    with database.read() as tx:
        return _revision(tx)


def require(tx: sa.Connection, shown: str) -> None:
    """Raise LedgerError for a database that has not this version's tables; changes nothing."""
    if _revision(tx) != HEAD:
        message = f"the ledger {shown} has not the tables of this version"
        raise errors.LedgerError(message, hint="`deliverybot db migrate` brings it to them")


def _revision(tx: sa.Connection) -> str | None:
    if not sa.inspect(tx).has_table("alembic_version"):
        return None
    found = tx.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return None if found is None else str(found)


def _refuse(tx: sa.Connection, current: str | None, known: set[str], shown: str) -> None:
    if current is not None and current not in known:
        message = f"the ledger {shown} was made by a newer deliverybot ({current})"
        raise errors.LedgerError(message, hint="install that version or a later one")
    if current is None and sa.inspect(tx).get_table_names():
        message = f"the database {shown} holds tables that are not deliverybot's"
        raise errors.LedgerError(message, hint="give deliverybot a database of its own")
