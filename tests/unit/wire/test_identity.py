"""What is told of the client, and what of its own word is believed."""

from __future__ import annotations

import ipaddress

import pytest

from strangler_proxy.wire.headers import (
    DROP,
    FORWARDED,
    HOST,
    LENGTH,
    PLAIN,
    classify,
    may_be_trailer,
    named_by_connection,
)
from strangler_proxy.wire.identity import (
    extended_lines,
    forwarded_lines,
    is_trusted,
    is_usable_id,
    request_ids,
)

NETWORKS = [ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("10.1.2.3", True),
        ("11.1.2.3", False),
        ("::ffff:10.1.2.3", True),
        ("fd00::1", True),
        ("fe80::1", False),
        ("unknown", False),
        ("", False),
    ],
)
def test_only_configured_addresses_are_trusted(peer: str, trusted: bool) -> None:
    assert is_trusted(peer, NETWORKS) is trusted
    assert not is_trusted(peer, [])


def test_addresses_of_ipv6_are_quoted_in_forwarded_alone() -> None:
    lines = forwarded_lines("2001:db8::1", tls=True, host=b"[::1]:80")
    assert b"X-Forwarded-For: 2001:db8::1\r\n" in lines
    assert b'Forwarded: for="[2001:db8::1]";proto=https;host="[::1]:80"\r\n' in lines


def test_a_host_cannot_break_out_of_forwarded() -> None:
    assert b'host="ab"\r\n' in forwarded_lines("1.1.1.1", tls=False, host=b'a"\\b')


def test_what_a_trusted_peer_left_out_is_filled_in() -> None:
    lines = extended_lines("10.0.0.1", tls=True, host=b"h", believed=[(b"x-real-ip", b"9.9.9.9")])
    assert lines.split(b"\r\n")[:-1] == [
        b"x-real-ip: 9.9.9.9",
        b"X-Forwarded-For: 10.0.0.1",
        b"Forwarded: for=10.0.0.1",
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: h",
    ]


@pytest.mark.parametrize("name", [b"X-Forwarded-For", b"x-forwarded-anything", b"FORWARDED"])
def test_words_about_the_client_are_known_in_any_spelling(name: bytes) -> None:
    assert classify(name) == FORWARDED
    assert classify(name.replace(b"-", b"_")) in (DROP, FORWARDED)
    assert classify(name.replace(b"-", b"_", 1)) in (DROP, FORWARDED)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (b"HOST", HOST),
        (b"Content-Length", LENGTH),
        (b"Content_Length", DROP),
        (b"Content-Type", PLAIN),
        (b"X_Plain", PLAIN),
        (b"Keep-Alive", DROP),
        (b"Proxy", DROP),
    ],
)
def test_fields_are_classified_whatever_their_case(name: bytes, kind: int) -> None:
    assert classify(name) == classify(name.swapcase()) == kind


def test_connection_names_fields_but_never_those_a_message_stands_on() -> None:
    value = b" X-A ,close,, Content-Length, X-Forwarded-For\t,host"
    assert named_by_connection(value) == {b"x-a"}


@pytest.mark.parametrize(
    "name", [b"Content-Length", b"Transfer-Encoding", b"Host", b"Set-Cookie", b"Authorization"]
)
def test_what_frames_or_identifies_is_no_trailer(name: bytes) -> None:
    assert not may_be_trailer(name)
    assert may_be_trailer(b"X-Checksum")


@pytest.mark.parametrize(
    ("value", "usable"),
    [
        (b"abc-1.2_3~:+/=@", True),
        (b"x" * 128, True),
        (b"x" * 129, False),
        (b"", False),
        (b"a b", False),
        (b"a\r", False),
        (b'a"b', False),
        (b"a\n", False),
        (b"\xe9", False),
    ],
)
def test_ids_are_kept_only_when_safe_in_logs(value: bytes, usable: bool) -> None:
    assert is_usable_id(value) is usable


def test_made_ids_differ_within_and_between_sources() -> None:
    one, two = request_ids(), request_ids()
    made = [source() for _ in range(1000) for source in (one, two)]
    assert len(set(made)) == 2000
    assert all(is_usable_id(value) for value in made)
