"""Deployments in a deployer's hands: leased, released to it as profiles, and reported on.

Whoever deploys (the built-in MDM deployer, or somebody's own program through the feed) leases deployments,
gets the profile of each, and says what became of it. A lease is a token and a time: what is said under
another token, or too late, is refused, so that two deployers never undo each other's work.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from bulkcert.deployments.outcomes import Outcomes, facts_of
from bulkcert.deployments.profiles.profile import DeviceChain, ProfileMaker
from bulkcert.errors import BrokenSeal, NotFound, Refusal
from bulkcert.errors.policies import LeaseLost, NotFit, NotReleased, NotServed, OtherCertificate
from bulkcert.formats.x509 import parse_certificate
from bulkcert.integrity.key_seals import KeyOpener
from bulkcert.store.certificates.device_keys import KeptKey
from bulkcert.store.store import Store
from bulkcert.store.transaction import Transaction
from bulkcert.values.certificates import Certificate, CertificateState, show_in_part
from bulkcert.values.deployments import Action, Deployment, DeploymentFilter, KeptPolicy, Lease
from bulkcert.values.events import Event, EventType
from bulkcert.values.identities import DeviceIdentity
from bulkcert.values.pages import Page
from bulkcert.values.policies import DeploymentState
from bulkcert.values.secret import Secret
from bulkcert.vault.vault import Vault

LONGEST_LEASE = timedelta(days=1)
"""For a lease, and again from when the device is first reported to have taken the profile."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Handout:
    """A profile that leaves for one device. content: a property list, or CMS around it; it holds a key."""

    lease: Lease
    content: Secret
    fingerprint_sha256: str


@dataclass(frozen=True)
class Export:
    """A profile that leaves outside of any lease, for somebody who installs it by hand; it holds a key."""

    content: Secret
    fingerprint_sha256: str


