"""Logins are found and kept apart by their keys, so that spellings of one login are one"""

from collections import defaultdict
from typing import Any

import sqlalchemy as sa
from alembic import op

from bulkcert.errors import LoginsCollide
from bulkcert.values.logins import key_of

revision = "0012"
down_revision = "0010"
branch_labels = None
depends_on = None

_principals = sa.table(
    "principals",
    sa.column("id", sa.BigInteger),
    sa.column("login", sa.String),
    sa.column("login_key", sa.String),
    sa.column("is_disabled", sa.Boolean),
)


def upgrade() -> None:
    keys = _keys()
    op.add_column("principals", sa.Column("login_key", sa.String(200), nullable=True))
    for principal_id, key in keys.items():
        named = sa.update(_principals).where(_principals.c.id == principal_id)
        op.get_bind().execute(named.values(login_key=key))
    op.create_index("uq_principals_login_key", "principals", ["login_key"], unique=True)


def _keys() -> dict[int, str]:
    """Return the key of every principal, by id; of spellings of one login, only that of the enabled one.

    A disabled principal is never enabled again, so nobody looks for it. Raises `LoginsCollide`.
    """
    columns = (_principals.c.id, _principals.c.login, _principals.c.is_disabled)
    spellings: dict[str, list[Any]] = defaultdict(list)
    enabled_first = sa.select(*columns).order_by(_principals.c.is_disabled, _principals.c.id)
    for row in op.get_bind().execute(enabled_first):
        spellings[key_of(row.login)].append(row)
    collisions = [
        " and ".join(row.login for row in rows if not row.is_disabled)
        for rows in spellings.values()
        if sum(not row.is_disabled for row in rows) > 1
    ]
    if collisions:
        raise LoginsCollide(f"These logins count as one from now on: {'; '.join(collisions)}.")
    return {rows[0].id: key for key, rows in spellings.items()}


def downgrade() -> None:
    op.drop_index("uq_principals_login_key", "principals")
    op.drop_column("principals", "login_key")
