"""Working: run and preview."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import pathlib
import resource
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from deliverybot import errors
from deliverybot.cli import out, progress

if TYPE_CHECKING:
    from deliverybot import campaign as campaigns
    from deliverybot import config, daemon, ledger, material, paper


@click.command(short_help="Do the work: read, render, send, post.")
@click.option("--once", is_flag=True, help="Do all that is due now, then stop.")
@click.option("--no-web", is_flag=True, help="Hand out no lists of signers, whatever [web] says.")
@click.option("-v", "--verbose", is_flag=True, help="Say more about what is done.")
@out.pass_call
def run(call: out.Call, once: bool, no_web: bool, verbose: bool) -> None:
    """Read signatures, render letters, send what is approved, post.

    SIGTERM or Ctrl-C ends what is in hand within seconds and stops.
    config.toml and the campaign files are read at the start: start again after
    changing them.  --once leaves with 1 when a source could not be read; it
    asks one that failed again at once, where run without it waits a while.

    With a section [web] in config.toml the lists of signers that letters lead
    to are handed out as long as it runs; --once hands out none.
    """
    from deliverybot import daemon, steps

    log_to_terminal(verbose=verbose, once=once)
    # A core file would hold the passwords.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    settings = call.settings()
    known = call.campaigns(settings)
    # A run without end speaks in log lines, which stay readable where bars would come and go.
    telling = progress.reporter() if once else contextlib.nullcontext(progress.Lines())
    with contextlib.closing(call.book(settings)) as book, telling as reporter:
        works = steps.Works(book, settings, known, clock=out.now, reporter=reporter)
        beside = [] if once or no_web else _web(book, settings, known)
        asyncio.run(daemon.once(works) if once else daemon.run(works, beside))
    if once:
        _tell(call, settings, known)
    if once and works.unread:
        sys.exit(errors.SourceError.exit_code)


def _web(
    book: ledger.Ledger, settings: config.Settings, known: Mapping[str, campaigns.Campaign]
) -> list[daemon.Beside]:
    """Return the web server, where config.toml asks for one."""
    if settings.web is None:
        return []
    from deliverybot import web
    from deliverybot.web import server, webhooks

    receivers = webhooks.receivers(known, settings)
    return [server.serving(web.app(book, settings.state, out.now, receivers), settings.web)]


def _tell(call: out.Call, settings: config.Settings, known: dict[str, campaigns.Campaign]) -> None:
    """After --once: where each campaign stands, and what waits."""
    from deliverybot import overview

    with contextlib.closing(call.book(settings)) as book:
        state = overview.status(book, known, settings, out.now())
    for one in state.campaigns:
        named = "" if one.numbers_alone else f", {one.listed} may be named"
        counts = out.plural(one.signatures, "signature") + named
        states = {"deliveries": one.deliveries, "posts": one.posts}
        stand = "".join(f"; {what}: {out.counts(n)}" for what, n in states.items() if n)
        out.paragraphs(f"{one.slug}: {counts}{stand}")
        for why in one.reasons:
            out.reason(why)
    if state.relay.paused:
        out.reason(state.relay.said())


def log_to_terminal(*, verbose: bool, once: bool) -> None:
    """Say on standard error what the work logs."""
    level = logging.DEBUG if verbose else logging.WARNING if once else logging.INFO
    # What libraries say of their inner life may hold secrets and helps nobody.
    handler = _Voice()
    handler.setFormatter(_Plain("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    # It warns at each look for work while a long letter is in hand, as it should be.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    logging.getLogger("deliverybot").setLevel(level)
    logging.getLogger(progress.log.name).setLevel(logging.INFO)


class _Voice(logging.Handler):
    """Writes log lines to standard error as it is at the time: a bar there takes it over."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message; a closed pipe ends no work."""
        try:
            # Not by click, which would write past the bar.
            for line in out.folded(self.format(record), sys.stderr):
                sys.stderr.write(f"{line}\n")
            sys.stderr.flush()
        except OSError:
            self.handleError(record)


