"""Links to lists of signers: list, show, withdraw, extend."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import click

from deliverybot.cli import out

if TYPE_CHECKING:
    from deliverybot import config
    from deliverybot.ledger import records


@click.group(cls=out.Group)
def links() -> None:
    """Addresses that lists of signers lie behind: look, withdraw, extend."""


@links.command("list")
@click.option("--campaign", help="Only of this campaign.")
@out.as_json
@out.pass_call
def links_list(call: out.Call, campaign: str | None, as_json: bool) -> None:
    """List links: whose, how long they work, how often somebody looked."""
    settings = call.settings()
    found = call.book(settings).links.select(campaign=campaign)
    now = out.now()
    if as_json:
        out.dump([_link(one, settings, now) for one in found])
        return
    columns = ("id", "campaign", "target", "state", "until", "visits")
    out.table(
        columns,
        ((n.id, n.campaign, n.target, n.state(now), n.expires_at or "", n.visits) for n in found),
        empty="no links",
    )


def _link(link: records.Link, settings: config.Settings, now: dt.datetime) -> dict[str, Any]:
    return {
        "id": link.id,
        "delivery": link.delivery_id,
        "campaign": link.campaign,
        "target": link.target,
        "state": link.state(now),
        "file": str(settings.state / link.path),
        "sha256": link.sha256,
        "made_at": link.made_at,
        "expires_at": link.expires_at,
        "withdrawn_at": link.withdrawn_at,
        "withdrawn_by": link.withdrawn_by or None,
        "visits": link.visits,
    }


def told(link: records.Link, *, as_json: bool) -> object:
    """Say of a delivery's link what matters there."""
    now = out.now()
    if as_json:
        return {
            "id": link.id, "state": link.state(now), "expires_at": link.expires_at,
            "visits": link.visits,
        }  # fmt: skip
    state = link.state(now)
    until = f" until {link.expires_at:%Y-%m-%d %H:%M} UTC" if link.expires_at else ""
    return (
        f"{link.id}, {state}{until if state == 'open' else ''}, {out.plural(link.visits, 'visit')}"
    )


@links.command("show")
@click.argument("ident", type=int, metavar="ID")
@out.as_json
@out.pass_call
def links_show(call: out.Call, ident: int, as_json: bool) -> None:
    """Show one link, every look at it and every change."""
    settings = call.settings()
    book = call.book(settings)
    known = _link(book.links.get(ident), settings, out.now())
    visits = book.links.visits(ident)
    log = list(book.audit.since(thing="link", ref=str(ident)))
    if as_json:
        out.dump(known | {"visits": visits, "audit": log})
        return
    out.pairs(list(known.items()))
    columns = ("at", "status", "first", "bytes", "agent")
    if visits:
        rows = ((v.at, v.status, v.first, v.bytes, v.agent) for v in visits)
        out.table(columns, rows, title="Visits")
    if log:
        changes = ((r.at, r.who, r.new, r.why) for r in log)
        out.table(("at", "who", "to", "why"), changes, title="Changes")


@links.command("withdraw")
@click.argument("ident", type=int, metavar="ID")
@click.option("--why", default="", help="The reason, for the audit log.")
@out.pass_call
def links_withdraw(call: out.Call, ident: int, why: str) -> None:
    """Let a link lead nowhere any more, for good; whoever has the list keeps it."""
    book = call.book(call.settings())
    reason = why or "withdrawn by hand"
    book.links.withdraw(ident, who=out.person(), why=reason, now=out.now())
    seen = book.links.get(ident).visits
    click.echo(f"withdrawn: link {ident}, after {out.plural(seen, 'visit')}")


@links.command("extend")
@click.argument("ident", type=int, metavar="ID")
@click.option(
    "--days", type=click.IntRange(1, 3650), default=30, show_default=True,
    help="How long it works from now on.",
)  # fmt: skip
@click.option("--why", default="", help="The reason, for the audit log.")
@out.pass_call
def links_extend(call: out.Call, ident: int, days: int, why: str) -> None:
    """Let a link work longer, also one that has expired."""
    book = call.book(call.settings())
    now = out.now()
    until = now + dt.timedelta(days=days)
    reason = why or f"{out.plural(days, 'day')} more by hand"
    book.links.extend(ident, until, who=out.person(), why=reason, now=now)
    click.echo(f"open until {until:%Y-%m-%d %H:%M} UTC: link {ident}")


COMMANDS = (links,)
