"""Trying a letter out: test-send."""

from __future__ import annotations

import asyncio
import contextlib
import sys

import click

from deliverybot.cli import out, progress, work


@click.command("test-send", short_help="Send a letter to yourself, marked as a test.")
@click.argument("campaign")
@click.option("--to", required=True, metavar="ADDRESS", help="An address of your own; no target's.")
@click.option("--target", "target_id", help="Id of the target; the first, if not given.")
@click.option("--at", type=int, help="As it was when this many had signed; now, if not given.")
@out.as_json
@out.pass_call
def test_send(
    call: out.Call, campaign: str, to: str, target_id: str | None, at: int | None, as_json: bool
) -> None:
    """Send the letter as it would be now to an address of your own, marked as a test.

    It goes the way that letters go, and is none: no delivery changes by it.
    Leaves with 1 when the relay did not take it.
    """
    from deliverybot import paper, preview, signatures, trial

    work.log_to_terminal(verbose=False, once=True)
    settings = call.settings()
    known = call.campaigns(settings)
    one = out.one_of(campaign, known)
    target = out.target_of(one, target_id)
    with (
        contextlib.closing(call.book(settings)) as book,
        progress.reporter() as reporter,
        preview.filled(book, one, settings, now=out.now(), reporter=reporter) as filled,
    ):
        desk = paper.Desk(
            book=filled, settings=settings, clock=out.now, reporter=reporter, seal=False
        )
        signatures.recognition_key(settings.state, book)  # suppressed addresses are known by it
        trial.require_own(book, known.values(), desk, to)
        case = preview.case(filled, one, target, settings=settings, at=at, now=out.now())
        reporter.rendering(campaign, target.id)
        sent = asyncio.run(trial.send(book, case, desk, to=to, who=out.person()))
    if as_json:
        out.dump({"to": to, "mails": sent})
    else:
        for mail in sent:
            out.paragraphs(f"{mail.outcome}: {mail.subject} to {to} ({mail.size:,} bytes)")
            out.paragraphs(f"  {mail.reply}")
    if any(mail.outcome != "done" for mail in sent):
        sys.exit(1)


COMMANDS = (test_send,)
