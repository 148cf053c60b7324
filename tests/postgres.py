"""A real PostgreSQL server for tests: `initdb` into a directory of its own, as many databases as wanted.

    cluster = Cluster(); cluster.start(); url = cluster.new_database(); ...; cluster.close()

The fixtures `postgres` (one cluster for each xdist worker, started when it is asked for first) and
`database_url`, `any_store`, `any_verbs` (both databases) stand in conftest.py. A test that stops the server
makes a cluster of its own with `own_cluster()`. Where PostgreSQL is not installed the test is skipped.
"""

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import pytest

from tests.ports import take_port

SUPERUSER, PASSWORD = "postgres", "an/odd@pass:word"
STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}

_SETTINGS = {
    "max_connections": "200",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "autovacuum_naptime": "10min",  # nothing here lives that long
    "logging_collector": "off",
    "log_min_messages": "fatal",
    "scram_iterations": "4096",  # PostgreSQL 16 and later
}


def find_binaries() -> Path | None:
    """The folder of initdb and postgres; Debian keeps them away from PATH."""
    places = [Path(p) for p in os.environ.get("PATH", "").split(os.pathsep)]
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: p.parent.name, reverse=True)
    return next((p for p in places if (p / "initdb").exists() and (p / "postgres").exists()), None)


def needs_postgres() -> Path:
    """The folder of the binaries; skips the test where there is none."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("needs a PostgreSQL server (initdb)")
    return binaries


class Cluster:
    """One server with its data directory. Nothing runs before `start`.

    `addresses`: where it listens, beside a socket in its directory. `settings`: lines of postgresql.conf.
    """

    def __init__(self, addresses: Sequence[str] = ("127.0.0.1",), **settings: str) -> None:
        self._binaries = needs_postgres()
        self.directory = Path(tempfile.mkdtemp(prefix="bulkcert-pg-", dir="/tmp"))  # a socket's path is short
        self.addresses = tuple(addresses)
        self.port = take_port()
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._lendable: list[str] = []
        try:
            self._make()
        except BaseException:
            shutil.rmtree(self.directory, ignore_errors=True)
            raise

    def _make(self) -> None:
        secret = self.directory / "password"
        secret.write_text(PASSWORD)
        if os.geteuid() == 0:  # the server refuses to run as root
            user = pwd.getpwnam("postgres")
            for path in (self.directory, secret):
                os.chown(path, user.pw_uid, user.pw_gid)
        options = ["--no-sync", "--encoding=UTF8", "--no-locale", f"--username={SUPERUSER}"]
        options += ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={secret}"]
        command = [*self._as_user(), str(self._binaries / "initdb"), *options, "-D", str(self.data)]
        subprocess.run(command, check=True, capture_output=True, cwd=self.directory)
        secret.unlink()
        with (self.data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all all scram-sha-256\n")  # other addresses, in network namespaces
        with (self.data / "postgresql.conf").open("a") as file:
            lines = _SETTINGS | self._settings
            lines |= {"unix_socket_directories": str(self.directory), "port": str(self.port)}
            lines |= {"listen_addresses": ",".join(self.addresses)}
            if self.version < 16:
                del lines["scram_iterations"]
            file.writelines(f"{name} = '{value}'\n" for name, value in lines.items())

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def version(self) -> int:
        return int((self.data / "PG_VERSION").read_text())

    def _as_user(self, *options: str) -> list[str]:
        # pdeathsig: no server outlives the tests, however they end.
        command = ["setpriv", *options]
        if os.geteuid() == 0:
            command += ["--reuid=postgres", "--regid=postgres", "--clear-groups"]
        return command if len(command) > 1 else []

    # --- running -------------------------------------------------------------------------------------

    def start(self, prefix: Sequence[str] = ()) -> Self:
        """Start and wait until it answers. `prefix`: a command to run it under (`ip netns exec NAME`)."""
        assert self._process is None
        server = [str(self._binaries / "postgres"), "-D", str(self.data)]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*prefix, *self._as_user("--pdeathsig", "QUIT"), *server],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                process_group=0,  # a Ctrl-C is for the tests
            )
        self._wait_until_ready()
        return self

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + 60
        while True:
            assert self._process is not None
            assert self._process.poll() is None, f"PostgreSQL ended:\n{self.log}"
            with contextlib.suppress(self._psycopg().OperationalError), self.connect():
                return
            assert time.monotonic() < end, f"PostgreSQL does not start:\n{self.log}"
            time.sleep(0.02)

    def stop(self, mode: str = "fast") -> None:
        """Stop: `smart` waits for clients, `fast` cuts them off, `immediate` is a crash (it recovers later)."""
        if self._process is not None:
            process, self._process = self._process, None
            process.send_signal(STOP_SIGNALS[mode])
            process.wait(60)

    def restart(self, mode: str = "fast") -> None:
        self.stop(mode)
        self.start()

    def close(self) -> None:
        """Stop, and remove everything."""
        self.stop("immediate")
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    # --- databases -----------------------------------------------------------------------------------

    @staticmethod
    def _psycopg() -> Any:
        import psycopg

        return psycopg

    def connect(self, database: str = "postgres") -> Any:
        """A psycopg connection in autocommit, as superuser, over the socket."""
        return self._psycopg().connect(
            host=str(self.directory), port=self.port, user=SUPERUSER, dbname=database, autocommit=True
        )

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement in a connection of its own, and give its rows."""
        with self.connect(database) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def url(self, database: str, address: str | None = None) -> str:
        """The URL of a database, with a password that shows whoever forgets to quote it."""
        password = quote(PASSWORD, safe="")
        host = address or self.addresses[0]
        return f"postgresql+psycopg://{SUPERUSER}:{password}@{host}:{self.port}/{database}"

    def new_database(self) -> str:
        """Make an empty database, and give its URL."""
        return self._create("template0")

    def _create(self, template: str) -> str:
        name = f"test_{next(self._numbers)}"
        # Without a checkpoint of the whole server: 60 ms where the other strategy takes 700.
        strategy = " STRATEGY wal_log" if self.version >= 15 else ""
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}{strategy}")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drop a database, whoever is connected to it."""
        self.execute(f"DROP DATABASE IF EXISTS {_name(url)} WITH (FORCE)")

    def new_migrated_database(self) -> str:
        """Make a database with the tables of this release; the migrations run once for each cluster."""
        if not self.execute("SELECT 1 FROM pg_database WHERE datname = 'migrated'"):
            from bulkcert.store import migration
            from bulkcert.store.store import Store

            self.execute("CREATE DATABASE migrated TEMPLATE template0")
            store = Store(self.url("migrated"))
            migration.upgrade(store)
            store.close()
            self.execute(_REMEMBER, "migrated")
        return self._create("migrated")

    def lend_database(self) -> str:
        """Give a database as `new_migrated_database` does, maybe one that was lent before."""
        return self._lendable.pop() if self._lendable else self.new_migrated_database()

    def take_back(self, url: str) -> None:
        """Bring a lent database back to what the migrations made: rows, not tables. 20 ms; a drop takes 600."""
        self.execute(_WIPE, _name(url))
        self._lendable.append(url)


