"""Items tell the kind of a file that is no PKCS#12, and the line of the credentials file that holds its password"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("items", sa.Column("found", sa.String(20), nullable=True))
    op.add_column("items", sa.Column("line", sa.Integer, nullable=True))


def downgrade() -> None:
    op.drop_column("items", "line")
    op.drop_column("items", "found")
