"""Where the web server listens: the section [web] of config.toml."""

from __future__ import annotations

from typing import Annotated

import pydantic

from deliverybot import values


class Web(values.Section):
    """The web server for lists of signers and for webhooks; without this section there is none."""

    #: Address and port of this machine that it answers at; 127.0.0.1 behind a proxy.
    listen: values.Listen = "127.0.0.1:8080"
    #: Connections open at a time; more are hung up on.
    connections: Annotated[int, pydantic.Field(ge=1, le=1000)] = 50
    #: Seconds that a client may take to send its request, or to take the next bytes.
    patience: Annotated[float, pydantic.Field(gt=0, le=86_400)] = 30
