"""What a chunk holds of each PKCS#12 until its turn comes, as bytes that the vault seals."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from bulkcert.values.secret import Secret

_LENGTHS = struct.Struct(">III")


@dataclass(frozen=True)
class Entry:
    """One PKCS#12 that waits: the position of its item, its bytes, and its password in UTF-8."""

    position: int
    pkcs12: bytes
    password: Secret


def pack(entries: Iterable[Entry]) -> Secret:
    """Write entries one behind the other, each part with its length before it."""
    parts: list[bytes] = []
    for entry in entries:
        password = entry.password.reveal()
        parts += [_LENGTHS.pack(entry.position, len(password), len(entry.pkcs12)), password, entry.pkcs12]
    return Secret(b"".join(parts))


def unpack(packed: Secret) -> tuple[Entry, ...]:
    """Read what `pack` wrote. The bytes come from the vault, which vouches for them."""
    content = packed.reveal()
    entries: list[Entry] = []
    start = 0
    while start < len(content):
        position, password_length, pkcs12_length = _LENGTHS.unpack_from(content, start)
        middle = start + _LENGTHS.size + password_length
        password = content[start + _LENGTHS.size : middle]
        start = middle + pkcs12_length
        entries.append(Entry(position, content[middle:start], Secret(password)))
    return tuple(entries)
