"""What becomes of opened files is decided without a database, and does not depend on how they are divided."""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkcert.errors import Crashed, WrongPassword
from bulkcert.imports.chunk_decisions import Create, Known, Restore, Supersede, Withdraw, decide
from bulkcert.imports.chunk_results import Judged
from bulkcert.store.certificates.certificates import CertificateSummary
from bulkcert.store.imports.items import KeptItem
from bulkcert.values.bulk_requests import (
    BulkRequest,
    Counts,
    Item,
    OnConflict,
    Outcome,
    RequestKind,
    RequestState,
)
from bulkcert.values.certificates import (
    Certificate,
    CertificateFacts,
    CertificateState,
    KeyType,
    Name,
    OpenedCertificate,
)
from bulkcert.values.identities import DeviceIdentity, IdentityType
from bulkcert.values.secret import Secret
from tests.builders import NOW

DEVICES = [f"A12BC3D4EF{number:02}" for number in range(6)]


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def an_opened(key: int, certificate: int = 0) -> OpenedCertificate:
    """Return a file with one of a few keys, and one of a few certificates of that key."""
    facts = CertificateFacts(
        digest(f"certificate {key} {certificate}"), digest(f"key {key}"), "1", Name("CN=x"), Name("CN=ca"), (),
        NOW - timedelta(days=1), NOW + timedelta(days=1), KeyType.EC, 256, "ecdsa-with-SHA256",
    )  # fmt: skip
    return OpenedCertificate(Certificate(b"", facts), (), Secret(b"key"), True, True)


def a_request(on_conflict: OnConflict = OnConflict.REPLACE) -> BulkRequest:
    return BulkRequest(
        "import", RequestKind.IMPORT, IdentityType.SERIAL_NUMBER, RequestState.RUNNING, Counts(0), on_conflict,
        "olga", NOW, None, None,
    )  # fmt: skip


def identity_of(device: str) -> DeviceIdentity:
    return DeviceIdentity(IdentityType.SERIAL_NUMBER, device)


@dataclass
class World:
    """What a store would hold, changed by steps as the commit of a chunk changes it."""

    certificates: dict[int, CertificateSummary] = field(default_factory=dict)
    of_import: set[int] = field(default_factory=set)
    owners: dict[str, DeviceIdentity] = field(default_factory=dict)
    results: dict[int, KeptItem] = field(default_factory=dict)
    changes: dict[str, int] = field(default_factory=dict)

    def known(self, items: list[Item], opened: dict[int, OpenedCertificate]) -> Known:
        keys = {found.leaf.facts.public_key_sha256 for found in opened.values()}
        return Known(
            items={item.position: item for item in items if item.position not in self.results},
            summaries=[
                each for each in self.certificates.values() if each.state is not CertificateState.DELETED
            ],
            owners={key: owner for key, owner in self.owners.items() if key in keys},
            twins=[kept for kept in self.results.values() if kept.public_key_sha256 in keys],
            new_ids=range(len(self.certificates) + 1, len(self.certificates) + 1 + len(opened)),
        )

    def set_state(self, certificate_id: int, state: CertificateState) -> None:
        self.certificates[certificate_id] = replace(self.certificates[certificate_id], state=state)

    def work(self, items: list[Item], answers: dict[int, Judged], request: BulkRequest) -> None:
        opened = {position: answer.opened for position, answer in answers.items()}
        decided = decide(request, self.known(items, opened), answers, NOW)
        for step in decided.steps:
            match step:
                case Create():
                    facts = step.opened.leaf.facts
                    if step.takes_key:
                        assert facts.public_key_sha256 not in self.owners
                        self.owners[facts.public_key_sha256] = step.identity
                    assert self.owners[facts.public_key_sha256] == step.identity
                    self.certificates[step.certificate_id] = CertificateSummary(
                        step.certificate_id, step.identity, CertificateState.CURRENT,
                        facts.fingerprint_sha256, facts.public_key_sha256,
                    )  # fmt: skip
                    self.of_import.add(step.certificate_id)
                case Supersede():
                    assert self.certificates[step.certificate_id].state is CertificateState.CURRENT
                    self.set_state(step.certificate_id, CertificateState.SUPERSEDED)
                case Restore():
                    assert self.certificates[step.certificate_id].state is CertificateState.SUPERSEDED
                    self.set_state(step.certificate_id, CertificateState.CURRENT)
                case Withdraw():
                    self.withdraw(step)
        self.results |= decided.ended
        for name, number in decided.changes.items():
            self.changes[name] = self.changes.get(name, 0) + number

    def withdraw(self, step: Withdraw) -> None:
        made = step.certificate_id in self.of_import
        self.set_state(step.certificate_id, CertificateState.DELETED if made else CertificateState.SUPERSEDED)
        if step.twin.previous_certificate_id is not None:
            self.set_state(step.twin.previous_certificate_id, CertificateState.CURRENT)
        key = self.certificates[step.certificate_id].public_key_sha256
        left = [each for each in self.certificates.values() if each.public_key_sha256 == key]
        if all(each.state is CertificateState.DELETED for each in left):
            del self.owners[key]

    def check(self) -> None:
        """Check what must be so after every chunk."""
        for device in DEVICES:
            current = [
                each
                for each in self.certificates.values()
                if each.identity == identity_of(device) and each.state is CertificateState.CURRENT
            ]
            assert len(current) <= 1
        outcomes = [kept.item.result.outcome for kept in self.results.values() if kept.item.result]
        assert self.changes.get("done", 0) == len(self.results)
        for outcome in Outcome:
            assert self.changes.get(outcome, 0) == outcomes.count(outcome)


