"""What a PKCS#12 held, before it is proven sound."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Contents:
    """keys: PrivateKeyInfo, DER (RFC 5958 §2). certificates: X.509, DER. opened_by: "own" or "library"."""

    keys: tuple[bytes, ...] = field(repr=False)
    certificates: tuple[bytes, ...]
    opened_by: str
