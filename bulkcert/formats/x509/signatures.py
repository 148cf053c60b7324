"""Signatures of certificates (RFC 5280 §4.1.1.3), as a help in ordering them: this is no validation."""

from functools import lru_cache
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes as PublicKey

from bulkcert.errors import MalformedCertificate
from bulkcert.formats.x509.facts import SIGNATURE_NAMES, read
from bulkcert.formats.x509.reader import Unreadable, read_fields

_CACHED_SIGNATURES = 64  # those between CA certificates, which a fleet shares


class _Signature(NamedTuple):
    """A signature, the octets that it covers, and its scheme; the padding counts for RSA only."""

    signed: bytes
    signature: bytes
    digest: hashes.HashAlgorithm | None
    rsa_padding: padding.AsymmetricPadding


@lru_cache(maxsize=_CACHED_SIGNATURES)
def is_signed_by(der: bytes, issuer_der: bytes) -> bool | None:
    """Return whether the key of one certificate made the signature of another; None where nobody can say.

    That is so where the algorithm or the kind of key is not known.
    """
    try:
        key = read(issuer_der).public_key
        return _verify(key, _take_signature(der))
    except (UnsupportedAlgorithm, MalformedCertificate, Unreadable):
        return None
    except (InvalidSignature, TypeError, ValueError):
        return False


def forget() -> None:
    """Empty the cache."""
    is_signed_by.cache_clear()


def _take_signature(der: bytes) -> _Signature:
    try:
        certificate = x509.load_der_x509_certificate(der)
        scheme = certificate.signature_algorithm_parameters
        digest = certificate.signature_hash_algorithm
    except (ValueError, TypeError, x509.InvalidVersion):
        fields = read_fields(der)
        digest = _digest_of(fields.algorithm)
        return _Signature(fields.signed, fields.signature, digest, padding.PKCS1v15())
    rsa_padding = scheme if isinstance(scheme, padding.PSS) else padding.PKCS1v15()
    return _Signature(certificate.tbs_certificate_bytes, certificate.signature, digest, rsa_padding)


def _digest_of(algorithm: str) -> hashes.HashAlgorithm | None:
    """Return the digest of a signature algorithm whose name tells it (RSA_WITH_SHA256)."""
    name = SIGNATURE_NAMES.get(algorithm, "").partition("_WITH_")[2]
    kind = getattr(hashes, name, None) if name else None
    return kind() if kind else None


def _verify(key: PublicKey | None, made: _Signature) -> bool | None:
    """Verify a signature; raises `InvalidSignature`. None: the key or the scheme is of an unknown kind."""
    if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        key.verify(made.signature, made.signed)
    elif made.digest is None:
        return None
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(made.signature, made.signed, made.rsa_padding, made.digest)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(made.signature, made.signed, ec.ECDSA(made.digest))
    elif isinstance(key, dsa.DSAPublicKey):
        key.verify(made.signature, made.signed, made.digest)
    else:
        return None
    return True
