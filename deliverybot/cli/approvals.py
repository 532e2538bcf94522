"""Saying yes to letters: deliveries approve."""

from __future__ import annotations

import datetime as dt
import functools
import sys
from typing import TYPE_CHECKING

import click

from deliverybot import errors
from deliverybot.cli import deliveries, moves, out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deliverybot import agenda, config, ledger
    from deliverybot import campaign as campaigns
    from deliverybot.ledger import records


@deliveries.deliveries.command("approve")
@click.argument("ids", nargs=-1, required=True, type=int, metavar="ID...")
@click.option("--by", help="Who says yes; the user at the keyboard, if not given.")
@moves.digest("letter")
@click.option("--now", "at_once", is_flag=True, help="Leave the time for second thoughts out.")
@click.option("--yes", is_flag=True, help="Do not ask again on a terminal.")
@out.pass_call
def deliveries_approve(
    call: out.Call,
    ids: tuple[int, ...],
    by: str | None,
    digest: str | None,
    at_once: bool,
    yes: bool,
) -> None:
    """Say yes to the very bytes of these letters; look at them first.

    On a terminal each letter is shown once more.  The campaign's `undo` is the
    time until an approved letter may leave; `deliveries hold` stops it.  Where
    the campaign wants two people (`approvers = 2`), the second must be another
    one.
    """
    if digest is not None and len(ids) > 1:
        raise click.UsageError("--digest goes with one ID")
    settings = call.settings()
    book = call.book(settings)
    who = _person(by)
    rules = functools.cache(lambda slug: _campaign(settings, slug))
    declined = False
    for row in [book.deliveries.get(ident) for ident in ids]:
        moves.same(row, "delivery", digest)
        campaign = rules(row.campaign)
        if call.may_ask() and not yes and row.state == "held" and not row.problem:
            _show(row, settings)
            if not click.confirm("Say yes?", err=True):
                out.talk(f"not approved: delivery {row.id}")
                declined = True
                continue
        together = [campaign, *(rules(one.campaign) for one in book.digests.members(row.id))]
        _approve(book, row, together, settings, who=who, at_once=at_once)
    if declined:
        sys.exit(1)


def _approve(
    book: ledger.Ledger,
    row: records.Delivery,
    together: Sequence[campaigns.Campaign],
    settings: config.Settings,
    *,
    who: str,
    at_once: bool,
) -> None:
    """Record the yes, and say what it came to; in a digest the strictest campaign's rules hold."""
    from deliverybot.mail import frozen

    approvers = max(one.delivery.approvers for one in together)
    longest = max(one.delivery.undo_seconds for one in together)
    undo = dt.timedelta(seconds=0 if at_once else longest)
    now = out.now()
    done = book.deliveries.approve(row, who=who, now=now, approvers=approvers, undo=undo)
    word = "approved" if done else "one yes of two"
    click.echo(out.safe(f"{word}: delivery {row.id} to {row.to_name} <{row.email}>"))
    pages = out.plural(row.pages, "page")
    click.echo(f"  {settings.state / row.pdf}  ({pages})  digest {row.digest[:16]}")
    for what, path, count in frozen.several(row):
        click.echo(f"  {what}: {settings.state / path}  ({out.plural(count, 'page')})")
    if done:
        outlook = deliveries.prospects(book, settings)
        click.echo(out.safe(f"  {_goes(book.deliveries.get(row.id), together[0], outlook)}"))
    else:
        click.echo(f"  waits for somebody else: deliverybot deliveries approve {row.id} --by NAME")


def _goes(row: records.Delivery, campaign: campaigns.Campaign, outlook: agenda.Outlook) -> str:
    """Say when an approved letter leaves."""
    from deliverybot import approvals

    found = outlook.of(row)
    if found.at is None:
        return f"cannot go: {found.why}"
    when = "goes with the next run" if found.waits_for is None else str(found)
    end = approvals.expires(row, campaign)
    return when if end is None else f"{when}; the approval ends at {out.clock(end)}"


def _person(by: str | None) -> str:
    """Name who says yes; a rule's own name is nobody's."""
    who = " ".join((out.person() if by is None else by).split())
    if not who or who.casefold() == "deliverybot":
        raise click.UsageError("--by wants the name of a person")
    return who


def _campaign(settings: config.Settings, slug: str) -> campaigns.Campaign:
    """Load the campaign whose rules hold for a letter."""
    from deliverybot import campaign

    file = settings.schedules / f"{slug}.toml"
    if not file.is_file():
        message = f"there is no campaign {slug} any more: no file {file}"
        raise errors.WrongState(message, hint="put the file back, or cancel the delivery")
    return campaign.load(file)


def _show(row: records.Delivery, settings: config.Settings) -> None:
    """Show a person once more what the yes is to."""
    from deliverybot.mail import frozen

    out.pairs(
        [
            (f"delivery {row.id}", f"milestone {row.milestone} of {row.campaign}"),
            ("  subject", row.subject),
            ("  to", f"{row.to_name} <{row.email}>"),
            ("  pages", row.pages),
            ("  PDF", settings.state / row.pdf),
            *((f"  {what}", settings.state / path) for what, path, _ in frozen.several(row)),
            ("  digest", row.digest[:16]),
        ]
    )


COMMANDS: tuple[click.Command, ...] = ()
