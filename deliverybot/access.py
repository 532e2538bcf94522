"""Settings of the accounts at platforms that signatures are read from."""

from __future__ import annotations

import pydantic

from deliverybot import values

_Secret = pydantic.SecretStr


class Access(values.Section):
    """An account at a platform, by the name that campaigns call it with `access = "NAME"`.

    Its secrets come from the environment or secret files; only the host that
    is named here ever gets them.
    """

    #: Where the account is, such as "actions.example.org"; without it no password or token is sent.
    host: str = ""
    #: Name of the user, where the platform asks for one.
    username: values.Words = ""
    #: Belongs to `username`; also that of a database.
    password: _Secret = _Secret("")
    #: A key of the platform's API, in place of user and password.
    token: _Secret = _Secret("")
    #: What the platform signs its calls to our webhook with.
    signing_secret: _Secret = _Secret("")
