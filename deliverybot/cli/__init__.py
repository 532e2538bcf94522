"""The commands: parse, call, print.

Each command imports what it needs when it runs, so that ``--help`` answers at
once.  Results go to stdout, talk goes to stderr.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import traceback

import click

from deliverybot import __version__, errors
from deliverybot.cli import (
    alerts,
    approvals,
    consents,
    db,
    deliveries,
    erasure,
    flagged,
    links,
    out,
    posts,
    rehearse,
    returns,
    setup,
    show,
    signatures,
    signers,
    suppressions,
    trial,
    work,
)

#: Ended by Ctrl-C, as shells count it.
INTERRUPTED = 130
#: Longer lines of help are hard to read.
WIDEST_HELP = 100


@click.group(cls=out.Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-c",
    "--config",
    "config_file",
    type=click.Path(),
    metavar="FILE",
    default="config.toml",
    envvar="DELIVERYBOT_CONFIG",
    show_default=True,
    help="The installation's settings.",
)
@click.option("--no-input", is_flag=True, help="Never ask; do what the command says.")
@click.option(
    "--debug",
    is_flag=True,
    expose_value=False,  # `main`, which outlives the command, looks for it
    help="Show where in the code an unexpected error arose.",
)
@click.version_option(__version__, "-V", "--version", message="deliverybot %(version)s")
@click.pass_context
def cli(context: click.Context, config_file: str, no_input: bool) -> None:
    """Deliver petitions: from a signature count to a letter and a post.

    Start with `deliverybot init`, then `check`, `preview` and `run`.
    """
    context.obj = out.Call(config_file=config_file, no_input=no_input)


for group in (
    setup, signatures, signers, flagged, consents, erasure, work, show, deliveries, posts, links,
    approvals, returns, suppressions, alerts, db, rehearse, trial,
):  # fmt: skip
    for command in group.COMMANDS:
        cli.add_command(command)


def main() -> None:
    """Run one command and leave with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that lacks a letter shows its number instead; no name stops a command.
            stream.reconfigure(errors="backslashreplace")
    try:
        width = min(shutil.get_terminal_size().columns, WIDEST_HELP)
        code = cli.main(prog_name="deliverybot", standalone_mode=False, terminal_width=width)
    except click.ClickException as error:
        error.show()
        code = 2
    except (click.Abort, KeyboardInterrupt):
        out.talk("stopped")
        code = INTERRUPTED
    except errors.DeliverybotError as error:
        out.error(error)
        code = error.exit_code
    except BrokenPipeError:
        # The reader of our output has gone; nothing more can be said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        out.talk(out.safe(f"error: {named}{error.strerror or error}"))
        _trace()
        code = 1
    except Exception as error:  # noqa: BLE001 - the last door; a person sees a sentence
        out.talk(out.safe(f"error: unexpected: {type(error).__name__}: {error}"))
        out.talk("  hint: this is a fault in deliverybot; --debug before the command shows where")
        _trace()
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


def _trace() -> None:
    """Show where in the code the error arose, for ``--debug``."""
    if "--debug" in sys.argv:
        traceback.print_exc()
