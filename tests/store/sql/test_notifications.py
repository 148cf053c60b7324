"""Notifications: a commit wakes waiters, and a lost notification delays them little."""

import threading
import time
from collections.abc import Callable

import pytest

from bulkcert.store.sql.notifications import LOOK_SECONDS, POLL_SECONDS, Sleep, Waiter
from bulkcert.store.store import Store
from tests.postgres import Cluster, own_cluster


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def notify(store: Store, *topics: str) -> None:
    with store.writing() as tx:
        for topic in topics:
            tx.notify(topic)


def listens(cluster: Cluster) -> int:
    [(number,)] = cluster.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND application_name = 'bulkcert'"
    )
    return int(number)


def hears(store: Store, watch: object) -> bool:
    """Drain what came with the connection, so that the next notification is the only one."""
    return not watch.wait(0.2)  # type: ignore[attr-defined]


@pytest.fixture
def other(postgres_store: Store) -> Store:
    """The same database, as another process sees it."""
    return Store(postgres_store.engine.url.render_as_string(hide_password=False))


def test_a_commit_wakes_who_watches_its_topic_and_nobody_else(postgres_store: Store, other: Store) -> None:
    with postgres_store.watch("a") as a, postgres_store.watch("a") as again, postgres_store.watch("b") as b:
        until(lambda: hears(postgres_store, a) and hears(postgres_store, b) and hears(postgres_store, again))
        notify(other, "a", "a")

        assert a.wait(0.9)  # False where nothing is told: less than LOOK_SECONDS
        assert again.wait(0.9)
        assert not a.wait(0.2)  # told twice in one transaction, heard once
        assert not b.wait(0)
    other.close()


def test_what_is_taken_back_wakes_nobody(postgres_store: Store, other: Store) -> None:
    with postgres_store.watch("a") as watch:
        until(lambda: hears(postgres_store, watch))
        with pytest.raises(ZeroDivisionError), other.writing() as tx:
            tx.notify("a")
            raise ZeroDivisionError
        with other.writing() as tx, tx.dry_run():
            tx.notify("a")

        assert not watch.wait(0.3)
    other.close()


def test_a_notification_between_two_waits_is_not_lost(postgres_store: Store, other: Store) -> None:
    with postgres_store.watch("a") as watch:
        until(lambda: hears(postgres_store, watch))
        notify(other, "a")
        time.sleep(0.3)

        assert watch.wait(0)
    other.close()


def test_many_threads_wait_on_one_connection(postgres: Cluster, postgres_store: Store, other: Store) -> None:
    woken: list[float] = []
    ready = threading.Barrier(51)

    def wait() -> None:
        with postgres_store.watch("a") as watch:
            until(lambda: hears(postgres_store, watch))
            ready.wait(30)
            if watch.wait(0.95):
                woken.append(time.monotonic())

    threads = [threading.Thread(target=wait) for _ in range(50)]
    for thread in threads:
        thread.start()
    ready.wait(30)
    notify(other, "a")
    for thread in threads:
        thread.join()

    assert len(woken) == 50
    assert listens(postgres) == 1
    other.close()


def test_a_notification_before_the_connection_is_up_is_made_good(postgres_store: Store) -> None:
    with postgres_store.watch("a") as watch:
        assert watch.wait(LOOK_SECONDS)  # nobody notified: the connection wakes everybody when it is up


def test_nothing_is_started_before_it_is_needed_and_nothing_is_left(
    postgres: Cluster, postgres_store: Store
) -> None:
    before = threading.active_count()
    postgres_store.answers()
    assert listens(postgres) == 0
    with postgres_store.watch("a") as watch:
        watch.wait(1)
        assert threading.active_count() == before + 1
        assert listens(postgres) == 1
        started = time.monotonic()
        postgres_store.close()
        assert time.monotonic() - started < 5
        assert watch.wait(0.9)  # whoever waits is let go
    assert threading.active_count() == before
    until(lambda: listens(postgres) == 0)


def test_a_wait_is_a_second_at_most_where_a_notification_is_lost(postgres_store: Store) -> None:
    with postgres_store.watch("a") as watch:
        until(lambda: hears(postgres_store, watch))
        started = time.monotonic()

        assert watch.wait(60)
        assert time.monotonic() - started == pytest.approx(LOOK_SECONDS, abs=0.5)


@pytest.mark.slow
def test_notifications_come_again_after_the_server_was_away() -> None:
    with own_cluster() as cluster:
        store = Store(cluster.new_migrated_database())
        with store.watch("a") as watch:
            until(lambda: hears(store, watch))
            cluster.restart("immediate")
            assert watch.wait(0.9) or watch.wait(0.9) or watch.wait(0.9)  # it is back: something may be lost
            until(lambda: listens(cluster) == 1 and hears(store, watch))
            notify(store, "a")
            assert watch.wait(0.9)
        store.close()


def test_on_sqlite_a_watch_looks_often(store: Store) -> None:
    notify(store, "a")  # nobody hears it
    with store.watch("a") as watch:
        started = time.monotonic()

        assert watch.wait(60)
        assert POLL_SECONDS <= time.monotonic() - started < 10
        assert watch.wait(0) is False
        assert watch.wait(-1) is False


def test_a_waiter_that_was_woken_wakes_once() -> None:
    waiter = Waiter()
    waiter.wake()
    waiter.wake()

    assert waiter.wait(0)
    assert not waiter.wait(0)
    assert not waiter.wait(-1)
    assert Sleep().wait(0.01)
