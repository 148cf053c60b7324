"""The cost of a file as far as it shows before anything is decrypted: refused before anything is paid."""

from bulkcert.errors import KeyTooLarge
from bulkcert.formats.pkcs12.budget import Budget
from bulkcert.formats.pkcs12.integrity import charge_integrity, count_integrity
from bulkcert.formats.pkcs12.pfx import Bags, Encrypted, Pfx
from bulkcert.values.limits import Limits


def count_visible(pfx: Pfx, budget: Budget) -> None:
    """Count all that shows: the integrity check, and every part that is not inside an encrypted one."""
    count_integrity(pfx, budget)
    for encrypted in encrypted_parts(pfx):
        encrypted.scheme.declare(budget)
    for safe in pfx.safes:
        budget.safe()
        if isinstance(safe, Bags):
            budget.certificates(len(safe.certificates))


def charge_derivations(pfx: Pfx, budget: Budget) -> None:
    """Spend the key derivations that show, as the library makes them."""
    charge_integrity(pfx, budget)
    for encrypted in encrypted_parts(pfx):
        encrypted.scheme.charge(budget)


def encrypted_parts(pfx: Pfx) -> list[Encrypted]:
    """Return every encrypted part that shows: safes, and keys in safes that are not encrypted."""
    parts: list[Encrypted] = []
    for safe in pfx.safes:
        parts += [safe] if isinstance(safe, Encrypted) else safe.shrouded_keys
    return parts


def visible_keys(pfx: Pfx) -> list[bytes]:
    """Return every private key that shows, as it stands there."""
    keys: list[bytes] = []
    for safe in pfx.safes:
        if isinstance(safe, Bags):
            keys += safe.keys
            keys += [key.content for key in safe.shrouded_keys]
    return keys


def check_key_sizes(pfx: Pfx, limits: Limits) -> None:
    """Refuse a visible key that is longer than RSA of the most bits: the library's check would take minutes.

    RSA writes n and d in full and five numbers of half their size (RFC 8017 §A.1.2): 4.5 times the modulus;
    1 KiB is left for headers and attributes.
    """
    most = limits.rsa_bits_most * 9 // 16 + 1024
    if max(map(len, visible_keys(pfx)), default=0) > most:
        raise KeyTooLarge(f"The private key is longer than RSA of {limits.rsa_bits_most:,} bits.")
