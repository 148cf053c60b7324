"""Why the service does not start, or stops trusting what it reads."""

from bulkcert.errors.root import Refusal


class StartRefusal(Refusal):
    """The service does not start, or a command does not run, and nothing was written."""


class BadSettings(StartRefusal):
    """Settings are unknown or have bad values; `faults` holds one line for each."""

    code = "bad_settings"
    remedy = "Correct the BULKCERT_* variables; docs/operations.md lists them."


class NotInitialised(StartRefusal):
    """There is no service here: neither a database nor a master key."""

    code = "not_initialised"
    remedy = (
        "Set BULKCERT_DATA_DIR to the data directory of the service that exists;"
        " `bulkcert init` makes a new, empty one."
    )


class DatabaseMissing(StartRefusal):
    """The master key is here, but the database that belongs to it is not."""

    code = "database_missing"
    remedy = "Restore the database from its backup; `bulkcert init` would make a new, empty one."


class DatabaseDamaged(StartRefusal):
    """The database file is no SQLite database, or a damaged one."""

    code = "database_damaged"
    remedy = "Restore the database from its backup, without the files that end in -wal and -shm."


class MasterKeyMissing(StartRefusal):
    """The database is here, but the master key that it was sealed with is not."""

    code = "master_key_missing"
    remedy = (
        "Restore the master key from its backup, copy it from a machine that has it,"
        " or set BULKCERT_MASTER_KEY_FILE to where it is."
    )


class MasterKeyExposed(StartRefusal):
    """Others than its owner may read or write the file of the master key."""

    code = "master_key_exposed"
    remedy = (
        "Take their access away with `chmod 600`; where the platform mounts the file so (secrets of Docker or"
        " Kubernetes), set BULKCERT_MASTER_KEY_SHARED=true."
    )


class WrongMasterKey(StartRefusal):
    """The master key is not the one that this database was sealed with."""

    code = "wrong_master_key"
    remedy = "Point BULKCERT_MASTER_KEY_FILE to the right file."


class SchemaOutdated(StartRefusal):
    """The database was made by an older release."""

    code = "schema_outdated"
    remedy = "Make a backup, and run `bulkcert db upgrade`."


class LoginsCollide(StartRefusal):
    """Logins that differ by case only, and are not disabled, would count as one."""

    code = "logins_collide"
    remedy = (
        "With the release that ran before, disable all of them but one (`bulkcert user disable LOGIN`); then"
        " run `bulkcert db upgrade` again. Where --finish stopped, this release disables them, too."
    )


class SchemaNewer(StartRefusal):
    """The database was made, or upgraded, by a newer release."""

    code = "schema_newer"
    remedy = "Run that release again, or restore the backup that was made before the upgrade."


class NoAccess(StartRefusal):
    """A file or folder of the service cannot be read or written."""

    code = "no_access"
    remedy = (
        "Run the command as the user that owns the data directory, or give the files to this user (chown)."
    )


class SpoolMissing(StartRefusal):
    """The spool folder is missing: a backup does not hold it."""

    code = "spool_missing"
    remedy = "Run `bulkcert init`: it makes the folder, and leaves database and master key as they are."


class TlsFilesMissing(StartRefusal):
    """The HTTPS server's certificate or key is missing from the data directory."""

    code = "tls_files_missing"
    remedy = (
        "Restore them from their backup; name your own with BULKCERT_TLS_CERTIFICATE_FILE and"
        " BULKCERT_TLS_KEY_FILE; or run `bulkcert init`: it makes a self-signed certificate, and leaves"
        " database and master key as they are."
    )


class AddressNotUsable(StartRefusal):
    """The server cannot listen on its address."""

    code = "address_not_usable"
    remedy = "Stop the program that listens there, or choose another --host or --port."


class NotConfined(StartRefusal):
    """The settings demand that opening processes are confined, and this kernel cannot do it."""

    code = "not_confined"
    remedy = "Run on Linux 5.13 or newer (x86-64 or ARM64), or unset BULKCERT_REQUIRE_CONFINEMENT."


class BrokenSeal(Refusal):
    """Something sealed was altered, moved to another row, or sealed under a key that is not here."""

    code = "broken_seal"
    remedy = "Restore the row from a backup; treat it as tampering until it is explained."


class ForgedRows(Refusal):
    """Rows in the database were altered or swapped by hand, and not by the service."""

    code = "forged_row"
    remedy = (
        "Restore the rows from a backup, or see docs/operations.md;"
        " treat it as tampering until it is explained."
    )
