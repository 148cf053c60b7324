"""Tables of imports and deletions, their items, and the workers."""

import sqlalchemy as sa

from bulkcert.store.sql.columns import Number, Time, metadata, where

COUNTS = (
    "total", "done", "created", "replaced", "unchanged", "deleted", "not_found", "failed", "ignored",
)  # fmt: skip
"""The counting columns of a bulk request, named as in `values.bulk_requests.Counts`."""

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
    sa.Column("waiting_bytes", Number, nullable=False),  # sealed size of unfinished chunks
    sa.Column("report_pruned_at", Time),
    sa.Column("used_ms", Number, nullable=False, server_default="0"),  # time spent opening files
    sa.Column("virtual_ms", Number, nullable=False, server_default="0"),  # among its principal's imports
    sa.Column("too_costly", sa.Integer, nullable=False, server_default="0"),  # files over budget
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
