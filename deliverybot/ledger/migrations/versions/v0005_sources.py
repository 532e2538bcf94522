"""What the source itself counts, why a reading failed, flags, and what webhooks brought."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), server_default="0", nullable=False)


def upgrade() -> None:
    """Add the columns and tables; count who is hidden already."""
    for column in (
        sa.Column("said", sa.Integer(), nullable=True),
        _count("hidden"),
        _count("flagged"),
        _count("failures"),
        sa.Column("not_before", sa.String(27), nullable=True),
        sa.Column("count_state", sa.Text(), server_default="", nullable=False),
    ):
        op.add_column("campaigns", column)
    op.execute(
        "UPDATE campaigns SET hidden = (SELECT count(*) FROM signatures"
        " WHERE signatures.campaign_id = campaigns.id AND signatures.state = 'hidden')"
    )
    for column in (
        sa.Column("said", sa.Integer(), nullable=True),
        _count("hidden"),
        _count("flagged"),
        _count("withdrawn"),
    ):
        op.add_column("readings", column)
    _create_flags()
    _create_arrivals()


def _create_flags() -> None:
    op.create_table(
        "flags",
        sa.Column("campaign_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("other", sa.Integer(), autoincrement=False, server_default="0", nullable=False),
        sa.Column("by", sa.Text(), server_default="", nullable=False),
        sa.Column("at", sa.String(27), nullable=True),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name="fk_flags_campaign_id"),
        sa.PrimaryKeyConstraint("campaign_id", "number", "kind", "other", name="pk_flags"),
        sqlite_with_rowid=False,
    )


def _create_arrivals() -> None:
    op.create_table(
        "arrivals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("campaign_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("key", sa.LargeBinary(16), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name="fk_arrivals_campaign_id"),
        sa.PrimaryKeyConstraint("id", name="pk_arrivals"),
        sa.UniqueConstraint("campaign_id", "key", name="uq_arrivals_campaign_id_key"),
    )
