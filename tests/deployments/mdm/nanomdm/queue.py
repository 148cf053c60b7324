"""The command queue of tests/deployments/mdm/nanomdm/server.py, as NanoMDM keeps it (storage/kv/queue.go)."""

import collections
import threading


class CommandExists(Exception):
    """The CommandUUID was queued before, for whichever device."""


class CommandQueue:
    """Commands waiting for enrolment ids, known or not, in the order they came (storage/kv/queue.go)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._raw: dict[str, bytes] = {}
        self._waiting: dict[str, dict[str, str]] = collections.defaultdict(dict)  # id -> {uuid: last status}

    def add(self, ids: list[str], command_uuid: str, raw: bytes) -> None:
        with self._lock:
            if command_uuid in self._raw:
                raise CommandExists(command_uuid)
            self._raw[command_uuid] = raw
            for enrolment in ids:
                self._waiting[enrolment][command_uuid] = ""

    def report(self, enrolment: str, command_uuid: str | None, status: str) -> bytes | None:
        """Note the answer to a command (None: Idle). Returns the next command."""
        with self._lock:
            waiting = self._waiting[enrolment]
            if status == "NotNow" and command_uuid in waiting:
                waiting[command_uuid] = "NotNow"
            elif command_uuid is not None:
                waiting.pop(command_uuid, None)
            offered = (one for one, last in waiting.items() if not (status == "NotNow" == last))
            following = next(offered, None)
            return None if following is None else self._raw[following]

    def clear(self, enrolment: str) -> None:
        with self._lock:
            self._waiting[enrolment].clear()

    def of(self, enrolment: str) -> list[str]:
        """The CommandUUIDs that wait for an id."""
        with self._lock:
            return list(self._waiting.get(enrolment, ()))
