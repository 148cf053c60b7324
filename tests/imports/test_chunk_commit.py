"""The same certificate again, with another chain."""

import pytest

from bulkcert.values.bulk_requests import BulkRequest, Item, OnConflict
from bulkcert.values.certificates import CertificateFilter
from tests.builders import a_bundle, a_ca, a_certificate, a_pkcs12, an_ec_key
from tests.verbs import Verbs

A = "A12BC3D4EFGH"
KEY = an_ec_key()
CERTIFICATE = a_certificate(KEY, A)
WITHOUT_CHAIN = a_bundle([A], files={A: a_pkcs12(A, key=KEY, certificate=CERTIFICATE, chain=[])})
WITH_CHAIN = a_bundle([A], files={A: a_pkcs12(A, key=KEY, certificate=CERTIFICATE, chain=[a_ca()[0]])})


def chain_lengths(verbs: Verbs) -> list[int]:
    """Return how long the chain of each certificate is, in the order they came; as listed and as released."""
    kept = verbs.inventory.page(CertificateFilter(), 10, None).items
    with verbs.store.reading() as tx:
        released = [len(tx.device_keys.find_sealed(each.id).chain) for each in kept]
    assert released == [len(each.chain_ids) for each in kept]
    return released


def only_item(verbs: Verbs, request: BulkRequest) -> Item:
    [item] = verbs.items(request)
    return item


def test_a_certificate_that_comes_again_with_its_chain_gets_it(any_verbs: Verbs) -> None:
    any_verbs.import_bundle(WITHOUT_CHAIN)
    assert chain_lengths(any_verbs) == [0]

    again = only_item(any_verbs, any_verbs.import_bundle(WITH_CHAIN))

    assert again.result is not None
    assert again.result.outcome == "unchanged"
    assert "has taken its place" in (again.result.detail or "")
    assert chain_lengths(any_verbs) == [1]


def test_a_worse_chain_displaces_nothing_and_nothing_is_said_of_it(any_verbs: Verbs) -> None:
    any_verbs.import_bundle(WITH_CHAIN)
    again = only_item(any_verbs, any_verbs.import_bundle(WITHOUT_CHAIN))

    assert again.result is not None
    assert (again.result.outcome, again.result.detail) == ("unchanged", None)
    assert chain_lengths(any_verbs) == [1]


def test_a_superseded_certificate_comes_back_with_the_better_chain(any_verbs: Verbs) -> None:
    any_verbs.import_bundle(WITHOUT_CHAIN)
    any_verbs.import_bundle(a_bundle([A]))
    assert any_verbs.codes(any_verbs.import_bundle(WITH_CHAIN)) == {A: "replaced"}

    assert chain_lengths(any_verbs) == [1, 1]


@pytest.mark.parametrize("options", [{"validate_only": True}, {"on_conflict": OnConflict.KEEP}])
def test_a_trial_or_a_kept_certificate_leaves_chains_alone(
    any_verbs: Verbs, options: dict[str, object]
) -> None:
    any_verbs.import_bundle(WITHOUT_CHAIN)
    if "on_conflict" in options:
        any_verbs.import_bundle(a_bundle([A]))
    any_verbs.import_bundle(WITH_CHAIN, **options)

    assert chain_lengths(any_verbs)[0] == 0
