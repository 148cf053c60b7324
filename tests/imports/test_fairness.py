"""Imports share the workers by the time that they use, whoever sends them, and none uses more than its budget.

Files here are opened by an opener that lets time pass instead of computing, so the tests are exact.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from bulkcert.errors import ItemRefusal, NotPkcs12, TooCostly
from bulkcert.imports.chunk_work import MOST_ATTEMPTS_TOGETHER, ChunkWorker
from bulkcert.opening.opener import Opener
from bulkcert.store.imports.requests import QueuedWork
from bulkcert.values.budgets import MOST_TOO_COSTLY, MOST_TOO_COSTLY_IN_TURN
from bulkcert.values.bulk_requests import BulkRequest, RequestState
from bulkcert.values.certificates import OpenedCertificate
from bulkcert.values.limits import Limits
from bulkcert.values.secret import Secret
from tests.builders import a_bundle, a_pkcs12
from tests.verbs import Verbs

COSTLY, NEARLY_A_SLICE, SLOW, ENDLESS, ASKS_FOR_MUCH, CHEAP = (
    b"costly",
    b"nearly a slice",
    b"slow",
    b"endless",
    b"asks for much",
    b"cheap",
)
SECONDS = {COSTLY: 3.2, NEARLY_A_SLICE: 1.9, SLOW: 0.5, ENDLESS: 5.0, ASKS_FOR_MUCH: 0.0, CHEAP: 0.005}


@dataclass
class SimulatedOpener:
    """Takes as long as `SECONDS` says, on a clock of its own. idle: time passes, but not the processor's."""

    elapsed: float = 0.0
    cpu: float = 0.0
    idle: bool = False

    def open_all(
        self, files: Sequence[tuple[bytes, Secret]], owner: str | None = None
    ) -> Iterator[OpenedCertificate | ItemRefusal]:
        for content, _password in files:
            self.elapsed += SECONDS[content]
            self.cpu += 0.0 if self.idle else SECONDS[content]
            is_refused = content in (ENDLESS, ASKS_FOR_MUCH)
            yield TooCostly("It took too long.") if is_refused else NotPkcs12("It is none.")

    def cpu_seconds(self) -> float:
        return self.cpu


@dataclass
class Site:
    """An installation with one worker that never waits."""

    verbs: Verbs
    opener: SimulatedOpener
    chunk_worker: ChunkWorker

    def accept(self, content: bytes, files: int, login: str = "administrator") -> BulkRequest:
        names = [f"SERIAL{number:06}" for number in range(files)]
        caller = replace(self.verbs.caller, login=login)
        verbs = replace(self.verbs, caller=caller)
        return verbs.accept(a_bundle(names, files=dict.fromkeys(names, content)))

    def find(self, request: BulkRequest) -> BulkRequest:
        return self.verbs.intake.wait(request.id, 0)

    def work_until_finished(self, request: BulkRequest) -> float:
        """Work until an import is finished; returns the seconds that it took."""
        start = self.opener.elapsed
        while not self.find(request).state.is_finished:
            assert self.chunk_worker.work_once()
        return self.opener.elapsed - start

    def codes(self, request: BulkRequest) -> list[str | None]:
        with self.verbs.store.reading() as tx:
            items = tx.items.page(request.id, None, 1000, None).items
        return [item.result.code if item.result else None for item in items]


def a_site(verbs: Verbs, *, works_ahead: bool = False, **limits: int) -> Site:
    opener = SimulatedOpener()
    chunk_worker = ChunkWorker(
        verbs.store, verbs.vault, opener, verbs.clock, timedelta(seconds=60),
        works_ahead=works_ahead, limits=Limits(**limits), elapsed=lambda: opener.elapsed,
    )  # fmt: skip
    return Site(verbs, opener, chunk_worker)


@pytest.fixture
def opener() -> Iterator[Opener]:
    """Opens in confined children, as a worker does."""
    opener = Opener(Limits())
    yield opener
    opener.close()


@pytest.fixture
def site(any_verbs: Verbs) -> Site:
    return a_site(any_verbs)


# --- slices ---


def test_a_chunk_that_takes_long_is_given_back_with_what_is_done_committed(site: Site) -> None:
    request = site.accept(SLOW, 10)
    site.chunk_worker.work_once()

    assert site.opener.elapsed == 2.0
    assert site.find(request).counts.done == 4
    assert site.codes(request) == ["not_pkcs12"] * 4 + [None] * 6


