"""Decode the name of a zip's entry: its encoding, and which of its backslashes separate folders.

Sections cited are those of PKWARE's APPNOTE 6.3.10.
"""

import re
import struct
import zlib
from collections.abc import Iterator

_LONGEST_NAME = 256
_UTF8 = 0x800  # bit 11 (§4.4.4)
_UNICODE_PATH = 0x7075
_UNICODE_PATH_HEAD = struct.Struct("<BI")  # version, CRC-32 of the name in the header (§4.6.9)
_FIELD = struct.Struct("<HH")

# Shift JIS, GBK and Big5 have 0x5C, the backslash, as second octet of characters.
_CHARACTER_OR_BACKSLASH = re.compile(rb"[\x81-\xfe][\x40-\x7e\x80-\xfe]|\\")
_PLAIN = re.compile(rb"[^\0-\x1f?_\x7f-\xff]*")
_FOLDER_OF_A_DEVICE = re.compile(rb"([^/]*)\\([0-9A-Za-z -]{8,}\.[0-9A-Za-z]+)")


def extra_fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield header id and content of each extra field (§4.5.1); the last one may be cut off."""
    at = 0
    while at + _FIELD.size <= len(extra):
        kind, length = _FIELD.unpack_from(extra, at)
        at += _FIELD.size
        yield kind, extra[at : at + length]
        at += length


def decode_name(raw: bytes, flags: int, extra: bytes) -> str:
    """Decode a name, with '/' between folders; one of more than 256 characters is cut in the middle.

    The encoding is UTF-8 by bit 11, else that of the Unicode path field (WinRAR), else UTF-8 all the same
    (macOS), else CP437. Windows PowerShell 5.1 separates folders by backslashes, against §4.4.17.1.
    """
    name = _decode(raw, flags, extra)
    if len(name) <= _LONGEST_NAME:
        return name
    return name[: _LONGEST_NAME - 64] + name[-64:]


def _decode(raw: bytes, flags: int, extra: bytes) -> str:
    if b"up" in extra and not flags & _UTF8 and (path := _unicode_path(raw, extra)) is not None:
        return path.replace("\\", "/")
    try:
        return raw.decode().replace("\\", "/")
    except UnicodeDecodeError:
        if flags & _UTF8:
            return raw.decode(errors="replace").replace("\\", "/")
    return _with_slashes(raw).decode("cp437")


def _unicode_path(raw: bytes, extra: bytes) -> str | None:
    """Return the name in the Unicode path field, or None where it is missing or does not belong to this name.

    A name that ASCII could hold stays as it is, so that readers that do not know the field see the same one;
    tools write '?' or '_' for characters that they cannot encode.
    """
    if _PLAIN.fullmatch(raw):
        return None
    paths = {content for kind, content in extra_fields(extra) if kind == _UNICODE_PATH}
    if len(paths) != 1:
        return None
    content = paths.pop()
    if len(content) <= _UNICODE_PATH_HEAD.size:
        return None
    version, crc = _UNICODE_PATH_HEAD.unpack_from(content)
    if version != 1 or crc != zlib.crc32(raw):
        return None
    try:
        return content[_UNICODE_PATH_HEAD.size :].decode()
    except UnicodeDecodeError:
        return None


def _with_slashes(raw: bytes) -> bytes:
    """Turn backslashes into slashes, but for those that are the second octet of a character.

    The zip does not name its code page. Where every backslash follows an octet that could begin a character,
    but the name after the last one is that of a device, that one separates: the octet is a letter of a code
    page of single octets.
    """
    if b"\\" not in raw:
        return raw
    name = _CHARACTER_OR_BACKSLASH.sub(lambda found: b"/" if found[0] == b"\\" else found[0], raw)
    folder = _FOLDER_OF_A_DEVICE.fullmatch(name)
    return b"/".join(folder.groups()) if folder else name
