"""Working: run and preview."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import pathlib
import sys
from typing import TYPE_CHECKING

import click

from deliverybot import errors
from deliverybot.cli import out, progress

if TYPE_CHECKING:
    from deliverybot import campaign as campaigns
    from deliverybot import config


@click.command(short_help="Do the work: read, render, send, post.")
@click.option("--once", is_flag=True, help="Do all that is due now, then stop.")
@click.option("-v", "--verbose", is_flag=True, help="Say more about what is done.")
@out.pass_call
def run(call: out.Call, once: bool, verbose: bool) -> None:
    """Read signatures, render letters, send what is approved, post.

    SIGTERM or Ctrl-C ends what is in hand within seconds and stops.
    """
    from deliverybot import daemon

    _log(verbose=verbose, once=once)
    settings = call.settings()
    known = call.campaigns(settings)
    with contextlib.closing(call.book(settings)) as book, progress.reporter() as reporter:
        works = daemon.Works(book, settings, known, clock=out.now, reporter=reporter)
        asyncio.run(daemon.once(works) if once else daemon.run(works))
    if once:
        _tell(call, settings, known)


def _tell(call: out.Call, settings: config.Settings, known: dict[str, campaigns.Campaign]) -> None:
    """After --once: one line a campaign, and what waits."""
    from deliverybot import overview

    with contextlib.closing(call.book(settings)) as book:
        state = overview.status(book, known, settings, out.now())
    for one in state.campaigns:
        click.echo(f"{one.slug}: {one.signatures} signatures, {one.listed} may be named")
        for why in one.reasons:
            out.reason(why)


def _log(*, verbose: bool, once: bool) -> None:
    level = logging.DEBUG if verbose else logging.WARNING if once else logging.INFO
    # What libraries say of their inner life may hold secrets and helps nobody.
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    logging.getLogger("deliverybot").setLevel(level)


@click.command(short_help="Show what would go out; sends nothing.")
@click.argument("campaign")
@click.option("--target", "target_id", help="Id of the target; the first, if not given.")
@click.option("--at", type=int, help="As if this many had signed; now, if not given.")
@click.option(
    "--as", "form", type=click.Choice(["letter", "mail", "post", "pdf"]), default="letter",
    show_default=True, help="letter: its HTML; mail: the words; post: each text; pdf: the file.",
)  # fmt: skip
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write it to this file.")
@out.pass_call
def preview(
    call: out.Call,
    campaign: str,
    target_id: str | None,
    at: int | None,
    form: str,
    output: str | None,
) -> None:
    """Show what a target would get or an outlet would post; sends nothing."""
    from deliverybot import preview as desk

    settings = call.settings()
    one = out.one_of(campaign, call.campaigns(settings))
    target = next((t for t in one.targets if target_id in {None, t.id}), None)
    if target is None:
        message = f"campaign {campaign} has no target {target_id!r}"
        raise errors.UsageError(message, hint=f"there are: {', '.join(t.id for t in one.targets)}")
    with (
        contextlib.closing(call.book(settings)) as book,
        progress.reporter() as reporter,
        desk.filled(book, one, now=out.now(), reporter=reporter) as filled,
    ):
        case = desk.case(filled, one, target, settings=settings, at=at, now=out.now())
        if form == "pdf":
            file = pathlib.Path(output or f"{campaign}.pdf")
            reporter.rendering(campaign, target.id)
            pressed = asyncio.run(desk.pdf(filled, case, settings, file))
            out.talk(f"written: {file} ({out.plural(pressed.pages, 'page')})")
            return
        _emit(desk.text(filled, case, settings, form), output)


def _emit(text: str, output: str | None) -> None:
    if output:
        pathlib.Path(output).write_text(text, encoding="utf-8")
        out.talk(f"written: {output}")
    else:
        click.echo(text)


COMMANDS = (run, preview)
