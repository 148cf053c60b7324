"""The entries of a bundle come in the order of its items, and the zip is read once, however it is ordered."""

import io
import random
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkcert.formats.bundle.bundle import Bundle, read_bundle
from bulkcert.imports import bundle_entries
from bulkcert.imports.bundle_entries import Read, read_portions
from bulkcert.imports.sealed_entries import Entry
from bulkcert.values.identities import IdentityType
from bulkcert.values.limits import Limits
from bulkcert.vault.spool import BLOCK_BYTES, Spool
from tests.verbs import Verbs

BAD = b"damaged on the way"


def shuffled(contents: list[bytes], order: list[int], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Make a bundle whose contents lie in the order of the list, and whose directory is in another."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for number, content in enumerate(contents):
            archive.writestr(f"{number:08}.p12", content)
        archive.filelist = [archive.filelist[at] for at in order]
        lines = "".join(f"{number:08}=password {number}\n" for number in range(len(contents)))
        archive.writestr("credential.txt", lines)
    return made.getvalue().replace(BAD, bytes(len(BAD)))


class CountedSpool(Spool):
    """Counts the blocks that are decrypted: that is what reading costs."""

    opened_blocks = 0

    def _open(self, number: int) -> bytes:
        self.opened_blocks += 1
        return super()._open(number)


def spooled(content: bytes, directory: Path) -> CountedSpool:
    spool = CountedSpool(directory)
    spool.write(content)
    return spool


def bundle_of(file: io.BufferedIOBase | io.BytesIO) -> Bundle:
    return read_bundle(file, IdentityType.SERIAL_NUMBER, None, Limits())  # type: ignore[arg-type]


def read_all(bundle: Bundle, size: int = 7) -> list[Read]:
    portions = [bundle.items[at : at + size] for at in range(0, len(bundle.items), size)]
    return list(read_portions(bundle, portions, io.BytesIO))


@settings(max_examples=40)
@given(st.randoms(use_true_random=False), st.integers(1, 30), st.booleans())
def test_a_shuffled_zip_gives_what_its_items_say(rng: random.Random, number: int, is_spilled: bool) -> None:
    contents = [rng.randbytes(rng.randint(0, 300)) for _ in range(number)]
    contents[rng.randrange(number)] = BAD
    order = rng.sample(range(number), number)
    bundle = bundle_of(io.BytesIO(shuffled(contents, order, zipfile.ZIP_STORED)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle_entries, "_RUN_BYTES", 200 if is_spilled else 10**6)
        found = read_all(bundle)

    assert [item.file for item in bundle.items] == [f"{at:08}.p12" for at in order]
    for at, some in enumerate(found):
        expected: list[Entry] = []
        refused: dict[int, tuple[str, str]] = {}
        for item in bundle.items[7 * at : 7 * at + 7]:
            each = item.refusal or bundle_entries._read(bundle, item)
            if isinstance(each, Entry):
                expected.append(each)
            else:
                refused[item.position] = (each.code, each.detail)
        assert some[0] == expected
        assert {place: (each.code, each.detail) for place, each in some[1].items()} == refused


@pytest.mark.slow
def test_a_shuffled_zip_is_read_once(tmp_path: Path) -> None:
    number = 6000
    rng = random.Random(7)
    contents = [rng.randbytes(700) for _ in range(number)]
    spool = spooled(shuffled(contents, rng.sample(range(number), number)), tmp_path)
    blocks = len(spool) // BLOCK_BYTES + 1
    bundle = bundle_of(spool)
    gathered = spooled(b"", tmp_path)
    portions = [bundle.items[at : at + 200] for at in range(0, number, 200)]
    spool.opened_blocks = 0
    read = list(read_portions(bundle, portions, lambda: gathered))

    assert sum(len(entries) for entries, _ in read) == number
    assert not bundle.is_in_order
    # A window and a block end in different places, so that each block is opened for two windows; the
    # directory is read beside the contents. Item by item it would be 12,000.
    assert spool.opened_blocks <= 3 * blocks
    assert gathered.opened_blocks <= 4 * blocks


def test_a_zip_in_order_takes_no_second_spool(tmp_path: Path) -> None:
    contents = [bytes([at]) * 100 for at in range(20)]
    bundle = bundle_of(spooled(shuffled(contents, list(range(20))), tmp_path))

    def refuse() -> io.BytesIO:
        raise AssertionError("a second spool was made")

    [(entries, refused)] = read_portions(bundle, [bundle.items], refuse)

    assert bundle.is_in_order
    assert [entry.pkcs12 for entry in entries] == contents
    assert refused == {}


def test_an_import_of_a_shuffled_zip_reports_in_the_order_of_its_directory(verbs: Verbs) -> None:
    request = verbs.import_bundle(shuffled([b"x"] * 5, [3, 0, 4, 1, 2]))

    assert [item.file for item in verbs.items(request)] == [f"{at:08}.p12" for at in (3, 0, 4, 1, 2)]
