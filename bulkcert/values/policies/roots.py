"""Trusted roots: texts of PEM, decoded. `deployments.policies` checks that each is a certificate."""

import base64
import binascii
import ssl
from dataclasses import dataclass
from typing import cast

from bulkcert.values.policies.documents import FAULTY, Faults, Kind

_MOST_CERTIFICATES = 20
_LONGEST_PEM = 100_000
_BEGIN = "-----BEGIN CERTIFICATE-----"
_END = "-----END CERTIFICATE-----"
_TOO_MANY = f"There may be {_MOST_CERTIFICATES} certificates, and {_LONGEST_PEM} characters of PEM."


@dataclass(frozen=True)
class Certificates(Kind):
    """A list of PEM texts, each of one or more certificates; a tuple of DER certificates in Python."""

    def read(self, value: object, where: str, faults: Faults) -> object:
        """Return the certificates in their order, each once."""
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            return faults.note(where, "This must be a list of texts in PEM form.")
        if len(value) > _MOST_CERTIFICATES or sum(map(len, value)) > _LONGEST_PEM:
            return faults.note(where, _TOO_MANY)
        before = len(faults)
        found = [
            der for place, text in enumerate(value) for der in _certificates(text, f"{where}/{place}", faults)
        ]
        ders = tuple(dict.fromkeys(found))
        if len(ders) > _MOST_CERTIFICATES:
            return faults.note(where, _TOO_MANY)
        return ders if len(faults) == before else FAULTY

    def write(self, value: object) -> object:
        """Return one PEM text for each certificate."""
        return [ssl.DER_cert_to_PEM_cert(der) for der in cast("tuple[bytes, ...]", value)]


def _certificates(text: str, where: str, faults: Faults) -> list[bytes]:
    """Read the certificates of one PEM text; what stands between them explains (RFC 7468 §5.2)."""
    explanation, *pieces = text.split(_BEGIN)
    blocks = [piece.partition(_END) for piece in pieces]
    outside = [explanation, *(after for _, _, after in blocks)]
    ders = [_der(body) for body, _, _ in blocks]
    if "PRIVATE KEY-----" in text:
        faults.note(where, "This holds a private key: take it out, and treat the key as known to others.")
    elif not blocks or not all(end for _, end, _ in blocks) or any("-----" in each for each in outside):
        faults.note(where, "This must be certificates in PEM form (BEGIN CERTIFICATE), nothing else.")
    elif None in ders:
        faults.note(where, "A certificate in this text cannot be read.")
    return [der for der in ders if der]


def _der(body: str) -> bytes | None:
    """Decode one block of PEM (RFC 7468 §2); return None where it is not base64, or empty."""
    try:
        return base64.b64decode("".join(body.split()), validate=True) or None
    except (binascii.Error, ValueError):
        return None
