"""Tables of certificates, their chains, and the owners of public keys."""

import sqlalchemy as sa

from bulkcert.store.sql.columns import Number, Time, metadata, where

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
    # The database ensures one current certificate for each device, and one row for each chain certificate.
    sa.Index(
        "uq_certificates_current", "identity_type", "identity", unique=True,
        **where("kind = 'device' AND state = 'current'"),
    ),
    sa.Index("uq_certificates_chain", "fingerprint_sha256", unique=True, **where("kind = 'chain'")),
    sa.Index("ix_certificates_identity", "identity_type", "identity", "id"),
    # For a walk in the order of ids: the columns after the id exclude rows without reading them.
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
