"""Setting up: init, check, schema."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import importlib.resources
import pathlib
import shutil
import sys
from importlib.resources import abc
from typing import TYPE_CHECKING

import click

from deliverybot import errors
from deliverybot.cli import out

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deliverybot import campaign as campaigns
    from deliverybot import config, ledger, model


@click.command(short_help="Write a working folder to edit.")
@click.argument("folder", type=click.Path(file_okay=False), default=".")
@click.option("--demo", is_flag=True, help="A filled campaign that mails to this machine only.")
def init(folder: str, demo: bool) -> None:
    """Write a working folder to edit into FOLDER; no file there is overwritten."""
    place = pathlib.Path(folder)
    package = importlib.resources.files("deliverybot")
    sources = [package / "examples", package / "starter" / "demo"] if demo else [
        package / "starter" / "new"
    ]  # fmt: skip
    files = {name: file for source in sources for name, file in _files(source, pathlib.Path())}
    there = [str(name) for name in files if (place / name).exists()]
    if there:
        message = f"{place} has {', '.join(sorted(there)[:3])} already"
        raise errors.UsageError(message, hint="name another folder: deliverybot init my-campaign")
    for name, file in sorted(files.items()):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        with importlib.resources.as_file(file) as real:
            shutil.copyfile(real, place / name)
        click.echo(f"written: {place / name}")
    out.talk("")
    out.talk(f"next:  cd {folder}" if folder != "." else "next:")
    steps = ("check --offline", f"preview {_example(demo=demo)} --as pdf", "run --once", "status")
    for step in steps:
        out.talk(f"       deliverybot {step}")


def _example(*, demo: bool) -> str:
    return "racial-profiling" if demo else "my-petition"


def _files(
    source: abc.Traversable, below: pathlib.Path
) -> list[tuple[pathlib.Path, abc.Traversable]]:
    found = []
    for entry in source.iterdir():
        if entry.is_dir():
            found += _files(entry, below / entry.name)
        else:
            found.append((below / entry.name, entry))
    return found


@click.command(short_help="Look for everything that is wrong; sends nothing.")
@click.option("--offline", is_flag=True, help="Ask neither the relay nor networks nor sources.")
@out.as_json
@out.pass_call
def check(call: out.Call, offline: bool, as_json: bool) -> None:
    """Look for everything that is wrong, and say how to mend it; sends nothing."""
    found = _faults(call, offline=offline)
    if as_json:
        told = [dataclasses.replace(fault, file=_whole(call, fault.file)) for fault in found]
        names = ("level", "file", "line", "what", "hint")
        out.dump([{name: getattr(fault, name) for name in names} for fault in told])
    else:
        for fault in found:
            out.paragraphs(f"{fault.level}: {out.shown(fault)}")
        bad = sum(f.level == "fault" for f in found)
        doubtful = sum(f.level == "warning" for f in found)
        click.echo(f"{out.plural(bad, 'fault')}, {out.plural(doubtful, 'warning')}")
    if any(fault.level == "fault" for fault in found):
        sys.exit(errors.ConfigError.exit_code)


def _whole(call: out.Call, file: str | None) -> str | None:
    """Return a fault's file with its whole path: all but that of the settings have it already."""
    own = pathlib.Path(call.config_file)
    return str(own.absolute()) if file and pathlib.Path(file) == own else file


def _faults(call: out.Call, *, offline: bool) -> list[errors.Fault]:
    from deliverybot import alerts, campaign, inbox, render, secret_places
    from deliverybot.mail import dkim, identity

    try:
        settings = call.settings()
    except errors.ConfigError as error:
        return error.faults
    found = [errors.Fault(level="ok", what="the settings are right", file=call.config_file)]
    if settings.secrets_dir:
        secrets = settings.path(settings.secrets_dir)
        found += secret_places.open_to_all(secrets) + secret_places.in_quotes(secrets)
    try:
        known = campaign.load_all(settings.schedules)
    except errors.ConfigError as error:
        return found + error.faults
    found += campaign.check(known, settings)
    for one in known:
        found += _campaign(one, settings, offline=offline)
    found += dkim.check(settings) + identity.check(settings, out.now())
    found += _installation(call, settings) + _names(call, settings, known)
    found += _taken(call, settings, known) + _posts(call, settings, known)
    found += _targets(call, settings, known) + render.check(settings.letters, ("digest",))
    if offline:
        found += _unasked(settings)
    else:
        found += asyncio.run(_outside(settings))
    found += asyncio.run(alerts.check(settings))
    if settings.inbox is not None and not (offline and settings.inbox.kind == "imap"):
        found += inbox.open_mailbox(settings.inbox, settings.root).check()
    return found


