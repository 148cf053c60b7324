import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkcert.api.citrix.tolerant_json import DEEPEST, LONGEST, parse, parse_object, read_object
from bulkcert.errors import MalformedRequest

PRINTED_IMPORT = """{
    "alias": "",
    "useAs": "device",
    "uploadType": "keystore",
    "keystoreType": "PKCS12",
    "identityType":"SERIAL_NUMBER",  # identity type can be "SERIAL_NUMBER","IMEI","MEID"
    "credentialFileName":"credential.txt"  # credential file name in .zip
}"""
IMPORT = {
    "alias": "",
    "useAs": "device",
    "uploadType": "keystore",
    "keystoreType": "PKCS12",
    "identityType": "SERIAL_NUMBER",
    "credentialFileName": "credential.txt",
}
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
JSON_LIKE_TEXT = st.text(
    alphabet="{}[],:=\"'“”‘’#\\ \n\r\t0123456789eE+-.truefalsn/ u\ufeff\u00a0d83ax", max_size=40
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PRINTED_IMPORT, IMPORT),
        (PRINTED_IMPORT.replace("\n", "\r\n"), IMPORT),
        (PRINTED_IMPORT.replace('.txt"  #', '.txt",  #'), IMPORT),
        ('{"identityType":"SERIAL_NUMBER",}', {"identityType": "SERIAL_NUMBER"}),
        ('{"identityType"="device_identity_value"}', {"identityType": "device_identity_value"}),
        ("{'identityType':'IMEI'}", {"identityType": "IMEI"}),
        ("{‘identityType’:‘IMEI’,}", {"identityType": "IMEI"}),
        ("{“identityType”:“IMEI”}", {"identityType": "IMEI"}),
        ("{”identityType”=”IMEI”}", {"identityType": "IMEI"}),
    ],
)
def test_the_printed_samples_are_read(text, expected):
    assert parse_object(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("null", None),
        (" # nothing\n null # more", None),
        ("[1,]", [1]),
        ("[ ]", []),
        ("{ }", {}),
        ("\ufeff\u00a0[1]", [1]),
        ('{"a": "x # y", "b": "x = y, z,}"}', {"a": "x # y", "b": "x = y, z,}"}),
        ('{"a": "it\'s “so”"}', {"a": "it's “so”"}),
        ("""{'a': 'say "x"'}""", {"a": 'say "x"'}),
        ("""{'a': 'it\\'s'}""", {"a": "it's"}),
        ("{“a”: “say \"x\" and 'y'”}", {"a": "say \"x\" and 'y'"}),
        ("‘it\\’s’", "it’s"),
        (r"""'\u00e9\n\\'""", "é\n\\"),
        (r'"\ud83d\ude00"', "😀"),
        ('{"a":1,"a":2}', {"a": 2}),
        ("{'useAs':apns,'type':'cert'}", {"useAs": "apns", "type": "cert"}),
        ("{'useAs' = apns}", {"useAs": "apns"}),
        ("[PKCS12 , SERIAL_NUMBER#x\n,a.b-c]", ["PKCS12", "SERIAL_NUMBER", "a.b-c"]),
        ("{'a':truest,'b':True,'c':NaN}", {"a": "truest", "b": "True", "c": "NaN"}),
        ("[1#one\r,2#two\r\n,3]#three", [1, 2, 3]),
    ],
)
def test_what_people_type_is_read(text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("", 1, 1),
        ("# only a comment", 1, 17),
        ("{,}", 1, 2),
        ("[1,,2]", 1, 4),
        ("[1 2]", 1, 4),
        ('{"a":1,,}', 1, 8),
        ('{"a" "b"}', 1, 6),
        ('{"a":}', 1, 6),
        ("{1:2}", 1, 2),
        ("{a:1}", 1, 2),
        ("{a}", 1, 2),
        ("apns", 1, 1),
        ("{'useAs':ap ns}", 1, 13),
        ("{'useAs':ap!}", 1, 10),
        ("{'useAs':ap'ns'}", 1, 10),
        ("[1]]", 1, 4),
        ("[1", 1, 3),
        ('{\n  "a": 1,\r\n  "b: 2}', 3, 3),
        ("{\r\r'a’: 1}", 3, 1),
        ('["a\nb"]', 1, 2),
        (r'"\x41"', 1, 1),
        (r'"\ud83d"', 1, 1),
        ("01", 1, 1),
        ("1.", 1, 1),
        ("+1", 1, 1),
        ("NaN", 1, 1),
        ("-Infinity", 1, 1),
        ("truest", 1, 1),
        ("9" * 5000, 1, 1),
        ("'\\", 1, 1),
        ("[" * (DEEPEST + 2) + "]" * (DEEPEST + 2), 1, DEEPEST + 2),
    ],
)
def test_what_is_not_json_is_refused_with_its_place(text, line, column):
    with pytest.raises(MalformedRequest, match=f"at line {line}, column {column}: "):
        parse(text)


