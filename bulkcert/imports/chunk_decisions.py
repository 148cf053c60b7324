"""Decide what becomes of the opened files of one chunk, by the rules of replacing. Nothing is written here.

- The same certificate again is `unchanged`; a superseded one again becomes current (`replaced`). Either
  gets the chain of the file where that is better than its own.
- A public key belongs to one device identity (`duplicate_key`). The same public key twice in one bundle
  fails both items, so the first is withdrawn when the second is found, in whichever chunk that is.
- An item that a deletion has failed meanwhile is left alone.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from bulkcert.errors import DuplicateKey, ItemRefusal, WrongPassword
from bulkcert.imports.chunk_results import Judged
from bulkcert.store.certificates.certificates import CertificateSummary
from bulkcert.store.imports.items import KeptItem
from bulkcert.values.bulk_events import failure
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

_BETTER_CHAIN = "The chain of this file is better than the one that was kept, and has taken its place."
_TWICE = "The same key pair stands in this bundle more than once{where}."


@dataclass(frozen=True)
class Known:
    """What the store holds of the devices, keys and chains in a chunk's files.

    items: those that still wait, by position. standings: certificates of their devices. owners: devices that
    public keys (SHA-256 in hex) belong to. twins: items of this import with one of these keys. chain_ids: of
    every chain certificate in the files, by fingerprint. chains: of the certificates that come again, by id.
    new_ids: as many as there may be new certificates.
    """

    items: Mapping[int, Item]
    summaries: Sequence[CertificateSummary] = ()
    owners: Mapping[str, DeviceIdentity] = field(default_factory=dict)
    twins: Sequence[KeptItem] = ()
    chain_ids: Mapping[str, int] = field(default_factory=dict)
    chains: Mapping[int, Sequence[ChainLink]] = field(default_factory=dict)
    new_ids: Sequence[int] = ()


@dataclass(frozen=True)
class Supersede:
    """A certificate is no longer the current one of its device."""

    certificate_id: int


@dataclass(frozen=True)
class Restore:
    """A superseded certificate becomes the current one of its device again."""

    certificate_id: int


@dataclass(frozen=True)
class ReplaceChain:
    """A certificate gets another chain. chain_ids: from its issuer on."""

    certificate_id: int
    chain_ids: tuple[int, ...]


@dataclass(frozen=True)
class Create:
    """A certificate is kept for a device. takes_key: its public key had no owner, and has this one now."""

    certificate_id: int
    identity: DeviceIdentity
    opened: OpenedCertificate
    chain_ids: tuple[int, ...]
    takes_key: bool


@dataclass(frozen=True)
class Withdraw:
    """What this import did for an item is taken back, since its key stands in another item too."""

    twin: KeptItem
    certificate_id: int


Step = Supersede | Restore | ReplaceChain | Create | Withdraw | Event


@dataclass(frozen=True)
class Decisions:
    """What is to be done, in this order, and how items end.

    ended: by position. changes: of the import's counts. changed: identities whose current certificate is
    another one than before. public_keys: of all these items. twins_seen: positions of the twins known before.
    """

    steps: tuple[Step, ...]
    ended: Mapping[int, KeptItem]
    changes: Mapping[str, int]
    changed: frozenset[str]
    public_keys: tuple[str, ...]
    twins_seen: frozenset[int]


def decide(
    request: BulkRequest, known: Known, answers: Mapping[int, Judged | ItemRefusal], now: datetime
) -> Decisions:
    """Return what becomes of the answers of a chunk. now: aware.

    Of an import that is only to be validated, the same is decided; its caller takes the steps back.
    """
    deciding = _Deciding(request, known, now)
    for position, answer in sorted(answers.items()):
        if isinstance(answer, Judged):
            deciding.keep(position, answer)
        else:
            deciding.fail(position, answer)
    return deciding.decisions()


class _Deciding:
    """The state of `decide`. A device has one item in an import, so certificates are looked up once each."""

    def __init__(self, request: BulkRequest, known: Known, now: datetime) -> None:
        self._request = request
        self._now = now
        self._items = known.items
        self._owners, self._chain_ids, self._chains = known.owners, known.chain_ids, known.chains
        self._ids: Iterator[int] = iter(known.new_ids)
        self._summaries: dict[DeviceIdentity, list[CertificateSummary]] = {}
        for summary in known.summaries:
            self._summaries.setdefault(summary.identity, []).append(summary)
        self._twins: dict[str, list[KeptItem]] = {}
        for twin in known.twins:
            self._twins.setdefault(twin.public_key_sha256 or "", []).append(twin)
        self._twins_seen = frozenset(twin.item.position for twin in known.twins)
        self._steps: list[Step] = []
        self._ended: dict[int, KeptItem] = {}
        self._changes: Counter[str] = Counter()
        self._changed: set[str] = set()

    def decisions(self) -> Decisions:
        """Return what was decided so far."""
        return Decisions(
            tuple(self._steps),
            self._ended,
            self._changes,
            frozenset(self._changed),
            tuple(self._twins),
            self._twins_seen,
        )

    def fail(self, position: int, refusal: ItemRefusal) -> None:
        """End an item as failed; a wrong password with the line of the credentials file where it stands."""
        item = self._items.get(position)
        if item is None:
            return
        if isinstance(refusal, WrongPassword) and item.line is not None:
            refusal = WrongPassword(f"Line {item.line} of the credentials file: {refusal.detail}")
        self._end(position, failure(refusal))

    def keep(self, position: int, judged: Judged) -> None:
        """End an item: created, replaced or unchanged; failed where refused or where its key is another's."""
        item = self._items.get(position)
        if item is None or item.identity is None or self._request.identity_type is None:
            return
        identity = DeviceIdentity(self._request.identity_type, item.identity)
        public_key = judged.opened.leaf.facts.public_key_sha256
        if twins := self._twins.get(public_key):
            self._fail_twins(position, public_key, twins)
            return
        refusal = judged.refusal or self._refuse_key(public_key, identity)
        if refusal is not None:
            self._end(position, failure(refusal), public_key)
            return
        self._keep_for(identity, position, judged.opened, _warnings(judged, identity))

    def _refuse_key(self, public_key: str, identity: DeviceIdentity) -> ItemRefusal | None:
        owner = self._owners.get(public_key)
        if owner is None or owner == identity:
            return None
        return DuplicateKey(f"The same key pair is kept for {owner.type} {owner.value}.")

    def _keep_for(
        self,
        identity: DeviceIdentity,
        position: int,
        opened: OpenedCertificate,
        warnings: tuple[WarningCode, ...],
    ) -> None:
        facts = opened.leaf.facts
        current, same = self._current(identity), self._find(identity, facts.fingerprint_sha256)
        detail = " ".join(opened.remarks) or None
        result = Result(Outcome.UNCHANGED, None, detail, warnings, None, facts.fingerprint_sha256)
        if current is not None and same is not current and self._request.on_conflict is OnConflict.KEEP:
            self._end(position, _left_alone(result, current), facts.public_key_sha256)
            return
        if same is not None and self._improve_chain(same, opened):
            result = replace(result, detail=" ".join((*opened.remarks, _BETTER_CHAIN)))
        if current is not None and same is current:
            self._end(position, replace(result, certificate_id=current.id), facts.public_key_sha256)
            return
        if same is None and facts.public_key_sha256 in self._owners:
            warnings = (*warnings, WarningCode.KEY_REUSED)
        if current is not None:
            self._steps.append(Supersede(current.id))
        self._changed.add(identity.value)
        certificate_id = self._make_current(identity, same, opened)
        outcome = Outcome.CREATED if current is None else Outcome.REPLACED
        result = replace(result, outcome=outcome, certificate_id=certificate_id, warnings=warnings)
        self._steps.append(self._kept(outcome, identity, result))
        self._end(position, result, facts.public_key_sha256, current.id if current else None)

    def _improve_chain(self, same: CertificateSummary, opened: OpenedCertificate) -> bool:
        """Give a certificate that came again the chain of this file where that is better; return whether."""
        new = [_link(self._chain_ids, certificate.facts) for certificate in opened.chain]
        if same.id not in self._chains or not is_better_chain(new, self._chains[same.id], self._now):
            return False
        self._steps.append(ReplaceChain(same.id, tuple(link.id for link in new)))
        return True

    def _make_current(
        self, identity: DeviceIdentity, same: CertificateSummary | None, opened: OpenedCertificate
    ) -> int:
        if same is not None:
            self._steps.append(Restore(same.id))
            return same.id
        facts = opened.leaf.facts
        certificate_id = next(self._ids)
        takes_key = facts.public_key_sha256 not in self._owners
        chain_ids = tuple(self._chain_ids[link.facts.fingerprint_sha256] for link in opened.chain)
        self._steps.append(Create(certificate_id, identity, opened, chain_ids, takes_key))
        return certificate_id

    def _fail_twins(self, position: int, public_key: str, twins: list[KeptItem]) -> None:
        for twin in twins:
            if twin.item.result is not None and twin.item.result.outcome is not Outcome.FAILED:
                self._withdraw(twin, twin.item.result)
        other = next((twin.item.file for twin in twins if twin.item.file), None)
        where = f": see {other}" if other else ""
        self._end(position, failure(DuplicateKey(_TWICE.format(where=where))), public_key)

    def _withdraw(self, twin: KeptItem, result: Result) -> None:
        """Take back what this import did for an item, before its key was found in another item too."""
        if result.outcome in {Outcome.CREATED, Outcome.REPLACED} and result.certificate_id is not None:
            self._steps.append(Withdraw(twin, result.certificate_id))
            self._changed.add(twin.item.identity or "")
        self._changes[result.outcome] -= 1
        self._changes["done"] -= 1
        refusal = DuplicateKey(_TWICE.format(where=""))
        self._end(twin.item.position, failure(refusal), twin.public_key_sha256, item=twin.item)

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

    def _kept(self, outcome: Outcome, identity: DeviceIdentity, result: Result) -> Event:
        created = outcome is Outcome.CREATED
        return Event(
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

    def _current(self, identity: DeviceIdentity) -> CertificateSummary | None:
        summaries = self._summaries.get(identity, ())
        return next((each for each in summaries if each.state is CertificateState.CURRENT), None)

    def _find(self, identity: DeviceIdentity, fingerprint: str) -> CertificateSummary | None:
        summaries = self._summaries.get(identity, ())
        return next((each for each in summaries if each.fingerprint_sha256 == fingerprint), None)


def _warnings(judged: Judged, identity: DeviceIdentity) -> tuple[WarningCode, ...]:
    warnings = judged.warnings
    if not names_device(judged.opened.leaf, identity):
        warnings = (*warnings, WarningCode.IDENTITY_NOT_IN_CERTIFICATE)
    if lookalike := find_lookalike(identity):
        warnings = (*warnings, lookalike)
    return warnings


def _left_alone(result: Result, current: CertificateSummary) -> Result:
    return replace(
        result,
        detail="The device has another certificate already, which was kept.",
        certificate_id=current.id,
        fingerprint_sha256=current.fingerprint_sha256,
    )


def _link(ids: Mapping[str, int], facts: CertificateFacts) -> ChainLink:
    is_root = facts.subject.text == facts.issuer.text
    return ChainLink(ids[facts.fingerprint_sha256], facts.not_before, facts.not_after, is_root)
