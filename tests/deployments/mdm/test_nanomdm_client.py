"""What is sent to NanoMDM, and what its answers, or others', are taken for."""

import contextlib
import plistlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from bulkcert.deployments.mdm.commands import write_command
from bulkcert.deployments.mdm.nanomdm_client import NanoMdm
from bulkcert.deployments.mdm.server_settings import Address, read_address
from bulkcert.errors.mdm import (
    BadMdmAddress,
    MdmFault,
    MdmRefused,
    MdmUnauthorised,
    MdmUncertain,
    MdmUnreachable,
)
from bulkcert.values.mdm import RequestType
from bulkcert.values.secret import Secret
from tests.deployments.mdm.nanomdm.server import MdmServer

NAME = "6f1c3f5e-0000-5d0a-9d8e-0c6f2b6d7a41"
KEY = Secret(b"an api key")


class Scripted:
    """Answers every connection with the same bytes, and keeps what it was sent."""

    def __init__(self, answer: bytes, pause: float = 0.0, *, closes: bool = True) -> None:
        self.answer, self.pause, self.closes = answer, pause, closes
        self.taken: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(5)
                self.taken.append(connection.recv(65536))
                step = 1 if self.pause else max(1, len(self.answer))
                for start in range(0, len(self.answer), step):
                    connection.sendall(self.answer[start : start + step])
                    time.sleep(self.pause)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)


@contextlib.contextmanager
def answering(answer: bytes, pause: float = 0.0, seconds: float = 5) -> Iterator[tuple[NanoMdm, Scripted]]:
    server = Scripted(answer, pause)
    client = NanoMdm(Address(False, "127.0.0.1", server.port, ""), KEY, seconds=seconds)
    try:
        yield client, server
    finally:
        client.close()
        server.close()


def http(status: int, body: bytes = b"", headers: bytes = b"") -> bytes:
    head = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n" % (status, len(body))
    return head + headers + b"\r\n" + body


def enqueue(client: NanoMdm) -> None:
    client.enqueue("UDID-0001", NAME, write_command(NAME, RequestType.PROFILE_LIST))


TAKEN = b'{"command_uuid": "%s"}' % NAME.encode()
HTML = b"<html>Bad Gateway</html>"


@pytest.mark.slow
@pytest.mark.parametrize(
    "answer",
    [
        http(200, TAKEN),
        http(200, TAKEN.upper().replace(b"COMMAND_UUID", b"command_uuid")),
        http(500, TAKEN[:-1] + b', "push_error": "no certificate"}'),
        http(500, b'{"command_error": "command already exists: x"}'),
    ],
)
def test_these_answers_say_that_the_command_is_queued(answer: bytes) -> None:
    with answering(answer) as (client, server):
        enqueue(client)
    assert len(server.taken) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (http(401, b"Unauthorized"), MdmUnauthorised),
        (http(403), MdmUnauthorised),
        (http(301, b"", b"Location: http://127.0.0.1:9/\r\n"), MdmUnreachable),
        (http(307, b"", b"Location: /elsewhere\r\n"), MdmUnreachable),
        (http(404, b"404 page not found"), MdmUnreachable),
        (http(405), MdmUnreachable),
        (http(413), MdmRefused),
        (http(400, HTML), MdmRefused),
        (http(500, b'{"command_error": "disk full"}'), MdmRefused),
        (http(200, HTML), MdmUncertain),
        (http(200, b"[]"), MdmUncertain),
        (http(200, b"null"), MdmUncertain),
        (http(200, b"[" * 100_000), MdmUncertain),
        (http(200, b'{"command_uuid": "another"}'), MdmUncertain),
        (http(200, b'{"command_uuid": 7}'), MdmUncertain),
        (http(500, b"Internal Server Error"), MdmUncertain),
        (http(502, HTML), MdmUncertain),
        (http(503, HTML), MdmUncertain),
        (http(200, b"x" * 300_000), MdmUncertain),
        (b"garbage\r\n\r\n", MdmUncertain),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", MdmUncertain),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200, MdmUncertain),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000, MdmUncertain),
        (b"", MdmUncertain),
    ],
    ids=lambda value: value[:50].decode("latin-1") if isinstance(value, bytes) else value.__name__,
)
def test_any_other_answer_is_a_fault_of_its_kind(answer: bytes, fault: type[MdmFault]) -> None:
    with answering(answer) as (client, server), pytest.raises(fault) as told:
        enqueue(client)
    assert type(told.value) is fault
    assert len(server.taken) == 1  # no redirect was followed, nothing sent twice
    assert "an api key" not in repr(told.value) + str(told.value)
    assert told.value.__context__ is None or told.value.__suppress_context__


