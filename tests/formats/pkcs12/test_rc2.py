"""RC2, in Python and by libcrypto."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkcert.formats.pkcs12 import libcrypto, rc2

# RFC 2268 §5: key, effective bits, plain, cipher text.
KNOWN = [
    ("0000000000000000", 63, "0000000000000000", "ebb773f993278eff"),
    ("ffffffffffffffff", 64, "ffffffffffffffff", "278b27e42e2f0d49"),
    ("3000000000000000", 64, "1000000000000001", "30649edf9be7d2c2"),
    ("88", 64, "0000000000000000", "61a8a244adacccf0"),
    ("88bca90e90875a", 64, "0000000000000000", "6ccf4308974c267f"),
    ("88bca90e90875a7f0f79c384627bafb2", 64, "0000000000000000", "1a807d272bbe5db1"),
    ("88bca90e90875a7f0f79c384627bafb2", 128, "0000000000000000", "2269552ab0f85ca6"),
    (
        "88bca90e90875a7f0f79c384627bafb216f80a6f85920584c42fceb0be255daf1e",
        129,
        "0000000000000000",
        "5b78d3a43dfff1f1",
    ),
]


@pytest.mark.parametrize("decrypt", [rc2.decrypt_cbc, rc2.decrypt_cbc_in_python])
@pytest.mark.parametrize(("key", "bits", "plain", "cipher"), KNOWN)
def test_known_answers_come_out(decrypt, key, bits, plain, cipher):
    assert decrypt(bytes.fromhex(key), bits, bytes(8), bytes.fromhex(cipher)).hex() == plain


@given(
    key=st.sampled_from([5, 16]).flatmap(lambda size: st.binary(min_size=size, max_size=size)),
    iv=st.binary(min_size=8, max_size=8),
    blocks=st.lists(st.binary(min_size=8, max_size=8), max_size=5),
)
def test_libcrypto_decrypts_what_python_does(key, iv, blocks):
    question = (key, 8 * len(key), iv, b"".join(blocks))

    assert rc2.decrypt_cbc(*question) == rc2.decrypt_cbc_in_python(*question)


def test_a_libcrypto_that_does_not_agree_is_noticed():
    class Wrong(libcrypto.Rc2):
        def __init__(self) -> None:
            pass

        def decrypt(self, key: bytes, effective_bits: int, iv: bytes, content: bytes) -> bytes:
            return content

    assert not rc2.agrees(Wrong())
