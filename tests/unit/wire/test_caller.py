"""A caller is known by what the file says, and by no address that it could have made up."""

from __future__ import annotations

import ipaddress

import pytest

from strangler_proxy.wire.caller import caller, cookie, without_cookie
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
    assert caller(head(), "client", "10.0.0.1", chain(*said), TRUSTED) == client


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
