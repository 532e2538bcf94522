"""Settings of JSON that a website gives: of any shape, of e-petitions and of Decidim."""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import pydantic
import typing_extensions

from deliverybot import expressions, faults, values
from deliverybot.origins import base

#: Names of parameters whose values are secrets; "page_token" and "author" are none.
_SECRET = re.compile(
    r"(?:(?:access|api|app|auth|client|user)[_-]?)?"
    r"(?:auth|authorization|key|passwd|password|secret|token)",
    re.IGNORECASE,
)


def _expression(text: str) -> str:
    try:
        expressions.check(text)
    except ValueError as error:
        hint = 'names with points between them, such as "data.signatures"'
        if re.search(r"[^\w.\[\]]", text) and not re.search(r"[\"'(`|?{\\]", text):
            quoted = ".".join(f'"{name}"' for name in text.split("."))
            hint = f"a name with a blank or a dash stands in quotes of its own: '{quoted}'"
        raise faults.wrong(f"{text[:80]!r} is no JMESPath expression: {error}", hint) from None
    return text


def _public(text: str) -> str:
    """Return an address if it holds no secret, as far as one can see that."""
    for name, _ in urllib.parse.parse_qsl(urllib.parse.urlsplit(text).query):
        if _SECRET.fullmatch(name):
            raise faults.wrong(
                f"{name!r} in the address seems to be a secret",
                'make a section [access.NAME] in config.toml and write access = "NAME" here',
            )
    return text


def _parameter(text: str) -> str:
    # Not as a pattern of pydantic's: to build that takes longer than all else here.
    if not re.fullmatch(r"[\w.\[\]-]{1,100}", text, re.ASCII):
        raise faults.wrong(f"{text!r} is no name of a parameter", 'such as "page" or "after"')
    return text


_Expression = Annotated[str, pydantic.AfterValidator(_expression)]
#: The name of a parameter in an address, or with `post` the way to it in what is sent.
_Parameter = Annotated[str, pydantic.AfterValidator(_parameter)]
_Values = Annotated[tuple[str, ...], pydantic.Field(min_length=1)]

#: What is known of a platform's answers; it fills in what a person left out.
PRESETS: Mapping[str, Mapping[str, Any]] = {
    # As many public scripts read it; not a documented interface of Change.org.
    # `displayed` is a number that their page counts up to, `total` the one that counts.
    "change-org": {
        "count": "petition.signatureCount.total || signatureCount.total || total_signature_count"
    },
    # The interface of 2012, by its own documentation; others have copied its shape.
    "change-org-v1": {
        "count": "signature_count",
        "signers": "signatures",
        "next": "next_page_endpoint",
        "order": "oldest",
        "columns": {
            "name": "name",
            "city": "city",
            "region": "state_province",
            "country": "country",
            "signed_at": "signed_on",
        },
    },
    "unique-count": {"count": "unique_count"},
}


