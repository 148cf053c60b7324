"""Reports of imports and deletions: CSV and NDJSON as a whole, by filters, and the list for another try."""

import csv
import errno
import io
import json
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from werkzeug.test import Client, TestResponse

from bulkcert.api.v1 import reports
from bulkcert.api.v1.schemas.filters import ITEM_CODES
from bulkcert.errors import Unavailable
from bulkcert.formats.bundle.credentials import parse_credentials
from bulkcert.formats.bundle.entry_names import shown
from bulkcert.imports import reports as bulk_requests
from bulkcert.values.bulk_requests import Item, Outcome, Result
from bulkcert.values.secret import Secret
from bulkcert.wiring.service import Service
from tests.api.conftest import ApiCaller, Worker
from tests.api.contract import document
from tests.api.v1.test_deletions import delete
from tests.api.v1.test_imports import FIRST, SECOND, THIRD, imported, items_of, upload
from tests.builders import a_bundle, a_certificate, a_credentials_file, a_pkcs12, a_zip, an_ec_key

CSV, NDJSON = {"Accept": "text/csv"}, {"Accept": "application/x-ndjson"}
FORMULAS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


def rows_of(answer: TestResponse) -> list[dict[str, str]]:
    assert (answer.status_code, answer.content_type) == (200, "text/csv; charset=utf-8")
    return list(csv.DictReader(io.StringIO(answer.data.decode(), newline=""), strict=True))


def lines_of(answer: TestResponse) -> list[dict[str, Any]]:
    assert (answer.status_code, answer.content_type) == (200, "application/x-ndjson")
    assert answer.text.endswith("\n") or not answer.text
    return [json.loads(line) for line in answer.text.split("\n")[:-1]]


@pytest.fixture
def location(caller: ApiCaller, worker: Worker) -> str:
    """An import of three: the first is created (with a warning), two have wrong passwords."""
    key = an_ec_key()
    files = {
        FIRST: a_pkcs12(key=key, certificate=a_certificate(key, FIRST, client_auth=False)),
        SECOND: a_pkcs12(SECOND, "another"),
        THIRD: a_pkcs12(THIRD, "another"),
    }
    done = imported(caller, worker, a_bundle([FIRST, SECOND, THIRD], files=files))
    return f"/api/v1/imports/{done['id']}"


def test_csv_has_a_head_and_a_line_for_each_device(caller: ApiCaller, location: str) -> None:
    answer = caller.get(f"{location}/items", headers=CSV)
    items = items_of(caller, location)

    assert answer.headers["Content-Disposition"] == f'attachment; filename="import-{location[-36:]}.csv"'
    assert "Accept" in answer.headers["Vary"]
    head, *rest = answer.text.split("\r\n")
    assert head == "file,identity,outcome,code,detail,warnings,certificate_id,fingerprint_sha256,found"
    assert len(rest) == 4
    assert rows_of(answer) == [
        {name: " ".join(item[name]) if name == "warnings" else item[name] or "" for name in reports.COLUMNS}
        for item in items
    ]
    assert items[0]["warnings"] == ["no_client_auth"]


def test_ndjson_has_the_items_of_the_pages_one_in_a_line(caller: ApiCaller, location: str) -> None:
    answer = caller.get(f"{location}/items", headers=NDJSON)

    assert lines_of(answer) == items_of(caller, location)
    assert answer.headers["Content-Disposition"] == f'attachment; filename="import-{location[-36:]}.ndjson"'


def test_a_deletion_has_its_report_too(caller: ApiCaller) -> None:
    location = delete(caller, FIRST, "=1+1").headers["Location"]
    rows = rows_of(answer := caller.get(f"{location}/items", headers=CSV))

    assert [(row["identity"], row["outcome"], row["code"]) for row in rows] == [
        (FIRST, "not_found", ""),
        ("'=1+1", "failed", "invalid_identity"),
    ]
    assert answer.headers["Content-Disposition"] == f'attachment; filename="deletion-{location[-36:]}.csv"'
    assert lines_of(caller.get(f"{location}/items", headers=NDJSON)) == items_of(caller, location)


