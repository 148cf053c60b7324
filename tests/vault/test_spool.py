"""The spool behaves as a file does, and the disk never sees what is in it."""

import errno
import gc
import io
import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.formparser import FormDataParser

from bulkcert.errors import BrokenSeal, BundleTooLarge, SpoolFull, StorageFull
from bulkcert.vault.spool import BLOCK_BYTES, Spool, SpoolRoom
from tests import builders

SEALED = BLOCK_BYTES + 16
CANARY = b"password=correct horse battery staple\n"
SIZES = st.sampled_from([0, 1, 100, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 7])


@pytest.fixture
def spool(tmp_path):
    with Spool(tmp_path) as made:
        yield made


def open_files() -> int:
    gc.collect()  # what other tests left lying about
    return len(list(Path("/proc/self/fd").iterdir()))


def disk_of(spool: Spool) -> bytes:
    return os.pread(spool._file.fileno(), 1 << 30, 0)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    writes=st.lists(st.tuples(SIZES, st.integers(0, 255)), max_size=5),
    reads=st.lists(
        st.tuples(
            st.integers(0, 4 * BLOCK_BYTES), st.sampled_from([io.SEEK_SET, io.SEEK_CUR, io.SEEK_END]), SIZES
        ),
        max_size=12,
    ),
)
def test_writes_seeks_and_reads_give_what_bytesio_gives(tmp_path, writes, reads):
    with Spool(tmp_path) as spool:
        model = io.BytesIO()
        for size, seed in writes:
            content = bytes((seed + i) % 251 for i in range(size))
            assert spool.write(content) == model.write(content)
        for offset, whence, size in reads:
            distance = -min(offset, len(spool)) if whence == io.SEEK_END else offset
            assert spool.seek(distance, whence) == model.seek(distance, whence)
            assert spool.read(size) == model.read(size)
            assert spool.tell() == model.tell()
        spool.seek(0)
        assert spool.read() == model.getvalue()
        assert len(spool) == len(model.getvalue())


def test_writing_goes_on_after_reading(spool):
    spool.write(b"a" * (BLOCK_BYTES + 5))
    spool.seek(BLOCK_BYTES - 1)
    assert spool.read() == b"a" * 6
    spool.write(b"b" * BLOCK_BYTES)
    spool.seek(BLOCK_BYTES)
    assert spool.read() == b"a" * 5 + b"b" * BLOCK_BYTES


@pytest.mark.parametrize("position", [0, BLOCK_BYTES, 2 * BLOCK_BYTES + 1])
def test_it_is_written_at_its_end_only(spool, position):
    spool.write(bytes(2 * BLOCK_BYTES))
    spool.seek(position)
    with pytest.raises(io.UnsupportedOperation):
        spool.write(b"x")


