"""Deployments: planned from policies and certificates, leased, released as profiles, reported on."""

import plistlib
import secrets
from collections import Counter
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives.serialization import pkcs12

from bulkcert.deployments.deployments import Deployments
from bulkcert.deployments.leases import LONGEST_LEASE, Leases
from bulkcert.deployments.outcomes import MOST_ATTEMPTS
from bulkcert.deployments.policies import VpnPolicies
from bulkcert.deployments.profile_release import Handout, ProfileRelease
from bulkcert.deployments.profiles.profile import ProfileMaker
from bulkcert.errors import AlreadyExists, NotFound
from bulkcert.errors.policies import LeaseLost, NotFit, OtherCertificate
from bulkcert.values.certificates import CertificateFilter, CertificateState
from bulkcert.values.deployments import Action, DeploymentFilter
from bulkcert.values.events import EventType
from bulkcert.values.identities import DeviceIdentity, IdentityType
from bulkcert.values.policies import DeploymentState, VpnPolicy
from tests.builders import DAY, NOW, a_bundle, a_certificate, a_pkcs12, an_ec_key
from tests.verbs import Verbs

A, B, C = "A12BC3D4EFGH", "B12BC3D4EFGH", "C12BC3D4EFGH"
CURRENT = CertificateFilter(state=CertificateState.CURRENT)
POLICY = {
    "name": "Always On",
    "connection_type": "ALWAYS_ON_IKEV2",
    "identity_type": "SERIAL_NUMBER",
    "tunnels": [
        {
            "remote_address": "vpn.example.test",
            "remote_identifier": "vpn.example.test",
            "local_identifier": "{common_name}",
        }
    ],
}


def a_policy(**changes: object) -> VpnPolicy:
    return VpnPolicy.from_document(POLICY | changes)


def policies_of(verbs: Verbs) -> VpnPolicies:
    return VpnPolicies(verbs.store, verbs.clock)


@dataclass(frozen=True)
class Feed:
    """What a deployer uses of the service."""

    listed: Deployments
    leases: Leases
    profiles: ProfileRelease


def feed_of(verbs: Verbs) -> Feed:
    maker = ProfileMaker(verbs.clock, secrets.token_bytes)
    profiles = ProfileRelease(verbs.store, verbs.vault, maker, verbs.clock)
    return Feed(Deployments(verbs.store, maker), Leases(verbs.store, verbs.clock), profiles)


def states(verbs: Verbs) -> dict[str, DeploymentState]:
    page = feed_of(verbs).listed.page(DeploymentFilter(), 100, None)
    return {found.identity.value: found.state for found in page.items}


def create(verbs: Verbs, **changes: object) -> int:
    return policies_of(verbs).create(a_policy(**changes), verbs.caller).id


def fingerprint_of(verbs: Verbs, certificate_id: int | None) -> str:
    assert certificate_id is not None
    return verbs.inventory.find(certificate_id).facts.fingerprint_sha256


def install_all(verbs: Verbs) -> None:
    feed = feed_of(verbs)
    for lease in feed.leases.lease(100, 60, "d"):
        found = lease.deployment
        if lease.action is Action.REMOVE:
            feed.leases.report_removed(found.id, lease.token, "d")
        else:
            feed.profiles.release(found.id, lease.token, "d")
            feed.leases.report_delivered(found.id, lease.token, "d", 60)
            fingerprint = fingerprint_of(verbs, found.certificate_id)
            feed.leases.report_installed(found.id, lease.token, "d", fingerprint)


# --- planning ---


def test_a_policy_wants_what_is_there_and_what_comes_later(any_verbs: Verbs) -> None:
    verbs = any_verbs
    verbs.import_bundle(a_bundle([A]))
    create(verbs)
    assert states(verbs) == {A: "pending"}
    verbs.import_bundle(a_bundle([B]))

    assert states(verbs) == {A: "pending", B: "pending"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"identity_type": "IMEI"}, set()),
        ({"identities": [B.lower()]}, {B}),
        ({"issuer": "TEST"}, {A, B}),
        ({"issuer": "another CA"}, set()),
        ({"issuer": "%"}, set()),
    ],
)
def test_a_policy_serves_only_whom_it_names(
    any_verbs: Verbs, changes: dict[str, object], expected: set[str]
) -> None:
    verbs = any_verbs
    verbs.import_bundle(a_bundle([A]))
    create(verbs, **changes)
    verbs.import_bundle(a_bundle([B]))

    assert set(states(verbs)) == expected
    policy = a_policy(**changes)
    for certificate in verbs.inventory.page(CURRENT, 10, None).items:
        serves = policy.serves(certificate.identity, certificate.facts.issuer.text)
        assert serves == (certificate.identity.value in expected)


