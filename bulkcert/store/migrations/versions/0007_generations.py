"""Generations: tokens end by a number that their principal moves, not by the order of two machines' clocks"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("principals", "tokens"):
        op.add_column(table, sa.Column("generation", sa.Integer, nullable=False, server_default="0"))
    # Tokens that a moment had ended so far are revoked, because nothing compares moments from now on.
    op.execute(
        "UPDATE tokens SET revoked_at = issued_at WHERE revoked_at IS NULL AND issued_at <"
        " (SELECT tokens_valid_from FROM principals WHERE principals.id = tokens.principal_id)"
    )


def downgrade() -> None:
    for table in ("tokens", "principals"):
        op.drop_column(table, "generation")