def _campaign(
    one: campaigns.Campaign, settings: config.Settings, *, offline: bool
) -> list[errors.Fault]:
    from deliverybot import signatures, sources

    means = dataclasses.replace(signatures.means(settings), offline=offline)
    folder = settings.letters / one.letter
    # A folder that is missing is named once, where the campaign asks for it.
    there = folder.is_dir()
    found = _letter(one, folder) if there else []
    found += sources.look(one, now=out.now(), means=means)
    if there and not any(fault.level == "fault" for fault in found):
        found.append(errors.Fault(level="ok", what="the campaign is right", file=str(one.file)))
    return found


def _letter(one: campaigns.Campaign, folder: pathlib.Path) -> list[errors.Fault]:
    """Look at the letter, its mail and its posts."""
    from deliverybot import campaign as campaigns
    from deliverybot import render

    absent = campaigns.absent(one, lambda name: render.absent(folder, name))
    posts = [post.template for post in one.posts if render.absent(folder, post.template) is None]
    found = render.check(folder, tuple(dict.fromkeys(("letter", "mail", *posts)))) + absent
    if not absent:
        found += render.built_in(folder, tuple(posts))
        found += render.english(folder, ("mail.txt", "signed.txt", *posts), one.language)
        found += _addressed(one, folder)
    return found


def _addressed(one: campaigns.Campaign, folder: pathlib.Path) -> list[errors.Fault]:
    """Warn of posts that name one of a campaign's targets: posts are told once for all of them."""
    from deliverybot import render

    if len(one.targets) == 1:
        return []
    # A letter to all of them knows them all, and so do its posts.
    together = one.delivery.addressees == "all"
    hidden = frozenset({"target"} if together else {"target", "targets"})
    names = [name for post in one.posts for name in (post.template, *render.CARD[: 2 * post.card])]
    return render.addressed(folder, tuple(names), hidden, one.targets[0].name)


def _installation(call: out.Call, settings: config.Settings) -> list[errors.Fault]:
    """Try the ledger and the folder for what is made."""
    from deliverybot import installation

    found = []
    try:
        settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        trial = settings.state / ".check"
        trial.write_bytes(b"")
        trial.unlink()
    except OSError as error:
        what = f"state_dir {settings.state} cannot be written: {error.strerror}"
        found.append(errors.Fault(level="fault", what=what, hint="make it, or give us the right"))
    try:
        with contextlib.closing(call.book(settings)) as book:
            found.append(errors.Fault(level="ok", what=f"the ledger {book.shown} answers"))
            if doubt := installation.of(book, settings.state):
                what = f"nothing is sent or posted: {doubt}"
                found.append(errors.Fault(level="fault", what=what, hint=installation.CONFIRM))
    except errors.LedgerError as error:
        found.append(errors.Fault(level="fault", what=str(error), hint=error.hint))
    return found


def _posts(
    call: out.Call, settings: config.Settings, known: list[campaigns.Campaign]
) -> list[errors.Fault]:
    """Look whether each post fits its network and has a card, with the largest figure to come."""
    from deliverybot import fitting, material, preview

    found = list[errors.Fault]()
    # A ledger that does not answer and a letter that is not there are named elsewhere.
    with contextlib.suppress(errors.LedgerError), contextlib.closing(call.book(settings)) as book:
        for one in known:
            if not one.posts or not (settings.letters / one.letter).is_dir():
                continue
            case = preview.case(
                book, one, one.targets[0], settings=settings, at=None, now=out.now()
            )
            facts = material.facts(book, case, settings)
            count = book.signatures.standing(one.slug).signatures
            found += fitting.faults(one, facts, count, settings)
            found += asyncio.run(fitting.cards_of(one, facts, count, settings))
    return found


