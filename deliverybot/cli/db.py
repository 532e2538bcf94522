"""The database itself: db status, migrate, backup, confirm."""

from __future__ import annotations

import pathlib
import sys
from typing import TYPE_CHECKING

import click

from deliverybot import errors
from deliverybot.cli import out

if TYPE_CHECKING:
    from deliverybot import ledger


@click.group(cls=out.Group)
def db() -> None:
    """The database: look, bring up to date, copy, confirm after a restore."""


@db.command("status")
@out.as_json
@out.pass_call
def db_status(call: out.Call, as_json: bool) -> None:
    """Show which ledger this is, how far it is, and whether it may be trusted."""
    from deliverybot import installation

    settings = call.settings()
    book = call.book(settings)
    seq, digest = book.audit.head()
    known = {
        "database": settings.database_shown,
        "tables": book.revision,
        "log": seq,
        "hash": digest or None,
        "waiting": _open(book),
        "doubt": installation.of(book, settings.state) or None,
    }
    if as_json:
        out.dump(known)
    else:
        waiting = ", ".join(f"{count} {what}" for what, count in _open(book).items())
        out.pairs(list((known | {"waiting": waiting}).items()))


@db.command("migrate")
@out.pass_call
def db_migrate(call: out.Call) -> None:
    """Bring the database to this version's tables; every other command does so, too."""
    settings = call.settings()
    book = call.book(settings)
    click.echo(f"{settings.database_shown} has the tables of this version ({book.revision})")


@db.command("backup")
@click.argument("file", type=click.Path(dir_okay=False))
@out.pass_call
def db_backup(call: out.Call, file: str) -> None:
    """Copy the database into a new FILE, while the bot works or not; SQLite only.

    state_dir belongs to a backup, too: the PDFs and recognition.key.
    """
    from deliverybot.ledger import copies

    settings = call.settings()
    if not settings.database_url.startswith("sqlite"):
        message = "a PostgreSQL database is copied with its own tools"
        raise errors.UsageError(message, hint="pg_dump --format=custom")
    path = pathlib.Path(file)
    if path.exists():
        raise errors.UsageError(f"{file} is there already", hint="name a new file")
    copies.take(settings.database_url, path)
    click.echo(f"written: {file} ({path.stat().st_size:,} bytes)")


@db.command("confirm")
@click.option("--by", help="Who says so; the user at the keyboard, if not given.")
@out.pass_call
def db_confirm(call: out.Call, by: str | None) -> None:
    """Say that a restored, cloned or moved ledger is right, so that things go on.

    Whatever it takes for approved and not sent goes then, so look first whether
    that was sent since: hold or cancel what was.
    """
    from deliverybot import installation

    settings = call.settings()
    book = call.book(settings)
    place = installation.Place(book=book, state=settings.state, host=installation.host())
    doubt = installation.doubt(place)
    if not doubt:
        out.talk("nothing to confirm: the ledger is as far as its letters")
        return
    out.paragraphs(doubt)
    waiting = _open(book)
    click.echo(
        f"then {out.plural(waiting['deliveries'], 'letter')} and"
        f" {out.plural(waiting['posts'], 'post')} may go:"
        " `deliverybot deliveries list --state approved`"
    )
    if call.may_ask() and not click.confirm("Take this ledger for the truth?", err=True):
        out.talk("nothing was changed")
        sys.exit(1)
    installation.confirm(place, who=by or out.person(), now=out.now())
    click.echo("confirmed: letters and posts go on")


def _open(book: ledger.Ledger) -> dict[str, int]:
    """Count what leaves by itself."""
    states = ("approved", "retrying")
    return {
        "deliveries": len(book.deliveries.select(states=states)),
        "posts": len(book.posts.select(states=states)),
    }


COMMANDS = (db,)
