"""How the devices of tests/deployments/mdm/nanomdm/devices.py read a configuration profile, and why they refuse one.

The texts and numbers of error chains are from memory, not from a device: only that they mislead ("the password is
incorrect") is cited (facts-apple.md §3).
"""

import dataclasses
import hashlib
import plistlib
import xml.parsers.expat
from collections.abc import Iterator
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

PBES2 = bytes.fromhex("06092a864886f70d01050d")  # 1.2.840.113549.1.5.13 (RFC 8018 appendix A.4)
SHA256 = bytes.fromhex("0609608648016503040201")  # 2.16.840.1.101.3.4.2.1: the MAC of a modern file
ROOTS = ("com.apple.security.root", "com.apple.security.pkcs1", "com.apple.security.pem")
Plist = dict[str, Any]


class Refused(Exception):
    """The device answers Error, with an ErrorChain of one link."""

    def __init__(self, domain: str, code: int, text: str) -> None:
        super().__init__(text)
        self.chain = [
            {
                "ErrorCode": code,
                "ErrorDomain": domain,
                "LocalizedDescription": text,
                "USEnglishDescription": text,
            }
        ]


@dataclasses.dataclass(frozen=True)
class KeptCertificate:
    """A certificate in the keychain: DER, whether its key is there, whether MDM brought it."""

    der: bytes
    is_identity: bool
    is_managed: bool = True

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.der).hexdigest()

    @property
    def common_name(self) -> str:
        names = x509.load_der_x509_certificate(self.der).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(names[0].value) if names else ""


@dataclasses.dataclass(frozen=True)
class KeptProfile:
    """An installed profile: its plist, the bytes it came in, the certificates it brought."""

    plist: Plist
    payload: bytes
    certificates: tuple[KeptCertificate, ...]


def open_profile(payload: bytes, *, supervised: bool, modern: bool) -> KeptProfile:
    """What a device keeps of a profile. modern: it reads PBES2 and SHA-256 in a PKCS#12. Refused as Apple's refuse."""
    plist = read_profile(payload)
    parts = plist["PayloadContent"]
    identities = {part["PayloadUUID"] for part in parts if part["PayloadType"] == "com.apple.security.pkcs12"}
    if unknown := set(_values_of("PayloadCertificateUUID", parts)) - identities:
        raise Refused("MCVPNErrorDomain", 15001, f"The identity certificate {unknown} could not be found.")
    if "AlwaysOn" in set(_values_of("VPNType", parts)) and not supervised:
        raise Refused("MCInstallationErrorDomain", 4001, "The profile requires a supervised device.")
    return KeptProfile(plist, payload, tuple(one for part in parts for one in _open(part, modern=modern)))


def _open(part: Plist, *, modern: bool) -> Iterator[KeptCertificate]:
    if part["PayloadType"] in ROOTS:
        yield KeptCertificate(_der(part["PayloadContent"]), is_identity=False)
    if part["PayloadType"] != "com.apple.security.pkcs12":
        return
    content, password = part["PayloadContent"], part.get("Password", "")
    name = part.get("PayloadCertificateFileName", part["PayloadIdentifier"])
    wrong = Refused(
        "MCCertificateErrorDomain", 9002, f"The password for the certificate “{name}” is incorrect."
    )
    if not modern and (PBES2 in content or SHA256 in content):
        raise wrong
    try:
        key, leaf, others = pkcs12.load_key_and_certificates(content, password.encode())
    except ValueError:
        raise wrong from None
    if key is None or leaf is None:
        raise Refused("MCCertificateErrorDomain", 9005, "The identity has no key or no certificate.")
    yield KeptCertificate(leaf.public_bytes(serialization.Encoding.DER), is_identity=True)
    for other in others:
        yield KeptCertificate(other.public_bytes(serialization.Encoding.DER), is_identity=False)


def read_profile(payload: bytes) -> Plist:
    """The plist of a profile, plain or inside a CMS signature (whose content must lie in one piece; not verified)."""
    start, end = payload.find(b"<?xml"), payload.rfind(b"</plist>")
    try:
        plist = plistlib.loads(payload[start : end + len(b"</plist>")])
        for part in [plist, *plist["PayloadContent"]]:
            (
                part["PayloadType"],
                part["PayloadIdentifier"],
                part["PayloadUUID"],
                part["PayloadVersion"],
            )  # required
    except (ValueError, KeyError, TypeError, xml.parsers.expat.ExpatError):
        raise Refused("MCProfileErrorDomain", 1000, "The profile is invalid.") from None
    return dict(plist)


def _values_of(key: str, value: Any) -> Iterator[str]:
    """Every value under `key`, at any depth."""
    if isinstance(value, dict):
        if key in value:
            yield value[key]
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _values_of(key, part)


def _der(content: bytes) -> bytes:
    is_pem = content.lstrip().startswith(b"-----BEGIN")
    load = x509.load_pem_x509_certificate if is_pem else x509.load_der_x509_certificate
    try:
        return load(content).public_bytes(serialization.Encoding.DER)
    except ValueError:
        raise Refused("MCCertificateErrorDomain", 9000, "The certificate is invalid.") from None
