"""the first tables"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _make_requests()
    _make_device_keys_and_events()
    _make_principals_and_keys()
    _make_certificates()
    _make_chunks_and_client_secrets()
    _make_items()
    _make_tokens_and_chains()
    _begin_sequences()


def _make_requests() -> None:
    op.create_table(
        "bulk_requests",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("identity_type", sa.String(length=20), nullable=True),
        sa.Column("on_conflict", sa.String(length=10), nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("requested_by", sa.String(length=200), nullable=False),
        sa.Column("bundle_digest", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("created", sa.Integer(), nullable=False),
        sa.Column("replaced", sa.Integer(), nullable=False),
        sa.Column("unchanged", sa.Integer(), nullable=False),
        sa.Column("deleted", sa.Integer(), nullable=False),
        sa.Column("not_found", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("ignored", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bulk_requests")),
    )
    with op.batch_alter_table("bulk_requests", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_bulk_requests_bundle_digest"), ["bundle_digest"], unique=False)
        batch_op.create_index("ix_bulk_requests_kind_id", ["kind", "id"], unique=False)


def _make_device_keys_and_events() -> None:
    op.create_table(
        "device_keys",
        sa.Column("public_key_sha256", sa.String(length=64), nullable=False),
        sa.Column("identity_type", sa.String(length=20), nullable=False),
        sa.Column("identity", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("public_key_sha256", name=op.f("pk_device_keys")),
    )
    with op.batch_alter_table("device_keys", schema=None) as batch_op:
        batch_op.create_index("ix_device_keys_identity", ["identity_type", "identity"], unique=False)

    op.create_table(
        "events",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
    )
    op.create_table(
        "login_throttles",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_failed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login_throttles")),
    )
    with op.batch_alter_table("login_throttles", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_login_throttles_last_failed_at"), ["last_failed_at"], unique=False
        )


def _make_principals_and_keys() -> None:
    op.create_table(
        "principals",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("login", sa.String(length=200), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=True),
        sa.Column("role", sa.String(length=20), nullable=True),
        sa.Column("scopes", sa.Text(), nullable=True),
        sa.Column("is_disabled", sa.Boolean(name="principals_is_disabled"), nullable=False),
        sa.Column("tokens_valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_principals")),
        sa.UniqueConstraint("login", name=op.f("uq_principals_login")),
    )
    op.create_table(
        "sequences",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("next", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_sequences")),
    )
    op.create_table(
        "signing_keys",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("public_pem", sa.Text(), nullable=False),
        sa.Column("sealed_private_pem", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signing_keys")),
    )
    op.create_table(
        "vault_checks",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vault_checks")),
    )


def _make_certificates() -> None:
    op.create_table(
        "certificates",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("identity_type", sa.String(length=20), nullable=True),
        sa.Column("identity", sa.String(length=64), nullable=True),
        sa.Column("fingerprint_sha256", sa.String(length=64), nullable=False),
        sa.Column("public_key_sha256", sa.String(length=64), nullable=False),
        sa.Column("serial_number", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("names", sa.Text(), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("not_after", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key_type", sa.String(length=10), nullable=False),
        sa.Column("key_size", sa.Integer(), nullable=False),
        sa.Column("signature_algorithm", sa.String(length=80), nullable=False),
        sa.Column("der", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_private_key", sa.LargeBinary(), nullable=True),
        sa.Column("import_id", sa.String(length=36), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("superseded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["import_id"], ["bulk_requests.id"], name=op.f("fk_certificates_import_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_certificates")),
    )
    with op.batch_alter_table("certificates", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_certificates_fingerprint_sha256"), ["fingerprint_sha256"], unique=False
        )
        batch_op.create_index("ix_certificates_identity", ["identity_type", "identity", "id"], unique=False)
        batch_op.create_index("ix_certificates_kind_id", ["kind", "id"], unique=False)
        batch_op.create_index("ix_certificates_kind_state_id", ["kind", "state", "id"], unique=False)
        batch_op.create_index(
            "ix_certificates_kind_state_not_after", ["kind", "state", "not_after"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_certificates_public_key_sha256"), ["public_key_sha256"], unique=False
        )
        batch_op.create_index(
            "uq_certificates_chain",
            ["fingerprint_sha256"],
            unique=True,
            sqlite_where=sa.text("kind = 'chain'"),
            postgresql_where=sa.text("kind = 'chain'"),
        )
        batch_op.create_index(
            "uq_certificates_current",
            ["identity_type", "identity"],
            unique=True,
            sqlite_where=sa.text("kind = 'device' AND state = 'current'"),
            postgresql_where=sa.text("kind = 'device' AND state = 'current'"),
        )


def _make_chunks_and_client_secrets() -> None:
    op.create_table(
        "chunks",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("request_id", sa.String(length=36), nullable=False),
        sa.Column("first_position", sa.Integer(), nullable=False),
        sa.Column("last_position", sa.Integer(), nullable=False),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("token", sa.String(length=36), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("sealed_entries", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["bulk_requests.id"], name=op.f("fk_chunks_request_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chunks")),
    )
    with op.batch_alter_table("chunks", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_chunks_leased_until"), ["leased_until"], unique=False)
        batch_op.create_index(batch_op.f("ix_chunks_request_id"), ["request_id"], unique=False)

    op.create_table(
        "client_secrets",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("principal_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["principal_id"], ["principals.id"], name=op.f("fk_client_secrets_principal_id")
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_client_secrets")),
    )
    with op.batch_alter_table("client_secrets", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_client_secrets_principal_id"), ["principal_id"], unique=False)


def _make_items() -> None:
    op.create_table(
        "items",
        sa.Column("request_id", sa.String(length=36), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("file", sa.Text(), nullable=True),
        sa.Column("identity", sa.Text(), nullable=True),
        sa.Column("outcome", sa.String(length=20), nullable=True),
        sa.Column("code", sa.String(length=40), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("warnings", sa.Text(), nullable=True),
        sa.Column("certificate_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column(
            "previous_certificate_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True
        ),
        sa.Column("fingerprint_sha256", sa.String(length=64), nullable=True),
        sa.Column("public_key_sha256", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["request_id"], ["bulk_requests.id"], name=op.f("fk_items_request_id")),
        sa.PrimaryKeyConstraint("request_id", "position", name=op.f("pk_items")),
    )
    with op.batch_alter_table("items", schema=None) as batch_op:
        batch_op.create_index(
            "ix_items_identity_waiting",
            ["identity"],
            unique=False,
            sqlite_where=sa.text("outcome IS NULL"),
            postgresql_where=sa.text("outcome IS NULL"),
        )
        batch_op.create_index(
            "ix_items_request_id_outcome_position", ["request_id", "outcome", "position"], unique=False
        )
        batch_op.create_index(
            "ix_items_request_id_public_key_sha256", ["request_id", "public_key_sha256"], unique=False
        )


def _make_tokens_and_chains() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("principal_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["principal_id"], ["principals.id"], name=op.f("fk_tokens_principal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
    )
    with op.batch_alter_table("tokens", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_tokens_expires_at"), ["expires_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_tokens_principal_id"), ["principal_id"], unique=False)

    op.create_table(
        "certificate_chains",
        sa.Column("certificate_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("chain_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(
            ["certificate_id"], ["certificates.id"], name=op.f("fk_certificate_chains_certificate_id")
        ),
        sa.ForeignKeyConstraint(
            ["chain_id"], ["certificates.id"], name=op.f("fk_certificate_chains_chain_id")
        ),
        sa.PrimaryKeyConstraint("certificate_id", "position", name=op.f("pk_certificate_chains")),
    )
    with op.batch_alter_table("certificate_chains", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_certificate_chains_chain_id"), ["chain_id"], unique=False)


def _begin_sequences() -> None:
    sequences = sa.table("sequences", sa.column("name", sa.String), sa.column("next", sa.BigInteger))
    op.bulk_insert(sequences, [{"name": "certificates", "next": 1}, {"name": "chunks", "next": 1}])
