"""A service, an MDM server and devices in one process, on a clock that stands still until it is moved.

Webhooks go straight to the verb that takes them; what that refuses is in `refusals`. Tests import the fixture:
`from tests.deployments.mdm.site import site_fixture  # noqa: F401`.
"""

import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from bulkcert.deployments.deployments import Deployments
from bulkcert.deployments.leases import Leases
from bulkcert.deployments.mdm.assembly import MdmRules, make_carrier, make_mdm
from bulkcert.deployments.mdm.carrier import Carrier
from bulkcert.deployments.mdm.nanomdm_client import NanoMdm
from bulkcert.deployments.policies import VpnPolicies
from bulkcert.deployments.profile_release import ProfileRelease
from bulkcert.deployments.profiles.profile import NAMESPACE, ProfileMaker
from bulkcert.errors import Refusal
from bulkcert.values.deployments import Deployment, DeploymentFilter
from bulkcert.values.events import EventType
from bulkcert.values.identities import DeviceIdentity, IdentityType
from bulkcert.values.policies import DeploymentState, VpnPolicy
from bulkcert.values.secret import Secret
from tests.builders import a_bundle
from tests.deployments.mdm.nanomdm.devices import Device
from tests.deployments.mdm.nanomdm.server import MdmServer
from tests.values.policies.policy_documents import a_document, a_tunnel
from tests.verbs import Verbs

API_KEY, HMAC_KEY = "an api key", "an hmac key"
A, B = "A12BC3D4EFGH", "B12BC3D4EFGH"
WAIT = 600


def policy(**members: object) -> VpnPolicy:
    return VpnPolicy.from_document(
        a_document(tunnels=[a_tunnel(local_identifier="{common_name}")], **members)
    )


class Site:
    """Everything in one place; `carry` lets all of it go on until nothing happens any more."""

    def __init__(self, verbs: Verbs, mdm: MdmServer) -> None:
        self.verbs, self.server, self.clock = verbs, mdm, verbs.clock
        self.rules = MdmRules(timedelta(seconds=WAIT), NAMESPACE)
        self.mdm = make_mdm(verbs.store, verbs.vault, verbs.clock, self.rules)
        self.mdm.servers.set(mdm.url, Secret(API_KEY.encode()), Secret(HMAC_KEY.encode()), "somebody")
        maker = ProfileMaker(verbs.clock, secrets.token_bytes)
        self.deployments = Deployments(verbs.store, maker)
        self.leases = Leases(verbs.store, verbs.clock)
        self.profile_release = ProfileRelease(verbs.store, verbs.vault, maker, verbs.clock)
        self.policies = VpnPolicies(verbs.store, verbs.clock)
        self._carriers: list[Carrier] = []
        self.new_carrier()
        self.timeout = 10.0
        self.refusals: list[Refusal] = []
        self.drops: list[str] = []  # request types whose answers' webhooks are lost
        self.delay_seconds = 0  # that webhooks are on their way
        self._on_their_way: list[tuple[datetime, bytes, str | None]] = []
        mdm.webhooks.url = "http://direct"
        mdm.webhooks.post = self._post  # type: ignore[method-assign]

    def new_carrier(self) -> Carrier:
        """A deployer process, beside those that there are."""
        self.carrier = make_carrier(
            self.verbs.store, self.verbs.vault, self.profile_release, self.clock, self.rules
        )
        self.carrier._connect = lambda server: NanoMdm(
            self.mdm.servers.address(server), self.mdm.servers.api_key(server), seconds=self.timeout
        )
        self._carriers.append(self.carrier)
        return self.carrier

    def close(self) -> None:
        for carrier in self._carriers:
            carrier.close()

    def _post(self, body: bytes, signature: str | None) -> int:
        if any(name.encode() in body for name in self._lost()):
            return 503
        if self.delay_seconds:
            self._on_their_way.append((self.clock.now, body, signature))
            return 200
        return self._take(body, signature)

    def arrive(self) -> None:
        """Let the webhooks come that were on their way for so long."""
        while self._on_their_way:
            sent_at, body, signature = self._on_their_way[0]
            if self.clock.now - sent_at < timedelta(seconds=self.delay_seconds):
                return
            del self._on_their_way[0]
            self._take(body, signature)

    def _take(self, body: bytes, signature: str | None) -> int:
        try:
            self.mdm.take(body, signature)
        except Refusal as refusal:
            self.refusals.append(refusal)
            return 400
        return 200

    def _lost(self) -> list[str]:
        return [
            given.command_uuid
            for device in self.server.devices.values()
            for given in device.commands
            if given.request_type in self.drops
        ]

    def tick(self, *, poll: bool = True) -> None:
        self.server.tick(poll=poll)
        self.server.webhooks.drain()

    def carry(self, turns: int = 50) -> None:
        """Carry, let devices answer, and so on until nothing happens, or so many times."""
        self.later(3)  # deployments are looked for every two seconds
        for _ in range(turns):
            carried = self.carrier.carry_once()
            self.later(0.01)
            ticked = self.server.tick()
            self.server.webhooks.drain()
            if not carried and not ticked:
                return

    def later(self, seconds: float = WAIT + 1) -> None:
        self.clock.pass_by(seconds=seconds)

    def enroll(self, serial: str = A, **fields: Any) -> Device:
        device = self.server.enroll(serial=serial, **fields)
        self.server.webhooks.drain()
        return device

    def wish(self, *serials: str, **members: object) -> int:
        """Import certificates of devices, and make a policy for them."""
        self.verbs.import_bundle(a_bundle(serials or (A,)))
        return self.policies.create(policy(**members), self.verbs.caller).id

    def deployment(self, serial: str = A) -> Deployment:
        [found] = self.deployments.of_device(DeviceIdentity(IdentityType.SERIAL_NUMBER, serial))
        return found

    def state(self, serial: str = A) -> DeploymentState:
        return self.deployment(serial).state

    def states(self) -> list[DeploymentState]:
        return [each.state for each in self.deployments.page(DeploymentFilter(), 1000, None).items]

    def events(self, *kinds: EventType) -> list[dict[str, Any]]:
        with self.verbs.store.reading() as tx:
            return [
                {"number": each.type, **each.facts}
                for each in tx.events.list(newest=10000)
                if each.type in kinds
            ]


def make_site(verbs: Verbs, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    moment = "%Y-%m-%dT%H:%M:%S.%fZ"
    monkeypatch.setattr(
        "tests.deployments.mdm.nanomdm.webhooks.a_moment",
        lambda age=0.0: (verbs.clock.now - timedelta(seconds=age)).strftime(moment),
    )
    with MdmServer(api_key=API_KEY, hmac_key=HMAC_KEY) as mdm:
        site = Site(verbs, mdm)
        yield site
        site.close()


@pytest.fixture(name="site")
def site_fixture(verbs: Verbs, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    yield from make_site(verbs, monkeypatch)


@pytest.fixture(name="any_site")
def any_site_fixture(any_verbs: Verbs, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """On SQLite and on PostgreSQL."""
    yield from make_site(any_verbs, monkeypatch)
