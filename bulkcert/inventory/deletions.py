"""Deletions in bulk: of everything that is kept for the devices of a list."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import BinaryIO

from bulkcert.capacity.bundle_checks import BundleChecks
from bulkcert.errors import EmptyList, TooManyEntries
from bulkcert.formats.bundle.entry_names import shown
from bulkcert.formats.bundle.identity_list import read_identity_list
from bulkcert.inventory.deletion_transaction import DeletionTransaction, DeviceList, read_devices
from bulkcert.store.store import Store
from bulkcert.store.transaction import Transaction
from bulkcert.values.bulk_requests import BulkRequest, RequestKind, count, new_request_id
from bulkcert.values.events import Event, EventType
from bulkcert.values.idempotency import IdempotencyKey
from bulkcert.values.identities import IdentityType
from bulkcert.values.limits import Limits
from bulkcert.values.principals import Caller
from bulkcert.vault.vault import Vault

_MOST_ATTEMPTS = 3
"""A deletion that met other writers at the same rows is tried again; all of it, or nothing, is done."""


@dataclass(frozen=True)
class _DeletionOrder:
    """What a deletion asks for, whose it is, and how it is recognised when it comes again."""

    devices: DeviceList
    identity_type: IdentityType | None
    caller: Caller
    validate_only: bool
    removes: bool
    key: IdempotencyKey | None = None


class Deletions:
    """Deletes the certificates and keys of devices."""

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
        order = _DeletionOrder(
            read_devices(names, identity_type, shown), identity_type, caller, validate_only, removes
        )
        return self._delete(order, names, idempotency_key)

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
        order = _DeletionOrder(
            read_devices(identities, identity_type), identity_type, caller, validate_only, removes
        )
        return self._delete(order, identities, idempotency_key)

    def _delete(
        self, order: _DeletionOrder, names: Sequence[str], idempotency_key: str | None
    ) -> BulkRequest:
        if idempotency_key is not None:
            digest = self._digest([order.identity_type, order.validate_only, order.removes, list(names)])
            key = IdempotencyKey(order.caller.principal_id, "deletions", idempotency_key, digest)
            order = replace(order, key=key)
            with self._store.reading() as tx:
                if (known := _find_known(tx, key, self._now())) is not None:
                    return known
        done = self._store.write(lambda tx: self._delete_in(tx, order), _MOST_ATTEMPTS)
        self._store.scrub()
        return done

    def _delete_in(self, tx: Transaction, order: _DeletionOrder) -> BulkRequest:
        now = self._now()
        if order.key is not None:
            tx.lock(order.key.lock)
            if (known := _find_known(tx, order.key, now)) is not None:
                return known
        request_id = new_request_id(now)
        tx.events.append(_accepted(request_id, order, now))
        deleting = DeletionTransaction(tx, order.caller.login, now, removes=order.removes)
        act = deleting.preview if order.validate_only else deleting.delete
        gone = act(order.devices)
        counts = count((item.result for item in gone.items(order.devices)), order.devices.ignored)
        request = BulkRequest(
            id=request_id,
            kind=RequestKind.DELETION,
            identity_type=order.identity_type,
            state=counts.state(),
            counts=counts,
            on_conflict=None,
            requested_by=order.caller.login,
            created_at=now,
            started_at=now,
            finished_at=now,
            validate_only=order.validate_only,
        )
        tx.requests.insert(request)
        tx.items.insert(request.id, gone.items(order.devices))
        if order.key is not None:
            tx.idempotency.keep(order.key, request.id, now)
        tx.events.append(_finished(request, now))
        return request

    def _digest(self, content: list[object]) -> str:
        """Recognise a deletion that is sent again: by what it asks for, not by how it was sent."""
        return self._vault.digest(json.dumps(content).encode(), "deletion")


def _find_known(tx: Transaction, key: IdempotencyKey, now: datetime) -> BulkRequest | None:
    known = tx.idempotency.find(key, now)
    return None if known is None else tx.requests.find(known)


def _accepted(request_id: str, order: _DeletionOrder, now: datetime) -> Event:
    facts: dict[str, object] = {
        "deletion_id": request_id,
        "total": len(order.devices.lines) + order.devices.ignored,
    }
    if order.validate_only:
        facts["validate_only"] = True
    return Event(EventType.DELETION_ACCEPTED, now, order.caller.login, facts)


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
