"""What tests against tests/deployments/mdm/nanomdm/server.py share: somebody who takes webhooks, commands, profiles.

Tests import the fixtures: `from tests.deployments.mdm.builders import mdm_fixture, receiver_fixture  # noqa: F401`.
"""

import base64
import json
import plistlib
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from tests.builders import a_ca, a_certificate, an_ec_key
from tests.deployments.mdm.nanomdm.devices import Device
from tests.deployments.mdm.nanomdm.server import MdmServer

KEY = "an api key"
HMAC_KEY = "an hmac key"
SERIAL = "A12BC3D4EFGH"


class Receiver:
    """Somebody who takes webhooks: answers `status`, keeps (body, signature) of each."""

    def __init__(self) -> None:
        self.taken: list[tuple[bytes, str | None]] = []
        self.status = 200
        receiver = self

        class Conversation(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.taken.append((body, self.headers.get("X-Hmac-Signature")))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Conversation)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/mdm/nanomdm/webhook"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body, _ in self.taken]


@pytest.fixture(name="receiver")
def receiver_fixture() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture(name="mdm")
def mdm_fixture(receiver: Receiver) -> Iterator[MdmServer]:
    with MdmServer(api_key=KEY, webhook_url=receiver.url, hmac_key=HMAC_KEY) as mdm:
        yield mdm


def a_command(
    request_type: str | None = "ProfileList", command_uuid: str | None = None, **parts: Any
) -> bytes:
    command = parts | ({"RequestType": request_type} if request_type else {})
    return plistlib.dumps({"CommandUUID": command_uuid or str(uuid.uuid4()), "Command": command})


def an_install(profile: bytes, command_uuid: str | None = None) -> bytes:
    return a_command("InstallProfile", command_uuid, Payload=profile)


def enqueue(mdm: MdmServer, ids: str, body: bytes, query: str = "", timeout: float = 5) -> requests.Response:
    url = f"{mdm.url}/v1/enqueue/{ids}{query}"
    return requests.put(url, data=body, auth=("nanomdm", KEY), timeout=timeout)


def a_legacy_pkcs12(common_name: str = SERIAL, password: str = "secret") -> bytes:
    key = an_ec_key()
    encryption = (
        serialization.PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(2048)
        .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
        .hmac_hash(hashes.SHA1())
        .build(password.encode())
    )
    leaf = a_certificate(key, common_name)
    return pkcs12.serialize_key_and_certificates(b"device", key, leaf, None, encryption)


def a_profile(
    content: bytes | None = None,
    *,
    password: str = "secret",
    identifier: str = "vpn",
    vpn_type: str = "AlwaysOn",
    names: str = "identity",
) -> bytes:
    root = a_ca()[0].public_bytes(serialization.Encoding.DER)
    tunnel = {"ProtocolType": "IKEv2", "PayloadCertificateUUID": names}
    parts: list[dict[str, Any]] = [
        {
            "PayloadType": "com.apple.security.pkcs12",
            "PayloadUUID": "identity",
            "PayloadContent": content or a_legacy_pkcs12(),
            "Password": password,
        },
        {"PayloadType": "com.apple.security.root", "PayloadUUID": "root", "PayloadContent": root},
        {
            "PayloadType": "com.apple.vpn.managed",
            "PayloadUUID": "vpn",
            "VPNType": vpn_type,
            "AlwaysOn": {"TunnelConfigurations": [tunnel]},
        },
    ]
    for part in parts:
        part |= {"PayloadVersion": 1, "PayloadIdentifier": f"{identifier}.{part['PayloadUUID']}"}
    top = {"PayloadType": "Configuration", "PayloadVersion": 1, "PayloadUUID": str(uuid.uuid4())}
    return plistlib.dumps(top | {"PayloadIdentifier": identifier, "PayloadContent": parts})


def answers(receiver: Receiver, command_uuid: str) -> list[dict[str, Any]]:
    """What the webhooks say was answered to a command."""
    events = [event["acknowledge_event"] for event in receiver.events if event["topic"] == "mdm.Connect"]
    mine = [event for event in events if event.get("command_uuid") == command_uuid]
    return [plistlib.loads(base64.b64decode(event["raw_payload"])) for event in mine]


def ask(mdm: MdmServer, receiver: Receiver, device: Device, command: bytes) -> dict[str, Any]:
    """Queue a command, let the device come, return its answer as the webhook brought it."""
    assert enqueue(mdm, device.udid, command).status_code == 200
    assert mdm.tick() == 1
    mdm.webhooks.drain()
    [answer] = answers(receiver, plistlib.loads(command)["CommandUUID"])
    return answer
