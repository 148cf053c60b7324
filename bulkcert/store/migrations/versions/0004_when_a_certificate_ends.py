"""Indexes that tell when a certificate ends; a column of deployments that was written and never read goes"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_BEFORE = {
    "ix_certificates_kind_id": ["kind", "id"],
    "ix_certificates_kind_state_id_identity_type": ["kind", "state", "id", "identity_type"],
    "ix_certificates_kind_identity_type_id": ["kind", "identity_type", "id"],
}
_AFTER = {
    "ix_certificates_walk": ["kind", "id", "not_after"],
    "ix_certificates_walk_state": ["kind", "state", "id", "identity_type", "not_after"],
    "ix_certificates_walk_identity_type": ["kind", "identity_type", "id", "not_after"],
}


def upgrade() -> None:
    op.drop_column("deployments", "installed_digest")
    for name, columns in _AFTER.items():
        op.create_index(name, "certificates", columns, unique=False)
    for name in _BEFORE:
        op.drop_index(name, "certificates")


def downgrade() -> None:
    for name, columns in _BEFORE.items():
        op.create_index(name, "certificates", columns, unique=False)
    for name in _AFTER:
        op.drop_index(name, "certificates")
    op.add_column("deployments", sa.Column("installed_digest", sa.String(64), nullable=True))
