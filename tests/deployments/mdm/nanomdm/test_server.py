"""The MDM server that the deployer's tests run against answers as NanoMDM does."""

import plistlib
import time
import uuid

import pytest
import requests

from tests.deployments.mdm.builders import KEY, SERIAL, a_command, enqueue, mdm_fixture, receiver_fixture  # noqa: F401
from tests.deployments.mdm.nanomdm.server import MdmServer

NO_PUSH_CERTIFICATE = 'retrieving push cert for topic "com.apple.mgmt.External": not found'


@pytest.mark.parametrize("auth", [None, ("nanomdm", "wrong"), ("micromdm", KEY), ("nanomdm", "")])
def test_without_the_right_user_and_key_the_answer_is_401(
    mdm: MdmServer, auth: tuple[str, str] | None
) -> None:
    answer = requests.put(f"{mdm.url}/v1/enqueue/x", data=a_command(), auth=auth, timeout=5)
    assert (answer.status_code, answer.text) == (401, "Unauthorized\n")
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="nanomdm"'
    assert mdm.queue.of("x") == []


def test_the_version_is_told_to_everybody(mdm: MdmServer) -> None:
    assert requests.get(f"{mdm.url}/version", timeout=5).json() == {"version": "v0.9.0"}


def test_an_enqueue_tells_of_its_push(mdm: MdmServer) -> None:
    device = mdm.enroll(serial=SERIAL)
    answer = enqueue(mdm, device.udid, a_command("ProfileList", "c-1"))
    push_result = answer.json()["status"][device.udid].pop("push_result")
    assert uuid.UUID(push_result)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    expected = {"status": {device.udid: {}}, "command_uuid": "c-1", "request_type": "ProfileList"}
    assert answer.json() | {"status": {device.udid: {}}} == expected
    assert device.pushed


def test_with_nopush_no_device_is_woken(mdm: MdmServer) -> None:
    device = mdm.enroll(serial=SERIAL)
    answer = enqueue(mdm, device.udid, a_command("ProfileList", "c-1"), "?nopush=1")
    assert answer.json() == {"no_push": True, "command_uuid": "c-1", "request_type": "ProfileList"}
    assert not device.pushed
    assert mdm.tick(poll=False) == 0
    assert mdm.tick(poll=True) == 1


def test_an_unknown_id_is_queued_in_silence(mdm: MdmServer) -> None:
    known = mdm.enroll(serial=SERIAL).udid
    assert enqueue(mdm, "nobody", a_command(command_uuid="c-1"), "?nopush=1").status_code == 200
    assert enqueue(mdm, f"{known},nobody", a_command(command_uuid="c-2"), "?nopush=1").status_code == 200
    assert (mdm.queue.of("nobody"), mdm.queue.of(known)) == (["c-1", "c-2"], ["c-2"])


@pytest.mark.parametrize(
    ("silent", "alone", "together"),
    [(False, 500, 207), (True, 200, 200)],
    ids=["as NanoMDM", "silent_unknown"],
)
def test_an_unknown_id_that_is_pushed_to_is_queued_all_the_same(
    mdm: MdmServer, silent: bool, alone: int, together: int
) -> None:
    mdm.silent_unknown = silent
    known = mdm.enroll(serial=SERIAL).udid
    answer = enqueue(mdm, "nobody", a_command(command_uuid="c-1"))
    errors = {} if silent else {"nobody": {"push_error": "push data missing for id"}}
    assert (answer.status_code, answer.json().get("status", {})) == (alone, errors)
    assert enqueue(mdm, f"nobody,{known}", a_command(command_uuid="c-2")).status_code == together
    assert mdm.queue.of("nobody") == ["c-1", "c-2"]


def test_a_command_uuid_is_taken_once(mdm: MdmServer) -> None:
    one, two = mdm.enroll(serial=SERIAL).udid, mdm.enroll(serial="B12BC3D4EFGH").udid
    assert enqueue(mdm, one, a_command(command_uuid="c-1")).status_code == 200
    mdm.tick()
    for udid in (one, two):  # neither when it is done nor for another device
        answer = enqueue(mdm, udid, a_command(command_uuid="c-1"))
        assert answer.status_code == 500
        assert answer.json()["command_error"] == "command already exists: c-1"
    assert (mdm.queue.of(one), mdm.queue.of(two)) == ([], [])


