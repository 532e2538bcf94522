"""PostgreSQL no longer looks up the campaign and the wording of each signature that comes in.

It cost as much as all else that it does for a row.  Nothing can be wrong there:
signatures are written in one place, in the transaction that holds the lock on
the campaign's row and has just read the wording's; no row of either is deleted.
"""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Drop the checks; SQLite's cost next to nothing, and it can drop none."""
    if op.get_bind().dialect.name == "sqlite":
        return
    for column in ("campaign_id", "wording_id"):
        op.drop_constraint(f"fk_signatures_{column}", "signatures", type_="foreignkey")
