"""RC2 (RFC 2268), for reading what older tools wrote: with 40 bits no library offers it any more."""

import struct

from bulkcert.formats.pkcs12 import libcrypto

BLOCK = 8

# RFC 2268 §2: PITABLE, "a random permutation of the octets derived from the digits of pi".
_PI = bytes.fromhex(
    "d978f9c419ddb5ed28e9fd794aa0d89dc67e37832b76538e624c6488448bfba2"
    "179a59f587b34f1361456d8d09817d32bd8f40eb86b77b0bf09521225c6b4e82"
    "54d66593ce60b21c7356c014a78cf1dc1275ca1f3bbee4d1423dd430a33cb626"
    "6fbf0eda4669075727f21d9bbc944303f811c7f690ef3ee706c3d52fc8661ed7"
    "08e8eade8052eef784aa72ac354d6a2a961ad2715a1549744b9fd05e0418a4ec"
    "c2e0416e0f51cbcc2491af50a1f47039997c3a8523b8b47afc02365b25559731"
    "2d5dfa98e38a92ae05df2910676cbac9d300e6cfe19ea82c6316013f58e289a9"
    "0d38341bab33ffb0bb480c5fb9b1cd2ec5f3db47e5a59c770aa62068fe7fc1ad"
)


def decrypt_cbc(key: bytes, effective_bits: int, iv: bytes, content: bytes) -> bytes:
    """Decrypt in CBC mode. content: a multiple of 8 octets; iv: 8 octets; the padding is left on."""
    if _NATIVE is not None:
        return _NATIVE.decrypt(key, effective_bits, iv, content)
    return decrypt_cbc_in_python(key, effective_bits, iv, content)


def decrypt_cbc_in_python(key: bytes, effective_bits: int, iv: bytes, content: bytes) -> bytes:
    """Do the same in Python: about 3 ms for each KiB."""
    schedule = _expand(key, effective_bits)
    plain = bytearray()
    previous = int.from_bytes(iv)
    for at in range(0, len(content), BLOCK):
        block = content[at : at + BLOCK]
        plain += (int.from_bytes(_decrypt_block(block, schedule)) ^ previous).to_bytes(BLOCK)
        previous = int.from_bytes(block)
    return bytes(plain)


def _expand(key: bytes, effective_bits: int) -> tuple[int, ...]:
    """Expand the key (RFC 2268 §2)."""
    octets = bytearray(key)
    for at in range(len(key), 128):
        octets.append(_PI[(octets[at - 1] + octets[at - len(key)]) & 0xFF])
    effective = (effective_bits + 7) // 8
    octets[128 - effective] = _PI[octets[128 - effective] & (0xFF >> (8 * effective - effective_bits))]
    for at in reversed(range(128 - effective)):
        octets[at] = _PI[octets[at + 1] ^ octets[at + effective]]
    return struct.unpack("<64H", octets)


def _decrypt_block(block: bytes, key: tuple[int, ...]) -> bytes:
    """Undo 5 mixing rounds, a mashing one, 6 mixing, a mashing one, 5 mixing (RFC 2268 §4)."""
    words = struct.unpack("<4H", block)
    for first, last, mashes in ((63, 44, True), (43, 20, True), (19, 0, False)):
        for at in range(first, last - 1, -4):
            words = _unmix(words, key, at)
        if mashes:
            words = _unmash(words, key)
    return struct.pack("<4H", *words)


def _unmix(words: tuple[int, ...], key: tuple[int, ...], at: int) -> tuple[int, ...]:
    """Undo one mixing round (RFC 2268 §4.1); the words turn right by 5, 3, 2 and 1 bits."""
    a, b, c, d = words
    d = ((d >> 5 | d << 11) - key[at] - (c & b) - (~c & a)) & 0xFFFF
    c = ((c >> 3 | c << 13) - key[at - 1] - (b & a) - (~b & d)) & 0xFFFF
    b = ((b >> 2 | b << 14) - key[at - 2] - (a & d) - (~a & c)) & 0xFFFF
    a = ((a >> 1 | a << 15) - key[at - 3] - (d & c) - (~d & b)) & 0xFFFF
    return a, b, c, d


def _unmash(words: tuple[int, ...], key: tuple[int, ...]) -> tuple[int, ...]:
    """Undo one mashing round (RFC 2268 §4.2)."""
    a, b, c, d = words
    d = (d - key[c & 63]) & 0xFFFF
    c = (c - key[b & 63]) & 0xFFFF
    b = (b - key[a & 63]) & 0xFFFF
    a = (a - key[d & 63]) & 0xFFFF
    return a, b, c, d


def agrees(native: libcrypto.Rc2) -> bool:
    """Compare libcrypto with Python on 40 and 128 bits."""
    sample = bytes(range(64))
    return all(
        native.decrypt(key, 8 * len(key), b"\1" * BLOCK, sample)
        == decrypt_cbc_in_python(key, 8 * len(key), b"\1" * BLOCK, sample)
        for key in (sample[:5], sample[:16])
    )


_NATIVE = libcrypto.find(libcrypto.Rc2)
if _NATIVE is not None and not agrees(_NATIVE):
    _NATIVE = None
