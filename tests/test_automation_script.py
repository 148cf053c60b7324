"""docs/automation.sh runs as it stands: a new client imports, corrects, imports again, and takes a key out."""

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from tests.builders import a_credentials_file, a_pkcs12, a_zip, an_ec_key
from tests.live import LIVE, LiveService
from tests.witnesses import require

pytestmark = LIVE

DOCS = Path(__file__).parent.parent / "docs"
SCRIPT = DOCS / "automation.sh"


def make_input(place: Path) -> bytes:
    """A bundle of which the second and the third device fail, and what is right of them; the second's key."""
    keys = {name: an_ec_key() for name in ("AUTOMATION01", "AUTOMATION02", "AUTOMATION03")}
    files = {name: a_pkcs12(name, f"password of {name}", key=key) for name, key in keys.items()}
    entries = {f"{name}.p12": file for name, file in files.items()}
    entries["AUTOMATION03.p12"] = entries["AUTOMATION03.p12"][:500]
    passwords = {name: f"password of {name}" for name in files}
    entries["credential.txt"] = a_credentials_file(passwords | {"AUTOMATION02": "a slip"})
    (place / "devices.zip").write_bytes(a_zip(entries))
    corrected = place / "corrected"
    corrected.mkdir()
    for name in ("AUTOMATION02", "AUTOMATION03"):
        (corrected / f"{name}.p12").write_bytes(files[name])
    right = {name: passwords[name] for name in ("AUTOMATION02", "AUTOMATION03")}
    (corrected / "credential.txt").write_bytes(a_credentials_file(right))
    return der_of(keys["AUTOMATION02"])


def der_of(key: object) -> bytes:
    return key.private_bytes(  # type: ignore[attr-defined, no-any-return]
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def run_script(service: LiveService, place: Path) -> subprocess.CompletedProcess[str]:
    commands = Path(sys.executable).parent  # where `bulkcert` is
    return subprocess.run(
        ["sh", SCRIPT, "devices.zip", "corrected"],
        cwd=place,
        env=service.environment
        | {"URL": service.base_url, "CA": str(service.ca_file), "PATH": f"{commands}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for tool in ("curl", "openssl"):
        require(tool)
    assert shutil.which("python3")
    place = tmp_path / "place"
    place.mkdir()
    return place


def test_the_script_does_the_whole_round_and_can_do_it_again(tmp_path: Path, place: Path) -> None:
    key = make_input(place)
    with LiveService(tmp_path / "data") as service:
        done = run_script(service, place)
        client = (place / "client.json").read_bytes()
        again = run_script(service, place)

    assert done.returncode == 0, done.stdout + done.stderr
    with (place / "failures.csv").open(newline="") as failures:
        assert [(row["file"], row["code"]) for row in csv.DictReader(failures)] == [
            ("AUTOMATION02.p12", "wrong_password"),
            ("AUTOMATION03.p12", "malformed_pkcs12"),
        ]
    assert again.returncode == 0, again.stdout + again.stderr
    assert (place / "client.json").read_bytes() == client

    pem = (place / "device.pem").read_bytes()
    leaf, *chain = x509.load_pem_x509_certificates(pem)
    assert der_of(serialization.load_pem_private_key(pem, None)) == key
    assert len(chain) == 1
    assert leaf.fingerprint(hashes.SHA256()).hex(":").upper() in done.stdout
    assert "CN = AUTOMATION02" in done.stdout.replace("CN=", "CN = ")


def test_the_script_ends_where_a_request_is_refused(tmp_path: Path, place: Path) -> None:
    make_input(place)
    (place / "devices.zip").write_bytes(b"not a zip")
    with LiveService(tmp_path / "data") as service:
        done = run_script(service, place)

    assert done.returncode != 0
    assert "not_a_zip" in done.stdout + done.stderr
    assert not (place / "again.zip").exists()


def test_the_script_is_short_and_shows_no_secret_in_an_argument() -> None:
    lines = [line for line in SCRIPT.read_text().splitlines() if line and not line.startswith("#")]

    assert len(lines) <= 40
    assert not re.search(
        r"(--user|-u|pass:|Bearer \$)", SCRIPT.read_text().replace('"Authorization: Bearer "', "")
    )
