"""The tables of the ledger, for SQLite and PostgreSQL alike.

Times are UTC in ISO 8601 text of fixed width, so both databases order and
compare them in the same way and a person can read them.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy import types

FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


def text(time: dt.datetime) -> str:
    """Write a time as the ledger keeps it; a naive time is refused."""
    if time.tzinfo is None:
        message = "a time without a zone cannot go into the ledger"
        raise ValueError(message)
    if time.tzinfo is not dt.UTC:
        time = time.astimezone(dt.UTC)
    # A third of what strftime costs, which a million signatures feel.
    return time.isoformat(timespec="microseconds")[:-6] + "Z"


class Utc(types.TypeDecorator[dt.datetime]):
    """An aware UTC time, kept as ``2026-11-22T00:50:00.000000Z``."""

    impl = sa.String(27)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: sa.Dialect) -> str | None:
        """Turn a time into text."""
        del dialect
        return None if value is None else text(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> dt.datetime | None:  # noqa: ANN401 - SQLAlchemy's signature
        """Turn text back into a time."""
        del dialect
        if value is None:
            return None
        return dt.datetime.strptime(value, FORMAT).replace(tzinfo=dt.UTC)


metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _campaign() -> sa.Column[int]:
    return sa.Column("campaign_id", sa.ForeignKey("campaigns.id"), nullable=False)


meta = sa.Table(
    "meta",
    metadata,
    sa.Column("key", sa.String(40), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

campaigns = sa.Table(
    "campaigns",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("slug", sa.String(100), nullable=False, unique=True),
    #: Where the source is read on; opaque JSON of the source.
    sa.Column("cursor", sa.Text),
    #: The highest number given to a signer so far.
    sa.Column("last_number", sa.Integer, nullable=False, server_default="0"),
    #: What the source itself says; NULL where it gives signers alone.
    sa.Column("said", sa.Integer),
    #: Signatures on the list that count, and those of them that may be named to a target.
    sa.Column("signatures", sa.Integer, nullable=False, server_default="0"),
    sa.Column("listed", sa.Integer, nullable=False, server_default="0"),
    #: Of those that count: hidden by a person, and waiting for a person's look.
    sa.Column("hidden", sa.Integer, nullable=False, server_default="0"),
    sa.Column("flagged", sa.Integer, nullable=False, server_default="0"),
    sa.Column("withdrawn", sa.Integer, nullable=False, server_default="0"),
    sa.Column("duplicates", sa.Integer, nullable=False, server_default="0"),
    #: Grows whenever a line of the list changes, so that frozen letters notice.
    sa.Column("list_revision", sa.Integer, nullable=False, server_default="0"),
    #: Grows whenever a comment is approved or withheld: no line of the list changes by that.
    sa.Column("comment_revision", sa.Integer, nullable=False, server_default="0"),
    sa.Column("read_at", Utc),
    #: Why the last reading failed; empty when it did not.
    sa.Column("problem", sa.Text, nullable=False, server_default=""),
    #: When all its signers were erased, so long after its close; nothing is taken in any more.
    sa.Column("expired_at", Utc),
    #: Failed readings since the last good one, and the time before which there is no other.
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
    sa.Column("not_before", Utc),
    #: What the source is to be told when it is asked for its count; opaque.
    sa.Column("count_state", sa.Text, nullable=False, server_default=""),
    #: The count that milestones were last compared with; NULL before the first.
    sa.Column("baseline", sa.Integer),
    #: A jump or a fall that waits: the count, since when, readings that saw it, a person's yes.
    sa.Column("jump", sa.Integer),
    sa.Column("jump_since", Utc),
    sa.Column("jump_readings", sa.Integer, nullable=False, server_default="0"),
    sa.Column("jump_accepted", sa.Boolean, nullable=False, server_default=sa.false()),
)

wordings = sa.Table(
    "wordings",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _campaign(),
    #: SHA-256 of the words that signers saw, in hex: the version of the consent.
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("words", sa.Text, nullable=False),
    sa.Column("since", Utc, nullable=False),
    sa.UniqueConstraint("campaign_id", "sha256"),
)

signatures = sa.Table(
    "signatures",
    metadata,
    sa.Column("campaign_id", sa.ForeignKey("campaigns.id"), primary_key=True),  # migration 0008
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("key_id", sa.LargeBinary(16)),
    sa.Column("key_email", sa.LargeBinary(16)),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("city", sa.Text, nullable=False),
    sa.Column("region", sa.Text, nullable=False),
    sa.Column("country", sa.Text, nullable=False),
    sa.Column("postcode", sa.Text, nullable=False),
    sa.Column("comment", sa.Text, nullable=False),
    sa.Column("signed_at", Utc),
    sa.Column("taken_at", Utc, nullable=False),
    sa.Column("public", sa.Boolean, nullable=False),
    sa.Column("to_target", sa.Boolean, nullable=False),
    sa.Column("mail", sa.Boolean, nullable=False),
    sa.Column("sms", sa.Boolean, nullable=False),
    sa.Column("wording_id", sa.ForeignKey("wordings.id"), nullable=False),
    sa.Column("state", sa.String(10), nullable=False, server_default="active"),
    sa.UniqueConstraint("campaign_id", "key_id"),
    sa.UniqueConstraint("campaign_id", "key_email"),
    sqlite_with_rowid=False,
)

#: Why a person is to look at a signature, or at two that may be one person's.
flags = sa.Table(
    "flags",
    metadata,
    sa.Column("campaign_id", sa.ForeignKey("campaigns.id"), primary_key=True),
    #: Of the signature.
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(20), primary_key=True),
    #: The other signature of a pair; 0 where there is none.
    sa.Column("other", sa.Integer, primary_key=True, autoincrement=False, server_default="0"),
    #: Who looked, and when.
    sa.Column("by", sa.Text, nullable=False, server_default=""),
    sa.Column("at", Utc),
    sqlite_with_rowid=False,
)

#: What a platform brought to our webhook.
arrivals = sa.Table(
    "arrivals",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _campaign(),
    sa.Column("at", Utc, nullable=False),
    #: Keyed hash of what tells it from others: brought again it is stored once.
    sa.Column("key", sa.LargeBinary(16), nullable=False),
    #: As it came, encrypted; NULL once it is taken in.
    sa.Column("body", sa.LargeBinary),
    sa.UniqueConstraint("campaign_id", "key"),
)

#: What is decided on the comment of a signer who may be named to a target; its words stay above.
comments = sa.Table(
    "comments",
    metadata,
    sa.Column("campaign_id", sa.ForeignKey("campaigns.id"), primary_key=True),
    #: Of the signature.
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("state", sa.String(10), nullable=False, server_default="waiting"),
    #: Who decided it, and when.
    sa.Column("by", sa.Text, nullable=False, server_default=""),
    sa.Column("at", Utc),
    sa.Index("ix_comments_campaign_id_state_number", "campaign_id", "state", "number"),
    sqlite_with_rowid=False,
)

#: Rows of a source whose person had signed already: each is counted once, however often read.
duplicates = sa.Table(
    "duplicates",
    metadata,
    sa.Column("campaign_id", sa.ForeignKey("campaigns.id"), primary_key=True),
    sa.Column("key_id", sa.LargeBinary(16), primary_key=True),
    sqlite_with_rowid=False,
)

readings = sa.Table(
    "readings",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _campaign(),
    sa.Column("at", Utc, nullable=False),
    sa.Column("signatures", sa.Integer, nullable=False),
    sa.Column("listed", sa.Integer, nullable=False),
    sa.Column("duplicates", sa.Integer, nullable=False),
    #: As in `campaigns`.
    sa.Column("said", sa.Integer),
    sa.Column("hidden", sa.Integer, nullable=False, server_default="0"),
    sa.Column("flagged", sa.Integer, nullable=False, server_default="0"),
    sa.Column("withdrawn", sa.Integer, nullable=False, server_default="0"),
    #: taken, held (a jump), failed
    sa.Column("outcome", sa.String(10), nullable=False),
    sa.Column("why", sa.Text, nullable=False, server_default=""),
    sa.Index("ix_readings_campaign_id_at", "campaign_id", "at"),
)

milestones = sa.Table(
    "milestones",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _campaign(),
    #: "1000" for a count, "on:2026-12-01T09:00:00Z" for a date.
    sa.Column("key", sa.String(40), nullable=False),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("threshold", sa.Integer),
    sa.Column("state", sa.String(10), nullable=False),
    #: One higher after each withdrawal; letters and posts carry it.
    sa.Column("version", sa.Integer, nullable=False, server_default="1"),
    sa.Column("signatures", sa.Integer, nullable=False),
    sa.Column("listed", sa.Integer, nullable=False),
    #: The list is frozen at this number.
    sa.Column("upto", sa.Integer, nullable=False),
    sa.Column("crossed_at", Utc, nullable=False),
    #: A person must approve all that follows, whatever the campaign says.
    sa.Column("ask", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.UniqueConstraint("campaign_id", "key"),
)


#: Parts of the list that are typeset for good; a change of a line in one makes a new edition.
volumes = sa.Table(
    "volumes",
    metadata,
    sa.Column("campaign_id", sa.ForeignKey("campaigns.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("edition", sa.Integer, nullable=False),
    sa.Column("first", sa.Integer, nullable=False),
    sa.Column("last", sa.Integer, nullable=False),
    #: Hash of all that its pages were made from, the signers aside.
    sa.Column("form", sa.String(64), nullable=False),
    #: The file below state_dir, and its SHA-256.
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("pages", sa.Integer, nullable=False),
    #: A line in it has changed since.
    sa.Column("stale", sa.Boolean, nullable=False, server_default=sa.false()),
)


def _work() -> list[sa.schema.SchemaItem]:
    """Columns that deliveries and posts share: state, claim, approval, attempts."""
    return [
        sa.Column("id", sa.Integer, primary_key=True),
        _campaign(),
        sa.Column("milestone_id", sa.ForeignKey("milestones.id"), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        #: Why it is in this state, for people.
        sa.Column("why", sa.Text, nullable=False, server_default=""),
        #: What must be mended before it can be approved; empty when nothing.
        sa.Column("problem", sa.Text, nullable=False, server_default=""),
        #: Hash of all that the frozen bytes were made from.
        sa.Column("inputs", sa.String(64), nullable=False, server_default=""),
        sa.Column("digest", sa.String(64), nullable=False, server_default=""),
        sa.Column("approved_digest", sa.String(64), nullable=False, server_default=""),
        sa.Column("approved_by", sa.Text, nullable=False, server_default=""),
        #: When it was approved; an approval may expire.
        sa.Column("approved_at", Utc),
        #: Where two must agree: the first one, and the digest that was read.
        sa.Column("agreed_by", sa.Text, nullable=False, server_default=""),
        sa.Column("agreed_digest", sa.String(64), nullable=False, server_default=""),
        #: Fencing number: one higher at each claim.
        sa.Column("fence", sa.Integer, nullable=False, server_default="0"),
        sa.Column("owner", sa.String(100), nullable=False, server_default=""),
        sa.Column("lease_until", Utc),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("first_try", Utc),
        sa.Column("next_try", Utc),
        #: When the bytes were handed over; counts for the budget.
        sa.Column("handed_at", Utc),
        sa.Column("reply", sa.Text, nullable=False, server_default=""),
    ]


deliveries = sa.Table(
    "deliveries",
    metadata,
    *_work(),
    sa.Column("target", sa.String(100), nullable=False),
    sa.Column("email", sa.Text, nullable=False),
    sa.Column("message_id", sa.Text, nullable=False, unique=True),
    sa.Column("subject", sa.Text, nullable=False, server_default=""),
    sa.Column("text", sa.Text, nullable=False, server_default=""),
    sa.Column("html", sa.Text, nullable=False, server_default=""),
    sa.Column("language", sa.String(20), nullable=False, server_default="en"),
    sa.Column("from_name", sa.Text, nullable=False, server_default=""),
    sa.Column("from_address", sa.Text, nullable=False, server_default=""),
    sa.Column("reply_to", sa.Text, nullable=False, server_default=""),
    sa.Column("to_name", sa.Text, nullable=False, server_default=""),
    #: The PDF below state_dir, its SHA-256, its pages.
    sa.Column("pdf", sa.Text, nullable=False, server_default=""),
    sa.Column("pdf_sha256", sa.String(64), nullable=False, server_default=""),
    sa.Column("pages", sa.Integer, nullable=False, server_default="0"),
    #: Where the list is in several volumes: JSON, a list for each mail of its files.
    sa.Column("files", sa.Text, nullable=False, server_default=""),
    #: Of several mails: JSON, subject, text and HTML of each after the first.
    sa.Column("words", sa.Text, nullable=False, server_default=""),
    #: Where the letter leads to its list by a link: JSON, the file of that.
    sa.Column("linked", sa.Text, nullable=False, server_default=""),
    #: The mail that goes next, from 1.
    sa.Column("part", sa.Integer, nullable=False, server_default="1"),
    #: Bytes that a mail may have since one was refused as too large; 0: as config.toml says.
    sa.Column("room", sa.Integer, nullable=False, server_default="0"),
    #: The delivery whose mail this letter goes with, as a section of a digest.
    sa.Column("merged_into", sa.Integer),
    #: Of a delivery that carries others: JSON, what it was before their mail was written into it.
    sa.Column("alone", sa.Text, nullable=False, server_default=""),
    sa.Column("sent_at", Utc),
    #: When its files were taken away, since somebody in them is erased; NULL once made anew.
    sa.Column("erased_at", Utc),
    sa.UniqueConstraint("milestone_id", "version", "target"),
    sa.Index("ix_deliveries_state", "state"),
    sa.Index("ix_deliveries_email_handed_at", "email", "handed_at"),
)

posts = sa.Table(
    "posts",
    metadata,
    *_work(),
    sa.Column("outlet", sa.String(100), nullable=False),
    #: The same for every attempt; unique over all posts.
    sa.Column("key", sa.String(200), nullable=False, unique=True),
    sa.Column("text", sa.Text, nullable=False, server_default=""),
    #: SHA-256 of its picture, in `correspondence.pictures`; what that shows, in words.
    sa.Column("image", sa.String(64), nullable=False, server_default=""),
    sa.Column("alt", sa.Text, nullable=False, server_default=""),
    sa.Column("language", sa.String(20), nullable=False, server_default="en"),
    #: What the network charges for it, in millionths of a dollar.
    sa.Column("cost", sa.Integer, nullable=False, server_default="0"),
    #: When a doubtful one was last looked for on the network.
    sa.Column("looked_at", Utc),
    sa.Column("url", sa.Text, nullable=False, server_default=""),
    sa.Column("posted_at", Utc),
    sa.UniqueConstraint("milestone_id", "version", "outlet"),
    sa.Index("ix_posts_state", "state"),
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    #: delivery or post, and its row.
    sa.Column("thing", sa.String(10), nullable=False),
    sa.Column("row_id", sa.Integer, nullable=False),
    sa.Column("fence", sa.Integer, nullable=False),
    sa.Column("at", Utc, nullable=False),
    sa.Column("outcome", sa.String(10), nullable=False),
    sa.Column("phase", sa.String(20), nullable=False),
    sa.Column("code", sa.Integer, nullable=False),
    sa.Column("enhanced", sa.String(20), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    #: SHA-256 of the whole message as handed over; empty for posts.
    sa.Column("sha256", sa.String(64), nullable=False, server_default=""),
    sa.Index("ix_attempts_thing_row_id", "thing", "row_id"),
    sa.Index("ix_attempts_at", "at"),
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", Utc, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    #: delivery, post, milestone, campaign, signature, comment, volume, address, return, link,
    #: relay, ledger, test, outlet, audit
    sa.Column("thing", sa.String(10), nullable=False),
    sa.Column("ref", sa.Text, nullable=False),
    sa.Column("campaign", sa.String(100), nullable=False),
    sa.Column("old", sa.String(12), nullable=False),
    sa.Column("new", sa.String(12), nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    #: SHA-256 over the row before and this row: the log cannot be edited unseen.
    sa.Column("hash", sa.String(64), nullable=False),
)