@pytest.mark.slow
def test_a_refusal_holds_the_servers_words_short_and_printable() -> None:
    body = b'{"command_error": "disk\\u0000\\u202e full\\n' + b"x" * 10_000 + b'"}'
    with answering(http(500, body)) as (client, _), pytest.raises(MdmRefused) as told:
        enqueue(client)
    assert told.value.detail.isprintable()
    assert len(told.value.detail) < 400


@pytest.mark.slow
def test_an_answer_that_never_ends_is_given_up() -> None:
    slow = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b" " * 100_000
    began = time.monotonic()
    with answering(slow, pause=0.01, seconds=1) as (client, _), pytest.raises(MdmUncertain):
        enqueue(client)
    assert time.monotonic() - began < 10


@pytest.mark.slow
def test_a_server_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = NanoMdm(Address(False, "127.0.0.1", silent.getsockname()[1], ""), KEY, seconds=0.2)
        with pytest.raises(MdmUncertain, match="in time"):
            enqueue(client)
        client.close()


@pytest.mark.parametrize(
    "address", [Address(False, "127.0.0.1", 9, ""), Address(False, "nobody.invalid", 80, "")]
)
def test_a_server_that_is_not_there_has_nothing(address: Address) -> None:
    with pytest.raises(MdmUnreachable):
        enqueue(NanoMdm(address, KEY, seconds=2))


@pytest.mark.slow
def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with answering(http(200, TAKEN)) as (client, server):
        enqueue(client)
    assert server.taken[0].startswith(b"PUT /v1/enqueue/UDID-0001?nopush=1 HTTP/1.1\r\n")


@pytest.mark.slow
def test_a_path_before_its_own_and_strange_ids_are_written_as_they_must() -> None:
    with answering(http(200, TAKEN)) as (_, server):
        client = NanoMdm(Address(False, "127.0.0.1", server.port, "/mdm"), KEY)
        client.enqueue("a/../b?c,d", NAME, write_command(NAME, RequestType.PROFILE_LIST))
        client.close()
    assert server.taken[0].startswith(b"PUT /mdm/v1/enqueue/a%2F..%2Fb%3Fc%2Cd?nopush=1 HTTP/1.1\r\n")


@pytest.mark.slow
def test_a_kept_connection_that_the_server_closed_is_made_again() -> None:
    with MdmServer(api_key="an api key") as mdm:
        client = NanoMdm(Address(False, "127.0.0.1", mdm.port, ""), KEY)
        enqueue(client)
        mdm.stop()
        with pytest.raises(MdmUnreachable):  # and not: uncertain
            enqueue(client)
        mdm.start()
        enqueue(client)  # it exists already
        client.close()
        assert mdm.queue.of("UDID-0001") == [NAME]


@pytest.mark.slow
def test_a_push_tells_who_was_not_woken() -> None:
    with MdmServer(api_key="an api key") as mdm:
        client = NanoMdm(Address(False, "127.0.0.1", mdm.port, ""), KEY)
        device = mdm.enroll(serial="A12BC3D4EFGH")
        assert client.push([device.udid, "nobody"]) == {"nobody": "push data missing for id"}
        mdm.push_error = "no certificate"
        assert client.push([device.udid]) == {device.udid: "no certificate"}
        client.close()


