"""The installation: config.toml, the environment and secret files.

Precedence: command line, environment, secret file, TOML.  A secret has no place
in config.toml.
"""

from __future__ import annotations

import contextvars
import dataclasses
import functools
import operator
import os
import pathlib
import re
import shlex
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import pydantic
import pydantic_settings
import typing_extensions

from deliverybot import access as accounts
from deliverybot import (
    errors,
    faults,
    listening,
    mailboxes,
    networks,
    notifying,
    places,
    plugins,
    printing,
    secret_places,
    signing,
    values,
)

#: Seconds, a day at most: what is longer overflows somewhere.
_Above0 = Annotated[float, pydantic.Field(gt=0, le=86_400)]
_Secret = pydantic.SecretStr
#: Letters before the @ that leave room for a token, of the 64 of RFC 5321.
_BOUNCES_MAX = 25


class Sender(values.Section):
    """Who the letters come from."""

    #: The name in the From line.
    name: values.SomeWords
    #: The address in the From line.
    address: values.Address
    #: Where answers go; empty: to `address`.
    reply_to: values.OptionalAddress = ""


class Timeouts(values.Section):
    """Seconds; RFC 5321 section 4.5.3.2 gives the floors behind the defaults."""

    #: Until the relay takes the connection.
    connect: _Above0 = 30
    #: Until it answers a command.
    command: _Above0 = 300
    #: No byte taken by the relay for this long; a whole body may take ten times as long.
    stall: _Above0 = 180
    #: Wait for the answer after the final dot.
    done: _Above0 = 600


class Mail(values.Section):
    """How letters leave."""

    #: smtp: to a relay; folder: .eml files under state_dir/outbox.
    transport: Literal["smtp", "folder"] = "folder"
    #: Name or number of the relay.
    host: str = ""
    #: Port of the relay.
    port: Annotated[int, pydantic.Field(ge=1, le=65535)] = 587
    #: How the connection is protected.
    security: Literal["none", "starttls", "tls"] = "starttls"
    #: Account at the relay; empty for none.
    username: values.Words = ""
    #: From DELIVERYBOT_MAIL__PASSWORD or a secret file, never from config.toml.
    password: _Secret = _Secret("")
    #: Connections open at a time.
    connections: Annotated[int, pydantic.Field(ge=1, le=100)] = 4
    #: Mails an hour at most, all processes together.
    per_hour: Annotated[int, pydantic.Field(ge=1)] = 100
    #: Letters on their way to the addresses of one domain at a time.
    per_domain: Annotated[int, pydantic.Field(ge=1, le=100)] = 2
    #: Mails an hour at most to the addresses of one domain; 0: as `per_hour` says.
    per_domain_per_hour: Annotated[int, pydantic.Field(ge=0)] = 0
    #: Errors of the relay in a row after which mailing is paused; one letter probes then.
    pause_after: Annotated[int, pydantic.Field(ge=1, le=1000)] = 5
    #: A letter that could not be handed over for so long waits for a person.
    give_up: values.Duration = "5d"
    #: Largest encoded mail; the relay's own limit wins if it is smaller.
    max_message: values.Size = "20 MB"
    #: Where bounces go, such as bounces@your-domain: to that address with "+" and a token of each
    #: mail, so that they are understood; empty: to the sender.
    bounces: values.OptionalAddress = ""
    #: Ask for a notice of each mail that has reached the target's server, not only of failures.
    receipts: bool = False
    #: Seconds to wait.
    timeouts: Timeouts = Timeouts()
    #: The keys that mails are signed with.
    dkim: signing.Dkim = signing.Dkim()
    #: The certificate that letters are signed with for their readers.
    smime: signing.Smime = signing.Smime()

    @property
    def give_up_seconds(self) -> int:
        """`give_up` in seconds."""
        return values.seconds(self.give_up)

    @property
    def max_message_bytes(self) -> int:
        """`max_message` in bytes."""
        return values.size(self.max_message)

    @pydantic.model_validator(mode="after")
    def _sound(self) -> Self:
        if self.transport == "smtp" and not self.host:
            raise faults.wrong(
                '[mail] has transport = "smtp" and no host',
                'host = "relay.example.org", or transport = "folder" to try things out',
            )
        if self.host and not re.fullmatch(r"[A-Za-z0-9._:\[\]-]{1,255}", self.host):
            raise faults.wrong("[mail] host is no name of a machine", "without http:// or a port")
        if self.security == "none" and self.username and not values.is_loopback(self.host):
            raise faults.wrong(
                '[mail] would send the password in the clear: security = "none"',
                'use security = "starttls" (port 587) or "tls" (port 465)',
            )
        if len(self.bounces.rpartition("@")[0]) > _BOUNCES_MAX:
            raise faults.wrong("[mail] bounces leaves no room for a token", "take a shorter name")
        return self