def test_a_validated_bundle_plans_nothing(verbs: Verbs) -> None:
    create(verbs)
    verbs.import_bundle(a_bundle([A]), validate_only=True)

    assert states(verbs) == {}


def test_a_replaced_certificate_is_deployed_anew_and_the_old_one_stays_until_then(any_verbs: Verbs) -> None:
    verbs = any_verbs
    create(verbs)
    verbs.import_bundle(a_bundle([A]))
    install_all(verbs)
    [before] = feed_of(verbs).listed.page(DeploymentFilter(), 10, None).items
    verbs.import_bundle(a_bundle([A]))
    [after] = feed_of(verbs).listed.page(DeploymentFilter(), 10, None).items

    assert (before.state, after.state) == ("installed", "pending")
    assert after.id == before.id
    assert after.installed_certificate_id == before.certificate_id != after.certificate_id
    install_all(verbs)
    [now] = feed_of(verbs).listed.page(DeploymentFilter(), 10, None).items
    assert (now.state, now.installed_certificate_id) == ("installed", after.certificate_id)


def test_a_policy_that_puts_something_else_on_devices_is_deployed_anew_and_a_narrowed_one_is_not(
    any_verbs: Verbs,
) -> None:
    verbs = any_verbs
    policy_id = create(verbs)
    verbs.import_bundle(a_bundle([A, B]))
    install_all(verbs)
    policies_of(verbs).replace(policy_id, a_policy(identities=[A]), verbs.caller)
    assert states(verbs) == {A: "installed", B: "superseded"}
    policies_of(verbs).replace(policy_id, a_policy(ui_toggle=True), verbs.caller)

    assert states(verbs) == {A: "pending", B: "pending"}


@pytest.mark.parametrize(
    ("removes", "expected"), [(False, "superseded"), (True, "removing")], ids=["stays", "goes"]
)
def test_what_no_policy_wants_any_more_stays_or_is_to_be_removed(
    any_verbs: Verbs, removes: bool, expected: str
) -> None:
    verbs = any_verbs
    policy_id = create(verbs)
    verbs.import_bundle(a_bundle([A]))
    install_all(verbs)
    verbs.import_bundle(a_bundle([B]))  # never handed to a device
    policies_of(verbs).delete(policy_id, verbs.caller, removes=removes)

    assert states(verbs) == {A: expected, B: "superseded"}
    with pytest.raises(NotFound):
        policies_of(verbs).find(policy_id)
    install_all(verbs)
    assert states(verbs)[A] == ("removed" if removes else "superseded")


def test_two_policies_of_one_name_are_refused_until_one_is_deleted(any_verbs: Verbs) -> None:
    policy_id = create(any_verbs)
    with pytest.raises(AlreadyExists):
        create(any_verbs)
    other = create(any_verbs, name="other")
    with pytest.raises(AlreadyExists):
        policies_of(any_verbs).replace(other, a_policy(), any_verbs.caller)
    policies_of(any_verbs).replace(policy_id, a_policy(), any_verbs.caller)
    policies_of(any_verbs).delete(policy_id, any_verbs.caller)

    assert create(any_verbs) != policy_id


# --- leases ---


def test_a_lease_is_for_one_deployer_at_a_time(any_verbs: Verbs) -> None:
    verbs = any_verbs
    create(verbs)
    verbs.import_bundle(a_bundle([A, B, C]))
    feed = feed_of(verbs)
    first = feed.leases.lease(2, 60, "d")
    second = feed.leases.lease(5, 60, "e")

    assert [len(first), len(second), len(feed.leases.lease(5, 60, "f"))] == [2, 1, 0]
    assert Counter(states(verbs).values()) == {"leased": 3}


def test_what_is_said_under_a_lease_that_is_lost_or_not_ones_own_is_refused(verbs: Verbs) -> None:
    create(verbs)
    verbs.import_bundle(a_bundle([A]))
    feed = feed_of(verbs)
    [lost] = feed.leases.lease(1, 60, "d")
    verbs.clock.pass_by(seconds=60)
    [held] = feed.leases.lease(1, 60, "d")
    number = held.deployment.id
    for token, deployer in [(lost.token, "d"), (held.token, "e"), ("", "d")]:
        with pytest.raises(LeaseLost):
            feed.profiles.release(number, token, deployer)
        with pytest.raises(LeaseLost):
            feed.leases.report_delivered(number, token, deployer, 60)
        with pytest.raises(LeaseLost):
            feed.leases.report_installed(number, token, deployer, "")
        with pytest.raises(LeaseLost):
            feed.leases.report_failed(number, token, deployer, "x", "x")

    assert states(verbs) == {A: "leased"}
    assert feed.profiles.release(number, held.token, "d").content