def test_a_chunk_that_is_given_back_is_no_failed_attempt_and_ends_exactly(site: Site) -> None:
    request = site.accept(COSTLY, 3 * MOST_ATTEMPTS_TOGETHER)
    for done in range(1, 3 * MOST_ATTEMPTS_TOGETHER + 1):
        assert site.chunk_worker.work_once()
        assert site.find(request).counts.done == done

    assert site.chunk_worker.work_once() is False
    assert set(site.codes(request)) == {"not_pkcs12"}
    with site.verbs.store.reading() as tx:
        assert tx.requests.load() == QueuedWork(0, 0)


def test_a_chunk_is_given_back_before_a_file_that_would_make_it_late(site: Site) -> None:
    request = site.accept(NEARLY_A_SLICE, 10)
    site.chunk_worker.work_once()

    assert site.find(request).counts.done == 1


def test_a_chunk_that_was_given_back_can_be_cancelled(site: Site) -> None:
    request = site.accept(COSTLY, 5)
    site.chunk_worker.work_once()

    ended = site.verbs.intake.cancel(request.id, site.verbs.caller)
    assert ended.state is RequestState.CANCELLED
    assert site.codes(request) == ["not_pkcs12"] + ["cancelled"] * 4
    assert site.chunk_worker.work_once() is False


def test_opening_that_only_waits_is_charged_half_of_the_time(site: Site) -> None:
    request = site.accept(COSTLY, 5)
    site.opener.idle = True
    site.chunk_worker.work_once()

    with site.verbs.store.reading() as tx:
        assert tx.turns.account(request.id).used_seconds == pytest.approx(1.6)
    assert site.find(request).counts.done == 1


def test_a_worker_that_works_ahead_takes_up_again_what_its_own_commit_gave_back(any_verbs: Verbs) -> None:
    """Nothing waits then but what it holds itself, and it must not take that for the end of the work."""
    site = a_site(any_verbs, works_ahead=True)
    request = site.accept(COSTLY, 10)
    while site.chunk_worker.work_once():
        pass

    assert site.codes(request) == ["not_pkcs12"] * 10
    site.chunk_worker.close()


