"""The section of signatures that a platform brings by itself."""

from __future__ import annotations

from typing import Literal, Self

import pydantic
import typing_extensions

from deliverybot import faults, values
from deliverybot.origins import base

#: Platforms that sign each call; the others are told apart by the address alone.
SIGNING = {"typeform": "Typeform-Signature", "tally": "Tally-Signature"}


class WebhookSource(base.Listing):
    """Signatures that a platform or your own site sends to an address of this installation."""

    #: The kind of source.
    kind: Literal["webhook"]
    #: Whose calls these are; json: objects of your own site, alone or in a list.
    platform: Literal["json", "actionnetwork", "typeform", "tally"] = "json"
    #: Id of the petition or form whose signatures count; where it is not given, all do.
    form: values.Words = ""
    #: Name of an [access.NAME] section of config.toml whose signing_secret the calls are signed
    #: with; Typeform and Tally need it.
    access: values.Name | None = None
    #: With platform = "json": the header that holds the HMAC-SHA256 of the body, in hex or base64.
    signature_header: values.Words = ""

    @property
    def header(self) -> str:
        """The header that a call is signed in; empty where it is not."""
        return SIGNING.get(self.platform, self.signature_header)

    @pydantic.model_validator(mode="after")
    def _sound(self) -> Self:
        if self.header and self.access is None:
            raise faults.wrong(
                f"[source] platform = {self.platform!r} signs its calls, and no 'access' is given",
                'access = "NAME" here, a section [access.NAME] in config.toml, and its '
                "signing_secret in the environment or a secret file",
            )
        if self.access is not None and not self.header:
            raise faults.wrong(
                "[source] names an access, and no header is said to hold a signature",
                'with platform = "json": signature_header = "X-Signature"',
            )
        if self.signature_header and self.platform != "json":
            raise faults.wrong(
                f"the header of {self.platform} is known", "leave out signature_header"
            )
        return self

    @typing_extensions.override
    @property
    def lists(self) -> bool:
        return True
