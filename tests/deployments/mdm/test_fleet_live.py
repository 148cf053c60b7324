"""Two hundred devices through the shipped service, whose deployer is killed over and over on the way.

`bulkcert serve` takes webhooks over HTTP; its deployer is killed with SIGKILL several times, and `bulkcert
deployer` runs beside it and is killed too. Webhooks are dropped and doubled, devices say NotNow, pushes fail.
Each device has its profile at the end, and each certificate was installed exactly once.
"""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import a_bundle, a_pkcs12, an_ec_key
from tests.deployments.mdm.nanomdm.server import MdmServer
from tests.live.service import LIVE, LiveService, children_of, command_of, wait_until
from tests.values.policies.policy_documents import a_document, a_tunnel

pytestmark = [*LIVE, pytest.mark.timeout(600)]

DEVICES = 200
WAIT = 4
HMAC_KEY = "the webhook key"


@pytest.fixture
def mdm() -> Iterator[MdmServer]:
    with MdmServer(api_key="the api key", hmac_key=HMAC_KEY, webhook_threads=4) as mdm:
        yield mdm


@pytest.fixture
def service(tmp_path: Path, mdm: MdmServer) -> Iterator[LiveService]:
    settings = {"BULKCERT_MDM_WAIT_SECONDS": str(WAIT)}
    with LiveService(tmp_path / "data", settings, ("--no-tls", "--workers", "1")) as first:
        set_server(first, mdm)
        first.stop()
    with LiveService(tmp_path / "data", settings, ("--no-tls", "--workers", "1")) as service:
        mdm.webhooks.url = f"{service.base_url}/mdm/nanomdm/webhook".replace("localhost", "127.0.0.1")
        yield service


def set_server(service: LiveService, mdm: MdmServer) -> None:
    subprocess.run(
        [sys.executable, "-m", "bulkcert", "mdm", "set", "--url", mdm.url],
        env=service.environment,
        input=f"the api key\n{HMAC_KEY}\n".encode(),
        check=True,
        capture_output=True,
        timeout=60,
    )


def deployers(service: LiveService) -> list[int]:
    return [pid for pid in children_of(service.pid) if "bulkcert.processes.deployer" in command_of(pid)]


def kill_deployers(service: LiveService) -> None:
    for pid in deployers(service):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def start_another(service: LiveService, log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as file:
        command = [sys.executable, "-m", "bulkcert", "deployer"]
        return subprocess.Popen(command, env=service.environment, stdout=file, stderr=file)


def wish(service: LiveService, serials: list[str]) -> None:
    files = {serial: a_pkcs12(serial, key=an_ec_key()) for serial in serials}
    bundle = a_bundle(serials, files=files)
    answer = service.request(
        "POST",
        "/api/v1/imports?identity_type=SERIAL_NUMBER",
        data=bundle,
        headers={"Content-Type": "application/zip", "Prefer": "wait=60"},
        timeout=120,
    )
    assert answer.status_code == 201, answer.text
    assert answer.json()["counts"]["failed"] == 0
    make_policy(service)


def make_policy(service: LiveService) -> None:
    """Through the verb: this test is of the deployer, not of the API that makes policies."""
    from bulkcert.config import Config
    from bulkcert.values.policies import VpnPolicy
    from bulkcert.values.principals import SCOPES_OF, Caller, Role
    from bulkcert.wiring.service import connect

    names = {name: value for name, value in service.environment.items() if name.startswith("BULKCERT_")}
    verbs = connect(Config.from_environment(names))
    document = a_document(tunnels=[a_tunnel(local_identifier="{common_name}")])
    caller = Caller(1, "administrator", "0" * 32, SCOPES_OF[Role.OWNER])
    verbs.vpn_policies.create(VpnPolicy.from_document(document), caller)
    verbs.close()


def counts(service: LiveService) -> dict[str, int]:
    import sqlite3

    uri = f"file:{service.data_dir / 'bulkcert.sqlite3'}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=30)) as database:
        return dict(database.execute("SELECT state, count(*) FROM deployments GROUP BY state").fetchall())


def test_two_hundred_devices_are_installed_once_each_though_everything_dies_on_the_way(
    service: LiveService, mdm: MdmServer, tmp_path: Path
) -> None:
    assert len(deployers(service)) == 1
    serials = [f"C12BC3D4{number:04}" for number in range(DEVICES)]
    devices = [mdm.enroll(serial=serial) for serial in serials]
    for number, device in enumerate(devices):
        device.not_now = (0, 0, 0, 1, 3)[number % 5]
        device.push_error = "Unregistered" if number % 10 == 9 else None
        device.online = number % 20 != 19
    mdm.webhooks.drain(60)
    wish(service, serials)
    mdm.webhooks.faults.drop_every = 7
    mdm.webhooks.faults.duplicate_every = 5
    mdm.run_devices(interval_seconds=0.02, poll_seconds=2)
    began = time.monotonic()
    others: list[subprocess.Popen[bytes]] = []
    kills = 0
    for turn in itertools.count():
        found = counts(service)
        if found == {"installed": DEVICES} or time.monotonic() - began > 420:
            break
        if turn < 8:
            others.append(start_another(service, tmp_path / "other.log"))
            time.sleep(1.5)
            others[-1].kill()
            kill_deployers(service)
            kills += 2
        else:
            mdm.webhooks.faults.drop_every = 0
            for device in devices:
                device.online, device.push_error = True, None
            time.sleep(0.5)
    seconds = time.monotonic() - began
    for other in others:
        other.wait(10)
    wait_until(lambda: len(deployers(service)) == 1)
    mdm.stop_devices()

    assert counts(service) == {"installed": DEVICES}, service.log[-3000:]
    assert [list(device.certificate_installs.values()) for device in devices] == [[1]] * DEVICES
    assert [list(device.installs.values()) for device in devices] == [[1]] * DEVICES
    outcomes = mdm.webhooks.outcomes()
    assert outcomes["dropped"] > 20
    assert 409 in {status for each in mdm.webhooks.log for status in each.statuses}
    assert "the api key" not in service.log + (tmp_path / "other.log").read_text()
    assert HMAC_KEY not in service.log
    assert "Traceback" not in service.log, service.log[-3000:]
    print(f"{DEVICES} devices in {seconds:.1f} s, {kills} kills, webhooks {dict(outcomes)}")


def test_the_deployer_of_serve_stops_with_it(service: LiveService, mdm: MdmServer) -> None:
    [pid] = deployers(service)
    assert service.stop() == 0
    assert not Path(f"/proc/{pid}").exists()
