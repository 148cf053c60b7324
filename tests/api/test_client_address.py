"""The client's address behind proxies."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkcert.api.client_address import UNKNOWN, find_client

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
CLUSTER = (*LOOPBACK, ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "client"),
    [
        ("127.0.0.1", "192.0.2.7", LOOPBACK, "192.0.2.7"),
        ("127.0.0.1", "203.0.113.9, 192.0.2.7", LOOPBACK, "192.0.2.7"),
        ("192.0.2.1", "203.0.113.9", LOOPBACK, "192.0.2.1"),
        ("10.1.2.3", "192.0.2.7", LOOPBACK, "10.1.2.3"),
        ("10.1.2.3", "192.0.2.7", CLUSTER, "192.0.2.7"),
        ("10.1.2.3", "203.0.113.9, 192.0.2.7, 10.0.0.4", CLUSTER, "192.0.2.7"),
        ("10.1.2.3", "10.0.0.9, 10.0.0.4", CLUSTER, "10.0.0.9"),
        ("127.0.0.1", "192.0.2.7:51234", LOOPBACK, "192.0.2.7"),
        ("127.0.0.1", "[2001:db8::1]:443", LOOPBACK, "2001:db8::1"),
        ("127.0.0.1", "[2001:db8::1]", LOOPBACK, "2001:db8::1"),
        ("127.0.0.1", "2001:db8::1", LOOPBACK, "2001:db8::1"),
        ("127.0.0.1", "::ffff:192.0.2.7", LOOPBACK, "192.0.2.7"),
        ("::ffff:127.0.0.1", "192.0.2.7", LOOPBACK, "192.0.2.7"),
        ("::1", "192.0.2.7", LOOPBACK, "192.0.2.7"),
        ("127.0.0.1", "", LOOPBACK, "127.0.0.1"),
        ("127.0.0.1", " ", LOOPBACK, UNKNOWN),
        ("127.0.0.1", "192.0.2.7,", LOOPBACK, UNKNOWN),
        ("127.0.0.1", "_hidden", LOOPBACK, UNKNOWN),
        ("127.0.0.1", "client.example", LOOPBACK, UNKNOWN),
        ("127.0.0.1", "192.0.2.7:x", LOOPBACK, UNKNOWN),
        ("127.0.0.1", "9" * 100_000, LOOPBACK, UNKNOWN),
        ("", "192.0.2.7", LOOPBACK, ""),
    ],
)  # fmt: skip
def test_the_last_address_that_no_trusted_proxy_has_is_the_clients(peer, forwarded, trusted, client):
    assert find_client(peer, forwarded, trusted) == client


@given(st.text(alphabet="0123456789abcdef.:[], x", max_size=60))
def test_whatever_a_client_wrote_first_changes_nothing(text):
    assert find_client("127.0.0.1", f"{text}, 192.0.2.7", LOOPBACK) == "192.0.2.7"


@given(st.text(max_size=100))
def test_whatever_stands_there_is_an_address_or_the_common_source(text):
    found = find_client("127.0.0.1", text, LOOPBACK)

    assert found == UNKNOWN or ipaddress.ip_address(found)
