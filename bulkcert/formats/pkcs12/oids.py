"""The names of things in a PKCS#12: object identifiers as they are encoded (X.690 §8.19)."""

import hashlib


def oid(dotted: str) -> bytes:
    """Encode an object identifier: its contents octets."""
    first, second, *rest = (int(part) for part in dotted.split("."))
    encoded = bytearray()
    for number in (first * 40 + second, *rest):
        septets = [number & 0x7F]
        remaining = number >> 7
        while remaining:
            septets.append(remaining & 0x7F | 0x80)
            remaining >>= 7
        encoded += bytes(reversed(septets))
    return bytes(encoded)


def _available(digests: dict[str, str]) -> dict[bytes, str]:
    return {oid(dotted): name for dotted, name in digests.items() if name in hashlib.algorithms_available}


# Content types: RFC 5652 §4, §5, §6, §8.
DATA = oid("1.2.840.113549.1.7.1")
SIGNED_DATA = oid("1.2.840.113549.1.7.2")
ENVELOPED_DATA = oid("1.2.840.113549.1.7.3")
ENCRYPTED_DATA = oid("1.2.840.113549.1.7.6")

# Bags: RFC 7292 §4.2.
KEY_BAG = oid("1.2.840.113549.1.12.10.1.1")
SHROUDED_KEY_BAG = oid("1.2.840.113549.1.12.10.1.2")
CERTIFICATE_BAG = oid("1.2.840.113549.1.12.10.1.3")
SAFE_CONTENTS_BAG = oid("1.2.840.113549.1.12.10.1.6")
X509_CERTIFICATE = oid("1.2.840.113549.1.9.22.1")

# Attributes of bags: RFC 2985 §5.5.
FRIENDLY_NAME = oid("1.2.840.113549.1.9.20")
LOCAL_KEY_ID = oid("1.2.840.113549.1.9.21")

SHA1 = oid("1.3.14.3.2.26")
SHA256 = oid("2.16.840.1.101.3.4.2.1")

# Digests: RFC 8017 Appendix B.1 and NIST's register. The values are hashlib's names.
DIGESTS = _available({
    "1.2.840.113549.2.5": "md5",
    "1.3.14.3.2.26": "sha1",
    "2.16.840.1.101.3.4.2.4": "sha224",
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
    "2.16.840.1.101.3.4.2.5": "sha512_224",
    "2.16.840.1.101.3.4.2.6": "sha512_256",
    "2.16.840.1.101.3.4.2.7": "sha3_224",
    "2.16.840.1.101.3.4.2.8": "sha3_256",
    "2.16.840.1.101.3.4.2.9": "sha3_384",
    "2.16.840.1.101.3.4.2.10": "sha3_512",
})  # fmt: skip

# HMACs, as pseudo-random functions of PBKDF2 and as MACs of PBMAC1: RFC 8018 Appendix B.1. The same values.
HMAC_WITH_SHA1 = oid("1.2.840.113549.2.7")
HMAC_WITH_SHA256 = oid("1.2.840.113549.2.9")
HMACS = _available({
    "1.2.840.113549.2.7": "sha1",
    "1.2.840.113549.2.8": "sha224",
    "1.2.840.113549.2.9": "sha256",
    "1.2.840.113549.2.10": "sha384",
    "1.2.840.113549.2.11": "sha512",
    "1.2.840.113549.2.12": "sha512_224",
    "1.2.840.113549.2.13": "sha512_256",
})  # fmt: skip

# Schemes: RFC 8018 Appendix A; RFC 7292 Appendix C; RFC 7914 §7.
PBES2 = oid("1.2.840.113549.1.5.13")
PBKDF2 = oid("1.2.840.113549.1.5.12")
PBMAC1 = oid("1.2.840.113549.1.5.14")
SCRYPT = oid("1.3.6.1.4.1.11591.4.11")
PBE_SHA1_RC4_128 = oid("1.2.840.113549.1.12.1.1")
PBE_SHA1_RC4_40 = oid("1.2.840.113549.1.12.1.2")
PBE_SHA1_3DES = oid("1.2.840.113549.1.12.1.3")
PBE_SHA1_2DES = oid("1.2.840.113549.1.12.1.4")
PBE_SHA1_RC2_128 = oid("1.2.840.113549.1.12.1.5")
PBE_SHA1_RC2_40 = oid("1.2.840.113549.1.12.1.6")
OLDER_PBES1 = tuple(oid(f"1.2.840.113549.1.5.{number}") for number in (1, 3, 4, 6, 10, 11))
PBES1_WITH_DES = _available({"1.2.840.113549.1.5.3": "md5", "1.2.840.113549.1.5.10": "sha1"})

# Ciphers of PBES2: RFC 8018 Appendix B.2, RFC 3565 §4.1.
AES_256_CBC = oid("2.16.840.1.101.3.4.1.42")
AES_KEY_SIZES = {
    oid("2.16.840.1.101.3.4.1.2"): 16,
    oid("2.16.840.1.101.3.4.1.22"): 24,
    AES_256_CBC: 32,
}
DES_CBC = oid("1.3.14.3.2.7")
DES_EDE3_CBC = oid("1.2.840.113549.3.7")

# Keys: RFC 8017 Appendix A.1 and A.2.3, RFC 5480 §2.1.1, RFC 8410 §3.
RSA_KEY = oid("1.2.840.113549.1.1.1")
RSA_PSS_KEY = oid("1.2.840.113549.1.1.10")
EC_KEY = oid("1.2.840.10045.2.1")
ED25519_KEY = oid("1.3.101.112")

# Curves: RFC 5480 §2.1.1.1.
P_256 = oid("1.2.840.10045.3.1.7")
P_384 = oid("1.3.132.0.34")
P_521 = oid("1.3.132.0.35")
