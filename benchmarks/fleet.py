"""A fleet without an import: device certificates put straight into the tables, to measure at its size.

    python benchmarks/fleet.py sqlite:////tmp/fleet.sqlite3 1000000

Rows have the sizes that an import of RSA-2048 certificates leaves; what nobody reads to list or delete (DER,
sealed keys) is random. Every hundredth device is an IMEI, the others are serial numbers in no order.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from stdnum import luhn

sys.path.insert(0, str(Path(__file__).parent.parent))

from bulkcert.store import migration
from bulkcert.store.store import Store
from bulkcert.store.tables.certificates import certificate_chains, certificates, device_keys
from bulkcert.store.tables.imports import bulk_requests
from bulkcert.store.tables.schema import sequences
from bulkcert.values.bulk_requests import Counts, RequestKind, RequestState
from bulkcert.values.certificates import CertificateState, KeyType
from bulkcert.values.identities import IdentityType

MADE = datetime(2026, 1, 1, tzinfo=UTC)
ISSUERS = tuple(f"CN=Device CA {number},O=Example" for number in range(1, 5))
_DER, _SEALED_KEY = 1000, 1315  # bytes: a leaf and a sealed PKCS#8 key, both of RSA-2048
_AT_ONCE = 10_000
_LIFETIME_DAYS = 730
Row = dict[str, Any]


def identity(number: int) -> tuple[IdentityType, str]:
    """Name the device of a number, always the same."""
    if number % 100 == 99:
        digits = f"35{number:012}"
        return IdentityType.IMEI, digits + luhn.calc_check_digit(digits)
    return IdentityType.SERIAL_NUMBER, hashlib.sha256(str(number).encode()).hexdigest()[:12].upper()


def fill(store: Store, number: int) -> None:
    """Put `number` devices with one current certificate each into an empty store (about 40 s a million)."""
    import_id = "00000000-0000-7000-8000-000000000000"
    with store.engine.begin() as connection:
        _set_cache(connection, megabytes=1000)
        connection.execute(sa.insert(bulk_requests), _import(import_id, number))
        first: int = connection.execute(
            sa.select(sequences.c.next).where(sequences.c.name == "certificates")
        ).scalar_one()
        chain = _certificate(first, 0) | {"kind": "chain"}
        connection.execute(sa.insert(certificates), chain)
        rows = (_device(first + 1 + at, at, import_id) for at in range(number))
        while some := list(islice(rows, _AT_ONCE)):
            _insert(connection, certificates, some)
            _insert(connection, certificate_chains, [_link(row["id"], first) for row in some])
            owned = ("public_key_sha256", "identity_type", "identity")
            _insert(connection, device_keys, [{name: row[name] for name in owned} for row in some])
        connection.execute(
            sa.update(sequences).where(sequences.c.name == "certificates").values(next=first + 1 + number)
        )
        _set_cache(connection, megabytes=2)
    _analyse(store)


def _set_cache(connection: sa.Connection, megabytes: int) -> None:
    """Let SQLite keep more of its indexes in memory than by default: their keys come in no order."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA cache_size = -{megabytes * 1000}")


def _insert(connection: sa.Connection, table: sa.Table, rows: list[Row]) -> None:
    """Insert rows that have the same columns, by COPY where there is such a thing."""
    if connection.dialect.name != "postgresql":
        connection.execute(sa.insert(table), rows)
        return
    with connection.connection.cursor() as cursor:
        columns = ", ".join(rows[0])
        with cursor.copy(f"COPY {table.name} ({columns}) FROM STDIN") as copy:  # type: ignore[attr-defined]
            for row in rows:
                copy.write_row(list(row.values()))


def _analyse(store: Store) -> None:
    """Tell PostgreSQL what is in the tables now, as its autovacuum would within a minute."""
    if store.engine.dialect.name == "postgresql":
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("VACUUM ANALYZE"))


def _import(import_id: str, number: int) -> Row:
    counts = Counts(total=number, done=number, created=number)
    return {
        "id": import_id,
        "kind": RequestKind.IMPORT,
        "identity_type": IdentityType.SERIAL_NUMBER,
        "on_conflict": "replace",
        "state": RequestState.SUCCEEDED,
        "requested_by": "benchmark",
        "created_at": MADE,
        "started_at": MADE,
        "finished_at": MADE,
        "validate_only": False,
        "is_cancelled": False,
        "waiting_bytes": 0,
        **vars(counts),
    }


def _device(certificate_id: int, number: int, import_id: str) -> Row:
    identity_type, value = identity(number)
    return _certificate(certificate_id, number) | {
        "kind": "device",
        "identity_type": str(identity_type),
        "identity": value,
        "subject": f"CN={value},OU=Fleet,O=Example",
        "sealed_private_key": os.urandom(_SEALED_KEY),
        "import_id": import_id,
    }


def _certificate(certificate_id: int, number: int) -> Row:
    issuer = ISSUERS[number % len(ISSUERS)]
    name = {"text": issuer, "common_name": issuer[3:], "organization": "Example"}
    return {
        "id": certificate_id,
        "state": str(CertificateState.CURRENT),
        "fingerprint_sha256": os.urandom(32).hex(),
        "public_key_sha256": os.urandom(32).hex(),
        "serial_number": str(int.from_bytes(os.urandom(16))),
        "subject": issuer,
        "issuer": issuer,
        "names": json.dumps({"subject": name, "issuer": name, "subject_alternative_names": []}),
        "not_before": MADE,
        "not_after": MADE + timedelta(days=number * 7919 % _LIFETIME_DAYS, seconds=number % 86400),
        "key_type": str(KeyType.RSA),
        "key_size": 2048,
        "signature_algorithm": "sha256WithRSAEncryption",
        "der": os.urandom(_DER),
        "created_at": MADE,
    }


def _link(certificate_id: int, chain_id: int) -> Row:
    return {"certificate_id": certificate_id, "position": 0, "chain_id": chain_id}


def main() -> None:
    """Make the tables at a database URL, and fill them."""
    url, number = sys.argv[1:]
    store = Store(url)
    migration.upgrade(store)
    fill(store, int(number))
    store.close()


def iterate(first: int, number: int) -> Iterator[str]:
    """Name devices from one number on, all by their values."""
    return (identity(at)[1] for at in range(first, first + number))


if __name__ == "__main__":
    main()
