"""Fleets of devices: each has an EC key of its own, in a bundle whose cost of opening is chosen.

Ten thousand files take seconds to make: keys of encryption are derived once for all, as nobody's tool does.
"""

import functools
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import padding, serialization
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from bulkcert.formats.pkcs12 import kdf
from tests.builders import a_ca, a_certificate, a_credentials_file, an_ec_key
from tests.formats.pkcs12 import forge

_KEY_BAG = "1.2.840.113549.1.12.10.1.2"


@dataclass(frozen=True, eq=False, repr=False)
class Fleet:
    """`keys`: the private key of each device (PKCS#8, DER). `bundle`: the zip of all their files."""

    keys: Mapping[str, bytes]
    bundle: bytes


def a_fleet(directory: Path, name: str, size: int, milliseconds: float = 0) -> Fleet:
    """Make `size` devices whose serial numbers begin with `name` (6 letters); opening one file takes so long."""
    assert len(name) == 6
    keys = {f"{name}{number:06}": an_ec_key() for number in range(size)}
    scheme, encryption_key = _encryption(_iterations(milliseconds))
    path = directory / f"{name}-{time.monotonic_ns()}.zip"
    encoded: dict[str, bytes] = {}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for identity, key in keys.items():
            encoded[identity] = key.private_bytes(
                serialization.Encoding.DER,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            leaf = a_certificate(key, identity).public_bytes(serialization.Encoding.DER)
            sealed = forge.seq(scheme, forge.octets(_encrypt(encoded[identity], encryption_key)))
            archive.writestr(
                f"{identity}.p12",
                forge.pfx(
                    forge.clear_safe(forge.bag(_KEY_BAG, sealed)),
                    forge.clear_safe(forge.certificate_bag(leaf), forge.certificate_bag(_ca())),
                ),
            )
        archive.writestr("credential.txt", a_credentials_file(dict.fromkeys(keys, forge.PASSWORD)))
    bundle = path.read_bytes()
    path.unlink()
    return Fleet(encoded, bundle)


@functools.cache
def _ca() -> bytes:
    return a_ca()[0].public_bytes(serialization.Encoding.DER)


@functools.cache
def _encryption(iterations: int) -> tuple[bytes, bytes]:
    """The AlgorithmIdentifier of a PBES2 with so many iterations, and the key that it leads to."""
    key = kdf.derive_pbkdf2("sha256", forge.PASSWORD.encode(), forge.SALT, iterations, 32)
    return forge.pbes2(forge.pbkdf2(iterations)), key


@functools.cache
def _iterations(milliseconds: float) -> int:
    """As many as take this processor so long; the quickest of three, for it may be busy."""
    if not milliseconds:
        return 1
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        kdf.derive_pbkdf2("sha256", b"x", forge.SALT, 10_000, 32)
        taken.append(time.perf_counter() - began)
    return max(1, int(10_000 * milliseconds / 1000 / min(taken)))


def _encrypt(content: bytes, key: bytes) -> bytes:
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(forge.IV)).encryptor()
    return encryptor.update(padder.update(content) + padder.finalize()) + encryptor.finalize()