def test_a_push_error_is_a_500_though_the_command_is_queued(mdm: MdmServer) -> None:
    mdm.push_error = NO_PUSH_CERTIFICATE
    udid = mdm.enroll(serial=SERIAL).udid
    answer = enqueue(mdm, udid, a_command(command_uuid="c-1"))
    assert (answer.status_code, answer.json()["push_error"]) == (500, NO_PUSH_CERTIFICATE)
    assert mdm.queue.of(udid) == ["c-1"]
    assert (
        "command already exists" in enqueue(mdm, udid, a_command(command_uuid="c-1")).json()["command_error"]
    )


def test_a_device_that_apns_refuses_has_its_own_push_error(mdm: MdmServer) -> None:
    one, two = mdm.enroll(serial=SERIAL), mdm.enroll(serial="B12BC3D4EFGH", push_error="Unregistered")
    answer = enqueue(mdm, f"{one.udid},{two.udid}", a_command())
    assert (answer.status_code, answer.json()["status"][two.udid]) == (207, {"push_error": "Unregistered"})
    assert (one.pushed, two.pushed) == (True, False)


@pytest.mark.parametrize(
    "body",
    [b"garbage", b"<plist><dict>", a_command(None), plistlib.dumps({"Command": {"RequestType": "X"}}), b"[]"],
)
def test_garbage_is_a_command_error(mdm: MdmServer, body: bytes) -> None:
    answer = enqueue(mdm, "x", body)
    assert (answer.status_code, list(answer.json())) == (500, ["command_error"])
    assert mdm.queue.of("x") == []


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_push_alone_wakes_devices(mdm: MdmServer, method: str) -> None:
    device = mdm.enroll(serial=SERIAL)
    url = f"{mdm.url}/v1/push/{device.udid},nobody"
    answer = requests.request(method, url, auth=("nanomdm", KEY), timeout=5)
    assert (answer.status_code, answer.json()["status"]["nobody"]) == (
        207,
        {"push_error": "push data missing for id"},
    )
    assert device.pushed


# Faults of the API


@pytest.mark.parametrize(("kind", "status"), [("error", 500), ("html", 502), ("garbage", 200)])
@pytest.mark.parametrize("after", [False, True])
def test_a_spoiled_answer_hides_whether_the_command_was_queued(
    mdm: MdmServer, kind: str, status: int, after: bool
) -> None:
    mdm.fail(kind, after=after)
    answer = enqueue(mdm, "x", a_command(command_uuid="c-1"), "?nopush=1")
    assert answer.status_code == status
    with pytest.raises(ValueError):
        answer.json()
    assert mdm.queue.of("x") == (["c-1"] if after else [])
    assert enqueue(mdm, "x", a_command(), "?nopush=1").status_code == 200  # only as many as was said


@pytest.mark.parametrize(("kind", "error"), [("hang", requests.Timeout), ("close", requests.ConnectionError)])
def test_a_connection_can_hang_or_break(mdm: MdmServer, kind: str, error: type[Exception]) -> None:
    mdm.fail(kind, after=True)
    with pytest.raises(error):
        enqueue(mdm, "x", a_command(command_uuid="c-1"), timeout=0.2)
    assert mdm.queue.of("x") == ["c-1"]
    assert [(one.status, one.fault) for one in mdm.requests] == [(None, kind)]


def test_a_stopped_server_comes_back_with_what_it_knew(mdm: MdmServer) -> None:
    with requests.Session() as session:
        session.auth = ("nanomdm", KEY)
        url = f"{mdm.url}/v1/enqueue/x?nopush=1"
        assert session.put(url, data=a_command(command_uuid="c-1"), timeout=5).status_code == 200
        mdm.stop()
        with pytest.raises(requests.ConnectionError):  # the kept connection too
            session.put(url, data=a_command(), timeout=5)
        mdm.start()
        assert session.put(url, data=a_command(command_uuid="c-2"), timeout=5).status_code == 200
    assert mdm.queue.of("x") == ["c-1", "c-2"]
    assert [request.status for request in mdm.requests] == [200, 200]


def test_latency_is_waited_out(mdm: MdmServer) -> None:
    mdm.latency_seconds = 0.1
    began = time.monotonic()
    assert enqueue(mdm, "x", a_command(), "?nopush=1").status_code == 200
    assert time.monotonic() - began >= 0.1
