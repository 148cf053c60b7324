"""What is kept for each device: list it, look it up, delete it in bulk."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import BinaryIO

from bulkcert.capacity.bundle_checks import BundleChecks
from bulkcert.errors import Contended, EmptyList, TooManyEntries
from bulkcert.formats.bundle.entry_names import shown
from bulkcert.formats.bundle.identity_list import read_identity_list
from bulkcert.inventory.deletion_transaction import Deleting, DeviceList, read_devices
from bulkcert.store.store import Store
from bulkcert.store.transaction import Transaction
from bulkcert.values.bulk_requests import BulkRequest, RequestKind, count, new_request_id
from bulkcert.values.certificates import (
    CertificateFilter,
    CertificateState,
    ChainCertificate,
    DeviceCertificate,
)
from bulkcert.values.events import Event, EventType
from bulkcert.values.idempotency import IdempotencyKey
from bulkcert.values.identities import DeviceIdentity, IdentityType
from bulkcert.values.limits import Limits
from bulkcert.values.pages import Page
from bulkcert.values.principals import Caller
from bulkcert.vault.vault import Vault

_PAGE = 1000
_MOST_ATTEMPTS = 3
"""A deletion that met other writers at the same rows is tried again; all of it, or nothing, is done."""


@dataclass(frozen=True)
class _Demand:
    """What a deletion asks for, whose it is, and how it is recognised when it comes again."""

    devices: DeviceList
    identity_type: IdentityType | None
    caller: Caller
    validate_only: bool
    removes: bool
    key: IdempotencyKey | None = None


class Inventory:
    """Device certificates that are kept."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        limits: Limits,
        now: Callable[[], datetime],
        checks: BundleChecks | None = None,
    ) -> None:
        self._checks = checks or BundleChecks()
        self._store = store
        self._vault = vault
        self._limits = limits
        self._now = now

    def find(self, certificate_id: int) -> DeviceCertificate:
        """Look a device certificate up by its id, or raise `NotFound`."""
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

    def delete_listed(
        self,
        file: BinaryIO,
        identity_type: IdentityType | None,
        caller: Caller,
        *,
        validate_only: bool = False,
        idempotency_key: str | None = None,
        removes: bool = False,
    ) -> BulkRequest:
        """Delete everything kept for the devices that an uploaded list names (see `delete`)."""
        with self._checks.hold(caller):
            names = [line.name for line in read_identity_list(file, self._limits)]
        demand = _Demand(
            read_devices(names, identity_type, shown), identity_type, caller, validate_only, removes
        )
        return self._delete(demand, names, idempotency_key)

    def delete(
        self,
        identities: Sequence[str],
        identity_type: IdentityType | None,
        caller: Caller,
        *,
        validate_only: bool = False,
        idempotency_key: str | None = None,
        removes: bool = False,
    ) -> BulkRequest:
        """Delete everything kept for the named devices, in one transaction, with an item for each.

        Sealed keys are destroyed at once; what unfinished imports still hold for the devices fails there.
        Without an identity type each name means every type that it is valid for. A device named again is
        counted as ignored.

        validate_only: the same report of what would be deleted, and nothing is.
        idempotency_key: of the form that `idempotency.check_key` says. The same one with the same list and
        order gives the deletion that was done for it; with another one it raises `IdempotencyKeyReused`.
        removes: what VPN policies put on the devices is to be taken off there, too.
        """
        if not identities:
            raise EmptyList("The list names no device identity.")
        if len(identities) > self._limits.entries:
            raise TooManyEntries(f"The list has more than {self._limits.entries} lines.")
        demand = _Demand(
            read_devices(identities, identity_type), identity_type, caller, validate_only, removes
        )
        return self._delete(demand, identities, idempotency_key)

    def _delete(self, demand: _Demand, names: Sequence[str], idempotency_key: str | None) -> BulkRequest:
        if idempotency_key is not None:
            digest = self._digest([demand.identity_type, demand.validate_only, demand.removes, list(names)])
            key = IdempotencyKey(demand.caller.principal_id, "deletions", idempotency_key, digest)
            demand = replace(demand, key=key)
            with self._store.reading() as tx:
                if (known := _find_known(tx, key, self._now())) is not None:
                    return known
        done = self._delete_at_last(demand)
        self._store.scrub()
        return done

    def _delete_at_last(self, demand: _Demand) -> BulkRequest:
        """Delete in one transaction, which is tried again where others wrote the same rows."""
        for _ in range(_MOST_ATTEMPTS - 1):
            with suppress(Contended), self._store.writing() as tx:
                return self._delete_in(tx, demand)
        with self._store.writing() as tx:
            return self._delete_in(tx, demand)

    def _delete_in(self, tx: Transaction, demand: _Demand) -> BulkRequest:
        now = self._now()
        if demand.key is not None:
            tx.lock(demand.key.lock)
            if (known := _find_known(tx, demand.key, now)) is not None:
                return known
        request_id = new_request_id(now)
        tx.events.append(_accepted(request_id, demand, now))
        deleting = Deleting(tx, demand.caller.login, now, removes=demand.removes)
        act = deleting.foresee if demand.validate_only else deleting.delete
        gone = act(demand.devices)
        counts = count((item.result for item in gone.items(demand.devices)), demand.devices.ignored)
        request = BulkRequest(
            id=request_id,
            kind=RequestKind.DELETION,
            identity_type=demand.identity_type,
            state=counts.state(),
            counts=counts,
            on_conflict=None,
            requested_by=demand.caller.login,
            created_at=now,
            started_at=now,
            finished_at=now,
            validate_only=demand.validate_only,
        )
        tx.requests.insert(request)
        tx.items.insert(request.id, gone.items(demand.devices))
        if demand.key is not None:
            tx.idempotency.keep(demand.key, request.id, now)
        tx.events.append(_finished(request, now))
        return request

    def _digest(self, order: list[object]) -> str:
        """Recognise a deletion that is sent again: by what it asks for, not by how it was sent."""
        return self._vault.digest(json.dumps(order).encode(), "deletion")


def _find_known(tx: Transaction, key: IdempotencyKey, now: datetime) -> BulkRequest | None:
    known = tx.idempotency.find(key, now)
    return None if known is None else tx.requests.find(known)


def _accepted(request_id: str, demand: _Demand, now: datetime) -> Event:
    facts: dict[str, object] = {
        "deletion_id": request_id,
        "total": len(demand.devices.lines) + demand.devices.ignored,
    }
    if demand.validate_only:
        facts["validate_only"] = True
    return Event(EventType.DELETION_ACCEPTED, now, demand.caller.login, facts)


def _finished(request: BulkRequest, now: datetime) -> Event:
    facts: dict[str, object] = {
        "deletion_id": request.id,
        "state": request.state,
        "deleted": request.counts.deleted,
        "not_found": request.counts.not_found,
        "failed": request.counts.failed,
    }
    if request.validate_only:
        facts["validate_only"] = True
    return Event(EventType.DELETION_FINISHED, now, request.requested_by, facts)
