"""Looking: status, milestones, audit."""

from __future__ import annotations

import datetime as dt
import sys
from typing import TYPE_CHECKING

import click

from deliverybot import errors
from deliverybot.cli import out

if TYPE_CHECKING:
    from deliverybot import overview

#: With --exit-code: something waits for a person.
WAITS = 3


@click.command(short_help="Show where each campaign stands.")
@click.argument("campaign", required=False)
@click.option("--exit-code", is_flag=True, help="Leave with 3 when something waits for a person.")
@out.as_json
@out.pass_call
def status(call: out.Call, campaign: str | None, exit_code: bool, as_json: bool) -> None:
    """Show where each campaign stands, and what waits for a person."""
    from deliverybot import overview

    settings = call.settings()
    known = call.campaigns(settings)
    if campaign is not None:
        known = {campaign: out.one_of(campaign, known)}
    state = overview.status(call.book(settings), known, settings, out.now())
    if as_json:
        out.dump(state.json())
    else:
        _show(state)
    if exit_code and state.waiting:
        sys.exit(WAITS)


def _listed(one: overview.Standing) -> str:
    if one.numbers_alone:
        return "nobody: the source gives a number and no names"
    return f"{one.listed} may be named, {one.hidden} may not"


def _spent(one: overview.Standing) -> str:
    from deliverybot import allowances

    return ", ".join(f"{allowances.money(cost)} on {name}" for name, cost in one.spent.items())


def _show(state: overview.Status) -> None:
    from deliverybot import reasons

    for one in state.campaigns:
        goal = f" of {one.goal}" if one.goal else ""
        as_of = f" as of {out.clock(one.as_of)}" if one.as_of else ", not read yet"
        coming = f"{one.next_at}" if one.next_at else "none ahead"
        if one.next_expected:
            coming += f", expected about {one.next_expected:%Y-%m-%d}"
        click.echo(out.bold(one.slug))
        out.pairs(
            [
                ("  title", one.title),
                ("  signatures", f"{one.signatures}{goal}{as_of}"),
                ("  listed", _listed(one)),
                ("  withdrawn", one.withdrawn or ""),
                ("  signed twice", f"{one.duplicates}, counted once" if one.duplicates else ""),
                ("  next", coming),
                ("  reached", ", ".join(f"{key} on {on:%Y-%m-%d}" for key, on in one.reached)),
                ("  deliveries", out.counts(one.deliveries)),
                ("  posts", out.counts(one.posts)),
                ("  spent", _spent(one)),
                ("  came back", out.counts(one.returns)),
            ]
        )
        for why in one.reasons:
            out.reason(why)
    if state.relay.paused:
        out.reason(state.relay.said())
    for rest in state.resting:
        out.reason(str(reasons.resting(rest)))
    _mailbox(state)
    if state.doubt:
        out.reason(str(reasons.doubtful(state.doubt)))
    click.echo(f"{state.waiting} waiting for a person, {state.trouble} in trouble")


def _mailbox(state: overview.Status) -> None:
    """Show how the reading of what comes back stands."""
    if state.mailbox is None:
        return
    read = f"read at {out.clock(state.mailbox.read_at)}" if state.mailbox.read_at else "not read"
    other = f"; about no letter of ours: {out.counts(state.unmatched)}" if state.unmatched else ""
    out.paragraphs(f"mailbox: {read}{other}")
    if state.mailbox.problem:
        out.reason(state.mailbox.problem)
    for why in state.not_forwarded:
        out.reason(why)


@click.group(cls=out.Group)
def milestones() -> None:
    """Milestones on record: list, show, accept a jump of the count."""


