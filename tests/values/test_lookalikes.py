"""Serial numbers that are another identity are noticed, and ordinary ones are left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkcert.values.identities import DeviceIdentity, IdentityType
from bulkcert.values.lookalikes import find_lookalike


@pytest.mark.parametrize(
    ("serial_number", "warning"),
    [
        ("490154203237518", "looks_like_imei"),
        ("356938035643809", "looks_like_imei"),
        ("490154203237519", None),
        ("49015420323751", "looks_like_meid"),
        ("A10000009296F1", "looks_like_meid"),
        ("A10000009296F2B", None),
        ("293608736500703710", "looks_like_meid"),
        ("SA12BC3D4EFGH", "looks_like_barcode"),
        ("SC39VC001HG7", None),
        ("SF26A001ABC", "looks_like_barcode"),
        ("SERIAL12", None),
        ("C39VC001HG7F", None),
        ("A12BC3D4EFGH", None),
        ("FT26A001ABCD", None),
        ("K7Q9WX2M4P", None),
    ],
)
def test_a_serial_number_that_is_something_else_is_noticed(serial_number: str, warning: str | None) -> None:
    assert find_lookalike(DeviceIdentity.parse(IdentityType.SERIAL_NUMBER, serial_number)) == warning


def test_an_imei_is_no_lookalike_of_itself() -> None:
    assert find_lookalike(DeviceIdentity.parse(IdentityType.IMEI, "490154203237518")) is None
    assert find_lookalike(DeviceIdentity.parse(IdentityType.MEID, "A10000009296F1")) is None


@given(st.text("0123456789ABCDEFGHJKLMNPQRSTUVWXYZ", min_size=8, max_size=20))
def test_any_serial_number_can_be_looked_at(text: str) -> None:
    find_lookalike(DeviceIdentity.parse(IdentityType.SERIAL_NUMBER, text))