def test_a_change_takes_the_deployment_out_of_the_hands_that_had_it(any_verbs: Verbs) -> None:
    verbs = any_verbs
    create(verbs)
    verbs.import_bundle(a_bundle([A]))
    feed = feed_of(verbs)
    [lease] = feed.leases.lease(1, 600, "d")
    verbs.import_bundle(a_bundle([A]))

    with pytest.raises(LeaseLost):
        feed.leases.report_delivered(lease.deployment.id, lease.token, "d", 60)
    assert states(verbs) == {A: "pending"}


def test_only_the_wanted_certificate_counts_as_installed(any_verbs: Verbs) -> None:
    verbs = any_verbs
    create(verbs)
    verbs.import_bundle(a_bundle([A]))
    feed = feed_of(verbs)
    [lease] = feed.leases.lease(1, 60, "d")

    with pytest.raises(OtherCertificate):
        feed.leases.report_installed(lease.deployment.id, lease.token, "d", "0" * 64)
    with pytest.raises(OtherCertificate):
        feed.leases.report_removed(lease.deployment.id, lease.token, "d")
    assert states(verbs) == {A: "leased"}


def test_what_fails_is_tried_again_with_longer_and_longer_pauses_and_then_waits_for_somebody(
    verbs: Verbs,
) -> None:
    create(verbs)
    verbs.import_bundle(a_bundle([A]))
    feed = feed_of(verbs)
    pauses = []
    for _ in range(MOST_ATTEMPTS):
        [lease] = feed.leases.lease(1, 60, "d")
        failed = feed.leases.report_failed(lease.deployment.id, lease.token, "d", "device_refused", "No.")
        assert (failed.state, failed.error_code, failed.error_detail) == ("failed", "device_refused", "No.")
        assert feed.leases.lease(1, 60, "d") == []
        if failed.not_before is not None:
            pauses.append((failed.not_before - verbs.clock()).total_seconds())
            verbs.clock.now = failed.not_before

    assert pauses == sorted(pauses)
    assert (len(pauses), pauses[0], pauses[-1]) == (MOST_ATTEMPTS - 1, 30, 7680)
    verbs.clock.pass_by(days=30)
    assert feed.leases.lease(1, 60, "d") == []
    assert feed.leases.retry(failed.id, "administrator").state == "pending"
    assert len(feed.leases.lease(1, 60, "d")) == 1


def test_leases_that_are_given_back_are_ready_as_before(verbs: Verbs) -> None:
    create(verbs)
    verbs.import_bundle(a_bundle([A]))
    feed = feed_of(verbs)
    feed.leases.give_back(feed.leases.lease(1, 60, "d"), "d")

    [found] = feed.listed.page(DeploymentFilter(), 10, None).items
    assert (found.state, found.attempts) == ("pending", 0)


# --- releases ---


def test_a_release_is_a_profile_with_the_device_s_key_and_an_event(any_verbs: Verbs) -> None:
    verbs = any_verbs
    create(verbs)
    key = an_ec_key()
    verbs.import_bundle(a_bundle([A], files={A: a_pkcs12(A, key=key)}))
    feed = feed_of(verbs)
    [lease] = feed.leases.lease(1, 60, "d")
    handout = feed.profiles.release(lease.deployment.id, lease.token, "d")

    profile = plistlib.loads(handout.content.reveal())
    [identity] = [p for p in profile["PayloadContent"] if p["PayloadType"] == "com.apple.security.pkcs12"]
    found, _, _ = pkcs12.load_key_and_certificates(identity["PayloadContent"], identity["Password"].encode())
    assert found is not None
    assert found.private_numbers() == key.private_numbers()  # type: ignore[union-attr]
    with verbs.store.reading() as tx:
        last = tx.events.list()[-1]
    assert (last.type, last.actor) == (EventType.KEY_RELEASED, "d")
    assert last.facts["deployment_id"] == lease.deployment.id
    assert last.facts["fingerprint_sha256"] == handout.fingerprint_sha256