def _taken(
    call: out.Call, settings: config.Settings, known: list[campaigns.Campaign]
) -> list[errors.Fault]:
    """Look whether something is odd in what the sources have brought so far."""
    from deliverybot import sources

    found = []
    with contextlib.suppress(errors.LedgerError), contextlib.closing(call.book(settings)) as book:
        for one in known:
            cursor = book.signatures.standing(one.slug).cursor
            found += sources.doubts(one, cursor, now=out.now())
    return found


def _targets(
    call: out.Call, settings: config.Settings, known: list[campaigns.Campaign]
) -> list[errors.Fault]:
    """Look whether each target may be written to, and for how long."""
    from deliverybot import recipients

    # A ledger that does not answer is named elsewhere.
    with contextlib.suppress(errors.LedgerError), contextlib.closing(call.book(settings)) as book:
        return recipients.check(known, book.suppressions.look(), out.now())
    return recipients.check(known, lambda _: None, out.now())


def _names(
    call: out.Call, settings: config.Settings, known: list[campaigns.Campaign]
) -> list[errors.Fault]:
    """Look whether the fonts here can draw every name that is to be listed."""
    from deliverybot import volumes

    found = []
    with contextlib.suppress(errors.LedgerError), contextlib.closing(call.book(settings)) as book:
        for one in known:
            lines = functools.partial(_lines, book, one)
            upto = book.signatures.standing(one.slug).last_number
            if upto and one.delivery.signers != "none":
                missing = volumes.preflight(
                    book, one.slug, language=one.language, lines=lines, upto=upto
                )
                found += missing or [_drawn(one, upto)]
    return found


def _lines(
    book: ledger.Ledger, one: campaigns.Campaign, first: int, last: int
) -> Iterator[model.ListedSigner]:
    return book.signatures.lines(one.slug, last, first=first, fields=one.signers.fields)


def _drawn(one: campaigns.Campaign, upto: int) -> errors.Fault:
    what = f"the fonts here can draw the names of {out.plural(upto, 'signer')}"
    return errors.Fault(level="ok", what=what, file=str(one.file))


def _unasked(settings: config.Settings) -> list[errors.Fault]:
    """Warn of secrets that are missing here; they may be where `run` is."""
    from deliverybot import networks, outlets

    absent = {
        f"outlet {name} has no {', '.join(keys)}": outlets.secret_hint(name, *keys)
        for name, section in settings.outlets.items()
        if (keys := networks.missing(section))
    }
    mail, inbox = settings.mail, settings.inbox
    accounts = [("mail", mail.password)] if mail.transport == "smtp" and mail.username else []
    accounts += [("inbox", inbox.password)] if inbox is not None and inbox.kind == "imap" else []
    for name in (name for name, password in accounts if not password.get_secret_value()):
        hint = f"put it alone into a file of secrets_dir: {name}__password; or into the"
        hint += f" environment: DELIVERYBOT_{name.upper()}__PASSWORD"
        absent[f"[{name}] has a username and no password"] = hint
    what = "nobody was asked; without --offline, check looks at accounts and their keys, too"
    warned = [errors.Fault(level="warning", what=w, hint=h) for w, h in absent.items()]
    return [*warned, errors.Fault(level="ok", what=what)]


async def _outside(settings: config.Settings) -> list[errors.Fault]:
    """Ask the relay and the outlets whether they would take something."""
    from deliverybot import asking, mail, outlets

    transport = mail.transport(settings)
    try:
        found = await transport.check()
    finally:
        await transport.close()
    for name in settings.outlets:
        try:
            outlet = outlets.open_outlet(name, settings)
        except errors.OutgoingError as error:
            found.append(errors.Fault(level="fault", what=str(error), hint=error.hint))
            continue
        found += await asking.check(outlet)
    return found


@click.command()
@click.argument("which", type=click.Choice(["config", "campaign"]))
def schema(which: str) -> None:
    """Print the JSON Schema of a file, for editors."""
    from deliverybot import campaign, config

    out.dump(config.schema() if which == "config" else campaign.schema())


COMMANDS = (init, check, schema)
