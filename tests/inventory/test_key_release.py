"""A release is on disk before its first byte is anywhere else, or there is none (promise P14)."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bulkcert.errors import BrokenSeal, MalformedRequest, NotFound, Unavailable, WeakPassword
from bulkcert.formats.pkcs12.opening import open as open_pkcs12
from bulkcert.inventory import key_release as module
from bulkcert.inventory.key_release import KeyRelease
from bulkcert.store.events import Events
from bulkcert.store.store import Store
from bulkcert.values.certificates import CertificateState
from bulkcert.values.events import Event, EventType
from bulkcert.values.releases import Encryption, ReleaseFormat
from bulkcert.values.secret import Secret
from bulkcert.vault.master_key import MasterKey
from bulkcert.vault.vault import Vault
from tests.builders import a_bundle
from tests.clock import Clock
from tests.verbs import Verbs

DEVICE = "A12BC3D4EFGH"
PASSWORD = Secret(b"correct horse battery")


@pytest.fixture
def key_release(store: Store, vault: Vault, clock: Clock) -> KeyRelease:
    return KeyRelease(store, vault, clock)


@pytest.fixture
def certificate_id(verbs: Verbs) -> int:
    request = verbs.import_bundle(a_bundle([DEVICE]))
    [item] = verbs.items(request)
    assert item.result is not None
    assert item.result.certificate_id is not None
    return item.result.certificate_id


def release(key_release: KeyRelease, certificate_id: int, **differing: object) -> module.Released:
    order = {
        "release_format": ReleaseFormat.PKCS12,
        "encryption": Encryption.AES256,
        "password": PASSWORD,
        "actor": "olga",
    }
    return key_release.release(certificate_id, **(order | differing))  # type: ignore[arg-type]


def releases(store: Store) -> list[Event]:
    with store.reading() as tx:
        return [event for event in tx.events.list() if event.type is EventType.KEY_RELEASED]


def test_a_release_is_recorded_with_who_what_and_how(
    key_release: KeyRelease, store: Store, certificate_id: int
) -> None:
    released = release(key_release, certificate_id)

    [event] = releases(store)
    assert event.actor == "olga"
    assert event.facts == {
        "certificate_id": certificate_id,
        "identity_type": "SERIAL_NUMBER",
        "identity": DEVICE,
        "fingerprint_sha256": released.fingerprint_sha256,
        "format": "pkcs12",
        "encryption": "aes256",
    }


def test_the_encryption_of_a_pem_is_not_told_as_that_of_a_pkcs12(
    key_release: KeyRelease, store: Store, certificate_id: int
) -> None:
    release(key_release, certificate_id, release_format=ReleaseFormat.PEM)

    assert releases(store)[0].facts["encryption"] is None


def test_the_event_is_in_the_file_before_anything_is_returned(
    key_release: KeyRelease,
    certificate_id: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At the last step, another connection, which sees what is committed alone, already finds it."""
    found: list[int] = []

    def made(*values: object) -> object:
        with closing(sqlite3.connect(tmp_path / "store.sqlite3", isolation_level=None)) as other:
            query = "SELECT count(*) FROM events WHERE number = ?"
            found.append(other.execute(query, (int(EventType.KEY_RELEASED),)).fetchone()[0])
        other.close()
        return values

    monkeypatch.setattr(module, "Released", made)
    release(key_release, certificate_id)

    assert found == [1]


def test_nothing_is_released_where_the_event_cannot_be_written(
    key_release: KeyRelease, store: Store, certificate_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise Unavailable("The database is busy.")

    with monkeypatch.context() as patched:
        patched.setattr(Events, "append", fail)
        with pytest.raises(Unavailable):
            release(key_release, certificate_id)

    assert releases(store) == []


def test_nothing_is_released_where_the_database_refuses_the_event(
    key_release: KeyRelease, store: Store, certificate_id: int
) -> None:
    with store.engine.connect() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
        connection.commit()

    with pytest.raises(Exception, match="full"):
        release(key_release, certificate_id)
    assert releases(store) == []


def test_a_superseded_certificate_is_released(
    key_release: KeyRelease, verbs: Verbs, certificate_id: int
) -> None:
    verbs.import_bundle(a_bundle([DEVICE]))
    with verbs.store.reading() as tx:
        assert tx.certificates.find(certificate_id).state is CertificateState.SUPERSEDED

    opened = open_pkcs12(release(key_release, certificate_id).content.reveal(), PASSWORD)
    assert opened.leaf.facts.subject.common_name == DEVICE


def test_a_deleted_certificate_is_not_there(
    key_release: KeyRelease, store: Store, verbs: Verbs, certificate_id: int
) -> None:
    verbs.deletions.delete([DEVICE], None, verbs.caller)

    with pytest.raises(NotFound):
        release(key_release, certificate_id)
    assert releases(store) == []


def test_one_that_is_deleted_while_its_file_is_made_is_not_released(
    key_release: KeyRelease,
    store: Store,
    verbs: Verbs,
    certificate_id: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make = module.make_pkcs12

    def make_slowly(*values: object) -> Secret:
        verbs.deletions.delete([DEVICE], None, verbs.caller)
        return make(*values)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "make_pkcs12", make_slowly)

    with pytest.raises(NotFound):
        release(key_release, certificate_id)
    assert releases(store) == []


@pytest.mark.parametrize("certificate_id", [0, -1, 10**17])
def test_an_unknown_one_is_not_there(key_release: KeyRelease, certificate_id: int) -> None:
    with pytest.raises(NotFound):
        release(key_release, certificate_id)


@pytest.mark.parametrize(
    ("password", "refusal"),
    [
        (b"", WeakPassword),
        (b"elevenchars", WeakPassword),
        ("zwölf Zeich".encode(), WeakPassword),
        (b"aaaabbbbcccc", WeakPassword),
        (b"x1y2z" * 26, MalformedRequest),
        (b"correct horse\x00", MalformedRequest),
        (b"correct horse\x7f", MalformedRequest),
        (b"correct horse \xff", MalformedRequest),
    ],
)
def test_a_password_that_does_not_protect_is_refused_before_a_key_is_opened(
    store: Store, clock: Clock, certificate_id: int, password: bytes, refusal: type[Exception]
) -> None:
    blind = KeyRelease(store, Vault((MasterKey(Secret(b"another master key, of 32 bytes.")),)), clock)

    with pytest.raises(refusal):
        release(blind, certificate_id, password=Secret(password))
    with pytest.raises(BrokenSeal):
        release(blind, certificate_id)
    assert releases(store) == []


def test_a_generated_password_passes_its_own_rule_and_is_never_the_same(
    key_release: KeyRelease, certificate_id: int
) -> None:
    passwords = {
        release(
            key_release, certificate_id, password=None, release_format=ReleaseFormat.PEM
        ).password.reveal()
        for _ in range(20)
    }

    assert len(passwords) == 20
    assert {len(password) for password in passwords} == {24}


def test_what_is_released_does_not_print(key_release: KeyRelease, certificate_id: int) -> None:
    released = release(key_release, certificate_id)

    assert "correct horse" not in repr(released)
    assert repr(released.content) == "Secret(***)"
