"""Every text column holds the longest value that its reader can give, on both databases."""

import enum

import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.x509.oid import SignatureAlgorithmOID

from bulkcert import __version__, errors
from bulkcert.access.accounts import LONGEST_NAME
from bulkcert.cli.local_service import LONGEST_ACTOR
from bulkcert.errors.file_kinds import FileKind
from bulkcert.errors.root import Refusal
from bulkcert.store.store import Store
from bulkcert.store.tables.schema import metadata
from bulkcert.values.bulk_requests import OnConflict, Outcome, RequestKind, RequestState
from bulkcert.values.certificates import CertificateState, KeyType
from bulkcert.values.identities import LONGEST as LONGEST_IDENTITY
from bulkcert.values.identities import IdentityType
from bulkcert.values.logins import LONGEST as LONGEST_LOGIN
from bulkcert.values.mdm import NANOMDM, CommandStatus, RequestType
from bulkcert.values.policies import DeploymentState
from bulkcert.values.principals import PrincipalKind, Role
from bulkcert.values.workers import WorkerState
from tests.builders import NOW

UUID = "0b6f2c1e-7c9d-4f67-9d7c-3f0f7c1d9f11"
SHA256 = "f" * 64
IDENTITY = "X" * LONGEST_IDENTITY
UDID = "X" * 64  # formats/nanomdm
LOGIN = "x" * LONGEST_LOGIN
ACTOR = "x" * LONGEST_ACTOR


def longest(words: type[enum.Enum]) -> str:
    return max((str(word.value) for word in words), key=len)


def codes(kind: type[Refusal]) -> set[str]:
    found = {kind.code} if hasattr(kind, "code") else set()
    return found.union(*(codes(below) for below in kind.__subclasses__()))


CODE = max(codes(Refusal), key=len)
IDENTITY_TYPE = longest(IdentityType)

# What is not said here is of a column without a length.
LONGEST = {
    "sequences.name": "mdm_commands",  # a table's
    "vault_checks.id": "master-key",
    "signing_keys.id": "f" * 16,
    "principals.kind": longest(PrincipalKind),
    "principals.login": LOGIN,
    "principals.login_key": LOGIN,
    "principals.name": "x" * LONGEST_NAME,
    "principals.password_hash": "$argon2id$v=19$m=19456,t=2,p=1$" + "x" * 22 + "$" + "x" * 43,
    "principals.role": longest(Role),
    "client_secrets.digest": SHA256,
    "tokens.id": "f" * 32,
    "login_throttles.id": SHA256,
    "bulk_requests.id": UUID,
    "bulk_requests.kind": longest(RequestKind),
    "bulk_requests.identity_type": IDENTITY_TYPE,
    "bulk_requests.on_conflict": longest(OnConflict),
    "bulk_requests.state": longest(RequestState),
    "bulk_requests.requested_by": ACTOR,
    "shares.requested_by": ACTOR,
    "bulk_requests.bundle_digest": SHA256,
    "items.request_id": UUID,
    "items.outcome": longest(Outcome),
    "items.code": CODE,
    "items.found": longest(FileKind),
    "items.fingerprint_sha256": SHA256,
    "items.public_key_sha256": SHA256,
    "chunks.request_id": UUID,
    "chunks.token": UUID,
    "chunks.worker_id": UUID,
    "idempotency_keys.route": "deletions",
    "idempotency_keys.key": "x" * 255,
    "idempotency_keys.digest": SHA256,
    "idempotency_keys.request_id": UUID,
    "workers.id": UUID,
    "workers.host": "x" * 255,  # gethostname(2): 64 on Linux; the registry cuts it off
    "workers.version": __version__ + "+local.0123456789",
    "workers.state": longest(WorkerState),
    "certificates.kind": "device",
    "certificates.state": longest(CertificateState),
    "certificates.identity_type": IDENTITY_TYPE,
    "certificates.identity": IDENTITY,
    "certificates.fingerprint_sha256": SHA256,
    "certificates.public_key_sha256": SHA256,
    "certificates.key_type": longest(KeyType),
    "certificates.import_id": UUID,
    "device_keys.public_key_sha256": SHA256,
    "device_keys.identity_type": IDENTITY_TYPE,
    "device_keys.identity": IDENTITY,
    "events.actor": ACTOR,
    "vpn_policies.name": "x" * 100,
    "vpn_policies.identity_type": IDENTITY_TYPE,
    "vpn_policies.content_digest": SHA256,
    "vpn_policies.created_by": ACTOR,
    "deployments.identity_type": IDENTITY_TYPE,
    "deployments.identity": IDENTITY,
    "deployments.content_digest": SHA256,
    "deployments.state": longest(DeploymentState),
    "deployments.lease": UUID,
    "deployments.leased_by": ACTOR,
    "deployments.error_code": max(
        CODE, "x" * 40, key=len
    ),  # of a deployer of one's own: a pattern of the API
    "mdm_servers.id": NANOMDM,
    "mdm_devices.udid": UDID,
    "mdm_devices.serial_number": "X" * 20,
    "mdm_devices.imei": " ".join(["490154203237518"] * 4),
    "mdm_devices.meid": " ".join(["A10000009296F2"] * 4),
    "mdm_identities.identity_type": IDENTITY_TYPE,
    "mdm_identities.identity": IDENTITY,
    "mdm_identities.udid": UDID,
    "mdm_identities.contender_udid": UDID,
    "mdm_commands.uuid": UUID,
    "mdm_commands.udid": UDID,
    "mdm_commands.request_type": longest(RequestType),
    "mdm_commands.lease": UUID,
    "mdm_commands.status": longest(CommandStatus),
    "mdm_events.digest": SHA256,
    "principals.mac": SHA256,
    "client_secrets.mac": SHA256,
    "tokens.mac": SHA256,
    "mdm_servers.mac": SHA256,
    "mdm_identities.mac": SHA256,
    "traces.id": "0" * 32,
}
LIMITED = {
    f"{table.name}.{column.name}": column.type.length
    for table in metadata.sorted_tables
    for column in table.columns
    if isinstance(column.type, sa.String) and column.type.length is not None
}


