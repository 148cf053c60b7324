"""Listing certificates: the questions that are asked often are answered by an index."""

from datetime import UTC, datetime

import pytest

from bulkcert.store.certificates import certificates
from bulkcert.store.store import Store
from bulkcert.values.certificates import CertificateFilter, CertificateState
from bulkcert.values.identities import IdentityType
from tests.store.plans import plan_of

CURRENT, MOMENT = CertificateState.CURRENT, datetime(2027, 1, 31, tzinfo=UTC)


def listing_of(store: Store, wanted: CertificateFilter) -> str:
    return "\n".join(plan_of(store, lambda tx: tx.certificates.page(wanted, 100, None)))


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (CertificateFilter(), "ix_certificates_walk (kind=? AND id>?)"),
        (
            CertificateFilter(state=CURRENT),
            "ix_certificates_walk_state (kind=? AND state=? AND id>?)",
        ),
        (
            CertificateFilter(state=CURRENT, expires_before=MOMENT),
            "ix_certificates_kind_state_not_after (kind=? AND state=? AND not_after<?)",
        ),
        *(
            (
                CertificateFilter(identity="A12BC3D4EFGH", identity_type=kind, state=state),
                "ix_certificates_identity (identity_type=? AND identity=?)",
            )
            for kind in (None, IdentityType.IMEI)
            for state in (None, CURRENT)
        ),
        *(
            (
                CertificateFilter(fingerprint_sha256="0" * 64, state=state, expires_before=moment),
                "ix_certificates_fingerprint_sha256 (fingerprint_sha256=?)",
            )
            for state in (None, CURRENT)
            for moment in (None, MOMENT)
        ),
    ],
)
def test_an_index_answers(store: Store, wanted: CertificateFilter, index: str) -> None:
    plan = listing_of(store, wanted)

    assert f"INDEX {index}" in plan
    assert "SCAN certificates" not in plan


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (CertificateFilter(expires_before=MOMENT), "ix_certificates_walk (kind=? AND id>?)"),
        (
            CertificateFilter(state=CURRENT, expires_before=MOMENT),
            "ix_certificates_walk_state (kind=? AND state=? AND id>?)",
        ),
    ],
)
def test_many_that_end_are_walked_in_their_order(
    store: Store, monkeypatch: pytest.MonkeyPatch, wanted: CertificateFilter, index: str
) -> None:
    """To sort what matches takes longer than to find a page of it."""
    monkeypatch.setattr(certificates, "_FEW", -1)

    plan = listing_of(store, wanted)

    assert f"INDEX {index}" in plan
    assert "TEMP B-TREE" not in plan
