"""Row ids that are known before the row is inserted."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bulkcert.store.tables.schema import sequences


def draw(connection: Connection, name: str, number: int) -> range:
    """Return `number` ids that no other caller gets; ids of a rolled back transaction are drawn again."""
    if not number:
        return range(0)
    taken = connection.execute(
        sa.update(sequences)
        .where(sequences.c.name == name)
        .values(next=sequences.c.next + number)
        .returning(sequences.c.next)
    ).scalar_one()
    return range(taken - number, taken)
