"""Tables of principals, their secrets and tokens, and the keys that sign tokens."""

import sqlalchemy as sa

from bulkcert.store.sql.columns import Number, Time, metadata

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
    # From `logins.key_of`; NULL for disabled principals whose login is a spelling of another's.
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
