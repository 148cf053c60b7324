"""The schema: the metadata of all tables, and the tables that belong to no noun.

The columns that listing and expiry need are in clear; secrets are sealed. Nothing here depends on one
database engine. Times are in UTC. The ids of certificates are drawn from `sequences` before their rows are
inserted, because a sealed key is bound to the id of its row.
"""

import sqlalchemy as sa

from bulkcert.store.sql.columns import Number, Time, metadata
from bulkcert.store.tables import access, certificates, deployments, imports, mdm

__all__ = [
    "access",
    "certificates",
    "deployments",
    "events",
    "imports",
    "mdm",
    "metadata",
    "sequences",
    "traces",
    "vault_checks",
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
    # Transactions that deleted a secret whose bytes may remain in the database's files.
    "traces",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
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
