"""What tables are made of: one metadata, and column types that mean the same on every engine."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""64 bits everywhere; SQLite's own row ids are of type INTEGER only."""


class Time(sa.TypeDecorator[datetime]):
    """An aware datetime in UTC, kept without zone where the engine knows none."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn to UTC; SQLite sorts times as text, so they must all be of one zone."""
        if value is None:
            return None
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Make aware again."""
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


def where(condition: str) -> dict[str, Any]:
    """Make an index partial: only rows for which the condition (SQL) holds."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}
