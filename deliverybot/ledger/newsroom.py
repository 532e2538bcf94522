"""The tables beside posts: their pictures, and outlets that are left alone for a while."""

from __future__ import annotations

import sqlalchemy as sa

from deliverybot.ledger import tables

#: Pictures of posts, each once, whatever posts show it.
pictures = sa.Table(
    "pictures",
    tables.metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("png", sa.LargeBinary, nullable=False),
)

#: Outlets that nothing is posted on now; no row: all is well.
rests = sa.Table(
    "rests",
    tables.metadata,
    sa.Column("outlet", sa.String(100), primary_key=True),
    #: Until when; NULL: until a person says so, or its section in config.toml changes.
    sa.Column("until", tables.Utc),
    sa.Column("since", tables.Utc, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    #: Hash of the section that was refused, in hex: another one is tried at once.
    sa.Column("section", sa.String(64), nullable=False, server_default=""),
)
