"""The shape of a PKCS#12: PFX, AuthenticatedSafe, SafeContents, bags (RFC 7292 §4)."""

from dataclasses import dataclass, field
from typing import NamedTuple

from bulkcert.errors import UnsupportedAlgorithm
from bulkcert.formats.asn1.ber import OCTET_STRING, SEQUENCE, Allowance, Element, broken, read, read_file
from bulkcert.formats.pkcs12 import oids
from bulkcert.formats.pkcs12.schemes import Algorithm, Scheme, read_algorithm, read_scheme

DEEPEST_SAFES = 10
"""Levels of safes inside safes (RFC 7292 §4.2.6)."""


class Mac(NamedTuple):
    """MacData (RFC 7292 §4): how the integrity check was made, and its result."""

    algorithm: Algorithm
    digest: bytes
    salt: bytes
    iterations: int


class Encrypted(NamedTuple):
    """Octets, and the scheme that they are encrypted with.

    key_info: of a key, all of its EncryptedPrivateKeyInfo (RFC 5958 §3); empty for a safe.
    """

    scheme: Scheme
    content: bytes
    key_info: bytes = b""


BagAttributes = tuple[bytes, Element]
"""A certificate (DER; empty for a key), and the attributes of its bag (RFC 7292 §4.2), unread."""


@dataclass(frozen=True, slots=True)
class Bags:
    """SafeContents: keys (PrivateKeyInfo as encoded), encrypted keys, and X.509 certificates (DER).

    attributes: of bags that have some, with the certificate of the bag (empty for a key).
    """

    keys: tuple[bytes, ...] = field(repr=False)
    shrouded_keys: tuple[Encrypted, ...]
    certificates: tuple[bytes, ...]
    attributes: tuple[BagAttributes, ...] = ()


class Pfx(NamedTuple):
    """A PKCS#12 in password mode: the octets that the integrity check covers, its safes, and the check.

    The check is optional (RFC 7292 §4); whether a file without one is opened is for `integrity` to say.
    trailing: the number of octets that follow the PKCS#12 in its file.
    """

    authenticated: bytes
    safes: tuple[Bags | Encrypted, ...]
    mac: Mac | None
    allowance: Allowance
    trailing: int


def read_pfx(data: bytes) -> Pfx:
    """Read PFX ::= SEQUENCE { version, authSafe, macData OPTIONAL } (RFC 7292 §4)."""
    allowance = Allowance()
    file, trailing = read_file(data, allowance)
    version, auth_safe, *mac = file.sequence(2, 3)
    if version.integer() != 3:
        raise broken("it is not of version 3")
    kind, content = _read_content_info(auth_safe)
    if kind == oids.SIGNED_DATA:
        raise UnsupportedAlgorithm("The file is protected by a signature, not by a password.")
    if kind != oids.DATA:
        raise broken("its content is of an unknown type")
    authenticated = content.octets()
    safes = read(authenticated, allowance).expect(SEQUENCE).children()
    read_mac = _read_mac(mac[0]) if mac else None
    return Pfx(authenticated, tuple(_read_safe(safe) for safe in safes), read_mac, allowance, trailing)


def read_bags(safe_contents: Element, depth: int = 0) -> Bags:
    """Read SafeContents ::= SEQUENCE OF SafeBag; other kinds of bag (CRLs, secrets) are left out.

    depth: the number of safes that this one is inside of. What a nested safe holds is returned with the rest.
    """
    if depth > DEEPEST_SAFES:
        raise broken(f"it has safes inside safes, more than {DEEPEST_SAFES} levels deep")
    keys: list[bytes] = []
    shrouded_keys: list[Encrypted] = []
    certificates: list[bytes] = []
    attributes: list[BagAttributes] = []
    for bag in safe_contents.expect(SEQUENCE).children():
        bag_id, bag_value, *rest = bag.sequence(2, 3)
        kind, value = bag_id.oid(), bag_value.explicit()
        if kind == oids.KEY_BAG:
            keys.append(value.encode())
            attributes += [(b"", each) for each in rest]
        elif kind == oids.SHROUDED_KEY_BAG:
            shrouded_keys.append(_read_shrouded_key(value))
            attributes += [(b"", each) for each in rest]
        elif kind == oids.CERTIFICATE_BAG:
            found = _read_certificate(value)
            certificates += found
            attributes += [(der, each) for der in found for each in rest]
        elif kind == oids.SAFE_CONTENTS_BAG:
            nested = read_bags(value, depth + 1)
            keys += nested.keys
            shrouded_keys += nested.shrouded_keys
            certificates += nested.certificates
            attributes += nested.attributes
    return Bags(tuple(keys), tuple(shrouded_keys), tuple(certificates), tuple(attributes))


def _read_certificate(value: Element) -> list[bytes]:
    """Read a CertBag (RFC 7292 §4.2.3); one that is not X.509 gives nothing."""
    kind, certificate = value.sequence(2, 2)
    return [certificate.explicit().octets()] if kind.oid() == oids.X509_CERTIFICATE else []


def _read_shrouded_key(value: Element) -> Encrypted:
    """Read EncryptedPrivateKeyInfo (RFC 5958 §3)."""
    algorithm, content = value.sequence(2, 2)
    return Encrypted(read_scheme(algorithm), content.octets(), value.encode())


def _read_safe(element: Element) -> Bags | Encrypted:
    """Read one ContentInfo of the AuthenticatedSafe (RFC 7292 §4.1): SafeContents, in clear or encrypted."""
    kind, content = _read_content_info(element)
    if kind == oids.DATA:
        return read_bags(read(content.octets(), content.allowance))
    if kind == oids.ENVELOPED_DATA:
        raise UnsupportedAlgorithm("A part of the file is encrypted for a public key, not with a password.")
    if kind != oids.ENCRYPTED_DATA:
        raise broken("a part of it is of an unknown type")
    _version, encrypted_content, *_attributes = content.sequence(2, 3)
    _kind, algorithm, octets = encrypted_content.sequence(3, 3)
    return Encrypted(read_scheme(algorithm), octets.octets())


def _read_content_info(element: Element) -> tuple[bytes, Element]:
    kind, content = element.sequence(2, 2)
    return kind.oid(), content.explicit()


def _read_mac(element: Element) -> Mac:
    """Read MacData; the count of iterations is 1 where it is not written."""
    digest_info, salt, *count = element.sequence(2, 3)
    algorithm, digest = digest_info.sequence(2, 2)
    return Mac(
        algorithm=read_algorithm(algorithm),
        digest=digest.octets(),
        salt=salt.expect(OCTET_STRING).content,
        iterations=count[0].integer() if count else 1,
    )
