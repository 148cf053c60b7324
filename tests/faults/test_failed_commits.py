"""A commit that fails is charged to its own chunk, and a value that the database refuses to its own item."""

import contextlib
import io
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bulkcert.formats.asn1.ber import Allowance, read
from bulkcert.imports.chunk_work import MOST_ATTEMPTS_ALONE
from tests.builders import a_bundle, a_certificate, a_zip, an_ec_key
from tests.conftest import BOTH
from tests.faults.fleet import Fleet, a_fleet
from tests.faults.scale import FAULTS
from tests.faults.site import Site
from tests.formats.pkcs12 import forge
from tests.live.namespaces import MORTAL

pytestmark = FAULTS

FAULTY, DATA_FAULT = "FAULTY", "TOOBIG"
"""How the serial numbers begin of devices whose rows the database refuses: for no reason, and for a value."""

_TRIGGERS = {
    "sqlite": f"""
        CREATE TRIGGER refuse BEFORE INSERT ON certificates WHEN NEW.identity IS NOT NULL BEGIN
            SELECT RAISE(ABORT, 'no') WHERE substr(NEW.identity, 1, 6) = '{FAULTY}';
            SELECT zeroblob(2000000000) WHERE substr(NEW.identity, 1, 6) = '{DATA_FAULT}';
        END""",
    "postgresql": f"""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF substr(NEW.identity, 1, 6) = '{FAULTY}' THEN RAISE EXCEPTION 'no'; END IF;
            IF substr(NEW.identity, 1, 6) = '{DATA_FAULT}' THEN RAISE SQLSTATE '22001'; END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON certificates FOR EACH ROW EXECUTE FUNCTION refuse()""",
}


@pytest.fixture(scope="module", params=BOTH)
def refusing_site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:  # fmt: skip
    """An installation without workers whose database refuses the certificates of some devices."""
    directory = tmp_path_factory.mktemp("refusing")
    url = f"sqlite:///{directory / 'store.sqlite3'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").new_migrated_database()
    with Site(directory, url) as site:
        with site.store.engine.begin() as connection:
            connection.exec_driver_sql(_TRIGGERS[request.param])
        yield site


@contextlib.contextmanager
def a_worker(site: Site, log_file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """One worker process that nobody starts again."""
    command = [*MORTAL, sys.executable, "-m", "bulkcert.processes.worker"]
    with log_file.open("ab") as log:
        process = subprocess.Popen(command, env=dict(site.api.environment), stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def run_until_finished(site: Site, log_file: Path, imports: list[str]) -> int:
    """Run one worker after the other until the imports are over, and give how many ended by themselves."""
    ended = 0
    for _ in range(2 * MOST_ATTEMPTS_ALONE):
        with a_worker(site, log_file) as process:
            while not all(map(site.is_finished, imports)):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.1)
                    ended += 1
                    break
            else:
                return ended
    return ended


def test_a_commit_that_fails_again_and_again_is_not_charged_to_the_chunk_that_is_opened_meanwhile(
    refusing_site: Site, tmp_path: Path
) -> None:
    faulty, good = a_fleet(tmp_path, FAULTY, 1), a_fleet(tmp_path, "GOODIE", 1)
    imports = [refusing_site.upload(faulty), refusing_site.upload(good)]
    log_file = tmp_path / "worker.log"
    ended = run_until_finished(refusing_site, log_file, imports)

    assert ended >= 1  # a fault of ours ends a worker
    assert refusing_site.outcomes(imports[1], good) == Counter(created=1)
    assert refusing_site.outcomes(imports[0], faulty) == Counter(crashed=1)
    assert "a chunk was not finished" in log_file.read_text()


def test_a_value_that_the_database_refuses_fails_its_item_and_no_worker(
    refusing_site: Site, tmp_path: Path
) -> None:
    refused, good = a_fleet(tmp_path, DATA_FAULT, 1), a_fleet(tmp_path, "SECOND", 3)
    both = together(refused, good)
    imports = [refusing_site.upload(both), refusing_site.upload(a_fleet(tmp_path, "OTHERS", 1))]
    ended = run_until_finished(refusing_site, tmp_path / "worker.log", imports)

    assert ended == 0
    assert refusing_site.outcomes(imports[0], both) == Counter(created=3, not_storable=1)
    assert refusing_site.show(imports[1])["state"] == "succeeded"


def test_a_signature_algorithm_with_a_long_name_is_kept(refusing_site: Site, tmp_path: Path) -> None:
    key, identity = an_ec_key(), "LONGOID00001"
    certificate = signed_with(
        a_certificate(key, identity).public_bytes(Encoding.DER), "1.3." + ".".join(["127"] * 60)
    )
    encoded = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    file = forge.pfx(
        forge.clear_safe(forge.shrouded_bag(encoded)),
        forge.encrypted_safe(forge.certificate_bag(certificate)),
    )
    odd = Fleet({identity: encoded}, a_bundle([identity], files={identity: file}))
    good = a_fleet(tmp_path, "THIRDS", 1)
    imports = [refusing_site.upload(odd), refusing_site.upload(good)]
    ended = run_until_finished(refusing_site, tmp_path / "worker.log", imports)

    assert ended == 0
    assert refusing_site.outcomes(imports[0], odd) == Counter(created=1)
    assert refusing_site.outcomes(imports[1], good) == Counter(created=1)


def together(*fleets: Fleet) -> Fleet:
    """One bundle of the devices of several."""
    entries: dict[str, bytes] = {}
    lines = b""
    for fleet in fleets:
        with zipfile.ZipFile(io.BytesIO(fleet.bundle)) as archive:
            found = {name: archive.read(name) for name in archive.namelist()}
        lines += found.pop("credential.txt")
        entries |= found
    keys = {identity: key for fleet in fleets for identity, key in fleet.keys.items()}
    return Fleet(keys, a_zip({**entries, "credential.txt": lines}))


def signed_with(certificate: bytes, algorithm: str) -> bytes:
    """The same certificate under the name of another signature algorithm (RFC 5280 §4.1.1.2)."""
    tbs, _algorithm, signature = read(certificate, Allowance()).sequence(3, 3)
    version, serial_number, _algorithm, *rest = tbs.children()
    named = forge.seq(forge.oid(algorithm))
    parts = (version.encode(), serial_number.encode(), named, *(part.encode() for part in rest))
    return forge.seq(forge.seq(*parts), named, signature.encode())


def test_the_fault_of_the_last_commit_before_a_stop_is_logged_and_shows_in_the_exit_status(
    refusing_site: Site, tmp_path: Path
) -> None:
    """The worker is told to stop while its only chunk is being committed: no later call settles that."""
    refusing_site.upload(a_fleet(tmp_path, FAULTY, 50, milliseconds=60))
    log_file = tmp_path / "worker.log"
    with a_worker(refusing_site, log_file) as process:
        while not refusing_site.claims():
            assert process.poll() is None
        process.terminate()

        assert process.wait(60) == 1
    assert "worker stops" in log_file.read_text()
