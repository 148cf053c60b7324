"""The proof that a file held what one device needs: one sound key, and the certificate issued for it."""

import secrets

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bulkcert.certificates import Certificate, OpenedCertificate
from bulkcert.errors import KeyMismatch, MalformedPkcs12, NoCertificate, NoPrivateKey, SeveralPrivateKeys
from bulkcert.formats.pkcs12.contents import Contents
from bulkcert.formats.pkcs12.private_key import (
    PrivateKey,
    PrivateKeyInfo,
    load_private_key,
    read_private_key_info,
)
from bulkcert.formats.pkcs12.rsa_signature import sign
from bulkcert.formats.x509 import allows_client_auth, is_issued_for, order_chain, parse_certificate
from bulkcert.limits import Limits
from bulkcert.secret import Secret


def prove(contents: Contents, limits: Limits) -> OpenedCertificate:
    """Check what a file held, and give it as an opened certificate; each fault is a refusal of its own."""
    info = contents.loaded or _only_key(contents)
    if not contents.certificates:
        raise NoCertificate("The file holds a private key, but no certificate.")
    key = load_private_key(info, limits) if isinstance(info, PrivateKeyInfo) else info
    certificates = [parse_certificate(der) for der in dict.fromkeys(contents.certificates)]
    leaf = _find_leaf(key, certificates)
    if isinstance(key, rsa.RSAPrivateKey):
        prove_by_signature(key)
    chain, is_complete = order_chain(leaf, certificates)
    return OpenedCertificate(
        leaf=leaf,
        chain=chain,
        private_key=Secret(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())),
        chain_is_complete=is_complete,
        allows_client_auth=allows_client_auth(leaf),
        opened_by=contents.opened_by,
    )


def _only_key(contents: Contents) -> PrivateKeyInfo:
    """Give the one private key; the same key written twice is one."""
    found = {(info.kind, info.key): info for info in map(read_private_key_info, contents.keys)}
    if not found:
        raise NoPrivateKey("The file holds no private key.")
    if len(found) > 1:
        raise SeveralPrivateKeys(f"The file holds {len(found)} private keys.")
    return found.popitem()[1]


def _find_leaf(key: PrivateKey, certificates: list[Certificate]) -> Certificate:
    """Find the certificate that was issued for the key: by the public key, wherever it stands in the file.

    A renewed certificate may stand beside the old one on the same key: the one that ends last is meant.
    """
    public = key.public_key()
    fitting = [certificate for certificate in certificates if is_issued_for(certificate, public)]
    if not fitting:
        raise KeyMismatch("No certificate in the file belongs to its private key.")
    return max(fitting, key=lambda certificate: certificate.facts.not_after)


def prove_by_signature(key: rsa.RSAPrivateKey) -> None:
    """Sign what nobody could foresee, and verify it with the public key, which is the certificate's."""
    message = secrets.token_bytes(32)
    try:
        signature = sign(key, message)
        key.public_key().verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError):
        detail = "The RSA key does not work: its public half does not verify what it signs."
        raise MalformedPkcs12(detail) from None
