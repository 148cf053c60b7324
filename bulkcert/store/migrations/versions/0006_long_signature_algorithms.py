"""A signature algorithm of any length: an object identifier that has no name is written in dotted form"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":  # SQLite does not look at the length of a text
        op.alter_column(
            "certificates",
            "signature_algorithm",
            type_=sa.Text,
            existing_type=sa.String(80),
            existing_nullable=False,
        )


def downgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        op.alter_column(
            "certificates",
            "signature_algorithm",
            type_=sa.String(80),
            existing_type=sa.Text,
            existing_nullable=False,
            postgresql_using="left(signature_algorithm, 80)",
        )
