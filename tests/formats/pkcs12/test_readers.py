"""Other readers beside us, on the same files: openssl, keytool, certtool, pk12util and `cryptography`.

Where one of them differs from us, the table of differences says why.
"""

import dataclasses
import functools
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import pkcs12

from bulkcert.errors import ItemRefusal
from bulkcert.formats.asn1.ber import Allowance, read
from bulkcert.formats.pkcs12.opening import open as open_pkcs12
from bulkcert.values.secret import Secret
from tests.builders import PrivateKey, a_ca, a_certificate, an_rsa_key
from tests.formats.pkcs12 import forge
from tests.formats.pkcs12.specimens import der, der_of
from tests.formats.pkcs12.test_private_key import (
    ED25519,
    a_key_of_size,
    a_private_key_info,
    an_ec_private_key,
    bits,
    of_curve,
    point,
)
from tests.formats.pkcs12.test_rsa import encoded, numbers_of
from tests.live.witnesses import require

P_256 = "1.2.840.10045.3.1.7"
KEY_ID = forge.tlv(0x31, forge.seq(forge.oid("1.2.840.113549.1.9.21"), forge.tlv(0x31, forge.octets(b"\1"))))
"""The attribute by which Java knows which certificate belongs to a key."""


def named(bag: bytes) -> bytes:
    """The same bag with the attribute."""
    return forge.seq(read(bag, Allowance()).content, KEY_ID)


def a_file(
    key: PrivateKey,
    private_key_info: bytes | None = None,
    *,
    wrap: Callable[[bytes], bytes] = lambda bag: bag,
) -> bytes:
    """A file of a key and its certificate. private_key_info: how the key is written; wrap: how both bags are."""
    shrouded = named(forge.shrouded_bag(private_key_info or der_of(key)))
    certificate = named(forge.certificate_bag(der(a_certificate(key))))
    return forge.pfx(forge.clear_safe(wrap(shrouded)), forge.encrypted_safe(wrap(certificate)))


def an_ec_file(octets: int, written: int) -> bytes:
    key = a_key_of_size("P-256", octets)
    number = key.private_numbers().private_value.to_bytes(written)
    public = forge.tlv(0xA1, bits(point(key)))
    return a_file(key, a_private_key_info(of_curve(P_256), an_ec_private_key(number, public)))


def of_version_2(kind: str, *, with_public: bool) -> bytes:
    if kind == "EC":
        key: PrivateKey = a_key_of_size("P-256", 32)
        algorithm, inner, public = of_curve(P_256), an_ec_private_key(b"\x5a" * 32), point(key)
    else:
        key = ed25519.Ed25519PrivateKey.generate()
        algorithm, inner = forge.seq(forge.oid(ED25519)), forge.octets(key.private_bytes_raw())
        public = key.public_key().public_bytes_raw()
    rest = (bits(public, 0x81),) if with_public else ()
    return a_file(key, a_private_key_info(algorithm, inner, *rest, version=1))


def an_rsa_file(**changes: int) -> bytes:
    return a_file(an_rsa_key(), encoded(dataclasses.replace(numbers_of(an_rsa_key()), **changes)))


def with_scrypt() -> bytes:
    """Both parts under scrypt with 2^14, 8 and 1, as `openssl pkcs8 -scrypt` has it."""
    key = a_key_of_size("P-256", 32)
    derived = Scrypt(forge.SALT, 32, 2**14, 8, 1).derive(forge.PASSWORD.encode())
    scheme = forge.pbes2(forge.scrypt(2**14, 8, 1))

    def encrypt(plain: bytes) -> bytes:
        return forge.encrypt_with(derived, plain)

    shrouded = forge.seq(scheme, forge.octets(encrypt(der_of(key))))
    bag = named(forge.bag("1.2.840.113549.1.12.10.1.2", shrouded))
    hidden = encrypt(forge.seq(named(forge.certificate_bag(der(a_certificate(key))))))
    content = forge.seq(forge.oid("1.2.840.113549.1.7.1"), scheme, forge.tlv(0x80, hidden))
    safe = forge.seq(forge.oid("1.2.840.113549.1.7.6"), forge.explicit(forge.seq(forge.integer(0), content)))
    return forge.pfx(forge.clear_safe(bag), safe)


