"""Suppressions: addresses that no letter may go to any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from deliverybot import model
from deliverybot.cli import out

if TYPE_CHECKING:
    from deliverybot import ledger
    from deliverybot.ledger import records


@click.group(cls=out.Group)
def suppressions() -> None:
    """Addresses that no letter may go to any more: list, add, lift."""


@suppressions.command("list")
@click.option("--all", "every", is_flag=True, help="Lifted ones, too.")
@out.as_json
@out.pass_call
def suppressions_list(call: out.Call, every: bool, as_json: bool) -> None:
    """List who must not be written to; of each address only its ends are kept."""
    book = call.book(call.settings())
    rows = [row for row in book.suppressions.all() if every or row.lifted_at is None]
    if as_json:
        out.dump([_suppression(row) for row in rows])
        return
    columns = ("id", "address", "reason", "since", "by", "evidence", "lifted")
    out.table(
        columns,
        ((r.id, r.shown, r.reason, r.at, r.by, r.evidence, _lifted(r)) for r in rows),
        empty="no address is suppressed",
    )


@suppressions.command("add")
@click.argument("address")
@click.option("--why", required=True, help="What shows it, such as their words; for the log.")
@click.option(
    "--reason",
    type=click.Choice([reason.value for reason in model.Suppression]),
    default=model.Suppression.ASKED.value,
    show_default=True,
    help="What happened.",
)
@out.as_json
@out.pass_call
def suppressions_add(call: out.Call, address: str, why: str, reason: str, as_json: bool) -> None:
    """Let no letter go to ADDRESS any more, of any campaign; what waits for it is stopped."""
    book = _book(call)
    row = book.suppressions.add(address, reason, why, out.person(), out.now())
    if as_json:
        out.dump(_suppression(row))
    else:
        click.echo(f"suppressed: {row.shown} {row}")


@suppressions.command("lift")
@click.argument("ident", type=int, metavar="ID")
@click.option("--why", required=True, help="How you know that they may be written to; for the log.")
@out.as_json
@out.pass_call
def suppressions_lift(call: out.Call, ident: int, why: str, as_json: bool) -> None:
    """Allow mail to an address again; deliverybot never does so by itself.

    What was suppressed stays so: `deliveries hold` takes it up again.
    """
    book = _book(call)
    row = book.suppressions.lift(ident, out.person(), why, out.now())
    if as_json:
        out.dump(_suppression(row))
    else:
        click.echo(f"lifted: suppression {row.id} of {row.shown}")
        if book.deliveries.select(states=["suppressed"]):
            look = "`deliverybot deliveries list --state suppressed`"
            out.talk(f"letters that were suppressed stay so: {look}, then `… hold ID`")


def _book(call: out.Call) -> ledger.Ledger:
    from deliverybot import signatures

    settings = call.settings()
    book = call.book(settings)
    signatures.recognition_key(settings.state, book)
    return book


def _suppression(row: records.Suppression) -> dict[str, Any]:
    return {
        "id": row.id,
        "address": row.shown,
        "reason": row.reason,
        "evidence": row.evidence or None,
        "by": row.by,
        "since": row.at,
        "lifted_by": row.lifted_by or None,
        "lifted_at": row.lifted_at,
    }


def _lifted(row: records.Suppression) -> str:
    return f"{out.clock(row.lifted_at)} by {row.lifted_by}" if row.lifted_at else ""


COMMANDS = (suppressions,)
