"""Files changed at random: nothing comes of them but a refusal, or what the file held.

A few seconds by default; FUZZ_SECONDS makes it longer.
"""

import os
import random
import time
import warnings
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkcert.errors import ItemRefusal
from bulkcert.formats.pkcs12.opening import open as open_pkcs12
from bulkcert.values.limits import Limits
from bulkcert.values.secret import Secret
from tests.builders import an_rsa_key
from tests.formats.pkcs12 import forge
from tests.formats.pkcs12.specimens import VECTORS, a_pair, der, der_of, forged, specimens

SECONDS = float(os.environ.get("FUZZ_SECONDS", "4"))
LIMITS = Limits(kdf_iterations=100_000)
SLOWEST_SECONDS = 5  # a second is what it takes at most on an idle machine; tests run on busy ones

KEY, CERTIFICATE = a_pair()


def try_to_open(content: bytes, password: str) -> float:
    """Open; a refusal is as good as an opened one. Give the processor seconds that it took."""
    started = time.process_time()
    try:
        open_pkcs12(content, Secret(password.encode()), LIMITS)
    except ItemRefusal as refusal:
        assert refusal.detail
    return time.process_time() - started


def mutated(chance: random.Random, content: bytes) -> bytes:
    """Change, cut, double or insert a few octets."""
    octets = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        at = chance.randrange(len(octets)) if octets else 0
        match chance.randrange(6):
            case 0 | 1:
                octets[at : at + 1] = bytes([chance.randrange(256)])
            case 2:
                octets[at : at + 1] = bytes([octets[at] ^ 1 << chance.randrange(8)]) if octets else b""
            case 3:
                del octets[at : at + chance.choice((1, 2, 10, 1000))]
            case 4:
                octets[at:at] = octets[at : at + chance.choice((1, 2, 10, 100))]
            case 5:
                octets[at : at + 2] = chance.choice(
                    (b"\x30\x80", b"\x02\x01\xff", b"\x24\x80", b"\xff\xff", b"\0\0")
                )
    return bytes(octets)


def whole(content: bytes) -> bytes:
    return content


def with_a_right_mac(authenticated: bytes) -> bytes:
    """Make a file of what was changed, so that the change gets past the integrity check."""
    content = forge.seq(forge.oid("1.2.840.113549.1.7.1"), forge.explicit(forge.octets(authenticated)))
    return forge.seq(forge.integer(3), content, forge.mac(authenticated))


def in_an_encrypted_safe(safe_contents: bytes) -> bytes:
    """Make a file whose encrypted safe holds what was changed."""
    encrypted = forge.tlv(0x80, forge.encrypt(safe_contents))
    info = forge.seq(forge.oid("1.2.840.113549.1.7.1"), forge.pbes2(), encrypted)
    safe = forge.seq(forge.oid("1.2.840.113549.1.7.6"), forge.explicit(forge.seq(forge.integer(0), info)))
    return forge.pfx(safe)


def seeds() -> list[tuple[bytes, str, Callable[[bytes], bytes]]]:
    found = [(specimen.content, specimen.password, whole) for specimen in specimens()]
    for path in sorted(VECTORS.glob("*.p12")):
        password = "" if "no-p" in path.name else "cryptography" if "aes" in path.name else "password"
        found.append((path.read_bytes(), password, whole))
    rsa = an_rsa_key()
    from tests.builders import a_certificate

    for key, certificate in ((KEY, CERTIFICATE), (der_of(rsa), der(a_certificate(rsa)))):
        bags = (forge.key_bag(key), forge.certificate_bag(certificate))
        encrypted = (forge.shrouded_bag(key), forge.certificate_bag(certificate))
        found += [
            (forge.seq(forge.clear_safe(*bags)), forge.PASSWORD, with_a_right_mac),
            (forge.seq(forge.encrypted_safe(*encrypted)), forge.PASSWORD, with_a_right_mac),
            (forge.seq(*bags), forge.PASSWORD, in_an_encrypted_safe),
            (key, forge.PASSWORD, lambda key, certificate=certificate: forged(key, certificate)),
            (certificate, forge.PASSWORD, lambda certificate, key=key: forged(key, certificate)),
        ]
    return found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.timeout(0)
def test_no_mutation_brings_about_anything_but_a_refusal(seed):
    chance = random.Random(seed)
    corpus = seeds()
    slowest = 0.0
    tried = 0
    deadline = time.monotonic() + SECONDS / 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        while time.monotonic() < deadline or tried < 50:
            content, password, wrap = chance.choice(corpus)
            slowest = max(slowest, try_to_open(wrap(mutated(chance, content)), password))
            tried += 1

    assert slowest < SLOWEST_SECONDS


@given(st.binary(max_size=2000))
@settings(deadline=None, max_examples=200)
def test_random_bytes_are_refused(content):
    with pytest.raises(ItemRefusal):
        open_pkcs12(content, Secret(b"password"), LIMITS)


@given(st.binary(max_size=2000))
@settings(deadline=None, max_examples=200)
def test_random_bytes_behind_a_right_mac_are_refused(authenticated):
    with pytest.raises(ItemRefusal):
        open_pkcs12(with_a_right_mac(authenticated), Secret(forge.PASSWORD.encode()), LIMITS)


@given(st.data())
@settings(deadline=None, max_examples=200)
def test_no_change_of_one_octet_opens_to_something_else(choices):
    """The integrity check covers the content; what it does not cover may only say the same in other words."""
    content = bytearray(forged())
    content[choices.draw(st.integers(0, len(content) - 1))] ^= choices.draw(st.integers(1, 255))
    try:
        opened = open_pkcs12(bytes(content), Secret(forge.PASSWORD.encode()), LIMITS)
    except ItemRefusal:
        return
    assert opened.leaf.der == CERTIFICATE
    assert opened.private_key == Secret(KEY)
