"""Tags, lengths and contents."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkcert.errors import MalformedPkcs12
from bulkcert.formats.asn1.ber import DEEPEST, MOST_ELEMENTS, OCTET_STRING, SEQUENCE, Allowance, Element, read
from tests.formats.pkcs12 import forge


def parsed(data: bytes) -> Element:
    return read(data, Allowance())


def shape(element: Element) -> object:
    """Everything that can be read of an element."""
    return (
        [shape(child) for child in element.children()]
        if element.tag & 0x20
        else (element.tag, element.content)
    )


trees = st.recursive(
    st.tuples(st.sampled_from([0x02, 0x04, 0x05, 0x06, 0x80]), st.binary(max_size=300)),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)


def encode(tree: object, *, indefinite: bool) -> bytes:
    if isinstance(tree, tuple):
        return forge.tlv(*tree)
    assert isinstance(tree, list)
    return (forge.endless if indefinite else forge.tlv)(
        0x30, *(encode(inner, indefinite=indefinite) for inner in tree)
    )


@given(trees)
def test_der_and_ber_read_to_the_same(tree):
    der = parsed(encode(tree, indefinite=False))
    ber = parsed(encode(tree, indefinite=True))

    assert shape(der) == shape(ber) == tree
    assert der.encode() == encode(tree, indefinite=False)


@given(st.binary(max_size=400))
def test_nothing_but_a_refusal_comes_of_any_bytes(data):
    try:
        element = parsed(data)
        shape(element)
        element.octets()
    except MalformedPkcs12 as refusal:
        assert "not a readable PKCS#12" in refusal.detail or "too many parts" in refusal.detail


@given(st.binary(max_size=60), st.lists(st.integers(1, 59), max_size=4))
def test_an_octet_string_in_parts_is_joined(content, cuts):
    edges = [0, *sorted(cuts), len(content)]
    parts = [forge.octets(content[start:end]) for start, end in itertools.pairwise(edges) if start < end]

    assert parsed(forge.tlv(0x24, *parts)).octets() == content
    assert parsed(forge.endless(0x24, *parts)).octets() == content
    assert parsed(forge.endless(0xA0, *parts)).octets() == content


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "ends too early"),
        (b"\x30", "ends too early"),
        (b"\x30\x05\x00", "ends too early"),
        (b"\x30\x82\xff", "ends too early"),
        (b"\x30\x84\xff\xff\xff\xff", "ends too early"),
        (b"\x30\x85\x00\x00\x00\x00\x00", "a length is wrong"),
        (b"\x30\xff", "a length is wrong"),
        (b"\x04\x80\x00\x00", "a length is wrong"),
        (b"\x3f\x81\x01\x00", "a tag that no PKCS#12 has"),
        (b"\x30\x80\x02\x01\x00", "ends too early"),
        (b"\x30\x80\x00\x01\x00", "a length is wrong"),
        (b"\x30\x00\x01", "something follows its end"),
        (b"\x30\x80" * (DEEPEST + 1) + b"\0\0" * (DEEPEST + 1), "nested too deeply"),
        (b"\x30\x80" * 30_000, "nested too deeply"),
    ],
)
def test_what_is_wrong_is_said(data, why):
    with pytest.raises(MalformedPkcs12, match=why):
        parsed(data).children()


def test_an_octet_string_in_parts_within_parts_ends_somewhere():
    data = forge.octets(b"x")
    for _ in range(DEEPEST + 2):
        data = forge.tlv(0x24, data)

    with pytest.raises(MalformedPkcs12, match="nested too deeply"):
        parsed(data).octets()


def test_the_number_of_elements_is_bounded():
    with pytest.raises(MalformedPkcs12, match="too many parts"):
        parsed(forge.seq(forge.null() * (MOST_ELEMENTS + 1))).children()


def test_scanning_the_same_elements_again_and_again_is_bounded():
    data = forge.null() * 1000
    for _ in range(DEEPEST - 1):
        data = forge.endless(0x30, data)
    element = parsed(data)

    with pytest.raises(MalformedPkcs12, match="too many parts"):
        while element.tag == SEQUENCE:
            (element,) = element.children()


@pytest.mark.parametrize("value", [0, 1, 127, 128, 2**31 - 1, 2**63, -1, -(2**63)])
def test_an_integer_has_its_value(value):
    assert parsed(forge.integer(value)).integer() == value


@pytest.mark.parametrize(
    "look",
    [
        lambda element: element.integer(),
        lambda element: element.oid(),
        lambda element: element.children(),
        lambda element: element.sequence(1, 2),
        lambda element: element.explicit(),
        lambda element: element.expect(SEQUENCE),
    ],
)
def test_a_part_that_is_something_else_is_refused(look):
    with pytest.raises(MalformedPkcs12):
        look(parsed(forge.octets(b"x")))


def test_a_sequence_of_another_length_is_refused():
    with pytest.raises(MalformedPkcs12, match="too few or too many"):
        parsed(forge.seq(forge.null())).sequence(2, 3)


def test_exactly_one_element_is_tagged_explicitly():
    assert parsed(forge.explicit(forge.octets(b"x"))).explicit().expect(OCTET_STRING).content == b"x"
    with pytest.raises(MalformedPkcs12, match="exactly one"):
        parsed(forge.explicit()).explicit()


def test_an_empty_integer_is_refused():
    with pytest.raises(MalformedPkcs12, match="empty"):
        parsed(forge.tlv(0x02)).integer()
