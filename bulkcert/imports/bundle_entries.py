"""The entries of a bundle, read a portion of its items at a time, in whatever order they lie in the zip.

Mostly they lie in the order of the zip's directory, which is that of the items. Where they do not, to read
item after item would decrypt a block of the upload (64 KiB) for each: 120,000 small entries took 17 s. Such a
bundle is read once, in the order of its bytes, into a spool that is sorted by portions.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from bulkcert.errors import ItemRefusal
from bulkcert.formats.bundle.bundle import Bundle, BundleItem
from bulkcert.imports.sealed_entries import Entry, pack, unpack
from bulkcert.values.secret import Secret

_RUN_BYTES = 32 * 1024
"""Bytes of one portion that are written together; a portion has so many in memory, and there are 600."""

Read = tuple[list[Entry], dict[int, ItemRefusal]]
"""The entries of a portion in the order of its items, and the refusals of the others by position."""


def read_portions(
    bundle: Bundle, portions: Sequence[Sequence[BundleItem]], new_spool: Callable[[], BinaryIO]
) -> Iterator[Read]:
    """Yield what each portion of a bundle's items holds, in their order.

    portions: all items, divided. new_spool: makes an empty file that nobody else can read.
    """
    if bundle.is_in_order:
        for some in portions:
            yield _read_portion(bundle, some)
        return
    with new_spool() as spool:
        yield from _read_sorted(bundle, portions, spool)


def _read_portion(bundle: Bundle, some: Sequence[BundleItem]) -> Read:
    entries: list[Entry] = []
    refused: dict[int, ItemRefusal] = {}
    for item in some:
        found = item.refusal or _read(bundle, item)
        if isinstance(found, Entry):
            entries.append(found)
        else:
            refused[item.position] = found
    return entries, refused


def _read(bundle: Bundle, item: BundleItem) -> Entry | ItemRefusal:
    assert item.password is not None
    try:
        return Entry(item.position, bundle.read(item), item.password)
    except ItemRefusal as refusal:
        return refusal


@dataclass
class _Pile:
    """The packed entries of one portion: runs in the spool (offset and length), and the rest in memory."""

    runs: list[tuple[int, int]] = field(default_factory=list)
    rest: bytearray = field(default_factory=bytearray)


def _read_sorted(
    bundle: Bundle, portions: Sequence[Sequence[BundleItem]], spool: BinaryIO
) -> Iterator[Read]:  # fmt: skip
    firsts = [some[0].position for some in portions]
    piles = [_Pile() for _ in portions]
    refused: dict[int, ItemRefusal] = {}
    alike: dict[str, ItemRefusal] = {}  # a hundred thousand damaged entries share a few refusals
    for item, found in bundle.read_all():
        if isinstance(found, ItemRefusal):
            refused[item.position] = alike.setdefault(found.detail, found)
            continue
        assert item.password is not None
        pile = piles[bisect_right(firsts, item.position) - 1]
        pile.rest += pack([Entry(item.position, found, item.password)]).reveal()
        if len(pile.rest) >= _RUN_BYTES:
            pile.runs.append((spool.tell(), spool.write(pile.rest)))
            pile.rest = bytearray()
    for some, pile in zip(portions, piles, strict=True):
        entries = sorted(_take(pile, spool), key=lambda entry: entry.position)
        refusals = {item.position: item.refusal or refused.get(item.position) for item in some}
        yield entries, {position: refusal for position, refusal in refusals.items() if refusal}


def _take(pile: _Pile, spool: BinaryIO) -> tuple[Entry, ...]:
    content = bytearray()
    for offset, length in pile.runs:
        spool.seek(offset)
        content += spool.read(length)
    content += pile.rest
    pile.rest = bytearray()
    return unpack(Secret(bytes(content)))
