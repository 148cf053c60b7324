"""Profiles that leave the service: each holds the key of a device, and is recorded before it leaves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from bulkcert.deployments.outcomes import DeploymentOutcomes, facts_of
from bulkcert.deployments.profiles.profile import DeviceChain, ProfileMaker
from bulkcert.errors import BrokenSeal, NotFound, Refusal
from bulkcert.errors.policies import LeaseLost, NotFit, NotServed, OtherCertificate
from bulkcert.formats.x509 import parse_certificate
from bulkcert.integrity.key_seals import KeyOpener
from bulkcert.integrity.release_record import record_release
from bulkcert.store.certificates.device_keys import KeptKey
from bulkcert.store.store import Store
from bulkcert.store.transaction import Transaction
from bulkcert.values.certificates import Certificate, CertificateState, show_in_part
from bulkcert.values.deployments import Action, KeptPolicy, Lease
from bulkcert.values.events import Event, EventType
from bulkcert.values.secret import Secret
from bulkcert.vault.vault import Vault

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


class ProfileRelease:
    """Makes profiles and hands them out."""

    def __init__(self, store: Store, vault: Vault, maker: ProfileMaker, now: Callable[[], datetime]) -> None:
        self._store = store
        self._keys = KeyOpener(store, vault)
        self._maker = maker
        self._now = now
        self._outcomes = DeploymentOutcomes(now)

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
        facts = {"policy_id": policy.id, "format": "profile"}
        with self._store.writing() as tx:
            record_release(tx, key, facts, actor, self._now())
        return Export(content, key.fingerprint_sha256)

    def release(self, deployment_id: int, token: str, deployer: str) -> Handout:
        """Make the profile of a leased deployment, record its release, and give it out.

        Raises `NotFound`, `LeaseLost`, or the `NotFit` that says why there is no profile for this device,
        which fails the deployment too.
        """
        with self._store.reading() as tx:
            held = tx.deployments.leased(deployment_id, token, deployer, tx.now, lock=False)
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
            now = tx.now
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
            held = tx.deployments.leased(deployment.id, lease.token, deployer, now)
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
        if tx.certificates.lock(held.certificate_id) is CertificateState.DELETED:
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


def _read(tx: Transaction, lease: Lease, policies: dict[int, KeptPolicy]) -> tuple[KeptPolicy, KeptKey]:
    deployment = lease.deployment
    if deployment.certificate_id is None:
        raise OtherCertificate("The policy is to be taken off this device, and has no profile for it.")
    if deployment.policy_id not in policies:
        policies[deployment.policy_id] = tx.policies.find(deployment.policy_id)
    return policies[deployment.policy_id], tx.device_keys.find_sealed(deployment.certificate_id)


def _leaf(key: KeptKey) -> Certificate:
    return parse_certificate(key.der)