class HttpJsonSource(base.Fetched, base.Listing):
    """JSON at a web address: a number, a list of signers, or both."""

    #: The kind of source.
    kind: Literal["http-json"]
    #: Fills in what you leave out: change-org, the number on a petition's page; change-org-v1,
    #: lists in the shape of its old interface; unique-count, counters with that key.
    preset: Literal["change-org", "change-org-v1", "unique-count"] | None = None
    #: The address that answers with JSON, such as "https://example.org/petition.json".
    url: Annotated[values.Url, pydantic.AfterValidator(_public)]
    #: What to send, such as a GraphQL query with its variables; without it nothing is sent.
    post: dict[str, object] | None = None
    #: JMESPath expression of the number of signatures, such as "data.total".
    count: _Expression | None = None
    #: JMESPath expression of the list of signers, such as "data.signatures".
    signers: _Expression | None = None
    #: Whether that list begins with the oldest or the newest signer.
    order: Literal["oldest", "newest"] | None = None
    #: JMESPath expression of the next page's address, such as "links.next"; with `cursor`, of
    #: what to put there.
    next: _Expression | None = None
    #: Parameter of the address that takes what `next` finds, such as "after"; with `post`, the
    #: way to it in what is sent, such as "variables.after".
    cursor: _Parameter | None = None
    #: Parameter that takes the number of the page, such as "page"; instead of `next`.
    page: _Parameter | None = None
    #: Number of the first page.
    first_page: Annotated[int, pydantic.Field(ge=0, le=1)] = 1
    #: With `page`: JMESPath expression of the number of pages, such as "meta.pages".
    pages: _Expression | None = None
    #: Parameter that takes how many signers come before the page, such as "offset"; instead
    #: of `next`.
    offset: _Parameter | None = None
    #: Our field = JMESPath expression on one signer, such as { city = "address.town" }.
    columns: dict[base.SignerField, _Expression] = pydantic.Field(default={})
    #: JMESPath expression on one signer = the values of it that count, such as
    #: { status = ["confirmed"] }; signers with another value are passed over.
    only: dict[_Expression, _Values] = pydantic.Field(default={})

    @pydantic.model_validator(mode="before")
    @classmethod
    def _filled_in(cls, data: object) -> object:
        if not isinstance(data, Mapping):
            return data
        preset = PRESETS.get(str(data.get("preset")), {})
        if "signers" in preset and "count" in data and "signers" not in data:
            # Who names the number alone wants no list.
            preset = {}
        return {**preset, **data}

    @pydantic.field_validator("post")
    @classmethod
    def _is_json(cls, post: dict[str, object] | None) -> dict[str, object] | None:
        try:
            json.dumps(post, allow_nan=False)
        except (TypeError, ValueError):
            hint = "texts, numbers, true and false, lists and sections"
            raise faults.wrong("'post' holds something that JSON has not", hint) from None
        return post

    @pydantic.model_validator(mode="after")
    def _sound(self) -> Self:
        if self.count is None and self.signers is None:
            raise faults.wrong(
                "neither 'count' nor 'signers' is given, so nothing would be read",
                'say where the number stands, such as count = "data.total", or where the list '
                'is, such as signers = "data.signatures"',
            )
        if self.signers is None:
            self._no_list()
        elif self.order is None:
            raise faults.wrong(
                "'order' is missing",
                'order = "oldest" where the list begins with who signed first, order = "newest" '
                "where new signers come on top",
            )
        self._one_way()
        return self

    def _no_list(self) -> None:
        of_lists = ("order", "next", "cursor", "page", "pages", "offset", "columns", "only")
        given = [name for name in of_lists if getattr(self, name)]
        if given:
            raise faults.wrong(
                f"'{given[0]}' is about a list of signers, and no 'signers' is given",
                'signers = "data.signatures", say, or leave it out',
            )

    def _one_way(self) -> None:
        ways = [name for name in ("next", "page", "offset") if getattr(self, name)]
        if len(ways) > 1:
            both = f"'{ways[0]}' and '{ways[1]}' cannot both be meant"
            raise faults.wrong(both, "one of them says how to come to the next page")
        if self.cursor and not self.next:
            hint = 'next = "meta.cursor", say: where it stands in the answer'
            raise faults.wrong("'cursor' is given, and not what to put there: 'next'", hint)
        if self.pages and not self.page:
            raise faults.wrong("'pages' is given and 'page' is not", 'page = "page", say')
        if self.post is not None and self.next and not self.cursor:
            hint = 'cursor = "variables.after", say: where it goes in what is sent'
            raise faults.wrong("with 'post', 'next' needs 'cursor'", hint)
        if self.post is not None:
            self._way_into(self.post)

    def _way_into(self, post: Mapping[str, object]) -> None:
        """See that what tells the page finds its place in what is sent."""
        way = self.cursor or self.page or self.offset or ""
        within: object = post
        for part in way.split(".")[:-1]:
            within = within.get(part, {}) if isinstance(within, Mapping) else None
        if not isinstance(within, Mapping):
            what = f"there is no place for {way!r} in what is sent"
            raise faults.wrong(what, "each part before the last point names a section of 'post'")

    @typing_extensions.override
    @property
    def lists(self) -> bool:
        return self.signers is not None

    @typing_extensions.override
    @property
    def counts(self) -> bool:
        return self.count is not None


class EpetitionsSource(base.Fetched):
    """The number of a petition on a website of the kind that the UK's Parliament has."""

    #: The kind of source.
    kind: Literal["epetitions"]
    #: The petition's page, such as "https://petition.parliament.example/petitions/700001".
    url: values.Url

    @typing_extensions.override
    @property
    def counts(self) -> bool:
        return True

    @pydantic.field_validator("url")
    @classmethod
    def _is_petition(cls, url: str) -> str:
        if not re.search(r"/petitions/[0-9]+(\.json|/count\.json)?/?$", _bare(url)):
            raise faults.wrong(
                "this is not the address of one petition", "it ends in /petitions/ and a number"
            )
        return url

    @property
    def page(self) -> str:
        """The address of the petition's page, without what follows its number."""
        return re.sub(r"(\.json|/count\.json)?/?$", "", _bare(self.url), count=1)


class DecidimSource(base.Fetched):
    """The number of an initiative on a Decidim site."""

    #: The kind of source.
    kind: Literal["decidim"]
    #: The site, such as "https://decidim.example".
    url: values.Url
    #: The initiative's number: 7 for an address that ends in /initiatives/i-7.
    initiative: Annotated[int, pydantic.Field(gt=0)]
    #: Whether signatures on paper, which the site's staff type in, count, too.
    offline: bool = True

    @typing_extensions.override
    @property
    def counts(self) -> bool:
        return True

    @property
    def api(self) -> str:
        """The address that takes the site's queries."""
        return _bare(self.url).removesuffix("/").removesuffix("/api") + "/api"


def _bare(url: str) -> str:
    return urllib.parse.urlunsplit(urllib.parse.urlsplit(url)._replace(query="", fragment=""))
