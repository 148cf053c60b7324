"""The vault: sealed records open in their own place, unaltered, under their own key, and nowhere else."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkcert.errors import BrokenSeal, MasterKeyExposed, MasterKeyMissing, NoAccess, WrongMasterKey
from bulkcert.values.secret import Secret
from bulkcert.vault.master_key import MasterKey, new_master_key, read_key_file, write_key_file
from bulkcert.vault.places import Place
from bulkcert.vault.vault import Vault

HERE = Place("certificates", "7", "sealed_private_key")
KEY = MasterKey(Secret(b"k" * 32))


@given(st.binary(max_size=5000))
def test_what_was_sealed_opens_to_the_same_bytes(content: bytes) -> None:
    vault = Vault((KEY,))

    assert vault.open(vault.seal(Secret(content), HERE), HERE).reveal() == content


def test_any_flipped_bit_is_found() -> None:
    vault = Vault((KEY,))
    sealed = vault.seal(Secret(b"a key"), HERE)
    for position in range(len(sealed) * 8):
        altered = bytearray(sealed)
        altered[position // 8] ^= 1 << position % 8

        with pytest.raises(BrokenSeal):
            vault.open(bytes(altered), HERE)


@given(st.binary(max_size=200))
def test_garbage_does_not_open(garbage: bytes) -> None:
    with pytest.raises(BrokenSeal):
        Vault((KEY,)).open(garbage, HERE)


@pytest.mark.parametrize(
    "place",
    [
        Place("certificates", "8", "sealed_private_key"),
        Place("chunks", "7", "sealed_private_key"),
        Place("certificates", "7", "sealed_entries"),
        Place("certificates7", "", "sealed_private_key"),
    ],
)
def test_a_record_moved_to_another_place_does_not_open(place: Place) -> None:
    vault = Vault((KEY,))

    with pytest.raises(BrokenSeal):
        vault.open(vault.seal(Secret(b"a key"), HERE), place)


def test_another_master_key_does_not_open_it() -> None:
    sealed = Vault((KEY,)).seal(Secret(b"a key"), HERE)

    with pytest.raises(BrokenSeal):
        Vault((new_master_key(),)).open(sealed, HERE)


def test_rewrapping_moves_a_record_to_the_new_key_without_opening_it() -> None:
    old, new = KEY, new_master_key()
    sealed = Vault((old,)).seal(Secret(b"a key"), HERE)

    rewrapped = Vault((new, old)).rewrap(sealed, HERE)

    assert Vault((new,)).open(rewrapped, HERE).reveal() == b"a key"
    assert rewrapped[69:] == sealed[69:]


def test_the_same_secret_sealed_twice_shares_no_nonce_and_no_bytes() -> None:
    vault = Vault((KEY,))
    first, second = (vault.seal(Secret(b"a key"), HERE) for _ in range(2))

    assert first[9:21] != second[9:21]
    assert first[69:] != second[69:]


def test_a_key_file_is_read_as_it_was_written_and_only_its_owner_may(tmp_path: Path) -> None:
    keys = (new_master_key(), new_master_key())
    write_key_file(tmp_path / "master.key", keys)

    assert read_key_file(tmp_path / "master.key") == keys
    assert (tmp_path / "master.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        write_key_file(tmp_path / "master.key", keys)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o444, 0o602])
def test_a_key_file_that_others_may_use_is_refused_by_name_unless_it_is_meant_so(
    tmp_path: Path, mode: int
) -> None:
    path = tmp_path / "master key"
    write_key_file(path, (KEY,))
    path.chmod(mode)

    with pytest.raises(MasterKeyExposed, match=rf"mode {mode:04o}.* chmod 600 '{path}'"):
        read_key_file(path)
    assert read_key_file(path, may_be_shared=True) == (KEY,)
    path.chmod(0o400)
    assert read_key_file(path) == (KEY,)


@pytest.mark.parametrize("content", ["", "abc", "zz" * 32, "00" * 31, "é" * 64])
def test_a_file_that_is_no_key_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "master.key").write_text(content)

    with pytest.raises(WrongMasterKey):
        read_key_file(tmp_path / "master.key")


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MasterKeyMissing, match=str(tmp_path / "master.key")):
        read_key_file(tmp_path / "master.key")


def test_a_key_file_that_may_not_be_read_is_named_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "read_bytes", may_not)

    with pytest.raises(NoAccess, match=f"{tmp_path / 'master.key'} cannot be read: permission denied"):
        read_key_file(tmp_path / "master.key")


def may_not(path: Path) -> bytes:
    """Fail as for another user's file: root, as which tests often run, may read everything."""
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def test_digests_depend_on_key_purpose_and_content() -> None:
    vault = Vault((KEY,))
    digests = {
        vault.digest(b"a", "bundle"),
        vault.digest(b"b", "bundle"),
        vault.digest(b"a", "other"),
        Vault((new_master_key(),)).digest(b"a", "bundle"),
    }

    assert len(digests) == 4


def test_a_key_file_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError("the power is gone")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="power"):
        write_key_file(tmp_path / "master.key", (KEY,))

    assert list(tmp_path.iterdir()) == []
