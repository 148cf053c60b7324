"""Certificates that are kept: list them, and look one up."""

from collections.abc import Iterator
from dataclasses import replace

from bulkcert.store.store import Store
from bulkcert.values.certificates import (
    CertificateFilter,
    CertificateState,
    ChainCertificate,
    DeviceCertificate,
)
from bulkcert.values.identities import DeviceIdentity
from bulkcert.values.pages import Page

_PAGE = 1000


class Inventory:
    """Device certificates that are kept."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, certificate_id: int) -> DeviceCertificate:
        """Return a device certificate by its id, or raise `NotFound`."""
        with self._store.reading() as tx:
            return tx.certificates.find(certificate_id)

    def page(
        self, wanted: CertificateFilter, limit: int, cursor: str | None
    ) -> Page[DeviceCertificate]:  # fmt: skip
        """List device certificates, oldest first; raises `InvalidIdentity` for one not of its type."""
        if wanted.identity is not None and wanted.identity_type is not None:
            identity = DeviceIdentity.parse(wanted.identity_type, wanted.identity)
            wanted = replace(wanted, identity=identity.value)
        with self._store.reading() as tx:
            return tx.certificates.page(wanted, limit, cursor)

    def current_certificates(self) -> Iterator[DeviceCertificate | ChainCertificate]:
        """Walk over every current device certificate, then every chain certificate that they need, once."""
        wanted = CertificateFilter(state=CertificateState.CURRENT)
        cursor: str | None = None
        while True:
            with self._store.reading() as tx:
                devices = tx.certificates.page(wanted, _PAGE, cursor)
            yield from devices.items
            if (cursor := devices.next_cursor) is None:
                break
        while True:
            with self._store.reading() as tx:
                chain = tx.certificates.chain_page(_PAGE, cursor)
            yield from chain.items
            if (cursor := chain.next_cursor) is None:
                return
