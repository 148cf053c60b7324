"""Entries and credentials lines, brought together by the device that they name: one item for each.

Both meet by the normal form of the identity, or, where it is none, by the text as it was written. A bundle
may hold 120,000 entries: only the items outlive the join, and refusals that read the same are one object.

A line or an entry whose name is misspelt fails with the fault. Where it is clear which device is meant, it is
not one failed item for the entry and one for the line, but one for both.
"""

import dataclasses
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from bulkcert.errors import (
    DuplicateIdentity,
    InvalidIdentity,
    ItemRefusal,
    MalformedPkcs12,
    NoCredential,
    NoPkcs12,
    TooLarge,
    TooManyEntries,
)
from bulkcert.formats import recognition
from bulkcert.formats.bundle.credentials import CredentialLine
from bulkcert.formats.bundle.entry_names import basename, fault_of, shown, stem, without_suffix
from bulkcert.formats.recognition import not_pkcs12
from bulkcert.formats.zip.records import Entry
from bulkcert.values.identities import LONGEST, DeviceIdentity, IdentityType
from bulkcert.values.limits import Limits
from bulkcert.values.misspellings import find_misspelling, is_header
from bulkcert.values.secret import Secret

_BEFORE_COPY_MARKS = re.compile(r"^([^(._]{8,64}?) ?(?: [-\u2013\u2014] .*|\(.*|\..*)$")
_WORDS = re.compile(r"[0-9A-Za-z]{8,20}")


@dataclass(frozen=True, slots=True)
class BundleItem:
    """One device of a bundle. Where `refusal` is set it fails without being opened, and has no password.

    position: from 0, entries in the zip's order, then lines without an entry in theirs. file: the entry's
    name, None for a line without one. written: the identity as it was written, None where a line has none
    that may be shown. Both are safe to show. identity: None where what is written is no device identity.
    line: number of the line that holds the password, None where the item has failed.
    """

    position: int
    file: str | None
    identity: DeviceIdentity | None
    written: str | None
    password: Secret | None
    refusal: ItemRefusal | None
    line: int | None = None


class _Device(NamedTuple):
    """What a name stands for: all spellings of one device have one key.

    A text that is no identity is its own key. The two kinds never collide: a text that reads like the normal
    form of an identity is that identity.
    """

    key: str
    identity: DeviceIdentity | None
    fault: str | None


def _line(line: CredentialLine) -> str:
    return f"Line {line.number} of the credentials file"


