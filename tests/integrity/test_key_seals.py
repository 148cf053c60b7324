"""Promise P32: a row that was changed or swapped by hand in the database releases no key, and is found by
`bulkcert check`. On both databases; whoever attacks has every table, and not the master key.

Putting back an older whole row is not prevented.
"""

from typing import Any

import pytest
import sqlalchemy as sa

from bulkcert.errors import BrokenSeal
from bulkcert.integrity.demand import CHECK, Demand, demands_binding, seal_check
from bulkcert.integrity.key_seals import KeyOpener, bind_key, is_bound
from bulkcert.inventory.key_release import KeyRelease
from bulkcert.store.store import Store
from bulkcert.store.tables.certificates import certificates
from bulkcert.store.tables.schema import vault_checks
from bulkcert.values.certificates import CertificateFilter, CertificateState
from bulkcert.values.releases import Encryption, ReleaseFormat
from bulkcert.values.secret import Secret
from bulkcert.wiring.proofs import bind_keys, find_forged
from tests.builders import a_bundle
from tests.verbs import Verbs

A, B = "A12BC3D4EFGH", "B12BC3D4EFGH"
PASSWORD = Secret(b"correct horse battery")
RELEASED = {"release_format": ReleaseFormat.PKCS12, "encryption": Encryption.AES256}
DEVICE = certificates.c.kind == "device"


def ids(verbs: Verbs) -> dict[str, int]:
    wanted = CertificateFilter(state=CertificateState.CURRENT)
    return {each.identity.value: each.id for each in verbs.inventory.page(wanted, 100, None).items}


def release(verbs: Verbs, certificate_id: int) -> None:
    KeyRelease(verbs.store, verbs.vault, verbs.clock).release(
        certificate_id, password=PASSWORD, actor="administrator", **RELEASED
    )


def forged(verbs: Verbs) -> list[str]:
    return list(find_forged(verbs.store, verbs.vault, verbs.clock()))


def execute(store: Store, statement: sa.Executable) -> None:
    with store.engine.begin() as connection:
        connection.execute(statement)


def be_of_an_earlier_release(verbs: Verbs) -> None:
    """Make the check that an earlier release made: it demands no binding."""
    with verbs.store.writing() as tx:
        tx.keys.insert_check(CHECK, seal_check(verbs.vault, Demand.NOTHING))


def swap(store: Store, *columns: str) -> None:
    """Swap columns of the two devices' certificates."""
    with store.engine.begin() as connection:
        first, second = connection.execute(sa.select(certificates).where(DEVICE).order_by(certificates.c.id))
        for row, other in ((first, second), (second, first)):
            connection.execute(
                sa.update(certificates)
                .where(certificates.c.id == row.id)
                .values({name: getattr(other, name) for name in columns} | {"state": "superseded"})
            )
        connection.execute(sa.update(certificates).where(DEVICE).values(state="current"))


# --- keys --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "columns",
    [
        ("identity",),
        ("der",),
        ("der", "fingerprint_sha256"),
        ("der", "fingerprint_sha256", "public_key_sha256"),
        ("public_key_sha256",),
        ("fingerprint_sha256",),
        ("sealed_private_key",),
        ("sealed_private_key", "der", "fingerprint_sha256", "public_key_sha256"),
    ],
    ids=" ".join,
)
def test_p32_swapped_rows_release_no_key_and_are_found(any_verbs: Verbs, columns: tuple[str, ...]) -> None:
    verbs = any_verbs
    verbs.import_bundle(a_bundle([A, B]))
    assert forged(verbs) == []
    swap(verbs.store, *columns)

    for certificate_id in ids(verbs).values():
        with pytest.raises(BrokenSeal):
            release(verbs, certificate_id)
    assert forged(verbs) == [f"certificate {each}" for each in sorted(ids(verbs).values())]


def test_p32_another_identity_type_releases_no_key(any_verbs: Verbs) -> None:
    any_verbs.import_bundle(a_bundle([A]))
    [certificate_id] = ids(any_verbs).values()
    execute(any_verbs.store, sa.update(certificates).where(DEVICE).values(identity_type="MEID"))

    with pytest.raises(BrokenSeal):
        release(any_verbs, certificate_id)


