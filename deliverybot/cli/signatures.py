"""Signatures: bring a file in by hand, decide on comments."""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from deliverybot import model
from deliverybot.cli import out, webhook

if TYPE_CHECKING:
    from deliverybot import signatures as station
    from deliverybot.ledger import milestones as verbs
    from deliverybot.ledger import records


@click.group(cls=out.Group)
def signatures() -> None:
    """The list of signers: bring in, look up, name nobody, count no more; their comments."""


@signatures.command("import")
@click.argument("campaign")
@click.argument("file", type=click.Path(dir_okay=False, exists=True, allow_dash=True))
@out.as_json
@out.pass_call
def import_(call: out.Call, campaign: str, file: str, as_json: bool) -> None:
    """Take the signatures of FILE (- for standard input) into a campaign's list.

    Whoever is on the list already counts once.  Milestones are compared with
    the new count at once; letters wait for the next run.
    """
    from deliverybot import milestones
    from deliverybot import signatures as station
    from deliverybot.cli import progress

    settings = call.settings()
    one = out.one_of(campaign, call.campaigns(settings))
    book = call.book(settings)
    key = station.recognition_key(settings.state, book)
    now = out.now()
    with _given(file) as given, progress.reporter() as reporter:
        reading = asyncio.run(
            station.read(
                book, one, key=key, now=now, given=given,
                progress=lambda batch: reporter.reading(campaign, batch.position, batch.size),
            )
        )  # fmt: skip
    domain = settings.sender.address.rpartition("@")[2]
    decision = milestones.advance(book, one, domain=domain, now=now)
    for fault in reading.skipped:
        out.talk(f"{fault.level}: {out.shown(fault)}")
    if as_json:
        out.dump(_plain(reading, decision))
    else:
        _tell(campaign, reading, decision)


@contextlib.contextmanager
def _given(file: str) -> Iterator[station.Import]:
    """Give the file, or what standard input brings."""
    from deliverybot import signatures as station

    if file != "-":
        yield station.Import(file=pathlib.Path(file))
        return
    with tempfile.TemporaryFile() as held:
        # Read here, where Ctrl-C ends it: a thread that waits for input cannot be ended.
        shutil.copyfileobj(sys.stdin.buffer, held)
        held.seek(0)
        yield station.Import(stream=held)


def _plain(reading: station.Reading, decision: verbs.Decision) -> dict[str, Any]:
    return {
        "new": reading.new,
        "known": reading.again,
        "duplicates": reading.duplicates,
        "narrowed": reading.narrowed,
        "signatures": reading.standing.signatures,
        "listed": reading.standing.listed,
        "skipped": [str(fault) for fault in reading.skipped],
        "crossed": decision.cross.key if decision.cross else None,
        "jump": decision.jump,
    }


def _tell(campaign: str, reading: station.Reading, decision: verbs.Decision) -> None:
    standing = reading.standing
    twice = f", {reading.duplicates} signed again" if reading.duplicates else ""
    click.echo(f"{reading.new} new, {reading.again} on the list already{twice}")
    click.echo(f"{standing.signatures} signatures, {standing.listed} may be named")
    if decision.cross:
        click.echo(f"milestone {decision.cross.key} is crossed; `deliverybot run` does the rest")
    if decision.jump is not None:
        click.echo(
            f"{decision.why}: milestones wait for a second reading"
            f" and `deliverybot milestones accept {campaign}`"
        )


@signatures.command("comments")
@click.argument("campaign")
@click.option("--all", "every", is_flag=True, help="Those that are decided, too.")
@out.after
@out.most
@out.as_json
@out.pass_call
def comments(
    call: out.Call, campaign: str, every: bool, after: int, most: int | None, as_json: bool
) -> None:
    """List the comments that wait for your yes or no.

    Only those of signers who agreed to be named to the target are here:
    nobody else's is ever printed.  Look twice at what stands under "beware".
    """
    book = call.book_of(campaign)
    states = list(model.Comment) if every else [model.Comment.WAITING]
    most = most or (None if as_json else out.AT_A_TIME)
    # One more than is shown tells whether there are more.
    rows = book.comments.select(campaign, states, after=after, most=most and most + 1)
    shown = rows[:most]
    if as_json:
        out.dump([_comment(row) for row in shown])
    else:
        _show(shown, every=every)
    if len(shown) < len(rows):
        out.talk(f"there are more: --after {shown[-1].number}")


def _comment(row: records.Comment) -> dict[str, Any]:
    from deliverybot import cautions

    return {
        "number": row.number,
        "name": row.name,
        "city": row.city,
        "region": row.region,
        "country": row.country,
        "comment": row.comment,
        "state": row.state,
        "named": row.named,
        "beware": cautions.of(row.comment, name=row.name, postcode=row.postcode),
        "by": row.by or None,
        "at": row.at,
    }


def _show(rows: Sequence[records.Comment], *, every: bool) -> None:
    told = [_comment(row) for row in rows]
    for one in told:
        one["beware"] = ", ".join(one["beware"] + ([] if one["named"] else ["not named now"]))
    columns = ("number", "name", *(("state",) if every else ()), "beware", "comment")
    empty = "no comments" if every else "no comments wait"
    out.table(columns, ([one[column] for column in columns] for one in told), empty=empty)


def _decider(name: str, state: model.Comment, help_: str) -> click.Command:
    @click.command(name, help=help_)
    @click.argument("campaign")
    @click.argument("numbers", nargs=-1, required=True, type=int, metavar="NUMBER...")
    @click.option("--by", help="Who decides; the user at the keyboard, if not given.")
    @click.option("--why", default="", help="The reason, for the audit log.")
    @out.pass_call
    def decider(
        call: out.Call, campaign: str, numbers: tuple[int, ...], by: str | None, why: str
    ) -> None:
        settings = call.settings()
        one = out.one_of(campaign, call.campaigns(settings))
        call.book(settings).comments.decide(
            campaign, numbers, state, who=by or out.person(), why=why or f"{state} by hand",
            now=out.now(),
        )  # fmt: skip
        for number in dict.fromkeys(numbers):
            click.echo(f"{state}: comment {number} of {campaign}")
        if one.signers.comments == "none":
            out.talk(f'the letters of {campaign} print no comments: see "comments" in [signers]')

    return decider


for _name, _state, _help in (
    ("approve-comment", model.Comment.APPROVED, "Let letters print these signers' comments."),
    ("withhold-comment", model.Comment.WITHHELD, "Print these signers' comments nowhere."),
):
    signatures.add_command(_decider(_name, _state, _help))

signatures.add_command(webhook.webhook)

COMMANDS = (signatures,)
