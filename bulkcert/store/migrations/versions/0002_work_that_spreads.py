"""work that spreads over machines: turns, workers, idempotency keys, quotas, reports that are pruned"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _extend_what_was_there()
    _make_keys_and_workers()


def _extend_what_was_there() -> None:
    with op.batch_alter_table("bulk_requests", schema=None) as batch_op:
        for name in ("validate_only", "is_cancelled"):
            flag = sa.Boolean(name=f"bulk_requests_{name}")
            batch_op.add_column(sa.Column(name, flag, nullable=False, server_default=sa.false()))
        batch_op.add_column(
            sa.Column(
                "waiting_bytes",
                sa.BigInteger().with_variant(sa.Integer, "sqlite"),
                nullable=False,
                server_default="0",
            )
        )
        batch_op.add_column(sa.Column("report_pruned_at", sa.DateTime(timezone=True), nullable=True))
        for name, column, condition in (
            ("ix_bulk_requests_unfinished", "requested_by", "finished_at IS NULL"),
            ("ix_bulk_requests_prunable", "finished_at", "report_pruned_at IS NULL"),
        ):
            batch_op.create_index(
                name,
                [column],
                unique=False,
                sqlite_where=sa.text(condition),
                postgresql_where=sa.text(condition),
            )

    with op.batch_alter_table("chunks", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "turn", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False, server_default="0"
            )
        )
        batch_op.add_column(sa.Column("worker_id", sa.String(length=36), nullable=True))
        batch_op.create_index("ix_chunks_turn_id", ["turn", "id"], unique=False)

    with op.batch_alter_table("certificates", schema=None) as batch_op:
        batch_op.drop_index("ix_certificates_kind_state_id")
        for columns in (
            ("kind", "state", "id", "identity_type"),
            ("kind", "identity_type", "id"),
            ("kind", "not_after"),
        ):
            batch_op.create_index("ix_certificates_" + "_".join(columns), list(columns), unique=False)


def _make_keys_and_workers() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column(
            "principal_id",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("route", sa.String(length=20), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("request_id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["request_id"], ["bulk_requests.id"], name=op.f("fk_idempotency_keys_request_id")
        ),
        sa.PrimaryKeyConstraint("principal_id", "route", "key", name=op.f("pk_idempotency_keys")),
    )
    with op.batch_alter_table("idempotency_keys", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_idempotency_keys_created_at"), ["created_at"], unique=False)

    op.create_table(
        "workers",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("process_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("items_done", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
    with op.batch_alter_table("workers", schema=None) as batch_op:
        batch_op.create_index("ix_workers_state_last_seen_at", ["state", "last_seen_at"], unique=False)
