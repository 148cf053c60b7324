"""PKCS#12: hostile bytes in, an opened certificate or one refusal out (RFC 7292)."""

from dataclasses import replace
from datetime import UTC, datetime

from bulkcert.errors import ItemRefusal, MalformedPkcs12, TooCostly, TooLarge
from bulkcert.formats.pkcs12.budget import Budget
from bulkcert.formats.pkcs12.ciphers import encode
from bulkcert.formats.pkcs12.contents import Contents
from bulkcert.formats.pkcs12.decoding import RareAlgorithm, decode
from bulkcert.formats.pkcs12.integrity import check_integrity, require_integrity
from bulkcert.formats.pkcs12.library import open_with_library
from bulkcert.formats.pkcs12.passwords import read_password
from bulkcert.formats.pkcs12.pfx import Pfx, read_pfx
from bulkcert.formats.pkcs12.proof import prove
from bulkcert.formats.pkcs12.visible import check_key_sizes, count_visible
from bulkcert.formats.recognition import refuse_what_is_not_pkcs12
from bulkcert.values.certificates import OpenedCertificate, WarningCode
from bulkcert.values.limits import Limits
from bulkcert.values.secret import Secret

__all__ = ["open"]


def open(  # noqa: A001
    data: bytes,
    password: Secret,
    limits: Limits = Limits(),  # noqa: B008
    now: datetime | None = None,
) -> OpenedCertificate:
    """Open a PKCS#12 and prove that it holds one device's key and certificate.

    data: the file, BER or DER. password: UTF-8 text. now: aware, else the clock's; dates decide only where
    there is a choice among certificates, and an expired one is no fault here. Raises an `ItemRefusal` and
    nothing else (but for what stops the whole process). What it costs is spent from the limits before it is
    paid, but for files with rare algorithms, whose hidden parts the library decrypts: so it belongs into a
    process that may be killed.
    """
    try:
        return _open(data, password, limits, now or datetime.now(UTC))
    except (ItemRefusal, KeyboardInterrupt, SystemExit):
        raise
    except MemoryError:
        raise TooCostly("Opening the file would take more memory than is allowed.") from None
    except BaseException:  # noqa: BLE001 - the one place that turns whatever hostile bytes bring about into a code
        raise MalformedPkcs12("The file is not a readable PKCS#12: reading it failed.") from None


def _open(data: bytes, password: Secret, limits: Limits, now: datetime) -> OpenedCertificate:
    if len(data) > limits.pkcs12_bytes:
        raise TooLarge(f"The file is larger than {limits.pkcs12_bytes:,} bytes.")
    text = read_password(password)
    pfx = _read_pfx(data)
    require_integrity(pfx, limits)
    budget = Budget(limits)
    count_visible(pfx, budget)
    place = check_integrity(pfx, text, budget)
    opened = prove(_contents(data, pfx, text, place, budget, limits), limits, now)
    if not pfx.trailing:
        return opened
    return replace(opened, warnings=(*opened.warnings, WarningCode.TRAILING_BYTES))


def _read_pfx(data: bytes) -> Pfx:
    try:
        return read_pfx(data)
    except MalformedPkcs12:
        refuse_what_is_not_pkcs12(data)
        raise


def _contents(
    data: bytes, pfx: Pfx, password: str, place: int | None, budget: Budget, limits: Limits
) -> Contents:
    """Decode the file here, or by the library where that knows more (place: see `check_integrity`)."""
    attributes = None
    if place is not None:
        try:
            return decode(pfx, encode(password, place), budget)
        except RareAlgorithm as rare:
            for key in rare.hidden:
                key.scheme.charge(budget)
            attributes = rare.attributes
    check_key_sizes(pfx, limits)
    return open_with_library(data[: len(data) - pfx.trailing], pfx, password, place, budget, attributes)
