"""MACs of the rows that say who may do what, and where keys are sent"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_TABLES = ("principals", "client_secrets", "tokens", "mdm_servers", "mdm_identities")


def upgrade() -> None:
    for table in _TABLES:
        op.add_column(table, sa.Column("mac", sa.String(64)))


def downgrade() -> None:
    for table in reversed(_TABLES):
        op.drop_column(table, "mac")
