"""Recognise a file by its content, to name what somebody uploaded in place of the file that was wanted.

Only the first `MOST_LOOKED_AT` bytes are looked at, in a fixed number of passes, and nothing is parsed but
the first few headers of DER. Readers ask here once they have failed, so a good file is never judged by it.
"""

import base64
import binascii
import codecs
import re
from typing import NamedTuple

from bulkcert.errors import NotPkcs12
from bulkcert.errors.file_kinds import FileKind
from bulkcert.formats.asn1.der_forms import name_der

MOST_LOOKED_AT = 64 * 1024
"""Bytes; the kinds below show in the first few hundred."""

_HEAD = 4096
_EXPORT_AGAIN = "Export the certificate with its private key as PKCS#12 (.p12 or .pfx)."
_NEVER_FETCHED = frozenset({FileKind.EMPTY, FileKind.HTML, FileKind.LFS_POINTER})
"""Kinds whose remedy is to fetch the file itself, whichever file was wanted."""

_NO_KEY = "It holds no private key: export the certificate together with its key as PKCS#12."
_ADD_CERTIFICATE = "Add its certificate: openssl pkcs12 -export -inkey FILE -in CERTIFICATE -out IDENTITY.p12"
_UNPACK = "Put the .p12 files themselves into the bundle."
_COPY_AGAIN = "Copy the original file again, in binary form."


class Recognised(NamedTuple):
    """A recognised file: its kind, its name within a sentence, and what to do with it."""

    kind: FileKind
    name: str
    remedy: str


def _keystore(name: str, store_type: str, more: str = "") -> Recognised:
    remedy = (
        f"Convert it: keytool -importkeystore -srckeystore FILE -srcstoretype {store_type}{more} "
        "-destkeystore IDENTITY.p12 -deststoretype PKCS12"
    )
    return Recognised(FileKind.JAVA_KEYSTORE, f"a Java keystore ({name})", remedy)


def _archive(name: str) -> Recognised:
    return Recognised(FileKind.ARCHIVE, name, _UNPACK)


def _other(name: str) -> Recognised:
    return Recognised(FileKind.OTHER, name, _EXPORT_AGAIN)


def _text(name: str, remedy: str = _EXPORT_AGAIN) -> Recognised:
    return Recognised(FileKind.TEXT, name, remedy)


EMPTY = Recognised(FileKind.EMPTY, "an empty file (0 bytes)", "Copy or export the file again.")
BLANK = Recognised(FileKind.EMPTY, "a file of blanks or zero bytes alone", EMPTY.remedy)
_PUT_INTO_ZIP = "Put it into a zip, with the credentials file beside it."
_DER = Recognised(FileKind.PKCS12, "one bare PKCS#12 or certificate", _PUT_INTO_ZIP)
_LONG_DER = (b"\x30\x80", b"\x30\x81", b"\x30\x82", b"\x30\x83", b"\x30\x84")
ZIP = Recognised(FileKind.ZIP, "a zip (as Word and Excel files are)", "Put its files into the outer zip.")
_HTML = Recognised(
    FileKind.HTML,
    "a web page (HTML)",
    "The download answered with a page, perhaps one to log in: log in, and download the file itself.",
)
_LFS_POINTER = Recognised(
    FileKind.LFS_POINTER,
    "a Git LFS pointer",
    "Fetch the file that it points to with `git lfs pull`, and zip again.",
)
_BASE64 = Recognised(
    FileKind.BASE64,
    "base64",
    "Decode it: base64 -d FILE > IDENTITY.p12 (Windows: certutil -decode FILE IDENTITY.p12)",
)
_ZIP_IN_BASE64 = Recognised(
    FileKind.BASE64,
    "base64 of a zip",
    "Decode it: base64 -d FILE > BUNDLE.zip (Windows: certutil -decode FILE BUNDLE.zip)",
)

_MAGIC = (
    (b"PK\3\4", ZIP),
    (b"PK\5\6", ZIP),
    (b"PK00PK", ZIP),
    (b"PK\7\x08PK", ZIP),
    (b"\xfe\xed\xfe\xed", _keystore("JKS", "JKS")),
    (b"\xce\xce\xce\xce", _keystore("JCEKS", "JCEKS")),
    # Bouncy Castle: a version of 1 or 2, then a salt of 20 octets.
    (b"\0\0\0\1\0\0\0\x14", _keystore("BKS", "BKS", " -providerclass PROVIDER -providerpath JAR")),
    (b"\0\0\0\2\0\0\0\x14", _keystore("BKS", "BKS", " -providerclass PROVIDER -providerpath JAR")),
    (b"\x1f\x8b", _archive("a gzip file")),
    (b"7z\xbc\xaf\x27\x1c", _archive("a 7z archive")),
    (b"Rar!\x1a\7", _archive("a RAR archive")),
    (b"\xfd7zXZ", _archive("an xz file")),
    *((b"BZh%d1AY&SY" % level, _archive("a bzip2 file")) for level in range(1, 10)),
    (b"(\xb5/\xfd", _archive("a Zstandard file")),
    (b"MSCF\0\0\0\0", _archive("a Windows cabinet file")),
    (b"bplist00", _other("a binary property list of Apple")),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _other("an old Microsoft Office document")),
    (b"SQLite format 3\0", _other("an SQLite database")),
    (b"\x89PNG", _other("a picture (PNG)")),
    (b"\xff\xd8\xff", _other("a picture (JPEG)")),
    (b"\x7fELF", _other("a program")),
    (b"MZ\x90", _other("a program")),
)

