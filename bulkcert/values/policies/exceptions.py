"""What stays outside an Always On tunnel: services, apps, and the sign-in pages of networks."""

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from bulkcert.errors.root import Fault
from bulkcert.values.policies.documents import Draft, Part
from bulkcert.values.policies.kinds import Flag, Many, OneOf, Text
from bulkcert.values.policies.texts import no_bundle_identifier


class ExceptionAction(enum.StrEnum):
    """What becomes of a service's traffic: it goes past the tunnel, or nowhere."""

    ALLOW = "Allow"
    DROP = "Drop"


class Protocol(enum.StrEnum):
    """What an app's exception may be limited to."""

    UDP = "UDP"


@dataclass(frozen=True)
class ServiceExceptions(Part):
    """Services whose traffic does not take the tunnel; None: it does.

    cellular_services: VoLTE, IMS, MMS and Wi-Fi calling. device_communication: with devices on USB or Wi-Fi
    (iOS 17.4).
    """

    voice_mail: Annotated[ExceptionAction | None, OneOf(ExceptionAction)] = None
    air_print: Annotated[ExceptionAction | None, OneOf(ExceptionAction)] = None
    cellular_services: Annotated[ExceptionAction | None, OneOf(ExceptionAction)] = None
    device_communication: Annotated[ExceptionAction | None, OneOf(ExceptionAction)] = None


@dataclass(frozen=True)
class ApplicationException(Part):
    """An app whose connections go past the tunnel (iOS 13.6); of all protocols where none is named."""

    bundle_identifier: Annotated[str, Text(no_bundle_identifier)]
    limit_to_protocols: Annotated[tuple[Protocol, ...], Many(OneOf(Protocol), most=1)] = ()


@dataclass(frozen=True)
class CaptivePortal(Part):
    """How a device gets past the sign-in page of a network.

    allow_web_sheet: the system's own page. allow_all_plugins: every app for such networks; allowed_plugins:
    the apps of these bundle identifiers.
    """

    allow_web_sheet: Annotated[bool, Flag()] = False
    allow_all_plugins: Annotated[bool, Flag()] = False
    allowed_plugins: Annotated[tuple[str, ...], Many(Text(no_bundle_identifier))] = ()

    @classmethod
    def faults_between(cls, draft: Draft) -> Iterator[Fault]:
        """Refuse a list of apps that Apple's systems would not read."""
        if draft.get("allow_all_plugins") and draft.get("allowed_plugins"):
            yield Fault("allowed_plugins", "Apple reads this only where allow_all_plugins is false.")
