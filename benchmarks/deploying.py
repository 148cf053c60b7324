"""How many profiles a deployer gets in a second: `make bench-deploying`.

Certificates are kept in a fresh database (SQLite, synchronous=FULL), a policy serves them all, and one
process leases and releases them in batches, as the deployer does: the key is opened, a PKCS#12 is made anew
(2,048 iterations), the profile is written, and the release is recorded before anything is given out. Beside
it, in the same run: making the PKCS#12 alone.
"""

import argparse
import json
import os
import secrets
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from bulkcert.deployments.leases import Leases
from bulkcert.deployments.policies import VpnPolicies
from bulkcert.deployments.profile_release import Handout, ProfileRelease
from bulkcert.deployments.profiles.profile import ProfileMaker
from bulkcert.formats.pkcs12.making import make_pkcs12
from bulkcert.formats.x509 import parse_certificate
from bulkcert.store import migration
from bulkcert.store.certificates.certificates import NewCertificate
from bulkcert.store.store import Store
from bulkcert.values.bulk_requests import BulkRequest, Counts, RequestKind, RequestState
from bulkcert.values.certificates import Certificate
from bulkcert.values.identities import DeviceIdentity, IdentityType
from bulkcert.values.policies import VpnPolicy
from bulkcert.values.principals import SCOPES_OF, Caller, Role
from bulkcert.values.releases import Encryption
from bulkcert.values.secret import Secret
from bulkcert.vault.master_key import MasterKey
from bulkcert.vault.places import KeyOwner, key_place
from bulkcert.vault.vault import Vault

TARGETS = {"RSA-2048": 150, "EC P-256": 400}
BATCH = 50
DER = serialization.Encoding.DER


def now() -> datetime:
    """Tell the time, aware and in UTC."""
    return datetime.now(UTC)


class Fleet:
    """Devices of one kind of key in a database of their own."""

    def __init__(self, directory: Path, kind: str, number: int) -> None:
        self.store = Store(f"sqlite:///{directory / 'bench.sqlite3'}")
        migration.upgrade(self.store)
        self.vault = Vault((MasterKey(Secret(os.urandom(32))),))
        self.key: Any = ec.generate_private_key(ec.SECP256R1())
        if kind.startswith("RSA"):
            self.key = rsa.generate_private_key(65537, 2048)
        self.private = Secret(
            self.key.private_bytes(DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        self.leaves = [self._leaf(f"BENCH{at:07}") for at in range(number)]
        self._keep()

    def _leaf(self, serial: str) -> tuple[DeviceIdentity, Certificate]:
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, serial)])
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now() - timedelta(days=1))
            .not_valid_after(now() + timedelta(days=300))
            .add_extension(
                x509.SubjectAlternativeName([x509.DNSName(f"{serial}.example.com")]), critical=False
            )
            .sign(self.key, hashes.SHA256())
        )
        return DeviceIdentity(IdentityType.SERIAL_NUMBER, serial), parse_certificate(made.public_bytes(DER))

    def _keep(self) -> None:
        at = now()
        request = BulkRequest(
            "bench", RequestKind.IMPORT, IdentityType.SERIAL_NUMBER, RequestState.SUCCEEDED, Counts(0), None,
            "bench", at, at, at,
        )  # fmt: skip
        with self.store.writing() as tx:
            tx.requests.insert(request)
            ids = tx.draw_ids("certificates", len(self.leaves))
            new = [
                NewCertificate(number, identity, leaf, (), self._seal(number, identity, leaf))
                for number, (identity, leaf) in zip(ids, self.leaves, strict=True)
            ]
            tx.certificates.insert(new, "bench", at)

    def _seal(self, number: int, identity: DeviceIdentity, leaf: Certificate) -> bytes:
        owner = KeyOwner(identity, leaf.facts.fingerprint_sha256, leaf.facts.public_key_sha256)
        return self.vault.seal(self.private, key_place(number, owner))


def measure(kind: str, encryption: Encryption, number: int) -> dict[str, Any]:
    """Release every device of a fleet of one kind, and tell how fast that was."""
    with tempfile.TemporaryDirectory() as directory:
        fleet = Fleet(Path(directory), kind, number)
        policy = VpnPolicy.from_document(
            {
                "name": "bench",
                "connection_type": "ALWAYS_ON_IKEV2",
                "identity_type": "SERIAL_NUMBER",
                "tunnels": [
                    {
                        "remote_address": "v.example.com",
                        "remote_identifier": "v.example.com",
                        "local_identifier": "{san_dns}",
                    }
                ],
                "pkcs12_encryption": str(encryption),
            }
        )
        caller = Caller(1, "bench", "0" * 32, SCOPES_OF[Role.OWNER])
        planned = timed(lambda: VpnPolicies(fleet.store, now).create(policy, caller))
        profiles = ProfileRelease(fleet.store, fleet.vault, ProfileMaker(now, secrets.token_bytes), now)
        leasing = Leases(fleet.store, now)
        wall, cpu = time.perf_counter(), time.process_time()
        done = release_all(leasing, profiles)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        assert done == number
        fleet.store.close()
        password = Secret(b"a password of some length")
        cost = timed(
            lambda: [
                make_pkcs12(fleet.private, leaf.der, (), identity.value, password, encryption)
                for identity, leaf in fleet.leaves[:300]
            ]
        )
    return {
        "kind": kind,
        "encryption": str(encryption),
        "profiles": number,
        "per_second": number / wall,
        "per_second_of_cpu": number / cpu,
        "milliseconds": wall / number * 1000,
        "pkcs12_milliseconds": cost / min(300, number) * 1000,
        "planning_seconds": planned,
        "target_per_second": TARGETS[kind],
    }


def release_all(leasing: Leases, profiles: ProfileRelease) -> int:
    """Lease and release until nothing is left; tells how many profiles there were."""
    done = 0
    while leases := leasing.lease(BATCH, 60, "bench"):
        made = profiles.release_all(leases, "bench")
        done += sum(isinstance(each, Handout) for each in made)
    return done


def timed(act: Callable[[], object]) -> float:
    """Do something, and tell how many seconds it took."""
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin


def main() -> None:
    """Measure every kind, print the table, and write it where that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    rows = [measure(kind, encryption, chosen.number) for kind in TARGETS for encryption in Encryption]
    print(
        f"{'key':<10}{'PKCS#12':<14}{'profiles/s':>11}{'of CPU':>9}{'ms':>8}"
        f"{'its PKCS#12':>13}{'target/s':>10}"
    )
    for row in rows:
        print(
            f"{row['kind']:<10}{row['encryption']:<14}{row['per_second']:>11.0f}{row['per_second_of_cpu']:>9.0f}"
            f"{row['milliseconds']:>8.2f}{row['pkcs12_milliseconds']:>13.2f}{row['target_per_second']:>10}"
        )
    print(f"load average: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    if chosen.json:
        chosen.json.write_text(json.dumps({"rows": rows, "load": os.getloadavg()[0]}, indent=1) + "\n")


if __name__ == "__main__":
    main()