class Join:
    """Takes in the lines of a credentials file, then entry after entry, then gives the items.

    Raises no refusal but TooManyEntries, where items without an entry bring their number over the limit.
    """

    def __init__(self, lines: Iterable[CredentialLine], identity_type: IdentityType, limits: Limits) -> None:
        self._identity_type = identity_type
        self._limits = limits
        self._items: list[BundleItem] = []
        self._item_of: dict[str, int] = {}  # the first, by key
        self._items_of: dict[str, list[int]] = {}  # all, where there are several
        self._line_of: dict[str, CredentialLine] = {}  # the first that no entry has claimed yet
        self._lines_of: dict[str, list[CredentialLine]] = {}  # all, where there are several
        self._misspelt_lines: list[tuple[CredentialLine, str]] = []  # each with the key of the device meant
        self._misspelt_entries: list[int] = []  # positions of their items
        self._refusals: dict[str, ItemRefusal] = {}
        for line in lines:
            self._add_line(line)

    def _add_line(self, line: CredentialLine) -> None:
        device = self._device(line.name)
        if device.identity is None and (misspelt := self._misspelt(line, device.fault)):
            self._misspelt_lines.append(misspelt)
            return
        first = self._line_of.setdefault(device.key, line)
        if first is not line:
            self._lines_of.setdefault(device.key, [first]).append(line)

    def _misspelt(self, line: CredentialLine, fault: str | None) -> tuple[CredentialLine, str] | None:
        """Refuse a line whose name is misspelt, where it shows which device is meant."""
        found = find_misspelling(line.name)
        if found is None or found.meant is None:
            return None
        meant = self._device(without_suffix(found.meant))
        if meant.identity is None:
            return None
        refusal = line.refusal or InvalidIdentity(f"{_line(line)}: {fault}")
        return dataclasses.replace(line, password=None, refusal=refusal), meant.key

    def add(self, entry: Entry, *, is_nested_zip: bool) -> None:
        """Make an item of an entry."""
        position = len(self._items)
        file = shown(entry.name)
        name = stem(entry.name)
        written = shown(name, LONGEST)
        if is_nested_zip:
            self._items.append(
                BundleItem(position, file, None, written, None, self._shared(not_pkcs12(recognition.ZIP)))
            )
            return
        device = self._device(name)
        if device.key == written:
            written = device.key  # one string for both
        if device.identity is None and not fault_of(entry.name):
            self._misspelt_entries.append(position)
        first = self._item_of.setdefault(device.key, position)
        if first != position:
            self._items_of.setdefault(device.key, [first]).append(position)
        line = self._line_of.pop(device.key, None)
        refusal = self._refusal_of(entry, device, line)
        password, number = (line.password, line.number) if line and not refusal else (None, None)
        self._items.append(BundleItem(position, file, device.identity, written, password, refusal, number))
        # Each entry still to come adds an item and claims at most one line, so this only ever grows.
        self._check_number(len(self._items) + len(self._line_of) - len(self._misspelt_entries))

    def items(self) -> tuple[BundleItem, ...]:
        """Return all items: entries in the zip's order, then lines without an entry in theirs."""
        self._join_misspelt_entries()
        alone = self._join_misspelt_lines()
        self._refuse_duplicates()
        alone += [line for key, line in self._line_of.items() for line in self._lines_of.get(key, [line])]
        self._check_number(len(self._items) + len(alone))
        self._line_of.clear()
        alone.sort(key=lambda line: line.number, reverse=True)
        while alone:
            self._items.append(self._item_alone(alone.pop()))
        return tuple(self._items)

    def _join_misspelt_entries(self) -> None:
        """Let an entry whose name holds more than an identity take the line of that device, and say so."""
        for position in self._misspelt_entries:
            item = self._items[position]
            identity = self._identity_within(basename(item.file or ""))
            if identity is None:
                continue
            refusal = InvalidIdentity(
                "The name of the entry holds more than the device identity, as that of a copy does. "
                f"Rename the file to {identity.value}.p12."
            )
            if identity.value in self._line_of and identity.value not in self._lines_of:
                del self._line_of[identity.value]
                item = dataclasses.replace(item, identity=identity)
            self._items[position] = dataclasses.replace(item, refusal=refusal)

    def _identity_within(self, name: str) -> DeviceIdentity | None:
        """Find the identity of a line or an entry of this bundle within a longer name."""
        for part in (*_BEFORE_COPY_MARKS.findall(name), *_WORDS.findall(name)):
            identity = self._device(part.strip()).identity
            if identity is not None and (identity.value in self._line_of or identity.value in self._item_of):
                return identity
        return None

    def _join_misspelt_lines(self) -> list[CredentialLine]:
        """Refuse entries that miss nothing but the line that is misspelt; return the other such lines."""
        alone: list[CredentialLine] = []
        for line, key in self._misspelt_lines:
            position = self._item_of.get(key)
            item = None if position is None else self._items[position]
            if position is not None and item is not None and isinstance(item.refusal, NoCredential):
                self._items[position] = dataclasses.replace(item, refusal=line.refusal)
            else:
                alone.append(line)
        return alone

    def _check_number(self, items: int) -> None:
        if items > self._limits.entries:
            raise TooManyEntries(
                f"The zip and the credentials file name more than {self._limits.entries} devices."
            )

    def _device(self, written: str) -> _Device:
        try:
            identity = DeviceIdentity.parse(self._identity_type, written)
        except InvalidIdentity as refusal:
            return _Device(written, None, refusal.detail)
        return _Device(identity.value, identity, None)

    def _refusal_of(self, entry: Entry, device: _Device, line: CredentialLine | None) -> ItemRefusal | None:
        if fault := fault_of(entry.name) or device.fault:
            return self._shared(InvalidIdentity(fault))
        if not entry.is_ordinary:
            return self._shared(MalformedPkcs12("The entry is a link or a device, not a file."))
        if entry.size == 0:
            return self._shared(not_pkcs12(recognition.EMPTY))
        if entry.size > self._limits.pkcs12_bytes:
            return TooLarge(f"The entry has {entry.size} bytes; the limit is {self._limits.pkcs12_bytes}.")
        if line is None:
            return self._shared(NoCredential("The credentials file has no line for this device."))
        return line.refusal

    def _item_alone(self, line: CredentialLine) -> BundleItem:
        position = len(self._items)
        if line.refusal:
            # Without an '=', what stands in the line may be a password: only its number is shown.
            written = line.written if isinstance(line.refusal, InvalidIdentity) else None
            return BundleItem(position, None, None, written, None, line.refusal)
        device = self._device(line.name)
        fault = device.fault
        if is_header(line.name) and (header := find_misspelling(line.name)):
            fault = header.fault  # it may read like a serial number
        where = _line(line)
        refusal: ItemRefusal
        if fault:
            refusal = InvalidIdentity(f"{where}: {fault}")
        elif device.key in self._lines_of:
            refusal = self._duplicate(device.key)
        else:
            refusal = NoPkcs12(f"{where} names a device for which the zip holds no PKCS#12.")
        return BundleItem(position, None, device.identity, line.written, None, refusal)

    def _refuse_duplicates(self) -> None:
        """Fail every entry of a device that has several entries or several lines."""
        for key in self._lines_of:
            if key in self._item_of:
                self._items_of.setdefault(key, [self._item_of[key]])
        for key, positions in self._items_of.items():
            refusal = self._duplicate(key)
            for position in positions:
                item = self._items[position]
                if not isinstance(item.refusal, InvalidIdentity):
                    self._items[position] = dataclasses.replace(
                        item, password=None, refusal=refusal, line=None
                    )

    def _duplicate(self, key: str) -> ItemRefusal:
        """Make the refusal of all entries and lines of a device, naming the first of them."""
        files = [self._items[position].file or "" for position in self._items_of.get(key, [])]
        places = [f"'{shown(file, 60)}'" for file in files[:3]]
        lines = self._lines_of.get(key, [])
        places += [f"line {line.number} of the credentials file" for line in lines[:3]]
        more = " and more" if len(files) > 3 or len(lines) > 3 else ""
        return DuplicateIdentity(f"The same device stands in {', '.join(places)}{more}.")

    def _shared(self, refusal: ItemRefusal) -> ItemRefusal:
        return self._refusals.setdefault(refusal.detail, refusal)
