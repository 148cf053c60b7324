"""An upload that is refused is read on for a while, so that its client gets to read the answer."""

import io
from collections.abc import Iterable
from typing import Any

import pytest

from bulkcert.api import drain
from bulkcert.api.drain import Drain


class Answer:
    """A WSGI answer that knows whether it was closed."""

    closed = False

    def __iter__(self) -> Any:
        return iter([b"no"])

    def close(self) -> None:
        self.closed = True


def answer_of(status: str, environ: dict[str, Any], answer: Iterable[bytes] | None = None) -> Iterable[bytes]:
    def app(environ: Any, start_response: Any) -> Any:
        start_response(status, [])
        return answer if answer is not None else [b"no"]

    return Drain(app)(environ, lambda status, headers, exc_info=None: lambda data: None)


def an_upload(body: io.BytesIO, **changes: Any) -> dict[str, Any]:
    return {"wsgi.input": body, "wsgi.input_terminated": True, "CONTENT_LENGTH": "200000"} | changes


def test_the_answer_goes_out_before_the_rest_of_the_body_is_read() -> None:
    body = io.BytesIO(b"x" * 200_000)
    answer = iter(answer_of("413 Content Too Large", an_upload(body)))

    assert next(answer) == b"no"
    assert body.tell() == 0
    assert list(answer) == []
    assert body.tell() == 200_000


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        ("201 Created", {}),
        ("413 Content Too Large", {"HTTP_EXPECT": "100-continue"}),
        ("401 Unauthorized", {"CONTENT_LENGTH": ""}),
        ("401 Unauthorized", {"CONTENT_LENGTH": "0"}),
    ],
)
def test_nothing_is_read_where_nobody_waits_for_it(status: str, changes: dict[str, Any]) -> None:
    body = io.BytesIO(b"x" * 200_000)

    assert list(answer_of(status, an_upload(body, **changes))) == [b"no"]
    assert body.tell() == 0


def test_nothing_is_read_where_the_server_does_not_say_where_a_body_ends() -> None:
    body = io.BytesIO(b"x" * 200_000)
    environ = an_upload(body)
    del environ["wsgi.input_terminated"]

    assert list(answer_of("413 Content Too Large", environ)) == [b"no"]
    assert body.tell() == 0


def test_a_chunked_body_is_read_on_as_well() -> None:
    body = io.BytesIO(b"x" * 200_000)
    environ = an_upload(body, CONTENT_LENGTH="", HTTP_TRANSFER_ENCODING="chunked")

    list(answer_of("413 Content Too Large", environ))

    assert body.tell() == 200_000


def test_reading_on_ends_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "_DRAIN_SECONDS", 0)
    body = io.BytesIO(b"x" * 200_000)

    list(answer_of("413 Content Too Large", an_upload(body)))

    assert body.tell() <= 64 * 1024


def test_the_answer_is_closed() -> None:
    inner = Answer()
    answer = answer_of("413 Content Too Large", an_upload(io.BytesIO()), inner)
    list(answer)
    answer.close()  # type: ignore[attr-defined]

    assert inner.closed
