"""Multipart forms (RFC 7578) by Werkzeug's decoder, with part headers in any encoding.

Werkzeug refuses a whole form for one file name that is not UTF-8; old browsers and Windows programs send such
names.
"""

from collections.abc import Callable, Iterator
from typing import IO, BinaryIO, Protocol

from werkzeug.datastructures import FileStorage, Headers, MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData

from bulkcert.errors import Fault, MalformedRequest

Parsed = tuple[IO[bytes], MultiDict[str, str], MultiDict[str, FileStorage]]

_BLOCK_BYTES = 64 * 1024
_AS_THEY_ARE = frozenset({"", "7bit", "8bit", "binary"})
_CODED = frozenset({"base64", "quoted-printable"})


class FormParser(FormDataParser):
    """Parses a multipart form. Raises ValueError or `MalformedRequest` for a broken form."""

    def _parse_multipart(
        self,
        stream: IO[bytes],
        mimetype: str,  # noqa: ARG002 - Werkzeug's signature
        content_length: int | None,
        options: dict[str, str],
    ) -> Parsed:
        boundary = options.get("boundary", "").encode("ascii")
        if not boundary:
            detail = "Leave the header out, so that the client writes it with the boundary of its form."
            raise MalformedRequest(
                "The Content-Type multipart/form-data names no boundary.", (Fault("Content-Type", detail),)
            )
        most = self.max_form_memory_size
        decoder = _Decoder(boundary, max_form_memory_size=most, max_parts=self.max_form_parts)
        fields: list[tuple[str, str]] = []
        files: list[tuple[str, FileStorage]] = []
        part: _Part | None = None
        for event in _events(decoder, stream):
            match event:
                case Field():
                    part = _FieldPart(event, most, fields)
                case File():
                    part = _FilePart(event, self._new_file(event, content_length), files)
                case Data() if part is not None:
                    part.write(event.data)
                    if not event.more_data:
                        part.end()
        return stream, self.cls(fields), self.cls(files)

    def _new_file(self, event: File, content_length: int | None) -> BinaryIO:
        make: Callable[..., BinaryIO] = self.stream_factory  # type: ignore[assignment]
        return make(content_length, event.headers.get("content-type"), event.filename, None)


class _Decoder(MultipartDecoder):
    """Decodes the headers of a part as UTF-8, or as Latin-1 if they are not UTF-8."""

    def _parse_headers(self, data: bytes | bytearray) -> Headers:
        try:
            data.decode()
        except UnicodeDecodeError:
            data = data.decode("latin-1").encode()
        headers = super()._parse_headers(data)
        _refuse_coded(headers)
        return headers


def _refuse_coded(headers: Headers) -> None:
    """Raise `MalformedRequest` for a part in a transfer encoding, which RFC 7578 §4.7 has forbidden."""
    written = headers.get("content-transfer-encoding", "").strip().lower()
    if written not in _AS_THEY_ARE:
        named = written if written in _CODED else "something that is not known here"
        fault = Fault("Content-Transfer-Encoding", "Send the part as it is, in binary.")
        raise MalformedRequest(f"A part of the form is encoded ({named}).", (fault,))


class _Part(Protocol):
    """A part of the form that is being read."""

    def write(self, piece: bytes) -> None: ...

    def end(self) -> None: ...


class _FieldPart:
    """A text field, which stays in memory."""

    def __init__(self, event: Field, most: int | None, fields: list[tuple[str, str]]) -> None:
        self._name, self._most, self._fields = event.name, most, fields
        self._value = bytearray()

    def write(self, piece: bytes) -> None:
        self._value += piece
        if self._most is not None and len(self._value) > self._most:
            raise RequestEntityTooLarge

    def end(self) -> None:
        self._fields.append((self._name, self._value.decode(errors="replace")))


class _FilePart:
    """A file, which is written to a file of the request."""

    def __init__(self, event: File, file: BinaryIO, files: list[tuple[str, FileStorage]]) -> None:
        self._event, self._file, self._files = event, file, files

    def write(self, piece: bytes) -> None:
        self._file.write(piece)

    def end(self) -> None:
        self._file.seek(0)
        stored = FileStorage(self._file, self._event.filename, self._event.name, headers=self._event.headers)
        self._files.append((self._event.name, stored))


def _events(decoder: MultipartDecoder, stream: IO[bytes]) -> Iterator[Event]:
    is_open = True
    while is_open:
        block = stream.read(_BLOCK_BYTES)
        is_open = bool(block)
        decoder.receive_data(block or None)
        while not isinstance(event := decoder.next_event(), NeedData | Epilogue):
            yield event
