"""What `init` makes: data directory, master key, tables, signing key and first administrator."""

from datetime import timedelta

from bulkcert.access.accounts import check_login_password
from bulkcert.access.hashing import Passwords
from bulkcert.access.logins import Access, TokenRules
from bulkcert.config import ADMIN_PASSWORD, Config
from bulkcert.errors import BadSettings, Fault, RequestRefusal
from bulkcert.integrity.demand import CHECK, VaultSigner, seal_check
from bulkcert.store import migration
from bulkcert.store.clock import Clock, utc_now
from bulkcert.store.store import Store
from bulkcert.values.events import Event, EventType
from bulkcert.values.secret import Secret
from bulkcert.vault.master_key import new_master_key, read_key_file, write_key_file
from bulkcert.vault.vault import Vault
from bulkcert.wiring.installation import (
    is_initialised,
    is_there,
    make_folders,
    make_store,
    master_key_file,
    naming_data_dir,
    open_vault,
)

ADMINISTRATOR = "administrator"


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
