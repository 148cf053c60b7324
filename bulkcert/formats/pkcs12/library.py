"""Opening by the library's loader: for what is too rare to be decoded here."""

from cryptography.exceptions import UnsupportedAlgorithm as NotInTheLibrary
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12

from bulkcert.errors import (
    ItemRefusal,
    MalformedCertificate,
    MalformedPkcs12,
    SeveralPrivateKeys,
    UnsupportedAlgorithm,
)
from bulkcert.formats import x509
from bulkcert.formats.pkcs12.budget import Budget
from bulkcert.formats.pkcs12.contents import Contents
from bulkcert.formats.pkcs12.pfx import BagAttributes, Bags, Pfx
from bulkcert.formats.pkcs12.visible import charge_derivations, visible_keys


def open_with_library(
    data: bytes,
    pfx: Pfx,
    password: str,
    place: int | None,
    budget: Budget,
    attributes: tuple[BagAttributes, ...] | None = None,
) -> Contents:
    """Open a file by `load_pkcs12`; place: the encoding of the password that passed (None: none was checked).

    attributes: of the bags that were decoded already; those that show are taken where it is None.
    The library makes the integrity check again and has no limit of its own: all that shows is spent again.
    Of several keys it gives one and is silent about the others, so a file where several show is refused.
    """
    charge_derivations(pfx, budget)
    if len(keys := set(visible_keys(pfx))) > 1:
        raise SeveralPrivateKeys(f"The file holds {len(keys)} private keys.")
    try:
        loaded = pkcs12.load_pkcs12(data, _spell(password, place))
    except ValueError as error:
        _check_visible_certificates(pfx)
        raise _refusal(str(error), place) from None
    except NotInTheLibrary:
        raise UnsupportedAlgorithm("The private key is of a kind that is not read.") from None
    key = loaded.key
    found = [loaded.cert] if loaded.cert else []
    found += loaded.additional_certs
    return Contents(
        keys=() if key is None else (key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),),
        certificates=tuple(one.certificate.public_bytes(Encoding.DER) for one in found),
        opened_by="library",
        attributes=_visible_attributes(pfx) if attributes is None else attributes,
    )


def _visible_attributes(pfx: Pfx) -> tuple[BagAttributes, ...]:
    return tuple(each for safe in pfx.safes if isinstance(safe, Bags) for each in safe.attributes)


def _spell(password: str, place: int | None) -> bytes | None:
    """Spell the password so that the library comes to the encoding that passed (see `passwords`)."""
    if not password:
        return None if place else b""
    return password.encode().decode("latin-1").encode() if place else password.encode()


def _check_visible_certificates(pfx: Pfx) -> None:
    """Find out whether it is for a certificate that the library says no to all: it does not tell."""
    for safe in pfx.safes:
        for der in safe.certificates if isinstance(safe, Bags) else ():
            x509.parse_certificate(der)


def _refusal(text: str, place: int | None) -> ItemRefusal:
    """Name the cause of a failure after the password has been proven right, unless `place` is None."""
    if "parsing asn1" in text:
        return MalformedCertificate(
            "A certificate in the file is not in the standard form (RFC 5280). It may be readable in a file "
            "that is encrypted with AES-256 or 3DES."
        )
    if place is None:
        return UnsupportedAlgorithm("The file's integrity check uses an algorithm that is not read.")
    if "password" in text.lower() or "unsupported" in text.lower():
        return UnsupportedAlgorithm(
            "The password is right, but a part of the file is encrypted in a way not read."
        )
    return MalformedPkcs12("The password is right, but the file's content cannot be read.")
