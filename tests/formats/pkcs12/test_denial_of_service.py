"""Files made to cost as much as they can: each is answered in time, and the next file is not touched by it."""

import time
from collections.abc import Iterator

import pytest

from bulkcert.errors import ItemRefusal
from bulkcert.opening.opener import Opener
from bulkcert.values.certificates import OpenedCertificate
from bulkcert.values.limits import Limits
from bulkcert.values.secret import Secret
from tests.builders import PASSWORD, a_pkcs12
from tests.formats.pkcs12 import forge
from tests.formats.pkcs12.forge import (
    certificate_bag,
    clear_safe,
    encrypted_safe,
    endless,
    explicit,
    integer,
    mac_claim,
    octets,
    oid,
    pbes1,
    pbes2,
    pbkdf2,
    pfx,
    scrypt,
    seq,
    shrouded_bag,
    tlv,
)
from tests.formats.pkcs12.specimens import a_pair
from tests.formats.pkcs12.test_ciphers import CAMELLIA, in_camellia

MOST = 2**31 - 1
KEY, CERTIFICATE = a_pair()
SAFE = "1.2.840.113549.1.12.10.1.6"


def nested_safes(levels: int) -> bytes:
    inner = seq()
    for _ in range(levels):
        inner = seq(forge.bag(SAFE, inner))
    return pfx(seq(oid("1.2.840.113549.1.7.1"), explicit(octets(inner))))


def split_octets(levels: int) -> bytes:
    inner = octets(b"x")
    for _ in range(levels):
        inner = tlv(0x24, inner)
    return seq(integer(3), seq(oid("1.2.840.113549.1.7.1"), explicit(inner)), mac_claim())