# --- upgrading ---------------------------------------------------------------------------------------


def test_until_the_upgrade_is_finished_keys_are_sealed_as_earlier_releases_open_them(
    any_verbs: Verbs,
) -> None:
    verbs = any_verbs
    be_of_an_earlier_release(verbs)
    verbs.import_bundle(a_bundle([A]))

    with verbs.store.reading() as tx:
        assert not demands_binding(tx, verbs.vault)
        assert [kept and is_bound(kept) for _, kept in tx.device_keys.page(0, 10)] == [False]
    release(verbs, ids(verbs)[A])
    assert forged(verbs) == []


def test_finishing_seals_every_key_anew_and_then_refuses_the_earlier_form(any_verbs: Verbs) -> None:
    verbs = any_verbs
    be_of_an_earlier_release(verbs)
    verbs.import_bundle(a_bundle([A, B]))
    with verbs.store.reading() as tx:
        before = {number: kept.sealed_private_key for number, kept in tx.device_keys.page(0, 10) if kept}

    assert bind_keys(verbs.store, verbs.vault) == 2
    assert bind_keys(verbs.store, verbs.vault) == 0
    for certificate_id in ids(verbs).values():
        release(verbs, certificate_id)
    assert forged(verbs) == []
    with verbs.store.writing() as tx:
        tx.device_keys.replace_sealed(before)
    with pytest.raises(BrokenSeal):
        release(verbs, ids(verbs)[A])
    assert len(forged(verbs)) == 2


def test_an_interrupted_finish_goes_on_where_it_was(
    any_verbs: Verbs, monkeypatch: pytest.MonkeyPatch
) -> None:
    verbs = any_verbs
    be_of_an_earlier_release(verbs)
    verbs.import_bundle(a_bundle([A, B]))
    monkeypatch.setattr("bulkcert.wiring.proofs._BATCH", 1)
    seen: list[object] = []

    def bind(vault: Any, kept: Any) -> bytes:
        if seen:
            raise KeyboardInterrupt
        seen.append(kept)
        return bind_key(vault, kept)

    with monkeypatch.context() as patch:
        patch.setattr("bulkcert.wiring.proofs.bind_key", bind)
        with pytest.raises(KeyboardInterrupt):
            bind_keys(verbs.store, verbs.vault)
    for certificate_id in ids(verbs).values():  # both forms open
        release(verbs, certificate_id)

    assert bind_keys(verbs.store, verbs.vault) == 1


def test_a_key_that_was_read_before_the_finish_opens_after_it(any_verbs: Verbs) -> None:
    verbs = any_verbs
    be_of_an_earlier_release(verbs)
    verbs.import_bundle(a_bundle([A]))
    with verbs.store.reading() as tx:
        read = tx.device_keys.find_sealed(ids(verbs)[A])
    bind_keys(verbs.store, verbs.vault)

    with verbs.store.reading() as tx:
        bound = tx.device_keys.find_sealed(read.id)
    opener = KeyOpener(verbs.store, verbs.vault)
    assert opener.open(read).reveal() == opener.open(bound).reveal()


def test_a_key_that_does_not_open_is_left_as_it_is_and_found(any_verbs: Verbs) -> None:
    verbs = any_verbs
    be_of_an_earlier_release(verbs)
    verbs.import_bundle(a_bundle([A, B]))
    execute(
        verbs.store,
        sa.update(certificates).where(certificates.c.identity == A).values(sealed_private_key=b"\x01" * 200),
    )

    assert bind_keys(verbs.store, verbs.vault) == 1
    assert forged(verbs) == [f"certificate {ids(verbs)[A]}"]


def test_p32_without_the_check_of_the_master_key_binding_is_demanded(any_verbs: Verbs) -> None:
    verbs = any_verbs
    be_of_an_earlier_release(verbs)
    bind_keys(verbs.store, verbs.vault)
    with verbs.store.reading() as tx:
        assert demands_binding(tx, verbs.vault)
    for statement in (sa.update(vault_checks).values(sealed=b"x" * 100), sa.delete(vault_checks)):
        execute(verbs.store, statement)
        with verbs.store.reading() as tx:
            assert demands_binding(tx, verbs.vault)