@pytest.mark.parametrize(
    ("request_type", "expected"),
    [
        (RequestType.PROFILE_LIST, {"RequestType": "ProfileList", "ManagedOnly": False}),
        (RequestType.CERTIFICATE_LIST, {"RequestType": "CertificateList", "ManagedOnly": False}),
        (RequestType.REMOVE_PROFILE, {"RequestType": "RemoveProfile", "Identifier": "vpn"}),
        (RequestType.INSTALL_PROFILE, {"RequestType": "InstallProfile", "Payload": b"a profile"}),
    ],
)
def test_commands_are_written_by_apples_schema(
    request_type: RequestType, expected: dict[str, object]
) -> None:
    command = write_command(NAME, request_type, profile=Secret(b"a profile"), identifier="vpn")
    assert plistlib.loads(command.reveal()) == {"CommandUUID": NAME, "Command": expected}


# Addresses


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://mdm.example.com", Address(True, "mdm.example.com", 443, "")),
        ("https://mdm.example.com:9000/nano/", Address(True, "mdm.example.com", 9000, "/nano")),
        ("http://127.0.0.1:9000", Address(False, "127.0.0.1", 9000, "")),
        ("http://localhost", Address(False, "localhost", 80, "")),
        ("http://[::1]:9000", Address(False, "::1", 9000, "")),
    ],
)
def test_these_are_addresses(url: str, expected: Address) -> None:
    assert read_address(url, allows_http=False) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mdm.example.com",
        "ftp://mdm.example.com",
        "file:///etc/passwd",
        "https://",
        "https://nanomdm:key@mdm.example.com",
        "https://mdm.example.com/?x=y",
        "https://mdm.example.com/#x",
        "https://mdm.example.com/a b",
        "https://mdm.example.com/\r\nX: y",
        "https://mdm.example.com:99999",
        "https://mdm.example.com/../../",
        "http://mdm.example.com",
        "http://192.0.2.7",
        "http://127.0.0.1.example.com",
        "https://" + "x" * 600,
        "https://mdm.éxample.com",
        "https://[::1",
    ],
)
def test_these_are_not(url: str) -> None:
    if url == "https://mdm.example.com/../../":
        assert read_address(url, allows_http=False).path == "/../.."  # http.client sends it as it is
        return
    with pytest.raises(BadMdmAddress):
        read_address(url, allows_http=False)


def test_plain_http_to_another_machine_is_a_setting() -> None:
    assert read_address("http://mdm.internal:9000", allows_http=True).host == "mdm.internal"


# Proof that the server is there


EMPTY = http(500, b'{"command_error": "must enqueue or push"}')


@pytest.mark.slow
@pytest.mark.parametrize("answer", [EMPTY, http(400, b"Bad Request")], ids=["0.9", "older"])
def test_a_server_that_refuses_an_empty_command_is_there(answer: bytes) -> None:
    with answering(answer) as (client, server):
        client.prove()

    [asked] = server.taken
    assert asked.startswith(b"PUT /v1/enqueue/bulkcert?nopush=1 ")
    assert b"Content-Length: 0" in asked


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (http(401), MdmUnauthorised),
        (http(404), MdmUnreachable),
        (http(302), MdmUnreachable),
        (http(200, b"<html>"), MdmUnreachable),
        (http(200, b"{}"), MdmUnreachable),
        (http(502, b"<html>Bad gateway</html>"), MdmUnreachable),
        (b"garbage", MdmUnreachable),
        (b"", MdmUnreachable),
    ],
    ids=["401", "404", "302", "HTML", "other JSON", "502", "garbage", "closed"],
)
def test_whatever_else_answers_is_not_there(answer: bytes, fault: type[MdmFault]) -> None:
    with answering(answer) as (client, _), pytest.raises(fault):
        client.prove()


@pytest.mark.slow
def test_a_server_that_just_took_a_command_is_not_asked_again() -> None:
    now = [0.0]
    with MdmServer(api_key="an api key") as server:
        client = NanoMdm(Address(False, "127.0.0.1", server.port, ""), KEY, monotonic=lambda: now[0])
        enqueue(client)
        now[0] = 1.9
        client.prove()
        assert len(server.requests) == 1
        now[0] = 4.0
        client.prove()
        assert len(server.requests) == 2
        client.close()
        client.prove()
        assert len(server.requests) == 3
        client.close()
