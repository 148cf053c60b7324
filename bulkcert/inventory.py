"""What is kept for each device: list it, look it up, delete it in bulk."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import BinaryIO

from bulkcert.certificates import CertificateFilter, CertificateState, ChainCertificate, DeviceCertificate
from bulkcert.errors import EmptyList, InvalidIdentity, TooManyEntries
from bulkcert.events import Event, EventType
from bulkcert.formats.identity_list import read_identity_list
from bulkcert.identities import DeviceIdentity, IdentityType
from bulkcert.importer import failure, import_finished, new_request_id
from bulkcert.limits import Limits
from bulkcert.principals import Caller
from bulkcert.reports import (
    BulkRequest,
    Item,
    Outcome,
    Page,
    RequestKind,
    RequestState,
    Result,
    count,
)
from bulkcert.store import Store, Transaction
from bulkcert.store.certificates import Standing

_PAGE = 1000
_MEANWHILE = "A deletion that was accepted later took this device out of the import."


@dataclass(frozen=True)
class _Listed:
    """One line of a deletion: as it was written, and the devices that it may mean."""

    written: str
    identities: tuple[DeviceIdentity, ...]
    refusal: InvalidIdentity | None


class Inventory:
    """Device certificates that are kept."""

    def __init__(self, store: Store, limits: Limits, now: Callable[[], datetime]) -> None:
        self._store = store
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
        self, file: BinaryIO, identity_type: IdentityType | None, caller: Caller
    ) -> BulkRequest:  # fmt: skip
        """Delete everything kept for the devices that an uploaded list names (see `delete`)."""
        listed = read_identity_list(file, self._limits)
        return self.delete([line.written for line in listed], identity_type, caller)

    def delete(
        self, identities: Sequence[str], identity_type: IdentityType | None, caller: Caller
    ) -> BulkRequest:  # fmt: skip
        """Delete everything kept for the named devices, in one transaction, with an item for each.

        Sealed keys are destroyed at once; what unfinished imports still hold for the devices fails there.
        Without an identity type each name means every type that it is valid for. A device named again is
        counted as ignored.
        """
        if not identities:
            raise EmptyList("The list names no device identity.")
        if len(identities) > self._limits.entries:
            raise TooManyEntries(f"The list has more than {self._limits.entries} lines.")
        listed = _read(identities, identity_type)
        now = self._now()
        request_id = new_request_id(now)
        with self._store.writing() as tx:
            accepted = {"deletion_id": request_id, "total": len(identities)}
            tx.events.append(Event(EventType.DELETION_ACCEPTED, now, caller.login, accepted))
            gone = self._delete(
                tx, [identity for line in listed for identity in line.identities], caller, now
            )
            results = [_result(line, gone) for line in listed]
            request = BulkRequest(
                id=request_id,
                kind=RequestKind.DELETION,
                identity_type=identity_type,
                state=RequestState.RUNNING,
                counts=count(results, ignored=len(identities) - len(listed)),
                on_conflict=None,
                requested_by=caller.login,
                created_at=now,
                started_at=now,
                finished_at=now,
            )
            request = replace(request, state=request.counts.state())
            tx.requests.insert(request)
            tx.items.insert(
                request.id,
                (
                    Item(position, None, line.written, result)
                    for position, (line, result) in enumerate(zip(listed, results, strict=True))
                ),
            )
            tx.events.append(_finished(request, caller, now))
        self._store.scrub()
        return request

    def _delete(
        self, tx: Transaction, wanted: Sequence[DeviceIdentity], caller: Caller, now: datetime
    ) -> dict[DeviceIdentity, int | None]:
        """Delete what is kept, or still waits, for devices; returns those that had something, with an id."""
        gone: dict[DeviceIdentity, int | None] = {}
        for identity_type in IdentityType:
            values = [identity.value for identity in wanted if identity.type is identity_type]
            if not values:
                continue
            # First what still waits: whoever holds those items commits before the next statement reads.
            waiting = tx.items.fail_waiting(identity_type, values, _MEANWHILE)
            for request_id, failed in waiting.items():
                gone.update(dict.fromkeys(failed))
                tx.requests.forget_bundle(request_id)
                self._count_failed(tx, request_id, len(failed), now)
            standings = tx.certificates.standings(identity_type, values)
            tx.certificates.delete([standing.id for standing in standings], now)
            tx.device_keys.delete_of(identity_type, values)
            tx.events.append(*(_deleted(standing, caller, now) for standing in standings))
            gone |= {standing.identity: standing.id for standing in sorted(standings, key=_current_last)}
        return gone

    def _count_failed(self, tx: Transaction, request_id: str, number: int, now: datetime) -> None:
        finished = tx.requests.count(request_id, Counter(done=number, failed=number), now)
        if finished is not None:
            tx.events.append(import_finished(finished, now))


def _read(names: Sequence[str], identity_type: IdentityType | None) -> list[_Listed]:
    """Read the names of devices; one that means the same as an earlier one is left out."""
    listed: dict[object, _Listed] = {}
    for written in names:
        identities: list[DeviceIdentity] = []
        refusal: InvalidIdentity | None = None
        for candidate in [identity_type] if identity_type else IdentityType:
            try:
                identities.append(DeviceIdentity.parse(candidate, written))
            except InvalidIdentity as reason:
                refusal = reason
        line = _Listed(
            str(identities[0]) if identities else written, tuple(identities), None if identities else refusal
        )
        listed.setdefault(line.identities or written, line)
    return list(listed.values())


def _result(line: _Listed, gone: dict[DeviceIdentity, int | None]) -> Result:
    if line.refusal is not None:
        return failure(line.refusal)
    found = [identity for identity in line.identities if identity in gone]
    if not found:
        return Result(Outcome.NOT_FOUND)
    return Result(Outcome.DELETED, certificate_id=gone[found[0]])


def _current_last(standing: Standing) -> bool:
    return standing.state is CertificateState.CURRENT


def _deleted(standing: Standing, caller: Caller, now: datetime) -> Event:
    facts = {
        "certificate_id": standing.id,
        "identity_type": standing.identity.type,
        "identity": standing.identity.value,
        "fingerprint_sha256": standing.fingerprint_sha256,
    }
    return Event(EventType.CERTIFICATE_DELETED, now, caller.login, facts)


def _finished(request: BulkRequest, caller: Caller, now: datetime) -> Event:
    facts = {
        "deletion_id": request.id,
        "state": request.state,
        "deleted": request.counts.deleted,
        "not_found": request.counts.not_found,
        "failed": request.counts.failed,
    }
    return Event(EventType.DELETION_FINISHED, now, caller.login, facts)
