"""Standing of a certificate at a moment."""

import dataclasses
from datetime import timedelta

import pytest

from bulkcert.errors import Expired, NotYetValid
from bulkcert.values.certificates import CertificateFacts, KeyType, Name, WarningCode
from bulkcert.values.validity import check_validity, remaining_days
from tests.builders import DAY, NOW

FACTS = CertificateFacts(
    "00" * 32,
    "00" * 32,
    "1",
    Name("CN=a"),
    Name("CN=b"),
    (),
    NOW - DAY,
    NOW + 365 * DAY,
    KeyType.EC,
    256,
    "ecdsa",
)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("not_before", "not_after", "expected"),
    [
        (NOW - DAY, NOW + 365 * DAY, ()),
        (NOW, NOW + 30 * DAY, ()),
        (NOW, NOW + 30 * DAY - SECOND, (WarningCode.EXPIRES_SOON,)),
        (NOW, NOW, (WarningCode.EXPIRES_SOON,)),
        (NOW + SECOND, NOW + 365 * DAY, (WarningCode.NOT_YET_VALID,)),
        (NOW + DAY, NOW + 365 * DAY, (WarningCode.NOT_YET_VALID,)),
        (NOW + SECOND, NOW + DAY, (WarningCode.NOT_YET_VALID, WarningCode.EXPIRES_SOON)),
    ],
)
def test_a_certificate_that_may_be_kept_gets_its_warnings(not_before, not_after, expected) -> None:
    assert (
        check_validity(dataclasses.replace(FACTS, not_before=not_before, not_after=not_after), NOW)
        == expected
    )


@pytest.mark.parametrize(
    ("not_before", "not_after", "refusal"),
    [
        (NOW - DAY, NOW - SECOND, Expired),
        (NOW + DAY + SECOND, NOW + 365 * DAY, NotYetValid),
    ],
)
def test_a_certificate_that_is_not_valid_is_refused(not_before, not_after, refusal) -> None:
    with pytest.raises(refusal):
        check_validity(dataclasses.replace(FACTS, not_before=not_before, not_after=not_after), NOW)


def test_remaining_days_are_whole_and_turn_negative() -> None:
    assert remaining_days(NOW + 2 * DAY, NOW) == 2
    assert remaining_days(NOW + 2 * DAY - SECOND, NOW) == 1
    assert remaining_days(NOW - SECOND, NOW) == -1
