"""Decoding a file here, part by part: every part is seen, and every derivation paid for before it is made."""

from collections.abc import Callable
from typing import TypeVar

from bulkcert.errors import MalformedPkcs12
from bulkcert.formats.asn1.ber import SEQUENCE, Element, read
from bulkcert.formats.pkcs12.budget import Budget
from bulkcert.formats.pkcs12.ciphers import Passwords, decrypt, has_right_key_size, is_decrypted_here
from bulkcert.formats.pkcs12.contents import Contents
from bulkcert.formats.pkcs12.pfx import BagAttributes, Bags, Encrypted, Pfx, read_bags
from bulkcert.formats.pkcs12.private_key import LONGEST_SHORT_KEY, PrivateKey, load_short_key
from bulkcert.formats.pkcs12.schemes import Pbes2, Pbkdf2

T = TypeVar("T")


class RareAlgorithm(Exception):  # noqa: N818 - no error: the library may know it
    """A part of the file is encrypted in a way that is not decoded here.

    hidden: keys in encrypted safes. attributes: of all bags that were decoded.
    """

    def __init__(self, hidden: list[Encrypted], attributes: list[BagAttributes]) -> None:
        super().__init__("an algorithm that is not decoded here")
        self.hidden = hidden
        self.attributes = tuple(attributes)


def decode(pfx: Pfx, passwords: Passwords, budget: Budget) -> Contents:
    """Decode a file whose integrity check has passed, and whose visible parts are counted.

    Raises `RareAlgorithm` where a part is for the library, once all others are decoded: they may hide costs.
    """
    keys: list[bytes] = []
    shrouded_keys: list[Encrypted] = []
    certificates: list[bytes] = []
    hidden: list[Encrypted] = []
    attributes: list[BagAttributes] = []
    is_common = True
    for safe in pfx.safes:
        if isinstance(safe, Bags):
            bags = safe
        elif is_decrypted_here(safe.scheme):
            bags = _decrypt(safe, read_bags, pfx, passwords, budget)
            _count_hidden(bags, budget)
            hidden += bags.shrouded_keys
        else:
            is_common = False
            continue
        certificates += bags.certificates
        keys += bags.keys
        shrouded_keys += bags.shrouded_keys
        attributes += bags.attributes
    common = [key for key in shrouded_keys if is_decrypted_here(key.scheme)]
    is_common = is_common and len(common) == len(shrouded_keys)
    if is_common and len(common) == 1 and not keys and (loaded := _load(common[0], passwords, budget)):
        return Contents((), tuple(certificates), "own", loaded, tuple(attributes))
    keys += [_decrypt(key, _read_key, pfx, passwords, budget) for key in common]
    if not is_common:
        raise RareAlgorithm(hidden, attributes)
    return Contents(tuple(keys), tuple(certificates), "own", None, tuple(attributes))


def _count_hidden(bags: Bags, budget: Budget) -> None:
    """Count what an encrypted safe held, which did not show before."""
    budget.certificates(len(bags.certificates))
    for key in bags.shrouded_keys:
        key.scheme.declare(budget)


def _load(key: Encrypted, passwords: Passwords, budget: Budget) -> PrivateKey | None:
    """Load the only key in one step, if it is a short one; None where it is to be decoded part by part.

    Only where that could be paid after a failure too, so that a refusal never comes of having tried this.
    """
    scheme = key.scheme
    if len(key.key_info) > LONGEST_SHORT_KEY or len(passwords.pbkdf2) > 1:
        return None
    if not isinstance(scheme, Pbes2) or not isinstance(scheme.derivation, Pbkdf2):
        return None
    if not has_right_key_size(scheme):  # the library does not look at it
        return None
    if not budget.can_afford(2 * scheme.iterations):
        return None
    scheme.charge(budget)
    return load_short_key(key.key_info, passwords.pbkdf2[0])


def _decrypt(
    encrypted: Encrypted, read_plain: Callable[[Element], T], pfx: Pfx, passwords: Passwords, budget: Budget
) -> T:
    """Decrypt and read a part, with the first encoding of the password that makes sense of it."""
    for plain in decrypt(encrypted, passwords, budget):
        try:
            return read_plain(read(plain, pfx.allowance))
        except MalformedPkcs12:
            # Without an integrity check, nonsense is most likely a wrong password whose padding fits.
            if len(passwords.pbkdf2) == 1 and pfx.mac is not None:
                raise
    raise AssertionError  # `decrypt` ends by raising


def _read_key(plain: Element) -> bytes:
    """Return a PrivateKeyInfo as it is encoded; it is a SEQUENCE (RFC 5958 §2)."""
    return plain.expect(SEQUENCE).encode()
