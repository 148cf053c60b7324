"""The master key, and the file that it lies in."""

import hashlib
import os
import shlex
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bulkcert.errors import MasterKeyExposed, MasterKeyMissing, NoAccess, WrongMasterKey, reason_of
from bulkcert.values.secret import Secret


@dataclass(frozen=True)
class MasterKey:
    """One 256-bit key that wraps data keys. Its id is a digest of it, and tells nothing of it."""

    key: Secret

    @property
    def id(self) -> bytes:
        """Name the key: 8 bytes, the same on every machine that has it."""
        return hashlib.sha256(b"bulkcert master key id" + self.key.reveal()).digest()[:8]


def new_master_key(random_bytes: Callable[[int], bytes] = os.urandom) -> MasterKey:
    """Make a master key."""
    return MasterKey(Secret(random_bytes(32)))


def write_key_file(path: Path, keys: tuple[MasterKey, ...]) -> None:
    """Write a key file, one key in hex per line, the sealing key first; mode 0600, never over another."""
    lines = "".join(f"{key.key.reveal().hex()}\n" for key in keys)
    descriptor, written = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
        os.link(written, path)  # all of it under its name, or nothing: half a key file would lose every key
    finally:
        Path(written).unlink()
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def read_key_file(path: Path, *, may_be_shared: bool = False) -> tuple[MasterKey, ...]:
    """Read a key file. may_be_shared: whether others than its owner may have access to it.

    Raises `MasterKeyMissing` where there is none, `NoAccess` where it cannot be read, `WrongMasterKey` where
    it holds something else, and `MasterKeyExposed`. Each text names the path.
    """
    try:
        lines = path.read_bytes().split()
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise MasterKeyMissing(f"There is no master key at {path}.") from None
    except OSError as failure:
        raise NoAccess(f"The master key {path} cannot be read: {reason_of(failure)}.") from None
    try:
        keys = tuple(bytes.fromhex(line.decode("ascii")) for line in lines)
    except ValueError:
        keys = ()
    if not keys or any(len(key) != 32 for key in keys):
        raise WrongMasterKey(f"{path} does not hold keys of 64 hex digits, one on each line.")
    if mode & 0o077 and not may_be_shared:
        raise MasterKeyExposed(
            f"The master key {path} is open to others than its owner (mode {mode & 0o777:04o})."
            f" Type: chmod 600 {shlex.quote(str(path))}"
        )
    return tuple(MasterKey(Secret(key)) for key in keys)
