"""What is kept for a time goes when that is over, and nothing else does."""

from datetime import timedelta

from bulkcert.store.retention import Retention
from bulkcert.values.idempotency import IdempotencyKey
from tests.builders import a_bundle
from tests.verbs import Verbs

A = "A12BC3D4EFGH"
DAYS = timedelta(days=90)


def test_the_items_of_an_ended_request_go_after_their_time_and_its_counts_stay(any_verbs: Verbs) -> None:
    verbs = any_verbs
    old = verbs.import_bundle(a_bundle([A]))
    verbs.clock.pass_by(days=90)
    young, waiting = verbs.import_bundle(a_bundle([A])), verbs.accept(a_bundle([A]))
    verbs.clock.pass_by(seconds=1)
    Retention(verbs.store, verbs.clock, DAYS).do_if_due()

    assert verbs.items(old) == []
    assert len(verbs.items(young)) == len(verbs.items(waiting)) == 1
    kept = verbs.intake.wait(old.id, 0)
    assert kept.counts == old.counts
    assert kept.report_pruned_at == verbs.clock()
    assert verbs.intake.wait(young.id, 0).report_pruned_at is None


def test_old_idempotency_keys_are_forgotten(verbs: Verbs) -> None:
    request = verbs.accept(a_bundle([A]))
    key = IdempotencyKey(1, "imports", "a", "digest")
    with verbs.store.writing() as tx:
        tx.idempotency.keep(key, request.id, verbs.clock())
    verbs.clock.pass_by(hours=24)
    Retention(verbs.store, verbs.clock, DAYS).do_if_due()

    with verbs.store.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM idempotency_keys").scalar_one() == 0
