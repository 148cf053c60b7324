"""What became of a deployment, noted with its event inside somebody's transaction.

`held`: the deployment as it is in the hands of whoever tells.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from bulkcert.errors.policies import CertificateNotYetValid, NotFit
from bulkcert.store.transaction import Transaction
from bulkcert.values.deployments import Deployment
from bulkcert.values.events import Event, EventType

MOST_ATTEMPTS = 10
"""Then a deployment that fails waits for a change, or for somebody to retry it."""

_FIRST_PAUSE = timedelta(seconds=30)
_LONGEST_PAUSE = timedelta(hours=6)
_EARLY_PAUSE = timedelta(hours=1)


class DeploymentOutcomes:
    """Notes outcomes. now: what events are dated with; leases and pauses go by the database's clock."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now

    def deliver(
        self, tx: Transaction, held: Deployment, until: datetime, actor: str, since: datetime | None = None
    ) -> None:
        """Record that the device took the profile; the lease goes on until it is seen there.

        since: when the device took it, where that was told before.
        """
        now = tx.now
        tx.deployments.deliver(held.id, until, since or now, now)
        self._tell(tx, EventType.DEPLOYMENT_DELIVERED, held, actor)

    def install(self, tx: Transaction, held: Deployment, actor: str) -> None:
        """Record that the device was seen to have the wanted certificate."""
        tx.deployments.install(held.id, tx.now)
        self._tell(tx, EventType.DEPLOYMENT_INSTALLED, held, actor)

    def remove(self, tx: Transaction, held: Deployment, actor: str) -> None:
        """Record that the device has nothing of the policy any more."""
        tx.deployments.remove(held.id, tx.now)
        self._tell(tx, EventType.DEPLOYMENT_REMOVED, held, actor)

    def fail(self, tx: Transaction, held: Deployment, code: str, detail: str, actor: str) -> None:
        """Record that it did not work; it is ready again after a pause, which grows with every attempt."""
        next_try = _next_try(held.attempts, tx.now)
        self._fail(tx, held, code, detail, next_try, actor)

    def refuse(self, tx: Transaction, held: Deployment, refusal: NotFit, actor: str) -> None:
        """Record that no profile can be made; that waits for a change, or for the certificate to begin."""
        is_early = isinstance(refusal, CertificateNotYetValid)
        next_try = tx.now + _EARLY_PAUSE if is_early else None
        self._fail(tx, held, refusal.code, refusal.detail, next_try, actor)

    def _fail(
        self, tx: Transaction, held: Deployment, code: str, detail: str, next_try: datetime | None, actor: str
    ) -> None:
        tx.deployments.fail(held.id, code, detail, next_try, tx.now)
        facts = {**facts_of(held), "code": code, "attempt": held.attempts}
        tx.events.append(Event(EventType.DEPLOYMENT_FAILED, self._now(), actor, facts))

    def _tell(self, tx: Transaction, event: EventType, held: Deployment, actor: str) -> None:
        facts = {**facts_of(held), "certificate_id": held.certificate_id}
        tx.events.append(Event(event, self._now(), actor, facts))


def facts_of(deployment: Deployment) -> dict[str, object]:
    """Say in an event which deployment it is about."""
    return {
        "deployment_id": deployment.id,
        "policy_id": deployment.policy_id,
        "identity_type": deployment.identity.type,
        "identity": deployment.identity.value,
    }


def _next_try(attempts: int, now: datetime) -> datetime | None:
    if attempts >= MOST_ATTEMPTS:
        return None
    doublings = max(0, attempts - 1)
    return now + min(_LONGEST_PAUSE, _FIRST_PAUSE * (1 << doublings))
