"""A small MDM server over real HTTP that behaves as NanoMDM does, with simulated devices (tests/deployments/mdm/nanomdm/devices.py).

    with MdmServer(api_key="key", webhook_url="http://127.0.0.1:4443/mdm/nanomdm/webhook", hmac_key="secret") as mdm:
        device = mdm.enroll(serial="A12BC3D4EFGH")      # Authenticate and TokenUpdate, with their webhooks
        mdm.run_devices()                               # from now on devices fetch and answer by themselves
        requests.put(f"{mdm.url}/v1/enqueue/{device.udid}", data=plist, auth=("nanomdm", "key"))
        mdm.wait(lambda: device.profiles)

Behaviour is that of micromdm/nanomdm: `http/api/api.go`, `api/api.go`, `api/do.go`, `push/service/service.go`,
`storage/kv/queue.go`, `service/nanomdm/service.go`; facts-apple.md §4 has what was seen of a running one:

* a 200 to an enqueue proves nothing: ids nobody has enrolled are queued silently. Where a push is sent too (no
  `nopush=1`), an unknown id has its own push_error: 500 if all ids have one, 207 if some; the command IS queued;
* a CommandUUID is taken once and for all: again, or after a push error, it is 500 "command already exists";
* Authenticate empties the device's queue: commands sent before a re-enrolment are gone without a word;
* after NotNow the queue's other commands are offered, and the refused one again in the next session;
* a webhook is sent for every report, `Idle` too, once and never again (tests/deployments/mdm/nanomdm/webhooks.py).
"""

import base64
import json
import plistlib
import secrets
import ssl
import threading
import time
import urllib.parse
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from tests.deployments.mdm.nanomdm.devices import Device
from tests.deployments.mdm.nanomdm.front import CUT, SPOILED, Answer, ApiFault, MdmListener, Recorded
from tests.deployments.mdm.nanomdm.queue import CommandExists, CommandQueue
from tests.deployments.mdm.nanomdm.webhooks import Webhooks

TOPIC = "com.apple.mgmt.External.e3b8ceac-1f18-2c8e-8a63-dd17d99435d9"
VERSION = "v0.9.0"


