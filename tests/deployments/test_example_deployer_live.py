"""docs/deployer.py runs as it stands: it leases, delivers and reports until every deployment is installed."""

import ast
import plistlib
import stat
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12

from tests.builders import a_bundle, a_certificate, a_pkcs12, an_ec_key
from tests.deployments.example_deployer import EXAMPLE, make_client, run_example
from tests.live.service import LIVE, LiveService
from tests.values.policies.policy_documents import a_document, a_tunnel

DEVICES = [f"EXAMPLE{number:05}" for number in range(60)]  # more than one lease takes
UNFIT = DEVICES[7]


class TestLive:
    pytestmark = LIVE

    @pytest.fixture
    def service(self, tmp_path: Path) -> Any:
        with LiveService(tmp_path / "data") as service:
            yield service

    def test_it_carries_every_deployment_and_takes_off_what_is_deleted(
        self, service: LiveService, tmp_path: Path
    ) -> None:
        folder = tmp_path / "devices"
        folder.mkdir()
        made = make_policy(service)
        import_devices(service)
        client = make_client(service)
        first = run_example(service, client, folder)

        assert first.returncode == 0, first.stderr
        assert first.stderr.split() == [UNFIT, "usage_not_client_auth"]
        assert states(service) == {"installed": len(DEVICES) - 1, "failed": 1}
        assert {file.stem for file in folder.iterdir()} == set(DEVICES) - {UNFIT}
        for file in folder.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            assert common_name_in(file.read_bytes()) == file.stem

        answer = service.request("DELETE", f"{made}?remove_profiles=true")
        assert answer.status_code == 204
        again = run_example(service, client, folder)
        assert again.returncode == 0, again.stderr
        assert list(folder.iterdir()) == []
        assert states(service) == {"removed": len(DEVICES)}

    def test_it_ends_where_the_client_is_not_known(self, service: LiveService, tmp_path: Path) -> None:
        done = run_example(service, {"client_id": "nobody", "client_secret": "a secret"}, tmp_path)

        assert done.returncode != 0
        assert "401" in done.stderr


def make_policy(service: LiveService) -> str:
    policy = a_document(tunnels=[a_tunnel(local_identifier="{common_name}")])
    answer = service.request("POST", "/api/v1/vpn-policies", json=policy)
    assert answer.status_code == 201, answer.text
    return answer.headers["Location"]


def import_devices(service: LiveService) -> None:
    key = an_ec_key()
    unfit = a_pkcs12(UNFIT, key=key, certificate=a_certificate(key, UNFIT, client_auth=False))
    bundle = a_bundle(DEVICES, files={UNFIT: unfit})
    answer = service.request(
        "POST",
        "/api/v1/imports",
        data={"identity_type": "SERIAL_NUMBER"},
        files={"bundle": ("devices.zip", bundle)},
        headers={"Prefer": "wait=60"},
    )
    assert answer.status_code == 201, answer.text


def states(service: LiveService) -> Counter[str]:
    answer = service.request("GET", "/api/v1/deployments?limit=1")
    assert answer.status_code == 200, answer.text
    return Counter(answer.json()["counts"])


def common_name_in(profile: bytes) -> str:
    """The common name of the certificate whose key a profile holds."""
    payloads = plistlib.loads(profile)["PayloadContent"]
    [identity] = [each for each in payloads if each["PayloadType"] == "com.apple.security.pkcs12"]
    key, leaf, _ = pkcs12.load_key_and_certificates(identity["PayloadContent"], identity["Password"].encode())
    assert key is not None
    assert leaf is not None
    [name] = leaf.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(name.value)


def test_it_is_short_and_needs_nothing_that_python_does_not_bring() -> None:
    source = EXAMPLE.read_text()
    tree = ast.parse(source)
    imported = {
        alias.name.split(".")[0] for node in tree.body if isinstance(node, ast.Import) for alias in node.names
    }
    working = {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt) and not isinstance(node, ast.Import)
        for line in range(node.lineno, (node.end_lineno or 0) + 1)
    }
    empty = {number for number, line in enumerate(source.splitlines(), 1) if not line.strip()}
    docstring = set(range(1, (tree.body[0].end_lineno or 0) + 1))

    assert imported <= sys.stdlib_module_names
    assert not any(isinstance(node, ast.ImportFrom) for node in ast.walk(tree))
    assert len(working - empty - docstring) <= 31
