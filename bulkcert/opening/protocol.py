"""What goes over the pipes: lengths, bytes and JSON. Nothing that is read here is trusted or executed."""

import base64
import hashlib
import json
import re
import struct
from dataclasses import fields
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar, get_type_hints

from bulkcert.errors import ItemRefusal
from bulkcert.errors.file_kinds import FileKind
from bulkcert.errors.items import ITEM_REFUSALS
from bulkcert.values.certificates import (
    LONGEST_SERIAL_NUMBER,
    Certificate,
    CertificateFacts,
    KeyType,
    Name,
    OpenedCertificate,
    WarningCode,
    show_in_part,
)
from bulkcert.values.limits import Limits
from bulkcert.values.secret import Secret

T = TypeVar("T")

_LENGTH = struct.Struct(">I")
_NUMBER = struct.Struct(">Q")
_MOMENT = struct.Struct(">d")
_LONGEST_ANSWER = 8 * 1024**2
_LONGEST_DETAIL = 1000
_MOST_REMARKS = 20
_MOST_LINKS = 1000
_SERIAL_NUMBER = re.compile(rf"-?[0-9]{{1,{LONGEST_SERIAL_NUMBER}}}")
_REMEMBERED = 64  # certificates of chains: a fleet shares a few
_LONGEST_REMEMBERED = 64 * 1024
_REFUSALS = {refusal.code: refusal for refusal in ITEM_REFUSALS}
_COUNTS = range(_LONGEST_ANSWER)
BEGUN = _LENGTH.pack(0)
"""The empty frame, by which the child says that it begins with the next file."""


def frame(content: bytes) -> bytes:
    """Put the length before the content."""
    return _LENGTH.pack(len(content)) + content


class Frames:
    """Cuts a stream of bytes into frames. longest: bytes that a frame may have."""

    def __init__(self, longest: int = _LONGEST_ANSWER) -> None:
        self._longest = longest
        self._received = bytearray()

    def add(self, received: bytes) -> None:
        """Take what has come."""
        self._received += received

    def take(self) -> bytes | None:
        """Return the next frame's content, or None where it has not come whole. `ValueError`: too long."""
        if len(self._received) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._received)
        if length > self._longest:
            msg = "a frame is too long"
            raise ValueError(msg)
        end = _LENGTH.size + length
        if len(self._received) < end:
            return None
        with memoryview(self._received) as received:
            content = bytes(received[_LENGTH.size : end])
        del self._received[:end]
        return content


def write_request(
    number: int, data: bytes, password: Secret, limits: Limits, now: datetime
) -> bytes:  # fmt: skip
    """Write the request to open one file; of one that is too large, no more than shows that it is.

    number: that of the answer, too. now: aware; certificates are compared at this moment.
    """
    told = _NUMBER.pack(number) + _MOMENT.pack(now.timestamp()) + _LENGTH.pack(len(password))
    return frame(told + password.reveal() + data[: limits.pkcs12_bytes + 1])


def read_request(content: bytes) -> tuple[int, bytes, Secret, datetime]:
    """Return a request: its number, the file, its password and the moment."""
    (number,) = _NUMBER.unpack_from(content)
    (moment,) = _MOMENT.unpack_from(content, _NUMBER.size)
    (length,) = _LENGTH.unpack_from(content, _NUMBER.size + _MOMENT.size)
    start = _NUMBER.size + _MOMENT.size + _LENGTH.size
    password = Secret(content[start : start + length])
    return number, content[start + length :], password, datetime.fromtimestamp(moment, UTC)


def write_answer(number: int, result: OpenedCertificate | ItemRefusal) -> bytes:
    """Write the answer to the request of this number."""
    return frame(_NUMBER.pack(number) + _write_result(result))


def read_answer(number: int, content: bytes) -> OpenedCertificate | ItemRefusal:
    """Read the answer to the request of this number, every member of it checked.

    Raises `ValueError` where it is another's, which would give a device the key of another, or not of the
    right form.
    """
    if content[: _NUMBER.size] != _NUMBER.pack(number):
        msg = "the answer is for another request"
        raise ValueError(msg)
    return _read_result(content[_NUMBER.size :])


