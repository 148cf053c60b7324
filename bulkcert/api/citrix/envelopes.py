"""Envelopes of the Citrix-compatible API, with their members in the documented order.

`status` is a number, which clients compare strictly; the counts and `privateKey` are strings.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from bulkcert.errors import Refusal, StillRunning, Unauthenticated
from bulkcert.values.bulk_requests import BulkRequest, Item, RequestKind
from bulkcert.values.certificates import CertificateFacts, ChainCertificate, DeviceCertificate, Name
from bulkcert.values.validity import remaining_days

FAILURES_NAMED = 100
"""Failures in the answer itself; `/api/v1` has all of them."""

_TOGETHER = 100  # entries in one piece of a streamed list

_REMEDIES: dict[type[Refusal], str] = {
    Unauthenticated: "Log in (POST /xenmobile/api/v1/authentication/login) and send the token as Auth_token.",
}
"""Remedies for refusals whose own remedy names `/api/v1`."""

_ID_MEMBERS = {RequestKind.IMPORT: "importId", RequestKind.DELETION: "deletionId"}


def refusal_envelope(refusal: Refusal, status: int) -> dict[str, Any]:
    """Return the envelope of a refusal: the HTTP status, the cause and remedy in one line, and the code."""
    remedy = _REMEDIES.get(type(refusal), refusal.remedy)
    envelope: dict[str, Any] = {
        "status": status,
        "message": refusal.in_one_line(remedy),
        "code": refusal.code,
    }
    if isinstance(refusal, StillRunning):
        envelope["importId"] = refusal.request_id
    return envelope


def bulk_envelope(
    request: BulkRequest, failures: Sequence[Item], ignored: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the report of a finished import or deletion.

    failures: at least its first failed items. ignored: members of the request that had no effect.
    """
    counts = request.counts
    items = counts.total - counts.ignored
    envelope = {
        "status": 1 if counts.failed and counts.failed == items else 0,
        "message": f"{counts.failed} of {items} failed: see failures" if counts.failed else "Success",
        "successCount": str(counts.created + counts.replaced + counts.deleted),
        "failedCount": str(counts.failed),
        "skipCount": str(counts.unchanged + counts.not_found),
        _ID_MEMBERS[request.kind]: request.id,
        "failures": [_failure(item) for item in failures[:FAILURES_NAMED]],
    }
    return envelope | ({"ignored": [*ignored]} if ignored else {})


def _failure(item: Item) -> dict[str, str | None]:
    result = item.result
    return {
        "file": item.file,
        "identity": item.identity,
        "code": result.code if result else None,
        "message": result.detail if result else None,
    }


def certificates_envelope(
    certificates: Iterable[DeviceCertificate | ChainCertificate], now: datetime
) -> Iterator[str]:
    """Yield the envelope of the list of certificates in pieces, for a list of any length."""
    entries = (_certificate(certificate, now) for certificate in certificates)
    return pieces(_certificate_envelope(certificate=[]), "certificate", entries)


def pieces(envelope: dict[str, Any], member: str, entries: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield an envelope in pieces. Its list `member`, empty in the envelope, may have any length.

    The bracket that closes the list comes after its last entry: where `entries` raises, what was written so
    far is not a JSON document.
    """
    before, after = json.dumps(envelope).split(f'"{member}": []')
    yield f'{before}"{member}": ['
    written = map(json.dumps, entries)
    separator = ""
    while together := list(islice(written, _TOGETHER)):
        yield separator + ",".join(together)
        separator = ","
    yield "]" + after + "\n"


def _certificate_envelope(certificate: object) -> dict[str, Any]:
    apns_check = {
        "topicNameMismatch": False,
        "certExpired": False,
        "certNotYetValid": False,
        "malformed": False,
    }
    return {
        "status": 0,
        "message": "Success",
        "csrId": 0,
        "csrRequest": None,
        "apnsCheck": None,
        "certificate": certificate,
        "apnsCheckObj": apns_check,
    }


def _certificate(certificate: DeviceCertificate | ChainCertificate, now: datetime) -> dict[str, Any]:
    facts = certificate.facts
    is_device = isinstance(certificate, DeviceCertificate)
    entry: dict[str, Any] = {
        "name": facts.subject.common_name or facts.subject.text,
        "description": None,
        "remainingDays": remaining_days(facts.not_after, now),
        "validFrom": facts.not_before.date().isoformat(),
        "validTo": facts.not_after.date().isoformat(),
        "type": "entity" if is_device else "chain",
        "isActive": False,  # marks the server, SAML, listener or APNs certificate in use; these are neither
        "privateKey": "true" if is_device else "false",
        "ca": None,
        "id": certificate.id,
        "certDetails": _details(facts),
    }
    if isinstance(certificate, DeviceCertificate):
        entry["identityType"] = certificate.identity.type.value
        entry["deviceIdentity"] = certificate.identity.value
    return entry


def _details(facts: CertificateFacts) -> dict[str, Any]:
    return {
        "signatureAlgo": facts.signature_algorithm,
        "version": None,
        "serialNum": facts.serial_number,
        "issuerName": _name(facts.issuer),
        "subjectName": _name(facts.subject),
    }


def _name(name: Name) -> dict[str, str | None]:
    return {
        "certString": name.text,
        "emailAddress": name.email_address,
        "commonName": name.common_name,
        "orgUnit": name.organizational_unit,
        "org": name.organization,
        "locality": name.locality,
        "state": name.state,
        "country": name.country,
        "description": None,
    }