def test_nothing_leaves_where_the_event_cannot_be_written(
    verbs: Verbs, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(verbs)
    verbs.import_bundle(a_bundle([A]))
    feed = feed_of(verbs)
    [lease] = feed.leases.lease(1, 60, "d")

    def refuse(*_: object) -> None:
        raise RuntimeError("the disk is gone")

    monkeypatch.setattr("bulkcert.store.events.Events.append", refuse)
    with pytest.raises(RuntimeError):
        feed.profiles.release(lease.deployment.id, lease.token, "d")


def test_a_deleted_certificate_is_released_to_nobody(any_verbs: Verbs) -> None:
    verbs = any_verbs
    create(verbs)
    verbs.import_bundle(a_bundle([A]))
    feed = feed_of(verbs)
    [lease] = feed.leases.lease(1, 60, "d")
    verbs.deletions.delete([A], IdentityType.SERIAL_NUMBER, verbs.caller)

    with pytest.raises(LeaseLost):
        feed.profiles.release(lease.deployment.id, lease.token, "d")
    assert states(verbs) == {A: "superseded"}


def test_a_certificate_that_does_not_fit_fails_its_deployment_and_says_why(any_verbs: Verbs) -> None:
    verbs, key = any_verbs, an_ec_key()
    create(verbs)
    unfit = a_pkcs12(A, key=key, certificate=a_certificate(key, A, client_auth=False))
    verbs.import_bundle(a_bundle([A, B], files={A: unfit}))
    feed = feed_of(verbs)
    leases = feed.leases.lease(2, 60, "d")
    made = feed.profiles.release_all(leases, "d")

    assert [type(each).__name__ for each in made] == ["UsageNotClientAuth", "Handout"]
    assert states(verbs) == {A: "failed", B: "leased"}
    [failed] = feed.listed.page(DeploymentFilter(state=DeploymentState.FAILED), 10, None).items
    assert (failed.error_code, failed.not_before) == ("usage_not_client_auth", None)
    with pytest.raises(NotFit):
        raise made[0]  # type: ignore[misc]


def test_a_certificate_whose_time_has_not_come_is_tried_again(verbs: Verbs) -> None:
    key = an_ec_key()
    create(verbs)
    early = a_certificate(key, A, not_before=NOW + DAY / 2)
    verbs.import_bundle(a_bundle([A], files={A: a_pkcs12(A, key=key, certificate=early)}))
    feed = feed_of(verbs)
    made = feed.profiles.release_all(feed.leases.lease(1, 60, "d"), "d")
    assert [type(each).__name__ for each in made] == ["CertificateNotYetValid"]
    verbs.clock.pass_by(hours=13)

    assert isinstance(feed.profiles.release_all(feed.leases.lease(1, 60, "d"), "d")[0], Handout)


def test_deployments_are_listed_and_counted_by_what_is_asked_for(any_verbs: Verbs) -> None:
    verbs = any_verbs
    policy_id = create(verbs)
    create(verbs, name="other", identities=[B])
    verbs.import_bundle(a_bundle([A, B]))
    feed = feed_of(verbs)
    feed.leases.lease(1, 60, "d")

    def listed(wanted: DeploymentFilter) -> list[str]:
        return [found.identity.value for found in feed.listed.page(wanted, 10, None).items]

    assert listed(DeploymentFilter()) == [A, B, B]
    assert listed(DeploymentFilter(policy_id=policy_id)) == [A, B]
    assert listed(DeploymentFilter(state=DeploymentState.LEASED)) == [A]
    assert listed(DeploymentFilter(identity=B)) == [B, B]
    assert feed.listed.counts(DeploymentFilter()) == {"leased": 1, "pending": 2}
    assert len(feed.listed.of_device(DeviceIdentity(IdentityType.SERIAL_NUMBER, B))) == 2


@pytest.mark.parametrize(("removes", "expected"), [(False, "superseded"), (True, "removing")])
def test_a_deletion_ends_deployments_and_takes_profiles_off_where_that_is_asked_for(
    any_verbs: Verbs, removes: bool, expected: str
) -> None:
    verbs = any_verbs
    create(verbs)
    verbs.import_bundle(a_bundle([A, B]))
    install_all(verbs)
    verbs.deletions.delete([A], None, verbs.caller, removes=removes)

    assert states(verbs) == {A: expected, B: "installed"}


def test_a_lease_ends_a_day_after_the_delivery_however_often_that_is_told(verbs: Verbs) -> None:
    create(verbs)
    verbs.import_bundle(a_bundle([A]))
    feed = feed_of(verbs)
    [lease] = feed.leases.lease(1, 60, "d")
    number = lease.deployment.id
    feed.profiles.release(number, lease.token, "d")
    first = feed.leases.report_delivered(number, lease.token, "d", 3600)
    for _ in range(50):
        verbs.clock.pass_by(seconds=1800)
        try:
            told = feed.leases.report_delivered(number, lease.token, "d", 86_400)
        except LeaseLost:
            break
        assert told.delivered_at == first.delivered_at
        assert told.leased_until is not None
        assert first.delivered_at is not None
        assert told.leased_until <= first.delivered_at + LONGEST_LEASE

    assert len(feed.leases.lease(1, 60, "e")) == 1
