"""The localKeyID: the attribute by which a file ties a certificate to its key (RFC 2985 §5.5.2)."""

from collections.abc import Iterable

from bulkcert.errors import MalformedPkcs12
from bulkcert.formats.asn1.ber import Element
from bulkcert.formats.pkcs12 import oids
from bulkcert.formats.pkcs12.pfx import BagAttributes


def find_named(attributes: Iterable[BagAttributes]) -> frozenset[bytes]:
    """Return the certificates (DER) that have the localKeyID of a key.

    Attributes that cannot be read count as none.
    """
    ids = [(der, local_id) for der, element in attributes if (local_id := _read_local_key_id(element))]
    of_keys = {local_id for der, local_id in ids if not der}
    return frozenset(der for der, local_id in ids if der and local_id in of_keys)


def _read_local_key_id(attributes: Element) -> bytes | None:
    try:
        for attribute in attributes.children():
            kind, values = attribute.sequence(2, 2)
            if kind.oid() == oids.LOCAL_KEY_ID:
                return next((value.octets() for value in values.children()), None)
    except MalformedPkcs12:
        pass
    return None
