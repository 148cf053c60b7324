"""The one place where parts meet: what `serve`, the workers and the commands are made of."""

import secrets
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import BinaryIO, cast

from bulkcert.access.accounts import Accounts, check_login_password
from bulkcert.access.hashing import Passwords
from bulkcert.access.logins import Access, TokenRules
from bulkcert.capacity.bundle_checks import BundleChecks
from bulkcert.config import ADMIN_PASSWORD, Config
from bulkcert.deployments.leases import Deployments
from bulkcert.deployments.mdm.assembly import Mdm, MdmRules, make_carrier, make_mdm
from bulkcert.deployments.mdm.carrier import Carrier
from bulkcert.deployments.policies import VpnPolicies
from bulkcert.deployments.profiles.profile import ProfileMaker
from bulkcert.deployments.profiles.signing import ProfileSigner
from bulkcert.errors import (
    BadSettings,
    Fault,
    ForgedRows,
    RequestRefusal,
    StorageFull,
    Unavailable,
    reason_of,
)
from bulkcert.imports.chunk_work import Keeper
from bulkcert.imports.intake import Importer
from bulkcert.imports.reports import BulkRequests
from bulkcert.imports.worker_registry import Roll
from bulkcert.integrity.demand import CHECK, VaultSigner, seal_check
from bulkcert.inventory.certificates import Inventory
from bulkcert.inventory.devices import Devices
from bulkcert.inventory.key_release import Releaser
from bulkcert.opening.opener import Layers, Opener, require_layers
from bulkcert.processes.draining import is_draining
from bulkcert.store import migration
from bulkcert.store.retention import Upkeep
from bulkcert.store.sql.notifications import Watch
from bulkcert.store.sql.topics import WORK
from bulkcert.store.store import Store
from bulkcert.values.events import Event, EventType
from bulkcert.values.limits import Limits
from bulkcert.values.secret import Secret
from bulkcert.vault.master_key import new_master_key, read_key_file, write_key_file
from bulkcert.vault.spool import Spool, SpoolRoom
from bulkcert.vault.vault import Vault
from bulkcert.wiring.installation import (
    is_initialised,
    is_there,
    make_folders,
    make_store,
    master_key_file,
    naming_data_dir,
    open_installation,
    open_vault,
)
from bulkcert.wiring.proofs import bind_keys, fill_login_keys, find_forged, is_finished

ADMINISTRATOR = "administrator"

_MOST_NAMED = 50
"""Rows that were altered, as one message names them."""

