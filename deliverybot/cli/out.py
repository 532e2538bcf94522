"""Printing: tables, JSON and errors; and what every command shares."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import getpass
import json
import os
import pathlib
import shutil
import sys
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import click

from deliverybot import errors, screen
from deliverybot.cli import layout

if typing.TYPE_CHECKING:
    from deliverybot import campaign, config, ledger, targets

#: Rows of a long list in a table, if nothing else is said; nobody decides on more at a sitting.
AT_A_TIME = 50

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
after = click.option(
    "--after", type=int, default=0, metavar="NUMBER", help="Only behind this number."
)
most = click.option(
    "--most", type=click.IntRange(min=1), metavar="COUNT",
    help=f"As many at a time; {AT_A_TIME} in a table, all in JSON, if not given.",
)  # fmt: skip


class Group(click.Group):
    """A group that tells of each command in full, however narrow the terminal."""

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - as click calls it
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the list of commands."""
        known = sorted(self.commands.items())
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.get_short_help_str(limit=1000)) for name, one in known])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What the options before the command said."""

    config_file: str
    no_input: bool

    def may_ask(self) -> bool:
        """Tell whether a person sits here and may be asked."""
        return not self.no_input and sys.stdin.isatty() and sys.stderr.isatty()

    def settings(self) -> config.Settings:
        """Load config.toml; raises ConfigError with every fault."""
        from deliverybot import config

        return config.load(pathlib.Path(self.config_file))

    def campaigns(self, settings: config.Settings) -> dict[str, campaign.Campaign]:
        """Load every campaign, by its slug; raises ConfigError with every fault of all."""
        from deliverybot import campaign

        known = campaign.load_all(settings.schedules)
        found = [f for f in campaign.check(known, settings) if f.level == "fault"]
        if found:
            raise errors.ConfigError(found)
        return {one.slug: one for one in known}

    def campaign(self, settings: config.Settings, slug: str) -> campaign.Campaign:
        """Load one campaign; what is wrong with others holds nothing up."""
        from deliverybot import campaign

        file = settings.schedules / f"{slug}.toml"
        if file.parent != settings.schedules or not file.is_file():
            return one_of(slug, self.campaigns(settings))
        one = campaign.load(file)
        found = [f for f in campaign.check([one], settings) if f.level == "fault"]
        if found:
            raise errors.ConfigError(found)
        return one

    def book_of(self, slug: str) -> ledger.Ledger:
        """Open the ledger for what is about one campaign; UsageError where there is none such."""
        settings = self.settings()
        one_of(slug, self.campaigns(settings))
        return self.book(settings)

    def book(self, settings: config.Settings) -> ledger.Ledger:
        """Open the ledger; it is closed when the command ends."""
        from deliverybot import ledger, signatures

        book = ledger.open_ledger(settings.database_url)
        click.get_current_context().call_on_close(book.close)
        signatures.recall(settings.state, book)
        return book


pass_call = click.make_pass_decorator(Call)


def now() -> dt.datetime:
    """Return the time in UTC; here the clock is read, and passed on from here."""
    return dt.datetime.now(dt.UTC)


def person() -> str:
    """Name the person at the keyboard, for the audit log."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "somebody"


def one_of(slug: str, known: Mapping[str, campaign.Campaign]) -> campaign.Campaign:
    """Return a campaign by its slug, or say which there are."""
    if slug not in known:
        message = f"there is no campaign {slug!r}"
        raise errors.UsageError(message, hint=f"there are: {', '.join(sorted(known))}")
    return known[slug]


def target_of(one: campaign.Campaign, ident: str | None) -> targets.Target:
    """Return a target of a campaign by its id, or the first; or say which there are."""
    for target in one.targets:
        if ident in {None, target.id}:
            return target
    message = f"campaign {one.slug} has no target {ident!r}"
    raise errors.UsageError(message, hint=f"there are: {', '.join(t.id for t in one.targets)}")


def talk(text: str) -> None:
    """Say something that is not the result."""
    for line in folded(text, sys.stderr):
        click.echo(line, err=True)


