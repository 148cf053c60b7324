"""Name a DER or BER file by the tags at its beginning, without reading more of it.

Sources: RFC 7292 §4 (PFX), RFC 5280 §4.1 and §5.1 (certificate, CRL), RFC 2986 §4 (request), RFC 5652 §3
(ContentInfo), RFC 5958 §2 and §3 (keys), RFC 8017 A.1.2 (RSA key), RFC 5915 §3 (EC key).
"""

from typing import NamedTuple

from bulkcert.errors.file_kinds import FileKind

_INTEGER, _BIT_STRING, _OCTET_STRING, _OID, _SEQUENCE, _SET, _CONTEXT_0 = 2, 3, 4, 6, 0x30, 0x31, 0xA0
_PKCS7 = bytes.fromhex("2a864886f70d0107")
_INDEFINITE = 0x80
_PFX_VERSION = b"\3"


class _Header(NamedTuple):
    """Where contents start, and where they end (-1: of indefinite length)."""

    tag: int
    start: int
    end: int


def name_der(begin: bytes) -> tuple[FileKind, str] | None:
    """Return kind and name of the DER file that begins with these bytes, or None for any other file."""
    outer = _header(begin, 0)
    if outer is None or outer.tag != _SEQUENCE:
        return None
    first = _header(begin, outer.start)
    if first is None:
        return None
    if first.tag == _INTEGER:
        return _name_versioned(begin, first)
    if first.tag == _OID and begin[first.start : first.end].startswith(_PKCS7):
        return FileKind.PKCS7, "a PKCS#7 file"
    if first.tag == _SEQUENCE:
        return _name_nested(begin, first)
    return None


def _name_versioned(begin: bytes, version: _Header) -> tuple[FileKind, str] | None:
    """Name a SEQUENCE that begins with an INTEGER: a PKCS#12, or one of three forms of a private key."""
    following = _header(begin, version.end)
    if following is None:
        return None
    if begin[version.start : version.end] == _PFX_VERSION and following.tag == _SEQUENCE:
        return FileKind.PKCS12, "one bare PKCS#12"
    if following.tag in {_INTEGER, _OCTET_STRING}:
        return FileKind.PRIVATE_KEY, "a private key alone"
    content = _header(begin, following.start)
    if following.tag != _SEQUENCE or content is None or content.tag != _OID:
        return None
    if begin[content.start : content.end].startswith(_PKCS7):  # a PFX of a version that does not exist
        return FileKind.PKCS12, "one bare PKCS#12"
    return FileKind.PRIVATE_KEY, "a private key alone"


def _name_nested(begin: bytes, inner: _Header) -> tuple[FileKind, str] | None:
    """Name a SEQUENCE that begins with a SEQUENCE: a certificate, a request, a CRL or an encrypted key."""
    first = _header(begin, inner.start)
    if first is None:
        return None
    if first.tag == _CONTEXT_0:
        return FileKind.CERTIFICATE, "a certificate alone"
    if first.tag == _OID and _tag_at(begin, inner.end) == _OCTET_STRING:
        return FileKind.PRIVATE_KEY, "an encrypted private key alone"
    if first.tag == _OID and _tag_at(begin, inner.end) == _BIT_STRING:
        return FileKind.OTHER, "a public key alone"
    if first.tag != _INTEGER:
        return None
    second = _header(begin, first.end)
    if second is None or second.tag != _SEQUENCE:
        return None
    if _tag_at(begin, second.start) in {_SET, None} and begin[first.start : first.end] == b"\0":
        return FileKind.OTHER, "a certificate request"
    name = _header(begin, second.end)
    if name is None or name.tag != _SEQUENCE:
        return None
    if _tag_at(begin, name.end) == _SEQUENCE:  # Validity
        return FileKind.CERTIFICATE, "a certificate alone"
    return FileKind.OTHER, "a list of revoked certificates (CRL)"


def _header(begin: bytes, at: int) -> _Header | None:
    """Read tag and length; return None where they are missing, or of a form that no DER file has."""
    if not 0 <= at < len(begin) - 1:
        return None
    tag, length = begin[at], begin[at + 1]
    start = at + 2
    if length == _INDEFINITE:
        return _Header(tag, start, -1)
    if length > _INDEFINITE:
        octets = length & 0x7F
        if octets > 4 or start + octets > len(begin):
            return None
        length = int.from_bytes(begin[start : start + octets])
        start += octets
    return _Header(tag, start, start + length)


def _tag_at(begin: bytes, at: int) -> int | None:
    header = _header(begin, at)
    return header.tag if header else None
