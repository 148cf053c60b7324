"""The certificate of a device among several that hold its key."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from bulkcert.formats.x509.chains import is_self_signed
from bulkcert.formats.x509.facts import allows_client_auth
from bulkcert.values.certificates import Certificate

_REASONS = (
    "a CA issued it, and the other is self-signed",
    "the localKeyID in the file names it",
    "it is valid now",
    "it allows client authentication",
    "it begins last",
    "its SHA-256 fingerprint is the smallest",
)
"""Why a certificate comes before the next best, in the order of the criteria."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A certificate, and why it was taken; None where there was no choice."""

    certificate: Certificate
    reason: str | None = None


def choose_certificate(
    fitting: Sequence[Certificate], find_named: Callable[[], Iterable[bytes]], now: datetime
) -> Choice:
    """Choose among certificates (at least one) that hold the same key.

    Issued ones come before self-signed ones, always; then those that a localKeyID names, that are valid now,
    that allow client authentication, that begin last, that have the smallest SHA-256. find_named: returns the
    DER certificates with the key's localKeyID (RFC 2985 §5.5.2), asked only where there is a choice. now:
    aware.
    """
    if len(fitting) == 1:
        return Choice(fitting[0])
    named = frozenset(find_named())

    def rank(certificate: Certificate) -> tuple[bool, bool, bool, bool, float, str]:
        facts = certificate.facts
        return (
            is_self_signed(certificate),
            certificate.der not in named,
            not facts.not_before <= now <= facts.not_after,
            not allows_client_auth(certificate),
            -facts.not_before.timestamp(),
            facts.fingerprint_sha256,
        )

    (best, first), (second, _), *_ = sorted(
        ((rank(each), each) for each in fitting), key=lambda pair: pair[0]
    )
    reason = next(text for text, one, other in zip(_REASONS, best, second, strict=True) if one != other)
    return Choice(
        first,
        f"{len(fitting)} certificates in the file belong to its key. The one with the serial number "
        f"{first.facts.serial_number} was taken: {reason}.",
    )
