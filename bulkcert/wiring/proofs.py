"""Bind sealed keys to their rows and sign rows after an upgrade, and find rows that were altered by hand."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime

import structlog

from bulkcert.access.signing_keys import SigningKeys
from bulkcert.errors import BrokenSeal, LoginsCollide
from bulkcert.integrity.demand import CHECK, demands_binding, seal_check
from bulkcert.integrity.key_seals import bind_key, open_key
from bulkcert.store.certificates.device_keys import KeptKey
from bulkcert.store.sql.locks import KEEPING
from bulkcert.store.store import Store
from bulkcert.store.transaction import Transaction
from bulkcert.vault.places import PLACED
from bulkcert.vault.vault import Vault

log = structlog.get_logger()

_BATCH = 500
"""Keys that are sealed anew in one transaction: some 50 ms, for which others wait."""


def bind_keys(store: Store, vault: Vault) -> int:
    """Bind every sealed key to its row, sign the rows that are to be, and demand both from then on.

    Returns how many keys were sealed anew. What is there is believed, for the last time: where it is demanded
    already, nothing is signed. It may be interrupted and run again, and beside a service of
    this release; one of an earlier release must have been stopped. A key that does not open is left as it is.
    Raises `LoginsCollide`.
    """
    sealed_anew, after = 0, 0
    while True:
        with store.writing() as tx:
            tx.lock(KEEPING)  # before any row, so that nobody waits in a circle
            last, number = _bind_some(tx, vault, after)
        sealed_anew += number
        if last is None:
            break
        after = last
    while _sign_some(store):
        pass
    with store.writing() as tx:
        tx.lock(KEEPING)  # nobody keeps a certificate meanwhile
        after = 0
        while (found := _bind_some(tx, vault, after))[0] is not None:  # what came behind the walk
            after = found[0]
            sealed_anew += found[1]
        if not tx.signatures.are_demanded():
            if colliding := tx.principals.fill_login_keys():
                raise LoginsCollide(f"These logins are spellings of others: {', '.join(colliding)}.")
            tx.signatures.sign_rest()
            tx.keys.replace_check(CHECK, seal_check(vault))
    return sealed_anew


def _sign_some(store: Store) -> int:
    with store.writing() as tx:
        return 0 if tx.signatures.are_demanded() else tx.signatures.sign_some()


def _bind_some(tx: Transaction, vault: Vault, after: int) -> tuple[int | None, int]:
    """Bind the next keys that are not bound; returns the id of the last one looked at, and their number."""
    found = tx.device_keys.page(after, _BATCH, of_format=PLACED)
    bound: dict[int, bytes] = {}
    for number, kept in found:
        with suppress(BrokenSeal):
            if kept is not None:
                bound[number] = bind_key(vault, kept)
    tx.device_keys.replace_sealed(bound)
    return (found[-1][0] if found else None), len(bound)


def fill_login_keys(store: Store) -> None:
    """Give users and clients that a process of an earlier release made the keys by which logins are found.

    Those that are spellings of others get none, and are named in the log: only their exact login finds them.
    """
    with store.writing() as tx:
        colliding = tx.principals.fill_login_keys()
    if colliding:
        log.warning("logins are spellings of others", code=LoginsCollide.code, logins=colliding)


def is_finished(store: Store) -> bool:
    """Return whether rows must be signed; until then `find_forged` finds none that is not."""
    with store.reading() as tx:
        return tx.signatures.are_demanded()


def find_forged(store: Store, vault: Vault, now: datetime) -> Iterator[str]:
    """Yield which rows are not as the service wrote them, as far as that is demanded. Nothing is changed."""
    with store.reading() as tx:
        must_be_bound = demands_binding(tx, vault)
        if tx.signatures.are_demanded():
            yield from tx.signatures.forged(now)
    yield from _forged_keys(store, vault, must_be_bound=must_be_bound)
    for key_id in SigningKeys(store, vault).find_forged():
        yield f"signing key {key_id}"


def _forged_keys(store: Store, vault: Vault, *, must_be_bound: bool) -> Iterator[str]:
    after = 0
    while True:
        with store.reading() as tx:
            found = tx.device_keys.page(after, _BATCH)
        for number, kept in found:
            if kept is None or not _opens(vault, kept, must_be_bound=must_be_bound):
                yield f"certificate {number}"
        if not found:
            return
        after = found[-1][0]


def _opens(vault: Vault, kept: KeptKey, *, must_be_bound: bool) -> bool:
    with suppress(BrokenSeal):
        open_key(vault, kept, must_be_owned=must_be_bound)
        return True
    return False
