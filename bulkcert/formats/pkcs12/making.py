"""Make a PKCS#12 or PEM of a kept device certificate anew, for whoever it is released to."""

from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from bulkcert.formats.pkcs12 import kdf
from bulkcert.formats.pkcs12.legacy import write_legacy
from bulkcert.releases import Encryption
from bulkcert.secret import Secret

ITERATIONS = 2048
"""What OpenSSL uses, and the library for its MAC whatever is asked for: more of them for key and certificates
would protect nothing, as a password is guessed where it is cheapest. Its length protects (decision 0011)."""

DeviceKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def make_pkcs12(
    private_key: Secret,
    leaf: bytes,
    chain: Sequence[bytes],
    name: str,
    password: Secret,
    encryption: Encryption,
) -> Secret:
    """Make a PKCS#12 (RFC 7292) of a PKCS#8 key, a DER leaf and its DER chain, under `password` (UTF-8).

    name: the friendly name of key and certificate (RFC 2985 §5.5.1).
    """
    if encryption is Encryption.APPLE_LEGACY and kdf.engine() == "libcrypto":
        return write_legacy(private_key, leaf, chain, name, password, ITERATIONS)
    content = pkcs12.serialize_key_and_certificates(
        name.encode(),
        _load(private_key),
        x509.load_der_x509_certificate(leaf),
        [x509.load_der_x509_certificate(link) for link in chain],
        _scheme(encryption, password),
    )
    return Secret(content)


def _scheme(encryption: Encryption, password: Secret) -> serialization.KeySerializationEncryption:
    builder = serialization.PrivateFormat.PKCS12.encryption_builder().kdf_rounds(ITERATIONS)
    if encryption is Encryption.APPLE_LEGACY:
        # Apple's older systems read nothing newer, and refuse it as a "wrong password" (decision 0011).
        builder = builder.key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
        builder = builder.hmac_hash(hashes.SHA1())  # noqa: S303 - see above
    else:
        builder = builder.key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        builder = builder.hmac_hash(hashes.SHA256())
    return builder.build(password.reveal())


def make_pem(private_key: Secret, leaf: bytes, chain: Sequence[bytes], password: Secret) -> Secret:
    """Make PEM text: the key encrypted under `password` (PKCS#8, RFC 5958 §3), the leaf, its chain.

    The library's form of the key: PBES2 with AES-256-CBC and 2,048 iterations of PBKDF2-HMAC-SHA-256.
    """
    encrypted = _load(private_key).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password.reveal()),
    )
    certificates = [x509.load_der_x509_certificate(der) for der in (leaf, *chain)]
    texts = [certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates]
    return Secret(b"".join((encrypted, *texts)))


def _load(private_key: Secret) -> DeviceKey:
    # The key was proven sound when it was imported, and has been under seal since: no second RSA check.
    key = serialization.load_der_private_key(private_key.reveal(), None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(key, DeviceKey)
    return key
