"""X.509: the content of certificates, and how the certificates of one file belong together (RFC 5280)."""

from bulkcert.formats.x509.chains import Chain, build_chain, is_self_signed
from bulkcert.formats.x509.choice import Choice, choose_certificate
from bulkcert.formats.x509.extensions import AlternativeName, NameKind
from bulkcert.formats.x509.facts import (
    allows_client_auth,
    alternative_names,
    contains_key,
    fingerprint_of_key,
    has_pss_key,
    is_anchor,
    is_issued_for,
    list_oddities,
    parse_certificate,
    public_key_of,
)
from bulkcert.formats.x509.facts import forget as _forget_facts
from bulkcert.formats.x509.signatures import forget as _forget_signatures

__all__ = [
    "AlternativeName",
    "Chain",
    "Choice",
    "NameKind",
    "allows_client_auth",
    "alternative_names",
    "build_chain",
    "choose_certificate",
    "contains_key",
    "fingerprint_of_key",
    "forget",
    "has_pss_key",
    "is_anchor",
    "is_issued_for",
    "is_self_signed",
    "list_oddities",
    "parse_certificate",
    "public_key_of",
]


def forget() -> None:
    """Empty the caches of certificates and signatures; measurements need this."""
    _forget_facts()
    _forget_signatures()