@pytest.mark.parametrize("opening", ["[", '{"a":', "[{'a'="])
def test_endless_nesting_is_refused(opening):
    with pytest.raises(MalformedRequest, match="nesting is deeper"):
        parse(opening * 5000)


def test_nesting_within_the_limit_is_read():
    text = "[" * DEEPEST + "]" * DEEPEST

    assert parse(text) == json.loads(text)


def test_a_document_over_the_size_limit_is_refused():
    with pytest.raises(MalformedRequest, match="longer than"):
        parse(" " * LONGEST + "1")


@pytest.mark.parametrize("body", [b" " * 9 * LONGEST, "😀".encode() * (LONGEST + 1), b"[" * 9 * LONGEST])
def test_a_body_over_the_size_limit_is_not_read_to_its_end(body):
    file = io.BytesIO(body)

    with pytest.raises(MalformedRequest):
        read_object(file)
    assert file.tell() <= 4 * LONGEST + 1


@pytest.mark.parametrize("text", ["[]", "null", '"a"', "1"])
def test_an_object_is_asked_for_where_one_is_needed(text):
    with pytest.raises(MalformedRequest, match="not an object"):
        parse_object(text)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_body_is_read_in_the_encodings_that_editors_save(encoding):
    assert read_object(io.BytesIO("{“a”: 'ü'}".encode(encoding))) == {"a": "ü"}


@pytest.mark.parametrize("body", [b'{"a": "\xfc"}', b"\xff\xfe{", b"\x80"])
def test_a_body_that_is_not_text_is_refused(body):
    with pytest.raises(MalformedRequest):
        read_object(io.BytesIO(body))


@pytest.mark.parametrize(
    "text",
    [
        '{"login": "administrator", "password": "hunter2}',
        '{"login": "administrator", "password": hunter2!}',
        '{"login": "administrator", hunter2: "x"}',
        '{"password": "hunter2" "x"}',
        r'{"password": "hunter2\x"}',
        '{"password": "hunter2\n"}',
    ],
)
def test_a_refusal_never_repeats_the_content(text):
    with pytest.raises(MalformedRequest) as refusal:
        parse(text)

    assert "hunter2" not in repr(refusal.value) + str(refusal.value.__cause__)


@given(JSON_VALUES, st.sampled_from([None, 0, 2]), st.booleans())
def test_standard_json_is_read_as_the_standard_library_reads_it(value, indent, ascii_only):
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)

    assert repr(parse(text)) == repr(json.loads(text))


@given(JSON_VALUES)
def test_the_typed_form_means_the_same(value):
    text = json.dumps(value, indent=1)
    typed = text.replace("\n", ' # a note, "quoted": {[\r\n')

    assert repr(parse(typed + " # end")) == repr(value)


@given(
    st.dictionaries(st.text(), st.text() | st.integers()),
    st.sampled_from(["'", "“", "‘"]),
    st.sampled_from(":="),
)
def test_every_kind_of_quote_carries_every_text(members, quote, colon):
    closing = {"'": "'", "“": "”", "‘": "’"}[quote]

    def typed(value):
        return quote + json.dumps(value)[1:-1].replace('\\"', '"').replace("'", "\\'") + closing

    written = ",".join(
        typed(name) + colon + (typed(value) if isinstance(value, str) else str(value))
        for name, value in members.items()
    )

    assert parse("{" + written + ",}" if members else "{}") == members


@given(st.text() | JSON_LIKE_TEXT)
def test_any_text_is_read_or_refused(text):
    try:
        value = parse(text)
    except MalformedRequest:
        value = None

    json.dumps(value, ensure_ascii=False).encode()  # an answer or a database can hold it


@given(st.binary())
def test_any_body_is_read_or_refused(body):
    try:
        members = read_object(io.BytesIO(body))
    except MalformedRequest:
        members = {}

    assert isinstance(members, dict)