class MdmServer:
    """The server, its devices by UDID in `devices`, everything asked of it in `requests`, its sender in `webhooks`.

    Knobs: `push_error` (a text: pushes fail as without an APNs certificate), `silent_unknown` (no push_error for
    unknown ids), `latency_seconds`, `fail` and `heal`, `stop` and `start`, `webhooks.faults`, fields of devices.
    """

    def __init__(
        self,
        *,
        api_key: str = "mdm-api-key",
        webhook_url: str | None = None,
        hmac_key: str | None = "mdm-hmac-key",
        tls: ssl.SSLContext | None = None,
        webhook_threads: int = 1,
    ) -> None:
        self.api_key = api_key
        self.webhooks = Webhooks(webhook_url, hmac_key, tls, webhook_threads)
        self.queue = CommandQueue()
        self.devices: dict[str, Device] = {}
        self.requests: list[Recorded] = []
        self.faults: list[ApiFault] = []
        self.latency_seconds = 0.0
        self.push_error: str | None = None
        self.silent_unknown = False
        self._turn = threading.RLock()
        self._ended = threading.Event()
        self._runner: threading.Thread | None = None
        self._listener: MdmListener | None = MdmListener(self.respond, self._fault_for, self.requests)
        self.port = self._listener.port
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.stop_devices()
        self.stop()
        self.webhooks.close()

    def stop(self) -> None:
        """Refuse connections and cut the open ones; queue and devices stay."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def start(self) -> None:
        """Listen again, on the same port."""
        if self._listener is None:
            self._listener = MdmListener(self.respond, self._fault_for, self.requests, self.port)

    # Faults of the API

    def fail(
        self, kind: str, *, times: int = 1, after: bool = False, seconds: float = 0.0, path: str = "/v1/"
    ) -> None:
        """Spoil the next `times` requests to `path`: `hang`, `error` (500), `html` (502), `garbage` (200) or `close`.

        after: do what was asked first, so that only the answer is lost. seconds: how long a hang lasts (0: for ever).
        """
        assert kind in SPOILED or kind in CUT
        self.faults.append(ApiFault(kind, times, after, seconds, path))

    def heal(self) -> None:
        self.faults.clear()

    def _fault_for(self, path: str) -> ApiFault | None:
        time.sleep(self.latency_seconds)
        for fault in self.faults:
            if path.startswith(fault.path) and fault.times > 0:
                fault.times -= 1
                return fault
        return None

    # The API

    def respond(self, method: str, target: str, authorization: str | None, body: bytes) -> Answer:
        """The answer to a request; what it asks for is done."""
        parts = urllib.parse.urlsplit(target)
        path = urllib.parse.unquote(parts.path)
        if path == "/version":
            return Answer(200, json.dumps({"version": VERSION}, separators=(",", ":")).encode())
        given = base64.b64encode(f"nanomdm:{self.api_key}".encode()).decode()
        if authorization != f"Basic {given}":
            headers = {"Www-Authenticate": 'Basic realm="nanomdm"'}
            return Answer(401, b"Unauthorized\n", "text/plain; charset=utf-8", headers)
        ids = path.rpartition("/")[2].split(",")
        if path.startswith("/v1/enqueue/") and method == "PUT":
            return self._enqueue(ids, body, no_push=bool(urllib.parse.parse_qs(parts.query).get("nopush")))
        if path.startswith("/v1/push/") and method in {"GET", "PUT"}:
            return _json(self._push(ids), len(ids))
        return Answer(404, b"404 page not found\n", "text/plain; charset=utf-8")

    def _enqueue(self, ids: list[str], body: bytes, *, no_push: bool) -> Answer:
        if not body:  # as the original: nothing to queue, so it only pushes
            return _json({"command_error": "must enqueue or push"} if no_push else self._push(ids), len(ids))
        try:
            wrapped = plistlib.loads(body)
            named = {
                "command_uuid": wrapped["CommandUUID"],
                "request_type": wrapped["Command"]["RequestType"],
            }
        except Exception as error:  # whatever a plist reader says of garbage
            return _json({"command_error": f"decoding command: {error!r}"}, len(ids))
        result: dict[str, Any] = {"no_push": True} if no_push else {}
        try:
            self.queue.add(ids, named["command_uuid"], body)
        except CommandExists as error:
            return _json(result | {"command_error": f"command already exists: {error}"} | named, len(ids))
        return _json((result if no_push else self._push(ids)) | named, len(ids))

    def _push(self, ids: list[str]) -> dict[str, Any]:
        known = {one: self.devices[one] for one in ids if one in self.devices}
        missing = [one for one in ids if one not in known and not self.silent_unknown]
        status = {one: {"push_error": "push data missing for id"} for one in missing}
        error = self.push_error if known else None
        for one, device in known.items() if error is None else ():
            device.pushed = device.pushed or device.push_error is None
            failed = {"push_error": device.push_error} if device.push_error is not None else None
            status[one] = failed or {"push_result": str(uuid.uuid4()).upper()}
        return ({"status": status} if status else {}) | ({} if error is None else {"push_error": error})

    # Devices

    def enroll(self, *, serial: str, udid: str | None = None, **fields: Any) -> Device:
        """A new device that enrols now; `fields` are those of Device. Two devices may claim one serial number."""
        device = Device(udid or f"00008110-{secrets.token_hex(8).upper()}", serial, **fields)
        self.check_in(device)
        return device

    def check_in(self, device: Device) -> None:
        """Enrol a device, anew where it was: its waiting commands are dropped, as NanoMDM does."""
        with self._turn:
            self._tell("Authenticate", device)
            self.queue.clear(device.udid)
            self.devices[device.udid] = device
            self.update_token(device)

    def update_token(self, device: Device) -> None:
        """Its TokenUpdate, which real devices also send now and then."""
        device.token_updates += 1
        self._tell("TokenUpdate", device, token_update_tally=device.token_updates)

    def check_out(self, device: Device) -> None:
        """Its user removed the enrolment."""
        with self._turn:
            self._tell("CheckOut", device)
            self.devices.pop(device.udid, None)
            device.profiles.clear()

    def _tell(self, message_type: str, device: Device, **extra: Any) -> None:
        raw = plistlib.dumps(device.check_in(message_type, TOPIC))
        event = {"ids": {"id": device.udid, "type": "Device"}, "raw_payload": base64.b64encode(raw).decode()}
        self.webhooks.send(f"mdm.{message_type}", checkin_event=event | extra | {"udid": device.udid})

    def run_devices(self, interval_seconds: float = 0.005, poll_seconds: float | None = 0.2) -> None:
        """Let devices connect by themselves: when pushed, a while after NotNow, and those with something waiting
        every `poll_seconds` (None: never, as real ones whose push was lost)."""
        assert self._runner is None
        self._ended.clear()
        self._runner = threading.Thread(target=self._run, args=(interval_seconds, poll_seconds), daemon=True)
        self._runner.start()

    def stop_devices(self) -> None:
        self._ended.set()
        if self._runner is not None:
            self._runner.join(30)
            self._runner = None

    def _run(self, interval: float, poll: float | None) -> None:
        next_poll = time.monotonic()
        while not self._ended.wait(interval):
            polls = poll is not None and time.monotonic() >= next_poll
            if polls and poll is not None:
                next_poll = time.monotonic() + poll
            self.tick(poll=polls)

    def tick(self, *, poll: bool = True) -> int:
        """One session of each device that is due; poll: of each that has something waiting. Returns commands answered."""
        now = time.monotonic()
        with self._turn:
            due = [one for one in self.devices.values() if one.online and self._is_due(one, now, poll)]
            return sum(self.connect(device) for device in due)

    def _is_due(self, device: Device, now: float, poll: bool) -> bool:
        comes_back = device.retry_at is not None and device.retry_at <= now
        return device.pushed or comes_back or (poll and bool(self.queue.of(device.udid)))

    def connect(self, device: Device) -> int:
        """A session as Apple's protocol has it: Idle, then a report for each command, until there is none."""
        device.pushed, device.retry_at, count = False, None, 0
        report: dict[str, Any] = {"Status": "Idle", "UDID": device.udid}
        while (command := self._report(device, report)) is not None:
            report = device.answer(command)
            count += 1
            if report["Status"] == "NotNow":
                device.retry_at = time.monotonic() + 0.05
        return count

    def _report(self, device: Device, report: dict[str, Any]) -> bytes | None:
        status, command_uuid = report["Status"], report.get("CommandUUID")
        command = self.queue.report(device.udid, command_uuid, status)
        event = {"command_uuid": command_uuid} if command_uuid else {}
        event |= {"ids": {"id": device.udid, "type": "Device"}}
        event |= {"raw_payload": base64.b64encode(plistlib.dumps(report)).decode(), "status": status}
        self.webhooks.send("mdm.Connect", acknowledge_event=event | {"udid": device.udid})
        return command

    def wait(self, until: Callable[[], Any], seconds: float = 10.0) -> None:
        """Wait until something holds."""
        end = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < end, f"did not come true within {seconds} s"
            time.sleep(0.002)


def _json(result: dict[str, Any], asked: int) -> Answer:
    """NanoMDM's JSON and its status (api/api.go, `code`)."""
    failed = sum("push_error" in one or "command_error" in one for one in result.get("status", {}).values())
    status = 200 if not failed else 207 if failed < asked else 500
    if "push_error" in result or "command_error" in result:
        status = 500
    return Answer(status, json.dumps(result, indent="\t").encode() + b"\n")
