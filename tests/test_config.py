"""Settings are read once, checked as a whole, and every fault is named."""

import dataclasses

import pytest

from bulkcert.config import Config, limit_variable
from bulkcert.errors import BadSettings
from bulkcert.limits import Limits


def test_without_variables_everything_has_its_default() -> None:
    config = Config.from_environment({})

    assert config.limits == Limits()
    assert config.data_dir.is_absolute()
    assert config.database_url == f"sqlite:///{config.data_dir}/bulkcert.sqlite3"
    assert config.master_key_file == config.data_dir / "master.key"
    assert config.token_lifetime_seconds == 3600
    assert config.citrix_wait_seconds == 900


def test_foreign_variables_and_the_first_password_are_left_alone() -> None:
    Config.from_environment({"PATH": "/bin", "BULKCERT_ADMIN_PASSWORD": "a long password"})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BULKCERT_TOKEN_LIFETIME", "60"),  # the name has _SECONDS
        ("BULKCERT_TOKEN_LIFETIME_SECONDS", "an hour"),
        ("BULKCERT_TOKEN_LIFETIME_SECONDS", "0"),
        ("BULKCERT_TOKEN_LIFETIME_SECONDS", "-1"),
        ("BULKCERT_TOKEN_LIFETIME_SECONDS", "1e3"),
        ("BULKCERT_TOKEN_LIFETIME_SECONDS", "١"),
        ("BULKCERT_LOGIN_TIMEOUT", "sometimes"),
        ("BULKCERT_LIMIT_ENTRIES", ""),
        ("BULKCERT_LEASE_SECONDS", "12"),  # a file alone may take six
        ("BULKCERT_LIMIT_ENTRIES", "0"),
        ("BULKCERT_ALLOW_WITHOUT_MAC", "yes"),
        ("BULKCERT_DATA_DIR", ""),
        ("BULKCERT_DATABASE_URL", "mysql://localhost/x"),
        ("BULKCERT_TLS_KEY_FILE", "key.pem"),  # its certificate is missing
    ],
)
def test_a_bad_setting_stops_the_start_and_is_named(variable: str, value: str) -> None:
    with pytest.raises(BadSettings) as refusal:
        Config.from_environment({variable: value})

    assert [fault.where for fault in refusal.value.faults] == [variable]


def test_every_fault_gets_its_own_line() -> None:
    with pytest.raises(BadSettings) as refusal:
        Config.from_environment(
            {"BULKCERT_X": "1", "BULKCERT_WAIT_SECONDS": "x", "BULKCERT_LOG_LEVEL": "loud"}
        )

    assert len(refusal.value.faults) == 3


@pytest.mark.parametrize("field", dataclasses.fields(Limits), ids=lambda field: field.name)
def test_every_limit_is_a_setting(field: dataclasses.Field[int]) -> None:
    text, value = ("true", True) if isinstance(field.default, bool) else ("12345", 12345)
    config = Config.from_environment({limit_variable(field.name): text, "BULKCERT_LEASE_SECONDS": "99999"})

    assert getattr(config.limits, field.name) == value
