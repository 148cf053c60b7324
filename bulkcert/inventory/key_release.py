"""Hand a device's key and certificate out: a recorded, visible act.

The event is committed before anything is returned, in a transaction that finds the certificate still there;
where it cannot be written, nothing leaves (promise P14).
"""

import secrets
from collections.abc import Callable
from datetime import datetime

from bulkcert.formats.pkcs12.making import make_pem, make_pkcs12
from bulkcert.integrity.key_seals import KeyOpener
from bulkcert.integrity.release_record import record_release
from bulkcert.store.certificates.device_keys import KeptKey
from bulkcert.store.store import Store
from bulkcert.values.releases import Encryption, Released, ReleaseFormat, check_password
from bulkcert.values.secret import Secret
from bulkcert.vault.vault import Vault


class KeyRelease:
    """Hands out the key and certificate of a device."""

    def __init__(self, store: Store, vault: Vault, now: Callable[[], datetime]) -> None:
        self._store = store
        self._keys = KeyOpener(store, vault)
        self._now = now

    def release(
        self,
        certificate_id: int,
        release_format: ReleaseFormat,
        encryption: Encryption,
        password: Secret | None,
        actor: str,
    ) -> Released:
        """Make a PKCS#12 or PEM of a current or superseded certificate, under a password.

        encryption: of a PKCS#12; the PEM form has one of its own. password: UTF-8; one of 24 random
        characters is made where it is None. actor: whom the event names. Raises `NotFound` (deleted ones
        too), `WeakPassword` or `MalformedRequest`, and whatever keeps the event from being written.
        """
        if password is None:
            password = Secret(secrets.token_urlsafe(18).encode())
        check_password(password)
        with self._store.reading() as tx:
            kept = tx.device_keys.find_sealed(certificate_id)
        content = self._make(kept, release_format, encryption, password)
        self._record(kept, release_format, encryption, actor)
        return Released(release_format, content, password, kept.fingerprint_sha256)

    def _make(
        self, kept: KeptKey, release_format: ReleaseFormat, encryption: Encryption, password: Secret
    ) -> Secret:  # fmt: skip
        private_key = self._keys.open(kept)
        if release_format is ReleaseFormat.PEM:
            return make_pem(private_key, kept.der, kept.chain, password)
        return make_pkcs12(private_key, kept.der, kept.chain, kept.identity.value, password, encryption)

    def _record(
        self, kept: KeptKey, release_format: ReleaseFormat, encryption: Encryption, actor: str
    ) -> None:  # fmt: skip
        now = self._now()
        facts = {
            "format": release_format,
            "encryption": encryption if release_format is ReleaseFormat.PKCS12 else None,
        }
        with self._store.writing() as tx:
            record_release(tx, kept, facts, actor, now)
