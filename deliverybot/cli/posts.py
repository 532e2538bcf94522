"""Posts: list, show, approve, hold, cancel, resolve."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Any

import click

from deliverybot import errors, model
from deliverybot.cli import moves, out

if TYPE_CHECKING:
    from deliverybot import config
    from deliverybot.ledger import records


@click.group(cls=out.Group)
def posts() -> None:
    """News on outlets: look, approve, hold, cancel, resolve."""


@posts.command("list")
@click.option("--campaign", help="Only of this campaign.")
@moves.states(model.Post)
@out.as_json
@out.pass_call
def posts_list(call: out.Call, campaign: str | None, state: tuple[str, ...], as_json: bool) -> None:
    """List posts."""
    rows = call.book(call.settings()).posts.select(campaign=campaign, states=state or None)
    if as_json:
        out.dump([_post(row) for row in rows])
        return
    columns = ("id", "campaign", "milestone", "outlet", "state", "text")
    out.table(
        columns,
        ((r.id, r.campaign, r.milestone, r.outlet, r.state, r.problem or r.text) for r in rows),
        empty=f"no posts of a campaign {campaign!r}" if campaign else "no posts",
    )


def _post(row: records.Post) -> dict[str, Any]:
    return {
        "id": row.id,
        "campaign": row.campaign,
        "milestone": row.milestone,
        "outlet": row.outlet,
        "state": row.state,
        "text": row.text,
        "language": row.language,
        "card": row.image or None,
        "alt": row.alt or None,
        "url": row.url or None,
        "cost": row.cost / 1_000_000,
        "attempts": row.attempts,
        "reply": row.reply or None,
        "next_try": row.next_try,
        "posted_at": row.posted_at,
        "approved_by": row.approved_by or None,
        "why": row.why,
        "problem": row.problem or None,
    }


@posts.command("show")
@click.argument("ident", type=int, metavar="ID")
@click.option(
    "--card", type=click.Path(dir_okay=False, writable=True, path_type=pathlib.Path),
    metavar="FILE", help="Write its card, a PNG, to this file.",
)  # fmt: skip
@out.as_json
@out.pass_call
def posts_show(call: out.Call, ident: int, card: pathlib.Path | None, as_json: bool) -> None:
    """Show one post: its text, its card, every try and every change."""
    settings = call.settings()
    book = call.book(settings)
    row = book.posts.get(ident)
    if card is not None:
        if not row.image:
            raise errors.UsageError(f"post {ident} has no card", hint="leave --card out")
        card.write_bytes(book.news.picture(row.image))
        out.talk(f"written: {card}")
    moves.show(book, "post", row, _post(row) | _waits(row, settings), as_json=as_json)


def _waits(row: records.Post, settings: config.Settings) -> dict[str, Any]:
    """Return until when an approved post waits for its hours, and why."""
    from deliverybot import allowances, campaign

    known = {one.slug: one for one in campaign.readable(settings.schedules)}
    coming = allowances.prospect(known.get(row.campaign), row, out.now())
    return {"goes_at": coming and coming.at, "waits_why": coming and str(coming)}


@posts.command("approve")
@moves.ids
@click.option("--by", help="Who says yes; the user at the keyboard, if not given.")
@out.pass_call
def posts_approve(call: out.Call, ids: tuple[int, ...], by: str | None) -> None:
    """Say yes to the very text and card of these posts."""
    book = call.book(call.settings())
    for row in [book.posts.get(ident) for ident in ids]:
        book.posts.approve(row, who=by or out.person(), now=out.now())
        click.echo(f"approved: post {row.id} on {row.outlet}")


moves.mover(posts, "post", "held", "Take an approval back; nothing goes until a new one.")
moves.mover(posts, "post", "cancelled", "Never publish these posts.")


@posts.command("resolve")
@click.argument("ident", type=int, metavar="ID")
@click.option("--posted", metavar="URL", help="It is there, at this address.")
@click.option("--again", is_flag=True, help="It is not; post it again.")
@click.option("--why", default="", help="How you know, for the audit log.")
@out.pass_call
def posts_resolve(call: out.Call, ident: int, posted: str | None, again: bool, why: str) -> None:
    """Settle a post that is unsure."""
    if bool(posted) == again:
        raise click.UsageError("say --posted URL or --again")
    if posted and not posted.startswith(("https://", "http://")):
        raise click.UsageError("--posted wants the post's address, such as https://...")
    book = call.book(call.settings())
    row = book.posts.get(ident)
    if row.state != "unsure":
        message = f"post {row.id} is {row.state}; only unsure can be resolved"
        raise errors.WrongState(message)
    if again:
        moves.confirm(call, f"post {row.id} on {row.outlet}", "post", row.reply)
    now = out.now()
    values: dict[str, Any] = {"fence": row.fence + 1}
    if posted:
        values |= {"url": posted, "posted_at": row.handed_at or now}
    else:
        values |= {"next_try": None}
    reason = why or "resolved by hand: " + ("posted" if posted else "again")
    new = "posted" if posted else "retrying"
    book.posts.move(row, new, who=out.person(), why=reason, now=now, values=values)
    click.echo(f"{new}: post {row.id}")


@posts.command("resume")
@click.argument("outlet")
@out.pass_call
def posts_resume(call: out.Call, outlet: str) -> None:
    """Use an outlet again that nothing is posted on.

    An outlet whose account was refused is left alone until its section or its
    secrets change, one that asked for patience until its time is over; this
    ends both at once.
    """
    settings = call.settings()
    if outlet not in settings.outlets:
        raise errors.UsageError(
            f"config.toml has no outlet {outlet!r}",
            hint=f"the outlets are: {', '.join(settings.outlets) or 'none'}",
        )
    book = call.book(settings)
    if book.news.resume(outlet, who=out.person(), why="resumed by hand", now=out.now()):
        click.echo(f"resumed: {outlet}")
    else:
        click.echo(f"{outlet} was not left alone; nothing to do")


COMMANDS = (posts,)
