"""Pictures of posts, what they cost, and outlets that are left alone for a while."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the columns and tables."""
    for column in (
        sa.Column("image", sa.String(64), server_default="", nullable=False),
        sa.Column("alt", sa.Text(), server_default="", nullable=False),
        sa.Column("language", sa.String(20), server_default="en", nullable=False),
        sa.Column("cost", sa.Integer(), server_default="0", nullable=False),
        sa.Column("looked_at", sa.String(27), nullable=True),
    ):
        op.add_column("posts", column)
    op.create_table(
        "pictures",
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("png", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_pictures"),
    )
    op.create_table(
        "rests",
        sa.Column("outlet", sa.String(100), nullable=False),
        sa.Column("until", sa.String(27), nullable=True),
        sa.Column("since", sa.String(27), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("section", sa.String(64), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("outlet", name="pk_rests"),
    )
