"""The tables. Columns that listing and expiry need are clear; what is secret is a sealed blob.

Nothing here belongs to one database engine. Times are UTC. Row ids of certificates are drawn from
`sequences` before the row is made, because a sealed key is bound to its row's id.
"""

import sqlalchemy as sa

from bulkcert.store.sql.columns import Number, Time, metadata, where
from bulkcert.store.tables.deployments import (
    deployments,
    mdm_commands,
    mdm_devices,
    mdm_events,
    mdm_identities,
    mdm_servers,
    vpn_policies,
)

__all__ = [
    "COUNTS",
    "Time",
    "bulk_requests",
    "certificate_chains",
    "certificates",
    "chunks",
    "client_secrets",
    "deployments",
    "device_keys",
    "events",
    "idempotency_keys",
    "items",
    "login_throttles",
    "mdm_commands",
    "mdm_devices",
    "mdm_events",
    "mdm_identities",
    "mdm_servers",
    "metadata",
    "principals",
    "sequences",
    "shares",
    "signing_keys",
    "tokens",
    "traces",
    "vault_checks",
    "vpn_policies",
    "workers",
]

sequences = sa.Table(
    "sequences",
    metadata,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("next", Number, nullable=False),
)

vault_checks = sa.Table(
    "vault_checks",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
)

traces = sa.Table(
    # Transactions that deleted a secret whose bytes may still be in the database's files.
    "traces",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
)

signing_keys = sa.Table(
    "signing_keys",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("public_pem", sa.Text, nullable=False),
    sa.Column("sealed_private_pem", sa.LargeBinary, nullable=False),
    sa.Column("created_at", Time, nullable=False),
)

principals = sa.Table(
    # Users (people, with a password and a role) and clients (machines, with secrets and scopes).
    "principals",
    metadata,
    sa.Column("id", Number, primary_key=True, autoincrement=True),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("login", sa.String(200), nullable=False, unique=True),
    # As `logins.key_of` makes it; none of a disabled principal whose login is a spelling of another's.
    sa.Column("login_key", sa.String(200)),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("password_hash", sa.String(200)),
    sa.Column("role", sa.String(20)),
    sa.Column("scopes", sa.Text),
    sa.Column("is_disabled", sa.Boolean(name="principals_is_disabled"), nullable=False),
    sa.Column("tokens_valid_from", Time, nullable=False),  # for releases before `generation`
    sa.Column("generation", sa.Integer, nullable=False, server_default="0"),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("mac", sa.String(64)),  # see `signatures`
    sa.Index("uq_principals_login_key", "login_key", unique=True),
)

client_secrets = sa.Table(
    "client_secrets",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("principal_id", Number, sa.ForeignKey("principals.id"), nullable=False, index=True),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("expires_at", Time),
    sa.Column("mac", sa.String(64)),  # see `signatures`
)

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("principal_id", Number, sa.ForeignKey("principals.id"), nullable=False, index=True),
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False, server_default="0"),
    sa.Column("issued_at", Time, nullable=False),
    sa.Column("expires_at", Time, nullable=False, index=True),
    sa.Column("last_used_at", Time, nullable=False),
    sa.Column("revoked_at", Time),
    sa.Column("mac", sa.String(64)),  # see `signatures`
)

login_throttles = sa.Table(
    "login_throttles",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("last_failed_at", Time, nullable=False, index=True),
)

COUNTS = (
    "total", "done", "created", "replaced", "unchanged", "deleted", "not_found", "failed", "ignored",
)  # fmt: skip
"""The counting columns of a bulk request, named as in `reports.Counts`."""

bulk_requests = sa.Table(
    "bulk_requests",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("identity_type", sa.String(20)),
    sa.Column("on_conflict", sa.String(10)),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("requested_by", sa.String(200), nullable=False),
    sa.Column("bundle_digest", sa.String(64), index=True),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("started_at", Time),
    sa.Column("finished_at", Time),
    *(sa.Column(name, sa.Integer, nullable=False) for name in COUNTS),
    sa.Column("validate_only", sa.Boolean(name="bulk_requests_validate_only"), nullable=False),
    sa.Column("is_cancelled", sa.Boolean(name="bulk_requests_is_cancelled"), nullable=False),
    sa.Column("waiting_bytes", Number, nullable=False),  # sealed, in chunks that are not done
    sa.Column("report_pruned_at", Time),
    sa.Column("used_ms", Number, nullable=False, server_default="0"),  # time that opening files took
    sa.Column("virtual_ms", Number, nullable=False, server_default="0"),  # among its principal's imports
    sa.Column("too_costly", sa.Integer, nullable=False, server_default="0"),  # files that took too long
    sa.Index("ix_bulk_requests_kind_id", "kind", "id"),
    sa.Index("ix_bulk_requests_unfinished", "requested_by", **where("finished_at IS NULL")),
    sa.Index("ix_bulk_requests_prunable", "finished_at", **where("report_pruned_at IS NULL")),
)

