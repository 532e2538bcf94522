"""Deliveries and posts: list, show, approve, hold, cancel, resolve."""

from __future__ import annotations

import datetime as dt
import pathlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from deliverybot import errors, model
from deliverybot.cli import links, out, returns

if TYPE_CHECKING:
    from deliverybot import agenda, config, ledger
    from deliverybot.ledger import records

_Command = TypeVar("_Command", bound=Callable[..., Any])

_ids = click.argument("ids", nargs=-1, required=True, type=int, metavar="ID...")


def _states(known: type[model.Delivery | model.Post]) -> Callable[[_Command], _Command]:
    """Add the option that picks rows by their state."""
    return click.option(
        "--state",
        multiple=True,
        metavar="STATE",
        type=click.Choice([state.value for state in known]),
        help="Only in this state; may be given again.",
    )


@click.group(cls=out.Group)
def deliveries() -> None:
    """Letters to targets: look, approve, hold, cancel, resolve."""


@click.group(cls=out.Group)
def posts() -> None:
    """News on outlets: look, approve, hold, cancel, resolve."""


@deliveries.command("list")
@click.option("--campaign", help="Only of this campaign.")
@_states(model.Delivery)
@out.as_json
@out.pass_call
def deliveries_list(
    call: out.Call, campaign: str | None, state: tuple[str, ...], as_json: bool
) -> None:
    """List deliveries."""
    settings = call.settings()
    book = call.book(settings)
    rows = book.deliveries.select(campaign=campaign, states=state or None)
    if as_json:
        outlook = _outlook(book, settings)
        out.dump([_delivery(row, settings, outlook) for row in rows])
        return
    columns = ("id", "campaign", "milestone", "target", "state", "why")
    out.table(
        columns,
        ((r.id, r.campaign, r.milestone, r.target, r.state, r.problem or r.why) for r in rows),
        empty=f"no deliveries of a campaign {campaign!r}" if campaign else "no deliveries",
    )


@posts.command("list")
@click.option("--campaign", help="Only of this campaign.")
@_states(model.Post)
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


def _outlook(book: ledger.Ledger, settings: config.Settings) -> agenda.Outlook:
    """Return when each delivery goes; of a campaign that cannot be read, none does."""
    from deliverybot import agenda, campaign

    known = campaign.readable(settings.schedules)
    return agenda.Outlook(book, settings, {one.slug: one for one in known}, out.now())


def _delivery(
    row: records.Delivery, settings: config.Settings, outlook: agenda.Outlook
) -> dict[str, Any]:
    from deliverybot.mail import frozen

    prospect = outlook.of(row)
    return {
        "id": row.id,
        "campaign": row.campaign,
        "milestone": row.milestone,
        "target": row.target,
        "email": row.email,
        "state": row.state,
        "message_id": row.message_id,
        "pdf": str(settings.state / row.pdf) if row.pdf else None,
        "pdf_sha256": row.pdf_sha256 or None,
        "pages": row.pages,
        "subject": row.subject,
        "digest": row.digest or None,
        "approved_by": row.approved_by or None,
        "approved_at": row.approved_at,
        "agreed_by": row.agreed_by or None,
        "part": row.part,
        "parts": frozen.parts(row),
        "attempts": row.attempts,
        "reply": row.reply or None,
        "next_try": row.next_try,
        "sent_at": row.sent_at,
        "why": row.why,
        "problem": row.problem or None,
        "merged_into": row.merged_into,
        "goes_at": prospect.at,
        "waits_for": prospect.waits_for,
        "waits_why": prospect.why or None,
    }


def _post(row: records.Post) -> dict[str, Any]:
    return {
        "id": row.id,
        "campaign": row.campaign,
        "milestone": row.milestone,
        "outlet": row.outlet,
        "state": row.state,
        "text": row.text,
        "url": row.url or None,
        "attempts": row.attempts,
        "reply": row.reply or None,
        "next_try": row.next_try,
        "posted_at": row.posted_at,
        "approved_by": row.approved_by or None,
        "why": row.why,
        "problem": row.problem or None,
    }


