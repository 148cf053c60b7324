"""Deployments in a deployer's hands: leased, released to it as profiles, and reported on.

A deployer (the built-in one, or a client of the API) leases deployments, gets the profile of each, and
reports the outcome. A lease is a token and a time. A report under another token, or after that time, is
refused, so that two deployers never undo each other's work.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from bulkcert.deployments.outcomes import DeploymentOutcomes, facts_of
from bulkcert.errors.policies import LeaseLost, NotReleased, OtherCertificate
from bulkcert.store.store import Store
from bulkcert.values.deployments import Deployment, Lease
from bulkcert.values.events import Event, EventType
from bulkcert.values.policies import DeploymentState

LONGEST_LEASE = timedelta(days=1)
"""For a lease, and again from when the device is first reported to have taken the profile."""


class Leases:
    """Leases deployments to deployers, and takes their reports."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        self._outcomes = DeploymentOutcomes(now)

    def lease(
        self,
        most: int,
        seconds: int,
        deployer: str,
        policy_id: int | None = None,
    ) -> list[Lease]:
        """Lease up to `most` deployments for `seconds`, those that wait longest first.

        deployer: whose they are then.
        """
        with self._store.writing() as tx:
            now = tx.now
            until = now + timedelta(seconds=seconds)
            return tx.deployments.lease(most, now, until, deployer, policy_id)

    def report_delivered(self, deployment_id: int, token: str, deployer: str, seconds: int) -> Deployment:
        """Record that the device took the profile; the lease goes on for `seconds`, until it is seen there.

        Told again, it goes on to `LONGEST_LEASE` after the first time at most. Raises `NotReleased` where no
        profile ever left for the device.
        """
        with self._store.writing() as tx:
            now = tx.now
            held = tx.deployments.leased(deployment_id, token, deployer, now)
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
        """Record that the device has the wanted certificate. fingerprint_sha256: of what was seen there.

        Raises `OtherCertificate` where that is not the wanted one, and `NotReleased` where no profile
        left for the device; the deployment stays as it is.
        """
        with self._store.writing() as tx:
            now = tx.now
            held = tx.deployments.leased(deployment_id, token, deployer, now)
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
        """Record that the device has nothing of the policy any more."""
        with self._store.writing() as tx:
            now = tx.now
            held = tx.deployments.leased(deployment_id, token, deployer, now)
            if held.certificate_id is not None:
                raise OtherCertificate("The policy is wanted on this device, and was not to be taken off.")
            self._outcomes.remove(tx, held, deployer)
            return tx.deployments.find(held.id)

    def report_failed(
        self, deployment_id: int, token: str, deployer: str, code: str, detail: str
    ) -> Deployment:
        """Record that it did not work; it is ready again after a pause, which grows with every attempt."""
        with self._store.writing() as tx:
            now = tx.now
            held = tx.deployments.leased(deployment_id, token, deployer, now)
            self._outcomes.fail(tx, held, code, detail, deployer)
            return tx.deployments.find(held.id)

    def give_back(self, leases: Sequence[Lease], deployer: str) -> None:
        """End leases with nothing done; those that are lost already are left alone."""
        with self._store.writing() as tx:
            now = tx.now
            for lease in leases:
                try:
                    tx.deployments.leased(lease.deployment.id, lease.token, deployer, now)
                except LeaseLost:
                    continue
                tx.deployments.give_back(lease.deployment.id, now)

    def retry(self, deployment_id: int, actor: str) -> Deployment:
        """Make a deployment that failed ready again at once; others are left as they are."""
        with self._store.writing() as tx:
            found = tx.deployments.find(deployment_id)
            now = tx.now
            if found.state is DeploymentState.FAILED and tx.deployments.retry(found.id, found.state, now):
                tx.events.append(Event(EventType.DEPLOYMENT_RETRIED, self._now(), actor, facts_of(found)))
            return tx.deployments.find(deployment_id)


def _check_released(held: Deployment) -> None:
    """Raise `NotReleased` where no profile ever left for a device that is said to have one."""
    if held.handed_at is None:
        raise NotReleased("No profile of this deployment has left the service.")
