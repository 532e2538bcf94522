"""Whether a signer's comment may be printed: who said so, and when."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table of comments; all that were taken in so far wait for a person."""
    op.create_table(
        "comments",
        sa.Column("campaign_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(length=10), server_default="waiting", nullable=False),
        sa.Column("by", sa.Text(), server_default="", nullable=False),
        sa.Column("at", sa.String(27), nullable=True),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name="fk_comments_campaign_id"),
        sa.PrimaryKeyConstraint("campaign_id", "number", name="pk_comments"),
        sqlite_with_rowid=False,
    )
    columns = ["campaign_id", "state", "number"]
    op.create_index("ix_comments_campaign_id_state_number", "comments", columns)
    op.execute(
        sa.text(
            "INSERT INTO comments (campaign_id, number) SELECT campaign_id, number"
            " FROM signatures WHERE comment <> '' AND name <> '' AND to_target"
        )
    )
    revised = sa.Column("comment_revision", sa.Integer(), server_default="0", nullable=False)
    op.add_column("campaigns", revised)
