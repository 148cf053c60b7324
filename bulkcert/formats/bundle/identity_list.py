"""The list of a bulk deletion: device identities, one per line of a text file, or a zip.

A zip that holds exactly one text file means the lines of that file, whatever else it holds: a whole import
bundle sent again deletes what it imported. A zip without a text file means the names of its `.p12`,
`.pfx` and `.pkcs12` entries; their contents are not read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from bulkcert.errors import CredentialsFileTooLarge, EmptyList
from bulkcert.errors.file_kinds import FileKind
from bulkcert.formats.bundle.credentials import text_lines
from bulkcert.formats.bundle.credentials_file import CredentialsFileChoice
from bulkcert.formats.bundle.entry_names import is_junk, is_pkcs12, stem, without_suffix
from bulkcert.formats.recognition import MOST_LOOKED_AT, recognise
from bulkcert.formats.zip.archive import Archive
from bulkcert.values.limits import Limits

_LONGEST_NAME = 256


@dataclass(frozen=True, slots=True)
class ListedIdentity:
    """One device of a list; not yet known to be an identity.

    line: number in the text file, from 1; in a list made of entry names, the number among them. name: as it
    stands there (hostile), at most 256 characters.
    """

    line: int
    name: str


def read_identity_list(file: BinaryIO, limits: Limits) -> tuple[ListedIdentity, ...]:
    """Read a list, in the order in which it stands.

    `.p12`, `.pfx`, `.pkcs12` and `=anything` after a name are dropped.

    file: seekable. Raises EmptyList, UndecodableCredentialsFile, CredentialsFileTooLarge, TooManyEntries, or,
    of a zip, what `Archive` raises and AmbiguousCredentialsFile where it holds several text files.
    """
    file.seek(0)
    begins_like = recognise(file.read(MOST_LOOKED_AT))
    if begins_like is not None and begins_like.kind is FileKind.ZIP:
        listed = tuple(_listed_in_zip(Archive(file, limits), limits))
    else:
        listed = tuple(_listed_in_text(_text(file, limits), limits))
    if not listed:
        raise EmptyList("The list names no device.")
    return listed


def _text(file: BinaryIO, limits: Limits) -> bytes:
    file.seek(0)
    content = file.read(limits.credentials_file_bytes + 1)
    if len(content) > limits.credentials_file_bytes:
        raise CredentialsFileTooLarge(f"The list is longer than {limits.credentials_file_bytes} bytes.")
    return content


def _listed_in_zip(archive: Archive, limits: Limits) -> Iterator[ListedIdentity]:
    choice = CredentialsFileChoice(None)
    for entry in archive.entries():
        choice.consider(entry)
    if not choice.has_none:
        return _listed_in_text(choice.read(archive, limits), limits)
    listed = tuple(_listed_by_name(archive))
    if not listed:
        raise EmptyList(choice.explain("The zip holds neither a text file nor a PKCS#12 file."))
    return iter(listed)


def _listed_by_name(archive: Archive) -> Iterator[ListedIdentity]:
    names = (entry.name for entry in archive.entries())
    wanted = (name for name in names if is_pkcs12(name) and not is_junk(name))
    for number, name in enumerate(wanted, start=1):
        yield ListedIdentity(number, stem(name)[:_LONGEST_NAME])


def _listed_in_text(content: bytes, limits: Limits) -> Iterator[ListedIdentity]:
    for number, line in text_lines(content, limits):
        # A cell of a spreadsheet (="...") begins with the sign that ends a name elsewhere.
        name = line if line.lstrip().startswith('="') else line.partition("=")[0]
        yield ListedIdentity(number, without_suffix(name.strip())[:_LONGEST_NAME])