files = st.tuples(st.integers(0, 4), st.integers(0, 1))
bundles = st.lists(files, min_size=1, max_size=len(DEVICES))


def after(*bundles_divided: tuple[list[tuple[int, int]], int], on_conflict: OnConflict) -> World:
    """Import bundles one after another, each in chunks of some size; return what is kept."""
    world = World()
    for bundle, size in bundles_divided:
        world.results, world.changes, world.of_import = {}, {}, set()
        items = [
            Item(position, f"{DEVICES[position]}.p12", DEVICES[position]) for position in range(len(bundle))
        ]
        for start in range(0, len(bundle), size):
            some = range(start, min(start + size, len(bundle)))
            world.work(items, {at: Judged(an_opened(*bundle[at])) for at in some}, a_request(on_conflict))
            world.check()
    return world


@given(before=bundles, bundle=bundles, size=st.integers(1, 6), on_conflict=st.sampled_from(OnConflict))
def test_the_division_into_chunks_changes_nothing(
    before: list[tuple[int, int]], bundle: list[tuple[int, int]], size: int, on_conflict: OnConflict
) -> None:
    def told(world: World) -> list[tuple[object, ...]]:
        results = [(at, kept.item.result) for at, kept in sorted(world.results.items())]
        return [(at, result.outcome, result.code, result.warnings) for at, result in results if result]

    whole = after((before, 6), (bundle, 6), on_conflict=on_conflict)
    divided = after((before, 6), (bundle, size), on_conflict=on_conflict)

    assert told(divided) == told(whole)
    assert {(each.identity, each.fingerprint_sha256) for each in divided.certificates.values()} >= {
        (each.identity, each.fingerprint_sha256)
        for each in whole.certificates.values()
        if each.state is CertificateState.CURRENT
    }


@given(bundle=bundles)
def test_a_key_that_stands_twice_in_a_bundle_is_kept_for_nobody(bundle: list[tuple[int, int]]) -> None:
    world = after((bundle, 2), on_conflict=OnConflict.REPLACE)
    keys = [key for key, _ in bundle]

    for position, (key, _) in enumerate(bundle):
        result = world.results[position].item.result
        assert result is not None
        assert (result.code == "duplicate_key") == (keys.count(key) > 1)


@given(before=bundles, bundle=bundles)
def test_where_certificates_are_to_be_kept_none_is_superseded(
    before: list[tuple[int, int]], bundle: list[tuple[int, int]]
) -> None:
    world = after((before, 6), (bundle, 3), on_conflict=OnConflict.KEEP)

    assert CertificateState.SUPERSEDED not in {each.state for each in world.certificates.values()}


@pytest.mark.parametrize(("line", "detail"), [(None, "No."), (7, "Line 7 of the credentials file: No.")])
def test_a_wrong_password_is_told_with_its_line(line: int | None, detail: str) -> None:
    item = Item(0, "a.p12", DEVICES[0], line=line)
    decided = decide(a_request(), Known({0: item}), {0: WrongPassword("No.")}, NOW)

    result = decided.ended[0].item.result
    assert result is not None
    assert (result.outcome, result.code, result.detail) == (Outcome.FAILED, "wrong_password", detail)


def test_an_item_that_has_ended_meanwhile_is_left_alone() -> None:
    answers = {0: Judged(an_opened(0)), 1: Crashed("No.")}
    decided = decide(a_request(), Known({}), answers, NOW)

    assert (decided.steps, decided.ended, decided.changes) == ((), {}, {})
