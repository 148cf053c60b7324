"""`make demo`: start a throw-away service and go through import, report, profile and deletion over HTTPS."""

import http.client
import json
import os
import plistlib
import random
import secrets
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import click

_START_SECONDS = 60
_PORTS = range(20_000, 30_000)  # below those that Linux gives to outgoing connections
_TRIES = 10


@click.command()
@click.argument("bundle", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def demo(bundle: Path) -> None:
    """Start a throw-away service, import BUNDLE, show the report, delete in bulk, stop."""
    with tempfile.TemporaryDirectory() as directory, _service(Path(directory)) as client:
        _say("upload the bundle (POST /api/v1/imports)")
        made = client.upload(bundle)
        _show({"state": made["state"], **made["counts"]})
        _say("what happened to each device (GET /api/v1/imports/{id}/items)")
        items = client.get(f"/api/v1/imports/{made['id']}/items")["items"]
        _report(items)
        kept = [item for item in items if item["certificate_id"]]
        _say(f"what is kept for {kept[0]['identity']} (GET /api/v1/certificates/{{id}})")
        _show(client.get(f"/api/v1/certificates/{kept[0]['certificate_id']}"))
        _deploy(client)
        _say("delete all of them (POST /api/v1/deletions)")
        identities = [item["identity"] for item in kept]
        deletion = client.post(
            "/api/v1/deletions", {"identity_type": "SERIAL_NUMBER", "identities": identities}
        )
        _show({"state": deletion["state"], **deletion["counts"]})
        _say("nothing is left (GET /api/v1/certificates?state=current)")
        left = client.get("/api/v1/certificates?state=current")["items"]
        _show({"certificates": len(left)})
        if left or deletion["counts"]["deleted"] != len(identities):
            raise click.ClickException("the deletion did not take everything out")


def _deploy(client: "_Client") -> None:
    """Create a VPN policy, lease one of its deployments, and get the profile of that device."""
    _say("create a VPN policy for these devices (POST /api/v1/vpn-policies)")
    policy = client.post("/api/v1/vpn-policies", _POLICY)
    _show({"id": policy["id"], **_POLICY})
    _say("take one deployment of it in hand, as a deployer does (POST /api/v1/deployments/lease)")
    [lease] = client.post("/api/v1/deployments/lease", {"max": 1})["items"]
    _show({"identity": lease["deployment"]["identity"], "action": lease["action"], "state": "leased"})
    _say("get its configuration profile; the release is recorded (POST /api/v1/deployments/{id}/profile)")
    profile = plistlib.loads(client.fetch(lease["profile"], {"lease": lease["lease"]}))
    payloads = [payload["PayloadType"] for payload in profile["PayloadContent"]]
    _show({"PayloadIdentifier": profile["PayloadIdentifier"], "payloads": payloads})


_POLICY = {
    "name": "Always On",
    "connection_type": "ALWAYS_ON_IKEV2",
    "identity_type": "SERIAL_NUMBER",
    "tunnels": [
        {
            "remote_address": "vpn.example.com",
            "remote_identifier": "vpn.example.com",
            "local_identifier": "{common_name}",
        }
    ],
}


@dataclass(frozen=True)
class _Client:
    """An HTTP client with a token."""

    base: str
    context: ssl.SSLContext
    token: str = ""

    @cached_property
    def _opener(self) -> urllib.request.OpenerDirector:
        """Open connections past any proxy of the environment: the service is on this machine."""
        no_proxy = urllib.request.ProxyHandler({})
        return urllib.request.build_opener(no_proxy, urllib.request.HTTPSHandler(context=self.context))

    def get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        return json.loads(self._send("GET", path, None, {}))

    def post(self, path: str, body: object) -> Any:  # noqa: ANN401 - JSON
        return json.loads(self.fetch(path, body))

    def fetch(self, path: str, body: object) -> bytes:
        """Send JSON; return the answer's content."""
        return self._send("POST", path, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def upload(self, bundle: Path) -> Any:  # noqa: ANN401 - JSON
        """Send the bundle as a form, as `curl -F` does."""
        boundary = uuid.uuid4().hex
        field = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="identity_type"\r\n\r\nSERIAL_NUMBER\r\n'
        )
        file = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="bundle"; filename="{bundle.name}"\r\n'
            "Content-Type: application/zip\r\n\r\n"
        )
        body = b"".join(
            [field.encode(), file.encode(), bundle.read_bytes(), f"\r\n--{boundary}--\r\n".encode()]
        )
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", "Prefer": "wait=60"}
        return json.loads(self._send("POST", "/api/v1/imports", body, headers))

    def _send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> bytes:
        request = urllib.request.Request(self.base + path, body, dict(headers), method=method)
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with self._opener.open(request, timeout=90) as answer:
                content: bytes = answer.read()
                return content
        except urllib.error.HTTPError as refusal:
            with refusal:
                raise click.ClickException(f"{method} {path}: {refusal.read().decode()}") from None