def test_the_disk_never_holds_the_plain_text(spool):
    for _ in range(4 * BLOCK_BYTES // len(CANARY)):
        spool.write(CANARY)
    disk = disk_of(spool)
    assert len(disk) == len(spool) // BLOCK_BYTES * SEALED > 0
    assert CANARY[:8] not in disk
    assert b"password" not in disk


def test_equal_blocks_are_sealed_differently_and_so_are_equal_spools(tmp_path):
    disks = []
    for _ in range(2):
        with Spool(tmp_path) as spool:
            spool.write(bytes(2 * BLOCK_BYTES))
            disks += [disk_of(spool)[:SEALED], disk_of(spool)[SEALED:]]
    assert len(set(disks)) == 4


def test_each_block_is_sealed_once_under_its_own_nonce(spool, monkeypatch):
    sealed = []

    class Recording:
        def encrypt(self, nonce, block, associated):
            sealed.append((nonce, len(block)))
            return block + bytes(16)

    spool._cipher = Recording()
    for _ in range(300):
        spool.write(b"x" * 1000)
    assert sealed == [(i.to_bytes(12, "big"), BLOCK_BYTES) for i in range(300_000 // BLOCK_BYTES)]


def test_a_small_upload_never_touches_the_disk(spool):
    spool.write(CANARY)
    assert disk_of(spool) == b""


def test_the_file_has_no_name_and_is_the_owners_alone(spool, tmp_path):
    spool.write(bytes(BLOCK_BYTES))
    found = os.fstat(spool._file.fileno())
    assert list(tmp_path.iterdir()) == []
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert found.st_nlink == 0
    assert found.st_dev == tmp_path.stat().st_dev


@pytest.mark.parametrize("where", [0, 100, SEALED - 1, SEALED, 2 * SEALED - 16])
def test_a_flipped_bit_breaks_the_seal_of_its_block_and_of_no_other(spool, where):
    spool.write(bytes(2 * BLOCK_BYTES))
    flipped = bytes([os.pread(spool._file.fileno(), 1, where)[0] ^ 1])
    os.pwrite(spool._file.fileno(), flipped, where)
    broken = where // SEALED
    spool.seek(broken * BLOCK_BYTES)
    with pytest.raises(BrokenSeal):
        spool.read(1)
    spool.seek((1 - broken) * BLOCK_BYTES)
    assert spool.read(BLOCK_BYTES) == bytes(BLOCK_BYTES)


def test_blocks_that_change_places_break_the_seal(spool):
    spool.write(bytes(2 * BLOCK_BYTES))
    disk = disk_of(spool)
    os.pwrite(spool._file.fileno(), disk[SEALED:] + disk[:SEALED], 0)
    spool.seek(0)
    with pytest.raises(BrokenSeal):
        spool.read()


@pytest.mark.parametrize("left", [0, 5, 16, SEALED - 1])
def test_a_file_that_was_cut_breaks_the_seal(spool, left):
    spool.write(bytes(BLOCK_BYTES))
    os.ftruncate(spool._file.fileno(), left)
    spool.seek(0)
    with pytest.raises(BrokenSeal):
        spool.read(1)


@pytest.mark.parametrize(("most", "writes", "accepted"), [
    (10, [10], True),
    (10, [11], False),
    (10, [5, 5], True),
    (10, [5, 6], False),
    (BLOCK_BYTES, [BLOCK_BYTES], True),
    (BLOCK_BYTES, [BLOCK_BYTES, 1], False),
    (0, [], True),
    (0, [1], False),
])  # fmt: skip
def test_more_than_the_limit_is_refused_as_it_is_written(tmp_path, most, writes, accepted):
    with Spool(tmp_path, most_bytes=most) as spool:
        if accepted:
            assert [spool.write(bytes(size)) for size in writes] == writes
        else:
            with pytest.raises(BundleTooLarge):
                [spool.write(bytes(size)) for size in writes]
            assert spool.closed


def test_a_full_disk_is_told_and_frees_what_was_written(tmp_path):
    spool = Spool(tmp_path)
    spool._file.close()
    with Path("/dev/full").open("wb", buffering=0) as full:
        spool._file = full
        spool.write(bytes(BLOCK_BYTES - 1))
        with pytest.raises(OSError) as told:
            spool.write(b"x")
    assert told.value.errno == errno.ENOSPC
    assert spool.closed


def test_a_file_that_takes_less_than_it_is_given_is_written_on(spool, monkeypatch):
    class Reluctant:
        def __init__(self, file):
            self.file = file

        def write(self, content):
            return self.file.write(content[: len(content) // 2 + 1])

        def __getattr__(self, name):
            return getattr(self.file, name)

    spool._file = Reluctant(spool._file)
    content = os.urandom(2 * BLOCK_BYTES)
    spool.write(content)
    spool.seek(0)
    assert spool.read() == content


def test_closing_frees_the_file_and_the_key(tmp_path):
    before = open_files()
    spool = Spool(tmp_path)
    spool.write(bytes(BLOCK_BYTES))
    spool.close()
    spool.close()
    assert open_files() == before
    assert not hasattr(spool, "_cipher")
    for use in (spool.read, spool.peek, spool.tell, lambda: spool.seek(0), lambda: spool.write(b"x")):
        with pytest.raises(ValueError, match="closed"):
            use()


def test_a_spool_that_is_forgotten_closes_itself(tmp_path):
    before = open_files()
    Spool(tmp_path).write(b"x")
    assert open_files() == before


def test_a_directory_that_is_not_there_is_told(tmp_path):
    with pytest.raises(FileNotFoundError):
        Spool(tmp_path / "missing")


@pytest.mark.parametrize(("offset", "whence"), [(-1, io.SEEK_SET), (-4, io.SEEK_CUR), (-4, io.SEEK_END)])
def test_seeking_before_the_start_fails_as_it_does_on_a_disk(spool, offset, whence):
    spool.write(b"abc")
    with pytest.raises(OSError):
        spool.seek(offset, whence)


def test_lines_can_be_read(spool):
    lines = [b"%d\n" % number for number in range(20_000)]
    spool.writelines(lines)
    spool.seek(0)
    assert list(spool) == lines
    spool.seek(0)
    assert io.TextIOWrapper(spool, encoding="ascii").read() == b"".join(lines).decode()


def test_reading_far_more_than_there_is_costs_no_memory(spool):
    spool.write(b"abc")
    spool.seek(0)
    assert spool.read(1 << 60) == b"abc"


def test_werkzeug_parses_a_multipart_body_into_it(tmp_path):
    content = os.urandom(3 * BLOCK_BYTES + 11)
    body = (
        b'--x\r\nContent-Disposition: form-data; name="bundle"; filename="b.zip"\r\n\r\n' + content + b"\r\n"
        b'--x\r\nContent-Disposition: form-data; name="identity_type"\r\n\r\nIMEI\r\n--x--\r\n'
    )
    parser = FormDataParser(stream_factory=lambda *_, **__: Spool(tmp_path))
    _, form, files = parser.parse(io.BytesIO(body), "multipart/form-data", len(body), {"boundary": "x"})
    assert form["identity_type"] == "IMEI"
    with files["bundle"].stream as stream:
        assert isinstance(stream, Spool)
        assert stream.read() == content


def test_zipfile_reads_a_bundle_out_of_it(spool):
    files = {f"DEVICE{number}.p12": os.urandom(9000) for number in range(40)}
    spool.write(builders.a_zip(files))
    with zipfile.ZipFile(spool) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in reversed(archive.namelist())} == files


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip" * 10_000])
def test_zipfile_says_of_anything_else_that_it_is_no_zip(spool, content):
    spool.write(content)
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(spool)


# --- the room of all spools ---------------------------------------------------------------------------

BLOCK = BLOCK_BYTES + 16


def a_room(tmp_path: Path, most: int = 10 * BLOCK, most_of_owner: int = 4 * BLOCK) -> SpoolRoom:
    return SpoolRoom(tmp_path, most, most_of_owner)


def test_an_owner_fills_its_own_room_and_not_that_of_others(tmp_path: Path) -> None:
    room = a_room(tmp_path)
    first, second = (Spool(tmp_path, None, room, "olga") for _ in range(2))
    first.write(bytes(3 * BLOCK_BYTES))
    second.write(bytes(BLOCK_BYTES))

    with pytest.raises(SpoolFull):
        second.write(bytes(BLOCK_BYTES))
    assert second.closed
    Spool(tmp_path, None, room, "piet").write(bytes(4 * BLOCK_BYTES))
    first.write(bytes(BLOCK_BYTES))  # the room of the closed one is free


def test_all_owners_together_have_so_much_room(tmp_path: Path) -> None:
    room = a_room(tmp_path, most=5 * BLOCK)
    kept = Spool(tmp_path, None, room, "olga")
    kept.write(bytes(4 * BLOCK_BYTES))
    other = Spool(tmp_path, None, room, "piet")

    with pytest.raises(SpoolFull):
        other.write(bytes(2 * BLOCK_BYTES))
    kept.close()
    Spool(tmp_path, None, room, "piet").write(bytes(4 * BLOCK_BYTES))


def test_room_is_counted_while_it_is_written_and_given_back_once(tmp_path: Path) -> None:
    room = a_room(tmp_path)
    for _ in range(20):
        with Spool(tmp_path, None, room, "olga") as spool:
            spool.write(bytes(4 * BLOCK_BYTES))
            spool.close()

    assert not room._taken


def test_a_part_of_the_disk_stays_free_for_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def volume(free: int) -> Callable[[Path], SimpleNamespace]:
        return lambda _: SimpleNamespace(f_frsize=4096, f_blocks=10_000, f_bavail=free // 4096)

    spool = Spool(tmp_path, None, a_room(tmp_path), "olga")
    monkeypatch.setattr("bulkcert.vault.spool.os.statvfs", volume(4096 * 10_000 // 20 + 2 * BLOCK))
    spool.write(bytes(BLOCK_BYTES))
    monkeypatch.setattr("bulkcert.vault.spool.os.statvfs", volume(4096 * 10_000 // 20))

    with pytest.raises(StorageFull):
        spool.write(bytes(BLOCK_BYTES))
