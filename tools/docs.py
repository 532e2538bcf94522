"""Write docs/commands.md and docs/settings.md from the code: python tools/docs.py [FOLDER].

tests/test_docs.py fails when the pages in docs/ are not what this writes.
"""

from __future__ import annotations

import pathlib
import sys
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import click

from deliverybot import campaign, cli, config, networks, origins

_COMMANDS = """# Commands

This page is made by `python tools/docs.py` from the commands' own help.

Results go to standard output, talk goes to standard error.
Whatever prints a table prints JSON with `--json`; its fields may grow, they are never renamed.
Into a pipe or a file each row of a table is one line; on a narrow terminal each row is a block.
`NO_COLOR=1` turns bold print off.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | a fault, or a question answered with no |
| 2 | wrong use, or wrong settings |
| 3 | something waits for a person (`status --exit-code` only) |
| 130 | ended by Ctrl-C; `run` without `--once` ends cleanly with 0 |

## The options before the command
"""

_SETTINGS = """# Settings

This page is made by `python tools/docs.py` from the settings themselves.
Two kinds of file hold them: `config.toml`, one for the installation, and
`schedules/<campaign>.toml`, one for each campaign.
An unknown key is an error that names the file, the line and the nearest known key.
`deliverybot check` says everything that is wrong at once, and
`deliverybot schema config` and `deliverybot schema campaign` print a JSON Schema for your editor.

Lengths of time are a number and a unit: `30s`, `5m`, `2h`, `1d`, `1w`.
Sizes are a number and a unit: `512 kB`, `20 MB`, `4 GB`.

## Where a value comes from

The strongest comes first:

1. the environment: `DELIVERYBOT_<SECTION>__<KEY>`, such as `DELIVERYBOT_MAIL__HOST`
2. a secret file of the nested name, such as `mail__password`, in `secrets_dir`,
   `$CREDENTIALS_DIRECTORY` or `/run/secrets`
3. `config.toml`

A password or token is a fault in `config.toml`: give it by the environment or a file.
In the name of a variable a dash is an underscore: `[outlets.x-main]` is
`DELIVERYBOT_OUTLETS__X_MAIN__ACCESS_TOKEN`.
Campaign files are read as they stand.
"""

#: Section, heading in the file, model in the schema; in the order of the page.
_CONFIG_SECTIONS = (
    ("", "Settings"),
    ("[sender]", "Sender"),
    ("[mail]", "Mail"),
    ("[mail.timeouts]", "Timeouts"),
    ("[mail.dkim]", "Dkim"),
    ("[mail.smime]", "Smime"),
    ('[inbox] with kind = "imap"', "Imap"),
    ('[inbox] with kind = "maildir"', "Maildir"),
    ("[access.NAME]", "Access"),
    *(
        (f'[outlets.NAME] with kind = "{kind}"', one.__name__)
        for one in networks.SECTIONS
        for kind in typing.get_args(one.model_fields["kind"].annotation)
    ),
    ("[alerts]", "Alerts"),
    ("[pdf]", "Pdf"),
    ("[web]", "Web"),
)
_CAMPAIGN_SECTIONS = (
    ("", "Campaign"),
    *(
        (f'[source] with kind = "{kind}"', one.__name__)
        for one in origins.SECTIONS
        for kind in typing.get_args(one.model_fields["kind"].annotation)
    ),
    ("[consent]", "Consent"),
    ("[signers]", "Signers"),
    ("[[milestones]]", "Milestone"),
    ("[[targets]]", "Target"),
    ("[delivery]", "DeliveryRules"),
    ("[[posts]]", "PostRules"),
)
_FIELDS = """
`columns` maps our field to the name of their column.
Our fields are: {fields}.
A column that has our name, such as `Country` or `First Name`, is found without it; every other
one, such as `E-Mail-Adresse`, must be named here to be read.
Whoever has anything but a no in `anonymous` counts and is named nowhere, whatever else allows it.
"""


