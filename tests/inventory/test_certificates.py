"""Listing, looking up and deleting in bulk."""

import io
import sqlite3
from dataclasses import replace
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from bulkcert.errors import EmptyList, InvalidIdentity, MalformedRequest, NotFound
from bulkcert.store.certificates import certificates
from bulkcert.values.bulk_requests import Outcome, RequestState
from bulkcert.values.certificates import CertificateFilter, CertificateState, ChainCertificate
from bulkcert.values.events import EventType
from bulkcert.values.identities import IdentityType
from tests.builders import DAY, NOW, a_bundle, a_ca, a_certificate, a_pkcs12, a_zip, an_ec_key
from tests.verbs import Verbs

A, B, C = "A12BC3D4EFGH", "B12BC3D4EFGH", "C12BC3D4EFGH"
SERIAL = IdentityType.SERIAL_NUMBER
IMEI = "490154203237518"
CURRENT = CertificateFilter(state=CertificateState.CURRENT)


def current(verbs: Verbs) -> set[str]:
    return {str(c.identity) for c in verbs.inventory.page(CURRENT, 100, None).items}


@pytest.mark.slow
def test_deleting_tells_for_each_device_what_happened(any_verbs: Verbs) -> None:
    verbs = any_verbs
    verbs.import_bundle(a_bundle([A, B]))
    request = verbs.deletions.delete([A.lower(), C, "bad"], SERIAL, verbs.caller)

    assert verbs.codes(request) == {A: "deleted", C: "not_found", "bad": "invalid_identity"}
    assert request.state is RequestState.PARTIALLY_SUCCEEDED
    assert (request.counts.total, request.counts.done) == (3, 3)
    assert (request.counts.deleted, request.counts.not_found, request.counts.failed) == (1, 1, 1)
    assert current(verbs) == {B}


def test_deleting_destroys_the_keys_of_current_and_superseded_certificates(any_verbs: Verbs) -> None:
    verbs = any_verbs
    verbs.import_bundle(a_bundle([A]))
    verbs.import_bundle(a_bundle([A]))
    verbs.deletions.delete([A], SERIAL, verbs.caller)

    with verbs.store.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT state, sealed_private_key FROM certificates WHERE kind = 'device'"
        ).all()
        keys = connection.exec_driver_sql("SELECT count(*) FROM device_keys").scalar_one()
    assert rows == [("deleted", None), ("deleted", None)]
    assert keys == 0
    assert {
        kept.deleted_at for kept in verbs.inventory.page(CertificateFilter(identity=A), 10, None).items
    } == {NOW}


def test_a_destroyed_key_is_gone_from_the_files_of_the_database_too(verbs: Verbs) -> None:
    verbs.import_bundle(a_bundle([A]))
    with verbs.store.engine.connect() as connection:
        sealed = connection.exec_driver_sql(
            "SELECT sealed_private_key FROM certificates WHERE kind = 'device'"
        ).scalar_one()
    path = Path(verbs.store.engine.url.database or "")

    def files() -> bytes:
        return b"".join(file.read_bytes() for file in path.parent.glob(path.name + "*"))

    assert sealed[20:60] in files()
    verbs.deletions.delete([A], SERIAL, verbs.caller)
    assert sealed[20:60] not in files()


def test_a_device_named_twice_is_counted_once_and_ignored_once(verbs: Verbs) -> None:
    verbs.import_bundle(a_bundle([A]))
    request = verbs.deletions.delete([A, f" {A.lower()} "], SERIAL, verbs.caller)

    assert (request.counts.total, request.counts.deleted, request.counts.ignored) == (2, 1, 1)


def test_a_deleted_device_can_be_imported_again_and_its_key_used_elsewhere(any_verbs: Verbs) -> None:
    verbs = any_verbs
    key = an_ec_key()
    bundle = a_bundle([A], files={A: a_pkcs12(A, key=key)})
    verbs.import_bundle(bundle)
    verbs.deletions.delete([A], SERIAL, verbs.caller)

    assert verbs.codes(verbs.import_bundle(bundle)) == {A: "created"}
    verbs.deletions.delete([A], SERIAL, verbs.caller)
    assert verbs.codes(verbs.import_bundle(a_bundle([B], files={B: a_pkcs12(B, key=key)}))) == {B: "created"}


