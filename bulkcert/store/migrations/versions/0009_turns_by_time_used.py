"""Turns by time used: what imports and principals have used, and files that took too long"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    # With defaults, because workers of the release before go on meanwhile.
    for name, kind in (("used_ms", _NUMBER), ("virtual_ms", _NUMBER), ("too_costly", sa.Integer())):
        op.add_column("bulk_requests", sa.Column(name, kind, nullable=False, server_default="0"))
    op.create_table(
        "shares",
        sa.Column("requested_by", sa.String(length=200), nullable=False),
        sa.Column("virtual_ms", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("requested_by", name=op.f("pk_shares")),
    )


def downgrade() -> None:
    op.drop_table("shares")
    for name in ("too_costly", "virtual_ms", "used_ms"):
        op.drop_column("bulk_requests", name)
