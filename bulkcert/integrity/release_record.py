"""The record of a key that leaves the service."""

from collections.abc import Mapping
from datetime import datetime

from bulkcert.errors import NotFound
from bulkcert.store.certificates.device_keys import KeptKey
from bulkcert.store.transaction import Transaction
from bulkcert.values.certificates import CertificateState
from bulkcert.values.events import Event, EventType


def record_release(
    tx: Transaction, kept: KeptKey, facts: Mapping[str, object], actor: str, now: datetime
) -> None:
    """Record that a key is handed out; it may leave once this transaction is committed.

    facts: what the event says beside the certificate, its device and its fingerprint. actor: whom the event
    names. Raises `NotFound` where the certificate was deleted since the key was read.
    """
    # The key was read in another transaction: a deletion that was answered since then wins.
    if tx.certificates.lock(kept.id) is CertificateState.DELETED:
        raise NotFound("There is no such certificate.")
    device = {
        "certificate_id": kept.id,
        "identity_type": kept.identity.type,
        "identity": kept.identity.value,
        "fingerprint_sha256": kept.fingerprint_sha256,
    }
    tx.events.append(Event(EventType.KEY_RELEASED, now, actor, {**device, **facts}))