def nested(bag: bytes) -> bytes:
    return forge.bag("1.2.840.113549.1.12.10.1.6", forge.seq(bag))


def with_safes(number: int, more: bytes = b"") -> bytes:
    """A file of so many safes. more: the bag in each but the first two; none by default."""
    key = a_key_of_size("P-256", 32)
    bags = forge.shrouded_bag(der_of(key)), forge.certificate_bag(der(a_certificate(key)))
    safes = [forge.clear_safe(named(bag)) for bag in bags]
    return forge.pfx(*safes, *[forge.clear_safe(more)] * (number - 2))


ZEROS = dict.fromkeys(("prime1", "prime2", "exponent1", "exponent2", "coefficient"), 0)
FILES: dict[str, Callable[[], bytes]] = {
    "ordinary": lambda: a_file(a_key_of_size("P-256", 32)),
    "CR LF behind it": lambda: a_file(a_key_of_size("P-256", 32)) + b"\r\n",
    "0xFF behind it": lambda: a_file(a_key_of_size("P-256", 32)) + b"\xff" * 16,
    "1,024 bytes behind it": lambda: a_file(a_key_of_size("P-256", 32)) + b"x" * 1024,
    "1,025 bytes behind it": lambda: a_file(a_key_of_size("P-256", 32)) + b"x" * 1025,
    "EC of 31 octets": lambda: an_ec_file(31, 31),
    "EC of 30 octets": lambda: an_ec_file(30, 30),
    "EC of 33 octets": lambda: an_ec_file(32, 33),
    "EC, version 2": lambda: of_version_2("EC", with_public=False),
    "EC, version 2 with public key": lambda: of_version_2("EC", with_public=True),
    "Ed25519, version 2": lambda: of_version_2("Ed25519", with_public=False),
    "Ed25519, version 2 with public key": lambda: of_version_2("Ed25519", with_public=True),
    "RSA": an_rsa_file,
    "RSA without primes and CRT values": lambda: an_rsa_file(**ZEROS),
    "RSA with a coefficient for swapped primes": lambda: an_rsa_file(coefficient=swapped_coefficient()),
    "safe in a safe": lambda: a_file(a_key_of_size("P-256", 32), wrap=nested),
    "13 safes": lambda: with_safes(13, forge.certificate_bag(der(a_ca()[0]))),
    "40 safes": lambda: with_safes(40),
    "41 safes": lambda: with_safes(41),
    "scrypt": with_scrypt,
}


def swapped_coefficient() -> int:
    numbers = numbers_of(an_rsa_key())
    return pow(numbers.prime1, -1, numbers.prime2)


@functools.cache
def content_of(name: str) -> bytes:
    return FILES[name]()


# The readers: each tells whether it opens the file and comes to its private key.


def says(*command: str | Path) -> str:
    """What a command writes; nothing where it fails."""
    found = subprocess.run(
        [str(part) for part in command], capture_output=True, stdin=subprocess.DEVNULL, check=False
    )
    return "" if found.returncode else found.stdout.decode(errors="replace")


def openssl(path: Path, password: Path) -> bool:
    return "PRIVATE KEY" in says(
        "openssl", "pkcs12", "-in", path, "-passin", f"file:{password}", "-noenc", "-legacy"
    )


def keytool(path: Path, password: Path) -> bool:
    """Copied into another store, for which Java has to read the key."""
    copied = path.with_name("copied.p12")
    copied.unlink(missing_ok=True)
    options = ("-srcstorepass:file", password, "-deststorepass:file", password, "-noprompt")
    says(
        "keytool", "-importkeystore", "-srckeystore", path, "-srcstoretype", "PKCS12",
        "-destkeystore", copied, "-deststoretype", "PKCS12", *options,
    )  # fmt: skip
    listed = (
        says("keytool", "-list", "-keystore", copied, "-storepass:file", password) if copied.exists() else ""
    )
    return "PrivateKeyEntry" in listed


