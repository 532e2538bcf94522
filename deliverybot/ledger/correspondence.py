"""The tables around letters and posts.

Suppressions, what came back, links and who looked, erasures; the pictures of
posts, and outlets that are left alone for a while.
"""

from __future__ import annotations

import sqlalchemy as sa

from deliverybot.ledger import tables

#: Addresses that no letter may go to any more.
suppressions = sa.Table(
    "suppressions",
    tables.metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    #: Keyed hash of the normalised address, in hex.
    sa.Column("key", sa.String(64), nullable=False, index=True),
    #: The address as a person may be shown it: its domain in full, the rest not.
    sa.Column("shown", sa.Text, nullable=False, server_default=""),
    #: asked, bounced, complained or by-hand.
    sa.Column("reason", sa.String(20), nullable=False),
    #: What shows it: a Message-ID, a status, a person's words.
    sa.Column("evidence", sa.Text, nullable=False, server_default=""),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("at", tables.Utc, nullable=False),
    #: Who allowed mail again, and when: a person, never a machine.
    sa.Column("lifted_by", sa.Text, nullable=False, server_default=""),
    sa.Column("lifted_at", tables.Utc),
)

#: Mails that came back: bounces, notices, answers.
returns = sa.Table(
    "returns",
    tables.metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    #: Of the whole mail, so that none is taken in twice.
    sa.Column("sha256", sa.String(64), nullable=False, unique=True),
    #: bounce, delay, receipt, automatic, answer, complaint or unknown.
    sa.Column("kind", sa.String(12), nullable=False),
    #: What it is about; NULL where nothing tells.
    sa.Column("delivery_id", sa.ForeignKey("deliveries.id"), index=True),
    #: What told: verp, envelope-id, message-id or references.
    sa.Column("matched", sa.String(20), nullable=False, server_default=""),
    sa.Column("at", tables.Utc, nullable=False),
    sa.Column("sender", sa.Text, nullable=False, server_default=""),
    sa.Column("subject", sa.Text, nullable=False, server_default=""),
    #: RFC 3463 status of a notice, and its words.
    sa.Column("status", sa.String(20), nullable=False, server_default=""),
    sa.Column("said", sa.Text, nullable=False, server_default=""),
    #: The mail as it came, below state_dir.
    sa.Column("path", sa.Text, nullable=False),
    #: Its way to the campaigner: empty, due, handing_over, sent, unsure or refused.
    sa.Column("forward", sa.String(12), nullable=False, server_default=""),
    sa.Column("forwarded_at", tables.Utc),
)

#: How far each mailbox is read.
mailboxes = sa.Table(
    "mailboxes",
    tables.metadata,
    sa.Column("name", sa.String(200), primary_key=True),
    #: Opaque JSON of the mailbox.
    sa.Column("cursor", sa.Text, nullable=False),
    #: Why the last reading failed; empty when it did not.
    sa.Column("problem", sa.Text, nullable=False, server_default=""),
    sa.Column("read_at", tables.Utc),
)

#: Addresses under which a target finds the list of signers.
links = sa.Table(
    "links",
    tables.metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("delivery_id", sa.ForeignKey("deliveries.id"), nullable=False, index=True),
    #: Of the unguessable part of the address.
    sa.Column("token_sha256", sa.String(64), nullable=False, unique=True),
    #: The PDF below state_dir, and its SHA-256.
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("made_at", tables.Utc, nullable=False),
    #: NULL until the letter has left.
    sa.Column("expires_at", tables.Utc),
    sa.Column("withdrawn_at", tables.Utc),
    sa.Column("withdrawn_by", sa.Text, nullable=False, server_default=""),
)

#: Who looked: one row a request, without an address.
visits = sa.Table(
    "visits",
    tables.metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("link_id", sa.ForeignKey("links.id"), nullable=False, index=True),
    sa.Column("at", tables.Utc, nullable=False),
    #: HTTP status, first byte and number of bytes sent.
    sa.Column("status", sa.Integer, nullable=False, server_default="0"),
    sa.Column("first", sa.Integer, nullable=False, server_default="0"),
    sa.Column("bytes", sa.Integer, nullable=False, server_default="0"),
    sa.Column("agent", sa.Text, nullable=False, server_default=""),
)

#: Signers who were erased, and what of them is still to be taken away.
erasures = sa.Table(
    "erasures",
    tables.metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("campaign_id", sa.ForeignKey("campaigns.id"), nullable=False, index=True),
    #: Numbers of the first and the last.
    sa.Column("first", sa.Integer, nullable=False),
    sa.Column("last", sa.Integer, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("at", tables.Utc, nullable=False),
    #: JSON: `files` below state_dir, and `deliveries` on their way whose files wait.
    sa.Column("todo", sa.Text, nullable=False),
    #: Files that were taken away.
    sa.Column("removed", sa.Integer, nullable=False, server_default="0"),
    #: When nothing was left to do.
    sa.Column("done_at", tables.Utc),
)

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
