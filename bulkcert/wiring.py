"""The one place where parts meet: what `serve`, the workers and the commands are made of."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, cast

from bulkcert.access import Access, Passwords, TokenRules
from bulkcert.accounts import Accounts
from bulkcert.bulk_requests import BulkRequests
from bulkcert.config import Config
from bulkcert.draining import is_draining
from bulkcert.errors import BrokenSeal, NotInitialised, Unavailable, WrongMasterKey
from bulkcert.events import Event, EventType
from bulkcert.importer import Importer
from bulkcert.inventory import Inventory
from bulkcert.keeper import Keeper
from bulkcert.limits import Limits
from bulkcert.opening import Opener
from bulkcert.releaser import Releaser
from bulkcert.secret import Secret
from bulkcert.spool import Spool
from bulkcert.store import Store, migration
from bulkcert.vault import Place, Vault, new_master_key, read_key_file, write_key_file

ADMINISTRATOR = "administrator"

Clock = Callable[[], datetime]

_CHECK = "master_key"
_CHECK_PLACE = Place("vault_checks", _CHECK, "sealed")


def utc_now() -> datetime:
    """Tell the time, aware and in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Service:
    """Everything that a door needs."""

    config: Config
    limits: Limits
    now: Clock
    access: Access
    accounts: Accounts
    releaser: Releaser
    importer: Importer
    inventory: Inventory
    requests: BulkRequests
    store: Store

    def new_spool(self) -> Spool:
        """Make a place for an upload: encrypted as it is written, gone when it is closed."""
        return Spool(self.config.spool_dir, self.limits.bundle_bytes)

    def is_ready(self) -> bool:
        """Tell whether the service could answer a request now."""
        with suppress(Unavailable):
            return self.store.answers()
        return False

    def close(self) -> None:
        """Close what is open."""
        self.store.close()


def connect(config: Config, now: Clock = utc_now) -> Service:
    """Make the service on a database that `init` made.

    Raises `NotInitialised`, `SchemaOutdated` or `WrongMasterKey`, and writes nothing then.
    """
    store, vault = _open_store(config)
    inactivity = timedelta(minutes=config.login_inactivity_minutes)
    rules = TokenRules(
        lifetime=timedelta(seconds=config.token_lifetime_seconds),
        inactivity=inactivity if config.login_timeout == "inactivity" else None,
    )
    passwords = Passwords()

    def new_spool() -> BinaryIO:
        return cast("BinaryIO", Spool(config.spool_dir))

    return Service(
        config=config,
        limits=config.limits,
        now=now,
        access=Access(store, vault, passwords, rules, now),
        accounts=Accounts(store, passwords, rules.inactivity, now),
        releaser=Releaser(store, vault, now),
        importer=Importer(
            store, vault, config.limits, now, is_draining, lambda: cast("BinaryIO", Spool(config.spool_dir))
        ),
        inventory=Inventory(store, config.limits, now),
        requests=BulkRequests(store),
        store=store,
    )


@dataclass(frozen=True)
class Work:
    """What a worker process does, over and over."""

    keeper: Keeper
    opener: Opener
    store: Store

    def work_once(self) -> bool:
        """Do one chunk of work; False where there is none."""
        return self.keeper.work_once()

    def close(self) -> None:
        """Close what is open."""
        self.opener.close()
        self.store.close()


def make_work(config: Config, now: Clock = utc_now) -> Work:
    """Make what a worker process does; raises as `connect` does."""
    store, vault = _open_store(config)
    opener = Opener(config.limits)
    keeper = Keeper(store, vault, opener, now, timedelta(seconds=config.lease_seconds))
    return Work(keeper, opener, store)


def check_start(config: Config) -> None:
    """Raise where the service would not start, and leave no connection open (before processes fork)."""
    store, _ = _open_store(config)
    store.close()


def upgrade_database(config: Config) -> tuple[str | None, str | None]:
    """Bring the database to this release's schema; returns the revision before and after."""
    if not _has_database(config):
        raise NotInitialised("There is no database yet.")
    store = Store(config.database_url)
    try:
        before = migration.revision(store)
        if before is None:
            raise NotInitialised("The database has no tables yet.")
        migration.upgrade(store)
        return before, migration.revision(store)
    finally:
        store.close()


def _open_store(config: Config) -> tuple[Store, Vault]:
    vault = Vault(read_key_file(_master_key_file(config)))
    if not _has_database(config):
        raise NotInitialised("There is no database yet.")
    store = Store(config.database_url)
    try:
        migration.check(store)
        check_master_key(store, vault)
    except BaseException:
        store.close()
        raise
    return store, vault


def _has_database(config: Config) -> bool:
    """Look for SQLite's file first: connecting would make an empty one."""
    path = config.database_url.removeprefix("sqlite:///").partition("?")[0]
    return not config.database_url.startswith("sqlite:///") or Path(path).exists()


def _master_key_file(config: Config) -> Path:
    return config.master_key_file or config.data_dir / "master.key"


def initialise(config: Config, administrator_password: Secret) -> bool:
    """Make data directory, master key, tables, signing key and first administrator; False where they exist.

    A run that was interrupted is completed by the next one: what it would have printed is made in one
    transaction, with the check of the master key.
    """
    config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    config.spool_dir.mkdir(mode=0o700, exist_ok=True)
    key_file = _master_key_file(config)
    if not key_file.exists():
        if _has_database(config):
            raise WrongMasterKey(
                "There is a database, but its master key file is missing: restore it from its backup."
            )
        write_key_file(key_file, (new_master_key(),))
    vault = Vault(read_key_file(key_file))
    store = Store(config.database_url)
    try:
        return _initialise(store, vault, administrator_password)
    finally:
        store.close()


def _initialise(store: Store, vault: Vault, administrator_password: Secret) -> bool:
    if migration.revision(store) is not None:
        with store.reading() as tx:
            if tx.keys.check(_CHECK) is not None:
                check_master_key(store, vault)
                return False
    migration.upgrade(store)
    access = Access(store, vault, Passwords(), TokenRules(timedelta(0), None), utc_now)
    sealed = vault.seal(Secret(b"bulkcert"), _CHECK_PLACE)
    with store.writing() as tx:
        access.begin(tx, ADMINISTRATOR, administrator_password)
        tx.keys.insert_check(_CHECK, sealed)
        tx.events.append(Event(EventType.INSTANCE_INITIALISED, utc_now(), "system"))
    return True


def check_master_key(store: Store, vault: Vault) -> None:
    """Refuse a master key that the database was not sealed with (promise P11)."""
    with store.reading() as tx:
        sealed = tx.keys.check(_CHECK)
    if sealed is None:
        raise NotInitialised("The database was not initialised to its end.")
    try:
        vault.open(sealed, _CHECK_PLACE)
    except BrokenSeal:
        raise WrongMasterKey("The master key does not open what this database holds.") from None
