"""Certificates of devices and of their chains."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from bulkcert.errors import ForgedRows, NotFound
from bulkcert.store.certificates.chains import Chains
from bulkcert.store.certificates.facts import LISTED, read_facts, write_columns, write_names
from bulkcert.store.readable import all_readable, readable, refuse_unknown
from bulkcert.store.sql import cursors
from bulkcert.store.sql.lists import numbers, texts
from bulkcert.store.sql.rows import value_of
from bulkcert.store.tables.certificates import certificate_chains, certificates
from bulkcert.store.traces import Traces
from bulkcert.values.certificates import (
    Certificate,
    CertificateFacts,
    CertificateFilter,
    CertificateState,
    ChainCertificate,
    DeviceCertificate,
)
from bulkcert.values.identities import DeviceIdentity, IdentityType
from bulkcert.values.pages import Page

DEVICE, _CHAIN = "device", "chain"
_SAME = certificates.alias()  # the table again, for subqueries

_Listed = tuple[Row[Any], CertificateFacts]

_FEW = 5000
"""Most certificates to be looked up by their end: reading so many ids from an index takes milliseconds."""

_STANDING = tuple(
    certificates.c[name] for name in ("id", "identity", "state", "fingerprint_sha256", "public_key_sha256")
)


@dataclass(frozen=True, slots=True)
class CertificateSummary:
    """Summary of a certificate of a device."""

    id: int
    identity: DeviceIdentity
    state: CertificateState
    fingerprint_sha256: str
    public_key_sha256: str


@dataclass(frozen=True)
class NewCertificate:
    """A device certificate to be inserted. id: drawn beforehand, because the sealed key is bound to it."""

    id: int
    identity: DeviceIdentity
    leaf: Certificate
    chain_ids: tuple[int, ...]
    sealed_private_key: bytes


class Certificates:
    """Rows of device certificates and of the certificates of their chains."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert(self, new: Sequence[NewCertificate], import_id: str, now: datetime) -> None:
        """Insert current certificates of devices, whose earlier ones must already be superseded."""
        if not new:
            return
        rows = [
            {
                "id": each.id,
                "kind": DEVICE,
                "state": CertificateState.CURRENT,
                "identity_type": each.identity.type,
                "identity": each.identity.value,
                "sealed_private_key": each.sealed_private_key,
                "import_id": import_id,
                "created_at": now,
            }
            | write_columns(each.leaf)
            for each in new
        ]
        self._connection.execute(sa.insert(certificates), rows)
        Chains(self._connection).insert({each.id: each.chain_ids for each in new})

    def chain_ids(self, fingerprints: Iterable[str]) -> dict[str, int]:
        """Return the ids of the chain certificates with these fingerprints, by fingerprint."""
        column = certificates.c
        wanted = texts(self._connection, sorted(set(fingerprints)))
        # No condition on the kind: with it SQLite would walk all chain certificates.
        rows = self._connection.execute(
            sa.select(column.fingerprint_sha256, column.id, column.kind).where(
                column.fingerprint_sha256.in_(wanted)
            )
        )
        return {row.fingerprint_sha256: row.id for row in rows if row.kind == _CHAIN}

    def insert_chain(self, new: Mapping[int, Certificate], now: datetime) -> None:
        """Insert certificates of chains, each under its new id."""
        rows = [
            {"id": number, "kind": _CHAIN, "state": CertificateState.CURRENT, "created_at": now}
            | write_columns(certificate)
            for number, certificate in new.items()
        ]
        if rows:
            self._connection.execute(sa.insert(certificates), rows)

    def summaries(
        self, identity_type: IdentityType, identities: Sequence[str], *, lock: bool = False
    ) -> list[CertificateSummary]:
        """Return the current and superseded certificates of some devices, oldest first.

        lock: whether to lock the rows until the transaction ends.
        """
        column = certificates.c
        query = (
            sa.select(*_STANDING)
            .where(
                # No condition on the kind: only devices' certificates have an identity, and with it SQLite
                # would walk all of them.
                column.identity_type == identity_type,
                column.identity.in_(texts(self._connection, identities)),
                column.state != CertificateState.DELETED,
            )
            .order_by(column.id)
        )
        rows = self._connection.execute(query.with_for_update() if lock else query)
        return all_readable(_standing, rows, identity_type)

    def supersede(self, certificate_id: int, now: datetime) -> None:
        """Mark a current certificate as superseded."""
        self._set_state(certificate_id, CertificateState.SUPERSEDED, superseded_at=now)

    def restore(self, certificate_id: int) -> bool:
        """Mark a superseded certificate as current; return False if it was deleted meanwhile."""
        return self._set_state(certificate_id, CertificateState.CURRENT, superseded_at=None)

    def _set_state(
        self, certificate_id: int, state: CertificateState, superseded_at: datetime | None
    ) -> bool:
        result = self._connection.execute(
            sa.update(certificates)
            .where(certificates.c.id == certificate_id, certificates.c.state != CertificateState.DELETED)
            .values(state=state, superseded_at=superseded_at)
        )
        return bool(result.rowcount)

    def delete(self, certificate_ids: Sequence[int], now: datetime) -> None:
        """Delete the sealed keys of certificates; the rows stay, without keys, for the history."""
        if certificate_ids:
            Traces(self._connection).note()
        self._connection.execute(
            sa.update(certificates)
            .where(certificates.c.id.in_(numbers(self._connection, certificate_ids)))
            .values(state=CertificateState.DELETED, sealed_private_key=None, deleted_at=now)
        )

    def lock(self, certificate_id: int) -> CertificateState:
        """Lock a certificate until the transaction ends and return its state, or raise `NotFound`."""
        query = sa.select(certificates.c.state).where(certificates.c.id == certificate_id)
        state = self._connection.execute(query.with_for_update(read=True)).scalar_one_or_none()
        if state is None:
            raise NotFound("There is no such certificate.")
        return CertificateState(state)

    # --- listing: only columns in clear, nothing is decrypted ---

    def find(self, certificate_id: int) -> DeviceCertificate:
        """Return a device certificate, or raise `NotFound` or `ForgedRows`."""
        row = self._connection.execute(
            sa.select(*LISTED).where(certificates.c.id == certificate_id, certificates.c.kind == DEVICE)
        ).first()
        if row is None:
            raise NotFound("There is no such certificate.")
        [(_, _, listed)] = self._listed([row])
        if listed is None or not (found := self._with_chains([listed])):
            raise ForgedRows(f"certificate {certificate_id}")
        return found[0]

    def page(self, wanted: CertificateFilter, limit: int, cursor: str | None) -> Page[DeviceCertificate]:
        """Return a page of device certificates, oldest first."""
        # Filter by `id > 0` on the first page too: without it SQLite sorts every match.
        after = 0 if cursor is None else cursors.read_number(cursor)
        if (few := self._few_that_end(wanted, after)) is not None:
            wanted = replace(wanted, expires_before=None, state=None)
            query = sa.select(*LISTED).where(certificates.c.id.in_(numbers(self._connection, few)))
        else:
            query = sa.select(*LISTED).where(certificates.c.kind == DEVICE, certificates.c.id > after)
        query = query.where(*_conditions(wanted))
        rows = self._connection.execute(query.order_by(certificates.c.id).limit(limit + 1)).all()
        page = cursors.page(self._listed(rows), limit)
        return Page(tuple(self._with_chains(page.items)), page.next_cursor)

    def _few_that_end(self, wanted: CertificateFilter, after: int) -> list[int] | None:
        """Return the ids of the certificates that end before the given time; None if there are many.

        A few are quickly looked up by id; among many, a walk in the order of ids soon fills a page. SQLite
        cannot tell the two apart: it would walk a million rows for a few, or sort half of them for a page.
        """
        if wanted.expires_before is None or wanted.identity or wanted.fingerprint_sha256:
            return None
        column = certificates.c
        query = sa.select(column.id).where(column.kind == DEVICE, column.not_after < wanted.expires_before)
        if wanted.state is not None:
            query = query.where(column.state == wanted.state)
        found = self._connection.execute(query.limit(_FEW + 1)).scalars().all()
        return None if len(found) > _FEW else [number for number in found if number > after]

    def chain_page(self, limit: int, cursor: str | None) -> Page[ChainCertificate]:
        """Return a page of the chain certificates of current device certificates, each once."""
        needed = (
            sa.select(certificate_chains.c.chain_id)
            .join(certificates, certificates.c.id == certificate_chains.c.certificate_id)
            .where(certificates.c.state == CertificateState.CURRENT)
        )
        query = sa.select(*LISTED).where(certificates.c.kind == _CHAIN, certificates.c.id.in_(needed))
        if cursor is not None:
            query = query.where(certificates.c.id > cursors.read_number(cursor))
        rows = self._connection.execute(query.order_by(certificates.c.id).limit(limit + 1)).all()
        page = cursors.page(self._listed(rows), limit)
        found = (ChainCertificate(row.id, facts, row.created_at) for row, facts in page.items)
        return Page(tuple(found), page.next_cursor)

    def _listed(self, rows: Iterable[Row[Any]]) -> Iterator[tuple[int, int, _Listed | None]]:
        """Yield id, size in bytes, and the row with its facts for rows of `LISTED`; None if unreadable.

        Long names are read one row at a time.
        """
        for row in rows:
            names = row.names
            if names is None:
                query = sa.select(certificates.c.names).where(certificates.c.id == row.id)
                names = self._connection.execute(query).scalar_one()
            if (facts := readable(_facts, row, names)) is None:
                yield row.id, 0, None
                continue
            if row.names is None:
                names = write_names(facts)
            yield row.id, cursors.MEMBERS_BYTES + len(row.serial_number) + len(names), (row, facts)

    def _with_chains(self, listed: Sequence[_Listed]) -> list[DeviceCertificate]:
        chains: dict[int, list[int]] = {}
        wanted = numbers(self._connection, [row.id for row, _ in listed])
        links = self._connection.execute(
            sa.select(certificate_chains)
            .where(certificate_chains.c.certificate_id.in_(wanted))
            .order_by(certificate_chains.c.certificate_id, certificate_chains.c.position)
        )
        for link in links:
            chains.setdefault(link.certificate_id, []).append(link.chain_id)
        found = (
            readable(_device_certificate, row, facts, tuple(chains.get(row.id, ()))) for row, facts in listed
        )
        return [certificate for certificate in found if certificate is not None]


