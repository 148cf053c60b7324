"""Zips of samples: an ordinary one, and one as macOS makes it."""

import io
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path


def write_zip(path: Path, entries: Mapping[str, bytes]) -> None:
    """Write a zip of these entries, with the same date on all."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in entries.items():
            archive.writestr(an_entry(entry), content)


def an_entry(name: str) -> zipfile.ZipInfo:
    """Give the header of a file or folder, always of the same date."""
    entry = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_STORED if name.endswith("/") else zipfile.ZIP_DEFLATED
    entry.create_system = 3
    entry.external_attr = (0o40755 if name.endswith("/") else 0o100644) << 16
    return entry


class _Stream(io.RawIOBase):
    """Takes bytes and cannot go back, so that sizes come after the contents (APPNOTE 4.3.9)."""

    def __init__(self) -> None:
        self.content = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, content: bytes) -> int:  # type: ignore[override]
        self.content += content
        return len(content)


def write_zip_as_finder_does(path: Path, entries: Mapping[str, bytes]) -> None:
    """Write a zip with data descriptors and the `UX` extra field (times, user, group) of Archive Utility."""
    stream = _Stream()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[call-overload]
        for name, content in entries.items():
            entry = an_entry(name)
            entry.create_version = 21
            entry.extra = b"UX" + struct.pack("<H2I2H", 12, 1767225600, 1767225600, 501, 20)
            archive.writestr(entry, content)
    path.write_bytes(stream.content)
