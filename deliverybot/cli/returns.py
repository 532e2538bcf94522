"""What came back: list, show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from deliverybot import model
from deliverybot.cli import out

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deliverybot import config
    from deliverybot.ledger import records


@click.group(cls=out.Group)
def returns() -> None:
    """Mails that came back: bounces, notices, answers."""


@returns.command("list")
@click.option("--campaign", help="Only of this campaign.")
@click.option("--delivery", type=int, metavar="ID", help="Only about this delivery.")
@click.option(
    "--kind",
    type=click.Choice([kind.value for kind in model.Return]),
    metavar="KIND",
    help="Only of this kind.",
)
@out.as_json
@out.pass_call
def returns_list(
    call: out.Call, campaign: str | None, delivery: int | None, kind: str | None, as_json: bool
) -> None:
    """List what came back."""
    settings = call.settings()
    rows = call.book(settings).returns.all(delivery_id=delivery, kind=kind)
    rows = [row for row in rows if campaign in {None, row.campaign}]
    if as_json:
        out.dump([known(row, settings) for row in rows])
        return
    table(rows, empty="nothing came back")


@returns.command("show")
@click.argument("ident", type=int, metavar="ID")
@out.as_json
@out.pass_call
def returns_show(call: out.Call, ident: int, as_json: bool) -> None:
    """Show one mail that came back: what it is about, its words, its way to a person here."""
    from deliverybot.mail import returned

    settings = call.settings()
    book = call.book(settings)
    row = book.returns.get(ident)
    tries = book.returns.attempts(ident)
    log = list(book.audit.since(thing="return", ref=str(ident)))
    file = settings.state / row.path
    # Somebody in it may have been erased since.
    text = returned.words(file.read_bytes()) if file.exists() else ""
    if as_json:
        out.dump(known(row, settings) | {"text": text, "tries": tries, "audit": log})
        return
    out.pairs(list(known(row, settings).items()))
    out.table(
        ("at", "outcome", "reply"),
        ((t.at, t.outcome, f"{t.phase} {t.code or ''} {t.text}") for t in tries),
        title="Tries to forward it",
    )
    if text:
        click.echo()
        out.paragraphs(text)


def table(rows: Iterable[records.Return], *, empty: str = "", title: str = "") -> None:
    """Print what came back, one a line."""
    columns = ("id", "at", "kind", "delivery", "target", "from", "said")
    cells = (
        (r.id, r.at, r.kind, r.delivery_id or "", r.target, r.sender, r.said or r.subject)
        for r in rows
    )
    out.table(columns, cells, empty=empty, title=title)


def known(row: records.Return, settings: config.Settings) -> dict[str, Any]:
    """Return one mail that came back, as JSON has it."""
    return {
        "id": row.id,
        "at": row.at,
        "kind": row.kind,
        "delivery": row.delivery_id,
        "campaign": row.campaign or None,
        "target": row.target or None,
        "matched": row.matched or None,
        "sender": row.sender,
        "subject": row.subject,
        "status": row.status or None,
        "said": row.said,
        "file": str(settings.state / row.path) if (settings.state / row.path).exists() else None,
        "sha256": row.sha256,
        "forward": row.forward or None,
        "forwarded_at": row.forwarded_at,
    }


COMMANDS = (returns,)
