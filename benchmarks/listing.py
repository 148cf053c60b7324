"""Deleting, listing, and asking what expires: in a fleet put straight into the tables (`fleet.py`)."""

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import requests

from benchmarks import fleet
from benchmarks.sites import Site, Sites
from benchmarks.targets import Target
from bulkcert.inventory.certificates import Inventory
from bulkcert.store.sql import cursors
from bulkcert.store.store import Store
from bulkcert.values.certificates import CertificateFilter, CertificateState

_LIMIT = 100
"""Certificates on a page: the default of the API."""

_FIRST = 0.25
"""How many of the questions are for a first page."""

_DAYS = (0, 1, 30, 365)
"""How far ahead expiry is asked for, from the day on which the first certificate of the fleet ends."""

LIST, EXPIRY = "list page", "expiry query"
HTTP, IN_PROCESS = "over HTTPS", "in process"


@dataclass(frozen=True)
class Latency:
    """Many questions of one sort. Milliseconds: half of them, and 95 of 100, took no longer."""

    database: str
    rows: int
    what: str
    how: str
    median: float
    p95: float


@dataclass(frozen=True)
class Deletion:
    """One request that deleted so many devices; seconds: the median of some."""

    database: str
    devices: int
    seconds: float


Ask = Callable[[CertificateFilter, str | None], None]


def measure_deletions(sites: Sites, devices: int, rounds: int) -> list[Deletion]:
    """Delete as many devices in one request, over HTTPS, of a fleet that has three times as many."""
    found = []
    for database in sites.databases:
        with sites.running(database, workers=1) as site:
            _fill(site, devices * (rounds + 2))
            seconds = [_delete(site, number * _named_for(devices), devices) for number in range(rounds)]
        found.append(Deletion(database, devices, statistics.median(seconds)))
        print(found[-1], flush=True)
    return found


def _fill(site: Site, devices: int) -> None:
    store = Store(site.url)
    fleet.fill(store, devices)
    store.close()


def _named_for(devices: int) -> int:
    """Tell among how many devices there are enough with a serial number."""
    return devices + devices // 50 + 1


def _delete(site: Site, first: int, devices: int) -> float:
    """Delete devices that have a serial number."""
    named = [fleet.identity(number) for number in range(first, first + _named_for(devices))]
    serials = [value for kind, value in named if kind == "SERIAL_NUMBER"][:devices]
    started = time.perf_counter()
    answer = site.session.post(
        f"{site.service.base_url}/api/v1/deletions",
        json={"identity_type": "SERIAL_NUMBER", "identities": serials},
        timeout=600,
    )
    seconds = time.perf_counter() - started
    assert answer.ok, answer.text
    assert answer.json()["counts"]["deleted"] == devices, answer.json()["counts"]
    return seconds


def measure_latencies(sites: Sites, rows: int, questions: int) -> list[Latency]:
    """Ask for pages and for what expires, in this process and over HTTPS, of a fleet of so many devices."""
    found = []
    for database in sites.databases:
        print(f"putting {rows:,} devices into {database}", flush=True)
        with sites.running(database, workers=1) as site:
            _fill(site, rows)
            store = Store(site.url)
            inventory = Inventory(store)
            asks: dict[str, Ask] = {
                IN_PROCESS: lambda wanted, cursor, own=inventory: _ask_here(own, wanted, cursor),
                HTTP: lambda wanted, cursor, own=site: _ask_over_http(own, wanted, cursor),
            }
            for how, ask in asks.items():
                for what, wanted in (LIST, [CertificateFilter()]), (EXPIRY, _expiry_filters()):
                    times = _times(ask, wanted, rows, questions)
                    p95 = statistics.quantiles(times, n=20, method="inclusive")[-1]
                    found.append(Latency(database, rows, what, how, statistics.median(times), p95))
                    print(found[-1], flush=True)
            store.close()
    return found


def _expiry_filters() -> list[CertificateFilter]:
    moments = [fleet.MADE + timedelta(days=days) for days in _DAYS]
    return [CertificateFilter(expires_before=moment) for moment in moments] + [
        CertificateFilter(expires_before=moment, state=CertificateState.CURRENT) for moment in moments
    ]


def _times(ask: Ask, wanted: list[CertificateFilter], rows: int, questions: int) -> list[float]:
    """Ask at places that nobody asked for before; give the milliseconds of each."""
    chance = random.Random(1)
    times = []
    for number in range(questions + 10):
        asked, after = wanted[number % len(wanted)], chance.randrange(rows)
        # Where nothing ends before then, there is no second page.
        is_first = asked.expires_before == fleet.MADE or chance.random() < _FIRST
        cursor = None if is_first else cursors.page([(after, 0, None), (after, 0, None)], 1).next_cursor
        started = time.perf_counter()
        ask(asked, cursor)
        times.append((time.perf_counter() - started) * 1000)
    return times[10:]


def _ask_here(inventory: Inventory, wanted: CertificateFilter, cursor: str | None) -> None:
    inventory.page(wanted, _LIMIT, cursor)


def _ask_over_http(site: Site, wanted: CertificateFilter, cursor: str | None) -> None:
    asked: dict[str, str | int] = {"limit": _LIMIT}
    if wanted.expires_before is not None:
        asked["expires_before"] = wanted.expires_before.isoformat()
    if wanted.state is not None:
        asked["state"] = str(wanted.state)
    if cursor is not None:
        asked["cursor"] = cursor
    answer: requests.Response = site.session.get(
        f"{site.service.base_url}/api/v1/certificates", params=asked, timeout=600
    )
    assert answer.ok, answer.text


def judge_listing(deletions: list[Deletion], latencies: list[Latency]) -> list[Target]:
    """Hold them against what was promised."""
    targets = [
        Target(f"{each.devices:,} devices deleted, {each.database}", each.seconds, "<= 2", "s")
        for each in deletions
    ]
    for each in latencies:
        limit = "<= 50" if each.what == LIST else "<= 100"
        name = f"{each.what} at {each.rows:,} rows, {each.database}, {each.how}: p95"
        targets.append(Target(name, each.p95, limit, "ms"))
    return targets
