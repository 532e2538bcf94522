"""Deliveries: list, show, hold, cancel, resolve; `approvals` approves them."""

from __future__ import annotations

import datetime as dt
import pathlib
from typing import TYPE_CHECKING, Any

import click

from deliverybot import errors, model
from deliverybot.cli import links, moves, out, returns

if TYPE_CHECKING:
    from deliverybot import agenda, config, ledger
    from deliverybot.ledger import records


@click.group(cls=out.Group)
def deliveries() -> None:
    """Letters to targets: look, approve, hold, cancel, resolve."""


@deliveries.command("list")
@click.option("--campaign", help="Only of this campaign.")
@moves.states(model.Delivery)
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
        outlook = prospects(book, settings)
        out.dump([_delivery(row, settings, outlook) for row in rows])
        return
    columns = ("id", "campaign", "milestone", "target", "state", "why")
    out.table(
        columns,
        ((r.id, r.campaign, r.milestone, r.target, r.state, r.problem or r.why) for r in rows),
        empty=f"no deliveries of a campaign {campaign!r}" if campaign else "no deliveries",
    )


def prospects(book: ledger.Ledger, settings: config.Settings) -> agenda.Outlook:
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
    outlook = prospects(book, settings)
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
    moves.show(book, "delivery", row, known, as_json=as_json)
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
        shown = dict[str, str]()
        for what, path, _ in found:
            shown[what] = f"{shown[what]}, {path}" if what in shown else path
        return shown
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
    from deliverybot.mail import dkim, frozen, identity, message

    if not row.pdf:
        error = f"delivery {row.id} is not rendered yet"
        raise errors.WrongState(error, hint="`deliverybot run --once` renders it")
    begun = row.first_try if part == row.part else None
    letter = frozen.letter(row, settings.state, begun or out.now(), part=part)
    made = message.build(letter, dkim.load(settings), identity.load(settings))
    with file.open("wb") as out_:
        out_.writelines(made.chunks())
    letters.tidy(book, settings)
    out.talk(f"written: {file}")


moves.mover(deliveries, "delivery", "held", "Take an approval back; nothing goes until a new one.")
moves.mover(deliveries, "delivery", "cancelled", "Never send these letters.")


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
        moves.confirm(
            call, f"delivery {row.id} to {row.to_name} <{row.email}>", "letter", row.reply
        )
    now = out.now()
    new, values = outcomes.taken(row, row.handed_at or now)
    if new == "approved":
        values["handed_at"] = row.handed_at or now
    if answer == "resend":
        # With somebody erased, the old bytes are gone: it is made anew, and looked at again.
        new = "retrying" if row.state == "unsure" and row.erased_at is None else "held"
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


COMMANDS = (deliveries,)
