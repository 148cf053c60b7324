"""Spool: an upload on its way in. What reaches the disk is encrypted, and it can be read at any offset.

A bundle may be larger than memory, and a zip is read from its end, so it has to lie on a disk for as long as
its request lasts. It holds private keys and their passwords, so it lies there sealed: AES-256-GCM over blocks
of 64 KiB, under a key that is made for this spool and never leaves the memory of its process.
"""

import errno
import io
import os
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bulkcert.errors import BrokenSeal, BundleTooLarge, SpoolFull, StorageFull

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

BLOCK_BYTES = 64 * 1024
_TAG_BYTES = 16  # NIST SP 800-38D §5.2.1.2: a full-length tag
_SEALED_BYTES = BLOCK_BYTES + _TAG_BYTES


_RETRY_SECONDS = 5
_RESERVED_BYTES = 256 * 1024**2
_RESERVED_PART = 20
"""One in so many bytes of the volume, where that is less: the database needs room, too."""


class SpoolRoom:
    """Counts the bytes of all spools in a directory while they are written.

    most: in all. most_of_owner: of one owner, such as a login. A part of the volume stays free for the
    database.
    """

    def __init__(self, directory: Path, most: int, most_of_owner: int) -> None:
        self._directory = directory
        self._most = most
        self._most_of_owner = most_of_owner
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()

    def take(self, owner: str, size: int) -> None:
        """Count bytes that are about to be written, or raise `SpoolFull` or `StorageFull`."""
        self._check_disk(size)
        with self._lock:
            if self._taken[owner] + size > self._most_of_owner:
                raise SpoolFull("Your uploads take all the room that one account may have.", _RETRY_SECONDS)
            if self._taken.total() + size > self._most:
                raise SpoolFull("Uploads take all the room that they may have.", _RETRY_SECONDS)
            self._taken[owner] += size

    def give_back(self, owner: str, size: int) -> None:
        """Take bytes out of the count."""
        with self._lock:
            self._taken[owner] -= size
            if not self._taken[owner]:
                del self._taken[owner]

    def _check_disk(self, size: int) -> None:
        volume = os.statvfs(self._directory)
        reserve = min(_RESERVED_BYTES, volume.f_blocks * volume.f_frsize // _RESERVED_PART)
        if volume.f_bavail * volume.f_frsize < size + reserve:
            raise StorageFull("The disk is nearly full.")


class Spool(io.BufferedIOBase):
    """A binary file: written at its end, read at any offset, gone when it is closed or its process dies.

    `directory` is where the unnamed file (mode 0600) lies; it must exist and have room for the upload.
    `most_bytes`: what may be written in all; None is no limit. `room`: counts what all spools take, this one
    under its `owner`. `write` raises BundleTooLarge or SpoolFull beyond them, and OSError or StorageFull
    where the disk is full; each closes the spool, so that the room is free at once. `read` raises BrokenSeal
    where the file was altered underneath.

    One thread at a time.
    """

    _file: BinaryIO | None = None  # stands here so that closing a spool that could not be made is quiet

    def __init__(
        self, directory: Path, most_bytes: int | None = None, room: "SpoolRoom | None" = None, owner: str = ""
    ) -> None:
        self._file = tempfile.TemporaryFile(dir=directory, buffering=0)  # noqa: SIM115 - close() closes it
        self._most_bytes = most_bytes
        self._room = room
        self._owner = owner
        self._cipher = AESGCM(AESGCM.generate_key(256))
        self._sealed = 0  # blocks on the disk: a block goes there when it is full, and never again
        self._tail = bytearray()  # what follows them; the last, partial block never needs the disk
        self._opened: tuple[int, bytes] = (-1, b"")  # the block that was read last
        self._position = 0

    def __len__(self) -> int:
        return self._sealed * BLOCK_BYTES + len(self._tail)

    def __bool__(self) -> bool:
        return True  # an empty file is still a file

    # --- writing ---------------------------------------------------------------------------------------

    def write(self, content: "ReadableBuffer", /) -> int:
        """Append `content` and give its length. The position must be at the end."""
        self._must_be_open()
        if self._position != len(self):
            raise io.UnsupportedOperation("a spool is written at its end only")
        try:
            with memoryview(content).cast("B") as view:
                self._append(view)
                self._position += len(view)
                return len(view)
        except (OSError, BundleTooLarge, SpoolFull, StorageFull):
            self.close()
            raise

    def _append(self, view: memoryview) -> None:
        if self._most_bytes is not None and len(self) + len(view) > self._most_bytes:
            raise BundleTooLarge(f"The upload is larger than {self._most_bytes} bytes.")
        while len(view) >= (room := BLOCK_BYTES - len(self._tail)):
            self._seal(bytes(self._tail) + view[:room])
            self._tail.clear()
            view = view[room:]
        self._tail += view

    def _seal(self, block: bytes) -> None:
        rest = memoryview(self._cipher.encrypt(_nonce(self._sealed), block, None))
        file = self._must_be_open()
        if self._room is not None:
            self._room.take(self._owner, _SEALED_BYTES)
        self._sealed += 1  # counted from here on, whether it is written or not
        while rest:  # an unbuffered file may take less than it is given
            rest = rest[file.write(rest) :]

    # --- reading ---------------------------------------------------------------------------------------

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next `size` bytes, fewer only at the end; None or less than 0 means all that is left."""
        self._must_be_open()
        left = max(0, len(self) - self._position)
        wanted = left if size is None or size < 0 else min(size, left)
        parts = []
        while wanted:
            number, offset = divmod(self._position, BLOCK_BYTES)
            part = self._block(number)[offset : offset + wanted]
            parts.append(part)
            self._position += len(part)
            wanted -= len(part)
        return b"".join(parts)

    def read1(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, from one block."""
        ahead = len(self.peek())
        return self.read(ahead if size < 0 else min(size, ahead))

    def peek(self, _size: int = 0, /) -> bytes:
        """Return the rest of the block at the position without moving on: empty at the end only."""
        self._must_be_open()
        number, offset = divmod(self._position, BLOCK_BYTES)
        return self._block(number)[offset:]

    def _block(self, number: int) -> bytes:
        if number >= self._sealed:
            return bytes(self._tail) if number == self._sealed else b""
        if self._opened[0] != number:
            self._opened = (number, self._open(number))
        return self._opened[1]

    def _open(self, number: int) -> bytes:
        sealed = os.pread(self._must_be_open().fileno(), _SEALED_BYTES, number * _SEALED_BYTES)
        try:
            return self._cipher.decrypt(_nonce(number), sealed, None)
        except InvalidTag:
            raise BrokenSeal("A spool file was altered while its upload was read.") from None

    # --- what every file can do ------------------------------------------------------------------------

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to `offset` from the start, the position or the end, and give the new position."""
        self._must_be_open()
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self)}[whence]
        if (
            start + offset < 0
        ):  # as the operating system does, and as zipfile expects of a file that is too short
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        self._must_be_open()
        return self._position

    def close(self) -> None:
        """Free the disk and forget the key; doing it twice is nothing."""
        if self._file is not None:
            self._file.close()
            self._file = None
            if self._room is not None:
                self._room.give_back(self._owner, self._sealed * _SEALED_BYTES)
            self._tail = bytearray()
            self._opened = (-1, b"")
            del self._cipher
        super().close()

    def readable(self) -> bool:
        """True."""
        return True

    def writable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def detach(self) -> NoReturn:
        """Refuse: the file underneath is of use to nobody."""
        raise io.UnsupportedOperation("detach")

    def _must_be_open(self) -> BinaryIO:
        if self._file is None:
            raise ValueError("the spool is closed")
        return self._file


def _nonce(number: int) -> bytes:
    """Return the block's number in 12 bytes: unique under a key that seals one spool (SP 800-38D §8.2.1)."""
    return number.to_bytes(12, "big")
