"""A VPN policy: what to put on devices of an identity type, and the JSON form of it."""

import enum
import functools
import hashlib
import json
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Self, cast

from bulkcert.errors import InvalidIdentity
from bulkcert.errors.root import Fault
from bulkcert.values.identities import LONGEST as LONGEST_IDENTITY
from bulkcert.values.identities import DeviceIdentity, IdentityType
from bulkcert.values.policies.dns import Dns
from bulkcert.values.policies.documents import Draft, Faults, Kind, Part, PartOf
from bulkcert.values.policies.exceptions import ApplicationException, CaptivePortal, ServiceExceptions
from bulkcert.values.policies.kinds import Flag, Many, OneOf, Text, Whole
from bulkcert.values.policies.on_demand import OnDemand, Routing
from bulkcert.values.policies.roots import Certificates
from bulkcert.values.policies.tunnels import Interface, Tunnel
from bulkcert.values.releases import Encryption

LEAST_GROUP_OF_ALWAYS_ON = 14
MOST_IDENTITIES = 10_000

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_NOT_ON_DEVICES = {"issuer", "identities"}
_ALWAYS_ON_ALONE = (
    "ui_toggle", "service_exceptions", "application_exceptions", "captive_portal",
)  # fmt: skip
_IDENTITY_TEXTS = Many(Text(longest=LONGEST_IDENTITY), least=1, most=MOST_IDENTITIES)
_NO_EXCEPTIONS = ServiceExceptions()
_NO_PORTAL = CaptivePortal()
_IKEV2_ALONE = "on_demand", "routing", "disconnect_on_idle_seconds"


class ConnectionType(enum.StrEnum):
    """Whether the tunnel is always on (supervised devices alone), in one form or one for each interface."""

    ALWAYS_ON_IKEV2 = "ALWAYS_ON_IKEV2"
    ALWAYS_ON_IKEV2_DUAL = "ALWAYS_ON_IKEV2_DUAL"
    IKEV2 = "IKEV2"

    @property
    def is_always_on(self) -> bool:
        """Return whether the device must be supervised, and the rules of Always On hold."""
        return self is not ConnectionType.IKEV2


@dataclass(frozen=True)
class Identities(Kind):
    """A list of device identities, in normal form and in order; they are of the policy's identity type."""

    def read(self, value: object, where: str, faults: Faults) -> object:
        """Return the texts: what they mean depends on another member."""
        return _IDENTITY_TEXTS.read(value, where, faults)

    def write(self, value: object) -> object:
        """Return the values of the identities."""
        return [identity.value for identity in cast("tuple[DeviceIdentity, ...]", value)]


@dataclass(frozen=True)
class ProfileTexts(Part):
    """What the device shows of the profile. display_name: None is the policy's name.

    removal_disallowed: the user cannot take the profile off (supervised devices; where an MDM server
    installs it, the user never can).
    """

    display_name: Annotated[str | None, Text(longest=100)] = None
    organization: Annotated[str | None, Text(longest=100)] = None
    removal_disallowed: Annotated[bool, Flag()] = False


