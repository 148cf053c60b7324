"""The tables of VPN policies, their deployments, and what an MDM server tells of devices."""

import sqlalchemy as sa

from bulkcert.store.sql.columns import Number, Time, metadata, where

vpn_policies = sa.Table(
    # `document` is the policy's JSON form; what is looked for stands in columns beside it.
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
    # One for each policy and device. What is wanted there, and what the device was seen to have.
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
    sa.Column("handed_at", Time),  # when its profile left last: since then it may be on the device
    sa.Column("delivered_at", Time),
    sa.Column("installed_at", Time),
    sa.Index("uq_deployments_device", "policy_id", "identity_type", "identity", unique=True),
    sa.Index("ix_deployments_identity", "identity_type", "identity"),
    sa.Index("ix_deployments_state_not_before_id", "state", "not_before", "id"),
    sa.Index("ix_deployments_state_id", "state", "id"),
    sa.Index("ix_deployments_policy_id_state_id", "policy_id", "state", "id"),
)

mdm_servers = sa.Table(
    "mdm_servers",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("sealed_api_key", sa.LargeBinary, nullable=False),
    sa.Column("sealed_webhook_key", sa.LargeBinary, nullable=False),
    sa.Column("updated_at", Time, nullable=False),
    sa.Column("mac", sa.String(64)),  # see `signatures`
)

mdm_devices = sa.Table(
    # What devices say of themselves.
    "mdm_devices",
    metadata,
    sa.Column("udid", sa.String(64), primary_key=True),
    sa.Column("serial_number", sa.String(64), index=True),
    sa.Column("imei", sa.String(64)),
    sa.Column("meid", sa.String(64)),
    sa.Column("is_supervised", sa.Boolean(name="mdm_devices_is_supervised")),
    sa.Column("is_enrolled", sa.Boolean(name="mdm_devices_is_enrolled"), nullable=False),
    sa.Column("last_seen_at", Time, nullable=False),
)

mdm_identities = sa.Table(
    # The first device that claimed an identity keeps it, until an administrator says otherwise.
    "mdm_identities",
    metadata,
    sa.Column("identity_type", sa.String(20), primary_key=True),
    sa.Column("identity", sa.String(64), primary_key=True),
    sa.Column("udid", sa.String(64), nullable=False, index=True),
    sa.Column("pinned_at", Time, nullable=False),
    sa.Column("contender_udid", sa.String(64)),
    sa.Column("refused_udids", sa.Text),  # whom an administrator decided against, with spaces between
    sa.Column("mac", sa.String(64)),  # see `signatures`
)

mdm_commands = sa.Table(
    # A result names its command only: this tells what the command was for.
    "mdm_commands",
    metadata,
    sa.Column("uuid", sa.String(36), primary_key=True),
    sa.Column("udid", sa.String(64), nullable=False, index=True),
    sa.Column("request_type", sa.String(30), nullable=False),
    sa.Column("deployment_id", Number, sa.ForeignKey("deployments.id"), index=True),
    sa.Column("lease", sa.String(36)),
    sa.Column("enqueued_at", Time, nullable=False, index=True),
    sa.Column("status", sa.String(20)),
    sa.Index("ix_mdm_commands_status_enqueued_at", "status", "enqueued_at"),
)

mdm_events = sa.Table(
    # Webhook events that were taken: one that comes again is refused.
    "mdm_events",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("received_at", Time, nullable=False, index=True),
)