def _conditions(wanted: CertificateFilter) -> Iterator[sa.ColumnElement[bool]]:
    column = certificates.c
    if wanted.identity_type is not None:
        yield column.identity_type == wanted.identity_type
    if wanted.identity is not None:
        types = [wanted.identity_type] if wanted.identity_type else list(IdentityType)
        yield _one_of_few(_SAME.c.identity_type.in_(types), _SAME.c.identity == wanted.identity)
    if wanted.fingerprint_sha256 is not None:
        yield _one_of_few(_SAME.c.fingerprint_sha256 == wanted.fingerprint_sha256)
    if wanted.state is not None:
        yield column.state == wanted.state
    if wanted.expires_before is not None:
        yield column.not_after < wanted.expires_before
    # `icontains` lowers both sides, because LIKE is case-sensitive on PostgreSQL and not on SQLite.
    if wanted.issuer is not None:
        yield column.issuer.icontains(wanted.issuer, autoescape=True)
    if wanted.text is not None:
        yield sa.or_(
            column.identity.icontains(wanted.text, autoescape=True),
            column.subject.icontains(wanted.text, autoescape=True),
        )


def _one_of_few(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Select a few rows by their own index; SQLite would otherwise walk all rows in the order of ids."""
    return certificates.c.id.in_(sa.select(_SAME.c.id).where(*conditions))


@refuse_unknown("certificate")
def _standing(row: Row[Any], identity_type: IdentityType) -> CertificateSummary:
    identity = DeviceIdentity(identity_type, row.identity)
    return value_of(CertificateSummary, row, identity=identity, state=CertificateState(row.state))


@refuse_unknown("certificate")
def _facts(row: Row[Any], names: str) -> CertificateFacts:
    return read_facts(row, names)


@refuse_unknown("certificate")
def _device_certificate(
    row: Row[Any], facts: CertificateFacts, chain_ids: tuple[int, ...]
) -> DeviceCertificate:  # fmt: skip
    identity = DeviceIdentity(IdentityType(row.identity_type), row.identity)
    state = CertificateState(row.state)
    return value_of(DeviceCertificate, row, identity=identity, state=state, facts=facts, chain_ids=chain_ids)