@pytest.mark.parametrize(
    ("query", "identities"),
    [
        ("", [FIRST, SECOND, THIRD]),
        ("?outcome=failed", [SECOND, THIRD]),
        ("?outcome=created", [FIRST]),
        ("?outcome=replaced", []),
        ("?code=wrong_password", [SECOND, THIRD]),
        ("?code=expired", []),
        ("?code=wrong_password&outcome=failed", [SECOND, THIRD]),
        ("?code=wrong_password&outcome=created", []),
    ],
)
def test_filters_choose_in_every_form(
    caller: ApiCaller, location: str, query: str, identities: list[str]
) -> None:
    path = f"{location}/items{query}"

    assert [item["identity"] for item in items_of(caller, location, query)] == identities
    assert [row["identity"] for row in rows_of(caller.get(path, headers=CSV))] == identities
    assert [item["identity"] for item in lines_of(caller.get(path, headers=NDJSON))] == identities


def test_the_filter_for_a_code_goes_with_pages(caller: ApiCaller, location: str) -> None:
    page = caller.get(f"{location}/items?code=wrong_password&limit=1").json
    assert page is not None
    rest = items_of(caller, location, f"?code=wrong_password&limit=1&cursor={page['next_cursor']}")

    assert [item["identity"] for item in page["items"] + rest] == [SECOND, THIRD]


@pytest.mark.parametrize("kind", ["imports", "deletions"])
@pytest.mark.parametrize("headers", [CSV, NDJSON])
@pytest.mark.parametrize(
    "query", ["limit=1", "cursor=MQ", "surprise=1", "outcome=gone", "code=gone", "code=", "code=expired&code=expired"]
)  # fmt: skip
def test_a_whole_report_has_no_pages_and_no_unknown_filters(
    refused: ApiCaller, kind: str, headers: dict[str, str], query: str
) -> None:
    answer = refused.get(f"/api/v1/{kind}/1/items?{query}", headers=headers)

    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (400, "malformed_request")
    assert [fault["where"] for fault in answer.json["errors"]] == [query.partition("=")[0]]


@pytest.mark.parametrize("code", ["gone", "", "EXPIRED", "not_supported", "no_client_auth"])
def test_a_code_that_no_item_has_is_refused(refused: ApiCaller, code: str) -> None:
    assert refused.get(f"/api/v1/imports/1/items?code={code}").status_code == 400


def test_the_codes_of_the_contract_are_those_of_items() -> None:
    assert document()["components"]["schemas"]["ItemCode"]["enum"] == list(ITEM_CODES)
    assert {"wrong_password", "crashed", "deleted_meanwhile"} < set(ITEM_CODES)


JSON_TYPE, CSV_TYPE, NDJSON_TYPE = "application/json", "text/csv", "application/x-ndjson"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, JSON_TYPE),
        ("", JSON_TYPE),
        ("*/*", JSON_TYPE),
        ("application/*", JSON_TYPE),
        ("text/*", CSV_TYPE),
        ("text/csv", CSV_TYPE),
        ("TEXT/CSV", CSV_TYPE),
        ("text/csv; charset=UTF-8", CSV_TYPE),
        ("application/x-ndjson", NDJSON_TYPE),
        ("application/x-ndjson, text/csv", CSV_TYPE),
        ("application/x-ndjson, text/csv;q=0.9", NDJSON_TYPE),
        ("application/x-ndjson;q=0.1, text/csv;q=0.2", CSV_TYPE),
        ("text/csv, application/json", JSON_TYPE),
        ("application/json;q=0.5, text/csv;q=0.6, */*;q=0.1", CSV_TYPE),
        ("text/csv, */*", CSV_TYPE),
        ("text/csv, */*;q=0.1", CSV_TYPE),
        ("application/json;q=0, */*", CSV_TYPE),
        ("application/json;q=0, text/*;q=0, */*", NDJSON_TYPE),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", JSON_TYPE),
        ("application/problem+json", JSON_TYPE),
        ("application/problem+json, text/csv;q=0.5", CSV_TYPE),
        ("text/html", None),
        ("text/csv;q=0", None),
        ("text/csv;header=present", CSV_TYPE),
        ("text/csv;version=1;q=0.2, application/x-ndjson;version=1;q=0.3", NDJSON_TYPE),
        ("text/csv;header=absent", None),  # a line of headings is always written
        ("text/csv;charset=iso-8859-1", None),
        ("*/*;q=0", None),
        (";;;,,,", JSON_TYPE),
    ],
)
def test_accept_chooses_the_form(
    caller: ApiCaller, accepted: str, accept: str | None, expected: str | None
) -> None:
    answer = caller.get(f"{accepted}/items", headers={} if accept is None else {"Accept": accept})

    assert answer.status_code == (200 if expected else 406)
    assert answer.mimetype == (expected or "application/problem+json")