def rsa_key(bits: int) -> bytes:
    """Of the right shape and size; to find out that it is not sound is what would cost."""
    modulus = 2 ** (bits - 1) + 1
    half = 2 ** (bits // 2 - 1) + 1
    numbers = (modulus, 65537, modulus - 2, half, half + 2, half, half, half)
    key = seq(integer(0), *map(integer, numbers))
    return seq(integer(0), seq(oid("1.2.840.113549.1.1.1"), forge.null()), octets(key))


def large_key_for_the_library(bits: int) -> bytes:
    return pfx(clear_safe(shrouded_bag(rsa_key(bits), pbes2(cipher=CAMELLIA)), certificate_bag(CERTIFICATE)))


FILES = {
    "2^31-1 in the MAC": pfx(clear_safe(), mac_data=mac_claim(iterations=MOST)),
    "2^63 in the MAC": pfx(clear_safe(), mac_data=mac_claim(iterations=2**63)),
    "2^31-1 in PBKDF2": pfx(encrypted_safe(scheme=pbes2(pbkdf2(MOST)))),
    "2^31-1 in PBES1": pfx(encrypted_safe(scheme=pbes1(iterations=MOST))),
    "2^31-1 in an old PBES1": pfx(encrypted_safe(scheme=pbes1("1.2.840.113549.1.5.3", MOST))),
    "2^31-1 in a key's PBKDF2": pfx(clear_safe(shrouded_bag(KEY, pbes2(pbkdf2(MOST))))),
    "2^31-1 in a hidden key": pfx(encrypted_safe(shrouded_bag(KEY, pbes2(pbkdf2(MOST))))),
    "2^31-1 in a hidden key of PBES1": pfx(encrypted_safe(shrouded_bag(KEY, pbes1(iterations=MOST)))),
    "2^31-1 in PBMAC1": pfx(
        clear_safe(), mac_data=mac_claim(algorithm=forge.pbmac1(pbkdf2(MOST, key_size=32)))
    ),
    "a derived key of 2 GiB": pfx(encrypted_safe(scheme=pbes2(pbkdf2(1, key_size=2**31)))),
    "20 million in a hidden key": pfx(encrypted_safe(shrouded_bag(KEY, pbes2(pbkdf2(20_000_000))))),
    "2^31-1 in a safe in a safe": pfx(
        clear_safe(forge.bag(SAFE, seq(shrouded_bag(KEY, pbes2(pbkdf2(MOST))))))
    ),
    "2^31-1 in a hidden safe in a safe": pfx(
        encrypted_safe(forge.bag(SAFE, seq(shrouded_bag(KEY, pbes1(iterations=MOST)))))
    ),
    "3DES, just over the limit": pfx(*[encrypted_safe(scheme=pbes1(iterations=1_000_000))] * 3),
    "scrypt nine times": pfx(*[encrypted_safe(scheme=pbes2(scrypt(2**14, 8, 1)))] * 9),
    "40 safes": pfx(*[encrypted_safe(scheme=pbes2(pbkdf2(80_000)))] * 40),
    "60 KB behind it": pfx(clear_safe()) + b"x" * 60_000,
    "200 safes": pfx(*[encrypted_safe(scheme=pbes2(pbkdf2(100_000)))] * 200),
    "10 safes": pfx(*[encrypted_safe(scheme=pbes2(pbkdf2(400_000)))] * 10),
    "many keys": pfx(clear_safe(*[shrouded_bag(KEY, pbes2(pbkdf2(20_000)))] * 200)),
    "scrypt with p = 256": pfx(encrypted_safe(scheme=pbes2(scrypt(2**14, 8, 256)))),
    "scrypt of 1 GiB": pfx(encrypted_safe(scheme=pbes2(scrypt(2**20, 8, 1)))),
    "scrypt hidden": pfx(encrypted_safe(shrouded_bag(KEY, pbes2(scrypt(2**14, 8, 256))))),
    "a salt of 50 MB": pfx(clear_safe(), mac_data=mac_claim(salt=bytes(50_000_000))),
    "a salt of 60 KB": pfx(clear_safe(), mac_data=mac_claim(salt=bytes(60_000))),
    "50,000 certificates": pfx(clear_safe(certificate_bag(CERTIFICATE) * 50_000)),
    "100 certificates": pfx(clear_safe(certificate_bag(CERTIFICATE) * 100)),
    "RSA-8192": pfx(clear_safe(forge.key_bag(rsa_key(8192)), certificate_bag(CERTIFICATE))),
    "RSA-16384": pfx(clear_safe(forge.key_bag(rsa_key(16_384)), certificate_bag(CERTIFICATE))),
    "RSA-8192 for the library": large_key_for_the_library(8192),
    "RSA-16384 for the library": large_key_for_the_library(16_384),
    "safes in safes": nested_safes(20),
    "5,000 safes in safes": nested_safes(5000),
    "an OCTET STRING in parts of parts": split_octets(5000),
    "indefinite lengths": endless(0x30, b"\x30\x80" * 30_000),
    "elements without number": seq(integer(3), b"\5\0" * 30_000),
    "a length of 4 GiB": b"\x30\x84\xff\xff\xff\xff",
    "a length cut short": b"\x30\x84\xff",
    "one octet": b"\x30",
}


@pytest.fixture(scope="module")
def opener() -> Iterator[Opener]:
    opener = Opener(Limits())
    yield opener
    opener.close()


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_a_file_made_to_cost_is_refused_in_time_and_the_next_one_opens(opener, content):
    started = time.monotonic()

    refused, opened = opener.open_all(
        [(content, Secret(forge.PASSWORD.encode())), (a_pkcs12(), Secret(PASSWORD.encode()))]
    )

    assert isinstance(refused, ItemRefusal)
    assert refused.code in {"too_costly", "too_large", "key_too_large", "malformed_pkcs12", "not_pkcs12"}
    assert isinstance(opened, OpenedCertificate)
    assert time.monotonic() - started < 60


def test_none_of_them_takes_the_process_down(opener):
    """The limits of the process are the second line: these are all stopped by the first."""
    list(opener.open_all([(a_pkcs12(), Secret(PASSWORD.encode()))]))
    assert opener._child is not None
    before = opener._child.pid

    list(opener.open_all([(content, Secret(forge.PASSWORD.encode())) for content in FILES.values()]))

    assert opener._child.pid == before


def test_what_hides_from_the_budget_inside_a_rare_cipher_is_stopped_by_the_clock(opener):
    """Only the library reads Camellia, so a key inside is derived unseen; the processor limit ends it."""
    hidden = in_camellia(seq(shrouded_bag(KEY, pbes2(pbkdf2(MOST)))), forge.PASSWORD)
    safe = seq(oid("1.2.840.113549.1.7.1"), pbes2(cipher=CAMELLIA), tlv(0x80, hidden))
    content = pfx(seq(oid("1.2.840.113549.1.7.6"), explicit(seq(integer(0), safe))))
    hurried = Opener(Limits(opening_cpu_seconds=1, opening_wall_seconds=30))

    refused, opened = hurried.open_all(
        [(content, Secret(forge.PASSWORD.encode())), (a_pkcs12(), Secret(PASSWORD.encode()))]
    )
    hurried.close()

    assert isinstance(refused, ItemRefusal)
    assert refused.code == "too_costly"
    assert refused.detail == "Opening the file took longer than the limit."
    assert isinstance(opened, OpenedCertificate)
