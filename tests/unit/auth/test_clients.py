from __future__ import annotations

import pytest

from extracted.auth.clients import client_address, counted_as, networks

PROXIES = networks("127.0.0.1, 10.0.0.0/8, ::1")


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("127.0.0.1", "192.0.2.7", "192.0.2.7"),
        ("127.0.0.1", "203.0.113.9, 192.0.2.7", "192.0.2.7"),  # its first part is a client's claim
        ("10.1.2.3", "192.0.2.7, 10.9.9.9", "192.0.2.7"),
        ("10.1.2.3", "192.0.2.7,10.9.9.9,  127.0.0.1", "192.0.2.7"),
        ("::1", "2001:db8::1", "2001:db8::1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "nonsense", "127.0.0.1"),
        ("127.0.0.1", "192.0.2.7, nonsense", "127.0.0.1"),
        ("127.0.0.1", "10.0.0.1", "10.0.0.1"),
        ("::ffff:127.0.0.1", "192.0.2.7", "192.0.2.7"),  # a socket of IPv6 that takes IPv4 too
        ("::ffff:192.0.2.1", "203.0.113.9", "::ffff:192.0.2.1"),
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),
        ("", "203.0.113.9", ""),
    ],
)
def test_a_forwarded_address_is_believed_from_a_trusted_proxy_alone(
    peer: str, forwarded: str, client: str
) -> None:
    assert client_address(peer, forwarded, PROXIES) == client


@pytest.mark.parametrize("peer", ["", "127.0.0.1"])
def test_a_proxy_that_connects_by_a_socket_file_can_be_trusted_by_name(peer: str) -> None:
    trusted = networks("unix, 127.0.0.1")
    assert client_address(peer, "203.0.113.9, 192.0.2.7", trusted) == "192.0.2.7"
    assert client_address("192.0.2.1", "203.0.113.9", trusted) == "192.0.2.1"


def test_without_trusted_proxies_nothing_forwarded_is_believed() -> None:
    assert client_address("127.0.0.1", "192.0.2.7", ()) == "127.0.0.1"


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("", ""),
    ],
)
def test_a_client_of_ipv6_is_counted_by_its_network(address: str, name: str) -> None:
    assert counted_as(address) == name


@pytest.mark.parametrize("text", ["proxy", "unix:", "10.0.0.1/8", "", "127.0.0.1,"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/8"):
        networks(text)