def test_a_deletion_wins_over_what_an_earlier_import_has_not_done_yet(any_verbs: Verbs) -> None:
    verbs = any_verbs
    waiting = verbs.accept(a_bundle([A, B]))
    request = verbs.deletions.delete([A], SERIAL, verbs.caller)
    verbs.work()

    assert verbs.codes(request) == {A: "deleted"}
    assert verbs.codes(waiting) == {A: "deleted_meanwhile", B: "created"}
    assert current(verbs) == {B}
    finished = verbs.intake.wait(waiting.id, 0)
    assert (finished.counts.done, finished.counts.created, finished.counts.failed) == (2, 1, 1)


def test_a_deletion_of_all_that_an_import_still_waits_for_finishes_it(any_verbs: Verbs) -> None:
    verbs = any_verbs
    waiting = verbs.accept(a_bundle([A, B]))
    verbs.deletions.delete([A, B], SERIAL, verbs.caller)

    assert verbs.intake.wait(waiting.id, 0).state is RequestState.FAILED
    verbs.work()
    assert current(verbs) == set()


def test_a_deletion_of_one_identity_type_leaves_the_others(any_verbs: Verbs) -> None:
    verbs = any_verbs
    imei = "490154203237518"
    verbs.import_bundle(a_bundle([imei]), SERIAL)
    verbs.import_bundle(a_bundle([imei]), IdentityType.IMEI)
    waiting = verbs.accept(a_bundle([imei]), SERIAL)
    request = verbs.deletions.delete([imei], IdentityType.IMEI, verbs.caller)

    assert request.counts.deleted == 1
    assert [
        kept.identity.type for kept in verbs.inventory.page(replace(CURRENT, identity=imei), 9, None).items
    ] == [SERIAL]
    assert verbs.codes(waiting) == {imei: None}


def test_without_a_type_every_type_that_the_name_is_valid_for_is_deleted(any_verbs: Verbs) -> None:
    verbs = any_verbs
    imei = "490154203237518"
    verbs.import_bundle(a_bundle([imei]), SERIAL)
    verbs.import_bundle(a_bundle([imei]), IdentityType.IMEI)
    request = verbs.deletions.delete([imei, "-"], None, verbs.caller)

    assert verbs.codes(request) == {imei: "deleted", "-": "invalid_identity"}
    assert current(verbs) == set()


@pytest.mark.parametrize(
    "file",
    [
        f"{A}\r\n\r\n{B.lower()}.p12=secret\n".encode(),
        a_zip({"list.txt": f"{A}.p12\n{B}\n".encode()}),
        a_zip({f"{A}.p12": b"", f"{B}.p12": b""}),
    ],
)
def test_a_list_is_read_as_text_as_zip_and_by_names(verbs: Verbs, file: bytes) -> None:
    verbs.import_bundle(a_bundle([A, B, C]))
    request = verbs.deletions.delete_listed(io.BytesIO(file), SERIAL, verbs.caller)

    assert verbs.codes(request) == {A: "deleted", B: "deleted"}
    assert current(verbs) == {C}


def test_an_empty_list_is_refused(verbs: Verbs) -> None:
    with pytest.raises(EmptyList):
        verbs.deletions.delete_listed(io.BytesIO(b"\n \n"), SERIAL, verbs.caller)
    with pytest.raises(EmptyList):
        verbs.deletions.delete([], SERIAL, verbs.caller)


def test_a_deletion_records_who_deleted_which_device(any_verbs: Verbs) -> None:
    verbs = any_verbs
    verbs.import_bundle(a_bundle([A]))
    verbs.deletions.delete([A], SERIAL, verbs.caller)

    with verbs.store.reading() as tx:
        events = tx.events.list()[-3:]
    assert [event.type for event in events] == [
        EventType.DELETION_ACCEPTED,
        EventType.CERTIFICATE_DELETED,
        EventType.DELETION_FINISHED,
    ]
    assert (events[1].actor, events[1].facts["identity"]) == ("administrator", A)


def test_pages_follow_one_another_without_gaps(any_verbs: Verbs) -> None:
    verbs = any_verbs
    serials = [f"SERIAL{number:06}" for number in range(7)]
    verbs.import_bundle(a_bundle(serials))
    seen, cursor = [], None
    while True:
        page = verbs.inventory.page(CertificateFilter(SERIAL), 3, cursor)
        seen.append([str(kept.identity) for kept in page.items])
        if (cursor := page.next_cursor) is None:
            break

    assert [len(some) for some in seen] == [3, 3, 1]
    assert [name for some in seen for name in some] == serials


