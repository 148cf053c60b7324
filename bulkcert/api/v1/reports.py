"""Reports: the items of an import or deletion, as pages of JSON or whole as CSV or NDJSON (docs/reports.md).

What is whole is written to a file first, a page of the store at a time, and then sent with its length. A web
server may end an answer that breaks off like one that is done (ours does, where no length is announced), so
an error has to come before the status line, or show by the length (RFC 9112 §8). A report holds nothing
secret: the file is an ordinary one without a name.
"""

import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence

from flask import Response, jsonify
from werkzeug.wsgi import FileWrapper

from bulkcert.api import context
from bulkcert.api.parsing import read_query
from bulkcert.api.v1 import negotiation
from bulkcert.api.v1.answers import dump_page
from bulkcert.api.v1.schemas import imports, pages
from bulkcert.values.bulk_requests import Item, Outcome, RequestKind

CSV, NDJSON, TEXT = "text/csv", "application/x-ndjson", "text/plain"
FORMATS = (negotiation.JSON, CSV, NDJSON)
COLUMNS = (
    "file", "identity", "outcome", "code", "detail", "warnings", "certificate_id", "fingerprint_sha256",
    "found",
)  # fmt: skip

# OWASP, CSV injection: what makes a spreadsheet take a cell for a formula; the full-width forms do as well.
_FORMULA = r"[=+\-@\uff1d\uff0b\uff0d\uff20]"
# A cell begins at its first character and, where something else than the comma separates, behind a semicolon,
# a tab or a line break. Quotes and spaces before the formula do not hinder a spreadsheet there.
_CELL_BEGINS = re.compile(rf"\A(?=[\t\r\n]|{_FORMULA})|(?<=[;\t\r\n])(?=[\"' ]*{_FORMULA})")
_IS_QUOTED = re.compile(r'[,;"\t\r\n]')
_CAN_STAND_IN_A_LINE = re.compile(r"[^=\r\n\0]+")

_MOST_IN_MEMORY = 1024 * 1024
_BLOCK_BYTES = 64 * 1024

_ITEM = imports.Item()

Pages = Iterator[Sequence[Item]]


def items(kind: RequestKind, request_id: str, query: type[pages.PageQuery]) -> Response:
    """Answer with the items of an import or deletion, in the form that the request accepts.

    `query` reads the filters and, for JSON, the page; what is whole has no pages and refuses their names.
    """
    wanted = negotiation.media_type()
    requests = context.service().requests
    if wanted == negotiation.JSON:
        page = requests.items(kind, request_id, **read_query(query()))
        return _varying(jsonify(dump_page(page, _ITEM)))
    report = requests.report(kind, request_id, **read_query(query(exclude=pages.PAGE_PARAMETERS)))
    write, suffix = (_csv_pieces, "csv") if wanted == CSV else (_ndjson_pieces, "ndjson")
    return _varying(_download(write(report), wanted, f"{kind}-{request_id}.{suffix}"))


def retry_list(import_id: str) -> Response:
    """Answer with the failed items of an import as the skeleton of a credentials file."""
    failed = context.service().requests.report(RequestKind.IMPORT, import_id, Outcome.FAILED)
    return _download(retry_lines(failed), TEXT, f"import-{import_id}-retry-list.txt")


def retry_lines(failed: Pages) -> Iterator[str]:
    """Write `<identity>.p12=` for every identity once, in order; gives a piece for every page.

    Left out is a name that no line can hold: it would be read as another name, or as a password.
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
    """Write rows as CSV (RFC 4180), with a single quote before each text that would be a formula.

    Cells that hold a separator of other dialects (semicolon, tab) are in double quotes as well.
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
            file.write(piece.encode())  # writelines() would keep all of it in memory
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