@contextmanager
def _service(directory: Path) -> Iterator[_Client]:
    """Run `bulkcert init` and `bulkcert serve` in a directory, log in, and yield a client."""
    data_dir = directory / "bulkcert-data"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BULKCERT_")}
    environment |= {"BULKCERT_DATA_DIR": str(data_dir), "BULKCERT_LOG_LEVEL": "warning"}
    command = [sys.executable, "-m", "bulkcert"]
    password = secrets.token_urlsafe()
    _say("create a data directory (bulkcert init)")
    first = environment | {"BULKCERT_ADMIN_PASSWORD": password}
    subprocess.run([*command, "init"], env=first, check=True, stdout=subprocess.DEVNULL)
    _say("start the service (bulkcert serve)")
    context = ssl.create_default_context(cafile=data_dir / "tls" / "certificate.pem")
    process, client = _serve([*command, "serve"], environment, context, directory / "serve.log")
    try:
        _say("log in (POST /api/v1/sessions)")
        session = client.post("/api/v1/sessions", {"login": "administrator", "password": password})
        yield _Client(client.base, context, session["access_token"])
    finally:
        _say("stop (SIGTERM)")
        _stop(process)


def _serve(
    command: list[str], environment: dict[str, str], context: ssl.SSLContext, log: Path
) -> tuple["subprocess.Popen[bytes]", _Client]:
    """Start the service on a port that nobody uses, and return it when it is ready.

    Only the service can take a port for itself, so where it finds one in use, another is tried.
    """
    for port in random.sample(_PORTS, _TRIES):
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, "--port", str(port)], env=environment, stderr=output, stdout=output
            )
        client = _Client(f"https://localhost:{port}", context)
        if _is_ready(client, process):
            return process, client
        _stop(process)
        if "address_not_usable" not in log.read_text(errors="replace"):
            break
    raise click.ClickException("the service did not start:\n" + log.read_text(errors="replace"))


def _is_ready(client: _Client, process: "subprocess.Popen[bytes]") -> bool:
    """Wait until the service answers; False where it ended, or did not answer in time."""
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            client.get("/health/ready")
        except (OSError, http.client.HTTPException, click.ClickException):
            time.sleep(0.1)
        else:
            return process.poll() is None
    return False


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    process.wait(timeout=60)


def _say(text: str) -> None:
    click.echo(f"\n== {text}")


def _show(document: object) -> None:
    click.echo(json.dumps(document, indent=2))


def _report(items: list[dict[str, Any]]) -> None:
    for item in items:
        detail = f"  {item['code']}: {item['detail']}" if item["code"] else ""
        warnings = f"  warnings: {', '.join(item['warnings'])}" if item["warnings"] else ""
        click.echo(f"{item['identity']:<16} {item['outcome']:<10}{detail}{warnings}")


if __name__ == "__main__":
    demo()
