"""Facts of a certificate as columns of its row, written in full length and read in part."""

import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from bulkcert.store.sql.rows import value_of
from bulkcert.store.tables.certificates import certificates
from bulkcert.values.certificates import Certificate, CertificateFacts, KeyType, Name, show_in_part

_LONG = 8192
"""Characters of `names`. Longer ones are read row by row: earlier releases wrote up to half a megabyte."""

_UNLISTED = frozenset({"der", "sealed_private_key", "subject", "issuer", "names"})
_NAMES = certificates.c.names

LISTED = (
    *(column for column in certificates.c if column.name not in _UNLISTED),
    sa.case((sa.func.length(_NAMES) <= _LONG, _NAMES)).label("names"),
)
"""The columns that listing needs; `names` is NULL where it is long."""


def write_columns(certificate: Certificate) -> dict[str, Any]:
    """Return a certificate as the columns of its row: its bytes whole, its texts in part."""
    facts = show_in_part(certificate.facts)
    return {
        "fingerprint_sha256": facts.fingerprint_sha256,
        "public_key_sha256": facts.public_key_sha256,
        "serial_number": facts.serial_number,
        "subject": facts.subject.text,
        "issuer": facts.issuer.text,
        "names": write_names(facts),
        "not_before": facts.not_before,
        "not_after": facts.not_after,
        "key_type": facts.key_type,
        "key_size": facts.key_size,
        "signature_algorithm": facts.signature_algorithm,
        "der": certificate.der,
    }


def write_names(facts: CertificateFacts) -> str:
    """Return the names as JSON in ASCII, as they stand in the column `names`."""
    names: dict[str, Any] = {
        "subject": vars(facts.subject),
        "issuer": vars(facts.issuer),
        "subject_alternative_names": facts.subject_alternative_names,
    }
    if facts.is_in_part:
        names |= {"names_left_out": facts.names_left_out, "is_cut": facts.is_cut}
    return json.dumps(names)


def read_facts(row: Row[Any], names: str) -> CertificateFacts:
    """Return the facts of a row of `LISTED`, in part. names: its column `names`, whole."""
    read = json.loads(names)
    facts = value_of(
        CertificateFacts,
        row,
        subject=Name(**read["subject"]),
        issuer=Name(**read["issuer"]),
        subject_alternative_names=tuple(read["subject_alternative_names"]),
        key_type=KeyType(row.key_type),
        names_left_out=read.get("names_left_out", 0),
        is_cut=read.get("is_cut", False),
    )
    return show_in_part(facts)