def test_a_chunk_that_confined_children_opened_in_part_is_no_failed_attempt(
    verbs: Verbs, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child works ahead, so it ends with the slice; nothing of that counts against the files."""
    monkeypatch.setattr("bulkcert.imports.chunk_work.SLICE_SECONDS", 0.0)
    chunk_worker = ChunkWorker(verbs.store, verbs.vault, opener, verbs.clock, timedelta(seconds=60))
    names = [f"SERIAL{number:06}" for number in range(2 * MOST_ATTEMPTS_TOGETHER)]
    file = a_pkcs12(names[0], "another password")
    request = verbs.accept(a_bundle(names, files=dict.fromkeys(names, file)))
    for done in range(1, len(names) + 1):
        assert chunk_worker.work_once()
        assert verbs.intake.wait(request.id, 0).counts.done == done
        with verbs.store.engine.connect() as connection:
            attempts = connection.exec_driver_sql("SELECT attempts FROM chunks").scalars().all()
        assert attempts == ([0] if done < len(names) else [])

    assert {item.result.code for item in verbs.items(request) if item.result} == {"wrong_password"}
    with verbs.store.reading() as tx:
        used = tx.turns.account(request.id).used_seconds
    assert used > 0


# --- turns ---


def test_who_used_least_is_next_each_time(site: Site) -> None:
    """Slices of 2.0, 1.9 and 3.2 s, so that no two have used the same after the first round."""
    requests = {}
    for login, content in (("a", SLOW), ("b", NEARLY_A_SLICE), ("c", COSTLY)):
        requests[login] = site.accept(content, 100, login)
        site.verbs.clock.pass_by(seconds=1)  # of equals the oldest is first, and ids tell milliseconds
    served = ""
    for _ in range(15):
        before = {login: site.find(request).counts.done for login, request in requests.items()}
        site.chunk_worker.work_once()
        served += "".join(
            login for login, request in requests.items() if site.find(request).counts.done > before[login]
        )

    assert served == "abcbacbabacbabc"


@pytest.mark.slow
@pytest.mark.parametrize("works_ahead", [False, True])
@pytest.mark.parametrize("hostile", [["one"] * 10, [f"hostile-{number}" for number in range(10)]])
@pytest.mark.parametrize("slices_before", [0, 5, 25])
def test_an_honest_import_is_done_soon_whatever_waits(
    any_verbs: Verbs, hostile: list[str], works_ahead: bool, slices_before: int
) -> None:
    """One worker stands for one of the two cores: it alone takes at most 10 slices of others, and its own."""
    site = a_site(any_verbs, works_ahead=works_ahead)
    for login in hostile:
        site.accept(COSTLY, 40, login)
    for _ in range(slices_before):
        site.chunk_worker.work_once()
    honest = site.accept(CHEAP, 100, "colleague")
    seconds = site.work_until_finished(honest)
    site.chunk_worker.close()

    slices_of_others = 2 if hostile[0] == "one" else 12
    assert seconds <= slices_of_others * SECONDS[COSTLY] + 100 * SECONDS[CHEAP] + 0.001


def test_principals_have_equal_shares_however_many_imports_they_have(site: Site) -> None:
    many = [site.accept(SLOW, 40, "many") for _ in range(5)]
    one = site.accept(SLOW, 40, "one")
    for _ in range(10):
        site.chunk_worker.work_once()

    assert site.find(one).counts.done == 20
    assert [site.find(request).counts.done for request in many] == [4] * 5


def test_workers_that_claim_at_the_same_time_serve_different_principals(site: Site) -> None:
    """What is in hand is not charged yet, and yet counts."""
    for login in ("one", "one", "two", "two", "three"):
        site.accept(SLOW, 10, login)
    now, served = site.verbs.clock(), []
    for _ in range(5):
        with site.verbs.store.writing() as tx:
            chunk = tx.chunks.claim(tx.now, now + timedelta(days=10_000))
            assert chunk is not None
            served.append(tx.requests.find(chunk.request_id).requested_by)

    assert sorted(served[:3]) == ["one", "three", "two"]
    assert sorted(served[3:]) == ["one", "two"]


def test_nobody_saves_up_by_waiting(site: Site) -> None:
    site.accept(SLOW, 100, "early")
    for _ in range(10):
        site.chunk_worker.work_once()
    late = site.accept(SLOW, 100, "late")
    for _ in range(4):
        site.chunk_worker.work_once()

    assert site.find(late).counts.done == 8


def test_nobody_pays_for_time_that_no_other_wanted(site: Site) -> None:
    site.work_until_finished(site.accept(SLOW, 20, "early"))
    site.accept(SLOW, 100, "late")
    again = site.accept(SLOW, 100, "early")
    for _ in range(4):
        site.chunk_worker.work_once()

    assert site.find(again).counts.done == 8


def test_who_comes_again_and_again_does_not_begin_anew(site: Site) -> None:
    steady = site.accept(SLOW, 100, "steady")
    for _ in range(10):
        site.work_until_finished(site.accept(SLOW, 4, "again"))

    assert site.find(steady).counts.done >= 36


def test_an_import_of_a_release_before_has_no_share_and_is_worked_on(site: Site) -> None:
    request = site.accept(SLOW, 10)
    with site.verbs.store.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM shares")

    site.work_until_finished(request)
    assert site.codes(request) == ["not_pkcs12"] * 10


# --- budgets ---


def test_the_rest_of_an_import_that_used_up_its_time_fails_by_name(any_verbs: Verbs) -> None:
    site = a_site(any_verbs, import_cpu_seconds=5, import_cpu_seconds_per_file=1)
    request = site.accept(COSTLY, 20)
    site.work_until_finished(request)

    codes = site.codes(request)
    assert codes == ["not_pkcs12"] * 8 + ["over_budget"] * 12  # 25 s are used up by 8 files
    with site.verbs.store.reading() as tx:
        assert tx.requests.load() == QueuedWork(0, 0)


def test_files_that_take_too_long_send_their_import_to_the_end_of_the_queue_and_then_end_it(
    site: Site,
) -> None:
    hostile = site.accept(ENDLESS, 60, "hostile")
    for _ in range(MOST_TOO_COSTLY_IN_TURN):
        site.chunk_worker.work_once()
    site.work_until_finished(site.accept(SLOW, 60, "colleague"))
    assert site.find(hostile).counts.done == MOST_TOO_COSTLY_IN_TURN

    site.work_until_finished(hostile)
    codes = [(code, len(list(some))) for code, some in itertools.groupby(site.codes(hostile))]
    assert codes == [("too_costly", MOST_TOO_COSTLY), ("over_budget", 60 - MOST_TOO_COSTLY)]


def test_files_that_only_ask_for_too_much_cost_nothing_and_are_each_named(site: Site) -> None:
    request = site.accept(ASKS_FOR_MUCH, 3 * MOST_TOO_COSTLY)
    site.work_until_finished(request)

    assert set(site.codes(request)) == {"too_costly"}
