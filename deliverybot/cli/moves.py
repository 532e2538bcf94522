"""What the commands on deliveries and on posts share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from deliverybot import errors, model
from deliverybot.cli import out

if TYPE_CHECKING:
    from deliverybot import ledger
    from deliverybot.ledger import records

_Command = TypeVar("_Command", bound=Callable[..., Any])

ids = click.argument("ids", nargs=-1, required=True, type=int, metavar="ID...")
#: Fewer digits of a digest could be met by chance.
LEAST_DIGITS = 8


def digest(said: str) -> Callable[[_Command], _Command]:
    """Add the option that approves only what was read; `said` names the thing."""
    return click.option(
        "--digest",
        metavar="PREFIX",
        help=f"Only if the {said}'s digest still begins so: what was read is what is approved.",
    )


def same(row: records.Delivery | records.Post, noun: str, prefix: str | None) -> None:
    """Refuse a row that is not the one whose digest was read."""
    if prefix is None:
        return
    wanted = prefix.strip().lower()
    if len(wanted) < LEAST_DIGITS:
        raise click.UsageError(f"--digest wants {LEAST_DIGITS} digits at least")
    if not row.digest.startswith(wanted):
        said, group = ("letter", "deliveries") if noun == "delivery" else (noun, "posts")
        message = f"{noun} {row.id} is not the {said} that was read: its digest is now "
        raise errors.WrongState(
            message + (row.digest[:16] or "none"),
            hint=f"look again: deliverybot {group} show {row.id}",
        )


def states(known: type[model.Delivery | model.Post]) -> Callable[[_Command], _Command]:
    """Add the option that picks rows by their state."""
    return click.option(
        "--state",
        multiple=True,
        metavar="STATE",
        type=click.Choice([state.value for state in known]),
        help="Only in this state; may be given again.",
    )


def show(
    book: ledger.Ledger,
    thing: str,
    row: records.Delivery | records.Post,
    known: dict[str, Any],
    *,
    as_json: bool,
) -> None:
    """Print a row with every try and every change of state."""
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


def mover(group: click.Group, noun: str, new: str, help_: str) -> None:
    """Add the command that moves rows of one kind into one state."""

    @group.command("hold" if new == "held" else "cancel", help=help_)
    @ids
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


def confirm(call: out.Call, what: str, thing: str, reply: str) -> None:
    """Ask the person who sits here whether a second copy is worth the risk."""
    if not call.may_ask():
        return
    out.talk(out.safe(f"{what} is unsure: {reply or 'it was cut off before the answer'}."))
    out.talk(f"It may be there already; then a second {thing} arrives and cannot be called back.")
    if not click.confirm("Send it again?", err=True):
        out.talk("nothing was changed")
        sys.exit(1)
