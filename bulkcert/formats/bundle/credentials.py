"""The credentials file: one `<identity>.p12=<password>` or `<identity>=<password>` per line.

Lines end in LF, CRLF or CR and in nothing else: a password may hold any other character, U+2028 included.
The password is all that follows the first `=`; spaces, `#` and further `=` belong to it.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

from bulkcert.errors import (
    InvalidIdentity,
    InvalidPassword,
    ItemRefusal,
    TooManyEntries,
    UndecodableCredentialsFile,
)
from bulkcert.errors.file_kinds import FileKind
from bulkcert.formats.bundle.entry_names import shown, without_suffix
from bulkcert.formats.recognition import describe, looks_like_utf_16, recognise
from bulkcert.values.identities import LONGEST
from bulkcert.values.limits import Limits
from bulkcert.values.misspellings import Misspelling, find_misspelling, name_character
from bulkcert.values.secret import Secret

LONGEST_LINE = 4096
"""Characters; no tool that makes PKCS#12 files takes a password near that."""

_LONGEST_NAME = 256
"""Characters of a name that are looked at; longer than that of any device."""

_BEFORE_A_NAME = "\"'\u201c\u201d\u201e\ufeff\u200b\u200e\u200f"
_LEADING_NAME = re.compile(r"[0-9A-Za-z-]*")
_NAME_AND_OTHER_SIGN = re.compile(r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z]+)?\s*([:\u2254\ua78a\ufe66\uff1a\uff1d])")
"""A name and what people and input methods write for `=` behind it: colons, and other signs of equality."""

_NO_LIMITS_GIVEN = Limits()


@dataclass(frozen=True, slots=True)
class CredentialLine:
    """One line. `number` counts from 1, blank lines included; `name` is the identity as it stands there.

    Where the line has no `=`, `name` is only what could be an identity at its beginning: the rest may be a
    password that was meant to follow an `=`. `refusal` is set where there is no usable password.
    """

    number: int
    name: str
    password: Secret | None
    refusal: ItemRefusal | None

    @property
    def written(self) -> str:
        """The name, safe to show."""
        return shown(self.name, LONGEST)


def parse_credentials(content: bytes, limits: Limits = _NO_LIMITS_GIVEN) -> tuple[CredentialLine, ...]:
    """Read a credentials file: UTF-8 with or without a byte order mark, or UTF-16 with one.

    Raises UndecodableCredentialsFile, or TooManyEntries beyond `limits.entries` lines that are not blank.
    """
    return tuple(_credential_line(number, line) for number, line in text_lines(content, limits))


def text_lines(content: bytes, limits: Limits) -> Iterator[tuple[int, str]]:
    """Return the lines of a text file that are not blank, without their ends, numbered from 1.

    Raises UndecodableCredentialsFile naming the line, or TooManyEntries beyond `limits.entries` lines.
    """
    _refuse_what_is_not_text(content)
    left = limits.entries
    with_line_feeds = _as_utf8(content).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    for number, raw in enumerate(io.BytesIO(with_line_feeds), start=1):
        if raw.isspace():
            continue
        try:
            line = raw.removesuffix(b"\n").decode()
        except UnicodeDecodeError:
            raise UndecodableCredentialsFile(f"Line {number} of the text file is not UTF-8.") from None
        if line.isspace():
            continue
        if not left:
            raise TooManyEntries(f"The text file has more than {limits.entries} lines.")
        left -= 1
        yield number, line


def _refuse_what_is_not_text(content: bytes) -> None:
    found = recognise(content)
    # Serial numbers are made of the characters of base64, so a list may look like it.
    if found is not None and found.kind not in {FileKind.EMPTY, FileKind.TEXT, FileKind.BASE64}:
        raise UndecodableCredentialsFile(describe(found, "a text file of lines"), found=found.kind)


def _as_utf8(content: bytes) -> bytes:
    if content.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        raise UndecodableCredentialsFile("The text file is UTF-32.")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _utf_16_as_utf8(content)
    if looks_like_utf_16(content):
        raise UndecodableCredentialsFile("The text file looks like UTF-16 without a byte order mark.")
    return content.removeprefix(b"\xef\xbb\xbf")


def _utf_16_as_utf8(content: bytes) -> bytes:
    encoding = "utf-16-le" if content.startswith(b"\xff\xfe") else "utf-16-be"
    text = content[2:]
    try:
        return text.decode(encoding).encode()
    except UnicodeDecodeError as error:
        number = text[: error.start].decode(encoding, errors="replace").count("\n") + 1
        raise UndecodableCredentialsFile(f"Line {number} of the text file is not UTF-16.") from None


def _credential_line(number: int, line: str) -> CredentialLine:
    name, equals, password = line.partition("=")
    where = f"Line {number} of the credentials file"
    if not equals:
        return _line_without_password(number, line)
    if formula := _misspelt_formula(line):
        fault = InvalidIdentity(f"{where}: {formula.fault}")
        return CredentialLine(number, (formula.meant or "")[:_LONGEST_NAME], None, fault)
    name = without_suffix(name.strip())[:_LONGEST_NAME]
    if len(line) > LONGEST_LINE:
        refusal = InvalidPassword(f"{where} is longer than {LONGEST_LINE} characters.")
        return CredentialLine(number, name, None, refusal)
    if "\0" in line:
        return CredentialLine(number, name, None, InvalidPassword(f"{where} holds a NUL character."))
    return CredentialLine(number, name, Secret(password.encode()), None)


def _misspelt_formula(line: str) -> Misspelling | None:
    """Recognise `="A12...",...`: what stands before its first `=` is nothing."""
    return find_misspelling(line) if line.lstrip().startswith('="') else None


def _line_without_password(number: int, line: str) -> CredentialLine:
    """Make a line that has no `=`, saying what it is where that shows."""
    misspelling = find_misspelling(without_suffix(line.strip()))
    reason = f" {misspelling.fault}" if misspelling else _name_other_sign(line)
    refusal = InvalidPassword(f"Line {number} of the credentials file has no '='.{reason}")
    found = _LEADING_NAME.match(line.strip().lstrip(_BEFORE_A_NAME))
    return CredentialLine(number, found.group()[:LONGEST] if found else "", None, refusal)


def _name_other_sign(line: str) -> str:
    """Return a sentence that names the sign in the place of `=`, or nothing."""
    found = _NAME_AND_OTHER_SIGN.match(line.strip())
    return f" In its place stands {name_character(found[1])}: write '='." if found else ""
