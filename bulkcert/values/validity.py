"""Standing of a certificate at a given moment."""

from datetime import datetime, timedelta

from bulkcert.errors import Expired, NotYetValid
from bulkcert.values.certificates import CertificateFacts, WarningCode

CLOCK_SKEW = timedelta(hours=24)
"""A CA's clock that runs ahead by less must not fail a fleet (docs/architecture.md)."""

EXPIRES_SOON = timedelta(days=30)


def check_validity(facts: CertificateFacts, now: datetime) -> tuple[WarningCode, ...]:
    """Refuse a certificate that is not valid at `now` (aware); return the warnings for one that is.

    Raises `Expired` past its end, `NotYetValid` more than 24 hours before its beginning (RFC 5280 §4.1.2.5).
    """
    if now > facts.not_after:
        raise Expired(f"The certificate ended on {facts.not_after:%Y-%m-%d %H:%M} UTC.")
    if facts.not_before - now > CLOCK_SKEW:
        raise NotYetValid(f"The certificate begins on {facts.not_before:%Y-%m-%d %H:%M} UTC.")
    warnings = []
    if now < facts.not_before:
        warnings.append(WarningCode.NOT_YET_VALID)
    if facts.not_after - now < EXPIRES_SOON:
        warnings.append(WarningCode.EXPIRES_SOON)
    return tuple(warnings)


def remaining_days(not_after: datetime, now: datetime) -> int:
    """Count the whole days left at `now`; negative once expired."""
    return (not_after - now).days
