"""Why the service does not start, or stops trusting what it reads."""

from bulkcert.errors.root import Refusal


class StartRefusal(Refusal):
    """The service does not start, or a command does not run, and nothing was written."""


class BadSettings(StartRefusal):
    """Settings are unknown or have bad values; `faults` holds one line for each."""

    code = "bad_settings"
    remedy = "Correct the BULKCERT_* variables; docs/operations.md lists them."


class NotInitialised(StartRefusal):
    """There is no database or no master key here yet."""

    code = "not_initialised"
    remedy = "Run `bulkcert init`."


class WrongMasterKey(StartRefusal):
    """The master key is not the one that this database was sealed with."""

    code = "wrong_master_key"
    remedy = "Point BULKCERT_MASTER_KEY_FILE to the right file."


class SchemaOutdated(StartRefusal):
    """The database was made by another release."""

    code = "schema_outdated"
    remedy = "Run `bulkcert db upgrade`."


class NotConfined(StartRefusal):
    """The settings demand that opening processes are confined, and this kernel cannot do it."""

    code = "not_confined"
    remedy = "Run on Linux 5.13 or newer (x86-64 or ARM64), or unset BULKCERT_REQUIRE_CONFINEMENT."


class BrokenSeal(Refusal):
    """Something sealed was altered, moved to another row, or sealed under a key that is not here."""

    code = "broken_seal"
    remedy = "Restore the row from a backup; treat it as tampering until it is explained."