@deliveries.command("show")
@click.argument("ident", type=int, metavar="ID")
@click.option("--eml", type=click.Path(dir_okay=False), help="Write the mail itself to a file.")
@click.option(
    "--part", type=click.IntRange(min=1), default=1,
    help="Which of several mails; the first, if not given.",
)  # fmt: skip
@out.as_json
@out.pass_call
def deliveries_show(call: out.Call, ident: int, eml: str | None, part: int, as_json: bool) -> None:
    """Show one delivery: the mail, its PDF, every try and every change."""
    settings = call.settings()
    book = call.book(settings)
    row = book.deliveries.get(ident)
    outlook = _outlook(book, settings)
    known = _delivery(row, settings, outlook)
    known |= _several(row, settings, as_json=as_json)
    if found := book.links.select(deliveries=[row.id]):
        known["link"] = links.told(found[-1], as_json=as_json)
    if part > known["parts"]:
        raise errors.UsageError(f"delivery {row.id} goes in {out.plural(known['parts'], 'mail')}")
    if eml:
        _write_eml(book, row, part, settings, pathlib.Path(eml))
    # A section of a digest came back with the digest.
    back = book.returns.all(delivery_id=row.merged_into or row.id)
    if as_json:
        known["returns"] = [returns.known(one, settings) for one in back]
    else:
        known |= {"goes_at": str(outlook.of(row)), "waits_why": None}
    _show(book, "delivery", row, known, as_json=as_json)
    if not as_json:
        returns.table(back, title="Came back")
    if not as_json and row.text:
        from deliverybot.mail import frozen

        click.echo()
        out.paragraphs(frozen.letter(row, settings.state, out.now(), part=part).text)


def _several(row: records.Delivery, settings: config.Settings, *, as_json: bool) -> dict[str, Any]:
    """Name what goes in several mails or lies behind a link; nothing where one mail has all."""
    from deliverybot.mail import frozen

    found = [(what, str(settings.state / path), n) for what, path, n in frozen.several(row)]
    if not as_json:
        return {what: path for what, path, _ in found}
    return {"carried": [{"what": what, "file": path, "pages": n} for what, path, n in found]}


def _write_eml(
    book: ledger.Ledger,
    row: records.Delivery,
    part: int,
    settings: config.Settings,
    file: pathlib.Path,
) -> None:
    """Write the very bytes that were sent; before the first try, those of a try now."""
    from deliverybot import letters
    from deliverybot.mail import dkim, frozen, message

    if not row.pdf:
        error = f"delivery {row.id} is not rendered yet"
        raise errors.WrongState(error, hint="`deliverybot run --once` renders it")
    begun = row.first_try if part == row.part else None
    letter = frozen.letter(row, settings.state, begun or out.now(), part=part)
    with file.open("wb") as out_:
        out_.writelines(message.build(letter, dkim.load(settings)).chunks())
    letters.tidy(book, settings)
    out.talk(f"written: {file}")


@posts.command("show")
@click.argument("ident", type=int, metavar="ID")
@out.as_json
@out.pass_call
def posts_show(call: out.Call, ident: int, as_json: bool) -> None:
    """Show one post: its text, every try and every change."""
    book = call.book(call.settings())
    row = book.posts.get(ident)
    _show(book, "post", row, _post(row), as_json=as_json)


def _show(
    book: ledger.Ledger,
    thing: str,
    row: records.Delivery | records.Post,
    known: dict[str, Any],
    *,
    as_json: bool,
) -> None:
    table = book.deliveries if thing == "delivery" else book.posts
    tries = table.attempts(row.id)
    log = list(book.audit.since(thing=thing, ref=str(row.id)))
    if as_json:
        out.dump(known | {"tries": tries, "audit": log})
        return
    out.pairs(list(known.items()))
    if tries:
        out.table(
            ("at", "outcome", "reply"),
            ((t.at, t.outcome, _said(t)) for t in tries),
            title="Tries",
        )
    out.table(
        ("at", "who", "from", "to", "why"),
        ((r.at, r.who, r.old, r.new, r.why) for r in log),
        title="Changes",
    )


def _said(attempt: records.Attempt) -> str:
    parts = (attempt.phase, str(attempt.code or ""), attempt.enhanced, attempt.text)
    return " ".join(part for part in parts if part)


@posts.command("approve")
@_ids
@click.option("--by", help="Who says yes; the user at the keyboard, if not given.")
@out.pass_call
def posts_approve(call: out.Call, ids: tuple[int, ...], by: str | None) -> None:
    """Say yes to the very text of these posts."""
    book = call.book(call.settings())
    for row in [book.posts.get(ident) for ident in ids]:
        book.posts.approve(row, who=by or out.person(), now=out.now())
        click.echo(f"approved: post {row.id} on {row.outlet}")