def test_every_text_column_with_a_length_is_compared() -> None:
    assert set(LONGEST) == set(LIMITED)


@pytest.mark.parametrize("column", sorted(LIMITED))
def test_a_column_is_as_long_as_the_longest_value(column: str) -> None:
    assert len(LONGEST[column]) <= LIMITED[column]


def test_the_names_of_signature_algorithms_have_no_length() -> None:
    """One that the library has no name for is a dotted number, of up to some thousand characters."""
    longest_oid = "1.3." + ".".join(["127"] * 60)

    assert x509.ObjectIdentifier(longest_oid) not in vars(SignatureAlgorithmOID).values()
    assert isinstance(metadata.tables["certificates"].c.signature_algorithm.type, sa.Text)


def value_of(column: sa.Column, rows: dict[str, dict[str, object]]) -> object:
    for key in column.foreign_keys:
        return rows[key.column.table.name][key.column.name]
    match column.type:
        case sa.Text():
            return "x" * 5000
        case sa.String():
            return LONGEST[f"{column.table.name}.{column.name}"]
        case sa.LargeBinary():
            return b"x"
        case sa.Boolean():
            return True
        case sa.Integer() | sa.BigInteger():
            return 1
        case _:
            return NOW


def test_a_row_of_the_longest_values_is_taken_by_every_table(any_store: Store) -> None:
    rows: dict[str, dict[str, object]] = {}
    with any_store.writing() as tx:
        for table in metadata.sorted_tables:
            rows[table.name] = {column.name: value_of(column, rows) for column in table.columns}
            tx._connection.execute(sa.insert(table).values(rows[table.name]))
        for table in metadata.sorted_tables:
            kept = tx._connection.execute(sa.select(table)).mappings()
            assert rows[table.name] in [dict(row) for row in kept]


@pytest.mark.parametrize("value", [2**63, "\ud800"], ids=["a number of 65 bits", "a lone surrogate"])
def test_a_value_that_a_driver_does_not_take_is_refused_by_name(any_store: Store, value: object) -> None:
    with pytest.raises(errors.NotStorable) as refusal, any_store.writing() as tx:
        tx._connection.execute(sa.text("SELECT :value"), {"value": value})
        tx._connection.execute(sa.text("UPDATE sequences SET next = :value"), {"value": value})

    assert str(value) not in refusal.value.detail
    assert any_store.answers()
