"""Row ids that are known before the row is made."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bulkcert.store.tables.schema import sequences


def draw(connection: Connection, name: str, number: int) -> range:
    """Draw `number` ids that nobody else gets; ids of a rolled back transaction come again."""
    if not number:
        return range(0)
    taken = connection.execute(
        sa.update(sequences)
        .where(sequences.c.name == name)
        .values(next=sequences.c.next + number)
        .returning(sequences.c.next)
    ).scalar_one()
    return range(taken - number, taken)
