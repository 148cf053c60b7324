"""Tables of MDM servers, their devices, and the commands sent to them."""

import sqlalchemy as sa

from bulkcert.store.sql.columns import Number, Time, metadata

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
    # Devices as they describe themselves.
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
    # The first device that claims an identity keeps it, unless an administrator decides otherwise.
    "mdm_identities",
    metadata,
    sa.Column("identity_type", sa.String(20), primary_key=True),
    sa.Column("identity", sa.String(64), primary_key=True),
    sa.Column("udid", sa.String(64), nullable=False, index=True),
    sa.Column("pinned_at", Time, nullable=False),
    sa.Column("contender_udid", sa.String(64)),
    sa.Column("refused_udids", sa.Text),  # rejected by an administrator, separated by spaces
    sa.Column("mac", sa.String(64)),  # see `signatures`
)

mdm_commands = sa.Table(
    # A result names only its command: the purpose of the command is stored here.
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
    # Accepted webhook events, so that a repeated one is refused.
    "mdm_events",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("received_at", Time, nullable=False, index=True),
)
