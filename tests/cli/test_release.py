"""`bulkcert release` writes a file that only its owner reads, once, and records it first."""

import io
import plistlib
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from bulkcert.formats.pkcs12.opening import open as open_pkcs12
from bulkcert.values.bulk_requests import ImportOrder
from bulkcert.values.events import Event, EventType
from bulkcert.values.identities import IdentityType
from bulkcert.values.policies import VpnPolicy
from bulkcert.values.principals import SCOPES_OF, Caller, Role
from bulkcert.values.secret import Secret
from bulkcert.wiring.service import Service
from tests.api.conftest import a_worker
from tests.builders import a_bundle
from tests.cli.test_accounts import GIVEN, Run, after, data_dir, initialised, run, service
from tests.values.policies.policy_documents import a_document, a_tunnel

__all__ = ["data_dir", "initialised", "run", "service"]

DEVICE = "A12BC3D4EFGH"


@pytest.fixture
def certificate_id(service: Service) -> str:
    caller = Caller(1, "administrator", "0" * 32, SCOPES_OF[Role.OWNER])
    bundle = io.BytesIO(a_bundle([DEVICE]))
    service.intake.accept(bundle, ImportOrder(IdentityType.SERIAL_NUMBER), caller)
    a_worker(service).work()
    return str(next(service.inventory.current_certificates()).id)


def releases(service: Service) -> list[Event]:
    with service.store.reading() as tx:
        return [event for event in tx.events.list() if event.type is EventType.KEY_RELEASED]


def test_a_pkcs12_is_written_for_its_owner_alone(
    run: Run, service: Service, certificate_id: str, tmp_path: Path
) -> None:
    out = tmp_path / "device.p12"
    done = run("release", certificate_id, "--out", str(out))

    assert done.exit_code == 0, done.output
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    password = after("password (shown once): ", done)
    assert open_pkcs12(out.read_bytes(), Secret(password.encode())).leaf.facts.subject.common_name == DEVICE
    [event] = releases(service)
    assert event.actor.startswith("cli:")
    assert event.facts["fingerprint_sha256"] == after("fingerprint (SHA-256): ", done)
    assert event.facts["encryption"] == "aes256"


def test_a_pem_is_written_under_a_password_from_a_file(run: Run, certificate_id: str, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(GIVEN + "\n")
    out = tmp_path / "device.pem"
    done = run(
        "release",
        certificate_id,
        "--format",
        "pem",
        "--out",
        str(out),
        "--password-file",
        str(tmp_path / "password"),
    )

    assert done.exit_code == 0, done.output
    assert "password" not in done.output
    assert GIVEN not in done.output
    assert serialization.load_pem_private_key(out.read_bytes(), GIVEN.encode())


def test_a_file_that_is_there_is_not_written_over_and_nothing_is_released(
    run: Run, service: Service, certificate_id: str, tmp_path: Path
) -> None:
    out = tmp_path / "device.p12"
    out.write_text("precious")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")

    assert run("release", certificate_id, "--out", str(out)).exit_code == 2
    assert run("release", certificate_id, "--out", str(link)).exit_code == 2
    assert run("release", certificate_id, "--out", str(tmp_path / "none" / "x")).exit_code == 2
    assert out.read_text() == "precious"
    assert not (tmp_path / "elsewhere").exists()
    assert releases(service) == []


@pytest.mark.parametrize(("typed", "known"), [("short", True), (GIVEN, False)])
def test_a_release_that_is_refused_leaves_no_file(
    run: Run, service: Service, certificate_id: str, tmp_path: Path, typed: str, known: bool
) -> None:
    out = tmp_path / "device.p12"
    wanted = certificate_id if known else "123456"
    done = run("release", wanted, "--out", str(out), "--password-stdin", typed=typed)

    assert done.exit_code == 1
    assert not out.exists()
    assert releases(service) == []


@pytest.mark.parametrize(
    "options",
    [
        ["--format", "pem", "--encryption", "aes256"],
        ["--format", "p12"],
        ["--encryption", "rc2"],
        ["--password", GIVEN],
    ],
)
def test_options_that_do_not_go_together_are_refused(
    run: Run, service: Service, certificate_id: str, tmp_path: Path, options: list[str]
) -> None:
    out = tmp_path / "device.p12"

    assert run("release", certificate_id, "--out", str(out), *options).exit_code == 2
    assert not out.exists()
    assert releases(service) == []


@pytest.fixture
def policy_id(service: Service) -> str:
    caller = Caller(1, "administrator", "0" * 32, SCOPES_OF[Role.OWNER])
    document = a_document(tunnels=[a_tunnel(local_identifier="{common_name}")])
    return str(service.vpn_policies.create(VpnPolicy.from_document(document), caller).id)


def test_a_profile_is_written_with_the_key_and_its_password_inside(
    run: Run, service: Service, certificate_id: str, policy_id: str, tmp_path: Path
) -> None:
    out = tmp_path / "device.mobileconfig"
    done = run("release", certificate_id, "--profile", policy_id, "--out", str(out))

    assert done.exit_code == 0, done.output
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    payloads = plistlib.loads(out.read_bytes())["PayloadContent"]
    [identity] = [each for each in payloads if each["PayloadType"] == "com.apple.security.pkcs12"]
    opened = open_pkcs12(identity["PayloadContent"], Secret(identity["Password"].encode()))
    assert opened.leaf.facts.subject.common_name == DEVICE
    assert identity["Password"] not in done.output
    [event] = releases(service)
    assert (event.facts["format"], event.facts["policy_id"]) == ("profile", int(policy_id))
    assert event.facts["fingerprint_sha256"] == after("fingerprint (SHA-256): ", done)


@pytest.mark.parametrize(
    "options",
    [["--format", "pkcs12"], ["--format", "pem"], ["--encryption", "aes256"], ["--password-stdin"]],
)
def test_a_profile_has_a_form_and_a_password_of_its_own(
    run: Run, service: Service, certificate_id: str, policy_id: str, tmp_path: Path, options: list[str]
) -> None:
    out = tmp_path / "device.mobileconfig"
    done = run("release", certificate_id, "--profile", policy_id, "--out", str(out), *options, typed=GIVEN)

    assert done.exit_code == 2
    assert not out.exists()
    assert releases(service) == []


def test_there_is_no_profile_under_a_policy_that_is_not_there(
    run: Run, service: Service, certificate_id: str, tmp_path: Path
) -> None:
    out = tmp_path / "device.mobileconfig"

    assert run("release", certificate_id, "--profile", "77", "--out", str(out)).exit_code == 1
    assert not out.exists()
    assert releases(service) == []


@pytest.mark.parametrize("wrong", ["0", "-1", "x", "1.5"])
def test_an_id_is_a_number(run: Run, tmp_path: Path, wrong: str) -> None:
    assert run("release", wrong, "--out", str(tmp_path / "x")).exit_code == 2
