"""Single signers: list and show them, hide, withdraw and restore."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from deliverybot import model
from deliverybot.cli import out
from deliverybot.cli import signatures as group

if TYPE_CHECKING:
    from deliverybot import ledger
    from deliverybot.ledger import records
    from deliverybot.ledger import signers as verbs

#: Part of the wording's hash that tells it from others in print.
_SHORT = 12
#: Why a name is empty.
_NAMELESS = {"erased": "erased", "": "none, or one with an address in it"}

by = click.option("--by", help="Who decides; the user at the keyboard, if not given.")
why = click.option("--why", default="", help="The reason, for the audit log.")


@group.signatures.command("list")
@click.argument("campaign")
@click.option(
    "--state", "states", multiple=True, type=click.Choice([str(one) for one in model.Signature]),
    help="Only those in this state; may be given again.",
)  # fmt: skip
@click.option("--name", default="", metavar="TEXT", help="Only names with this in them.")
@out.after
@out.most
@out.as_json
@out.pass_call
def list_(
    call: out.Call, campaign: str, states: tuple[str, ...], name: str, after: int,
    most: int | None, as_json: bool,
) -> None:  # fmt: skip
    """List the signers of a campaign, in the order of their numbers.

    Everybody who counts is here, and who does not; what a letter prints of
    them depends on the state and on what they agreed to.
    """
    book = call.book_of(campaign)
    most = most or (None if as_json else out.AT_A_TIME)
    # One more than is shown tells whether there are more.
    rows = book.signers.select(
        campaign, states or list(model.Signature), name=name, after=after, most=most and most + 1
    )
    shown = rows[:most]
    if as_json:
        out.dump([plain(row) for row in shown])
    else:
        columns = ("number", "state", "named", "signed", "city", "name")
        lines = ((r.number, r.state, _named(r), _day(r), r.city, _shown(r)) for r in shown)
        out.table(columns, lines, empty="no signers")
    if len(shown) < len(rows):
        out.talk(f"there are more: --after {shown[-1].number}")


@group.signatures.command("show")
@click.argument("campaign")
@click.argument("number", type=int)
@out.as_json
@out.pass_call
def show(call: out.Call, campaign: str, number: int, as_json: bool) -> None:
    """Show all that is held of one signer; an address never is."""
    book = call.book_of(campaign)
    signer = book.signers.get(campaign, number)
    flags = book.signers.flags(campaign, [number])
    told = plain(signer) | _more(book, campaign, signer, flags)
    if as_json:
        out.dump(told)
    else:
        _tell(signer, told)


def plain(row: verbs.Signature) -> dict[str, Any]:
    """Return a signer as JSON says it."""
    names = ("number", "name", "city", "region", "country", "state", "signed_at")
    allowed = ("public", "to_target", "mail", "sms")
    return {name: getattr(row, name) for name in names + allowed} | {"named": _is_named(row)}


def place(row: verbs.Signature) -> str:
    """Return the place as a table shows it."""
    return ", ".join(part for part in (row.city, row.country) if part)


def _shown(row: verbs.Signature) -> str:
    return row.name or ("(erased)" if row.state == model.Signature.ERASED else "(no name)")


def _is_named(row: verbs.Signature) -> bool:
    return bool(row.to_target and row.name and row.state == model.Signature.ACTIVE)


def _named(row: verbs.Signature) -> str:
    return "yes" if _is_named(row) else "no"


def _day(row: verbs.Signature) -> str:
    return f"{row.signed_at:%Y-%m-%d}" if row.signed_at else ""


def _more(
    book: ledger.Ledger, campaign: str, signer: verbs.Signature, flags: Sequence[verbs.Flag]
) -> dict[str, Any]:
    """Return what `show` tells beyond the list."""
    from deliverybot import suspicions

    number = signer.number
    pairs = [flag for flag in flags if flag.kind == "pair"]
    rows = book.audit.since(thing="signature", ref=str(number))
    return {
        "postcode": signer.postcode,
        "comment": signer.comment,
        "taken_at": signer.taken_at,
        "consent": {"version": signer.sha256, "words": signer.words, "since": signer.since},
        "flags": [
            {"kind": f.kind, "why": suspicions.KINDS.get(f.kind, f.kind), "by": f.by or None,
             "at": f.at}
            for f in flags
            if f.kind != "pair"
        ],
        "different_from": sorted(f.other if f.number == number else f.number for f in pairs),
        "history": [_entry(row) for row in rows if row.campaign == campaign],
    }  # fmt: skip


def _entry(row: records.AuditRow) -> dict[str, Any]:
    return {"at": row.at, "by": row.who, "from": row.old or None, "to": row.new, "why": row.why}


def _tell(signer: verbs.Signature, told: Mapping[str, Any]) -> None:
    names = {"public": "public list", "to_target": "target's copy", "mail": "e-mail", "sms": "SMS"}
    allowed = [word for name, word in names.items() if told[name]]
    flags = [
        f"{flag['why']}; {'looked at by ' + flag['by'] if flag['by'] else 'waits for a look'}"
        for flag in told["flags"]
    ]
    out.pairs(
        [
            ("number", signer.number),
            ("name", signer.name or _NAMELESS.get(signer.state, _NAMELESS[""])),
            ("place", ", ".join(p for p in (signer.city, signer.region, signer.country) if p)),
            ("postcode", signer.postcode),
            ("state", f"{signer.state}, {'named' if told['named'] else 'not named'} to the target"),
            ("signed", signer.signed_at),
            ("taken in", signer.taken_at),
            ("agreed to", ", ".join(allowed) or "nothing"),
            ("version", f"{signer.sha256[:_SHORT]}, used since {out.clock(signer.since)}"),
            ("wording", signer.words.strip()),
            ("comment", signer.comment),
            ("flags", "\n".join(flags)),
            ("not the same as", ", ".join(map(str, told["different_from"]))),
        ]
    )
    columns = ("at", "by", "to", "why")
    rows = [[entry[column] for column in columns] for entry in told["history"]]
    out.table(columns, rows, title="History")


def _mover(name: str, state: model.Signature, help_: str, undo: str) -> click.Command:
    @click.command(name, help=help_)
    @click.argument("campaign")
    @click.argument("numbers", nargs=-1, required=True, type=int, metavar="NUMBER...")
    @by
    @why
    @out.pass_call
    def mover(
        call: out.Call, campaign: str, numbers: tuple[int, ...], by: str | None, why: str
    ) -> None:
        stands = call.book_of(campaign).signers.move(
            campaign, numbers, state, who=by or out.person(), why=why or f"{state} by hand",
            now=out.now(),
        )  # fmt: skip
        tell(campaign, stands, undo=undo)

    return mover


def tell(campaign: str, stands: Mapping[int, str], *, undo: str = "") -> None:
    """Say where each signature stands now, and how that is undone."""
    for number, state in stands.items():
        waits = ", waits for a look" if state == model.Signature.FLAGGED else ""
        click.echo(f"{state}: signature {number} of {campaign}{waits}")
    if undo:
        numbers = " ".join(map(str, stands))
        out.talk(f"undo: `deliverybot signatures {undo} {campaign} {numbers}`")


for _mover_ in (
    _mover(
        "hide", model.Signature.HIDDEN, "Name signers nowhere; the signatures count.", "restore"
    ),
    _mover("withdraw", model.Signature.WITHDRAWN, "Count and name signers no more.", "restore"),
    _mover("restore", model.Signature.ACTIVE, "Undo hide or withdraw.", ""),
):
    group.signatures.add_command(_mover_)

COMMANDS = ()
