"""Settings are read once, checked as a whole, and every fault is named."""

import dataclasses

import pytest

from bulkcert.config import Config, limit_variable
from bulkcert.errors import BadSettings
from bulkcert.values.limits import Limits


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
        ("BULKCERT_LEASE_SECONDS", "18"),  # a file may take six, twice
        ("BULKCERT_LIMIT_ENTRIES", "0"),
        ("BULKCERT_ALLOW_WITHOUT_MAC", "yes"),
        ("BULKCERT_DATA_DIR", ""),
        ("BULKCERT_DATABASE_URL", "mysql://localhost/x"),
        ("BULKCERT_DATABASE_POOL_SIZE", "0"),
        ("BULKCERT_DATABASE_TIMEOUT_SECONDS", "0"),
        ("BULKCERT_TLS_KEY_FILE", "key.pem"),  # its certificate is missing
    ],
)
def test_a_bad_setting_stops_the_start_and_is_named(variable: str, value: str) -> None:
    with pytest.raises(BadSettings) as refusal:
        Config.from_environment({variable: value})

    assert [fault.where for fault in refusal.value.faults] == [variable]


POSTGRES = "postgresql+psycopg://"


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("sqlite:////srv/x.sqlite3", "sqlite:////srv/x.sqlite3"),
        (POSTGRES + "user:secret@db.example.com:5432/bulkcert", ...),
        (POSTGRES + "user:s%40%3A%2F@[2001:db8::1]:5432/bulkcert?sslmode=verify-full", ...),
        (POSTGRES + "/bulkcert?host=%2Frun%2Fpostgresql&passfile=/etc/bulkcert/pass", ...),
        (POSTGRES + "/bulkcert?host=a:5432&host=b:5432&target_session_attrs=read-write", ...),
        ("postgresql://user@db/bulkcert", POSTGRES + "user@db/bulkcert"),
    ],
)
def test_databases_that_are_known(url: str, read: object) -> None:
    config = Config.from_environment({"BULKCERT_DATABASE_URL": url})

    assert config.database_url == (url if read is ... else read)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg2://user:secret@db/bulkcert",
        "postgres://user:secret@db/bulkcert",
        POSTGRES + "user:se@cret@db/bulkcert",
        POSTGRES + "user:se/cret@db/bulkcert",
        POSTGRES + "user:se?cret@db/bulkcert",
        POSTGRES + "user:12/secret@db",
        POSTGRES + "user:12/x?secret@db/bulkcert",
        POSTGRES + "user:se#cret@db/bulkcert",
        POSTGRES + "user:se cret@db/bulkcert",
        POSTGRES + "user:secret@db:port/bulkcert",
        POSTGRES + "user:secret@db",
        POSTGRES + "user:secret@db/",
        POSTGRES + "user@db/bulkcert?password=secret",
        POSTGRES + "user:secret@db/bulkcert?options=-csynchronous_commit%3Doff",
        "secret",
    ],
)
def test_a_database_that_is_refused_is_not_quoted(url: str) -> None:
    with pytest.raises(BadSettings) as refusal:
        Config.from_environment({"BULKCERT_DATABASE_URL": url})

    [fault] = refusal.value.faults
    assert fault.where == "BULKCERT_DATABASE_URL"
    for text in (fault.detail, repr(refusal.value), str(refusal.value)):
        assert not any(part in text for part in ("secret", "cret", "se@", "12"))


def test_a_config_that_is_printed_does_not_show_the_database() -> None:
    config = Config.from_environment({"BULKCERT_DATABASE_URL": POSTGRES + "user:secret@db/bulkcert"})

    assert "secret" not in repr(config)
    assert "data_dir" in repr(config)


@pytest.mark.parametrize(
    ("url", "is_taken"),
    [
        ("https://vpn.example.com", True),
        ("https://vpn.example.com:4443", True),
        ("https://[2001:db8::1]:4443", True),
        ("http://vpn.example.com", False),
        ("https://vpn.example.com/", False),
        ("https://vpn.example.com/bulkcert", False),
        ("https://vpn.example.com?x", False),
        ("https://olga:secret@vpn.example.com", False),
        ("https://vpn.example.com\n", False),
        ("https://", False),
        ("", False),
    ],
)
def test_the_public_address_is_an_origin_under_https(url: str, is_taken: bool) -> None:
    environ = {"BULKCERT_PUBLIC_URL": url}
    if is_taken:
        assert Config.from_environment(environ).public_url == url
        return
    with pytest.raises(BadSettings) as refusal:
        Config.from_environment(environ)

    assert [fault.where for fault in refusal.value.faults] == ["BULKCERT_PUBLIC_URL"]


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
