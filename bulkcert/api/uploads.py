"""Uploads of both APIs. No part of an upload reaches a disk unsealed, however small it is.

A file part or a raw body goes into a spool (`Service.new_spool`), which seals all it writes. Text parts stay
in memory up to a limit. An announced size is checked before the body is read, any other while it is read.
"""

import io
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, BinaryIO, cast

from flask import Request as FlaskRequest
from flask import g, request
from werkzeug.formparser import FormDataParser
from werkzeug.utils import cached_property

from bulkcert.api import context
from bulkcert.api.multipart import FormParser
from bulkcert.errors import Fault, MalformedRequest, UnsupportedContentCoding, UnsupportedMediaType

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MULTIPART = "multipart/form-data"
MOST_PARTS = 20
MOST_FIELD_BYTES = 256 * 1024  # also what Werkzeug's decoder may buffer: more than two of its 64 KiB reads
FRAME_BYTES = 1024 * 1024
"""Room in a multipart body for everything but its file: boundaries, part headers, text fields."""

_COPY_BYTES = 64 * 1024
_CHECK_SECONDS = 1.0
"""Seconds between two checks that the token of an upload is still valid."""

_CODINGS = frozenset({"gzip", "x-gzip", "deflate", "compress", "x-compress", "br", "zstd"})


class Request(FlaskRequest):
    """A request that writes its files to spools and refuses a broken form instead of reading it as empty."""

    def _get_file_stream(
        self,
        total_content_length: int | None,  # noqa: ARG002 - Werkzeug's signature
        content_type: str | None,  # noqa: ARG002
        filename: str | None = None,  # noqa: ARG002
        content_length: int | None = None,  # noqa: ARG002
    ) -> IO[bytes]:
        return cast("IO[bytes]", self.new_spool())

    @cached_property
    def stream(self) -> IO[bytes]:
        """Return the body. Raises `UnsupportedContentCoding`, since decoding could multiply its size."""
        for header in ("Content-Encoding", "Transfer-Encoding"):
            coding = self.headers.get(header, "").lower().removesuffix("chunked").strip(", ")
            if coding not in {"", "identity"}:
                named = coding if coding in _CODINGS else "a coding that is not known here"
                raise UnsupportedContentCoding(f"The body is compressed ({header}: {named}).")
        stream = super().stream
        return cast("IO[bytes]", _WatchedStream(stream)) if "caller" in g else stream

    def new_spool(self) -> BinaryIO:
        """Create a spool that is closed, and its room freed, when the request ends."""
        spool = cast("BinaryIO", context.service().new_spool(_owner()))
        self.__dict__.setdefault("spools", []).append(spool)
        return spool

    form_data_parser_class = FormParser

    def make_form_data_parser(self) -> FormDataParser:
        """Create the parser of forms, which raises for a form that it cannot read."""
        parser = super().make_form_data_parser()
        parser.silent = False
        return parser

    def _load_form_data(self) -> None:
        try:
            super()._load_form_data()
        except ValueError:  # its text may quote the body
            raise MalformedRequest("The form cannot be read, or it ended too early.") from None

    def close(self) -> None:
        """Close the spools of the request."""
        for spool in self.__dict__.get("spools", ()):
            spool.close()
        super().close()


class _WatchedStream(io.RawIOBase):
    """A body that raises `Unauthenticated` soon after its sender's token becomes invalid."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._checked_at = time.monotonic()

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Read into a buffer, and check the token again once a second."""
        with memoryview(buffer).cast("B") as view:
            piece = self._stream.read(len(view))
            view[: len(piece)] = piece
        if time.monotonic() - self._checked_at >= _CHECK_SECONDS:
            context.check_token()
            self._checked_at = time.monotonic()
        return len(piece)

    def readable(self) -> bool:
        """Return True, as `io.RawIOBase` asks."""
        return True


def _owner() -> str:
    """Return the login whose share of the spool the request uses."""
    return g.caller.login if "caller" in g else ""


@dataclass(frozen=True)
class Form:
    """A multipart form: its text fields, and its files at their start, by name."""

    fields: Mapping[str, list[str]]
    files: Mapping[str, list[BinaryIO]]

    def file(self, name: str) -> BinaryIO:
        """Return the only file of a name. Raises `MalformedRequest`."""
        found = self.files.get(name, [])
        if len(found) == 1:
            return found[0]
        if found:
            detail = "Send one file of this name."
        elif name in self.fields:
            detail = "Send it as a file (with a filename), not as text."
        else:
            detail = "Send the file; it is missing."
        raise MalformedRequest("The form does not hold the file.", (Fault(name, detail),))


def read_form() -> Form:
    """Parse the whole multipart form of this request.

    Raises UnsupportedMediaType for another kind of body and MalformedRequest for a broken one;
    RequestEntityTooLarge (413) and OSError (a full disk) pass through to `problems`.
    """
    if request.mimetype != MULTIPART:
        raise UnsupportedMediaType(f"The body is not {MULTIPART}.")
    files: dict[str, list[BinaryIO]] = {
        name: [cast("BinaryIO", each.stream) for each in found] for name, found in request.files.lists()
    }
    fields = dict(request.form.lists())
    if not all(isinstance(name, str) for name in (*files, *fields)):
        raise MalformedRequest("A part of the form has no name.")
    return Form(fields, files)


def read_raw() -> BinaryIO:
    """Copy the body of this request, whole or chunked, into a spool and return it at its start."""
    spool = cast("Request", request).new_spool()
    shutil.copyfileobj(request.stream, spool, _COPY_BYTES)
    announced = request.content_length
    # Some servers end the stream without an error when the client goes away.
    if announced is not None and spool.tell() != announced:
        raise MalformedRequest("The body ended before its announced length.")
    spool.seek(0)
    return spool