_PEM_PARTS = re.compile(rb"-----begin ([a-z0-9 #]{1,40})-----")
_TEXT_BEGINS = (
    (b"version https://git-lfs.github.com/spec/", _LFS_POINTER),
    (b"<!doctype html", _HTML),
    (b"<html", _HTML),
    (b"<head", _HTML),
    (b"<body", _HTML),
    (b"<", _text("an XML file")),
    (b"%pdf", _other("a PDF")),
    (b"{\\rtf", _other("an RTF document")),
    (b"{", _text("a JSON file")),
    (b"ssh-", _text("an SSH public key")),
    (b"putty-user-key-file", Recognised(FileKind.PRIVATE_KEY, "a PuTTY private key", _EXPORT_AGAIN)),
    (b"bag attributes", Recognised(FileKind.PEM, "PEM text as openssl writes it", _EXPORT_AGAIN)),
    (b"--", _text("a multipart form, not the file inside it")),
)
_BASE64_LINES = re.compile(rb"[A-Za-z0-9+/_\-\s]+={0,2}\s*")
_HEXADECIMAL_DER = re.compile(rb"308[0-4][0-9A-Fa-f\s]{16,}")
_DATA_URI = re.compile(rb"data:[\w/.+-]{0,80};base64,")
_CONTROLS = re.compile(rb"[\0-\x08\x0e-\x19\x1c-\x1f]")  # without Ctrl-Z, at which old texts end
_SHORTEST_UTF_16 = 16  # bytes; shorter ones may be anything
_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def recognise(content: bytes) -> Recognised | None:
    """Recognise a file by its first `MOST_LOOKED_AT` bytes; return None where it is none of the known kinds.

    content: the whole file, or the beginning of a longer one.
    """
    if not content:
        return EMPTY
    begin = content[:MOST_LOOKED_AT]
    found = next((known for magic, known in _MAGIC if begin.startswith(magic)), None)
    if found is not None:
        return found
    if not begin.strip(b"\0 \t\r\n"):
        return BLANK
    found = _recognise_mangled(begin) or _recognise_der(begin) or _recognise_text(begin)
    return found or (_DER if begin.startswith(_LONG_DER) else None)


def refuse_what_is_not_pkcs12(content: bytes) -> None:
    """Raise NotPkcs12 where a file is recognised as something else than a PKCS#12."""
    found = recognise(content)
    if found is not None and found.kind is not FileKind.PKCS12:
        raise not_pkcs12(found)


def not_pkcs12(found: Recognised) -> NotPkcs12:
    """Make the refusal of a file that is something else than a PKCS#12."""
    return NotPkcs12(f"This is {found.name}, not a PKCS#12. {found.remedy}", found=found.kind)


def describe(found: Recognised, wanted: str) -> str:
    """Return the sentence that says what a file is where another one was wanted ("a zip", "plain text")."""
    sentence = f"This is {found.name}, not {wanted}."
    is_fetched = found.kind not in _NEVER_FETCHED and not (found is _ZIP_IN_BASE64 and wanted == "a zip")
    return sentence if is_fetched else f"{sentence} {found.remedy}"


