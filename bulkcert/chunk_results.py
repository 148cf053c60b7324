"""What became of the items of a chunk, before it is committed."""

from collections.abc import Mapping
from dataclasses import dataclass

from bulkcert.budgets import Cost
from bulkcert.certificates import OpenedCertificate, WarningCode
from bulkcert.errors import ItemRefusal


@dataclass(frozen=True)
class Judged:
    """An opened certificate, what is odd about it, and why it is not kept where it is not."""

    opened: OpenedCertificate
    warnings: tuple[WarningCode, ...] = ()
    refusal: ItemRefusal | None = None


@dataclass(frozen=True)
class Opened:
    """What became of a chunk's items. rest: positions that are left for another turn."""

    answers: Mapping[int, Judged | ItemRefusal]
    rest: frozenset[int] = frozenset()
    cost: Cost | None = None
