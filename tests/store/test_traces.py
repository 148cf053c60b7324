"""A deletion destroys: what it deleted is in no file of the database soon after, and nobody waits for that."""

import sqlite3
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bulkcert.store.retention import Retention
from bulkcert.store.store import Store
from bulkcert.store.tables.certificates import certificates
from bulkcert.values.identities import IdentityType
from tests.builders import a_bundle
from tests.clock import Clock
from tests.store.test_retention import DAYS
from tests.verbs import Verbs, make_verbs

A = "A12BC3D4EFGH"


def sealed_key(connection: Connection) -> bytes:
    key = connection.execute(
        sa.select(certificates.c.sealed_private_key).where(certificates.c.kind == "device")
    ).scalar_one()
    assert isinstance(key, bytes)
    return key


def is_in_files(store: Store, secret: bytes) -> bool:
    database = Path(str(store.engine.url.database))
    # A page of SQLite ends anywhere: the middle of a key is looked for.
    return any(secret[100:180] in path.read_bytes() for path in database.parent.glob(f"{database.name}*"))


def test_a_deletion_waits_for_no_reader_and_destroys_the_key_once_it_has_gone(verbs: Verbs) -> None:
    verbs.import_bundle(a_bundle([A]))
    retention = Retention(verbs.store, verbs.clock, DAYS)
    with verbs.store.engine.connect() as reader:
        sealed = sealed_key(reader)  # its view lasts until the block ends
        began = time.monotonic()
        verbs.deletions.delete([A], IdentityType.SERIAL_NUMBER, verbs.caller)
        assert time.monotonic() - began < 5
        assert not verbs.store.remove_traces(is_idle=True)
        assert is_in_files(verbs.store, sealed)

    retention.scrub_if_due(is_idle=False)

    assert not is_in_files(verbs.store, sealed)
    with verbs.store.reading() as tx:
        assert tx.traces.ids() == ()


def test_without_a_reader_the_key_is_gone_when_the_deletion_is_answered(verbs: Verbs) -> None:
    verbs.import_bundle(a_bundle([A]))
    with verbs.store.engine.connect() as connection:
        sealed = sealed_key(connection)
    verbs.deletions.delete([A], IdentityType.SERIAL_NUMBER, verbs.caller)

    assert not is_in_files(verbs.store, sealed)


def test_a_trace_outlives_the_process_that_left_it(verbs: Verbs) -> None:
    verbs.import_bundle(a_bundle([A]))
    with verbs.store.engine.connect() as reader:
        sealed = sealed_key(reader)
        verbs.deletions.delete([A], IdentityType.SERIAL_NUMBER, verbs.caller)

    other = Store(str(verbs.store.engine.url))
    Retention(other, verbs.clock, DAYS).scrub_if_due(is_idle=True)
    assert not is_in_files(other, sealed)
    other.close()


def test_a_deletion_of_nothing_leaves_no_trace(any_verbs: Verbs) -> None:
    any_verbs.deletions.delete([A], IdentityType.SERIAL_NUMBER, any_verbs.caller)

    with any_verbs.store.reading() as tx:
        assert tx.traces.ids() == ()


def test_what_is_deleted_during_a_scrub_is_left_for_the_next_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def note() -> None:
        with store.writing() as tx:
            tx.traces.note()

    def truncate(_engine: object) -> bool:
        note()
        return True

    note()
    monkeypatch.setattr("bulkcert.store.store.truncate_log", truncate)
    assert store.remove_traces(is_idle=True)

    with store.reading() as tx:
        assert len(tx.traces.ids()) == 1


def test_a_scrub_waits_for_no_writer(store: Store) -> None:
    other = sqlite3.connect(str(store.engine.url.database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    store.scrub()

    assert time.monotonic() - began < 5
    other.close()


def test_postgresql_keeps_no_dead_tuple_of_a_deleted_key(
    postgres_store: Store, vault: object, clock: Clock, caller: object
) -> None:
    verbs = make_verbs(postgres_store, vault, clock, caller)  # type: ignore[arg-type]
    verbs.import_bundle(a_bundle([A]))
    with postgres_store.engine.connect() as reader:
        reader.execution_options(isolation_level="REPEATABLE READ")
        sealed_key(reader)
        began = time.monotonic()
        verbs.deletions.delete([A], IdentityType.SERIAL_NUMBER, verbs.caller)
        assert time.monotonic() - began < 5
        assert not postgres_store.remove_traces(is_idle=False)
        assert not postgres_store.remove_traces(is_idle=True)

    assert postgres_store.remove_traces(is_idle=True)
    with postgres_store.reading() as tx:
        assert tx.traces.ids() == ()
