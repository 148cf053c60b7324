"""Reports: the items of an import or deletion, in pages of JSON or as one CSV or NDJSON (docs/reports.md).

A CSV or NDJSON is written to a temporary file first, one page of the store at a time, and then sent with its
length. Without a length the web server ends an incomplete answer like a complete one, so an error must occur
before the status line or show by the length (RFC 9112 §8). A report holds no secret, so the file is not
sealed.
"""

import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence

from flask import Response, jsonify
from werkzeug.wsgi import FileWrapper

from bulkcert.api import context
from bulkcert.api.parsing import JSON, read_query
from bulkcert.api.v1 import negotiation
from bulkcert.api.v1.answers import dump_page
from bulkcert.api.v1.schemas import imports, pages
from bulkcert.values.bulk_requests import Item, Outcome, RequestKind

CSV, NDJSON, TEXT = "text/csv", "application/x-ndjson", "text/plain"
FORMATS = (JSON, CSV, NDJSON)
COLUMNS = (
    "file", "identity", "outcome", "code", "detail", "warnings", "certificate_id", "fingerprint_sha256",
    "found",
)  # fmt: skip

# OWASP, CSV injection: a spreadsheet takes a cell with these for a formula, in full-width forms too.
_FORMULA = r"[=+\-@\uff1d\uff0b\uff0d\uff20]"
# A cell begins at its first character and, in dialects with other separators, after a semicolon, a tab or a
# line break. Spreadsheets ignore quotes and spaces before the formula there.
_CELL_BEGINS = re.compile(rf"\A(?=[\t\r\n]|{_FORMULA})|(?<=[;\t\r\n])(?=[\"' ]*{_FORMULA})")
_IS_QUOTED = re.compile(r'[,;"\t\r\n]')
_CAN_STAND_IN_A_LINE = re.compile(r"[^=\r\n\0]+")

_MOST_IN_MEMORY = 1024 * 1024
_BLOCK_BYTES = 64 * 1024

_ITEM = imports.Item()

Pages = Iterator[Sequence[Item]]


def items(kind: RequestKind, request_id: str, query: type[pages.PageQuery]) -> Response:
    """Return the items of an import or deletion in the media type that the request accepts.

    query: the schema of filters and page. CSV and NDJSON have no pages, so they refuse its page parameters.
    """
    wanted = negotiation.media_type()
    requests = context.service().reports
    if wanted == JSON:
        page = requests.items(kind, request_id, **read_query(query()))
        return _varying(jsonify(dump_page(page, _ITEM)))
    report = requests.report(kind, request_id, **read_query(query(exclude=pages.PAGE_PARAMETERS)))
    write, suffix = (_csv_pieces, "csv") if wanted == CSV else (_ndjson_pieces, "ndjson")
    return _varying(_download(write(report), wanted, f"{kind}-{request_id}.{suffix}"))


def retry_list(import_id: str) -> Response:
    """Return the failed items of an import as a credentials file without passwords."""
    failed = context.service().reports.report(RequestKind.IMPORT, import_id, Outcome.FAILED)
    return _download(retry_lines(failed), TEXT, f"import-{import_id}-retry-list.txt")


def retry_lines(failed: Pages) -> Iterator[str]:
    """Yield the line `<identity>.p12=` once for each identity, in order and one text for each page.

    A name that cannot stand in such a line is left out: it would be parsed as another name or a password.
    """
    seen: set[str] = set()
    for page in failed:
        lines: list[str] = []
        for item in page:
            name = item.identity or ""
            if name in seen or name != name.strip() or not _CAN_STAND_IN_A_LINE.fullmatch(name):
                continue
            seen.add(name)
            lines.append(f"{name}.p12=\n")
        yield "".join(lines)


def write_csv(rows: Iterable[Sequence[str]]) -> str:
    """Return rows as CSV (RFC 4180), with a single quote before each text that would be a formula.

    Cells with a separator of another dialect (semicolon, tab) are quoted too.
    """
    return "".join(",".join(map(_quoted, row)) + "\r\n" for row in rows)


def _quoted(cell: str) -> str:
    text = _CELL_BEGINS.sub("'", cell)
    return '"' + text.replace('"', '""') + '"' if _IS_QUOTED.search(text) else text


def _csv_pieces(report: Pages) -> Iterator[str]:
    yield write_csv([COLUMNS])
    for page in report:
        yield write_csv(map(_cells, page))


def _cells(item: Item) -> list[str]:
    members = _ITEM.dump(item)
    members["warnings"] = " ".join(members["warnings"])
    return [members[name] or "" for name in COLUMNS]


def _ndjson_pieces(report: Pages) -> Iterator[str]:
    for page in report:
        yield "".join(json.dumps(item, separators=(",", ":")) + "\n" for item in _ITEM.dump(page, many=True))


def _download(pieces: Iterator[str], media_type: str, name: str) -> Response:
    directory = str(context.service().config.spool_dir)
    file = tempfile.SpooledTemporaryFile(_MOST_IN_MEMORY, dir=directory)  # noqa: SIM115 - the response closes it
    try:
        for piece in pieces:
            file.write(piece.encode())  # writelines() would keep the whole report in memory
        length = file.tell()
        file.seek(0)
    except BaseException:
        file.close()
        raise
    response = Response(FileWrapper(file, _BLOCK_BYTES), mimetype=media_type)
    response.content_length = length
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _varying(response: Response) -> Response:
    response.vary.add("Accept")
    return response