def main() -> int:
    """Write both pages."""
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "docs")
    (folder / "commands.md").write_text("\n".join(commands()) + "\n", encoding="utf-8")
    (folder / "settings.md").write_text("\n".join(settings()) + "\n", encoding="utf-8")
    return 0


def commands() -> Iterator[str]:
    """Yield the lines of docs/commands.md."""
    yield _COMMANDS
    root = click.Context(cli.cli, info_name="deliverybot", **cli.cli.context_settings)
    yield from _parameters(cli.cli, root)
    for context in _walk(root):
        yield f"\n## {context.command_path}\n"
        yield f"    {' '.join([context.command_path, *_usage(context)])}\n"
        yield _words(context.command)
        yield ""
        yield from _parameters(context.command, context)


def _walk(context: click.Context) -> Iterator[click.Context]:
    if not isinstance(context.command, click.Group):
        yield context
        return
    for name in context.command.list_commands(context):
        command = context.command.get_command(context, name)
        if command is not None:
            yield from _walk(click.Context(command, info_name=name, parent=context))


def _usage(context: click.Context) -> list[str]:
    return [
        piece for piece in context.command.collect_usage_pieces(context) if piece != "[OPTIONS]"
    ]


def _words(command: click.Command) -> str:
    text = (command.help or "").replace("\f", "")
    return "\n".join(line.strip() for line in text.splitlines()).strip()


def _parameters(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option):
            if "--help" in parameter.opts and context.parent is not None:
                continue
            yield f"- `{record[0]}`: {' '.join(record[1].split())}"


def settings() -> Iterator[str]:
    """Yield the lines of docs/settings.md."""
    yield _SETTINGS
    yield "\n## config.toml"
    yield from _sections(config.schema(), _CONFIG_SECTIONS)
    yield "\n## schedules/CAMPAIGN.toml\n"
    yield "The file's name without `.toml` is the campaign's short name in commands."
    yield from _sections(campaign.schema(), _CAMPAIGN_SECTIONS)
    fields = ", ".join(f"`{name}`" for name in typing.get_args(origins.SignerField))
    yield _FIELDS.format(fields=fields).rstrip()


def _sections(schema: Mapping[str, Any], sections: tuple[tuple[str, str], ...]) -> Iterator[str]:
    for heading, name in sections:
        part = schema["$defs"][name] if heading else schema
        yield f"\n### {heading or 'At the top'}\n"
        yield f"{part['description'].splitlines()[0]}\n"
        yield "| key | meaning | default |"
        yield "|---|---|---|"
        for key, known in part["properties"].items():
            meaning = known.get("description", "").replace("|", "\\|") + _choice(known)
            needed = key in part.get("required", [])
            yield f"| `{key}` | {meaning} | {_default(known, needed=needed)} |"


def _choice(known: Mapping[str, Any]) -> str:
    """Name the words that a key may have."""
    words = known.get("enum") or known.get("items", {}).get("enum") or ()
    return f" One of {', '.join(f'`{word}`' for word in words)}." if words else ""


def _default(known: Mapping[str, Any], *, needed: bool) -> str:
    if {"$ref", "oneOf", "additionalProperties"} & known.keys():
        return "its own section"
    if any("$ref" in one for one in known.get("anyOf", [])):
        return "none; its own section"
    items = known.get("items", {})
    if "$ref" in items:
        return "its own sections" + (", at least one" if needed else "")
    if needed:
        return "must be given"
    value = known.get("default")
    if value in (None, "", {}):
        return "none"
    text = {True: "true", False: "false"}.get(value) if isinstance(value, bool) else None
    if isinstance(value, str):
        text = f'"{value}"'
    if isinstance(value, list | tuple):
        text = "[" + ", ".join(f'"{item}"' for item in value) + "]"
    return f"`{text if text is not None else value}`"


if __name__ == "__main__":
    sys.exit(main())