def _write_result(result: OpenedCertificate | ItemRefusal) -> bytes:
    if isinstance(result, ItemRefusal):
        return json.dumps({"code": result.code, "detail": result.detail, "found": result.found}).encode()
    answer = {
        "leaf": _certificate_to_json(result.leaf),
        "chain": [_link_to_text(certificate) for certificate in result.chain],
        "private_key": _to_base64(result.private_key.reveal()),
        "chain_is_complete": result.chain_is_complete,
        "allows_client_auth": result.allows_client_auth,
        "opened_by": result.opened_by,
        "warnings": list(result.warnings),
        "remarks": list(result.remarks),
    }
    return json.dumps(answer).encode()


def _read_result(content: bytes) -> OpenedCertificate | ItemRefusal:
    try:
        answer = json.loads(content.decode())
        if "code" in answer:
            found = None if answer["found"] is None else FileKind(answer["found"])
            return _REFUSALS[answer["code"]](_text(answer["detail"])[:_LONGEST_DETAIL], found=found)
        return OpenedCertificate(
            leaf=_certificate(answer["leaf"]),
            chain=tuple(_link(_text(link)) for link in _of_type(answer["chain"], list)[:_MOST_LINKS]),
            private_key=Secret(base64.b64decode(_text(answer["private_key"]), validate=True)),
            chain_is_complete=_of_type(answer["chain_is_complete"], bool),
            allows_client_auth=_of_type(answer["allows_client_auth"], bool),
            opened_by=_text(answer["opened_by"]),
            warnings=_read_warnings(answer["warnings"]),
            remarks=tuple(
                _text(one)[:_LONGEST_DETAIL] for one in _of_type(answer["remarks"], list)[:_MOST_REMARKS]
            ),
        )
    except (KeyError, TypeError, AttributeError, RecursionError):
        msg = "the answer is not of the right form"
        raise ValueError(msg) from None


def _read_warnings(words: object) -> tuple[WarningCode, ...]:
    return tuple(dict.fromkeys(WarningCode(_text(word)) for word in _of_type(words, list)))


@lru_cache(maxsize=_REMEMBERED)
def _link_to_text(certificate: Certificate) -> str:
    """Write a certificate of a chain as a text of its own: the same text stands in each answer of a fleet."""
    return json.dumps(_certificate_to_json(certificate))


def _link(text: str) -> Certificate:
    """Read a certificate of a chain; one that came before, text for text, need not be read again."""
    return _read_link(text) if len(text) <= _LONGEST_REMEMBERED else _certificate(json.loads(text))


@lru_cache(maxsize=_REMEMBERED)
def _read_link(text: str) -> Certificate:
    return _certificate(json.loads(text))


def _certificate_to_json(certificate: Certificate) -> dict[str, Any]:
    shown = show_in_part(certificate.facts)
    facts = dict(vars(shown))
    facts["not_before"] = shown.not_before.isoformat()
    facts["not_after"] = shown.not_after.isoformat()
    facts["subject"] = vars(shown.subject)
    facts["issuer"] = vars(shown.issuer)
    return {"der": _to_base64(certificate.der), "facts": facts}


def _certificate(answer: dict[str, Any]) -> Certificate:
    members = dict(answer["facts"])
    for name in ("not_before", "not_after"):
        members[name] = datetime.fromisoformat(_text(members[name]))
    for name in ("subject", "issuer"):
        members[name] = _name(members[name])
    members["key_type"] = KeyType(members["key_type"])
    names = _of_type(members["subject_alternative_names"], list)
    members["subject_alternative_names"] = tuple(_text(name) for name in names)
    for name, expected in _FACTS.items():
        _of_type(members[name], expected)
    der = base64.b64decode(_text(answer["der"]), validate=True)
    if members["fingerprint_sha256"] != hashlib.sha256(der).hexdigest():
        msg = "the fingerprint is another certificate's"
        raise ValueError(msg)
    if not _SERIAL_NUMBER.fullmatch(members["serial_number"]) or members["names_left_out"] not in _COUNTS:
        msg = "a number is not of the right form"
        raise ValueError(msg)
    return Certificate(der, show_in_part(CertificateFacts(**members)))


def _name(answer: dict[str, Any]) -> Name:
    text = _text(answer.pop("text"))
    return Name(text, **{name: None if value is None else _text(value) for name, value in answer.items()})


_FACTS = {
    field.name: hint if isinstance(hint := get_type_hints(CertificateFacts)[field.name], type) else tuple
    for field in fields(CertificateFacts)
}


def _of_type(value: object, expected: type[T]) -> T:
    if not isinstance(value, expected):
        raise TypeError
    return value


def _text(value: object) -> str:
    return _of_type(value, str)


def _to_base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()