class Deployments:
    """What is on its way to devices."""

    def __init__(self, store: Store, vault: Vault, maker: ProfileMaker, now: Callable[[], datetime]) -> None:
        self._store = store
        self._keys = KeyOpener(store, vault)
        self._maker = maker
        self._now = now
        self._outcomes = Outcomes(now)

    def find(self, deployment_id: int) -> Deployment:
        """Look one up, or raise `NotFound`."""
        with self._store.reading() as tx:
            return tx.deployments.find(deployment_id)

    def page(self, wanted: DeploymentFilter, limit: int, cursor: str | None) -> Page[Deployment]:
        """List deployments in the order they came."""
        with self._store.reading() as tx:
            return tx.deployments.page(wanted, limit, cursor)

    def counts(self, wanted: DeploymentFilter) -> Mapping[DeploymentState, int]:
        """Count deployments by state."""
        with self._store.reading() as tx:
            return tx.deployments.counts(wanted)

    def of_device(self, identity: DeviceIdentity) -> list[Deployment]:
        """List the deployments of a device, one for each policy."""
        with self._store.reading() as tx:
            return tx.deployments.of_device(identity)

    def profile_identifier(self, deployment: Deployment) -> str:
        """Give the identifier of a deployment's profile, which RemoveProfile names."""
        return self._maker.identifier(deployment.policy_id, deployment.identity)

    def export(self, policy_id: int, certificate_id: int, actor: str) -> Export:
        """Make the profile of a device certificate under a policy, record its release, and give it out.

        It is for installing by hand, and changes no deployment. Superseded certificates are allowed. Raises
        `NotFound` (deleted ones too), or the `NotFit` that says why there is no profile of the two.
        """
        with self._store.reading() as tx:
            policy = tx.policies.find(policy_id)
            key = tx.device_keys.find_sealed(certificate_id)
        if not policy.policy.serves(key.identity, show_in_part(_leaf(key).facts).issuer.text):
            raise NotServed("The policy is for other devices, or for certificates of another issuer.")
        content = self._make_content(policy, key)
        facts = {
            "policy_id": policy.id,
            "identity_type": key.identity.type,
            "identity": key.identity.value,
            "certificate_id": key.id,
            "fingerprint_sha256": key.fingerprint_sha256,
            "format": "profile",
        }
        with self._store.writing() as tx:
            # It was read in another transaction: a deletion that was answered since then wins.
            if tx.certificates.hold(key.id) is CertificateState.DELETED:
                raise NotFound("There is no such certificate.")
            tx.events.append(Event(EventType.KEY_RELEASED, self._now(), actor, facts))
        return Export(content, key.fingerprint_sha256)

    # --- for deployers ---

    def lease(
        self,
        most: int,
        seconds: int,
        deployer: str,
        policy_id: int | None = None,
    ) -> list[Lease]:
        """Take up to `most` deployments in hand for `seconds`; those that wait longest come first.

        deployer: whose they are then.
        """
        with self._store.writing() as tx:
            now = tx.time(self._now)
            until = now + timedelta(seconds=seconds)
            return tx.deployments.lease(most, now, until, deployer, policy_id)

    def release(self, deployment_id: int, token: str, deployer: str) -> Handout:
        """Make the profile of a leased deployment, record its release, and give it out.

        Raises `NotFound`, `LeaseLost`, or the `NotFit` that says why there is no profile for this device,
        which fails the deployment too.
        """
        with self._store.reading() as tx:
            held = tx.deployments.held(deployment_id, token, deployer, tx.time(self._now), hold=False)
        [handout] = self.release_all([Lease(held, Action.INSTALL, token)], deployer)
        if isinstance(handout, Refusal):
            raise handout
        return handout

    def release_all(self, leases: Sequence[Lease], deployer: str) -> list[Handout | Refusal]:
        """Do as `release` for several, with one commit; what cannot be made is the refusal in its place.

        Keys are opened and profiles made outside of any transaction that writes; the one at the end finds
        that every certificate is still there and every lease still held, before anything leaves.
        """
        made = self._make_all(leases)
        with self._store.writing() as tx:
            now = tx.time(self._now)
            answers = [
                self._check(tx, each, found, deployer, now) for each, found in zip(leases, made, strict=True)
            ]
            leaving = [each for each in answers if isinstance(each, Handout)]
            tx.deployments.hand([each.lease.deployment.id for each in leaving], now)
            tx.events.append(*(self._released(each, deployer) for each in leaving))
            return answers

    def _make_all(self, leases: Sequence[Lease]) -> list[Handout | Refusal]:
        policies: dict[int, KeptPolicy] = {}
        kept: list[tuple[KeptPolicy, KeptKey] | Refusal] = []
        with self._store.reading() as tx:
            for lease in leases:
                try:
                    kept.append(_read(tx, lease, policies))
                except Refusal as refusal:
                    kept.append(refusal)
        return [
            found if isinstance(found, Refusal) else self._make(lease, *found)
            for lease, found in zip(leases, kept, strict=True)
        ]

    def _make(self, lease: Lease, policy: KeptPolicy, key: KeptKey) -> Handout | Refusal:
        if key.identity != lease.deployment.identity:
            return BrokenSeal("The deployment names the certificate of another device: its row was altered.")
        try:
            return Handout(lease, self._make_content(policy, key), key.fingerprint_sha256)
        except (NotFit, BrokenSeal) as refusal:
            return refusal

    def _make_content(self, policy: KeptPolicy, key: KeptKey) -> Secret:
        private_key = self._keys.open(key)
        device = DeviceChain(key.identity, _leaf(key), key.chain)
        return self._maker.make(policy.policy, str(policy.id), device, private_key)

    def _check(
        self, tx: Transaction, lease: Lease, made: Handout | Refusal, deployer: str, now: datetime
    ) -> Handout | Refusal:
        deployment = lease.deployment
        try:
            held = tx.deployments.held(deployment.id, lease.token, deployer, now)
        except (LeaseLost, NotFound) as refusal:
            return refusal
        if isinstance(made, NotFit):
            self._outcomes.refuse(tx, held, made, deployer)
            return made
        if isinstance(made, BrokenSeal):
            log.critical("a key does not unseal", certificate=held.certificate_id)
            self._outcomes.fail(tx, held, made.code, made.detail, deployer)
            return made
        if isinstance(made, Refusal):
            return made
        if held.certificate_id is None or held.certificate_id != deployment.certificate_id:
            return LeaseLost("The deployment was changed meanwhile.")
        if tx.certificates.hold(held.certificate_id) is CertificateState.DELETED:
            return NotFound("There is no such certificate.")
        return made

    def _released(self, handout: Handout, deployer: str) -> Event:
        facts = {
            **facts_of(handout.lease.deployment),
            "certificate_id": handout.lease.deployment.certificate_id,
            "fingerprint_sha256": handout.fingerprint_sha256,
            "format": "profile",
        }
        return Event(EventType.KEY_RELEASED, self._now(), deployer, facts)

    def report_delivered(self, deployment_id: int, token: str, deployer: str, seconds: int) -> Deployment:
        """Note that the device took the profile; the lease goes on for `seconds`, until it is seen there.

        Told again, it goes on to `LONGEST_LEASE` after the first time at most. Raises `NotReleased` where no
        profile ever left for the device.
        """
        with self._store.writing() as tx:
            now = tx.time(self._now)
            held = tx.deployments.held(deployment_id, token, deployer, now)
            if held.certificate_id is None:
                raise OtherCertificate("The policy is to be taken off this device, not installed.")
            _check_released(held)
            told = held.delivered_at if held.state is DeploymentState.DELIVERED else None
            until = min(now + timedelta(seconds=seconds), (told or now) + LONGEST_LEASE)
            self._outcomes.deliver(tx, held, until, deployer, since=told)
            return tx.deployments.find(held.id)

    def report_installed(
        self, deployment_id: int, token: str, deployer: str, fingerprint_sha256: str
    ) -> Deployment:  # fmt: skip
        """Note that the device has the wanted certificate. fingerprint_sha256: of what was seen there.

        Raises `OtherCertificate` where that is not the wanted one, and `NotReleased` where no profile
        left for the device; the deployment stays as it is.
        """
        with self._store.writing() as tx:
            now = tx.time(self._now)
            held = tx.deployments.held(deployment_id, token, deployer, now)
            if held.certificate_id is None:
                raise OtherCertificate("The policy is to be taken off this device, not installed.")
            wanted = tx.certificates.find(held.certificate_id)
            if wanted.facts.fingerprint_sha256 != fingerprint_sha256:
                raise OtherCertificate(
                    "The device has another certificate than the one that is wanted there."
                )
            _check_released(held)
            self._outcomes.install(tx, held, deployer)
            return tx.deployments.find(held.id)

    def report_removed(self, deployment_id: int, token: str, deployer: str) -> Deployment:
        """Note that the device has nothing of the policy any more."""
        with self._store.writing() as tx:
            now = tx.time(self._now)
            held = tx.deployments.held(deployment_id, token, deployer, now)
            if held.certificate_id is not None:
                raise OtherCertificate("The policy is wanted on this device, and was not to be taken off.")
            self._outcomes.remove(tx, held, deployer)
            return tx.deployments.find(held.id)

    def report_failed(
        self, deployment_id: int, token: str, deployer: str, code: str, detail: str
    ) -> Deployment:
        """Note that it did not work; it is ready again after a pause, which grows with every attempt."""
        with self._store.writing() as tx:
            now = tx.time(self._now)
            held = tx.deployments.held(deployment_id, token, deployer, now)
            self._outcomes.fail(tx, held, code, detail, deployer)
            return tx.deployments.find(held.id)

    def give_back(self, leases: Sequence[Lease], deployer: str) -> None:
        """End leases with nothing done; those that are lost already are left alone."""
        with self._store.writing() as tx:
            now = tx.time(self._now)
            for lease in leases:
                try:
                    tx.deployments.held(lease.deployment.id, lease.token, deployer, now)
                except LeaseLost:
                    continue
                tx.deployments.give_back(lease.deployment.id, now)

    def retry(self, deployment_id: int, actor: str) -> Deployment:
        """Make a deployment that failed ready again at once; others are left as they are."""
        with self._store.writing() as tx:
            found = tx.deployments.find(deployment_id)
            now = tx.time(self._now)
            if found.state is DeploymentState.FAILED and tx.deployments.retry(found.id, found.state, now):
                tx.events.append(Event(EventType.DEPLOYMENT_RETRIED, self._now(), actor, facts_of(found)))
            return tx.deployments.find(deployment_id)


def _read(tx: Transaction, lease: Lease, policies: dict[int, KeptPolicy]) -> tuple[KeptPolicy, KeptKey]:
    deployment = lease.deployment
    if deployment.certificate_id is None:
        raise OtherCertificate("The policy is to be taken off this device, and has no profile for it.")
    if deployment.policy_id not in policies:
        policies[deployment.policy_id] = tx.policies.find(deployment.policy_id)
    return policies[deployment.policy_id], tx.device_keys.find_sealed(deployment.certificate_id)


def _check_released(held: Deployment) -> None:
    """Raise `NotReleased` where no profile ever left for a device that is said to have one."""
    if held.handed_at is None:
        raise NotReleased("No profile of this deployment has left the service.")


def _leaf(key: KeptKey) -> Certificate:
    return parse_certificate(key.der)
