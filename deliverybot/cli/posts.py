"""Posts: list, show, approve, hold, cancel, resolve, resume."""

from __future__ import annotations

import pathlib
import sys
from typing import TYPE_CHECKING, Any

import click

from deliverybot import errors, model
from deliverybot.cli import moves, out

if TYPE_CHECKING:
    from deliverybot import config, ledger
    from deliverybot.ledger import records

#: What a person sees once more before saying yes.
_YES_TO = ("text", "length", "card", "alt", "cost", "digest")


@click.group(cls=out.Group)
def posts() -> None:
    """News on outlets: look, approve, hold, cancel, resolve, resume."""


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
        "digest": row.digest or None,
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
    known = _post(row) | _fits(row, settings)
    if as_json:
        known |= _goes(book, row, settings)
    else:
        known |= _in_words(row, known)
        if row.state in {"approved", "retrying"}:
            known["goes"] = _when(book, row, settings)
        if row.state == "unsure" and book.news.moved(row):
            known["account"] = f"{row.outlet} is another one by now: look at the one that it was"
    moves.show(book, "post", row, known, as_json=as_json)


def _fits(row: records.Post, settings: config.Settings) -> dict[str, Any]:
    """Return how long the text is as its network counts, and the longest that it takes."""
    from deliverybot import asking, outlets

    try:
        outlet = outlets.open_outlet(row.outlet, settings)
        draft = outlets.Draft(key=row.key, text=row.text, campaign=row.campaign)
        found = asking.measure(outlet, draft)
    except errors.DeliverybotError:  # its section is gone, or its package, or that cannot count
        return {"length": None, "limit": None}
    return {"length": found.length if row.text else None, "limit": found.limit}


def _in_words(row: records.Post, known: dict[str, Any]) -> dict[str, Any]:
    """Return what a person reads more easily than what a script does."""
    from deliverybot import allowances

    length, limit = known["length"], known["limit"]
    return {
        "card": row.image and f"a picture; `deliverybot posts show {row.id} --card FILE` writes it",
        "digest": row.digest[:16],
        "cost": allowances.money(row.cost) if row.cost else None,
        "length": f"{length:,} of {limit:,}" if length and limit else None,
        "limit": None,
    }


def _goes(book: ledger.Ledger, row: records.Post, settings: config.Settings) -> dict[str, Any]:
    """Return until when a post waits for its hours, or for its outlet, and why."""
    from deliverybot import allowances, campaign, rests

    if row.state not in {"approved", "retrying"}:
        return {"goes_at": None, "waits_why": None}
    for rest in rests.standing(book, settings, out.now()):
        if rest.outlet == row.outlet:
            why = f"goes once {row.outlet} takes posts again: {rest.why}"
            return {"goes_at": rest.until, "waits_why": why}
    known = {one.slug: one for one in campaign.readable(settings.schedules)}
    coming = allowances.prospect(known.get(row.campaign), row, out.now())
    return {"goes_at": coming and coming.at, "waits_why": coming and str(coming)}


def _when(book: ledger.Ledger, row: records.Post, settings: config.Settings) -> str:
    """Say when an approved post goes."""
    found = _goes(book, row, settings)
    later = row.next_try if row.next_try and row.next_try > out.now() else None
    why = (found["waits_why"] or "").removeprefix("goes ")
    return why or (f"at {out.clock(later)}" if later else "with the next run")


@posts.command("approve")
@moves.ids
@click.option("--by", help="Who says yes; the user at the keyboard, if not given.")
@moves.digest("post")
@click.option("--yes", is_flag=True, help="Do not ask again on a terminal.")
@out.pass_call
def posts_approve(
    call: out.Call, ids: tuple[int, ...], by: str | None, digest: str | None, yes: bool
) -> None:
    """Say yes to the very text and card of these posts; look at them first.

    On a terminal each post is shown once more.  It goes with the next run, or
    in its hours; what is posted cannot be called back.  One that cannot be
    approved holds up no other.
    """
    if digest is not None and len(ids) > 1:
        raise click.UsageError("--digest goes with one ID")
    settings = call.settings()
    book = call.book(settings)
    refused = list[errors.WrongState]()
    declined = False
    for row in [book.posts.get(ident) for ident in ids]:
        moves.same(row, "post", digest)
        if call.may_ask() and not yes and row.state == "held" and not row.problem:
            out.pairs([(f"post {row.id}", row.outlet), *_shown(row, settings).items()])
            if not click.confirm("Say yes?", err=True):
                out.talk(f"not approved: post {row.id}")
                declined = True
                continue
        try:
            book.posts.approve(row, who=by or out.person(), now=out.now())
        except errors.WrongState as error:
            refused.append(error)
            continue
        click.echo(f"approved: post {row.id} on {row.outlet}")
        click.echo(out.safe(f"  goes {_when(book, book.posts.get(row.id), settings)}"))
    for told in refused[:-1]:
        out.error(told)
    if refused:
        raise refused[-1]
    if declined:
        sys.exit(1)


def _shown(row: records.Post, settings: config.Settings) -> dict[str, Any]:
    """Return what the yes is to."""
    known = _fits(row, settings)
    words = _in_words(row, known)
    return {f"  {key}": words.get(key, getattr(row, key, None)) for key in _YES_TO}


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
        # What was before is answered: what may be there is there since now at the earliest.
        values |= {"next_try": None, "handed_at": now}
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