def _mover(group: click.Group, noun: str, new: str, help_: str) -> None:
    """Add the command that moves rows of one kind into one state."""

    @group.command("hold" if new == "held" else "cancel", help=help_)
    @_ids
    @click.option("--why", default="", help="The reason, for the audit log.")
    @out.pass_call
    def move(call: out.Call, ids: tuple[int, ...], why: str) -> None:
        book = call.book(call.settings())
        table: Any = book.deliveries if noun == "delivery" else book.posts
        from deliverybot.ledger import queue

        taken_back = queue.UNAPPROVED if new == "held" else {}
        for row in [table.get(ident) for ident in ids]:
            if row.state == "unsure":
                message = f"{noun} {row.id} is unsure: it may be there already"
                hint = f"`deliverybot {group.name} resolve {row.id}` settles it"
                raise errors.WrongState(message, hint=hint)
            reason = why or f"{new} by hand"
            table.move(row, new, who=out.person(), why=reason, now=out.now(), values=taken_back)
            click.echo(f"{new}: {noun} {row.id}{_begun(row)}")


def _begun(row: records.Delivery | records.Post) -> str:
    """Say what of a letter in several mails is there already, and cannot be called back."""
    from deliverybot.ledger import records
    from deliverybot.mail import frozen

    if not isinstance(row, records.Delivery) or row.part == 1:
        return ""
    here = "mail 1 is" if row.part == 2 else f"mails 1 to {row.part - 1} are"  # noqa: PLR2004 - the second
    return f" ({here} there already, of {frozen.parts(row)})"


_mover(deliveries, "delivery", "held", "Take an approval back; nothing goes until a new one.")
_mover(deliveries, "delivery", "cancelled", "Never send these letters.")
_mover(posts, "post", "held", "Take an approval back; nothing goes until a new one.")
_mover(posts, "post", "cancelled", "Never publish these posts.")


@deliveries.command("resolve")
@click.argument("ident", type=int, metavar="ID")
@click.option("--sent", "answer", flag_value="sent", help="It arrived.")
@click.option("--resend", "answer", flag_value="resend", help="It did not; send it again.")
@click.option("--why", default="", help="How you know, for the audit log.")
@out.pass_call
def deliveries_resolve(call: out.Call, ident: int, answer: str | None, why: str) -> None:
    """Settle a delivery that is unsure, or that waits for a person's decision.

    Of a letter in several mails it is about the one that went last: --sent
    lets the next one go, --resend repeats it.

    An unsure letter that is resent carries the same Message-ID and bytes, so a
    second copy can be recognised; any other goes back to be approved again.
    """
    from deliverybot import outcomes
    from deliverybot.ledger import queue

    if answer is None:
        raise click.UsageError("say --sent or --resend")
    settings = call.settings()
    book = call.book(settings)
    row = book.deliveries.get(ident)
    if row.state not in {"unsure", "human"}:
        message = f"delivery {row.id} is {row.state}; only unsure and human can be resolved"
        raise errors.WrongState(message)
    if answer == "resend" and row.state == "unsure":
        _confirm(call, f"delivery {row.id} to {row.to_name} <{row.email}>", "letter", row.reply)
    now = out.now()
    new, values = outcomes.taken(row, row.handed_at or now)
    if new == "approved":
        values["handed_at"] = row.handed_at or now
    if answer == "resend":
        new = "retrying" if row.state == "unsure" else "held"
        values = {"next_try": None}
        if new == "held":
            # What is left of several mails does not forget that the first is there.
            anew = {"handed_at": None} if row.part == 1 else {"first_try": None}
            values |= {**queue.UNAPPROVED, **anew}
    # The fence moves on, so that no worker can settle this row behind a person's back.
    values["fence"] = row.fence + 1
    reason = why or f"resolved by hand: {answer}"
    if new == "sent" and row.linked:
        _open_link(book, row, settings, now)
    book.deliveries.move(row, new, who=out.person(), why=reason, now=now, values=values)
    click.echo(f"{new}: delivery {row.id}")


def _open_link(
    book: ledger.Ledger, row: records.Delivery, settings: config.Settings, now: dt.datetime
) -> None:
    """Let the link's time start where the letter came there by another way than ours."""
    from deliverybot import campaign

    rules = campaign.load(settings.schedules / f"{row.campaign}.toml").delivery
    book.links.leaves(row.id, (row.handed_at or now) + dt.timedelta(days=rules.link_days))


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
        _confirm(call, f"post {row.id} on {row.outlet}", "post", row.reply)
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


def _confirm(call: out.Call, what: str, thing: str, reply: str) -> None:
    """Ask the person who sits here whether a second copy is worth the risk."""
    if not call.may_ask():
        return
    out.talk(out.safe(f"{what} is unsure: {reply or 'it was cut off before the answer'}."))
    out.talk(f"It may be there already; then a second {thing} arrives and cannot be called back.")
    if not click.confirm("Send it again?", err=True):
        out.talk("nothing was changed")
        sys.exit(1)


COMMANDS = (deliveries, posts)
