"""Which device is which: learned from devices' own word, and therefore pinned.

The first device that claims an identity keeps it. A second one that claims it puts the identity in contest:
nothing is deployed for it until an administrator says which of the two it is, for one of them lies (or a
repair gave a device a new UDID). A claim that was decided against is no news when it is repeated.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from bulkcert.deployments.mdm.commands import record_question
from bulkcert.deployments.outcomes import DeploymentOutcomes
from bulkcert.errors.mdm import NoContest
from bulkcert.formats.mdm.answers import read_claims
from bulkcert.formats.mdm.events import MdmEvent, Topic
from bulkcert.store.sql.topics import MDM
from bulkcert.store.store import Store
from bulkcert.store.transaction import Transaction
from bulkcert.values.events import Event, EventType
from bulkcert.values.identities import DeviceIdentity
from bulkcert.values.mdm import DEPLOYER, Claims, MdmDevice, Pin
from bulkcert.values.pages import Page
from bulkcert.values.policies import DeploymentState

_ASK_AGAIN = timedelta(days=1)
_ENROLMENT_TAKES = timedelta(minutes=1)
"""Between a device's Authenticate and its first TokenUpdate."""


class MdmDevices:
    """Learns who devices are, and lets people decide where that is contested."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        self._outcomes = DeploymentOutcomes(now)

    # --- for people ---

    def contested(self, limit: int, cursor: str | None) -> Page[Pin]:
        """List the identities that two devices claim."""
        with self._store.reading() as tx:
            return tx.mdm.contested(limit, cursor)

    def confirm(self, identity: DeviceIdentity, udid: str, actor: str) -> Pin:
        """Say which device an identity belongs to; what waited for that is ready again.

        Raises `NoContest` where the identity is not known, or this device never claimed it. A pin that was
        altered by hand is made anew.
        """
        with self._store.writing() as tx:
            pin = tx.mdm.pinned(identity, lock=True)
            if pin is None or not _is_claimant(tx, pin, udid):
                raise NoContest("No device of this UDID claims this identity now.")
            now = tx.now
            other = _other(pin, udid)
            before = () if pin.is_forged else pin.refused_udids
            refused = [each for each in (*before, other) if each and each != udid]
            tx.mdm.confirm(identity, udid, refused, now)
            for deployment in tx.deployments.of_device(identity):
                if deployment.state is DeploymentState.CONFLICT:
                    tx.deployments.retry(deployment.id, deployment.state, now)
            facts = {**_facts(identity, udid), "refused_udid": other}
            tx.events.append(Event(EventType.DEVICE_CONFIRMED, self._now(), actor, facts))
            tx.notify(MDM)
            return Pin(identity, udid, now, None)

    # --- for the webhook ---

    def hear(self, tx: Transaction, event: MdmEvent, udid: str) -> None:
        """Record the identities, the enrolment and the last sign of life that an event holds of a device."""
        now = tx.now
        # When it happened, not when it came: while events are late, a device that was heard of before it was
        # sent something would seem to have left that unanswered, and asking it again makes more events.
        device = tx.mdm.see(udid, min(event.created_at, now))
        match event.topic:
            case Topic.AUTHENTICATE:
                self._begin_anew(tx, device, min(event.created_at, now), now)
                self._learn(tx, device, event.said, now)
            case Topic.TOKEN_UPDATE:
                if event.tally == 1:  # its Authenticate may have been lost
                    self._begin_anew(tx, device, min(event.created_at, now) - _ENROLMENT_TAKES, now)
                elif not device.is_enrolled:
                    tx.mdm.enrol(udid, is_enrolled=True)
            case Topic.CHECK_OUT:
                self._leave(tx, device, min(event.created_at, now), now)
                return
        found = event.said.get("QueryResponses")
        if isinstance(found, dict):
            self._learn(tx, device, found, now, is_supervised=found.get("IsSupervised") is True)
        self._ask(tx, udid, now)

    def _begin_anew(self, tx: Transaction, device: MdmDevice, before: datetime, now: datetime) -> None:
        """A device that enrols was wiped, or has lost what MDM brought; its queue was emptied (NanoMDM)."""
        tx.mdm.enrol(device.udid, is_enrolled=True)
        tx.mdm_commands.disturb(device.udid, before)
        tx.mdm_leases.begin_anew(device.udid, before, now)
        tx.notify(MDM)

    def _leave(self, tx: Transaction, device: MdmDevice, before: datetime, now: datetime) -> None:
        """A device whose enrolment was removed has dropped the profiles that came with it."""
        tx.mdm.enrol(device.udid, is_enrolled=False)
        tx.mdm_commands.disturb(device.udid, before)
        tx.mdm_leases.begin_anew(device.udid, before, now)
        for deployment_id in tx.mdm_leases.leaving(device.udid):
            self._outcomes.remove(tx, tx.deployments.find(deployment_id), DEPLOYER)

    def _ask(self, tx: Transaction, udid: str, now: datetime) -> None:
        known = tx.mdm.device(udid)
        if known is None or known.is_supervised is not None or not known.is_enrolled:
            return
        if not tx.mdm_commands.was_asked(udid, now - _ASK_AGAIN):
            record_question(tx, udid, now)

    def _learn(
        self,
        tx: Transaction,
        device: MdmDevice,
        said: dict[str, object],
        now: datetime,
        *,
        is_supervised: bool | None = None,
    ) -> None:
        told = read_claims(said)
        claims = Claims(
            told.serial_number or device.claims.serial_number,
            told.imeis or device.claims.imeis,
            told.meids or device.claims.meids,
        )
        tx.mdm.describe(device.udid, claims, is_supervised=is_supervised)
        before = device.claims.identities()
        for identity in told.identities():
            if not tx.mdm.pin(identity, device.udid, now):
                self._compare(tx, identity, device.udid, is_news=identity not in before, now=now)
                continue
            facts = _facts(identity, device.udid)
            tx.events.append(Event(EventType.DEVICE_PINNED, self._now(), DEPLOYER, facts))
            tx.notify(MDM)

    def _compare(
        self, tx: Transaction, identity: DeviceIdentity, udid: str, *, is_news: bool, now: datetime
    ) -> None:
        """See whether an identity that is pinned is claimed by another device than before."""
        pin = tx.mdm.pinned(identity, lock=is_news)
        if pin is None or not is_news or pin.udid == udid or pin.contender_udid is not None:
            return
        if pin.is_forged:  # noting a contender would sign it
            return
        if udid in pin.refused_udids:  # it says so again; that was decided
            return
        tx.mdm.contend(identity, udid)
        detail = f"Two devices say that they are this one: {pin.udid} and {udid}. Confirm one of them."
        stopped = tx.deployments.contest(identity, detail, now)
        facts = {**_facts(identity, pin.udid), "contender_udid": udid, "deployments": stopped}
        tx.events.append(Event(EventType.DEVICE_CONTESTED, self._now(), DEPLOYER, facts))


def _facts(identity: DeviceIdentity, udid: str) -> dict[str, object]:
    return {"identity_type": identity.type, "identity": identity.value, "udid": udid}


def _is_claimant(tx: Transaction, pin: Pin, udid: str) -> bool:
    """Return whether a device claims an identity; where the pin is forged, by the device's own word alone."""
    if not pin.is_forged:
        return udid in {pin.udid, pin.contender_udid}
    device = tx.mdm.device(udid)
    return device is not None and pin.identity in device.claims.identities()


def _other(pin: Pin, udid: str) -> str | None:
    return pin.contender_udid if udid == pin.udid else pin.udid