@pytest.mark.parametrize("cursor", ["", "!", "é", "YWJj", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5"])
def test_a_cursor_that_was_not_given_is_refused(verbs: Verbs, cursor: str) -> None:
    with pytest.raises(MalformedRequest):
        verbs.inventory.page(CertificateFilter(), 3, cursor)


def test_an_identity_is_found_as_people_write_it(verbs: Verbs) -> None:
    verbs.import_bundle(a_bundle(["490154203237518"]), IdentityType.IMEI)

    assert (
        len(verbs.inventory.page(CertificateFilter(IdentityType.IMEI, "49-015420-323751-8"), 3, None).items)
        == 1
    )
    with pytest.raises(InvalidIdentity):
        verbs.inventory.page(CertificateFilter(IdentityType.IMEI, "49"), 3, None)


@pytest.fixture
def fleet(any_verbs: Verbs) -> Verbs:
    """Four devices: A of another CA with odd names, B replaced once, C deleted, and an IMEI that ends soon."""
    odd = a_ca("Geräte_CA, 100% /sicher\\")
    key, soon = an_ec_key(), an_ec_key()
    verbs = any_verbs
    of_odd_ca = a_certificate(key, "50%_of /all\\", issuer=odd, not_after=NOW + 90 * DAY)
    ends_soon = a_certificate(soon, IMEI, not_after=NOW + 10 * DAY)
    verbs.import_bundle(a_bundle([A], files={A: a_pkcs12(A, key=key, certificate=of_odd_ca)}))
    verbs.import_bundle(a_bundle([B, C]))
    verbs.import_bundle(a_bundle([B]))
    verbs.deletions.delete([C], SERIAL, verbs.caller)
    verbs.import_bundle(
        a_bundle([IMEI], files={IMEI: a_pkcs12(IMEI, key=soon, certificate=ends_soon)}), IdentityType.IMEI
    )
    return verbs


EVERY = [A, B, C, B, IMEI]


def listed(fleet: Verbs, wanted: CertificateFilter, limit: int) -> list[str]:
    """The identities of all pages."""
    page = fleet.inventory.page(wanted, limit, None)
    found = [*page.items]
    while page.next_cursor is not None:
        page = fleet.inventory.page(wanted, limit, page.next_cursor)
        found += page.items
    return [kept.identity.value for kept in found]


@pytest.mark.parametrize(
    ("wanted", "identities"),
    [
        ({}, EVERY),
        ({"identity_type": SERIAL}, [A, B, C, B]),
        ({"identity_type": IdentityType.IMEI}, [IMEI]),
        ({"identity_type": IdentityType.MEID}, []),
        ({"identity": B}, [B, B]),
        ({"identity": B, "state": CertificateState.SUPERSEDED}, [B]),
        ({"identity": IMEI, "identity_type": SERIAL}, []),
        ({"state": CertificateState.CURRENT}, [A, B, IMEI]),
        ({"state": CertificateState.SUPERSEDED}, [B]),
        ({"state": CertificateState.DELETED}, [C]),
        ({"expires_before": NOW + 10 * DAY}, []),
        ({"expires_before": NOW + 10 * DAY + timedelta(seconds=1)}, [IMEI]),
        ({"expires_before": NOW + 91 * DAY}, [A, IMEI]),
        ({"expires_before": NOW + 9999 * DAY}, EVERY),
        ({"expires_before": NOW + 9999 * DAY, "state": CertificateState.CURRENT}, [A, B, IMEI]),
        ({"expires_before": (NOW + 10 * DAY).astimezone(timezone(timedelta(hours=14)))}, []),
        ({"issuer": "test ca"}, [B, C, B, IMEI]),
        ({"issuer": "CN=Ger"}, [A]),
        ({"issuer": "Geräte"}, [A]),
        ({"issuer": "GERäTE_ca"}, [A]),
        ({"issuer": "test%only"}, []),
        ({"issuer": "100%"}, [A]),
        ({"issuer": "%"}, [A]),
        ({"issuer": "_"}, [A]),
        ({"issuer": "/"}, [A]),
        ({"issuer": "\\\\"}, [A]),
        ({"issuer": "'"}, []),
        ({"text": "12bc"}, [A, B, C, B]),
        ({"text": A.lower()}, [A]),
        ({"text": "%"}, [A]),
        ({"text": "_"}, [A]),
        ({"text": "50%_OF /"}, [A]),
        ({"text": "5_%"}, []),
        ({"text": "015420"}, [IMEI]),
        ({"text": "Test CA"}, []),
        ({"text": "12bc", "issuer": "test", "state": CertificateState.CURRENT}, [B]),
        ({"text": "12bc", "issuer": "test", "identity": A}, []),
        ({"fingerprint_sha256": "0" * 64}, []),
    ],
)
def test_a_filter_chooses(fleet: Verbs, wanted: dict[str, Any], identities: list[str]) -> None:
    assert listed(fleet, CertificateFilter(**wanted), 2) == identities


@pytest.mark.parametrize("few", [-1, 0, 2, 4, 5, 1000])
@pytest.mark.parametrize(
    ("wanted", "identities"),
    [
        ({"expires_before": NOW}, []),
        ({"expires_before": NOW + 91 * DAY}, [A, IMEI]),
        ({"expires_before": NOW + 9999 * DAY}, EVERY),
        ({"expires_before": NOW + 9999 * DAY, "state": CertificateState.CURRENT}, [A, B, IMEI]),
        ({"expires_before": NOW + 9999 * DAY, "identity_type": SERIAL}, [A, B, C, B]),
        ({"expires_before": NOW + 9999 * DAY, "text": "12bc", "issuer": "test"}, [B, C, B]),
        ({"expires_before": NOW + 9999 * DAY, "identity": B}, [B, B]),
    ],
)
def test_what_expires_is_found_whether_it_is_few_or_many(
    fleet: Verbs, monkeypatch: pytest.MonkeyPatch, wanted: dict[str, Any], identities: list[str], few: int
) -> None:
    monkeypatch.setattr(certificates, "_FEW", few)

    assert listed(fleet, CertificateFilter(**wanted), 1) == identities


def test_a_fingerprint_names_one_certificate_whatever_its_state(fleet: Verbs) -> None:
    for kept in fleet.inventory.page(CertificateFilter(), 10, None).items:
        wanted = CertificateFilter(fingerprint_sha256=kept.facts.fingerprint_sha256)
        assert fleet.inventory.page(wanted, 10, None).items == (kept,)
        assert fleet.inventory.page(replace(wanted, state=kept.state), 10, None).items == (kept,)


def test_the_fingerprint_of_a_chain_certificate_is_no_device_certificate(fleet: Verbs) -> None:
    *_, chain = fleet.inventory.current_certificates()

    wanted = CertificateFilter(fingerprint_sha256=chain.facts.fingerprint_sha256)
    assert fleet.inventory.page(wanted, 10, None).items == ()


def test_chain_certificates_are_not_device_certificates(verbs: Verbs) -> None:
    verbs.import_bundle(a_bundle([A]))
    *_, chain = verbs.inventory.current_certificates()

    assert isinstance(chain, ChainCertificate)
    with pytest.raises(NotFound):
        verbs.inventory.find(chain.id)


def test_chain_certificates_that_no_current_certificate_needs_are_not_listed(verbs: Verbs) -> None:
    verbs.import_bundle(a_bundle([A]))
    verbs.deletions.delete([A], SERIAL, verbs.caller)

    assert list(verbs.inventory.current_certificates()) == []


def test_items_can_be_listed_by_code(any_verbs: Verbs) -> None:
    verbs = any_verbs
    request = verbs.deletions.delete([A, "bad", B, "worse"], SERIAL, verbs.caller)

    with verbs.store.reading() as tx:
        first = tx.items.page(request.id, None, 1, None, "invalid_identity")
        rest = tx.items.page(request.id, Outcome.FAILED, 9, first.next_cursor, "invalid_identity")
        none = tx.items.page(request.id, Outcome.NOT_FOUND, 9, None, "invalid_identity")
    assert [item.identity for item in first.items + rest.items] == ["bad", "worse"]
    assert none.items == ()


def test_items_can_be_listed_by_outcome(any_verbs: Verbs) -> None:
    verbs = any_verbs
    verbs.import_bundle(a_bundle([A]))
    request = verbs.deletions.delete([A, B], SERIAL, verbs.caller)

    with verbs.store.reading() as tx:
        found = tx.items.page(request.id, Outcome.NOT_FOUND, 10, None).items
    assert [item.identity for item in found] == [B]


def test_a_list_longer_than_one_statement_takes_is_deleted_whole(verbs: Verbs) -> None:
    serials = [f"SERIAL{number:06}" for number in range(1200)]
    waiting = verbs.accept(a_bundle(serials[:1100], files=dict.fromkeys(serials, a_pkcs12())))
    with verbs.store.engine.connect() as connection:
        connection.connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 999)  # type: ignore[attr-defined]
    request = verbs.deletions.delete(serials, SERIAL, verbs.caller)

    assert (request.counts.deleted, request.counts.not_found) == (1100, 100)
    assert verbs.intake.wait(waiting.id, 0).counts.failed == 1100