@dataclasses.dataclass(kw_only=True)
class _Reading:
    """What `load` read, strongest first, and what pydantic-settings made of it."""

    sources: tuple[dict[str, Any], ...] = dataclasses.field(repr=False)
    merged: dict[str, Any] = dataclasses.field(default_factory=dict, repr=False)


#: Set only inside `load`, so that Settings(...) in code depends on its arguments alone.
_reading: contextvars.ContextVar[_Reading | None] = contextvars.ContextVar("_reading", default=None)


class _Seen(pydantic_settings.PydanticBaseSettingsSource):
    """The last source: adds nothing, keeps what the others came to, to word the faults."""

    @typing_extensions.override
    def get_field_value(self, field: object, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    @typing_extensions.override
    def __call__(self) -> dict[str, Any]:
        if reading := _reading.get():
            reading.merged = self.current_state
        return {}


class Settings(pydantic_settings.BaseSettings):
    """Everything in config.toml."""

    model_config = pydantic_settings.SettingsConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
        case_sensitive=True,
    )

    #: The ledger: sqlite:///FILE or postgresql://USER@HOST/NAME.
    database: str = pydantic.Field(default="sqlite:///var/deliverybot.db", repr=False)
    #: Folder of PDFs, volumes and the outbox.
    state_dir: Annotated[str, pydantic.Field(min_length=1)] = "var"
    #: Address of this installation, for links in letters and posts.
    public_url: values.OptionalUrl = ""
    #: How work reaches workers.
    engine: Literal["embedded"] = "embedded"
    #: Folder of secret files such as mail__password.
    secrets_dir: str = ""
    #: Folder of the letters' folders.
    letters_dir: Annotated[str, pydantic.Field(min_length=1)] = "letters"
    #: Folder of the campaigns' files.
    schedules_dir: Annotated[str, pydantic.Field(min_length=1)] = "schedules"
    #: Who the letters come from.
    sender: Sender
    #: How letters leave.
    mail: Mail = Mail()
    #: Where posts go, by name.
    outlets: dict[values.Name, networks.Outlet] = {}
    #: Accounts at the platforms that signatures are read from, by name.
    access: dict[values.Name, accounts.Access] = {}
    #: The mailbox that is read for what comes back; without it nothing is read.
    inbox: mailboxes.Mailbox | None = None
    #: Who is told when something waits or failed; without it nobody is.
    alerts: notifying.Alerts | None = None
    #: How letters are rendered.
    pdf: printing.Pdf = printing.Pdf()
    #: Where the web server listens: lists of signers for targets, and webhooks.
    web: listening.Web | None = None

    # Set by the loader: the folder of config.toml, which relative paths are relative to.
    root: pathlib.Path = pydantic.Field(default=pathlib.Path(), exclude=True)

    @classmethod
    @typing_extensions.override
    def settings_customise_sources(
        cls,
        settings_cls: type[pydantic_settings.BaseSettings],
        init_settings: pydantic_settings.PydanticBaseSettingsSource,
        env_settings: pydantic_settings.PydanticBaseSettingsSource,
        dotenv_settings: pydantic_settings.PydanticBaseSettingsSource,
        file_secret_settings: pydantic_settings.PydanticBaseSettingsSource,
    ) -> tuple[pydantic_settings.PydanticBaseSettingsSource, ...]:
        """Return the arguments, then what `load` read, and nothing from elsewhere."""
        source = pydantic_settings.InitSettingsSource
        reading = _reading.get()
        read = [source(settings_cls, one) for one in reading.sources] if reading else []
        return (init_settings, *read, _Seen(settings_cls))

    @pydantic.field_validator("database")
    @classmethod
    def _known_database(cls, url: str) -> str:
        if not re.match(r"sqlite:///(?!:memory:|$|\?)|postgresql://[^/?]*/[^/?]", url):
            raise faults.wrong(
                "this is no database that deliverybot knows",
                "sqlite:///var/deliverybot.db or postgresql://user@host/name",
            )
        return url

    def path(self, value: str) -> pathlib.Path:
        """Return a path of config.toml, which is relative to its folder, as an absolute one."""
        return (self.root / value).absolute()

    @property
    def state(self) -> pathlib.Path:
        """Folder of PDFs, volumes and the outbox."""
        return self.path(self.state_dir)

    @property
    def letters(self) -> pathlib.Path:
        """Folder of the letters' folders."""
        return self.path(self.letters_dir)

    @property
    def schedules(self) -> pathlib.Path:
        """Folder of the campaigns' files."""
        return self.path(self.schedules_dir)

    @property
    def forward_to(self) -> str:
        """Who gets a copy of what came back; empty for nobody."""
        if self.inbox is None:
            return ""
        given = self.inbox.forward_to
        return self.sender.reply_to or self.sender.address if given is None else given

    @property
    def database_url(self) -> str:
        """The database as SQLAlchemy wants it; holds the password."""
        if self.database.startswith("sqlite:///"):
            return f"sqlite:///{self.path(self.database.removeprefix('sqlite:///'))}"
        return self.database.replace("postgresql://", "postgresql+psycopg://", 1)

    @property
    def database_shown(self) -> str:
        """The database as a person may read it: without a password."""
        if self.database.startswith("sqlite:///"):
            return self.database
        head, _, query = self.database.partition("?")
        shown = re.sub(r"(//[^:@/]*):.*@", r"\1:***@", head)
        return f"{shown}?***" if query else shown


