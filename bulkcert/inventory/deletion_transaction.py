"""Delete what is kept for the devices of a list, inside one transaction, or tell what that would do.

Rows are held in the order in which workers hold them (items, certificates, imports), so that on a database
with several writers a deletion and a worker wait for each other in turn, never for ever.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bulkcert.errors import InvalidIdentity
from bulkcert.store.certificates.certificates import CertificateSummary
from bulkcert.store.sql.locks import KEEPING
from bulkcert.store.sql.topics import request_topic
from bulkcert.store.transaction import Transaction
from bulkcert.values.bulk_events import failure, import_finished
from bulkcert.values.bulk_requests import Item, Outcome, Result
from bulkcert.values.certificates import CertificateState
from bulkcert.values.events import Event, EventType
from bulkcert.values.identities import DeviceIdentity, IdentityType
from bulkcert.values.lookalikes import find_lookalike
from bulkcert.values.misspellings import find_misspelling, is_header

_NOT_FOUND = Result(Outcome.NOT_FOUND)
_MEANWHILE = "A deletion that was accepted later took this device out of the import."


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a deletion: as it is shown, and the devices that it may mean."""

    shown: str
    identities: tuple[DeviceIdentity, ...]
    refusal: InvalidIdentity | None


@dataclass(frozen=True)
class DeviceList:
    """The devices that a deletion names, each once. ignored: lines that name one of them again."""

    lines: tuple[Line, ...]
    ignored: int

    def values(self) -> Iterator[tuple[IdentityType, list[str]]]:
        """Return the values of its devices by their identity types, always in the same order of types."""
        for identity_type in IdentityType:
            values = [
                identity.value
                for line in self.lines
                for identity in line.identities
                if identity.type is identity_type
            ]
            if values:
                yield identity_type, values


@dataclass(frozen=True)
class Gone:
    """The devices that had something, with the id of a certificate where one was kept."""

    certificate_ids: Mapping[DeviceIdentity, int | None]

    def items(self, devices: DeviceList) -> Iterator[Item]:
        """Return the item of each line."""
        for position, line in enumerate(devices.lines):
            yield Item(position, None, line.shown, self._result(line))

    def _result(self, line: Line) -> Result:
        if line.refusal is not None:
            return failure(line.refusal)
        for identity in line.identities:
            if identity in self.certificate_ids:
                return Result(Outcome.DELETED, certificate_id=self.certificate_ids[identity])
        # Without an identity type a line means all that it can be, so there is none to mistake.
        lookalike = find_lookalike(line.identities[0]) if len(line.identities) == 1 else None
        return Result(Outcome.NOT_FOUND, warnings=(lookalike,)) if lookalike else _NOT_FOUND


def read_devices(
    names: Sequence[str], identity_type: IdentityType | None, show: Callable[[str], str] = str
) -> DeviceList:
    """Read the names of devices. Without an identity type each means every type that it is valid for.

    show: makes a name that is no identity safe to show.
    """
    lines: dict[object, Line] = {}
    for written in names:
        line = _read(written, [identity_type] if identity_type else list(IdentityType), show)
        lines.setdefault(line.identities or written, line)
    return DeviceList(tuple(lines.values()), len(names) - len(lines))


def _read(written: str, types: Sequence[IdentityType], show: Callable[[str], str]) -> Line:
    if is_header(written) and (misspelling := find_misspelling(written)):  # it may read like a serial number
        return Line(show(written), (), InvalidIdentity(misspelling.fault))
    identities: list[DeviceIdentity] = []
    refusal: InvalidIdentity | None = None
    for candidate in types:
        try:
            identities.append(DeviceIdentity.parse(candidate, written))
        except InvalidIdentity as reason:
            refusal = reason
    if identities:
        return Line(identities[0].value, tuple(identities), None)
    return Line(show(written), (), refusal)


class DeletionTransaction:
    """One deletion in a transaction. actor: the login in whose name it is.

    removes: what VPN policies put on the devices is to be taken off, not only from here.
    """

    def __init__(self, tx: Transaction, actor: str, now: datetime, *, removes: bool = False) -> None:
        self._tx = tx
        self._removes = removes
        self._actor = actor
        self._now = now

    def preview(self, devices: DeviceList) -> Gone:
        """Return what `delete` would find, and change nothing."""
        gone: dict[DeviceIdentity, int | None] = {}
        for identity_type, values in devices.values():
            for value in self._tx.items.waiting_of(identity_type, values):
                gone[DeviceIdentity(identity_type, value)] = None
        for identity_type, values in devices.values():
            gone |= _ids(self._tx.certificates.summaries(identity_type, values))
        return Gone(gone)

    def delete(self, devices: DeviceList) -> Gone:
        """Delete what is kept for the devices, or still waits in an import."""
        self._tx.lock(KEEPING)
        # First what waits: whoever holds those items commits before the next statements read what is kept.
        gone, failed = self._fail_waiting(devices)
        summaries: list[CertificateSummary] = []
        for identity_type, values in devices.values():
            summaries += self._tx.certificates.summaries(identity_type, values, lock=True)
        self._tx.certificates.delete([summary.id for summary in summaries], self._now)
        for identity_type, values in devices.values():
            self._tx.device_keys.delete_of(identity_type, values)
            self._tx.planning.plan_devices(identity_type, values, self._now, removes=self._removes)
        self._tx.events.append(*map(self._deleted, summaries))
        for import_id, number in sorted(failed.items()):
            self._count_failed(import_id, number)
        return Gone(gone | _ids(summaries))

    def _fail_waiting(self, devices: DeviceList) -> tuple[dict[DeviceIdentity, int | None], Counter[str]]:
        waited: dict[DeviceIdentity, int | None] = {}
        failed: Counter[str] = Counter()
        for identity_type, values in devices.values():
            by_import = self._tx.items.fail_waiting(identity_type, values, _MEANWHILE)
            for import_id, some in by_import.items():
                waited.update(dict.fromkeys(DeviceIdentity(identity_type, value) for value in some))
                failed[import_id] += len(some)
        return waited, failed

    def _count_failed(self, import_id: str, number: int) -> None:
        self._tx.requests.forget_bundle(import_id)
        finished = self._tx.requests.count(import_id, {"done": number, "failed": number}, self._now)
        if finished is not None:
            self._tx.events.append(import_finished(finished, self._now))
            self._tx.notify(request_topic(import_id))

    def _deleted(self, summary: CertificateSummary) -> Event:
        facts = {
            "certificate_id": summary.id,
            "identity_type": summary.identity.type,
            "identity": summary.identity.value,
            "fingerprint_sha256": summary.fingerprint_sha256,
        }
        return Event(EventType.CERTIFICATE_DELETED, self._now, self._actor, facts)


def _ids(summaries: Sequence[CertificateSummary]) -> dict[DeviceIdentity, int]:
    """Name one certificate for each device: the current one, else the one that came last."""
    last = {summary.identity: summary.id for summary in summaries}
    return last | {
        summary.identity: summary.id for summary in summaries if summary.state is CertificateState.CURRENT
    }
