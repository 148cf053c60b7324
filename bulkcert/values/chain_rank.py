"""Choose the better of two chains of one certificate."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ChainLink:
    """A certificate in a chain. id: as kept; not_before, not_after: aware; is_root: issued by itself."""

    id: int
    not_before: datetime
    not_after: datetime
    is_root: bool


def is_better_chain(new: Sequence[ChainLink], old: Sequence[ChainLink], now: datetime) -> bool:
    """Return whether `new` serves better than `old`; both begin with the issuer of the same certificate.

    Better is a chain that is valid now up to its root; then one that is valid for more certificates from the
    issuer on; then one that leads to a root; then a longer one, where neither does; then the one whose first
    certificate to end lives longest. now: aware.
    """
    return _rank(new, now) > _rank(old, now)


def _rank(chain: Sequence[ChainLink], now: datetime) -> tuple[bool, int, bool, int, float]:
    leads_to_root = bool(chain) and chain[-1].is_root
    first_end = min((link.not_after.timestamp() for link in chain), default=0.0)
    valid = _count_valid(chain, now)
    if leads_to_root and valid == len(chain):
        return True, 0, True, 0, first_end
    return False, valid, leads_to_root, 0 if leads_to_root else len(chain), first_end


def _count_valid(chain: Sequence[ChainLink], now: datetime) -> int:
    """Return how many certificates are valid now before the first that is not."""
    for count, link in enumerate(chain):
        if not link.not_before <= now <= link.not_after:
            return count
    return len(chain)