def certtool(path: Path, password: Path) -> bool:
    return "PRIVATE KEY" in says(
        "certtool", "--p12-info", "--inder", "--password", password.read_text().strip(), "--infile", path
    )


def pk12util(path: Path, password: Path) -> bool:
    database = path.parent / "database"
    database.mkdir()
    says("certutil", "-N", "-d", f"sql:{database}", "--empty-password")
    says("pk12util", "-i", path, "-d", f"sql:{database}", "-w", password)
    keys = says("certutil", "-K", "-d", f"sql:{database}")
    return "rsa" in keys or "ec" in keys or "ed25519" in keys.lower()


def library(path: Path, password: Path) -> bool:
    with warnings.catch_warnings(action="ignore"):
        try:
            found = pkcs12.load_pkcs12(path.read_bytes(), password.read_text().strip().encode())
        except Exception:  # whatever it raises
            return False
    return found.key is not None


READERS = {each.__name__: each for each in (openssl, keytool, certtool, pk12util, library)}
TOOLS = {"library": (), "pk12util": ("pk12util", "certutil")}
_GNUTLS_TRAILING = "GnuTLS refuses whatever follows the PKCS#12"
_OURS = "it is over a limit of ours; see docs/decisions/0025"
_NO_ED25519 = "NSS 3.87 knows no Ed25519 keys"
_NO_PUBLIC = "it reads version 2 without the public key only"
_CHECKS_CRT = "it checks primes and CRT values, and computes none"
_NO_NESTED = "it passes over safes inside safes"
_NO_EMPTY_SAFE = "GnuTLS refuses a safe with nothing in it"
_NO_SCRYPT = "it has no scrypt for PKCS#12"
DIFFERENCES: dict[tuple[str, str], str] = {
    ("CR LF behind it", "certtool"): _GNUTLS_TRAILING,
    ("0xFF behind it", "certtool"): _GNUTLS_TRAILING,
    ("1,024 bytes behind it", "certtool"): _GNUTLS_TRAILING,
    **{("1,025 bytes behind it", each): _OURS for each in ("openssl", "keytool", "pk12util", "library")},
    **{("41 safes", each): _OURS for each in ("openssl", "keytool", "pk12util", "library")},
    ("EC, version 2 with public key", "openssl"): _NO_PUBLIC,
    ("EC, version 2 with public key", "pk12util"): _NO_PUBLIC,
    ("Ed25519, version 2 with public key", "openssl"): _NO_PUBLIC,
    ("Ed25519, version 2 with public key", "pk12util"): _NO_ED25519,
    ("Ed25519, version 2", "pk12util"): _NO_ED25519,
    ("RSA without primes and CRT values", "pk12util"): _CHECKS_CRT,
    ("RSA without primes and CRT values", "library"): _CHECKS_CRT,
    ("RSA with a coefficient for swapped primes", "pk12util"): _CHECKS_CRT,
    ("RSA with a coefficient for swapped primes", "library"): _CHECKS_CRT,
    ("safe in a safe", "keytool"): _NO_NESTED,
    ("safe in a safe", "certtool"): _NO_NESTED,
    ("40 safes", "certtool"): _NO_EMPTY_SAFE,
    **{("scrypt", each): _NO_SCRYPT for each in ("keytool", "certtool", "pk12util")},
}
"""With openssl 3.0, Java 17, GnuTLS 3.7, NSS 3.87 and cryptography 50. Newer ones may read more."""


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", FILES)
def test_a_file_opens_here_where_it_opens_elsewhere(name: str, reader: str, tmp_path: Path) -> None:
    for tool in TOOLS.get(reader, (reader,)):
        require(tool)
    path, password = tmp_path / "file.p12", tmp_path / "password"
    path.write_bytes(content_of(name))
    password.write_text(forge.PASSWORD + "\n")
    try:
        open_pkcs12(content_of(name), Secret(forge.PASSWORD.encode()))
        opens_here = True
    except ItemRefusal:
        opens_here = False

    if READERS[reader](path, password) is not opens_here:
        assert (name, reader) in DIFFERENCES
