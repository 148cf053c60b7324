"""The credentials file: which lines count, what is the identity, what is the password."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkcert.errors import RequestRefusal, TooManyEntries, UndecodableCredentialsFile
from bulkcert.formats.bundle.credentials import LONGEST_LINE, CredentialLine, parse_credentials
from bulkcert.values.limits import Limits


def only_line(content: bytes) -> CredentialLine:
    (line,) = parse_credentials(content)
    return line


def read(content: bytes) -> list[tuple[int, str, str | None]]:
    return [
        (line.number, line.written, None if line.password is None else line.password.reveal().decode())
        for line in parse_credentials(content)
    ]


@pytest.mark.parametrize(
    ("line", "written", "password"),
    [
        ("A12BC3D4EFGH.p12=password1!", "A12BC3D4EFGH", "password1!"),
        ("A12BC3D4EFGH=password1!", "A12BC3D4EFGH", "password1!"),
        ("A12BC3D4EFGH.PFX=pw", "A12BC3D4EFGH", "pw"),
        ("a12bc3d4efgh.P12=pw", "a12bc3d4efgh", "pw"),
        ("  A12BC3D4EFGH.p12\t=pw", "A12BC3D4EFGH", "pw"),
        ("49-015420-323751-8=pw", "49-015420-323751-8", "pw"),
        ("A12=a=b==", "A12", "a=b=="),
        ("A12=#pass word#", "A12", "#pass word#"),
        ("A12= pw ", "A12", " pw "),
        ("A12=pw\t", "A12", "pw\t"),
        ("A12=", "A12", ""),
        ("A12==", "A12", "="),
        ('A12="quoted"', "A12", '"quoted"'),
        ("A12=pässwörd🔑", "A12", "pässwörd🔑"),
        ("=pw", "", "pw"),
        (".p12=pw", "", "pw"),
        ("#A12=pw", "#A12", "pw"),
        ("phones/A12.p12=pw", "phones/A12", "pw"),
        ("A12.p12.p12=pw", "A12.p12", "pw"),
        ("A12=\u2028\u2029\u0085\v\f\x1c", "A12", "\u2028\u2029\u0085\v\f\x1c"),
        ("A\u202e12\x1b=pw", "A\N{REPLACEMENT CHARACTER}12\N{REPLACEMENT CHARACTER}", "pw"),
        ("x" * 100 + "=pw", "x" * 42 + "…" + "x" * 21, "pw"),
    ],
)
def test_the_password_is_all_that_follows_the_first_equals_sign(
    line: str, written: str, password: str
) -> None:
    assert read(line.encode()) == [(1, written, password)]
    assert read(b"\n" + line.encode() + b"\r\n") == [(2, written, password)]


def test_lines_end_in_lf_crlf_or_cr_and_blank_ones_are_skipped() -> None:
    content = b"\r\nA1=a\r\n\n \t \nA2=b\nA3=c\r\n\xc2\xa0\xe2\x80\xa8\nA4=d\rA5=e\r"

    assert read(content) == [(2, "A1", "a"), (5, "A2", "b"), (6, "A3", "c"), (8, "A4", "d"), (9, "A5", "e")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_line_end_means_the_same(end: str, codec: str) -> None:
    content = f"A1=a{end}{end}A2=b{end}A3=c".encode(codec)

    assert read(content) == [(1, "A1", "a"), (3, "A2", "b"), (4, "A3", "c")]


@pytest.mark.parametrize(
    "content",
    [
        "A12=pä€🔑\r\nB34=x\n".encode(),
        b"\xef\xbb\xbf" + "A12=pä€🔑\r\nB34=x\n".encode(),
        b"\xff\xfe" + "A12=pä€🔑\r\nB34=x\n".encode("utf-16-le"),
        b"\xfe\xff" + "A12=pä€🔑\r\nB34=x\n".encode("utf-16-be"),
    ],
    ids=["UTF-8", "UTF-8 with BOM", "UTF-16LE", "UTF-16BE"],
)
def test_utf_8_and_utf_16_with_a_byte_order_mark_are_read(content: bytes) -> None:
    assert read(content) == [(1, "A12", "pä€🔑"), (2, "B34", "x")]


def test_a_second_byte_order_mark_is_no_mark() -> None:
    assert only_line(b"\xef\xbb\xbf" * 2 + b"A=b").written == "\N{REPLACEMENT CHARACTER}A"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"A=a\nB=b\nC=p\xe4ss\n", "Line 3 .* not UTF-8"),
        (b"A=a\n\xff\n", "Line 2 .* not UTF-8"),
        (b"A=\xed\xa0\x80\n", "Line 1 .* not UTF-8"),  # a surrogate (RFC 3629 §3)
        (b"\x30\x82\x0a\x04" + bytes(200), "PKCS#12 or certificate, not a text file of lines"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504), "Microsoft Office document, not a text file"),
        (b"PK\3\4" + bytes(100), "a zip .*, not a text file"),
        (b"{\\rtf1\\ansi A12=pw}", "RTF document"),
        (b"-----BEGIN CERTIFICATE-----\n", "a PEM file, not a text file of lines"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (b"\xfe\xed\xfe\xed" + bytes(20), "Java keystore"),
        ("A=a\n".encode("utf-16-le"), "UTF-16 without a byte order mark"),
        ("A12BC3D4EFGH.p12=pä€\r\n".encode("utf-16-be"), "UTF-16 without a byte order mark"),
        (b"\xff\xfeA\0=\0a\0\n\0B", "Line 2 .* not UTF-16"),
        (b"\xff\xfeA\0=\0\x00\xd8\n\0", "Line 1 .* not UTF-16"),
        (b"\xfe\xff\0A\0=\0a\0\n\xd8\0\0b", "Line 2 .* not UTF-16"),
        (b"\xff\xfe\0\0A\0\0\0", "UTF-32"),
        (b"\0\0\xfe\xff\0\0\0A", "UTF-32"),
    ],
)
def test_a_file_that_is_not_text_is_refused_with_the_line(content: bytes, says: str) -> None:
    with pytest.raises(UndecodableCredentialsFile, match=says):
        parse_credentials(content)


@pytest.mark.parametrize(
    ("content", "written", "says"),
    [
        (b"\nA12BC3D4EFGH.p12 hunter2", "A12BC3D4EFGH", "Line 2 .* no '='"),
        (
            b"\nA12BC3D4EFGH:hunter2",
            "A12BC3D4EFGH",
            r"Line 2 .* no '='. In its place stands U\+003A \(COLON\)",
        ),
        (b"\nA12BC3D4EFGH.p12 : hunter2", "A12BC3D4EFGH", r"Line 2 .* U\+003A \(COLON\): write '='"),
        ("\nA12BC3D4EFGH.p12\uff1dhunter2".encode(), "A12BC3D4EFGH", r"Line 2 .* U\+FF1D \(FULLWIDTH EQUALS"),
        ("\nA12BC3D4EFGH\uff1ahunter2".encode(), "A12BC3D4EFGH", r"Line 2 .* U\+FF1A \(FULLWIDTH COLON\)"),
        (b"\nA12BC3D4EFGH hunter2:", "A12BC3D4EFGH", r"Line 2 .* no '='\.$"),
        (b"\nA12BC3D4EFGH", "A12BC3D4EFGH", "Line 2 .* no '='"),
        (b"\n# comment", "", "Line 2 .* no '='. This is a comment"),
        (b"\nSerial Number", "Serial", "Line 2 .* no '='. This is a header line"),
        (b"\nA12BC3D4EFGH.p12,hunter2", "A12BC3D4EFGH", r"Line 2 .* no '='. This is a row with columns"),
        (b'\n"A12BC3D4EFGH";"hunter2"', "A12BC3D4EFGH", r"Line 2 .* no '='. This is a row with columns"),
        (b"\nA12BC3D4EFGH\thunter2", "A12BC3D4EFGH", r"Line 2 .* no '='. This is a row with columns"),
        (b"\nA12=hun\0ter2", "A12", "Line 2 .* NUL"),
        (b"\nA\x0012=hunter2", "A\N{REPLACEMENT CHARACTER}12", "Line 2 .* NUL"),
        (b"\nA12=" + b"hunter2" * 1000, "A12", "Line 2 .* longer than 4096"),
    ],
)
def test_a_line_that_holds_no_password_fails_alone(content: bytes, written: str, says: str) -> None:
    bad, good = parse_credentials(content + b"\nB34=pw")

    assert bad.written == written
    assert bad.password is None
    assert bad.refusal is not None
    assert bad.refusal.code == "invalid_password"
    assert re.match(says, bad.refusal.detail)
    assert "hunter2" not in repr(bad) + bad.refusal.detail
    assert good.refusal is None


def test_the_longest_line_is_counted_in_characters() -> None:
    assert only_line(b"A12=" + "é".encode() * (LONGEST_LINE - 4)).refusal is None
    assert only_line(b"A12=" + "é".encode() * (LONGEST_LINE - 3)).refusal is not None


def test_a_password_never_shows() -> None:
    assert "hunter2" not in repr(parse_credentials(b"A12=hunter2"))


def test_the_number_of_lines_is_limited_and_blank_ones_are_free() -> None:
    assert len(parse_credentials(b"\nA=b\n" * 3 + b"\n", Limits(entries=3))) == 3
    with pytest.raises(TooManyEntries, match="more than 3"):
        parse_credentials(b"A=b\n" * 4, Limits(entries=3))


def test_an_empty_file_has_no_lines() -> None:
    assert parse_credentials(b"") == ()
    assert parse_credentials(b"\xef\xbb\xbf") == ()
    assert parse_credentials(b"\xff\xfe") == ()


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_as_a_whole(content: bytes) -> None:
    try:
        lines = parse_credentials(content)
    except RequestRefusal:
        return

    assert all((line.password is None) != (line.refusal is None) for line in lines)
    assert [line.number for line in lines] == sorted({line.number for line in lines})


NAME = st.text("ABCDEFGH0123456789-", min_size=1, max_size=20)
PASSWORD = st.text(st.characters(codec="utf-8", exclude_characters="\0\n\r"), max_size=40)


@given(
    st.lists(st.tuples(NAME, st.sampled_from(["", ".p12", ".PFX"]), PASSWORD), max_size=8),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(
        [("utf-8", b""), ("utf-8-sig", b""), ("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff")]
    ),
)
def test_every_line_reads_back_as_it_was_written(
    lines: list[tuple[str, str, str]], end: str, encoding: tuple[str, bytes]
) -> None:
    text = "".join(f"{name}{suffix}={password}{end}" for name, suffix, password in lines)
    codec, mark = encoding

    assert read(mark + text.encode(codec)) == [
        (number, name, password) for number, (name, _, password) in enumerate(lines, start=1)
    ]
