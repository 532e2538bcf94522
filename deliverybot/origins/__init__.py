"""The [source] sections of campaign files: what a person says of each kind of source.

The kinds themselves are in sources/, one module each.  A kind that somebody
else wrote has its section in its own package; see docs/add-a-source.md.
"""

from __future__ import annotations

from typing import Annotated

import pydantic

from deliverybot.origins import base, files, htmlpage, platforms, sql, web, webhook

Section = base.Section
Listing = base.Listing
Fetched = base.Fetched
SignerField = base.SignerField

#: The sections of our own kinds, in the order of docs/settings.md.
SECTIONS: tuple[type[Section], ...] = (
    files.CsvSource,
    files.JsonlSource,
    files.ParquetSource,
    sql.SqlSource,
    webhook.WebhookSource,
    web.HttpJsonSource,
    web.EpetitionsSource,
    web.DecidimSource,
    htmlpage.HtmlSource,
    platforms.ActionNetworkSource,
    platforms.ActionKitSource,
)

Source = Annotated[
    files.CsvSource
    | files.JsonlSource
    | files.ParquetSource
    | sql.SqlSource
    | webhook.WebhookSource
    | web.HttpJsonSource
    | web.EpetitionsSource
    | web.DecidimSource
    | htmlpage.HtmlSource
    | platforms.ActionNetworkSource
    | platforms.ActionKitSource,
    pydantic.Field(discriminator="kind"),
]  # fmt: skip
