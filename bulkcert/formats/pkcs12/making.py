"""Make a PKCS#12 or PEM of a kept device certificate anew, for its release.

Key and certificates go in as they were kept, in DER: nothing is parsed, so all that is kept can be released.
"""

import base64
from collections.abc import Sequence

from bulkcert.formats.pkcs12.writing import AES_256, LEGACY, write_key, write_pkcs12
from bulkcert.values.releases import Encryption
from bulkcert.values.secret import Secret

ITERATIONS = 2048
"""What OpenSSL uses. The length of the password protects, not their number (decision 0011)."""

_FORMS = {Encryption.APPLE_LEGACY: LEGACY, Encryption.AES256: AES_256}
_LINE = 64


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
    return write_pkcs12(_FORMS[encryption], private_key, leaf, chain, name, password, ITERATIONS)


def make_pem(private_key: Secret, leaf: bytes, chain: Sequence[bytes], password: Secret) -> Secret:
    """Make PEM text (RFC 7468): the key encrypted under `password`, the leaf, its chain.

    The key is an EncryptedPrivateKeyInfo (RFC 5958 §3) under PBES2 with AES-256-CBC and PBKDF2-HMAC-SHA-256.
    """
    encrypted_key = write_key(AES_256, private_key, password, ITERATIONS)
    texts = [_write_pem("ENCRYPTED PRIVATE KEY", encrypted_key)]
    texts += [_write_pem("CERTIFICATE", der) for der in (leaf, *chain)]
    return Secret("".join(texts).encode())


def _write_pem(label: str, der: bytes) -> str:
    body = base64.b64encode(der).decode()
    lines = [body[at : at + _LINE] for at in range(0, len(body), _LINE)]
    return "\n".join((f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""))