@pytest.fixture
def accepted(caller: ApiCaller) -> str:
    """An import that nobody works on."""
    return upload(caller, a_bundle([FIRST])).headers["Location"]


def test_a_report_of_an_import_that_goes_on_shows_what_is_known(caller: ApiCaller, accepted: str) -> None:
    [row] = rows_of(caller.get(f"{accepted}/items", headers=CSV))

    assert row == dict.fromkeys(reports.COLUMNS, "") | {"file": f"{FIRST}.p12", "identity": FIRST}
    assert lines_of(caller.get(f"{accepted}/items", headers=NDJSON)) == items_of(caller, accepted)


def test_head_of_a_report_has_no_body(caller: ApiCaller, accepted: str) -> None:
    answer = caller.open("HEAD", f"{accepted}/items", headers=CSV)

    assert (answer.status_code, answer.mimetype, answer.data) == (200, "text/csv", b"")


@pytest.mark.parametrize("headers", [{}, CSV, NDJSON])
@pytest.mark.parametrize("kind", ["imports", "deletions"])
def test_an_unknown_id_is_not_found_in_every_form(
    refused: ApiCaller, kind: str, headers: dict[str, str]
) -> None:
    answer = refused.get(f"/api/v1/{kind}/1/items", headers=headers)

    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (404, "not_found")


# --- long reports -------------------------------------------------------------------------------------


def keep_items(service: Service, location: str, number: int) -> None:
    """Add failed items to an import, as a large one has them."""
    with service.store.writing() as tx:
        result = Result(Outcome.FAILED, "wrong_password", "The password does not open it. " * 10)
        tx.items.insert(
            location[-36:],
            (Item(100 + at, f"S{at:011}.p12", f"S{at:011}", result) for at in range(number)),
        )


