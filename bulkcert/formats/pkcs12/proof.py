"""The proof that a file held what one device needs: one sound key, and the certificate issued for it."""

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bulkcert.errors import (
    KeyMismatch,
    MalformedCertificate,
    MalformedPkcs12,
    NoCertificate,
    NoPrivateKey,
    SeveralPrivateKeys,
)
from bulkcert.formats import x509
from bulkcert.formats.pkcs12.contents import Contents
from bulkcert.formats.pkcs12.local_key_id import find_named
from bulkcert.formats.pkcs12.private_key import (
    PrivateKey,
    PrivateKeyInfo,
    load_private_key,
    read_private_key_info,
)
from bulkcert.formats.pkcs12.rsa_signature import sign
from bulkcert.values.certificates import Certificate, OpenedCertificate, WarningCode
from bulkcert.values.limits import Limits
from bulkcert.values.secret import Secret


def prove(contents: Contents, limits: Limits, now: datetime) -> OpenedCertificate:
    """Check the content of a file and return it as an opened certificate; each fault is a refusal of its own.

    now: aware; the moment at which certificates should be valid where there is a choice among them.
    """
    info = contents.loaded or _only_key(contents)
    if not contents.certificates:
        raise NoCertificate("The file holds a private key, but no certificate.")
    key = load_private_key(info, limits) if isinstance(info, PrivateKeyInfo) else info
    found = _read_certificates(contents.certificates)
    fitting = _find_fitting(key, found)
    choice = x509.choose_certificate(fitting, lambda: find_named(contents.attributes), now)
    if isinstance(key, rsa.RSAPrivateKey):
        prove_by_signature(key)
    leaf = choice.certificate
    chain = x509.build_chain(leaf, [each for each in found.readable if each not in fitting], now)
    remarks = dict(_remark(choice, chain, found, now))
    return OpenedCertificate(
        leaf=leaf,
        chain=chain.certificates,
        private_key=Secret(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())),
        chain_is_complete=chain.is_complete,
        allows_client_auth=x509.allows_client_auth(leaf),
        opened_by=contents.opened_by,
        warnings=tuple(remarks),
        remarks=tuple(remarks.values()),
    )


def _only_key(contents: Contents) -> PrivateKeyInfo:
    """Return the one private key; the same key written twice is one."""
    found = {(info.kind, info.key): info for info in map(read_private_key_info, contents.keys)}
    if not found:
        raise NoPrivateKey("The file holds no private key.")
    if len(found) > 1:
        raise SeveralPrivateKeys(f"The file holds {len(found)} private keys.")
    return found.popitem()[1]


@dataclass(frozen=True, slots=True)
class _Found:
    """The certificates of a file, and those that cannot be read (DER) with the refusal of each."""

    readable: tuple[Certificate, ...]
    unreadable: tuple[tuple[bytes, MalformedCertificate], ...]


def _read_certificates(ders: Iterable[bytes]) -> _Found:
    """Read each certificate once, in an order that does not depend on the file where it matters."""
    readable: list[Certificate] = []
    unreadable: list[tuple[bytes, MalformedCertificate]] = []
    for der in dict.fromkeys(ders):
        try:
            readable.append(x509.parse_certificate(der))
        except MalformedCertificate as refusal:
            unreadable.append((der, refusal))
    unreadable.sort(key=lambda pair: pair[0])
    return _Found(tuple(readable), tuple(unreadable))


def _find_fitting(key: PrivateKey, found: _Found) -> list[Certificate]:
    """Return the certificates that hold the key, wherever they stand in the file.

    One that cannot be read but holds the key may be the device's: the file is refused for it, unless another
    one was issued by a CA.
    """
    public = key.public_key()
    fitting = [certificate for certificate in found.readable if x509.is_issued_for(certificate, public)]
    if found.unreadable:
        holding = [refusal for der, refusal in found.unreadable if x509.contains_key(der, public)]
        if holding and all(map(x509.is_self_signed, fitting)):
            raise holding[0]
        if not fitting:
            raise found.unreadable[0][1]
    if not fitting:
        raise KeyMismatch("No certificate in the file belongs to its private key.")
    return fitting


def _remark(
    choice: x509.Choice, chain: x509.Chain, found: _Found, now: datetime
) -> Iterator[tuple[WarningCode, str]]:  # fmt: skip
    """Yield what is odd about the certificates of a file that is kept all the same."""
    if choice.reason is not None:
        yield WarningCode.SEVERAL_CERTIFICATES, choice.reason
    for each in (choice.certificate, *chain.certificates):
        if fields := x509.list_oddities(each):
            remark = (
                f"The certificate with the serial number {each.facts.serial_number} is not in the form of "
                f"RFC 5280 ({', '.join(fields)}) and was read as far as possible."
            )
            yield WarningCode.NONSTANDARD_CERTIFICATE, remark
            break
    for link in chain.certificates:
        if not link.facts.not_before <= now <= link.facts.not_after:
            remark = (
                f"The CA certificate with the serial number {link.facts.serial_number} has expired or is not "
                "valid yet, and the file holds no other for its place in the chain."
            )
            yield WarningCode.CHAIN_NOT_VALID, remark
            break
    if chain.unrelated:
        yield (
            WarningCode.UNRELATED_CERTIFICATE,
            f"Certificates that did not issue the device's one were left out: {len(chain.unrelated)}.",
        )
    if found.unreadable:
        yield (
            WarningCode.UNREADABLE_CERTIFICATE,
            f"Certificates that cannot be read were left out: {len(found.unreadable)}.",
        )


def prove_by_signature(key: rsa.RSAPrivateKey) -> None:
    """Sign what nobody could foresee, and verify it with the public key, which is the certificate's."""
    message = secrets.token_bytes(32)
    try:
        signature = sign(key, message)
        key.public_key().verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError):
        detail = "The RSA key does not work: its public half does not verify what it signs."
        raise MalformedPkcs12(detail) from None
