"""The metadata of all tables, and column types with the same meaning on every engine."""

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
"""64 bits on every engine; row ids of SQLite must have the type INTEGER."""


class Time(sa.TypeDecorator[datetime]):
    """An aware datetime in UTC, stored without zone if the engine has no zones."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC: SQLite sorts times as text, so all must have the same zone."""
        if value is None:
            return None
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Add the zone that SQLite does not store."""
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


def where(condition: str) -> dict[str, Any]:
    """Return the options of a partial index over the rows that meet a condition (SQL)."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}