Clock = Callable[[], datetime]


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
    workers: Roll
    vpn_policies: VpnPolicies
    deployments: Deployments
    devices: Devices
    mdm: Mdm
    store: Store
    spool_room: SpoolRoom

    def new_spool(self, owner: str) -> Spool:
        """Make a place for an upload of a login: encrypted as it is written, gone when it is closed."""
        return Spool(self.config.spool_dir, self.limits.bundle_bytes, self.spool_room, owner)

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

    Raises a `StartRefusal` where what `init` made does not belong together, and writes nothing then.
    """
    store, vault = open_installation(config)
    inactivity = timedelta(minutes=config.login_inactivity_minutes)
    rules = TokenRules(
        lifetime=timedelta(seconds=config.token_lifetime_seconds),
        inactivity=inactivity if config.login_timeout == "inactivity" else None,
    )
    passwords = Passwords()

    limits, checks = config.limits, BundleChecks()
    room = SpoolRoom(config.spool_dir, limits.spool_bytes_of_all, limits.spool_bytes)

    def new_spool(owner: str) -> BinaryIO:
        return cast("BinaryIO", Spool(config.spool_dir, None, room, owner))

    return Service(
        config=config,
        limits=limits,
        now=now,
        access=Access(store, vault, passwords, rules, now),
        accounts=Accounts(store, passwords, rules.inactivity, now),
        releaser=Releaser(store, vault, now),
        importer=Importer(store, vault, limits, now, is_draining, new_spool, checks),
        inventory=Inventory(store, vault, limits, now, checks),
        requests=BulkRequests(store),
        workers=Roll(store, now, timedelta(seconds=config.lease_seconds)),
        vpn_policies=VpnPolicies(store, now, limits.policies),
        deployments=Deployments(store, vault, make_profiles(config, now), now),
        devices=Devices(store),
        mdm=make_mdm(store, vault, now, _mdm_rules(config)),
        store=store,
        spool_room=room,
    )


def make_profiles(config: Config, now: Clock) -> ProfileMaker:
    """Make what makes profiles; raises `BadSettings` where they cannot be signed as the settings say."""
    signer = None
    key_file, certificate_file = config.profile_key_file, config.profile_certificate_file
    if key_file is not None and certificate_file is not None:
        try:
            signer = ProfileSigner.from_pem(Secret(key_file.read_bytes()), certificate_file.read_bytes())
        except OSError as failure:
            raise BadSettings(
                f"The key or the certificate that signs profiles cannot be read: {failure.filename}:"
                f" {reason_of(failure)}."
            ) from None
    return ProfileMaker(now, secrets.token_bytes, signer, config.profile_namespace)


def _mdm_rules(config: Config) -> MdmRules:
    wait = timedelta(seconds=config.mdm_wait_seconds)
    return MdmRules(wait, config.profile_namespace, config.mdm_allow_http, config.mdm_ca_file)


@dataclass(frozen=True)
class Deployer:
    """What a process of the built-in deployer does, over and over."""

    carrier: Carrier
    store: Store

    def close(self) -> None:
        """Close what is open."""
        self.carrier.close()
        self.store.close()


def make_deployer(config: Config, now: Clock = utc_now) -> Deployer:
    """Make what carries deployments; raises as `connect` does, or `MdmNotConfigured`."""
    store, vault = open_installation(config)
    try:
        deployments = Deployments(store, vault, make_profiles(config, now), now)
        return Deployer(make_carrier(store, vault, deployments, now, _mdm_rules(config)), store)
    except BaseException:
        store.close()
        raise


@dataclass(frozen=True)
class Work:
    """What a worker process does, over and over."""

    worker_id: str
    keeper: Keeper
    roll: Roll
    upkeep: Upkeep
    opener: Opener
    store: Store
    watching: ExitStack
    watch: Watch

    def work_once(self) -> bool:
        """Do one chunk of work; False where there is none."""
        self.roll.beat(self.worker_id)
        self.upkeep.scrub_if_due(is_idle=False)
        if self.keeper.work_once():
            return True
        self.upkeep.scrub_if_due(is_idle=True)
        self.upkeep.do_if_due()
        return False

    def rest(self, seconds: float) -> None:
        """Do nothing for some time, or until the database tells of new work.

        What it told of since the last rest counts: there was a look, but it may have been just before.
        """
        self.watch.wait(seconds)

    def close(self) -> None:
        """Finish what is in hand, leave, and close what is open; raises the fault of the last commit."""
        try:
            self.keeper.close()
        finally:
            self.opener.close()
            with suppress(Unavailable, StorageFull):
                self.roll.leave(self.worker_id)
            self.watching.close()
            self.store.close()


def make_work(config: Config, now: Clock = utc_now) -> Work:
    """Make what a worker process does; raises as `connect` does."""
    store, vault = open_installation(config)
    opener = Opener(config.limits, now)
    lease = timedelta(seconds=config.lease_seconds)
    roll = Roll(store, now, lease)
    try:
        fill_login_keys(store)
        worker_id = roll.join()
    except BaseException:
        store.close()
        raise
    watching = ExitStack()
    return Work(
        watching=watching,
        watch=watching.enter_context(store.watch(WORK)),
        worker_id=worker_id,
        keeper=Keeper(store, vault, opener, now, lease, worker_id, works_ahead=True, limits=config.limits),
        roll=roll,
        upkeep=Upkeep(store, now, timedelta(days=config.report_days)),
        opener=opener,
        store=store,
    )


def check_start(config: Config) -> bool:
    """Raise where the service would not start, and leave no connection open (before processes fork).

    Tells whether an MDM server is set, so that there is something for a deployer to do.
    """
    store, vault = open_installation(config)
    try:
        return make_mdm(store, vault, utc_now, _mdm_rules(config)).servers.is_set()
    finally:
        store.close()


def check_rows(config: Config) -> str:
    """Raise `ForgedRows` where rows were altered by hand; raises as `connect` does, too.

    Returns whether all of them are demanded to be signed.
    """
    store, vault = open_installation(config)
    try:
        if forged := list(islice(find_forged(store, vault, utc_now()), _MOST_NAMED + 1)):
            more = " and more" if len(forged) > _MOST_NAMED else ""
            raise ForgedRows(f"Not as the service wrote them: {', '.join(forged[:_MOST_NAMED])}{more}.")
        return (
            "all of them" if is_finished(store) else "keys only, until `bulkcert db upgrade --finish` is run"
        )
    finally:
        store.close()


def finish_upgrade(config: Config) -> int:
    """Bind every key to its row and demand it from then on; returns how many keys were sealed anew.

    Machines of an earlier release must have been stopped. Raises as `connect` does.
    """
    store, vault = open_installation(config)
    try:
        return bind_keys(store, vault)
    finally:
        store.close()


def check_confinement(config: Config) -> Layers:
    """Return the layers that confine opening processes; raises `NotConfined` where settings demand more."""
    return require_layers(config.limits, is_demanded=config.require_confinement)


def initialise(config: Config, administrator_password: Secret, now: Clock = utc_now) -> bool:
    """Make data directory, master key, tables, signing key and first administrator; False where they exist.

    A run that was interrupted is completed by the next one: what it would have printed is made in one
    transaction, with the check of the master key. Of several runs at once one does it, on whatever machine;
    the others raise `MasterKeyMissing` where its master key is not here. Raises `BadSettings` for a password
    that `check_login_password` refuses.
    """
    try:
        check_login_password(administrator_password)
    except RequestRefusal as refusal:
        raise BadSettings("Settings are wrong.", (Fault(ADMIN_PASSWORD, refusal.detail),)) from None
    with naming_data_dir(config):
        make_folders(config)
        store = make_store(config)
        try:
            migration.refuse_newer(migration.revision(store))
            if not is_initialised(store) and _initialise(store, config, administrator_password, now):
                return True
            open_vault(config, store)
            return False
        finally:
            store.close()


def _initialise(store: Store, config: Config, administrator_password: Secret, now: Clock) -> bool:
    """Do it, the key file first; False where another run has done it meanwhile."""
    key_file = master_key_file(config)
    migration.upgrade(store)
    with store.writing() as tx:
        tx.lock("init")
        if tx.keys.check(CHECK) is not None:
            return False
        if not is_there(key_file):
            write_key_file(key_file, (new_master_key(),))
        vault = Vault(read_key_file(key_file, may_be_shared=config.master_key_shared))
        access = Access(store, vault, Passwords(), TokenRules(timedelta(0), None), now)
        access.begin(tx.signed_by(VaultSigner(vault)), ADMINISTRATOR, administrator_password)
        tx.keys.insert_check(CHECK, seal_check(vault))
        tx.events.append(Event(EventType.INSTANCE_INITIALISED, now(), "system"))
    return True
