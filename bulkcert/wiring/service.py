"""The one place where parts meet: what `serve`, the workers and the commands are made of."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import BinaryIO, cast

from bulkcert.access.accounts import Accounts
from bulkcert.access.hashing import Passwords
from bulkcert.access.logins import Access, TokenRules
from bulkcert.capacity.bundle_checks import BundleChecks
from bulkcert.config import Config
from bulkcert.deployments.deployments import Deployments
from bulkcert.deployments.leases import Leases
from bulkcert.deployments.mdm.assembly import Mdm, make_mdm
from bulkcert.deployments.policies import VpnPolicies
from bulkcert.deployments.profile_release import ProfileRelease
from bulkcert.errors import Unavailable
from bulkcert.imports.intake import ImportIntake
from bulkcert.imports.reports import Reports
from bulkcert.imports.worker_registry import WorkerRegistry
from bulkcert.inventory.certificates import Inventory
from bulkcert.inventory.deletions import Deletions
from bulkcert.inventory.devices import Devices
from bulkcert.inventory.key_release import KeyRelease
from bulkcert.store.clock import Clock, utc_now
from bulkcert.store.store import Store
from bulkcert.values.limits import Limits
from bulkcert.vault.spool import Spool, SpoolRoom
from bulkcert.wiring.deployer import make_profiles, mdm_rules
from bulkcert.wiring.installation import open_installation


@dataclass(frozen=True)
class Service:
    """Everything that the APIs and commands need."""

    config: Config
    limits: Limits
    now: Clock
    access: Access
    accounts: Accounts
    key_release: KeyRelease
    intake: ImportIntake
    inventory: Inventory
    deletions: Deletions
    reports: Reports
    workers: WorkerRegistry
    vpn_policies: VpnPolicies
    deployments: Deployments
    leases: Leases
    profile_release: ProfileRelease
    devices: Devices
    mdm: Mdm
    store: Store
    spool_room: SpoolRoom

    def new_spool(self, owner: str) -> Spool:
        """Make a place for an upload of a login: encrypted as it is written, gone when it is closed."""
        return Spool(self.config.spool_dir, self.limits.bundle_bytes, self.spool_room, owner)

    def is_ready(self) -> bool:
        """Return whether the service could answer a request now."""
        with suppress(Unavailable):
            return self.store.answers()
        return False

    def close(self) -> None:
        """Close what is open."""
        self.store.close()


def connect(
    config: Config, now: Clock | None = None, is_stopping: Callable[[], bool] = lambda: False
) -> Service:
    """Create the service on a database that `init` made. is_stopping: tells whether waits are to end.

    now: the clock of the service and of its store; without one, each has its own (see `Store`).

    Raises a `StartRefusal` where what `init` made does not belong together, and writes nothing then.
    """
    store, vault = open_installation(config, now)
    now = now or utc_now
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

    profiles = make_profiles(config, now)
    return Service(
        config=config,
        limits=limits,
        now=now,
        access=Access(store, vault, passwords, rules, now),
        accounts=Accounts(store, passwords, rules.inactivity, now),
        key_release=KeyRelease(store, vault, now),
        intake=ImportIntake(store, vault, limits, now, is_stopping, new_spool, checks),
        inventory=Inventory(store),
        deletions=Deletions(store, vault, limits, now, checks),
        reports=Reports(store),
        workers=WorkerRegistry(store, now, timedelta(seconds=config.lease_seconds)),
        vpn_policies=VpnPolicies(store, now, limits.policies),
        deployments=Deployments(store, profiles),
        leases=Leases(store, now),
        profile_release=ProfileRelease(store, vault, profiles, now),
        devices=Devices(store),
        mdm=make_mdm(store, vault, now, mdm_rules(config)),
        store=store,
        spool_room=room,
    )
