"""Letters in several mails, digests, two approvals; suppressions, what came back, links."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default="", nullable=False)


def _count(name: str, default: str = "0") -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), server_default=default, nullable=False)


def _time(name: str, *, nullable: bool = True) -> sa.Column[str]:
    return sa.Column(name, sa.String(27), nullable=nullable)


def upgrade() -> None:
    """Add what a letter in parts needs, and the tables of what comes back."""
    for column in (
        _text("files"),
        _text("words"),
        _text("linked"),
        _count("part", "1"),
        _count("room"),
        _text("alone"),
        sa.Column("merged_into", sa.Integer(), nullable=True),
    ):
        op.add_column("deliveries", column)
    for table in ("deliveries", "posts"):
        for column in (
            _text("agreed_by"),
            sa.Column("agreed_digest", sa.String(64), server_default="", nullable=False),
            _time("approved_at"),
        ):
            op.add_column(table, column)
    op.create_table(
        "suppressions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        _text("shown"),
        sa.Column("reason", sa.String(20), nullable=False),
        _text("evidence"),
        sa.Column("by", sa.Text(), nullable=False),
        _time("at", nullable=False),
        _text("lifted_by"),
        _time("lifted_at"),
        sa.PrimaryKeyConstraint("id", name="pk_suppressions"),
    )
    op.create_index("ix_suppressions_key", "suppressions", ["key"])
    op.create_index("ix_attempts_at", "attempts", ["at"])
    _create_returns()
    _create_links()


def _create_returns() -> None:
    op.create_table(
        "returns",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("delivery_id", sa.Integer(), nullable=True),
        sa.Column("matched", sa.String(20), server_default="", nullable=False),
        _time("at", nullable=False),
        _text("sender"),
        _text("subject"),
        sa.Column("status", sa.String(20), server_default="", nullable=False),
        _text("said"),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("forward", sa.String(12), server_default="", nullable=False),
        _time("forwarded_at"),
        sa.ForeignKeyConstraint(["delivery_id"], ["deliveries.id"], name="fk_returns_delivery_id"),
        sa.PrimaryKeyConstraint("id", name="pk_returns"),
        sa.UniqueConstraint("sha256", name="uq_returns_sha256"),
    )
    op.create_index("ix_returns_delivery_id", "returns", ["delivery_id"])
    op.create_table(
        "mailboxes",
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=False),
        _text("problem"),
        _time("read_at"),
        sa.PrimaryKeyConstraint("name", name="pk_mailboxes"),
    )


def _create_links() -> None:
    op.create_table(
        "links",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("delivery_id", sa.Integer(), nullable=False),
        sa.Column("token_sha256", sa.String(64), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        _time("made_at", nullable=False),
        _time("expires_at"),
        _time("withdrawn_at"),
        _text("withdrawn_by"),
        sa.ForeignKeyConstraint(["delivery_id"], ["deliveries.id"], name="fk_links_delivery_id"),
        sa.PrimaryKeyConstraint("id", name="pk_links"),
        sa.UniqueConstraint("token_sha256", name="uq_links_token_sha256"),
    )
    op.create_index("ix_links_delivery_id", "links", ["delivery_id"])
    op.create_table(
        "visits",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("link_id", sa.Integer(), nullable=False),
        _time("at", nullable=False),
        _count("status"),
        _count("first"),
        _count("bytes"),
        _text("agent"),
        sa.ForeignKeyConstraint(["link_id"], ["links.id"], name="fk_visits_link_id"),
        sa.PrimaryKeyConstraint("id", name="pk_visits"),
    )
    op.create_index("ix_visits_link_id", "visits", ["link_id"])
