"""Run by Alembic, in the transaction that `store/migration.py` opened."""

from typing import Any, Literal

from alembic import context

from bulkcert.store.sql.columns import Time
from bulkcert.store.tables.schema import metadata


def _render(kind: str, item: Any, _context: Any) -> str | Literal[False]:  # noqa: ANN401 - Alembic's hook
    """Write our time type as what it is underneath: a migration must not change when our code does."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, Time) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_item=_render,
    render_as_batch=True,
)
context.run_migrations()
