"""The webhook of NanoMDM: who sends it is proven by HMAC, and each event is taken once and while it is fresh.

NanoMDM sends an event once and never again: what is refused here, or comes while nobody listens, is lost. The
carrier makes up for that by asking devices.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime, timedelta

from bulkcert.deployments.mdm.answers import Answers
from bulkcert.deployments.mdm.pins import MdmDevices
from bulkcert.deployments.mdm.server_settings import MdmServers
from bulkcert.errors import NotFound
from bulkcert.errors.mdm import MdmForged, RepeatedEvent, StaleEvent, WrongSignature
from bulkcert.formats.mdm.events import MdmEvent, Topic, read_event
from bulkcert.store.store import Store
from bulkcert.store.transaction import Transaction

FRESH_FOR = timedelta(hours=1)
CLOCKS_DIFFER = timedelta(minutes=5)
KEPT = 2 * FRESH_FOR
"""How long events are remembered: a repeated one that is older is stale."""

_TRIES = 5


class MdmWebhook:
    """Takes events."""

    def __init__(
        self,
        store: Store,
        servers: MdmServers,
        devices: MdmDevices,
        answers: Answers,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._servers = servers
        self._devices = devices
        self._answers = answers
        self._now = now

    def take(self, body: bytes, signature: str | None) -> None:
        """Take an event. signature: what X-Hmac-Signature says.

        Raises `NotFound` where no MDM server was set, `WrongSignature`, `MalformedRequest`, `StaleEvent`,
        `RepeatedEvent`; nothing is kept then. Events of no interest are taken and do nothing.
        """
        if signature is None:
            raise WrongSignature("The webhook is not signed.")
        try:
            server = self._servers.find()
        except MdmForged:  # the sender is not authenticated yet
            server = None
        if server is None:
            raise NotFound("There is nothing at this path.")
        mac = hmac.new(self._servers.webhook_key(server).reveal(), body, hashlib.sha256).digest()
        if not hmac.compare_digest(base64.b64encode(mac), signature.encode()):
            raise WrongSignature("The webhook is not signed with the webhook key.")
        event = read_event(body)
        self._check_age(event)
        identifier = b"body:" + body if event.id is None else b"id:" + ascii(event.id).encode()
        self._keep(event, hashlib.sha256(identifier).hexdigest())

    def _check_age(self, event: MdmEvent) -> None:
        age = self._now() - event.created_at
        if age > FRESH_FOR:
            raise StaleEvent("The event is more than an hour old.")
        if -age > CLOCKS_DIFFER:
            raise StaleEvent("The event lies more than five minutes in the future.")

    def _keep(self, event: MdmEvent, digest: str) -> None:
        """Take it in one transaction; two answers of a device may meet, and nobody would send one again."""
        self._store.write(lambda tx: self._take(tx, event, digest), _TRIES)

    def _take(self, tx: Transaction, event: MdmEvent, digest: str) -> None:
        if not tx.mdm.take_event(digest, tx.now):
            raise RepeatedEvent("This event was taken already.")
        if event.topic is None or event.udid is None:
            return
        self._devices.hear(tx, event, event.udid)
        if event.topic is Topic.CONNECT:
            self._answers.take(tx, event, event.udid)