items = sa.Table(
    "items",
    metadata,
    sa.Column("request_id", sa.String(36), sa.ForeignKey("bulk_requests.id"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("file", sa.Text),
    sa.Column("identity", sa.Text),
    sa.Column("outcome", sa.String(20)),
    sa.Column("code", sa.String(40)),
    sa.Column("detail", sa.Text),
    sa.Column("warnings", sa.Text),
    sa.Column("certificate_id", Number),
    sa.Column("previous_certificate_id", Number),
    sa.Column("fingerprint_sha256", sa.String(64)),
    sa.Column("public_key_sha256", sa.String(64)),
    sa.Column("found", sa.String(20)),
    sa.Column("line", sa.Integer),  # of the credentials file
    sa.Index("ix_items_request_id_outcome_position", "request_id", "outcome", "position"),
    sa.Index("ix_items_request_id_public_key_sha256", "request_id", "public_key_sha256"),
    sa.Index("ix_items_identity_waiting", "identity", **where("outcome IS NULL")),
)

chunks = sa.Table(
    "chunks",
    metadata,
    sa.Column("id", Number, primary_key=True, autoincrement=False),
    sa.Column("request_id", sa.String(36), sa.ForeignKey("bulk_requests.id"), nullable=False, index=True),
    sa.Column("first_position", sa.Integer, nullable=False),
    sa.Column("last_position", sa.Integer, nullable=False),
    sa.Column("turn", Number, nullable=False),
    sa.Column("leased_until", Time, index=True),
    sa.Column("token", sa.String(36)),
    sa.Column("worker_id", sa.String(36)),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("sealed_entries", sa.LargeBinary, nullable=False),
    sa.Index("ix_chunks_turn_id", "turn", "id"),
)

shares = sa.Table(
    # Virtual times of principals, by which they take turns.
    "shares",
    metadata,
    sa.Column("requested_by", sa.String(200), primary_key=True),
    sa.Column("virtual_ms", Number, nullable=False),
)

idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("principal_id", Number, primary_key=True, autoincrement=False),
    sa.Column("route", sa.String(20), primary_key=True),
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("request_id", sa.String(36), sa.ForeignKey("bulk_requests.id"), nullable=False),
    sa.Column("created_at", Time, nullable=False, index=True),
)

workers = sa.Table(
    "workers",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("process_id", sa.Integer, nullable=False),
    sa.Column("version", sa.String(40), nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("started_at", Time, nullable=False),
    sa.Column("last_seen_at", Time, nullable=False),
    sa.Column("ended_at", Time),
    sa.Column("items_done", Number, nullable=False),
    sa.Index("ix_workers_state_last_seen_at", "state", "last_seen_at"),
)

certificates = sa.Table(
    "certificates",
    metadata,
    sa.Column("id", Number, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("identity_type", sa.String(20)),
    sa.Column("identity", sa.String(64)),
    sa.Column("fingerprint_sha256", sa.String(64), nullable=False, index=True),
    sa.Column("public_key_sha256", sa.String(64), nullable=False, index=True),
    sa.Column("serial_number", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("issuer", sa.Text, nullable=False),
    sa.Column("names", sa.Text, nullable=False),
    sa.Column("not_before", Time, nullable=False),
    sa.Column("not_after", Time, nullable=False),
    sa.Column("key_type", sa.String(10), nullable=False),
    sa.Column("key_size", sa.Integer, nullable=False),
    # SQLite ignores the length that its first migration gave this column, so it was not made anew there.
    sa.Column("signature_algorithm", sa.Text().with_variant(sa.String(80), "sqlite"), nullable=False),
    sa.Column("der", sa.LargeBinary, nullable=False),
    sa.Column("sealed_private_key", sa.LargeBinary),
    sa.Column("import_id", sa.String(36), sa.ForeignKey("bulk_requests.id")),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("superseded_at", Time),
    sa.Column("deleted_at", Time),
    # One current certificate for each device, one row for each chain certificate: the database holds it.
    sa.Index(
        "uq_certificates_current", "identity_type", "identity", unique=True,
        **where("kind = 'device' AND state = 'current'"),
    ),
    sa.Index("uq_certificates_chain", "fingerprint_sha256", unique=True, **where("kind = 'chain'")),
    sa.Index("ix_certificates_identity", "identity_type", "identity", "id"),
    # To walk in the order of ids: what follows the id tells which rows are wanted without reading the others.
    sa.Index("ix_certificates_walk", "kind", "id", "not_after"),
    sa.Index("ix_certificates_walk_state", "kind", "state", "id", "identity_type", "not_after"),
    sa.Index("ix_certificates_walk_identity_type", "kind", "identity_type", "id", "not_after"),
    sa.Index("ix_certificates_kind_not_after", "kind", "not_after"),
    sa.Index("ix_certificates_kind_state_not_after", "kind", "state", "not_after"),
)  # fmt: skip

certificate_chains = sa.Table(
    "certificate_chains",
    metadata,
    sa.Column("certificate_id", Number, sa.ForeignKey("certificates.id"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("chain_id", Number, sa.ForeignKey("certificates.id"), nullable=False, index=True),
)

device_keys = sa.Table(
    # The rule that a public key belongs to one device identity is this table's primary key.
    "device_keys",
    metadata,
    sa.Column("public_key_sha256", sa.String(64), primary_key=True),
    sa.Column("identity_type", sa.String(20), nullable=False),
    sa.Column("identity", sa.String(64), nullable=False),
    sa.Index("ix_device_keys_identity", "identity_type", "identity"),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", Number, primary_key=True, autoincrement=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("at", Time, nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("facts", sa.Text, nullable=False),
)
