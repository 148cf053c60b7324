"""Tables of VPN policies and their deployments."""

import sqlalchemy as sa

from bulkcert.store.sql.columns import Number, Time, metadata, where

vpn_policies = sa.Table(
    # `document` is the policy as JSON; searched members have columns of their own.
    "vpn_policies",
    metadata,
    sa.Column("id", Number, primary_key=True, autoincrement=True),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("identity_type", sa.String(20), nullable=False),
    sa.Column("content_digest", sa.String(64), nullable=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("created_by", sa.String(200), nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("updated_at", Time, nullable=False),
    sa.Column("deleted_at", Time),
    sa.Index("uq_vpn_policies_name", "name", unique=True, **where("deleted_at IS NULL")),
    sa.Index("ix_vpn_policies_identity_type", "identity_type", **where("deleted_at IS NULL")),
)

deployments = sa.Table(
    # One for each policy and device: the wanted certificate, and the one last seen on the device.
    "deployments",
    metadata,
    sa.Column("id", Number, primary_key=True, autoincrement=True),
    sa.Column("policy_id", Number, sa.ForeignKey("vpn_policies.id"), nullable=False),
    sa.Column("identity_type", sa.String(20), nullable=False),
    sa.Column("identity", sa.String(64), nullable=False),
    sa.Column("certificate_id", Number, sa.ForeignKey("certificates.id"), index=True),
    sa.Column("content_digest", sa.String(64), nullable=False),
    sa.Column("installed_certificate_id", Number, sa.ForeignKey("certificates.id")),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("not_before", Time),
    sa.Column("leased_until", Time),
    sa.Column("lease", sa.String(36), index=True),
    sa.Column("leased_by", sa.String(200)),
    sa.Column("error_code", sa.String(40)),
    sa.Column("error_detail", sa.Text),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("updated_at", Time, nullable=False),
    sa.Column("handed_at", Time),  # the profile was last handed out: since then it may be on the device
    sa.Column("delivered_at", Time),
    sa.Column("installed_at", Time),
    sa.Index("uq_deployments_device", "policy_id", "identity_type", "identity", unique=True),
    sa.Index("ix_deployments_identity", "identity_type", "identity"),
    sa.Index("ix_deployments_state_not_before_id", "state", "not_before", "id"),
    sa.Index("ix_deployments_state_id", "state", "id"),
    sa.Index("ix_deployments_policy_id_state_id", "policy_id", "state", "id"),
)
