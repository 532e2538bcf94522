"""Signers whom a person must look at: who waits, and what was seen."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from deliverybot import errors
from deliverybot.cli import out, signers
from deliverybot.cli import signatures as group

if TYPE_CHECKING:
    from deliverybot import doubles, ledger
    from deliverybot.ledger import signers as verbs

#: Nobody compares more at a sitting.
_MOST_COMPARED = 50
#: As in `suspicions.KINDS`, which `--help` need not load.
KINDS = ("address", "formula", "target", "no-person")

undo = click.option("--undo", is_flag=True, help="Take it back.")


@group.signatures.command("flagged")
@click.argument("campaign")
@click.option(
    "--most", type=click.IntRange(min=1), metavar="COUNT",
    help=f"As many of each; {out.AT_A_TIME} in a table, all in JSON, if not given.",
)  # fmt: skip
@out.as_json
@out.pass_call
def flagged(call: out.Call, campaign: str, most: int | None, as_json: bool) -> None:
    """List the signers whom you must look at, and those who may be one person.

    A flagged signature counts, and a letter prints "name withheld" until you
    `clear` it.  Two signatures with the same name and place are named and
    count both until you say that they are the `same`.
    """
    from deliverybot import doubles

    book = call.book_of(campaign)
    most = most or (None if as_json else out.AT_A_TIME)
    waiting = book.signers.select(campaign, ["flagged"], most=most and most + 1)
    groups = doubles.find(book, campaign, most=most and most + 1)
    more = bool(most) and max(len(waiting), len(groups)) > (most or 0)
    flags = _reasons(book.signers.flags(campaign, [row.number for row in waiting[:most]]))
    alike = _alike(book, campaign, groups[:most])
    if as_json:
        rows = [signers.plain(row) | {"flags": flags.get(row.number, [])} for row in waiting[:most]]
        out.dump({"flagged": rows, "pairs": alike})
    else:
        _show(campaign, waiting[:most], flags, alike)
    if more:
        out.talk("there are more: --most COUNT shows them, or decide on these first")


def _reasons(flags: Iterable[verbs.Flag]) -> dict[int, list[dict[str, str]]]:
    """Return, by number, the kinds that nobody has looked at, each in words."""
    from deliverybot import suspicions

    found: dict[int, list[dict[str, str]]] = {}
    for flag in flags:
        if flag.kind != "pair" and not flag.by:
            reason = {"kind": flag.kind, "why": suspicions.KINDS.get(flag.kind, flag.kind)}
            found.setdefault(flag.number, []).append(reason)
    return found


def _alike(
    book: ledger.Ledger, campaign: str, groups: Sequence[doubles.Group]
) -> list[dict[str, Any]]:
    told = []
    for one in groups:
        rows = book.signers.some(campaign, one.numbers)
        people = [signers.plain(row) | {"postcode": row.postcode} for row in rows]
        told.append({"numbers": list(one.numbers), "same": one.same, "signers": people})
    return told


def _show(
    campaign: str,
    waiting: Sequence[verbs.Signature],
    flags: dict[int, list[dict[str, str]]],
    alike: Sequence[dict[str, Any]],
) -> None:
    reasons = {n: "; ".join(reason["why"] for reason in those) for n, those in flags.items()}
    out.table(
        ("number", "name", "place", "why"),
        [(r.number, r.name, signers.place(r), reasons.get(r.number, "")) for r in waiting],
        title="Not named until you have looked" if waiting and alike else "",
        empty="" if alike else "no signer waits for a look",
    )
    if waiting:
        one = waiting[0].number
        out.talk(f"name: `signatures clear {campaign} {one}`; never: `signatures hide …`")
        out.talk("a name that is nobody's, and should not count: `signatures withdraw …`")
    rows = []
    for group_ in alike:
        those = group_["signers"]
        names = " / ".join(dict.fromkeys(person["name"] for person in those))
        where = dict.fromkeys(f"{p['postcode']} {p['city']}".strip() for p in those)
        numbers = " ".join(map(str, group_["numbers"]))
        rows.append((numbers, names, " / ".join(where), f"same {group_['same']}"))
    title = "May be one person's: the same name and place"
    out.table(("numbers", "names", "place", "why"), rows, title=title)
    if rows:
        numbers = rows[0][0]
        out.talk(f"one person: `signatures same {campaign} {numbers}`")
        out.talk(f"not one: `signatures different {campaign} {numbers}`")


@group.signatures.command("clear")
@click.argument("campaign")
@click.argument("numbers", nargs=-1, type=int, metavar="[NUMBER...]")
@click.option("--kind", type=click.Choice(KINDS), help="Only this reason was looked at.")
@click.option("--all", "every", is_flag=True, help="All who wait for the reason of --kind.")
@undo
@click.option("--yes", is_flag=True, help="Do not ask on a terminal.")
@signers.by
@signers.why
@out.pass_call
def clear(
    call: out.Call, *, campaign: str, numbers: tuple[int, ...], kind: str | None, every: bool,
    undo: bool, yes: bool, by: str | None, why: str,
) -> None:  # fmt: skip
    """Say that you have looked at these signers: they may be named.

    All of them or none.  Where a list was sealed already, the next letter has
    a new edition of it.
    """
    if bool(numbers) == every or (every and not kind) or (undo and (every or kind)):
        message = "name the signers by their numbers, or all of one kind: --kind KIND --all"
        raise click.UsageError(message)
    verb = call.book_of(campaign).signers
    note: dict[str, Any] = {"who": by or out.person(), "now": out.now()}
    if undo:
        stands = verb.flag_again(campaign, numbers, why=why or "not looked at after all", **note)
        signers.tell(campaign, stands)
        return
    if every:
        numbers = tuple(verb.flagged(campaign, kind=kind or ""))
        if not numbers:
            out.talk(f"no signer of {campaign} waits for that")
            return
        _ask(call, campaign, len(numbers), str(kind), yes=yes)
    stands = verb.clear(campaign, numbers, kind=kind or "", why=why or "looked at", **note)
    signers.tell(campaign, stands, undo="clear --undo")


def _ask(call: out.Call, campaign: str, count: int, kind: str, *, yes: bool) -> None:
    """Ask before many are named at a stroke; without a terminal the command itself is the yes."""
    if yes or not call.may_ask():
        return
    waits = "waits" if count == 1 else "wait"
    out.talk(f"{out.plural(count, 'signer')} of {campaign} {waits}: {kind}")
    if not click.confirm("Have you looked at all of them?", err=True):
        out.talk("nothing was changed")
        sys.exit(1)


@group.signatures.command("same")
@click.argument("campaign")
@click.argument("numbers", nargs=-1, required=True, type=int, metavar="NUMBER NUMBER...")
@signers.by
@signers.why
@out.pass_call
def same(call: out.Call, campaign: str, numbers: tuple[int, ...], by: str | None, why: str) -> None:
    """Say that these signatures are one person's: the first of the list counts.

    The others are withdrawn, all of them or none.
    """
    from deliverybot import model

    first, *others = _several(numbers)
    verb = call.book_of(campaign).signers
    state = verb.get(campaign, first).state
    if state in model.GONE:
        message = f"signature {first} of {campaign} is {state}, so none of these would count"
        hint = f"nothing was changed; `signatures restore {campaign} {first}`, or leave it out"
        raise errors.UsageError(message, hint=hint)
    reason = f"the same person as signature {first}" + (f": {why}" if why else "")
    stands = verb.move(
        campaign, others, model.Signature.WITHDRAWN, who=by or out.person(), why=reason,
        now=out.now(),
    )  # fmt: skip
    signers.tell(campaign, stands, undo="restore")


@group.signatures.command("different")
@click.argument("campaign")
@click.argument("numbers", nargs=-1, required=True, type=int, metavar="NUMBER NUMBER...")
@undo
@signers.by
@signers.why
@out.pass_call
def different(
    call: out.Call, campaign: str, numbers: tuple[int, ...], undo: bool, by: str | None, why: str
) -> None:
    """Say that these signatures are each another person's: they are listed no more."""
    those = _several(numbers)
    verb = call.book_of(campaign).signers
    told = ", ".join(map(str, those))
    note: dict[str, Any] = {"who": by or out.person(), "now": out.now()}
    if undo:
        verb.unpart(campaign, those, why=why or "taken back", **note)
        click.echo(f"undecided: signatures {told} of {campaign}")
        return
    verb.part(campaign, those, why=why or "by hand", **note)
    click.echo(f"different people: signatures {told} of {campaign}")
    words = " ".join(map(str, those))
    out.talk(f"undo: `deliverybot signatures different --undo {campaign} {words}`")


def _several(numbers: Sequence[int]) -> list[int]:
    """Return two numbers or more, smallest first."""
    those = sorted(set(numbers))
    if not 1 < len(those) <= _MOST_COMPARED:
        message = f"name two signatures by their numbers, or more, up to {_MOST_COMPARED}"
        raise click.UsageError(message)
    return those


COMMANDS = ()
