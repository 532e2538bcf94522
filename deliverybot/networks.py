"""Where posts go: the sections [outlets.NAME] of config.toml.

The outlets themselves are in outlets/, one module each.  A kind that somebody
else wrote has its section in its own package; see docs/add-an-outlet.md.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

import pydantic

from deliverybot import faults, values

_Secret = pydantic.SecretStr
#: Dollars that a network charges for one post.
_Price = Annotated[float, pydantic.Field(ge=0, le=1000)]
#: By kind, the fields that say whose account it is.
_ACCOUNT = {
    "folder": (),
    "x": ("api", "access_token"),
    "mastodon": ("api", "access_token"),
    "bluesky": ("api", "handle"),
    "webhook": ("url",),
}
#: Seconds, a day at most: what is longer overflows somewhere.
_Above0 = Annotated[float, pydantic.Field(gt=0, le=86_400)]
_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HANDLE = rf"(?:{_LABEL}\.)+[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])?|did:(?:plc|web):[a-z0-9.:%-]+"


def protected(api: str) -> str:
    """Return the address, unless secrets would travel to it in the clear."""
    parts = urllib.parse.urlsplit(api)
    if parts.scheme != "https" and not values.is_loopback(parts.hostname or ""):
        raise faults.wrong("tokens would travel in the clear", "use https://")
    return api


def secrets(section: object) -> Iterator[str]:
    """Yield the secrets of an outlet's section, whoever wrote its kind."""
    if isinstance(section, pydantic.SecretStr):
        yield section.get_secret_value()
    elif isinstance(section, pydantic.BaseModel):
        yield from secrets(dict(section))
    elif isinstance(section, Mapping):
        yield from secrets(tuple(section.values()))
    elif isinstance(section, list | tuple):
        for inner in section:
            yield from secrets(inner)


def secret_names(section: object) -> Iterator[str]:
    """Yield the names of the secrets that an outlet's section has, whoever wrote its kind."""
    for name, value in dict(section).items() if isinstance(section, pydantic.BaseModel) else ():
        if isinstance(value, pydantic.SecretStr) and value.get_secret_value():
            yield name


def missing(section: object) -> list[str]:
    """Return the names of the secrets that a section of our own kinds needs and has not."""
    known = dict(section) if isinstance(section, SECTIONS) else {}
    return [
        name
        for name, value in known.items()
        if isinstance(value, pydantic.SecretStr) and not value.get_secret_value()
    ]


def account(section: pydantic.BaseModel) -> str:
    """Return what tells the account of a section from another, with secrets: never to be shown.

    Of a kind that somebody else wrote it is all that the section says.
    """
    fields = dict(section)
    names = _ACCOUNT.get(str(fields.get("kind")), tuple(fields))
    told = [(name, fields[name]) for name in ("kind", *names)]
    return repr([*((name, str(value)) for name, value in told), *secrets(dict(told))])


def bluesky_handle(text: str) -> str:
    """Return the text if it is a handle or a DID (atproto.com/specs/handle, /did)."""
    if not re.fullmatch(_HANDLE, text, re.IGNORECASE):
        # Not named: it may be a person's e-mail address.
        raise faults.wrong("this is no handle", 'write it without "@", such as "name.bsky.social"')
    return text


#: Where a network answers.
Api = Annotated[values.Url, pydantic.AfterValidator(protected)]


class FolderOutlet(values.Section):
    """Posts as text files under state_dir/outbox."""

    #: The kind of outlet.
    kind: Literal["folder"]


class XOutlet(values.Section):
    """Posts on X, as the user whose OAuth 1.0a tokens these are."""

    #: The kind of outlet.
    kind: Literal["x"]
    #: Where the network answers.
    api: Api = "https://api.twitter.com"
    #: From the environment or a secret file, as the three below.
    consumer_key: _Secret = _Secret("")
    #: Belongs to `consumer_key`.
    consumer_secret: _Secret = _Secret("")
    #: The posting user's token.
    access_token: _Secret = _Secret("")
    #: Belongs to `access_token`.
    access_token_secret: _Secret = _Secret("")
    #: Dollars that X charges for a post without a link.
    price: _Price = 0.015
    #: Dollars for a post with a link, or with a bare domain, which X makes one of.
    price_with_link: _Price = 0.20
    #: Seconds for one request.
    timeout: _Above0 = 30


class MastodonOutlet(values.Section):
    """Posts on Mastodon, or on a server that speaks as it does."""

    #: The kind of outlet.
    kind: Literal["mastodon"]
    #: The account's server, such as "https://social.example".
    api: Api
    #: From the environment or a secret file; needs the scopes read:accounts, read:statuses,
    #: write:statuses and write:media.
    access_token: _Secret = _Secret("")
    #: Who sees the posts.
    visibility: Literal["public", "unlisted", "private"] = "public"
    #: The longest post that the server takes; `check` compares.
    characters: Annotated[int, pydantic.Field(ge=1, le=1_000_000)] = 500
    #: The characters for which the server counts a link, however long; `check` compares.
    link_characters: Annotated[int, pydantic.Field(ge=1, le=1_000)] = 23
    #: Seconds for one request.
    timeout: _Above0 = 30


class BlueskyOutlet(values.Section):
    """Posts on Bluesky, or on another server of the AT Protocol."""

    #: The kind of outlet.
    kind: Literal["bluesky"]
    #: Where the account signs in.
    api: Api = "https://bsky.social"
    #: Name of the account, such as "campaigns.example"; without "@".
    handle: Annotated[str, pydantic.AfterValidator(bluesky_handle)]
    #: From the environment or a secret file: an app password, never the account's own.
    app_password: _Secret = _Secret("")
    #: Seconds for one request.
    timeout: _Above0 = 30


class WebhookOutlet(values.Section):
    """Posts as signed JSON to an address of your own, for every other network."""

    #: The kind of outlet.
    kind: Literal["webhook"]
    #: Where the JSON goes.
    url: Api
    #: What it is signed with; from the environment or a secret file.
    secret: _Secret = _Secret("")
    #: Whether who answers there takes the same Idempotency-Key for the same post, so that a try
    #: whose answer was lost may go again.
    same_key_same_post: bool = False
    #: The longest text that is taken; 0: any.
    characters: Annotated[int, pydantic.Field(ge=0, le=1_000_000)] = 0
    #: Seconds for one request.
    timeout: _Above0 = 30


#: The sections of our own kinds, in the order of docs/settings.md.
SECTIONS: tuple[type[values.Section], ...] = (
    FolderOutlet,
    XOutlet,
    MastodonOutlet,
    BlueskyOutlet,
    WebhookOutlet,
)

Outlet = Annotated[
    FolderOutlet
    | XOutlet
    | MastodonOutlet
    | BlueskyOutlet
    | WebhookOutlet,
    pydantic.Field(discriminator="kind"),
]  # fmt: skip
