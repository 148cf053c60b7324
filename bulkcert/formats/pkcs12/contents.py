"""What a PKCS#12 held, before it is proven sound."""

from dataclasses import dataclass, field

from bulkcert.formats.pkcs12.pfx import BagAttributes
from bulkcert.formats.pkcs12.private_key import PrivateKey


@dataclass(frozen=True, slots=True)
class Contents:
    """keys: PrivateKeyInfo, DER (RFC 5958 §2). certificates: X.509, DER. opened_by: "own" or "library".

    loaded: the only key, where it was decrypted and loaded in one step; keys is empty then. attributes: those
    of bags that were decrypted here; the library does not tell those of others.
    """

    keys: tuple[bytes, ...] = field(repr=False)
    certificates: tuple[bytes, ...]
    opened_by: str
    loaded: PrivateKey | None = field(default=None, repr=False)
    attributes: tuple[BagAttributes, ...] = ()
