"""Settings of signatures that stand in a database."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from typing import Annotated, Literal, Self

import pydantic
import typing_extensions

from deliverybot import faults, values
from deliverybot.origins import base, statements

_ADDRESS = re.compile(r"([a-z][a-z0-9]*)(?:\+[a-z0-9_]+)?://([^?]*)(?:\?(.*))?", re.DOTALL)
_SECRET = re.compile(r"(?:^|&|;|%3b)[^=]*(?:pass|pwd|secret|token)[^=&]*(?:=|%3d)", re.IGNORECASE)
_INSTEAD = (
    'make a section [access.NAME] in config.toml with host and username, write access = "NAME" '
    "here, and give its password by the environment or a secret file"
)


def _address(url: str) -> str:
    """Return the address of a database if it is one and holds no password."""
    found = _ADDRESS.fullmatch(url)
    if found is None or not url.isprintable():
        raise faults.wrong(
            "this is no address of a database",
            'such as "postgresql://db.example.org/petitions", '
            '"mysql+pymysql://db.example.org/petitions" or "sqlite:///signatures.db"',
        )
    kind, place, more = found[1], found[2], found[3] or ""
    if kind == "sqlite":
        if more or not re.match(r"/(?!:memory:)[^/]|//", place):
            raise faults.wrong(
                "this names no SQLite file",
                '"sqlite:///signatures.db" is a file beside the campaign\'s own, '
                '"sqlite:////srv/signatures.db" one anywhere',
            )
        return url
    if ":" in place.rpartition("@")[0] or _SECRET.search(more):
        raise faults.wrong(
            "the address holds a password, which has no place in this file", _INSTEAD
        )
    return url


def _start(text: str) -> str:
    if len(text) > 100 or not text.isprintable():  # noqa: PLR2004 - longer than any key
        raise faults.wrong("this is no first value of :cursor", 'such as "0", or "" for texts')
    return text


def _overlap(text: str) -> str:
    _back(text)
    return text


def _back(text: str) -> int | dt.timedelta:
    """Return the meaning of "1000 keys" or of a length of time such as "10m"."""
    found = re.fullmatch(r"([0-9]{1,7}) keys", text)
    if found:
        return int(found[1])
    try:
        return dt.timedelta(seconds=values.delay(text))
    except Exception:  # noqa: BLE001 - pydantic's own error, worded for lengths of time
        hint = 'such as "1000 keys" where the key is a number, "10m" where it is a time'
        raise faults.wrong(f"{text!r} is no overlap", hint) from None


class SqlSource(base.Listing):
    """Signatures in a database, asked for by your own query."""

    #: The kind of source.
    kind: Literal["sql"]
    #: Where the database is, without a password: "postgresql://db.example.org/petitions", or any
    #: other address of SQLAlchemy's; "sqlite:///signatures.db" is a file beside the campaign's.
    url: Annotated[str, pydantic.AfterValidator(_address)]
    #: Name of an [access.NAME] section of config.toml: host, user and password of the database.
    access: values.Name | None = None
    #: The query for signers behind :cursor, in the order of `key`, at most :limit of them.
    query: str | None = None
    #: A file with that query, relative to the campaign's own file; it may hold the query for the
    #: number, too, behind a semicolon.
    query_file: Annotated[str, pydantic.Field(min_length=1)] | None = None
    #: A query for one number, how many have signed; without it, it is that of the signers read.
    count_query: str | None = None
    #: Values of the queries' other parameters, such as { petition = 7 } for :petition.
    parameters: dict[str, object] = pydantic.Field(default={})
    #: Their column that :cursor is compared with: unique, and growing with each signature.
    key: values.SomeWords = "id"
    #: What :cursor is at first; digits are a number, "" is right for texts.
    start: Annotated[str, pydantic.AfterValidator(_start)] = "0"
    #: How far back each reading looks for rows that became visible late: "1000 keys" where `key`
    #: is a number (the default), "10m" where it is a time (the default, too).
    overlap: Annotated[str, pydantic.AfterValidator(_overlap)] | None = None
    #: Time that one query may take.
    timeout: values.Duration = "1m"

    @property
    @typing_extensions.override
    def remote(self) -> bool:
        return not self.url.startswith("sqlite")

    @property
    @typing_extensions.override
    def lists(self) -> bool:
        return self.query is not None or self.query_file is not None

    @property
    @typing_extensions.override
    def counts(self) -> bool:
        # A file may hold both queries; only the reading can tell.
        return self.count_query is not None or self.query_file is not None

    @property
    def back(self) -> int | dt.timedelta | None:
        """`overlap` as a number of keys or a length of time; None where it is not given."""
        return None if self.overlap is None else _back(self.overlap)

    @property
    def timeout_seconds(self) -> int:
        """`timeout` in seconds."""
        return values.seconds(self.timeout)

    @pydantic.field_validator("parameters")
    @classmethod
    def _plain(cls, parameters: dict[str, object]) -> dict[str, object]:
        for name, value in parameters.items():
            if name in statements.OURS or not re.fullmatch(r"[A-Za-z_]\w{0,63}", name):
                raise faults.wrong(
                    f"{name!r} cannot be the name of a parameter", "letters, digits and _"
                )
            if not isinstance(value, bool | int | float | str):
                raise faults.wrong(
                    f"the parameter {name!r} is neither a number nor a text",
                    'write a time as a text, such as "2026-12-01"',
                )
        return parameters

    @pydantic.field_validator("query")
    @classmethod
    def _asks_for_signers(cls, query: str | None) -> str | None:
        found = one(query)
        if found is not None and not found.lists:
            raise faults.wrong("the query uses neither :cursor nor :limit", statements.HOW)
        _sound(found)
        return query

    @pydantic.field_validator("count_query")
    @classmethod
    def _asks_for_a_number(cls, query: str | None) -> str | None:
        found = one(query)
        if found is not None and found.lists:
            raise faults.wrong(
                "a query for the number has no :cursor and no :limit",
                "such as: SELECT count(*) FROM signatures WHERE petition_id = :petition",
            )
        _sound(found)
        return query

    @pydantic.model_validator(mode="after")
    def _complete(self) -> Self:
        if self.query is not None and self.query_file is not None:
            raise faults.wrong("'query' and 'query_file' cannot both be meant", "leave one out")
        if not self.lists and self.count_query is None:
            raise faults.wrong("a source of the kind 'sql' needs a query", statements.HOW)
        inline = [found for text in (self.query, self.count_query) if (found := one(text))]
        for what, hint in (
            one for query in inline for one in query.problems(self.parameters, self.key)
        ):
            raise faults.wrong(what, hint)
        if self.query_file is None:
            _all_used(self.parameters, inline)
        return self


def _all_used(parameters: Iterable[str], queries: Iterable[statements.Statement]) -> None:
    used = frozenset[str]().union(*(query.names for query in queries))
    for name in parameters:
        if name not in used:
            raise faults.wrong(
                f"no query uses the parameter {name!r}",
                f"the queries' parameters are: {', '.join(sorted(used)) or 'none'}",
            )


def one(text: str | None) -> statements.Statement | None:
    """Return the one query that a text must be."""
    if text is None:
        return None
    found = statements.split(text)
    if len(found) != 1:
        raise faults.wrong("one query is to stand here", statements.HOW)
    return found[0]


def _sound(query: statements.Statement | None) -> None:
    """Say at its own line what is wrong with a query by itself."""
    if query is not None:
        for what, hint in query.problems(query.names):
            raise faults.wrong(what, hint)
