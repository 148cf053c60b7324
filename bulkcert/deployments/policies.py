"""VPN policies: made, replaced and deleted. Each change plans at once what it means for devices."""

from collections.abc import Callable
from datetime import datetime

from bulkcert.errors import Fault, LimitReached, MalformedCertificate
from bulkcert.errors.policies import PolicyRefused
from bulkcert.formats.x509 import is_anchor, parse_certificate
from bulkcert.store.sql.locks import KEEPING
from bulkcert.store.store import Store
from bulkcert.store.transaction import Transaction
from bulkcert.values.deployments import KeptPolicy
from bulkcert.values.events import Event, EventType
from bulkcert.values.limits import Limits
from bulkcert.values.pages import Page
from bulkcert.values.policies import VpnPolicy
from bulkcert.values.principals import Caller


class VpnPolicies:
    """The VPN policies of the service. most: how many there may be."""

    def __init__(
        self, store: Store, now: Callable[[], datetime], most: int = Limits.policies
    ) -> None:  # fmt: skip
        self._store = store
        self._now = now
        self._most = most

    def create(self, policy: VpnPolicy, caller: Caller) -> KeptPolicy:
        """Keep a new policy, and plan its deployments.

        Raises `AlreadyExists` for a name that is taken, `LimitReached` where there are enough, and
        `PolicyRefused` where a trusted root is no certificate of a CA.
        """
        _check_roots(policy.trusted_roots)
        with self._store.writing() as tx:
            tx.lock(KEEPING)
            if tx.policies.count() >= self._most:
                raise LimitReached(f"There are {self._most} VPN policies, and no more may be made.")
            now = self._now()
            kept = tx.policies.insert(policy, caller.login, now)
            self._record(tx, EventType.POLICY_CREATED, kept, caller)
            tx.planning.plan_policy(kept.id, now)
            return kept

    def page(self, limit: int, cursor: str | None) -> Page[KeptPolicy]:
        """List policies in the order they came."""
        with self._store.reading() as tx:
            return tx.policies.page(limit, cursor)

    def find(self, policy_id: int) -> KeptPolicy:
        """Return a policy, or raise `NotFound`."""
        with self._store.reading() as tx:
            return tx.policies.find(policy_id)

    def replace(
        self, policy_id: int, policy: VpnPolicy, caller: Caller, *, removes: bool = False
    ) -> KeptPolicy:
        """Put a policy in the place of another; devices whose profile changes get it anew.

        removes: devices that it does not serve any more are to lose their profile; else it stays on them.
        Raises `NotFound`, `AlreadyExists` or `PolicyRefused`.
        """
        _check_roots(policy.trusted_roots)
        with self._store.writing() as tx:
            tx.lock(KEEPING)
            now = self._now()
            kept = tx.policies.replace(policy_id, policy, now)
            self._record(tx, EventType.POLICY_REPLACED, kept, caller)
            tx.planning.plan_policy(policy_id, now, removes=removes)
            return kept

    def delete(self, policy_id: int, caller: Caller, *, removes: bool = False) -> None:
        """Delete a policy. removes: its profiles are to be taken off; else they stay. Raises `NotFound`."""
        with self._store.writing() as tx:
            tx.lock(KEEPING)
            now = self._now()
            kept = tx.policies.delete(policy_id, now)
            self._record(tx, EventType.POLICY_DELETED, kept, caller)
            tx.planning.plan_policy(policy_id, now, removes=removes)

    def _record(self, tx: Transaction, event: EventType, kept: KeptPolicy, caller: Caller) -> None:
        facts = {"policy_id": kept.id, "version": kept.version, "name": kept.policy.name}
        tx.events.append(Event(event, self._now(), caller.login, facts))


def _check_roots(roots: tuple[bytes, ...]) -> None:
    """Raise `PolicyRefused` with each trusted root that cannot be read (RFC 5280 §4.1) or is no CA's."""
    found = [(place, _fault_of(der)) for place, der in enumerate(roots, start=1)]
    faults = tuple(
        Fault("trusted_roots", f"Certificate {place} of {len(roots)} {fault}.")
        for place, fault in found
        if fault
    )
    if faults:
        raise PolicyRefused("The trusted roots are not all certificates of CAs.", faults)


def _fault_of(der: bytes) -> str | None:
    try:
        certificate = parse_certificate(der)
    except MalformedCertificate:
        return "cannot be read"
    return None if is_anchor(certificate) else "is neither self-signed nor a CA's: nothing trusts it"
