"""NanoMDM's webhook, for tests: the same bodies, the same signature, sent by threads and never sent twice.

Copied in behaviour (not in code) from micromdm/nanomdm, `service/webhook/service.go` (v0.9 and newer), `multi.go`
and `http/hashbody/hashbody.go`:

* the body is compact JSON, keys in the order of Go's structs: `{"acknowledge_event": {...}, "created_at": ...,
  "event_id": ..., "topic": "mdm.Connect"}`; check-ins have `checkin_event` instead, which comes first too;
* `created_at` is RFC 3339 with up to nine decimals, trailing zeros cut; `event_id` is optional there;
* `X-Hmac-Signature` is the standard Base64 of HMAC-SHA256 over the body's bytes, and absent without a key;
* an event is posted once, by a goroutine of its own: no retry, no order, any answer but 200 is logged and forgotten.
  So a webhook that meets a stopped receiver is lost.

The members of `ids` (`id`, `type`) are inferred from its Go fields; the generated file was not at hand.
"""

import base64
import collections
import contextlib
import dataclasses
import datetime as dt
import hashlib
import hmac
import http.client
import json
import queue
import secrets
import ssl
import threading
import time
import urllib.parse
from typing import Any

CONTENT_TYPE = "application/json; charset=utf-8"
TIMEOUT_SECONDS = 30
WINDOW_SECONDS = 0.05


@dataclasses.dataclass
class Delivery:
    """One event and what became of it: `waiting`, `accepted`, `refused` (not 200), `lost` (nobody there), `dropped`."""

    number: int
    topic: str
    event: dict[str, Any]
    body: bytes
    signature: str | None
    outcome: str = "waiting"
    statuses: list[int] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class WebhookFaults:
    """What goes wrong on the way; `*_every` = n means each n-th event, counted from 1; 0 is never."""

    drop_every: int = 0
    duplicate_every: int = 0
    wrong_hmac_every: int = 0
    window: int = 1  # so many events are gathered, then sent last first
    delay_seconds: float = 0.0
    age_seconds: float = 0.0  # `created_at` lies so far back
    without_event_id: bool = False


class Webhooks:
    """Sends events to `url` (may be set later; without one nothing is sent) and remembers all of them in `log`."""

    def __init__(
        self, url: str | None, key: str | None, tls: ssl.SSLContext | None = None, threads: int = 1
    ) -> None:
        self.url, self.key, self.tls = url, key, tls
        self.faults = WebhookFaults()
        self.log: list[Delivery] = []
        self._lock = threading.Lock()
        self._open = 0
        self._waiting: queue.Queue[Delivery | None] = queue.Queue()
        self._threads = [threading.Thread(target=self._deliver_all, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def send(self, topic: str, **part: dict[str, Any]) -> None:
        """Queue an event for delivery; `part` is its acknowledge_event or checkin_event."""
        if self.url is None:
            return
        event: dict[str, Any] = {**part, "created_at": a_moment(self.faults.age_seconds)}
        if not self.faults.without_event_id:
            event["event_id"] = secrets.token_hex(8)
        event["topic"] = topic
        body = json.dumps(event, separators=(",", ":")).encode()
        with self._lock:
            delivery = Delivery(len(self.log) + 1, topic, event, body, self.sign(body))
            if _falls_on(self.faults.wrong_hmac_every, delivery.number):
                delivery.signature = sign(body, "another key")
            self.log.append(delivery)
            self._open += 1
        self._waiting.put(delivery)

    def sign(self, body: bytes) -> str | None:
        return None if self.key is None else sign(body, self.key)

    def replay(self, delivery: Delivery) -> int | None:
        """Post an old event again, byte for byte. Returns the status, None where nobody is there."""
        return self.post(delivery.body, delivery.signature)

    def post(self, body: bytes, signature: str | None) -> int | None:
        """Post any body with any signature now. Returns the status, None where nobody is there."""
        assert self.url is not None
        parts = urllib.parse.urlsplit(self.url)
        headers = {"Content-Type": CONTENT_TYPE, "User-Agent": "Go-http-client/1.1", "Connection": "close"}
        if signature is not None:
            headers["X-Hmac-Signature"] = signature
        with contextlib.closing(self._connect(parts)) as connection:
            try:
                connection.request("POST", parts.path or "/", body, headers)
                with connection.getresponse() as response:
                    response.read()
                    return response.status
            except (OSError, http.client.HTTPException):
                return None

    def _connect(self, parts: urllib.parse.SplitResult) -> http.client.HTTPConnection:
        assert parts.hostname is not None
        if parts.scheme == "https":
            return http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=TIMEOUT_SECONDS, context=self.tls
            )
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS)

    def outcomes(self) -> collections.Counter[str]:
        return collections.Counter(delivery.outcome for delivery in self.log)

    def drain(self, seconds: float = 10.0) -> None:
        """Wait until every event has met its fate."""
        end = time.monotonic() + seconds
        while self._open:
            assert time.monotonic() < end, f"{self._open} webhooks still under way after {seconds} s"
            time.sleep(0.002)

    def close(self) -> None:
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join(TIMEOUT_SECONDS)

    def _deliver_all(self) -> None:
        while (first := self._waiting.get()) is not None:
            for delivery in reversed(self._gather(first)):
                self._deliver(delivery)

    def _gather(self, first: Delivery) -> list[Delivery]:
        gathered = [first]
        with contextlib.suppress(queue.Empty):
            while len(gathered) < self.faults.window:
                delivery = self._waiting.get(timeout=WINDOW_SECONDS)
                if delivery is None:
                    self._waiting.put(None)
                    break
                gathered.append(delivery)
        return gathered

    def _deliver(self, delivery: Delivery) -> None:
        time.sleep(self.faults.delay_seconds)
        if _falls_on(self.faults.drop_every, delivery.number):
            delivery.outcome = "dropped"
        else:
            times = 2 if _falls_on(self.faults.duplicate_every, delivery.number) else 1
            answers = [self.replay(delivery) for _ in range(times)]
            delivery.statuses = [status for status in answers if status is not None]
            delivery.outcome = {None: "lost", 200: "accepted"}.get(answers[0], "refused")
        with self._lock:
            self._open -= 1


def sign(body: bytes, key: str) -> str:
    """NanoMDM's X-Hmac-Signature of a body."""
    return base64.b64encode(hmac.new(key.encode(), body, hashlib.sha256).digest()).decode()


def a_moment(age_seconds: float = 0.0) -> str:
    """A moment so many seconds ago as Go writes it (time.RFC3339Nano)."""
    seconds, nanoseconds = divmod(time.time_ns() - int(age_seconds * 10**9), 10**9)
    whole = dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{nanoseconds:09d}".rstrip("0").rstrip(".") + "Z"


def _falls_on(every: int, number: int) -> bool:
    return every > 0 and number % every == 0
