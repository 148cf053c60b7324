"""Lists of a store full of the longest rows that anybody can make: bounded in memory and in bytes, and whole."""

import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from bulkcert.api.v1.schemas import certificates as certificate_schemas
from bulkcert.api.v1.schemas import deployments as deployment_schemas
from bulkcert.api.v1.schemas import imports as import_schemas
from bulkcert.deployments.policies import VpnPolicies
from bulkcert.inventory.deletion_transaction import read_devices
from bulkcert.store.sql.cursors import PAGE_BYTES
from bulkcert.store.tables.certificates import certificate_chains, certificates
from bulkcert.store.tables.imports import bulk_requests
from bulkcert.store.transaction import Transaction
from bulkcert.values.bulk_requests import Item, Outcome, Result
from bulkcert.values.certificates import CertificateFilter
from bulkcert.values.pages import Page
from bulkcert.values.policies import VpnPolicy
from tests.builders import a_bundle
from tests.values.policies.policy_documents import a_document
from tests.verbs import Verbs

SERIAL = "A12BC3D4EFGH"
ROWS = 250
POLICIES = 8
MOST_MEMORY = 8 * PAGE_BYTES
"""A page as values, as JSON-ready dicts and as text."""

List = Callable[[Transaction, int, str | None], Page[Any]]


def keep_long_certificates(verbs: Verbs, kinds: tuple[str, ...] = ("device",)) -> None:
    """Write rows as an earlier release did: every name in full."""
    verbs.import_bundle(a_bundle([SERIAL]))
    names = json.dumps(
        {
            "subject": {"text": "CN=" + "s" * 20_000, "common_name": "s" * 20_000},
            "issuer": {"text": "CN=" + "é" * 10_000, "common_name": "é" * 10_000},
            "subject_alternative_names": ["n" * 80] * 100
            + [f"{number:x}.example" for number in range(13_900)],
        }
    )
    with verbs.store.engine.begin() as connection:
        for kind in kinds:  # a chain's certificate has an id before its device's
            row = connection.execute(sa.select(certificates).where(certificates.c.kind == kind)).one()
            for number in range(ROWS):
                name = f"{row.id:02}{number:010}"
                values = row._asdict() | {"id": 1000 * (row.id + 1) + number, "names": names}
                values |= {"identity": name, "fingerprint_sha256": name, "public_key_sha256": name}
                if kind == "chain":
                    values |= {"identity": None, "state": "current"}
                connection.execute(sa.insert(certificates).values(values))
                if kind == "chain":
                    link = {
                        "certificate_id": 1000 * (row.id + 2),
                        "position": number,
                        "chain_id": values["id"],
                    }
                    connection.execute(sa.insert(certificate_chains).values(link))


def keep_long_items(verbs: Verbs) -> None:
    """Write the items of a deletion of the longest names, with the longest of details."""
    request = verbs.import_bundle(a_bundle([SERIAL]))
    [line] = read_devices(["\U0001f600" * 4096], None).lines
    items = [
        Item(number, None, line.shown, Result(Outcome.FAILED, "invalid_identity", "é" * 1000))
        for number in range(1, ROWS)
    ]
    with verbs.store.writing() as tx:
        tx.items.insert(request.id, items)


def keep_long_policies(verbs: Verbs) -> None:
    listed = [f"{number:012}" for number in range(10_000)]
    policies = VpnPolicies(verbs.store, verbs.clock)
    for number in range(POLICIES):
        policies.create(
            VpnPolicy.from_document(a_document(name=f"{number}", identities=listed)), verbs.caller
        )


def first_request(tx: Transaction) -> str:
    return str(tx._connection.execute(sa.select(bulk_requests.c.id)).scalar_one())


LISTS: list[tuple[Callable[[Verbs], None], List, Any, int]] = [
    (
        keep_long_certificates,
        lambda tx, limit, cursor: tx.certificates.page(CertificateFilter(), limit, cursor),
        certificate_schemas.Certificate(),
        ROWS + 1,
    ),
    (
        keep_long_items,
        lambda tx, limit, cursor: tx.items.page(first_request(tx), None, limit, cursor),
        import_schemas.Item(),
        ROWS,
    ),
    (
        keep_long_policies,
        lambda tx, limit, cursor: tx.policies.page(limit, cursor),
        deployment_schemas.KeptPolicy(),
        POLICIES,
    ),
]


@pytest.mark.parametrize(("keep", "read", "schema", "rows"), LISTS, ids=["certificates", "items", "policies"])
def test_pages_of_the_longest_rows_are_bounded_and_leave_none_out(
    verbs: Verbs, keep: Callable[[Verbs], None], read: List, schema: Any, rows: int
) -> None:
    keep(verbs)
    found: list[str] = []
    pages = 0
    cursor: str | None = None
    app = Flask(__name__)

    def read_page(cursor: str | None) -> tuple[Page[Any], str]:
        with verbs.store.reading() as tx:
            page = read(tx, 1000, cursor)
        return page, app.json.dumps(schema.dump(page.items, many=True))

    read_page(None)  # what is loaded once does not count
    tracemalloc.start()
    try:
        while True:
            page, answer = read_page(cursor)
            pages += 1
            assert len(answer) <= PAGE_BYTES + 200 * 1024  # the last item of a page may be over
            found += [str(getattr(each, "id", None) or each.position) for each in page.items]
            del answer
            if (cursor := page.next_cursor) is None:
                break
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert len(found) == len(set(found)) == rows
    assert pages > 1
    assert peak < MOST_MEMORY


def test_chain_certificates_are_bounded_too(verbs: Verbs) -> None:
    keep_long_certificates(verbs, ("device", "chain"))
    walked = [each.facts for each in verbs.inventory.current_certificates()]

    assert len(walked) == 2 * ROWS + 2
    assert all(len(facts.subject.text.encode()) <= 2048 for facts in walked)
    assert walked[-1].names_total == 14_000


def test_one_long_certificate_says_that_it_is_shown_in_part(verbs: Verbs) -> None:
    keep_long_certificates(verbs)
    with verbs.store.reading() as tx:
        found = tx.certificates.page(CertificateFilter(), 1000, None).items
        facts = tx.certificates.find(found[-1].id).facts

    assert facts.is_in_part
    assert facts.names_total == 14_000
    assert len(facts.subject_alternative_names) == 100


def test_a_policy_that_is_longer_than_a_page_is_a_page(
    verbs: Verbs, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr("bulkcert.store.deployments.policies._PAGE_BYTES", 1)
    policies = VpnPolicies(verbs.store, verbs.clock)
    for number in range(3):
        policies.create(VpnPolicy.from_document(a_document(name=f"{number}")), verbs.caller)

    with verbs.store.reading() as tx:
        page = tx.policies.page(1000, None)

    assert len(page.items) == 1
    assert page.next_cursor is not None
