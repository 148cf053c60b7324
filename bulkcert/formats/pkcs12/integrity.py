"""The integrity check: it tells a wrong password for certain (RFC 7292 §5.1 step 5, RFC 9579)."""

import hashlib
import hmac
from functools import cache

from bulkcert.errors import MalformedPkcs12, WrongPassword
from bulkcert.formats.pkcs12 import kdf, oids
from bulkcert.formats.pkcs12.budget import Budget
from bulkcert.formats.pkcs12.passwords import pbkdf2_encodings, pkcs12_encodings
from bulkcert.formats.pkcs12.pfx import Mac, Pfx
from bulkcert.formats.pkcs12.schemes import read_pbmac1
from bulkcert.values.limits import Limits


def count_integrity(pfx: Pfx, budget: Budget) -> None:
    """Count the derivation of the check."""
    if pfx.mac is None:
        return
    if pfx.mac.algorithm.oid == oids.PBMAC1:
        read_pbmac1(pfx.mac.algorithm)[0].declare(budget)
    else:
        budget.count(pfx.mac.iterations, pfx.mac.salt)


def charge_integrity(pfx: Pfx, budget: Budget) -> None:
    """Spend what the check costs, once."""
    if pfx.mac is None:
        return
    if pfx.mac.algorithm.oid == oids.PBMAC1:
        read_pbmac1(pfx.mac.algorithm)[0].charge(budget)
    else:
        budget.spend(pfx.mac.iterations)


def require_integrity(pfx: Pfx, limits: Limits) -> None:
    """Refuse a file without an integrity check, unless the limits allow one."""
    if pfx.mac is None and not limits.allow_without_mac:
        raise MalformedPkcs12(
            "The file has no integrity check (MAC), so nothing shows that the password is right or that the "
            "file is whole. Export it again with one (openssl pkcs12 makes one unless -nomac is given)."
        )


def check_integrity(pfx: Pfx, password: str, budget: Budget) -> int | None:
    """Check that the file is whole and the password right.

    Returns which of the password's encodings it was (a place in `pkcs12_encodings`, 0 being the standard
    one, also where the file has no check), or None where the digest is not one that is read here. Raises
    `WrongPassword`.
    """
    mac = pfx.mac
    if mac is None:
        return 0
    if mac.algorithm.oid == oids.PBMAC1:
        _check_pbmac1(pfx.authenticated, mac, password, budget)
        return 0
    digest = oids.DIGESTS.get(mac.algorithm.oid)
    if digest is None:
        return None
    for place, octets in enumerate(pkcs12_encodings(password)):
        if place and not budget.can_afford(mac.iterations):
            break
        charge_integrity(pfx, budget)
        if hmac.compare_digest(_compute(pfx.authenticated, mac, digest, octets), mac.digest):
            return place
    raise _wrong(password)


def _compute(authenticated: bytes, mac: Mac, digest: str, password: bytes) -> bytes:
    """Compute the MAC of RFC 7292 §4: an HMAC whose key is as long as its digest."""
    key = kdf.derive_pkcs12(digest, password, mac.salt, mac.iterations, _size(digest), kdf.Purpose.MAC)
    return hmac.digest(key, authenticated, digest)


@cache
def _size(digest: str) -> int:
    """Return the octets of a digest."""
    return hashlib.new(digest, usedforsecurity=False).digest_size


def _check_pbmac1(authenticated: bytes, mac: Mac, password: str, budget: Budget) -> None:
    """Check a PBMAC1: salt and count are those of its own parameters; MacData's mean nothing (RFC 9579)."""
    pbkdf2, size, digest = read_pbmac1(mac.algorithm)
    for place, octets in enumerate(pbkdf2_encodings(password)):
        if place and not budget.can_afford(pbkdf2.iterations):
            break
        pbkdf2.charge(budget)
        key = kdf.derive_pbkdf2(pbkdf2.prf or digest, octets, pbkdf2.salt, pbkdf2.iterations, size)
        if hmac.compare_digest(hmac.digest(key, authenticated, digest), mac.digest):
            return
    raise _wrong(password)


def _wrong(password: str) -> WrongPassword:
    if password.isascii():
        return WrongPassword("The password does not open the file.")
    return WrongPassword(
        "The password does not open the file in any of the encodings known for characters beyond ASCII. "
        "If it is right, export the file again with an ASCII password."
    )