@pytest.mark.parametrize("headers", [CSV, NDJSON])
def test_a_report_longer_than_a_page_of_the_store_holds_every_item_once(
    caller: ApiCaller, service: Service, accepted: str, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(bulk_requests, "_PAGE", 7)
    keep_items(service, accepted, 20)
    answer = caller.get(f"{accepted}/items", headers=headers)
    found = rows_of(answer) if headers is CSV else lines_of(answer)

    assert [each["identity"] for each in found] == [FIRST, *(f"S{at:011}" for at in range(20))]


@pytest.mark.slow
@pytest.mark.parametrize("headers", [CSV, NDJSON])
def test_a_report_takes_flat_memory(
    caller: ApiCaller, service: Service, accepted: str, headers: dict[str, str]
) -> None:
    keep_items(service, accepted, 20_000)
    client = Client(caller.client.application)
    shown = {"Authorization": f"Bearer {caller.token}"} | headers
    client.get(f"{accepted}/items", headers=shown, buffered=True)
    tracemalloc.start()
    answer = client.get(f"{accepted}/items", headers=shown, buffered=False)
    written = sum(len(piece) for piece in answer.response)  # type: ignore[misc]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    answer.close()

    assert written == answer.content_length > 6_000_000
    assert peak < 5_000_000


Breaking = Callable[[int], None]


@pytest.fixture
def breaking(service: Service, monkeypatch: pytest.MonkeyPatch) -> Breaking:
    """Let the database be gone after some pages."""

    def break_after(pages: int) -> None:
        items = type(service.store.reading().__enter__().items)
        page, read = items.page, iter(range(pages))

        def breaking_page(*arguments: Any) -> Any:
            if next(read, None) is None:
                raise Unavailable("The database does not answer.")
            return page(*arguments)

        monkeypatch.setattr(bulk_requests, "_PAGE", 5)
        monkeypatch.setattr(items, "page", breaking_page)

    return break_after


@pytest.mark.parametrize("pages", [0, 1, 3])
@pytest.mark.parametrize(("path", "headers"), [("items", CSV), ("items", NDJSON), ("retry-list", {})])
def test_a_report_that_cannot_be_read_to_its_end_is_refused_whole(
    caller: ApiCaller,
    service: Service,
    accepted: str,
    breaking: Breaking,
    pages: int,
    path: str,
    headers: dict[str, str],
) -> None:
    keep_items(service, accepted, 20)
    breaking(pages)
    answer = caller.get(f"{accepted}/{path}", headers=headers)

    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (503, "unavailable")
    assert "Content-Disposition" not in answer.headers


def test_a_report_for_which_the_disk_has_no_room_is_refused(
    caller: ApiCaller, service: Service, accepted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.BytesIO):
        def write(self, content: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    made: list[Full] = []
    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", lambda *_, **__: made.append(Full()) or made[0])
    answer = caller.get(f"{accepted}/items", headers=CSV)

    assert answer.status_code == 507
    assert made[0].closed


def test_a_long_report_lies_on_the_data_volume_and_leaves_nothing_there(
    caller: ApiCaller, service: Service, accepted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rolled: list[str] = []
    make = tempfile.TemporaryFile
    monkeypatch.setattr(
        tempfile,
        "TemporaryFile",
        lambda *arguments, **named: rolled.append(named["dir"]) or make(*arguments, **named),
    )
    keep_items(service, accepted, 5_000)

    assert len(rows_of(caller.get(f"{accepted}/items", headers=CSV))) == 5_001
    assert rolled == [str(service.config.spool_dir)]
    assert list(service.config.spool_dir.iterdir()) == []


# --- formulas -----------------------------------------------------------------------------------------

cells = st.text(st.characters(exclude_categories=["Cs"])) | st.from_regex(r"[=+\-@\t\r\n,;\"' ]{1,3}\w{0,3}")


@given(st.lists(st.lists(cells, min_size=2, max_size=5), max_size=5))
@example(
    [["=1+1", "+1", "-1", "@SUM(1)"], ["\t=1", "\r=1", "\n=1", "'=1"], ['"=1"', "a,=1", "a\r\n=1", "a\n", ""]]
)
@example([["\uff1d1", "\uff0b1", "\uff0d1", "\uff201"], ["a\x00b", "\x00"]])
def test_csv_reads_back_to_the_same_cells_and_none_begins_a_formula(rows: list[list[str]]) -> None:
    written = reports.write_csv(rows)
    found = list(csv.reader(io.StringIO(written, newline=""), strict=True))

    assert [[cell.replace("'", "") for cell in row] for row in found] == [
        [cell.replace("'", "") for cell in row] for row in rows
    ]
    assert not any(cell.startswith(FORMULAS) for row in found for cell in row)
    assert written.count("\r\n") >= len(rows)


@pytest.mark.parametrize("separator", [";", "\t"])
@given(rows=st.lists(st.lists(cells, min_size=1, max_size=5), max_size=5))
@example(rows=[["x", "a;=1+1"], ['a;"=1', "a\t=1"], ["a; =1;", ';;"" =1'], ["a\n=1", "a\r\n'=1"]])
def test_csv_holds_no_formula_for_whom_another_character_separates(
    separator: str, rows: list[list[str]]
) -> None:
    found = csv.reader(io.StringIO(reports.write_csv(rows), newline=""), delimiter=separator)

    assert not any(cell.startswith(("=", "+", "-", "@")) for row in found for cell in row)


def test_csv_is_written_in_linear_time() -> None:
    start = time.process_time()
    for cell in (";" * 65_536, '; "' * 20_000, "\t" * 65_536, ";" + " " * 65_536, ";=" * 30_000):
        reports.write_csv([[cell]])

    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("row", "line"),
    [
        (["a", "b"], "a,b\r\n"),
        (["", ""], ",\r\n"),
        (['say "x"', "a,b"], '"say ""x""","a,b"\r\n'),
        (["a\nb", "a\rb"], '"a\nb","a\rb"\r\n'),
        (["a;b", "a\tb"], '"a;b","a\tb"\r\n'),
        (["a;=1", 'a; "=1"'], '"a;\'=1","a;\' ""=1"""\r\n'),
        (["=1", "a=1"], "'=1,a=1\r\n"),
        (["+1", "-1", "@x"], "'+1,'-1,'@x\r\n"),
        (["\t=1", "é"], "\"'\t'=1\",é\r\n"),
    ],
)
def test_csv_is_quoted_by_its_rfc(row: list[str], line: str) -> None:
    assert reports.write_csv([row]) == line


def test_a_hostile_file_name_stays_text(caller: ApiCaller) -> None:
    name = '=HYPERLINK("http:x","A, b").p12'
    done = upload(caller, a_zip({name: a_pkcs12(), "credential.txt": b""}))
    answer = caller.get(f"{done.headers['Location']}/items", headers=CSV)
    [row] = rows_of(answer)

    assert (row["file"], row["identity"]) == (f"'{name}", f"'{name[:-4]}")
    assert answer.text.split("\r\n")[1].startswith('"\'=HYPERLINK(""http:x""')


# --- another try --------------------------------------------------------------------------------------


def test_the_retry_list_is_a_credentials_file_of_what_failed(caller: ApiCaller, location: str) -> None:
    answer = caller.get(f"{location}/retry-list")

    assert answer.content_type == "text/plain; charset=utf-8"
    assert answer.text == f"{SECOND}.p12=\n{THIRD}.p12=\n"
    assert answer.headers["Content-Disposition"].endswith(f'"import-{location[-36:]}-retry-list.txt"')


def test_with_passwords_filled_in_the_retry_list_imports_what_failed(
    caller: ApiCaller, worker: Worker, location: str
) -> None:
    filled = caller.get(f"{location}/retry-list").text.replace("=\n", "=another\n")
    bundle = a_zip(
        {f"{name}.p12": a_pkcs12(name, "another") for name in (SECOND, THIRD)} | {"c.txt": filled.encode()}
    )
    done = imported(caller, worker, bundle)

    assert (done["counts"]["created"], done["counts"]["total"]) == (2, 2)
    assert caller.get(f"/api/v1/imports/{done['id']}/retry-list").text == ""


def test_the_retry_list_names_each_device_once_and_leaves_out_what_no_line_can_hold(
    caller: ApiCaller,
) -> None:
    entries = {
        f"{FIRST}.p12": a_pkcs12(),
        f"x/{FIRST}.p12": a_pkcs12(),
        "a=b.p12": a_pkcs12(),
        "bad.p12": a_pkcs12(),
    }
    lines = a_credentials_file({SECOND: "x"}) + b"no equals sign\n"
    done = upload(caller, a_zip(entries | {"credential.txt": lines}))

    assert len(items_of(caller, done.headers["Location"], "?outcome=failed")) == 6
    assert caller.get(f"{done.headers['Location']}/retry-list").text == (
        f"{FIRST}.p12=\nbad.p12=\n{SECOND}.p12=\n"
    )


@pytest.mark.parametrize(
    ("accept", "status"), [("text/plain", 200), ("*/*", 200), ("text/*", 200), ("application/json", 406), ("text/csv", 406)]
)  # fmt: skip
def test_the_retry_list_is_plain_text_or_nothing(
    caller: ApiCaller, accepted: str, accept: str, status: int
) -> None:
    assert caller.get(f"{accepted}/retry-list", headers={"Accept": accept}).status_code == status


def test_a_retry_list_of_nothing_is_not_found(refused: ApiCaller) -> None:
    deletion = delete(refused, FIRST).json
    assert deletion is not None

    assert refused.get("/api/v1/imports/1/retry-list").status_code == 404
    assert refused.get(f"/api/v1/imports/{deletion['id']}/retry-list").status_code == 404


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=70) | st.text(
    "aB1.p2=# \t\r\n\ufeff\u2028", max_size=8
)


@given(st.lists(st.lists(names | st.none(), max_size=5), min_size=1, max_size=3))
def test_every_line_of_a_retry_list_is_one_name_with_an_empty_password(pages: list[list[str | None]]) -> None:
    kept = [[Item(0, None, name and shown(name, 64)) for name in page] for page in pages]
    text = "".join(reports.retry_lines(iter(kept)))
    lines = parse_credentials(text.encode())
    found = [line.written for line in lines]
    identities = [item.identity or "" for page in kept for item in page]

    assert all(line.password == Secret(b"") and line.refusal is None for line in lines)
    assert len(found) == len(set(found)) == text.count("\n")
    assert found == [
        name for name in dict.fromkeys(identities) if name and "=" not in name and name == name.strip()
    ]