_LATER: Mapping[places.Path, str] = {
    ("engine", "procrastinate"): 'use engine = "embedded"',
}
_MISSING: Mapping[places.Path, tuple[str, str]] = {
    ("sender",): (
        "the section [sender] is missing: a letter needs a sender",
        '[sender]\n    name = "Your organisation"\n    address = "letters@your-domain"',
    ),
}


def _no_folder(folder: pathlib.Path, origin: faults.Origin) -> errors.Fault:
    what = f"'secrets_dir': there is no folder {str(folder)!r}"
    return origin.fault(("secrets_dir",), what, "make it, or leave secrets_dir out")


def _a_folder(path: pathlib.Path) -> errors.Fault:
    inside = path / "config.toml"
    hint = "take it away; deliverybot init writes a file to edit"
    if inside.is_file():
        hint = f"name the file in it: -c {shlex.quote(str(inside))}"
    what = "this is a folder, and the settings stand in a file"
    return errors.Fault(level="fault", what=what, hint=hint, file=str(path))


def load(
    path: pathlib.Path,
    overrides: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Read the settings; raise `errors.ConfigError` with every fault in them.

    `overrides` (sections as mappings) come from the command line; `environ` is
    the process's own unless given.
    """
    if path.is_dir():
        raise errors.ConfigError([_a_folder(path)])
    text = places.read(path, missing="deliverybot init writes one to edit")
    data = places.parse(text, str(path))
    given = dict(overrides or {})
    model, unloadable = _model(data)
    found = secret_places.gather(
        model, given, os.environ if environ is None else environ, data, path.absolute().parent
    )
    origin = faults.Origin(
        file=str(path), text=text, data=data, model=model, elsewhere=found.origins,
        later=_LATER, missing=_MISSING,
    )  # fmt: skip
    here = dataclasses.replace(origin, elsewhere={})
    wrong = [
        *found.faults,
        *(_no_folder(folder, origin) for folder in found.gone),
        *faults.reserved(data, here),
        *(_in_the_open(secret, here) for secret in secret_places.secrets_in(model, data)),
        *(here.fault(where, what, "ask whoever wrote it") for where, what in unloadable),
    ]
    reading = _Reading(sources=(found.environment, found.files, data))
    token = _reading.set(reading)
    try:
        settings = model(**{**given, "root": path.absolute().parent})  # type: ignore[arg-type]
        wrong += signing.check(
            settings.mail.dkim, settings.mail.smime, settings.sender.address, settings.root, origin
        )
        wrong += mailboxes.check(settings.inbox, settings.forward_to, settings.mail.bounces, origin)
    except pydantic.ValidationError as error:
        wrong += faults.to_faults(error, dataclasses.replace(origin, data=reading.merged))
    finally:
        _reading.reset(token)
    if wrong:
        raise errors.ConfigError(faults.in_order(wrong))
    return settings


def _model(
    data: Mapping[str, object],
) -> tuple[type[Settings], list[tuple[places.Path, str]]]:
    """Return what the file must fit: with the sections of the kinds of outlet that it names."""
    found, wrong = list[type[pydantic.BaseModel]](), list[tuple[places.Path, str]]()
    outlets = data.get("outlets")
    for name in outlets if isinstance(outlets, Mapping) else ():
        kind = places.value_at(data, ("outlets", name, "kind"))
        section, why = plugins.foreign(plugins.OUTLETS, kind, networks.SECTIONS)
        if why:
            wrong.append((("outlets", name, "kind"), why))
        found += [section] if section is not None else []
    if not found:
        return Settings, wrong
    either: Any = functools.reduce(operator.or_, [*networks.SECTIONS, *found])
    known = Annotated[either, pydantic.Field(discriminator="kind")]
    outlets_of: Any = dict[values.Name, known]
    return pydantic.create_model("Settings", __base__=Settings, outlets=(outlets_of, {})), wrong


def _in_the_open(path: places.Path, origin: faults.Origin) -> errors.Fault:
    name = "__".join(str(part) for part in path)
    variable = f"DELIVERYBOT_{name.upper().replace('-', '_')}"
    return origin.fault(
        path,
        f"'{path[-1]}' is a secret and does not belong into this file",
        f"put it into the environment as {variable}, or into a file {name} in secrets_dir",
    )


def schema() -> dict[str, object]:
    """Return the JSON Schema of config.toml, for editors."""
    return values.schema(
        Settings, Sender, Timeouts, signing.Dkim, signing.Smime, Mail, mailboxes.Imap,
        mailboxes.Maildir, *networks.SECTIONS, accounts.Access, notifying.Alerts, printing.Pdf,
        listening.Web,
    )  # fmt: skip
