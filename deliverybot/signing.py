"""The settings of signatures: DKIM for the mail servers, S/MIME for the reader."""

from __future__ import annotations

import pathlib
import re
import stat
from collections.abc import Iterator
from typing import Annotated, Self

import pydantic

from deliverybot import errors, faults, values

#: Who is in the file's group may read it: some services are given their keys so.
_OTHERS = stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP
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
        if self.selector == self.second_selector:
            hint = "another selector for each key: DNS holds one key under each name"
            raise faults.wrong("[mail.dkim] has one selector for two keys", hint)
        return self


class Smime(values.Section):
    """The certificate that letters are signed with for their readers; left out, they are not."""

    #: PEM file of the certificate for the sender's address, those that vouch for it behind it.
    certificate: str = ""
    #: File of its private key in PEM, RSA of 2048 bits or more, or EC P-256 or P-384.
    key_file: str = ""
    #: Instead of `key_file`: the PEM itself, from the environment or a secret file.
    key: pydantic.SecretStr = pydantic.SecretStr("")

    @pydantic.model_validator(mode="after")
    def _whole(self) -> Self:
        text = bool(self.key.get_secret_value())
        if self.key_file and text:
            raise faults.wrong("[mail.smime] has a key twice", "leave key_file out")
        if self.certificate and not (self.key_file or text):
            hint = "key_file names a PEM file; a secret file mail__smime__key holds it"
            raise faults.wrong("[mail.smime] has a certificate and no key", hint)
        if not self.certificate and (self.key_file or text):
            hint = 'certificate = "smime.pem", or leave the key out'
            raise faults.wrong("[mail.smime] has a key and no certificate", hint)
        return self


def check(
    dkim: Dkim, smime: Smime, sender: str, root: pathlib.Path, origin: faults.Origin
) -> Iterator[errors.Fault]:
    """Name files that cannot be read, and a domain that does not speak for the sender."""
    host = sender.rpartition("@")[2].lower()
    if dkim.domain and not f".{host}".endswith(f".{dkim.domain}"):
        yield origin.fault(
            ("mail", "dkim", "domain"),
            f"{dkim.domain} cannot sign for the sender's address, which is of {host}",
            f'domain = "{host}", or a domain above it',
        )
    files = (
        ("dkim", "key_file", "key", dkim.key_file),
        ("dkim", "second_key_file", "key", dkim.second_key_file),
        ("smime", "certificate", "certificate", smime.certificate),
        ("smime", "key_file", "key", smime.key_file),
    )
    for section, name, what, file in files:
        try:
            if file:
                (root / file).read_bytes()
        except OSError as error:
            yield origin.fault(
                ("mail", section, name),
                f"the {what} {root / file} cannot be read: {error.strerror}",
                "a path is relative to the folder of config.toml; its owner must be who runs this",
            )


def exposed(*files: pathlib.Path) -> list[errors.Fault]:
    """Warn of private keys that others on this machine can read."""
    return [
        errors.Fault(
            level="warning",
            what=f"the private key {file} can be read by others than its owner",
            hint=f"chmod 600 {file}",
        )
        for file in files
        if file.stat().st_mode & _OTHERS
    ]