def looks_like_utf_16(content: bytes) -> bool:
    """Return whether nearly every second byte of the beginning is NUL, as in UTF-16 of western text."""
    beginning = content[: min(len(content), 256) & ~1]
    even, odd = beginning[::2].count(0), beginning[1::2].count(0)
    return min(even, odd) == 0 and max(even, odd) * 2 >= max(len(beginning) * 3 // 4, 2)


def _recognise_der(begin: bytes) -> Recognised | None:
    match name_der(begin):
        case None:
            return None
        case FileKind.PKCS12, name:
            return Recognised(FileKind.PKCS12, name, _PUT_INTO_ZIP)
        case FileKind.PKCS7, name:
            return Recognised(FileKind.PKCS7, name, _NO_KEY)
        case FileKind.CERTIFICATE, name:
            return Recognised(FileKind.CERTIFICATE, name, _NO_KEY)
        case FileKind.PRIVATE_KEY, name:
            return Recognised(FileKind.PRIVATE_KEY, name, _ADD_CERTIFICATE)
        case _, name:
            return _other(name)


def _recognise_text(begin: bytes) -> Recognised | None:
    if begin.startswith(_UTF_16_MARKS) or looks_like_utf_16(begin) or _is_der_in_utf_16(begin[:64]):
        return _recognise_utf_16(begin[: len(begin) & ~1])
    head = begin.removeprefix(codecs.BOM_UTF8).lstrip()[:_HEAD].lower()
    if b"-----begin " in head:  # a key may stand behind many certificates
        return _pem(_PEM_PARTS.findall(begin.lower()))
    if head.startswith(b"<") and b"<html" in head:
        return _HTML
    found = next((known for start, known in _TEXT_BEGINS if head.startswith(start)), None)
    return found or _recognise_encoded(begin) or _recognise_plain(begin)


def _is_der_in_utf_16(start: bytes) -> bool:
    """Return whether every second octet is zero, and the first of the others is that of DER (0x30)."""
    if len(start) < _SHORTEST_UTF_16:
        return False
    return (start[:1] == b"0" and not any(start[1::2])) or (start[1:2] == b"0" and not any(start[::2]))


def _recognise_utf_16(begin: bytes) -> Recognised | None:
    """Tell text from a binary file that was written as text: the latter has control characters.

    Without a byte order mark, control characters mean that the zero bytes belong to a binary file, unless the
    first character is that of DER (0x30).
    """
    encoding = "utf-16-be" if begin.startswith(codecs.BOM_UTF16_BE) or not begin[0] else "utf-16-le"
    text = begin[:_HEAD].decode(encoding, errors="replace").removeprefix("\ufeff")
    if not _CONTROLS.search(text.encode()):
        return _text("text in UTF-16")
    if text.startswith("0") or begin.startswith(_UTF_16_MARKS):
        return _text("a binary file that a program has rewritten as text in UTF-16", _COPY_AGAIN)
    return None


def _pem(parts: list[bytes]) -> Recognised:
    """Name PEM text by its parts (RFC 7468), with the command that makes a PKCS#12 of it."""
    has_key = any(part.endswith(b"private key") for part in parts)
    has_certificate = any(part.endswith(b"certificate") for part in parts)
    if b"pkcs12" in parts:
        remedy = "Take out its first and last line and decode the rest: base64 -d FILE > IDENTITY.p12"
        return Recognised(FileKind.PEM, "a PKCS#12 in PEM text", remedy)
    if has_key and has_certificate:
        remedy = "Convert it: openssl pkcs12 -export -in FILE -out IDENTITY.p12"
        return Recognised(FileKind.PEM, "a PEM file with certificate and key", remedy)
    if has_key:
        return Recognised(FileKind.PEM, "a PEM file with a private key and no certificate", _ADD_CERTIFICATE)
    remedy = "Add its private key: openssl pkcs12 -export -in FILE -inkey KEY -out IDENTITY.p12"
    return Recognised(FileKind.PEM, "a PEM file", remedy)


def _recognise_encoded(begin: bytes) -> Recognised | None:
    """Recognise base64 and hexadecimal digits of a binary file.

    The beginning has to decode to a known file: a list of serial numbers is made of the same characters.
    """
    sample = begin[:_HEAD].removeprefix(codecs.BOM_UTF8).strip().strip(b"\"'")
    if _HEXADECIMAL_DER.fullmatch(sample):
        return _text("a binary file in hexadecimal digits", "Decode it: xxd -r -p FILE > IDENTITY.p12")
    if uri := _DATA_URI.match(sample):
        sample = sample[uri.end() :]
    if not _BASE64_LINES.fullmatch(sample):
        return None
    digits = b"".join(sample.split())[:128].translate(bytes.maketrans(b"-_", b"+/"))
    try:
        decoded = base64.b64decode(digits[: len(digits) & ~3])
    except binascii.Error:
        return None
    known = next((known for magic, known in _MAGIC if len(magic) > 3 and decoded.startswith(magic)), None)
    if known is ZIP:
        return _ZIP_IN_BASE64
    return _BASE64 if uri or known or name_der(decoded) else None


def _recognise_plain(begin: bytes) -> Recognised | None:
    """Recognise text: UTF-8 without control characters, of which binary files have some."""
    head = begin[:_HEAD]
    if _CONTROLS.search(head) or not _is_utf_8(head):
        return None
    return _text("text")


def _recognise_mangled(begin: bytes) -> Recognised | None:
    """Recognise DER (its first octet is 0x30) that a program has read and written as text."""
    if begin[:1] != b"0" or not _CONTROLS.search(begin[:_HEAD]):
        return None
    if not begin.isascii() and _is_utf_8(begin):  # no PKCS#12 is valid UTF-8
        return _text("a binary file that a program has rewritten as text in UTF-8", _COPY_AGAIN)
    line_feeds = begin.count(b"\n")
    if line_feeds > 3 and begin.count(b"\r\n") == line_feeds:
        return _text(
            "a binary file whose line feeds were turned into CR LF on the way",
            "Transfer the original file again, in binary mode (FTP: type `binary`).",
        )
    return None


def _is_utf_8(begin: bytes) -> bool:
    """Return whether bytes are valid UTF-8; the last character may be cut off."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(begin)
    except UnicodeDecodeError:
        return False
    return True
