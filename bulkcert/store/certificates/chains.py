"""Chains of device certificates."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bulkcert.store.sql import lists
from bulkcert.store.tables.certificates import certificate_chains, certificates
from bulkcert.values.chain_rank import ChainLink


class Chains:
    """Rows that link device certificates to the certificates of their chains."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, certificate_ids: Sequence[int]) -> dict[int, list[ChainLink]]:
        """Return the chain of each of these device certificates, issuer first; empty without a chain."""
        column = certificates.c
        found: dict[int, list[ChainLink]] = {each: [] for each in certificate_ids}
        rows = self._connection.execute(
            sa.select(
                certificate_chains.c.certificate_id,
                column.id,
                column.not_before,
                column.not_after,
                (column.subject == column.issuer).label("is_root"),
            )
            .join(certificate_chains, certificate_chains.c.chain_id == column.id)
            .where(certificate_chains.c.certificate_id.in_(lists.numbers(self._connection, certificate_ids)))
            .order_by(certificate_chains.c.certificate_id, certificate_chains.c.position)
        )
        for row in rows:
            link = ChainLink(row.id, row.not_before, row.not_after, bool(row.is_root))
            found[row.certificate_id].append(link)
        return found

    def replace(self, certificate_id: int, chain_ids: Sequence[int]) -> None:
        """Replace the chain of a device certificate. chain_ids: the issuer's id first."""
        self._connection.execute(
            sa.delete(certificate_chains).where(certificate_chains.c.certificate_id == certificate_id)
        )
        self.insert({certificate_id: chain_ids})

    def insert(self, chains: Mapping[int, Sequence[int]]) -> None:
        """Insert chains of device certificates without one, by certificate id; the issuer's id first."""
        links = [
            {"certificate_id": certificate_id, "position": position, "chain_id": chain_id}
            for certificate_id, chain_ids in chains.items()
            for position, chain_id in enumerate(chain_ids)
        ]
        lists.insert(self._connection, certificate_chains, links)
