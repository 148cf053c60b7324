"""A bundle: PKCS#12 entries of a zip joined with the lines of its credentials file, an item for each device.

What is wrong with the zip or the credentials file refuses the whole; what is wrong with one name, entry or
line is that item's refusal, and the others go on. Only `Bundle.read` touches the content of a PKCS#12 entry.

Counting: an item is a PKCS#12 entry, a zip inside the zip, or a credentials line without an entry. What the
operating system left behind and files that mean nothing here are `ignored`; folders and the credentials file
are not counted.
"""

import copy
import enum
from array import array
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO

from bulkcert.errors import EmptyBundle, ItemRefusal, MalformedPkcs12
from bulkcert.formats.bundle.credentials import parse_credentials
from bulkcert.formats.bundle.credentials_file import CredentialsFileChoice
from bulkcert.formats.bundle.entry_names import is_junk, is_pkcs12, is_zip, shown
from bulkcert.formats.bundle.items import BundleItem, Join
from bulkcert.formats.zip.archive import Archive, UnreadableEntry
from bulkcert.formats.zip.records import Content, Entry
from bulkcert.values.identities import IdentityType
from bulkcert.values.limits import Limits

__all__ = ["Bundle", "BundleItem", "read_bundle"]


class Bundle:
    """A bundle that was read: its items, and how many entries were ignored. Its file must stay open.

    records: for each item that has a file (those come first), where the zip's directory describes it.
    """

    def __init__(
        self, items: tuple[BundleItem, ...], ignored: int, archive: Archive, records: "array[int]"
    ) -> None:
        self.items = items
        self.ignored = ignored
        self._archive = archive
        self._records = records

    def read(self, item: BundleItem) -> bytes:
        """Return the content of the item's entry: whole, its CRC checked, within the size limit.

        Raises ItemRefusal: the item's own where it has one, else MalformedPkcs12.
        """
        if item.refusal is not None:
            raise copy.copy(item.refusal)  # several items share one, and raising adds a traceback to it
        return self._read(self._archive.entry(self._records[item.position]))

    @property
    def is_in_order(self) -> bool:
        """Return whether the entries lie in the zip in the order of the items."""
        return self._archive.is_in_order

    def read_all(self) -> Iterator[tuple[BundleItem, bytes | ItemRefusal]]:
        """Yield each item without a refusal, with its content or why there is none, in the order of the zip.

        The zip is read once, from its beginning to its end, however its directory is ordered.
        """
        numbers = array("Q")  # five for each entry: tuples of them would take 30 MB
        positions = array("L")
        entries = (entry for entry in self._archive.entries() if _kind_of(entry) in _ITEM_KINDS)
        for item, entry in zip(self.items, entries, strict=False):  # items without an entry come last
            if item.refusal is None:
                positions.append(item.position)
                numbers.extend(
                    (entry.header_offset, entry.method, entry.crc, entry.compressed_size, entry.size)
                )
        for at in sorted(range(len(positions)), key=lambda at: numbers[5 * at]):
            try:
                found: bytes | ItemRefusal = self._read(Content(*numbers[5 * at : 5 * at + 5]))
            except MalformedPkcs12 as refusal:
                found = refusal
            yield self.items[positions[at]], found

    def _read(self, entry: Entry | Content) -> bytes:
        try:
            return self._archive.read(entry)
        except UnreadableEntry as damage:
            raise MalformedPkcs12(f"The entry is damaged: {damage}.") from None


def read_bundle(
    file: BinaryIO, identity_type: IdentityType, credentials_file: str | None, limits: Limits
) -> Bundle:
    """Read a bundle's directory and its credentials file.

    file: seekable, open for as long as the bundle is used. credentials_file: name of the entry, or None for
    the only `.txt`. Raises RequestRefusal where the zip or its credentials file cannot be used.
    """
    archive = Archive(file, limits)
    choice = CredentialsFileChoice(credentials_file)
    kinds: Counter[_Kind] = Counter()
    for entry in archive.entries():
        kind = _kind_of(entry)
        kinds[kind] += 1
        if kind is _Kind.OTHER:
            choice.consider(entry)
    if not kinds[_Kind.PKCS12]:
        raise _empty(archive, has_zip=kinds[_Kind.ZIP] > 0)
    join = Join(parse_credentials(choice.read(archive, limits), limits), identity_type, limits)
    records = array("Q")
    for entry in archive.entries():
        kind = _kind_of(entry)
        if kind in _ITEM_KINDS:
            join.add(entry, is_nested_zip=kind is _Kind.ZIP)
            records.append(entry.record)
    return Bundle(join.items(), kinds[_Kind.OTHER] - 1, archive, records)


def _empty(archive: Archive, *, has_zip: bool) -> EmptyBundle:
    """Make the refusal of a zip without a PKCS#12, naming some of the files that it holds."""
    names = (entry.name for entry in archive.entries() if _kind_of(entry) is _Kind.OTHER)
    others = [f"'{shown(name, 60)}'" for name in islice((n for n in names if not is_junk(n)), 3)]
    passed_over = f" Passed over: {', '.join(others)}." if others else ""
    return EmptyBundle(
        f"The zip holds no PKCS#12 file{', only another zip' if has_zip else ''}. Expected is one for each "
        f"device, named by its identity and .p12, .pfx or .pkcs12.{passed_over}"
    )


class _Kind(enum.Enum):
    FOLDER = enum.auto()
    PKCS12 = enum.auto()
    ZIP = enum.auto()
    OTHER = enum.auto()


_ITEM_KINDS = frozenset({_Kind.PKCS12, _Kind.ZIP})


def _kind_of(entry: Entry) -> _Kind:
    if entry.is_folder:
        return _Kind.FOLDER
    if is_junk(entry.name):
        return _Kind.OTHER
    if is_pkcs12(entry.name):
        return _Kind.PKCS12
    return _Kind.ZIP if is_zip(entry.name) else _Kind.OTHER