def _name(url: str) -> str:
    return url.rpartition("/")[2]


# The rows that the migrations made stand in a schema of their own, beside the tables.
_REMEMBER = """
DO $$ DECLARE t text; BEGIN
    CREATE SCHEMA remembered;
    FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        EXECUTE format('CREATE TABLE remembered.%I AS TABLE public.%I', t, t);
    END LOOP;
    CREATE TABLE remembered.pg_sequences AS
        SELECT sequencename, coalesce(last_value, start_value) AS value, last_value IS NOT NULL AS is_called
        FROM pg_sequences WHERE schemaname = 'public';
END $$
"""
_WIPE = """
DO $$ DECLARE t text; BEGIN
    PERFORM pg_terminate_backend(pid, 5000) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid();
    SET LOCAL session_replication_role = replica;  -- no foreign keys while tables are emptied
    FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        EXECUTE format('DELETE FROM public.%I', t);
        EXECUTE format('INSERT INTO public.%I SELECT * FROM remembered.%I', t, t);
    END LOOP;
    PERFORM setval(sequencename::regclass, value, is_called) FROM remembered.pg_sequences;
END $$
"""


@contextlib.contextmanager
def own_cluster(*addresses: str, **settings: str) -> Iterator[Cluster]:
    """A cluster for one test, which may stop it."""
    cluster = Cluster(addresses or ("127.0.0.1",), **settings)
    try:
        yield cluster.start()
    finally:
        cluster.close()
