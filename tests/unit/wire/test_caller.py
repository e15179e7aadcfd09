"""A caller is known by what the file says, and by no address that it could have made up."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.sansio.http import parse_cookie

from strangler_proxy.wire.caller import caller, cookie, network, without_cookie
from strangler_proxy.wire.headers import Header, fields
from strangler_proxy.wire.request import RequestHead

TRUSTED = [ipaddress.ip_network(text) for text in ("10.0.0.0/8", "fd00::/8")]


def head(*headers: tuple[str, str]) -> RequestHead:
    lines = [
        piece
        for name, value in headers
        for piece in (name.encode(), b": ", value.encode(), b"\r\n")
    ]
    return RequestHead(b"GET", b"/", lines, http_1_0=False, idempotent=True)


def chain(*values: str) -> list[Header]:
    return [(b"X-Forwarded-For", value.encode()) for value in values]


@pytest.mark.parametrize(
    ("said", "client"),
    [
        ([], b"10.0.0.1"),
        (["203.0.113.7"], b"203.0.113.7"),
        (["203.0.113.7, 10.1.1.1"], b"203.0.113.7"),
        (["1.1.1.1, 203.0.113.7"], b"203.0.113.7"),
        (["1.1.1.1", "203.0.113.7 ,10.1.1.1"], b"203.0.113.7"),
        (["10.0.0.9, 203.0.113.7"], b"203.0.113.7"),
        (["10.0.0.9, 10.0.0.8"], b"10.0.0.9"),
        (["1.1.1.1, unknown"], b"unknown"),
        (["2001:db8::7, fd00::1"], b"2001:db8::7"),
        ([""], b"10.0.0.1"),
        (["203.0.113.7, "], b"203.0.113.7"),
        (["203.0.113.7:4711, 10.1.1.1:80"], b"203.0.113.7"),
        (["[2001:db8::7]:4711, [fd00::1]"], b"2001:db8::7"),
        (["2001:db8::7"], b"2001:db8::7"),
    ],
)
def test_client_is_the_last_hop_that_nobody_trusted_vouches_for(
    said: list[str], client: bytes
) -> None:
    assert caller(head(), "address", "10.0.0.1", chain(*said), TRUSTED) == client
    assert caller(head(), "client", "10.0.0.1", chain(*said), TRUSTED) == network(client)


def test_made_up_hops_do_not_make_another_caller() -> None:
    known = {
        caller(head(), "client", "10.0.0.1", chain(f"{made_up}, 203.0.113.7"), TRUSTED)
        for made_up in ("1.1.1.1", "10.2.2.2", "x" * 500, "203.0.113.8,", "\xff")
    }
    assert known == {b"203.0.113.7"}


def test_header_and_cookie_name_the_caller_and_whoever_has_none_is_its_address() -> None:
    asks = head(("X-Team", "red"), ("Cookie", "a=1; session=s1; b=2"))
    assert caller(asks, "header:x-team", "192.0.2.1") == b"red"
    assert caller(asks, "cookie:session", "192.0.2.1") == b"s1"
    for key in ("header:x-other", "cookie:other", "cookie:SESSION"):
        assert caller(asks, key, "192.0.2.1") == b"192.0.2.1"


PEER = "192.0.2.1"


def test_one_credential_is_one_caller_however_its_scheme_and_spaces_are_written() -> None:
    spelled = [
        f"{scheme}{space}ToKen{end}"
        for scheme in ("Bearer", "bearer", "BEARER")
        for space in (" ", "   ", "\t", " \x85")
        for end in ("", " ", "\xa0")
    ]
    known = {
        caller(
            RequestHead(
                b"GET",
                b"/",
                [b"Authorization", b": ", value.encode("latin-1"), b"\r\n"],
                http_1_0=False,
                idempotent=True,
            ),
            "header:authorization",
            PEER,
        )
        for value in spelled
    }
    assert known == {b"bearer ToKen"}
    for one, other in (("Bearer a", "Bearer A"), ("key", "KEY"), ("Basic a", "Bearer a")):
        callers = {
            caller(head(("Authorization", value)), "header:authorization", PEER)
            for value in (one, other)
        }
        assert len(callers) == 2


def test_header_spelled_with_underscores_is_the_one_that_wsgi_makes_of_it() -> None:
    for written in ("X-Api-Key", "X_Api_Key", "x-api_KEY"):
        for key in ("header:x-api-key", "header:X_API-Key"):
            assert caller(head((written, " k ")), key, PEER) == b"k"


def test_what_is_given_twice_names_nobody() -> None:
    twice = head(("X-Api-Key", "good"), ("X_Api_Key", "made up"))
    assert caller(twice, "header:x-api-key", PEER) == PEER.encode()
    for lines in (("sid=made-up; sid=good",), ('a="', '; sid=made-up; b="; sid=good')):
        asks = head(*(("Cookie", line) for line in lines))
        assert caller(asks, "cookie:sid", PEER) == PEER.encode()
    assert caller(head(("Cookie", "sid=a; sid=a")), "cookie:sid", PEER) == b"a"


@pytest.mark.parametrize(
    "line",
    [
        "sid=abc",
        'sid="abc"',
        'sid="\\141bc"',
        'sid = "a\\142\\c"',
        'x="; sid=1"; sid=abc',
        "a b; sid=abc",
        'a=";sid=abc',
    ],
)
def test_one_cookie_is_one_caller_however_it_is_quoted(line: str) -> None:
    assert parse_cookie(line)["sid"] == "abc"
    assert caller(head(("Cookie", line)), "cookie:sid", PEER) == b"abc"


@given(st.text(st.sampled_from('ab=";\\ \t0147é'), max_size=30))
def test_cookies_are_what_werkzeug_makes_of_them(line: str) -> None:
    read = parse_cookie(line)
    for name in set(read) | {"a", "b"}:
        values = set(read.getlist(name))
        if any("\ufffd" in value for value in values):
            continue  # there Werkzeug shows that a byte was no character
        one = values.pop().encode() if len(values) == 1 else b""
        assert caller(head(("Cookie", line)), f"cookie:{name}", PEER) == (one or PEER.encode())


def test_long_cookie_of_blanks_costs_no_more_time_than_its_length() -> None:
    line = "a=" + " " * 1_000_000 + '"x'  # tried at every blank again, it would take hours
    assert caller(head(("Cookie", line)), "cookie:a", PEER) == PEER.encode()


@pytest.mark.parametrize(
    ("client", "known"),
    [
        ("192.0.2.1", b"192.0.2.1"),
        ("2001:db8:0:1::7", b"2001:db8:0:1::/64"),
        ("2001:DB8::1:aaaa:bbbb:cccc:dddd", b"2001:db8:0:1::/64"),
        ("2001:db8:0:2::7", b"2001:db8:0:2::/64"),
        ("::ffff:192.0.2.1", b"192.0.2.1"),
        ("fe80::1%eth0", b"fe80::/64"),
        ("_hidden:x", b"_hidden:x"),
    ],
)
def test_client_is_known_by_what_one_client_has_of_addresses(client: str, known: bytes) -> None:
    for key in ("client", "header:x-none", "cookie:none"):
        assert caller(head(), key, client) == known
    assert caller(head(), "address", client) == client.encode()


@pytest.mark.parametrize(
    "line", ["side=x", "a=1; side=x", "side=x;b=2", "a=1;  side = x ;b=2", "aside=y; side=x"]
)
def test_cookie_is_found_and_taken_out_however_it_is_written(line: str) -> None:
    asks = head(("Cookie", "first=1"), ("Accept", "*/*"), ("Cookie", line))
    assert cookie(asks, b"side") == b"x"
    left = list(fields(without_cookie(asks.lines, b"side")))
    assert left[:2] == [(b"Cookie", b"first=1"), (b"Accept", b"*/*")]
    assert not any(b"x" in value for _, value in left)
    kept = {"side=x": 2}.get(line, 3)
    assert len(left) == kept


def test_other_cookies_keep_their_bytes() -> None:
    lines = without_cookie(head(("Cookie", 'a="1 2"; side=x; b==; sideways=3')).lines, b"side")
    assert list(fields(lines)) == [(b"Cookie", b'a="1 2"; b==; sideways=3')]
