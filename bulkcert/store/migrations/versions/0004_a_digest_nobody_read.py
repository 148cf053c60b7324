"""A column of deployments that was written and never read"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_column("deployments", "installed_digest")


def downgrade() -> None:
    op.add_column("deployments", sa.Column("installed_digest", sa.String(64), nullable=True))