class _Plain(logging.Formatter):
    """Writes what others said so that it steers no terminal and passes for no line of ours."""

    def format(self, record: logging.LogRecord) -> str:
        return out.safe(super().format(record)).replace("\n", "\n    ")


@click.command(short_help="Show what would go out; sends nothing.")
@click.argument("campaign")
@click.option("--target", "target_id", help="Id of the target; the first, if not given.")
@click.option(
    "--at", type=int, help="As it was when this many had signed; now, if not given. With --as post "
    "or card also a number that is still to come.",
)  # fmt: skip
@click.option(
    "--as", "form", type=click.Choice(["letter", "mail", "post", "card", "pdf"]), default="letter",
    show_default=True, help="letter: its HTML; mail: the words, or with -o FILE.eml the mail as it "
    "would be sent, byte for byte; post: each text; card: a post's picture; pdf: the file.",
)  # fmt: skip
@click.option(
    "--part", type=click.IntRange(min=1),
    help="With --as mail: which one, where the letter goes in several; its PDF is made to see.",
)  # fmt: skip
@click.option(
    "--theme", type=click.Choice(["light", "dark"]),
    help="With --as card: another one than the first post with a card has.",
)  # fmt: skip
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write it to this file.")
@out.pass_call
def preview(
    call: out.Call,
    *,
    campaign: str,
    target_id: str | None,
    at: int | None,
    form: str,
    part: int | None,
    theme: str | None,
    output: str | None,
) -> None:
    """Show what a target would get or an outlet would post; sends nothing."""
    from deliverybot import paper
    from deliverybot import preview as desk

    log_to_terminal(verbose=False, once=True)
    settings = call.settings()
    one = call.campaign(settings, campaign)
    target = out.target_of(one, target_id)
    with (
        contextlib.closing(call.book(settings)) as book,
        progress.reporter() as reporter,
        desk.filled(book, one, settings, now=out.now(), reporter=reporter) as filled,
    ):
        ahead = form in {"post", "card"}
        # A post is written once for all targets, as if for the first: see `steps`.
        target = one.targets[0] if ahead else target
        case = desk.case(filled, one, target, settings=settings, at=at, now=out.now(), ahead=ahead)
        hands = paper.Desk(
            book=filled, settings=settings, clock=out.now, reporter=reporter, seal=False
        )
        file = pathlib.Path(output or f"{campaign}.{'png' if form == 'card' else 'pdf'}")
        text, written = "", []
        if form == "pdf" or (form == "mail" and file.suffix == ".eml"):
            reporter.rendering(campaign, target.id)
            written = _write(case, file, hands, (part or 1) if form == "mail" else None)
        elif form == "card":
            size = file.write_bytes(asyncio.run(desk.card(case, theme or "", hands)))
            written = [f"{file} ({size:,} bytes)"]
        elif form == "mail" and part:
            reporter.rendering(campaign, target.id)
            text = asyncio.run(desk.mail(case, part, hands))
        else:
            text = desk.text(filled, case, settings, form)
    # Said when the bars are gone: they would wipe it away.
    for line in written:
        out.talk(f"written: {line}")
    if not written:
        _emit(text, output)


def _write(
    case: material.Case, file: pathlib.Path, hands: paper.Desk, part: int | None
) -> list[str]:
    """Make a mail, or without `part` a PDF, and return the files to tell of."""
    from deliverybot import preview

    if part:
        made = asyncio.run(preview.eml(case, part, file, hands))
        return [f"{file} ({made.size:,} bytes, as it would be sent)"]
    printed = asyncio.run(preview.pdf(case, file, hands))
    pieces = printed.parts if len(printed.parts) > 1 else ()
    pages = out.plural(printed.pages, "page")
    return [f"{file} ({pages})", *(str(piece.path) for piece in pieces)]


def _emit(text: str, output: str | None) -> None:
    if output:
        pathlib.Path(output).write_text(text, encoding="utf-8")
        out.talk(f"written: {output}")
    else:
        # A pipe gets the very letters, a terminal none that steer it.
        click.echo(out.safe(text) if sys.stdout.isatty() else text)


COMMANDS = (run, preview)
