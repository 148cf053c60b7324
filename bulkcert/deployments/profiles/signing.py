"""A profile signed as CMS (RFC 5652), so that a device shows who it is from and that nobody altered it.

It is not encrypted: a signed profile is as secret as the key in it.
"""

from typing import Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs7

from bulkcert.errors import BadSettings
from bulkcert.errors.file_kinds import FileKind
from bulkcert.formats.recognition import describe, recognise
from bulkcert.values.secret import Secret

SigningKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class ProfileSigner:
    """Signs profiles with one key; `from_pem` makes one."""

    def __init__(
        self, key: SigningKey, certificate: x509.Certificate, chain: tuple[x509.Certificate, ...]
    ) -> None:
        self._key = key
        self._certificate = certificate
        self._chain = chain

    @classmethod
    def from_pem(cls, private_key: Secret, certificates: bytes) -> Self:
        """Read an unencrypted PEM key (RSA or EC), and its certificate followed by the chain, in PEM.

        Raises `BadSettings` where one cannot be read or the two do not belong together.
        """
        try:
            key = serialization.load_pem_private_key(private_key.reveal(), None)
            certificate, *chain = x509.load_pem_x509_certificates(certificates)
            belongs = key.public_key() == certificate.public_key()
        except (ValueError, TypeError, UnsupportedAlgorithm):
            # TypeError is the library's for a key under a password.
            raise BadSettings(_unreadable(certificates)) from None
        if not belongs:
            raise BadSettings("The certificate that signs profiles does not belong to the key.")
        if not isinstance(key, SigningKey):
            raise BadSettings("The key that signs profiles is neither RSA nor EC.")
        return cls(key, certificate, tuple(chain))

    def sign(self, profile: Secret) -> Secret:
        """Return a SignedData (DER, RFC 5652 §5) that holds the profile, the certificate and its chain."""
        builder = (
            pkcs7.PKCS7SignatureBuilder()
            .set_data(profile.reveal())
            .add_signer(self._certificate, self._key, hashes.SHA256())
        )
        for certificate in self._chain:
            builder = builder.add_certificate(certificate)
        # Binary: line ends stay as they are, so what was signed is what is inside.
        return Secret(builder.sign(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary]))


def _unreadable(certificates: bytes) -> str:
    detail = "The key or the certificate that signs profiles cannot be read."
    found = recognise(certificates)
    if found is None or found.kind is FileKind.PEM:
        return detail
    return f"{detail} The file of the certificate: {describe(found, 'PEM text')}"
