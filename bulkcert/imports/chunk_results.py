"""What became of the items of a chunk, before it is committed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from bulkcert.errors import ItemRefusal, WrongPassword
from bulkcert.imports.sealed_entries import Entry
from bulkcert.values.budgets import Cost
from bulkcert.values.certificates import OpenedCertificate, WarningCode
from bulkcert.values.password_hints import describe_oddities
from bulkcert.values.validity import check_validity


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


def judge(entry: Entry, answer: OpenedCertificate | ItemRefusal, now: datetime) -> Judged | ItemRefusal:
    """Check what the opener does not: the dates, which need a clock, and what deserves a warning."""
    if isinstance(answer, WrongPassword):
        return WrongPassword(f"{answer.detail} {describe_oddities(entry.password)}".rstrip())
    if isinstance(answer, ItemRefusal):
        return answer
    try:
        warnings = [*answer.warnings, *check_validity(answer.leaf.facts, now)]
    except ItemRefusal as refusal:
        return Judged(answer, refusal=refusal)
    if not answer.allows_client_auth:
        warnings.append(WarningCode.NO_CLIENT_AUTH)
    if not answer.chain_is_complete:
        warnings.append(WarningCode.INCOMPLETE_CHAIN)
    if entry.password.reveal()[-1:].isspace():
        warnings.append(WarningCode.PASSWORD_ENDS_IN_SPACE)
    return Judged(answer, tuple(warnings))
