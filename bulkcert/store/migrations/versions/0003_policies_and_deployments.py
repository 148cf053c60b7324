"""VPN policies, their deployments, and what an MDM server tells of devices"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    _make_policies()
    _make_deployments()
    _make_what_mdm_tells()


def _make_policies() -> None:
    op.create_table(
        "vpn_policies",
        sa.Column("id", NUMBER, nullable=False, autoincrement=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("identity_type", sa.String(20), nullable=False),
        sa.Column("content_digest", sa.String(64), nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("deleted_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vpn_policies")),
    )
    op.create_index(
        "uq_vpn_policies_name",
        "vpn_policies",
        ["name"],
        unique=True,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "ix_vpn_policies_identity_type",
        "vpn_policies",
        ["identity_type"],
        unique=False,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )


def _make_deployments() -> None:
    op.create_table(
        "deployments",
        sa.Column("id", NUMBER, nullable=False, autoincrement=True),
        sa.Column("policy_id", NUMBER, nullable=False),
        sa.Column("identity_type", sa.String(20), nullable=False),
        sa.Column("identity", sa.String(64), nullable=False),
        sa.Column("certificate_id", NUMBER, nullable=True),
        sa.Column("content_digest", sa.String(64), nullable=False),
        sa.Column("installed_certificate_id", NUMBER, nullable=True),
        sa.Column("installed_digest", sa.String(64), nullable=True),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("not_before", TIME, nullable=True),
        sa.Column("leased_until", TIME, nullable=True),
        sa.Column("lease", sa.String(36), nullable=True),
        sa.Column("leased_by", sa.String(200), nullable=True),
        sa.Column("error_code", sa.String(40), nullable=True),
        sa.Column("error_detail", sa.Text, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("handed_at", TIME, nullable=True),
        sa.Column("delivered_at", TIME, nullable=True),
        sa.Column("installed_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["policy_id"], ["vpn_policies.id"], name=op.f("fk_deployments_policy_id")),
        sa.ForeignKeyConstraint(
            ["certificate_id"], ["certificates.id"], name=op.f("fk_deployments_certificate_id")
        ),
        sa.ForeignKeyConstraint(
            ["installed_certificate_id"],
            ["certificates.id"],
            name=op.f("fk_deployments_installed_certificate_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deployments")),
    )
    op.create_index("ix_deployments_lease", "deployments", ["lease"], unique=False)
    op.create_index("ix_deployments_certificate_id", "deployments", ["certificate_id"], unique=False)
    op.create_index(
        "uq_deployments_device", "deployments", ["policy_id", "identity_type", "identity"], unique=True
    )
    op.create_index("ix_deployments_identity", "deployments", ["identity_type", "identity"], unique=False)
    op.create_index(
        "ix_deployments_state_not_before_id", "deployments", ["state", "not_before", "id"], unique=False
    )
    op.create_index("ix_deployments_state_id", "deployments", ["state", "id"], unique=False)
    op.create_index(
        "ix_deployments_policy_id_state_id", "deployments", ["policy_id", "state", "id"], unique=False
    )


def _make_what_mdm_tells() -> None:
    op.create_table(
        "mdm_servers",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("sealed_api_key", sa.LargeBinary, nullable=False),
        sa.Column("sealed_webhook_key", sa.LargeBinary, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mdm_servers")),
    )
    op.create_table(
        "mdm_devices",
        sa.Column("udid", sa.String(64), nullable=False),
        sa.Column("serial_number", sa.String(64), nullable=True),
        sa.Column("imei", sa.String(64), nullable=True),
        sa.Column("meid", sa.String(64), nullable=True),
        sa.Column("is_supervised", sa.Boolean(name="mdm_devices_is_supervised"), nullable=True),
        sa.Column("is_enrolled", sa.Boolean(name="mdm_devices_is_enrolled"), nullable=False),
        sa.Column("last_seen_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("udid", name=op.f("pk_mdm_devices")),
    )
    op.create_index("ix_mdm_devices_serial_number", "mdm_devices", ["serial_number"], unique=False)
    op.create_table(
        "mdm_identities",
        sa.Column("identity_type", sa.String(20), nullable=False),
        sa.Column("identity", sa.String(64), nullable=False),
        sa.Column("udid", sa.String(64), nullable=False),
        sa.Column("pinned_at", TIME, nullable=False),
        sa.Column("contender_udid", sa.String(64), nullable=True),
        sa.Column("refused_udids", sa.Text, nullable=True),
        sa.PrimaryKeyConstraint("identity_type", "identity", name=op.f("pk_mdm_identities")),
    )
    op.create_index("ix_mdm_identities_udid", "mdm_identities", ["udid"], unique=False)
    op.create_table(
        "mdm_commands",
        sa.Column("uuid", sa.String(36), nullable=False),
        sa.Column("udid", sa.String(64), nullable=False),
        sa.Column("request_type", sa.String(30), nullable=False),
        sa.Column("deployment_id", NUMBER, nullable=True),
        sa.Column("lease", sa.String(36), nullable=True),
        sa.Column("enqueued_at", TIME, nullable=False),
        sa.Column("status", sa.String(20), nullable=True),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["deployments.id"], name=op.f("fk_mdm_commands_deployment_id")
        ),
        sa.PrimaryKeyConstraint("uuid", name=op.f("pk_mdm_commands")),
    )
    op.create_index(
        "ix_mdm_commands_status_enqueued_at", "mdm_commands", ["status", "enqueued_at"], unique=False
    )
    op.create_index("ix_mdm_commands_udid", "mdm_commands", ["udid"], unique=False)
    op.create_index("ix_mdm_commands_deployment_id", "mdm_commands", ["deployment_id"], unique=False)
    op.create_index("ix_mdm_commands_enqueued_at", "mdm_commands", ["enqueued_at"], unique=False)
    op.create_table(
        "mdm_events",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("received_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_mdm_events")),
    )
    op.create_index("ix_mdm_events_received_at", "mdm_events", ["received_at"], unique=False)