@milestones.command("list")
@click.argument("campaign", required=False)
@out.as_json
@out.pass_call
def milestones_list(call: out.Call, campaign: str | None, as_json: bool) -> None:
    """List milestones, of one campaign or all."""
    book = call.book(call.settings())
    rows = [
        {
            "campaign": m.campaign,
            "at": m.threshold or m.key.removeprefix("on:"),
            "kind": m.kind,
            "state": m.state,
            "count": m.signatures,
            "on": m.crossed_at,
            "listed": m.listed,
        }
        for m in book.milestones.all(campaign)
    ]
    if as_json:
        out.dump(rows)
        return
    columns = ("campaign", "at", "kind", "state", "count", "listed", "on")
    out.table(columns, ([r[c] for c in columns] for r in rows), empty="no milestone reached yet")


@milestones.command("show")
@click.argument("campaign")
@click.argument("at")
@out.as_json
@out.pass_call
def milestones_show(call: out.Call, campaign: str, at: str, as_json: bool) -> None:
    """Show one milestone (AT as `milestones list` prints it) and what came of it."""
    book = call.book(call.settings())
    recorded = book.milestones.all(campaign)
    found = next((m for m in recorded if m.key.removeprefix("on:") == at), None)
    if found is None:
        message = f"campaign {campaign} has no milestone {at} on record"
        raise errors.UsageError(message, hint="see `deliverybot milestones list`")
    rows = [d for d in book.deliveries.select(campaign=campaign) if d.milestone_id == found.id]
    posts = [p for p in book.posts.select(campaign=campaign) if p.milestone_id == found.id]
    if as_json:
        out.dump(
            out.plain(found) | {"deliveries": [d.id for d in rows], "posts": [p.id for p in posts]}
        )
        return
    out.pairs(
        [
            ("campaign", found.campaign),
            ("milestone", f"{found.key} ({found.kind})"),
            ("state", found.state),
            ("crossed", found.crossed_at),
            ("signatures", found.signatures),
            ("listed", found.listed),
            ("list frozen at", f"number {found.upto}"),
            ("asks", "a person must approve all of it" if found.ask else ""),
        ]
    )
    things = [("delivery", d.id, d.target, d.state, d.why) for d in rows]
    things += [("post", p.id, p.outlet, p.state, p.why) for p in posts]
    out.table(("what", "id", "to", "state", "why"), things, empty="nothing came of it")


@milestones.command("accept")
@click.argument("campaign")
@out.pass_call
def milestones_accept(call: out.Call, campaign: str) -> None:
    """Say that a count that jumped or fell is right, so that milestones go on."""
    book = call.book(call.settings())
    count = book.milestones.accept_jump(campaign, who=out.person(), now=out.now())
    click.echo(f"{count} signatures accepted; milestones go on with the next reading that agrees")


@click.command()
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    metavar="TIME",
    help="From this time on, in UTC: 2026-11-01 or 2026-11-01T09:00:00.",
)
@click.option("--verify", is_flag=True, help="Recompute the chain of hashes.")
@out.as_json
@out.pass_call
def audit(call: out.Call, since: dt.datetime | None, verify: bool, as_json: bool) -> None:
    """Show every change of state: who, when and why."""
    book = call.book(call.settings())
    if verify:
        rows, wrong = book.audit.verify()
        if as_json:
            out.dump({"rows": rows, "wrong": wrong})
        elif wrong is None:
            click.echo(f"the audit log is whole: {rows} rows")
        if wrong is not None:
            message = f"the audit log was changed: row {wrong} does not follow from those before"
            raise errors.LedgerError(message, hint="compare it with a backup")
        return
    log = book.audit.since(since.replace(tzinfo=dt.UTC) if since else None)
    if as_json:
        out.dump(list(log))
        return
    columns = ("at", "who", "what", "campaign", "from", "to", "why")
    rows_ = (
        (
            r.at.strftime("%Y-%m-%d %H:%M:%S"),
            r.who,
            f"{r.thing} {r.ref}",
            r.campaign,
            r.old,
            r.new,
            r.why,
        )
        for r in log
    )
    out.table(columns, rows_, empty="nothing has happened yet")


COMMANDS = (status, milestones, audit)
