"""What the rows of a database must prove, which stands in the sealed check of the master key.

A new database demands all of it from the beginning; one of an earlier release from the end of
`bulkcert db upgrade --finish` on. Until then machines of that release may work beside this one: they seal
keys that are not bound, and open none that is; they change rows without signing them. The check cannot be
forged, and without it nothing starts.
"""

import enum

from bulkcert.errors import BrokenSeal
from bulkcert.store.access.signing_keys import MASTER_KEY_CHECK
from bulkcert.store.transaction import Transaction
from bulkcert.values.secret import Secret
from bulkcert.vault.places import CHECK_PLACE
from bulkcert.vault.vault import Vault

CHECK = MASTER_KEY_CHECK


class Demand(enum.Enum):
    """What is demanded, each more than the one before; the value is the text that the check seals.

    KEYS: that sealed keys of devices are bound to their rows. ROWS: that rows are signed, too.
    """

    NOTHING = b"bulkcert"
    KEYS = b"bulkcert: keys are bound"
    ROWS = b"bulkcert: keys are bound, rows are signed"


def seal_check(vault: Vault, demand: Demand = Demand.ROWS) -> bytes:
    """Seal the check of a master key."""
    return vault.seal(Secret(demand.value), CHECK_PLACE)


def demands_binding(tx: Transaction, vault: Vault) -> bool:
    """Tell whether keys that are not bound are refused; so they are where the check is missing or broken."""
    return _read_demand(tx.keys.check(CHECK), vault) is not Demand.NOTHING


class VaultSigner:
    """Signs rows with a key of the vault (`store.signatures.RowSigner`)."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def mac(self, content: bytes) -> str:
        """Return the HMAC-SHA256 of the content of a row: 64 hex digits."""
        return self._vault.digest(content, "row")

    def is_demanded(self, sealed_check: bytes | None) -> bool:
        """Return whether a row without its MAC is refused; so it is where the check is missing or broken."""
        return _read_demand(sealed_check, self._vault) is Demand.ROWS


def _read_demand(sealed_check: bytes | None, vault: Vault) -> Demand:
    try:
        return Demand(vault.open(sealed_check or b"", CHECK_PLACE).reveal())
    except (BrokenSeal, ValueError):
        return Demand.ROWS
