"""Devices: who has a certificate, and whether it has reached them."""

from bulkcert.store.store import Store
from bulkcert.values.certificates import CertificateFilter
from bulkcert.values.devices import DeviceList, DeviceQuery, DeviceRecord

_MOST_CERTIFICATES = 1000  # the oldest; a device has few


class Devices:
    """The devices for which something is kept."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def list(self, wanted: DeviceQuery) -> DeviceList:
        """List a part of the devices, and count all of them."""
        with self._store.reading() as tx:
            total = tx.devices.count()
            matched = total if wanted.text is None else tx.devices.count(wanted.text)
            return DeviceList(tuple(tx.devices.page(wanted)), matched, total)

    def find(self, device_id: int) -> DeviceRecord:
        """Return a device with its certificates, deleted ones too; or raise `NotFound`."""
        with self._store.reading() as tx:
            device = tx.devices.find(device_id)
            own = CertificateFilter(identity_type=device.identity.type, identity=device.identity.value)
            return DeviceRecord(device, tx.certificates.page(own, _MOST_CERTIFICATES, None).items)