def error(problem: errors.DeliverybotError) -> None:
    """Say what is wrong and what to do about it."""
    if isinstance(problem, errors.ConfigError | errors.LetterError):
        for fault in problem.faults:
            talk(f"error: {shown(fault)}")
        return
    talk(f"error: {safe(str(problem))}")
    if problem.hint:
        talk(f"  hint: {safe(problem.hint)}")


def shown(fault: errors.Fault) -> str:
    """Return a fault as text, its file named from where we stand."""
    file = fault.file
    if file and pathlib.Path(file).is_absolute():
        with contextlib.suppress(ValueError):
            file = str(pathlib.Path(file).relative_to(pathlib.Path.cwd()))
    return safe(str(dataclasses.replace(fault, file=file)))


def safe(text: str) -> str:
    """Return text that cannot steer a terminal, line breaks kept."""
    return "\n".join(screen.for_terminal(line) for line in text.split("\n"))


def plain(value: Any) -> Any:  # noqa: ANN401 - whatever JSON can say
    """Turn times and records into what JSON can say."""
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def dump(value: Any) -> None:  # noqa: ANN401 - as `plain`
    """Print JSON."""
    text = json.dumps(plain(value), indent=2, ensure_ascii=False)
    if not text.replace("\n", "").isprintable():
        text = "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)
    click.echo(text)


def clock(value: dt.datetime | None) -> str:
    """Show a time to a person."""
    return "" if value is None else value.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")


def table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str = "", title: str = ""
) -> None:
    """Print a table; each row is one line where the output is no terminal."""
    cells = [[cell(value) for value in row] for row in rows]
    if not cells:
        if empty:
            talk(empty)
        return
    if title:
        click.echo("\n" + bold(title))
    for line in layout.table(columns, cells, width=columns_of_terminal(), heading=bold):
        click.echo(line)


def cell(value: Any) -> str:  # noqa: ANN401 - whatever a record holds
    """Return a value as one line that cannot steer a terminal."""
    if value is None:
        return ""
    text = clock(value) if isinstance(value, dt.datetime) else str(value)
    return safe(" ".join(text.split()) if "\n" in text else text)


def paragraphs(text: str) -> None:
    """Print a text, folded between words on a terminal."""
    for line in folded(safe(text), sys.stdout):
        click.echo(line)


def folded(text: str, stream: typing.TextIO) -> Iterator[str]:
    """Yield the lines of a text, folded between words where the stream is a terminal."""
    width = columns_of_terminal(stream)
    for part in text.split("\n"):
        words = part.lstrip(" ")
        lead = part[: len(part) - len(words)]
        yield from (lead + line for line in layout.fold(words, width, len(lead)))


def pairs(rows: Iterable[tuple[str, Any]]) -> None:
    """Print names and values, one a line; empty ones are left out."""
    shown = [(name, clock(v) if isinstance(v, dt.datetime) else v) for name, v in rows]
    texts = [(name, "" if value is None else safe(str(value))) for name, value in shown]
    for line in layout.pairs(texts, width=columns_of_terminal()):
        click.echo(line)


def reason(text: str) -> None:
    """Print why something waits or failed, marked and folded."""
    for n, part in enumerate(safe(text).split("\n")):
        for m, line in enumerate(layout.fold(part, columns_of_terminal(), 4)):
            click.echo(("    " if n or m else "  ! ") + line)


def columns_of_terminal(stream: typing.TextIO | None = None) -> int | None:
    """Return the width of the terminal; None where the output is a pipe or a file."""
    terminal = (stream or sys.stdout).isatty()
    return shutil.get_terminal_size().columns if terminal else None


def bold(text: str) -> str:
    """Return text in bold print, unless NO_COLOR forbids it; `click.echo` takes it out of pipes."""
    return text if os.environ.get("NO_COLOR") else click.style(text, bold=True)


def counts(states: Mapping[str, int]) -> str:
    """Return ``1 held, 2 sent``."""
    return ", ".join(f"{n} {state}" for state, n in states.items())


def plural(number: int, thing: str) -> str:
    """Return ``1 page``, ``2 pages``."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
