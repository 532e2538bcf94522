"""The settings of DKIM: which keys sign the mails of which domain."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator
from typing import Annotated, Self

import pydantic

from deliverybot import errors, faults, values

_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"


def _labels(text: str) -> str:
    """Return the text if it is empty, or labels of a domain in lower case."""
    if text and not re.fullmatch(rf"{_LABEL}(?:\.{_LABEL})*", text):
        raise faults.wrong(f"{text!r} is no name in DNS", "small letters, digits, - and dots")
    return text


_Labels = Annotated[str, pydantic.AfterValidator(_labels)]


class Dkim(values.Section):
    """The keys that mails are signed with; leave the section out to have the relay sign."""

    #: Domain that signs: that of the sender's address, or one above it.
    domain: _Labels = ""
    #: Name of the key: its public half is published at selector._domainkey.domain.
    selector: _Labels = ""
    #: File of the private key in PEM, RSA of 2048 bits or more, or ed25519.
    key_file: str = ""
    #: Instead of `key_file`: the PEM itself, from the environment or a secret file.
    key: pydantic.SecretStr = pydantic.SecretStr("")
    #: A second key of the other kind, which signs as well.
    second_selector: _Labels = ""
    #: As `key_file`.
    second_key_file: str = ""
    #: As `key`.
    second_key: pydantic.SecretStr = pydantic.SecretStr("")

    @pydantic.model_validator(mode="after")
    def _whole(self) -> Self:
        first = bool(self.selector), bool(self.key_file), bool(self.key.get_secret_value())
        second = (
            *(bool(self.second_selector), bool(self.second_key_file)),
            bool(self.second_key.get_secret_value()),
        )
        if not self.domain and not any(first + second):
            return self
        if not self.domain or not self.selector:
            raise faults.wrong("[mail.dkim] needs a domain and a selector", "name both, or neither")
        for selector, file, text in (first, second):
            if file and text:
                raise faults.wrong("[mail.dkim] has a key twice", "leave key_file out")
            if selector != (file or text):
                hint = "key_file names a PEM file; a secret file mail__dkim__key holds it"
                raise faults.wrong("[mail.dkim] needs a key for each selector", hint)
        return self


def check(
    section: Dkim, sender: str, root: pathlib.Path, origin: faults.Origin
) -> Iterator[errors.Fault]:
    """Name keys that cannot be read, and a domain that does not speak for the sender."""
    host = sender.rpartition("@")[2].lower()
    if section.domain and not f".{host}".endswith(f".{section.domain}"):
        yield origin.fault(
            ("mail", "dkim", "domain"),
            f"{section.domain} cannot sign for the sender's address, which is of {host}",
            f'domain = "{host}", or a domain above it',
        )
    for name in ("key_file", "second_key_file"):
        file = getattr(section, name)
        try:
            if file:
                (root / file).read_bytes()
        except OSError as error:
            yield origin.fault(
                ("mail", "dkim", name),
                f"the key {root / file} cannot be read: {error.strerror}",
                "a path is relative to the folder of config.toml; its owner must be who runs this",
            )
