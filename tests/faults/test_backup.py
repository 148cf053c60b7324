"""Promise P6: a backup that is taken during an import opens, and goes on with the import where it stood."""

import contextlib
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from bulkcert.imports.sealed_entries import unpack
from bulkcert.integrity.key_seals import open_key
from bulkcert.store.certificates.device_keys import kept_key
from bulkcert.store.store import Store
from bulkcert.store.tables.certificates import certificates
from bulkcert.store.tables.imports import chunks, items
from bulkcert.vault.places import chunk_place
from bulkcert.vault.vault import Vault
from tests.faults.fleet import Fleet, a_fleet
from tests.faults.scale import FAULTS, sized
from tests.faults.site import Site
from tests.live.service import wait_until
from tests.postgres import Cluster, needs_postgres

pytestmark = FAULTS

DEVICES = sized(300, 2000)
BACKUPS = sized(3, 30)

Backup = Callable[[int], str]
"""Takes a backup, and restores it; gives the URL of the restored database."""


def backup_of_sqlite(source: str, directory: Path) -> Backup:
    def backup(number: int) -> str:
        restored = directory / f"restored-{number}.sqlite3"
        with (
            contextlib.closing(sqlite3.connect(source.removeprefix("sqlite:///"))) as running,
            contextlib.closing(sqlite3.connect(restored)) as copy,
        ):
            running.backup(copy)
        return f"sqlite:///{restored}"

    return backup


def backup_of_postgresql(source: str, cluster: Cluster) -> Backup:
    def run(tool: str, *arguments: str, content: bytes = b"") -> bytes:
        where = ["--host", str(cluster.directory), "--port", str(cluster.port), "--username", "postgres"]
        command = [str((needs_postgres() / "initdb").resolve().with_name(tool)), *where, *arguments]
        return subprocess.run(command, input=content, check=True, capture_output=True).stdout

    def backup(_number: int) -> str:
        dump = run("pg_dump", "--format=custom", source.rpartition("/")[2])
        restored = cluster.new_database()
        run("pg_restore", "--exit-on-error", "--dbname", restored.rpartition("/")[2], content=dump)
        return restored

    return backup


def prove_that_all_opens(url: str, vault: Vault, fleet: Fleet) -> int:
    """Open every sealed row of a restored database; gives how many devices are done in it."""
    store = Store(url)
    try:
        with store.engine.connect() as connection:
            kept = list(connection.execute(sa.select(certificates).where(certificates.c.kind == "device")))
            work = list(connection.execute(sa.select(chunks)))
            waiting = connection.execute(
                sa.select(sa.func.count()).select_from(items).where(items.c.outcome.is_(None))
            ).scalar_one()
    finally:
        store.close()
    for row in kept:
        key = open_key(vault, kept_key(row, ()), must_be_owned=True)
        assert key.reveal() == fleet.keys[row.identity]
    entries = [entry for row in work for entry in unpack(vault.open(row.sealed_entries, chunk_place(row.id)))]
    assert len(entries) == waiting == len(fleet.keys) - len(kept)
    return len(kept)


def test_a_backup_taken_during_an_import_opens_and_finishes_it(
    database_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if database_url.startswith("sqlite:"):
        backup = backup_of_sqlite(database_url, tmp_path)
    else:
        backup = backup_of_postgresql(database_url, request.getfixturevalue("postgres"))
    fleet = a_fleet(tmp_path, "BACKUP", DEVICES, 30)
    with Site(tmp_path, database_url) as site:
        site.start_workers(1)
        import_id = site.upload(fleet)
        done: list[int] = []
        restored = ""
        for number in range(BACKUPS):
            least = DEVICES * number // (BACKUPS + 1)
            wait_until(lambda: site.show(import_id)["counts"]["done"] > least, 60)  # noqa: B023 - called here
            restored = backup(number)
            done.append(prove_that_all_opens(restored, site.vault, fleet))
    print(f"devices done in the backups: {done}")

    assert done == sorted(done)
    assert 0 < done[-1] < DEVICES
    there = tmp_path / "restored"
    shutil.copytree(tmp_path / "data", there / "data", ignore=shutil.ignore_patterns("*.sqlite3*"))
    with Site(there, restored) as site:
        site.start_workers(2)
        site.finished(import_id)
        assert site.outcomes(import_id, fleet) == {"created": DEVICES}
        site.prove([fleet], 1)