@dataclass(frozen=True)
class VpnPolicy(Part):
    """What to put on devices of an identity type, valid by Apple's rules once it exists.

    tunnels: one; for ALWAYS_ON_IKEV2_DUAL two, of the interfaces WiFi and Cellular. issuer: serves only
    certificates in whose issuer's RFC 4514 text this stands. identities: serves only these. trusted_roots:
    DER certificates that are put on the device with the tunnel. ui_toggle: the user may turn Always On off.
    pkcs12_encryption: what the device's key is wrapped in; Apple's older systems read `apple_legacy` alone.
    """

    name: Annotated[str, Text(longest=100)]
    connection_type: Annotated[ConnectionType, OneOf(ConnectionType)]
    identity_type: Annotated[IdentityType, OneOf(IdentityType)]
    tunnels: Annotated[tuple[Tunnel, ...], Many(PartOf(Tunnel), least=1, most=2)]
    issuer: Annotated[str | None, Text()] = None
    identities: Annotated[tuple[DeviceIdentity, ...] | None, Identities()] = None
    trusted_roots: Annotated[tuple[bytes, ...], Certificates()] = ()
    dns: Annotated[Dns | None, PartOf(Dns)] = None
    ui_toggle: Annotated[bool, Flag()] = False
    service_exceptions: Annotated[ServiceExceptions, PartOf(ServiceExceptions)] = _NO_EXCEPTIONS
    application_exceptions: Annotated[
        tuple[ApplicationException, ...], Many(PartOf(ApplicationException))
    ] = ()
    captive_portal: Annotated[CaptivePortal, PartOf(CaptivePortal)] = _NO_PORTAL
    on_demand: Annotated[OnDemand | None, PartOf(OnDemand)] = None
    routing: Annotated[Routing | None, PartOf(Routing)] = None
    disconnect_on_idle_seconds: Annotated[int | None, Whole(1, 86_400, "seconds, up to a day")] = None
    pkcs12_encryption: Annotated[Encryption, OneOf(Encryption)] = Encryption.APPLE_LEGACY
    profile: Annotated[ProfileTexts, PartOf(ProfileTexts)] = ProfileTexts()

    @classmethod
    def from_document(cls, document: Mapping[str, object]) -> Self:
        """Read the JSON form, or raise `PolicyRefused` with every fault and where each stands.

        Members have the names of the fields here; unknown ones are refused. What is written in several ways
        (identities, PEM) is brought to one.
        """
        return super().from_document(document)

    @classmethod
    def faults_between(cls, draft: Draft) -> Iterator[Fault]:
        """Hold the members to what their connection type allows, and identities to their type."""
        connection_type = draft.get("connection_type")
        if isinstance(connection_type, ConnectionType):
            yield from _faults_of_interfaces(draft, connection_type)
            yield from _faults_of_members(draft, connection_type)
            if connection_type.is_always_on:
                yield from _faults_of_groups(draft)
        yield from _faults_of_identities(draft)

    @classmethod
    def settled(cls, members: dict[str, object]) -> dict[str, object]:
        """Bring the identities to their normal form, each once, in order."""
        texts = members["identities"]
        if texts is None:
            return members
        identity_type = cast("IdentityType", members["identity_type"])
        found = {DeviceIdentity.parse(identity_type, text) for text in cast("tuple[str, ...]", texts)}
        return members | {"identities": tuple(sorted(found))}

    def serves(self, identity: DeviceIdentity, issuer: str) -> bool:
        """Return whether a device certificate is of this policy; issuer: its issuer's RFC 4514 text.

        The case of the letters A-Z does not count in the issuer, as in listings.
        """
        if identity.type is not self.identity_type:
            return False
        if self.identities is not None and identity not in self.identities:
            return False
        return self.issuer is None or self.issuer.translate(_LOWER) in issuer.translate(_LOWER)

    def content_digest(self) -> str:
        """Return the SHA-256 (64 hex digits) of all that goes onto devices.

        Whom the policy serves is left out: to narrow it changes nothing on a device that is still served.
        Members as they are by default are left out too, so that a release with new ones changes nothing.
        """
        return self._content_digest

    @functools.cached_property
    def _content_digest(self) -> str:  # each profile asks for it, and a policy never changes
        told = {name: value for name, value in self.short_document().items() if name not in _NOT_ON_DEVICES}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _faults_of_interfaces(draft: Draft, connection_type: ConnectionType) -> Iterator[Fault]:
    if "tunnels" not in draft.members:
        return
    count = len(cast("tuple[object, ...]", draft.get("tunnels")))
    interfaces = [
        (place, tunnel.get("interface"))
        for place, tunnel in draft.drafts("tunnels")
        if "interface" in tunnel.members
    ]
    if connection_type is not ConnectionType.ALWAYS_ON_IKEV2_DUAL:
        if count != 1:
            yield Fault("tunnels", f"{connection_type} has one tunnel.")
        for place, interface in interfaces:
            if interface is not None:
                yield Fault(
                    f"tunnels/{place}/interface", f"{connection_type} has one tunnel for all interfaces."
                )
    elif count != len(Interface):
        yield Fault("tunnels", f"{connection_type} has two tunnels, one for WiFi and one for Cellular.")
    else:
        for place, interface in interfaces:
            others = [other for at, other in interfaces if at < place]
            if interface is None or interface in others:
                yield Fault(f"tunnels/{place}/interface", "One tunnel is for WiFi, the other for Cellular.")


def _faults_of_members(draft: Draft, connection_type: ConnectionType) -> Iterator[Fault]:
    """Refuse what Apple's systems read for another connection type alone."""
    foreign, owners = (
        (_IKEV2_ALONE, "IKEV2") if connection_type.is_always_on else (_ALWAYS_ON_ALONE, "Always On")
    )
    unchanged = {"service_exceptions": _NO_EXCEPTIONS, "captive_portal": _NO_PORTAL}
    for name in foreign:
        value = draft.get(name)
        is_given = (
            value.members != vars(unchanged[name])
            if name in unchanged and isinstance(value, Draft)
            else value
        )
        if is_given:
            yield Fault(name, f"This member is for connection type {owners} alone (Apple).")


def _faults_of_groups(draft: Draft) -> Iterator[Fault]:
    for place, tunnel in draft.drafts("tunnels"):
        for name in ("ike_security_association", "child_security_association"):
            association = tunnel.get(name)
            group = association.get("diffie_hellman_group") if isinstance(association, Draft) else None
            if isinstance(group, int) and group < LEAST_GROUP_OF_ALWAYS_ON:
                yield Fault(
                    f"tunnels/{place}/{name}/diffie_hellman_group",
                    "Always On takes group 14 or higher alone (Apple, since iOS 14.2).",
                )


def _faults_of_identities(draft: Draft) -> Iterator[Fault]:
    identity_type, texts = (
        draft.get("identity_type"),
        cast("tuple[object, ...]", draft.get("identities") or ()),
    )
    for place, text in enumerate(texts):
        if isinstance(identity_type, IdentityType) and isinstance(text, str):
            try:
                DeviceIdentity.parse(identity_type, text)
            except InvalidIdentity as refusal:
                yield Fault(f"identities/{place}", refusal.detail)
