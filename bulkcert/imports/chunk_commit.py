"""Keep the opened certificates of one chunk, inside one transaction, by the rules of replacing.

- The same certificate again is `unchanged`; a superseded one again becomes current (`replaced`). Either
  gets the chain of the file where that is better than its own.
- A public key belongs to one device identity (`duplicate_key`). The same public key twice in one bundle
  fails both items, so the first is withdrawn when the second is found, in whichever chunk that is.
- An item that a deletion has failed meanwhile is left alone.
- Of an import that is only to be validated, the results are written, and nothing else: its caller runs all of
  this but `finish` inside a dry run of the transaction.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from bulkcert.errors import Contended, DuplicateKey, ItemRefusal, WrongPassword
from bulkcert.integrity.demand import demands_binding
from bulkcert.store.certificates.certificates import NewCertificate, Standing
from bulkcert.store.imports.items import KeptItem
from bulkcert.store.transaction import Transaction
from bulkcert.values.bulk_events import failure, import_finished
from bulkcert.values.bulk_requests import BulkRequest, Item, OnConflict, Outcome, Result
from bulkcert.values.certificates import (
    CertificateFacts,
    CertificateState,
    OpenedCertificate,
    WarningCode,
    names_device,
)
from bulkcert.values.chain_rank import ChainLink, is_better_chain
from bulkcert.values.events import Event, EventType
from bulkcert.values.identities import DeviceIdentity
from bulkcert.values.lookalikes import find_lookalike
from bulkcert.vault.places import KeyOwner, Place, key_place
from bulkcert.vault.vault import Vault

_BETTER_CHAIN = "The chain of this file is better than the one that was kept, and has taken its place."
_TWICE = "The same key pair stands in this bundle more than once{where}."


@dataclass
class _Device:
    """What is kept for one device while a chunk is being kept."""

    standings: list[Standing]

    @property
    def current(self) -> Standing | None:
        return next((s for s in self.standings if s.state is CertificateState.CURRENT), None)

    def find(self, fingerprint: str) -> Standing | None:
        return next((s for s in self.standings if s.fingerprint_sha256 == fingerprint), None)

    def set_state(self, standing: Standing, state: CertificateState) -> None:
        self.standings = [replace(s, state=state) if s.id == standing.id else s for s in self.standings]


class Keeping:
    """One chunk's items on their way into the store."""

    def __init__(self, tx: Transaction, vault: Vault, request: BulkRequest, now: datetime) -> None:
        self._tx = tx
        self._vault = vault
        self._request = request
        self._now = now
        self._items: Mapping[int, Item] = {}
        self._devices: dict[DeviceIdentity, _Device] = {}
        self._owners: dict[str, DeviceIdentity] = {}
        self._twins: dict[str, list[KeptItem]] = {}
        self._twins_seen: set[int] = set()
        self._chain_ids: dict[str, int] = {}
        self._chains: dict[int, list[ChainLink]] = {}  # of the certificates that come again
        self._ids: Iterator[int] = iter(())
        self._new: list[NewCertificate] = []
        self._new_owners: dict[str, DeviceIdentity] = {}
        self._changed: set[str] = set()  # devices that have another current certificate than before
        self._ended: dict[int, KeptItem] = {}
        self._changes: Counter[str] = Counter()
        self._events: list[Event] = []
        self._binds = demands_binding(tx, vault)  # machines of an earlier release open no key that is bound

    def load(self, waiting: Mapping[int, Item], opened: Mapping[int, OpenedCertificate]) -> None:
        """Read all that keeping these items needs to know, in a handful of queries."""
        assert self._request.identity_type is not None
        self._items = waiting
        identities = [item.identity for at, item in waiting.items() if at in opened and item.identity]
        standings = self._tx.certificates.standings(self._request.identity_type, identities)
        for standing in standings:
            self._devices.setdefault(standing.identity, _Device([])).standings.append(standing)
        came = {found.leaf.facts.fingerprint_sha256 for found in opened.values()}
        self._chains = self._tx.chains.find([s.id for s in standings if s.fingerprint_sha256 in came])
        keys = [found.leaf.facts.public_key_sha256 for found in opened.values()]
        self._owners = self._tx.device_keys.owners(keys)
        for kept in self._tx.items.of_keys(self._request.id, keys):
            self._twins_seen.add(kept.item.position)
            self._twins.setdefault(kept.public_key_sha256 or "", []).append(kept)
        self._chain_ids = self._keep_chains(opened)
        self._ids = iter(self._tx.draw_ids("certificates", len(opened)))

    def fail(self, position: int, refusal: ItemRefusal) -> None:
        """End an item as failed; a wrong password with the line of the credentials file where it stands."""
        item = self._items.get(position)
        if item is None:
            return
        if isinstance(refusal, WrongPassword) and item.line is not None:
            refusal = WrongPassword(f"Line {item.line} of the credentials file: {refusal.detail}")
        self._end(position, failure(refusal))

    def keep(
        self,
        position: int,
        opened: OpenedCertificate,
        warnings: tuple[WarningCode, ...],
        refusal: ItemRefusal | None = None,
    ) -> None:
        """End an item: created, replaced or unchanged; failed where refused or where its key is another's."""
        item = self._items.get(position)
        if item is None or item.identity is None or self._request.identity_type is None:
            return
        identity = DeviceIdentity(self._request.identity_type, item.identity)
        facts = opened.leaf.facts
        if twins := self._twins.get(facts.public_key_sha256):
            self._fail_twins(position, facts.public_key_sha256, twins)
            return
        owner = self._owners.get(facts.public_key_sha256)
        if refusal is None and owner is not None and owner != identity:
            refusal = DuplicateKey(f"The same key pair is kept for {owner.type} {owner.value}.")
        if refusal is not None:
            self._end(position, failure(refusal), facts.public_key_sha256)
            return
        if not names_device(opened.leaf, identity):
            warnings = (*warnings, WarningCode.IDENTITY_NOT_IN_CERTIFICATE)
        if lookalike := find_lookalike(identity):
            warnings = (*warnings, lookalike)
        self._keep_for(identity, position, opened, warnings)

    def write(self) -> None:
        """Write the new certificates, and whose their keys are: all at once, for each by itself is slow."""
        self._tx.device_keys.insert(self._new_owners)
        self._tx.certificates.insert(self._new, self._request.id, self._now)
        self._new_owners.clear()
        self._new.clear()

    def plan(self) -> None:
        """Bring deployments to what VPN policies want of the certificates, once all are written."""
        assert self._request.identity_type is not None
        self._tx.planning.plan_devices(self._request.identity_type, sorted(self._changed), self._now)

    def finish(self, done_bytes: int) -> int:
        """Write results, counts and events, after `write`; returns how many items ended.

        done_bytes: the size of the chunk, sealed. Raises `Contended` where another worker has kept one of
        these public keys for the same import meanwhile: both items fail, and this one saw only its own.
        """
        self._tx.requests.lock(self._request.id)
        known = self._twins_seen | self._ended.keys()
        for kept in self._tx.items.of_keys(self._request.id, list(self._twins)):
            if kept.item.position not in known:
                raise Contended("Another worker has kept the same key pair.")
        self._tx.items.finish(self._request.id, self._results())
        finished = self._tx.requests.count(self._request.id, self._changes, self._now, done_bytes)
        if self._request.validate_only:
            self._events.clear()
        if finished is not None:
            self._events.append(import_finished(finished, self._now))
        self._tx.events.append(*self._events)
        return len(self._ended)

    def _results(self) -> Iterator[KeptItem]:
        for kept in self._ended.values():
            result = kept.item.result
            assert result is not None
            if self._request.validate_only and result.outcome in {Outcome.CREATED, Outcome.REPLACED}:
                result = replace(result, certificate_id=None)  # it is not there
            yield replace(kept, item=replace(kept.item, result=result))

    def _keep_for(
        self,
        identity: DeviceIdentity,
        position: int,
        opened: OpenedCertificate,
        warnings: tuple[WarningCode, ...],
    ) -> None:
        facts = opened.leaf.facts
        device = self._devices.setdefault(identity, _Device([]))
        current, same = device.current, device.find(facts.fingerprint_sha256)
        detail = " ".join(opened.remarks) or None
        result = Result(Outcome.UNCHANGED, None, detail, warnings, None, facts.fingerprint_sha256)
        if current is not None and same is not current and self._request.on_conflict is OnConflict.KEEP:
            kept = replace(
                result,
                detail="The device has another certificate already, which was kept.",
                certificate_id=current.id,
                fingerprint_sha256=current.fingerprint_sha256,
            )
            self._end(position, kept, facts.public_key_sha256)
            return
        if same is not None and self._improve_chain(same, opened):
            result = replace(result, detail=" ".join((*opened.remarks, _BETTER_CHAIN)))
        if current is not None and same is current:
            self._end(position, replace(result, certificate_id=current.id), facts.public_key_sha256)
            return
        if same is None and facts.public_key_sha256 in self._owners:
            warnings = (*warnings, WarningCode.KEY_REUSED)
        if current is not None:
            self._tx.certificates.supersede(current.id, self._now)
            device.set_state(current, CertificateState.SUPERSEDED)
        self._changed.add(identity.value)
        certificate_id = self._make_current(identity, device, same, opened)
        outcome = Outcome.CREATED if current is None else Outcome.REPLACED
        result = replace(result, outcome=outcome, certificate_id=certificate_id, warnings=warnings)
        self._record(outcome, identity, result)
        self._end(position, result, facts.public_key_sha256, current.id if current else None)

    def _improve_chain(self, same: Standing, opened: OpenedCertificate) -> bool:
        """Give a certificate that came again the chain of this file where that is better; tell whether."""
        new = [_link(self._chain_ids, certificate.facts) for certificate in opened.chain]
        if same.id not in self._chains or not is_better_chain(new, self._chains[same.id], self._now):
            return False
        self._tx.chains.replace(same.id, [link.id for link in new])
        self._chains[same.id] = new
        return True

    def _make_current(
        self, identity: DeviceIdentity, device: _Device, same: Standing | None, opened: OpenedCertificate
    ) -> int:
        if same is not None:
            self._tx.certificates.restore(same.id)
            device.set_state(same, CertificateState.CURRENT)
            return same.id
        facts = opened.leaf.facts
        certificate_id = next(self._ids)
        if facts.public_key_sha256 not in self._owners:
            self._new_owners[facts.public_key_sha256] = identity
            self._owners[facts.public_key_sha256] = identity
        self._new.append(
            NewCertificate(
                certificate_id,
                identity,
                opened.leaf,
                tuple(self._chain_ids[link.facts.fingerprint_sha256] for link in opened.chain),
                self._vault.seal(opened.private_key, self._place(certificate_id, identity, facts)),
            )
        )
        device.standings.append(
            Standing(
                certificate_id,
                identity,
                CertificateState.CURRENT,
                facts.fingerprint_sha256,
                facts.public_key_sha256,
            )
        )
        return certificate_id

    def _place(self, certificate_id: int, identity: DeviceIdentity, facts: CertificateFacts) -> Place:
        owner = KeyOwner(identity, facts.fingerprint_sha256, facts.public_key_sha256)
        return key_place(certificate_id, owner if self._binds else None)

    def _fail_twins(self, position: int, public_key: str, twins: list[KeptItem]) -> None:
        for twin in twins:
            if twin.item.result is not None and twin.item.result.outcome is not Outcome.FAILED:
                self._withdraw(twin)
        other = next((twin.item.file for twin in twins if twin.item.file), None)
        where = f": see {other}" if other else ""
        self._end(position, failure(DuplicateKey(_TWICE.format(where=where))), public_key)

    def _withdraw(self, twin: KeptItem) -> None:
        """Take back what this import did for an item, before its key was found in another item too."""
        result = twin.item.result
        assert result is not None
        if result.outcome in {Outcome.CREATED, Outcome.REPLACED} and result.certificate_id is not None:
            self._undo(twin, result.certificate_id)
        self._changes[result.outcome] -= 1
        self._changes["done"] -= 1
        refusal = DuplicateKey(_TWICE.format(where=""))
        self._end(twin.item.position, failure(refusal), twin.public_key_sha256, item=twin.item)

    def _undo(self, twin: KeptItem, certificate_id: int) -> None:
        self.write()
        self._changed.add(twin.item.identity or "")
        kept = self._tx.certificates.find(certificate_id)
        if kept.state is CertificateState.DELETED:
            return
        if kept.import_id == self._request.id:
            self._tx.certificates.delete([certificate_id], self._now)
            self._tx.device_keys.delete_unused(kept.facts.public_key_sha256)
        else:
            self._tx.certificates.supersede(certificate_id, self._now)
        if kept.state is CertificateState.CURRENT and twin.previous_certificate_id is not None:
            self._tx.certificates.restore(twin.previous_certificate_id)
        facts = {"import_id": self._request.id, "certificate_id": certificate_id}
        self._events.append(
            Event(EventType.CERTIFICATE_WITHDRAWN, self._now, self._request.requested_by, facts)
        )

    def _keep_chains(self, opened: Mapping[int, OpenedCertificate]) -> dict[str, int]:
        """Keep the chain certificates of these items that are not kept yet; returns the ids of all."""
        links = {link.facts.fingerprint_sha256: link for found in opened.values() for link in found.chain}
        ids = self._tx.certificates.chain_ids(links)
        new = [fingerprint for fingerprint in links if fingerprint not in ids]
        if new:
            numbers = self._tx.draw_ids("certificates", len(new))
            ids |= dict(zip(new, numbers, strict=True))
            self._tx.certificates.insert_chain({ids[name]: links[name] for name in new}, self._now)
        return ids

    def _end(
        self,
        position: int,
        result: Result,
        public_key: str | None = None,
        previous: int | None = None,
        item: Item | None = None,
    ) -> None:
        ended = KeptItem(replace(item or self._items[position], result=result), public_key, previous)
        self._ended[position] = ended
        if public_key is not None:
            twins = self._twins.setdefault(public_key, [])
            self._twins[public_key] = [t for t in twins if t.item.position != position] + [ended]
        self._changes[result.outcome] += 1
        self._changes["done"] += 1

    def _record(self, outcome: Outcome, identity: DeviceIdentity, result: Result) -> None:
        created = outcome is Outcome.CREATED
        self._events.append(
            Event(
                EventType.CERTIFICATE_CREATED if created else EventType.CERTIFICATE_REPLACED,
                self._now,
                self._request.requested_by,
                {
                    "import_id": self._request.id,
                    "certificate_id": result.certificate_id,
                    "identity_type": identity.type,
                    "identity": identity.value,
                    "fingerprint_sha256": result.fingerprint_sha256,
                },
            )
        )


def _link(ids: Mapping[str, int], facts: CertificateFacts) -> ChainLink:
    is_root = facts.subject.text == facts.issuer.text
    return ChainLink(ids[facts.fingerprint_sha256], facts.not_before, facts.not_after, is_root)
