"""What is shown of a certificate is bounded, whatever the certificate holds, and says so."""

import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from bulkcert.formats.x509 import parse_certificate
from bulkcert.store.certificates.facts import write_names
from bulkcert.values.certificates import MOST_NAMES, CertificateFacts, Name, show_in_part
from tests.builders import a_certificate, an_ec_key

DER = a_certificate(an_ec_key(), dns_names=["device.example"]).public_bytes(Encoding.DER)
FACTS = parse_certificate(DER).facts
MOST_BYTES = 24 * 1024
"""What docs/operations.md promises."""

texts = st.one_of(
    st.text(max_size=40),
    st.builds(lambda text, times: text * times, st.text(min_size=1, max_size=3), st.integers(1, 20_000)),
)


def bytes_of(facts: CertificateFacts) -> int:
    texts = [
        *vars(facts.subject).values(),
        *vars(facts.issuer).values(),
        *facts.subject_alternative_names,
        facts.serial_number,
        facts.signature_algorithm,
    ]
    return sum(len(text.encode(errors="replace")) for text in texts if text is not None)


def test_an_ordinary_certificate_is_shown_whole() -> None:
    assert show_in_part(FACTS) is FACTS
    assert not FACTS.is_in_part
    assert FACTS.names_total == 1


@pytest.mark.parametrize(
    ("changes", "total", "shown"),
    [
        ({"subject_alternative_names": tuple(f"n{n}" for n in range(14_000))}, 14_000, MOST_NAMES),
        ({"subject_alternative_names": ("n" * 2048,) * 5}, 5, 4),
        ({"subject_alternative_names": ("n" * 60_000,)}, 1, 1),
        ({"subject_alternative_names": ("ü" * 60_000, "b")}, 2, 2),
        ({"subject": Name("CN=" + "a" * 60_000, common_name="a" * 60_000)}, 1, 1),
        ({"issuer": Name("CN=a", organization="a" * 513)}, 1, 1),
    ],
)
def test_one_that_holds_more_is_shown_in_part(changes: dict[str, object], total: int, shown: int) -> None:
    facts = show_in_part(replace(FACTS, **changes))  # type: ignore[arg-type]

    assert facts.is_in_part
    assert facts.names_total == total
    assert len(facts.subject_alternative_names) == shown
    assert bytes_of(facts) <= MOST_BYTES


def test_a_text_that_is_cut_ends_in_an_ellipsis() -> None:
    facts = show_in_part(replace(FACTS, subject=Name("CN=" + "é" * 2000)))

    assert facts.subject.text.endswith("é…")
    assert len(facts.subject.text.encode()) <= 2048


@given(texts, texts, st.lists(texts, max_size=200))
def test_whatever_it_holds_is_bounded_and_cut_once(subject: str, issuer: str, names: list[str]) -> None:
    full = replace(
        FACTS,
        subject=Name(subject, *(subject,) * 7),
        issuer=Name(issuer, *(issuer,) * 7),
        subject_alternative_names=tuple(names),
        serial_number="9" * 4300,
        signature_algorithm=issuer,
    )
    facts = show_in_part(full)

    assert bytes_of(facts) <= MOST_BYTES
    assert show_in_part(facts) == facts
    assert facts.names_total == len(names)
    assert facts.is_in_part == (replace(facts, names_left_out=0, is_cut=False) != full)
    assert len(json.loads(write_names(facts))) == (5 if facts.is_in_part else 3)
