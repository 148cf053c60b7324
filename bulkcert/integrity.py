"""Whether keys of devices must be bound to their rows, which stands in the sealed check of the master key.

A new database demands it from the beginning; one of an earlier release from the end of
`bulkcert db upgrade --finish` on. Until then machines of that release may work beside this one: they seal
keys that are not bound, and open none that is. The check cannot be forged, and without it nothing starts.
"""

from bulkcert.errors import BrokenSeal
from bulkcert.secret import Secret
from bulkcert.store import Transaction
from bulkcert.vault import Place, Vault

CHECK = "master_key"
CHECK_PLACE = Place("vault_checks", CHECK, "sealed")
"""Where a known text is sealed, by which a wrong master key is recognised."""

_NOT_DEMANDED, _DEMANDED = b"bulkcert", b"bulkcert: keys are bound"


def seal_check(vault: Vault, *, is_demanded: bool = True) -> bytes:
    """Seal the check of a master key."""
    return vault.seal(Secret(_DEMANDED if is_demanded else _NOT_DEMANDED), CHECK_PLACE)


def demands_binding(tx: Transaction, vault: Vault) -> bool:
    """Tell whether keys that are not bound are refused; so they are where the check is missing or broken."""
    sealed = tx.keys.check(CHECK)
    try:
        return sealed is None or vault.open(sealed, CHECK_PLACE).reveal() != _NOT_DEMANDED
    except BrokenSeal:
        return True
