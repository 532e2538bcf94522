"""Rehearsing: rehearse."""

from __future__ import annotations

import asyncio
import datetime as dt
import pathlib
import sys
from typing import TYPE_CHECKING, Any

import click

from deliverybot import errors
from deliverybot.cli import out, progress, work
from deliverybot.cli import show as looking

if TYPE_CHECKING:
    from deliverybot import campaign as campaigns
    from deliverybot import rehearsed


@click.command(short_help="Do all that is due on a copy, into a folder; sends nothing.")
@click.argument("campaign", required=False)
@click.option(
    "--at",
    type=click.DateTime(["%Y-%m-%dT%H:%M", "%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    metavar="WHEN",
    help="As if it were that time, in UTC: 2026-12-01T09:00; now, if not given.",
)
@click.option("--count", type=click.IntRange(min=1), help="As if this number were a milestone.")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False),
    help="Folder to make; named after the time, if not given.",
)
@click.option(
    "--exit-code", is_flag=True, help="Leave with 3 when something would wait for a person."
)
@out.as_json
@out.pass_call
def rehearse(
    call: out.Call,
    campaign: str | None,
    at: dt.datetime | None,
    count: int | None,
    output: str | None,
    exit_code: bool,
    as_json: bool,
) -> None:
    """Read, render, approve, mail and post on a copy of the ledger, into a folder.

    No connection is opened, and ledger and state_dir stay as they are.  It
    says what differs from the last letter that each target got, and when each
    would leave.
    """
    from deliverybot import rehearsal

    work.log_to_terminal(verbose=False, once=True)
    settings = call.settings()
    known = call.campaigns(settings)
    if campaign is not None:
        known = {campaign: out.one_of(campaign, known)}
    if count is not None:
        known = _with(known, count)
    real = out.now()
    now = at.replace(tzinfo=dt.UTC) if at else real
    if now < real - dt.timedelta(minutes=1):
        raise errors.UsageError("a rehearsal cannot be in the past", hint="leave --at out for now")
    folder = pathlib.Path(output or f"rehearsal-{real:%Y%m%d-%H%M%S}")
    with progress.reporter() as reporter:
        report = asyncio.run(
            rehearsal.rehearse(settings, known, folder, now=now, reporter=reporter)
        )
    if as_json:
        out.dump(report)
    else:
        _show(report)
    if exit_code and report.waits:
        sys.exit(looking.WAITS)


def _with(known: dict[str, campaigns.Campaign], count: int) -> dict[str, campaigns.Campaign]:
    """Add a milestone to the plan of the one campaign."""
    from deliverybot import campaign

    if len(known) > 1:
        raise click.UsageError("--count wants a CAMPAIGN")
    rule = campaign.Milestone(at=(count,))
    return {
        slug: one.model_copy(update={"milestones": (*one.milestones, rule)})
        for slug, one in known.items()
    }


def _signatures(letter: rehearsed.Letter) -> str:
    # A source that gives a number alone names nobody.
    return str(letter.signatures) + (f", {letter.listed} may be named" if letter.held else "")


def _show(report: rehearsed.Report) -> None:
    click.echo(f"rehearsed as of {out.clock(report.at)} into {report.folder}; nothing was sent")
    for letter in report.letters:
        click.echo(out.bold(f"letter {letter.id} to {letter.target}: {letter.campaign}"))
        asks = "a person is asked first; then it goes" if letter.asks else "goes"
        when = f"{asks} at {out.clock(letter.goes_at)}" if letter.goes_at else "does not go"
        out.pairs(
            [
                ("  to", letter.to),
                ("  subject", letter.subject),
                ("  mail", ", ".join(letter.mails)),
                (
                    "  PDF",
                    f"{letter.pdf} ({out.plural(letter.pages, 'page')})" if letter.pdf else "",
                ),
                ("  signatures", _signatures(letter)),
                ("  when", when),
                ("  because", letter.goes_why or ("" if letter.state == "sent" else letter.why)),
            ]
        )
        _differs(letter)
    _posts(report)
    if not report.letters and not report.posts:
        click.echo("nothing is due")
    for note in report.notes:
        out.paragraphs(note)


def _posts(report: rehearsed.Report) -> None:
    """Print each post, when it would go and what it would cost."""
    from deliverybot import allowances

    for post in report.posts:
        click.echo(out.bold(f"post {post.id} on {post.outlet}: {post.campaign}"))
        when = "a person is asked first" if post.asks else "goes by itself"
        if post.goes_at and post.goes_at > report.at:
            when += f"; outside of its hours, it goes from {out.clock(post.goes_at)} on"
        out.pairs(
            [
                ("  text", post.text),
                ("  file", post.file),
                ("  card", post.card),
                ("  shows", post.alt.replace("\n", "; ")),
                ("  cost", allowances.money(round(post.cost * 1_000_000)) if post.cost else ""),
                ("  when", when if post.state == "posted" else f"{post.state}: {post.why}"),
            ]
        )
    if cost := sum(post.cost for post in report.posts):
        click.echo(f"all posts together cost {allowances.money(round(cost * 1_000_000))}")


def _differs(letter: rehearsed.Letter) -> None:
    """Print what is not as in the last letter that the target got."""
    if letter.differs is None:
        click.echo("  the first letter to this target")
        return
    click.echo(f"  differs from delivery {letter.differs['delivery']}:")
    rest: dict[str, Any] = dict(letter.differs)
    lines = rest.pop("text", [])
    del rest["delivery"]
    out.pairs([(f"    {name}", f"{old} -> {new}") for name, (old, new) in rest.items()])
    for line in lines:
        out.paragraphs(f"    {line}")
    if not rest and not lines:
        click.echo("    in nothing")


COMMANDS = (rehearse,)
