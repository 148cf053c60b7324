"""Simulated iPhones for tests/deployments/mdm/nanomdm/server.py: they keep profiles and certificates and answer commands as Apple's do.

Keys of commands and answers are those of Apple's schema (facts-apple.md §1); see tests/deployments/mdm/nanomdm/profiles.py for refusals.
No answer names its RequestType: whoever asked must remember what a CommandUUID was for.
"""

import collections
import dataclasses
import hashlib
import plistlib

from tests.deployments.mdm.nanomdm.profiles import KeptCertificate, KeptProfile, Plist, Refused, open_profile


@dataclasses.dataclass(frozen=True)
class Given:
    """A command as the device was given it, and the status it answered."""

    command_uuid: str
    command: Plist
    status: str

    @property
    def request_type(self) -> str:
        return str(self.command["RequestType"])


@dataclasses.dataclass(eq=False)
class Device:
    """A device; every field may be changed at any time. A lying one carries another's `serial` or `imei`."""

    udid: str
    serial: str
    imei: str | None = None
    meid: str | None = None
    supervised: bool = True
    online: bool = True
    not_now: int = 0  # so many of the next commands are answered NotNow; -1: all
    reads_modern_pkcs12: bool = True  # False: like iOS 16 and older (facts-apple.md §3)
    top_level_imei: bool = True  # False: IMEI and MEID only in ServiceSubscriptions
    forgets_profiles: bool = False  # acknowledges InstallProfile and keeps nothing
    push_error: str | None = None  # what APNs says of it
    errors: dict[str, str] = dataclasses.field(
        default_factory=dict
    )  # RequestType -> text: always answers Error

    profiles: dict[str, KeptProfile] = dataclasses.field(default_factory=dict)  # by PayloadIdentifier
    other_certificates: list[KeptCertificate] = dataclasses.field(default_factory=list)
    commands: list[Given] = dataclasses.field(default_factory=list)
    installs: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    removals: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    certificate_installs: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)

    pushed: bool = False
    retry_at: float | None = None  # after a NotNow it comes back by itself
    token_updates: int = 0

    @property
    def certificates(self) -> list[KeptCertificate]:
        """The keychain: what profiles brought and `other_certificates`."""
        brought = [certificate for profile in self.profiles.values() for certificate in profile.certificates]
        return brought + self.other_certificates

    def given(self, request_type: str) -> list[Given]:
        """The commands of one kind that it was given, oldest first."""
        return [given for given in self.commands if given.request_type == request_type]

    def check_in(self, message_type: str, topic: str) -> Plist:
        """Its Authenticate, TokenUpdate or CheckOut message."""
        message: Plist = {"MessageType": message_type, "Topic": topic, "UDID": self.udid}
        if message_type == "TokenUpdate":
            token = hashlib.sha256(self.udid.encode()).digest()
            return message | {
                "PushMagic": self.udid[::-1],
                "Token": token,
                "UnlockToken": b"unlock",
                "AwaitingConfiguration": False,
            }
        if message_type == "Authenticate":
            message |= {
                "BuildVersion": "22B91",
                "DeviceName": "iPhone",
                "Model": "MTXR3B",
                "ModelName": "iPhone",
                "OSVersion": "18.1.1",
                "ProductName": "iPhone16,1",
            }
            message |= {"SerialNumber": self.serial} | self._numbers()
        return message

    def answer(self, raw: bytes) -> Plist:
        """Carry out a command plist. Returns the report: CommandUUID, Status, UDID and what the command asks for."""
        wrapped = plistlib.loads(raw)
        status, parts = self._carry_out(wrapped["Command"])
        self.commands.append(Given(wrapped["CommandUUID"], wrapped["Command"], status))
        return {"CommandUUID": wrapped["CommandUUID"], "Status": status, "UDID": self.udid, **parts}

    def _carry_out(self, command: Plist) -> tuple[str, Plist]:
        if self.not_now:
            self.not_now -= 1
            return "NotNow", {}
        request_type = command["RequestType"]
        do = getattr(self, f"_do_{request_type}", None)
        try:
            if request_type in self.errors:
                raise Refused("MCMDMErrorDomain", 12000, self.errors[request_type])
            if do is None:
                raise Refused("MCMDMErrorDomain", 12021, f"“{request_type}” is not a valid request type.")
            return "Acknowledged", do(command)
        except Refused as refused:
            return "Error", {"ErrorChain": refused.chain}

    def _do_InstallProfile(self, command: Plist) -> Plist:
        profile = open_profile(
            command["Payload"], supervised=self.supervised, modern=self.reads_modern_pkcs12
        )
        if self.forgets_profiles:
            return {}
        identifier = profile.plist["PayloadIdentifier"]
        self.profiles[identifier] = profile
        self.installs[identifier] += 1
        self.certificate_installs.update(
            kept.fingerprint for kept in profile.certificates if kept.is_identity
        )
        return {}

    def _do_RemoveProfile(self, command: Plist) -> Plist:
        identifier = command["Identifier"]
        if self.profiles.pop(identifier, None) is None:
            raise Refused(
                "MCMDMErrorDomain", 12075, f"The profile “{identifier}” is not managed by this server."
            )
        self.removals[identifier] += 1
        return {}

    def _do_ProfileList(self, _command: Plist) -> Plist:
        names = (
            "PayloadIdentifier",
            "PayloadUUID",
            "PayloadVersion",
            "PayloadDisplayName",
            "PayloadOrganization",
        )
        inner = ("PayloadIdentifier", "PayloadType", "PayloadUUID", "PayloadVersion")
        listed = [
            {name: kept.plist[name] for name in names if name in kept.plist}
            | {"HasRemovalPasscode": False, "IsEncrypted": False, "IsManaged": True}
            | {
                "PayloadContent": [
                    {name: part[name] for name in inner} for part in kept.plist["PayloadContent"]
                ]
            }
            for kept in self.profiles.values()
        ]
        return {"ProfileList": listed}

    def _do_CertificateList(self, command: Plist) -> Plist:
        kept = [one for one in self.certificates if one.is_managed or not command.get("ManagedOnly")]
        listed = [
            {"CommonName": one.common_name, "Data": one.der, "IsIdentity": one.is_identity} for one in kept
        ]
        return {"CertificateList": listed}

    def _do_DeviceInformation(self, command: Plist) -> Plist:
        known: Plist = {"UDID": self.udid, "SerialNumber": self.serial, "IsSupervised": self.supervised}
        known |= {"DeviceName": "iPhone", "OSVersion": "18.1.1"}
        if self.top_level_imei:
            known |= self._numbers()
        if self._numbers():
            known["ServiceSubscriptions"] = [self._numbers() | {"Slot": "CTSubscriptionSlotOne"}]
        asked = command["Queries"]
        return {"QueryResponses": {name: value for name, value in known.items() if name in asked}}

    def _numbers(self) -> Plist:
        return {name: number for name, number in (("IMEI", self.imei), ("MEID", self.meid)) if number}
