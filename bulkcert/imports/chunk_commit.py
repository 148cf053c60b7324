"""Apply the decisions of one chunk, inside one transaction. `chunk_decisions` makes them.

Of an import that is only to be validated, the results are written, and nothing else: its caller runs all of
this but `finish` inside a dry run of the transaction.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from bulkcert.errors import Contended
from bulkcert.imports.chunk_decisions import (
    Create,
    Decisions,
    Known,
    ReplaceChain,
    Restore,
    Step,
    Supersede,
    Withdraw,
)
from bulkcert.integrity.demand import demands_binding
from bulkcert.store.certificates.certificates import NewCertificate
from bulkcert.store.imports.items import KeptItem
from bulkcert.store.transaction import Transaction
from bulkcert.values.bulk_events import import_finished
from bulkcert.values.bulk_requests import BulkRequest, Item, Outcome
from bulkcert.values.certificates import CertificateState, OpenedCertificate
from bulkcert.values.events import Event, EventType
from bulkcert.values.identities import DeviceIdentity
from bulkcert.vault.places import KeyOwner, key_place
from bulkcert.vault.vault import Vault


class ChunkCommit:
    """Writes what was decided of one chunk of an import."""

    def __init__(self, tx: Transaction, vault: Vault, request: BulkRequest, now: datetime) -> None:
        self._tx = tx
        self._vault = vault
        self._request = request
        self._now = now
        self._binds = demands_binding(tx, vault)  # machines of an earlier release open no key that is bound
        self._new: list[NewCertificate] = []
        self._new_owners: dict[str, DeviceIdentity] = {}
        self._events: list[Event] = []

    def read(self, waiting: Mapping[int, Item], opened: Mapping[int, OpenedCertificate]) -> Known:
        """Return all that deciding on these items needs, read in a handful of queries.

        waiting: the items that have no result. opened: what was opened, by position. Chain certificates that
        are not kept yet are kept here, since decisions name them by id.
        """
        assert self._request.identity_type is not None
        identities = [item.identity for at, item in waiting.items() if at in opened and item.identity]
        summaries = self._tx.certificates.summaries(self._request.identity_type, identities)
        came = {found.leaf.facts.fingerprint_sha256 for found in opened.values()}
        keys = [found.leaf.facts.public_key_sha256 for found in opened.values()]
        return Known(
            items=waiting,
            summaries=summaries,
            chains=self._tx.chains.find([s.id for s in summaries if s.fingerprint_sha256 in came]),
            owners=self._tx.device_keys.owners(keys),
            twins=self._tx.items.of_keys(self._request.id, keys),
            chain_ids=self._keep_chains(opened),
            new_ids=self._tx.draw_ids("certificates", len(opened)),
        )

    def apply(self, decisions: Decisions) -> None:
        """Carry out every step, and bring deployments to what VPN policies want of the certificates then."""
        assert self._request.identity_type is not None
        for step in decisions.steps:
            self._do(step)
        self._write_new()
        self._tx.planning.plan_devices(self._request.identity_type, sorted(decisions.changed), self._now)

    def finish(self, decisions: Decisions, done_bytes: int) -> int:
        """Write results, counts and events, after `apply`; return how many items ended.

        done_bytes: the size of the chunk, sealed. Raises `Contended` where another worker has kept one of
        these public keys for the same import meanwhile: both items fail, and this one saw only its own.
        """
        self._tx.requests.lock(self._request.id)
        seen = decisions.twins_seen | decisions.ended.keys()
        for kept in self._tx.items.of_keys(self._request.id, list(decisions.public_keys)):
            if kept.item.position not in seen:
                raise Contended("Another worker has kept the same key pair.")
        self._tx.items.finish(self._request.id, self._results(decisions))
        finished = self._tx.requests.count(self._request.id, decisions.changes, self._now, done_bytes)
        events = [] if self._request.validate_only else self._events
        if finished is not None:
            events.append(import_finished(finished, self._now))
        self._tx.events.append(*events)
        return len(decisions.ended)

    def _results(self, decisions: Decisions) -> Iterator[KeptItem]:
        for kept in decisions.ended.values():
            result = kept.item.result
            assert result is not None
            if self._request.validate_only and result.outcome in {Outcome.CREATED, Outcome.REPLACED}:
                result = replace(result, certificate_id=None)  # it is not there
            yield replace(kept, item=replace(kept.item, result=result))

    def _do(self, step: Step) -> None:
        match step:
            case Supersede():
                self._tx.certificates.supersede(step.certificate_id, self._now)
            case Restore():
                self._tx.certificates.restore(step.certificate_id)
            case ReplaceChain():
                self._tx.chains.replace(step.certificate_id, list(step.chain_ids))
            case Create():
                self._create(step)
            case Withdraw():
                self._withdraw(step)
            case Event():
                self._events.append(step)

    def _create(self, step: Create) -> None:
        facts = step.opened.leaf.facts
        if step.takes_key:
            self._new_owners[facts.public_key_sha256] = step.identity
        owner = KeyOwner(step.identity, facts.fingerprint_sha256, facts.public_key_sha256)
        place = key_place(step.certificate_id, owner if self._binds else None)
        sealed = self._vault.seal(step.opened.private_key, place)
        self._new.append(
            NewCertificate(step.certificate_id, step.identity, step.opened.leaf, step.chain_ids, sealed)
        )

    def _withdraw(self, step: Withdraw) -> None:
        self._write_new()
        kept = self._tx.certificates.find(step.certificate_id)
        if kept.state is CertificateState.DELETED:
            return
        if kept.import_id == self._request.id:
            self._tx.certificates.delete([step.certificate_id], self._now)
            self._tx.device_keys.delete_unused(kept.facts.public_key_sha256)
        else:
            self._tx.certificates.supersede(step.certificate_id, self._now)
        if kept.state is CertificateState.CURRENT and step.twin.previous_certificate_id is not None:
            self._tx.certificates.restore(step.twin.previous_certificate_id)
        facts = {"import_id": self._request.id, "certificate_id": step.certificate_id}
        self._events.append(
            Event(EventType.CERTIFICATE_WITHDRAWN, self._now, self._request.requested_by, facts)
        )

    def _write_new(self) -> None:
        """Write the new certificates, and whose their keys are: all at once, for each by itself is slow."""
        self._tx.device_keys.insert(self._new_owners)
        self._tx.certificates.insert(self._new, self._request.id, self._now)
        self._new_owners.clear()
        self._new.clear()

    def _keep_chains(self, opened: Mapping[int, OpenedCertificate]) -> dict[str, int]:
        """Keep the chain certificates of these items that are not kept yet; return the ids of all."""
        links = {link.facts.fingerprint_sha256: link for found in opened.values() for link in found.chain}
        ids = self._tx.certificates.chain_ids(links)
        new = [fingerprint for fingerprint in links if fingerprint not in ids]
        if new:
            numbers = self._tx.draw_ids("certificates", len(new))
            ids |= dict(zip(new, numbers, strict=True))
            self._tx.certificates.insert_chain({ids[name]: links[name] for name in new}, self._now)
        return ids
