"""The verbs on one store, wired for tests: nothing here starts a process."""

import dataclasses
import io
from collections.abc import Iterator, Sequence
from datetime import timedelta

from bulkcert.errors import ItemRefusal
from bulkcert.formats.pkcs12 import opening as pkcs12
from bulkcert.imports.chunk_work import ChunkWorker
from bulkcert.imports.intake import ImportIntake
from bulkcert.inventory.certificates import Inventory
from bulkcert.inventory.deletions import Deletions
from bulkcert.store.store import Store
from bulkcert.values.bulk_requests import BulkRequest, ImportOrder, Item, OnConflict
from bulkcert.values.certificates import OpenedCertificate
from bulkcert.values.identities import IdentityType
from bulkcert.values.limits import Limits
from bulkcert.values.principals import Caller
from bulkcert.values.secret import Secret
from bulkcert.vault.vault import Vault
from tests.clock import Clock


class InProcessOpener:
    """Opens in this process: the same code as in the limited child, without the child."""

    def cpu_seconds(self) -> float:
        return 0.0

    def open_all(
        self, files: Sequence[tuple[bytes, Secret]], owner: str | None = None
    ) -> Iterator[OpenedCertificate | ItemRefusal]:
        for data, password in files:
            try:
                yield pkcs12.open(data, password)
            except ItemRefusal as refusal:
                yield refusal


@dataclasses.dataclass(frozen=True)
class Verbs:
    """The verbs on one store, for tests of what they do together."""

    store: Store
    vault: Vault
    clock: Clock
    intake: ImportIntake
    inventory: Inventory
    deletions: Deletions
    chunk_worker: ChunkWorker
    caller: Caller

    def accept(
        self,
        bundle: bytes,
        identity_type: IdentityType = IdentityType.SERIAL_NUMBER,
        on_conflict: OnConflict = OnConflict.REPLACE,
        validate_only: bool = False,
    ) -> BulkRequest:
        order = ImportOrder(identity_type, None, on_conflict, validate_only)
        return self.intake.accept(io.BytesIO(bundle), order, self.caller)

    def work(self) -> None:
        while self.chunk_worker.work_once():
            pass

    def import_bundle(
        self,
        bundle: bytes,
        identity_type: IdentityType = IdentityType.SERIAL_NUMBER,
        on_conflict: OnConflict = OnConflict.REPLACE,
        validate_only: bool = False,
    ) -> BulkRequest:
        request = self.accept(bundle, identity_type, on_conflict, validate_only)
        self.work()
        return self.intake.wait(request.id, 0)

    def items(self, request: BulkRequest) -> list[Item]:
        with self.store.reading() as tx:
            return list(tx.items.page(request.id, None, 1000, None).items)

    def codes(self, request: BulkRequest) -> dict[str | None, str | None]:
        """The code (or outcome) of each item, by identity."""
        return {
            item.identity: item.result and (item.result.code or item.result.outcome)
            for item in self.items(request)
        }


def make_verbs(store: Store, vault: Vault, clock: Clock, caller: Caller) -> Verbs:
    limits = Limits()
    return Verbs(
        store=store,
        vault=vault,
        clock=clock,
        intake=ImportIntake(store, vault, limits, clock),
        inventory=Inventory(store),
        deletions=Deletions(store, vault, limits, clock),
        chunk_worker=ChunkWorker(store, vault, InProcessOpener(), clock, timedelta(seconds=60)),
        caller=caller,
    )
