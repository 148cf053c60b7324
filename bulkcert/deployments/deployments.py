"""Deployments as they stand: one for each device certificate and the policy that wants it."""

from collections.abc import Mapping

from bulkcert.deployments.profiles.profile import ProfileMaker
from bulkcert.store.store import Store
from bulkcert.values.deployments import Deployment, DeploymentFilter
from bulkcert.values.identities import DeviceIdentity
from bulkcert.values.pages import Page
from bulkcert.values.policies import DeploymentState


class Deployments:
    """Reads deployments."""

    def __init__(self, store: Store, maker: ProfileMaker) -> None:
        self._store = store
        self._maker = maker

    def find(self, deployment_id: int) -> Deployment:
        """Return one, or raise `NotFound`."""
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
        """Return the identifier of a deployment's profile, which RemoveProfile names."""
        return self._maker.identifier(deployment.policy_id, deployment.identity)
